//! Visits of readers over days, against whatever front page the caller shows them: no server, no waiting.
//!
//! [`visits`] says who comes when; [`Visit::look`] says what they do with a page. The same reader, click model and
//! habits as [`crate::drive`], with the time that looking and reading takes.

use crate::brands::BRANDS;
use crate::limits::MUTE_SHARE;
use crate::readers::{ClickModel, Facts, Reader};
use crate::rng::Rng;
use crate::stream::reader_id;
use crate::world::DAY_MS;
use mediaflow_shared::event::{Event, EventData, EventType, MuteTarget};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use std::collections::{HashMap, HashSet};

/// Minutes between two draws of whether a reader comes.
const STEP_MIN: i64 = 30;

/// One reader opens one front page.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub reader: u64,
    /// Which brand, as an index into [`BRANDS`].
    pub brand: usize,
    seed: u64,
    number: u64,
}

/// Everyone's visits in the order of time. Readers without consent do not come: nothing of theirs is published.
#[must_use]
pub fn visits(readers: u64, seed: u64, first_day: u32, days: u32) -> Vec<Visit> {
    let mut all = Vec::new();
    let from = i64::from(first_day) * DAY_MS;
    let steps = i64::from(days) * DAY_MS / (STEP_MIN * 60_000);
    for index in (0..readers).filter(|i| Reader::new(seed, *i).consents) {
        let reader = Reader::new(seed, index);
        let mut r = Rng::of(seed, &[0x715, index]);
        // Activity has its peak at `sessions_per_day × 1.08` and is that high for about six hours.
        for step in 0..steps {
            let at = Timestamp(from + step * STEP_MIN * 60_000 + r.below(30 * 60_000) as i64);
            if !r.chance(reader.activity(at) * STEP_MIN as f64 / 60.0 / 8.0) {
                continue;
            }
            let brand = reader.brands[if r.chance(0.75) {
                0
            } else {
                r.below(reader.brands.len())
            }];
            let number = all.len() as u64;
            all.push(Visit {
                at,
                reader: index,
                brand,
                seed,
                number,
            });
        }
    }
    all.sort_by_key(|v| (v.at, v.number));
    all
}

impl Visit {
    /// What the reader does with a page, in the order of time. `clicked` is what this reader clicked before.
    #[must_use]
    pub fn look(
        &self,
        page: &[ContentId],
        facts: &HashMap<ContentId, Facts>,
        clicked: &mut HashSet<ContentId>,
    ) -> Vec<Event> {
        let (reader, model) = (Reader::new(self.seed, self.reader), ClickModel::default());
        let mut r = Rng::of(self.seed, &[0x100c, self.number]);
        let mut at = self.at;
        let mut events = Vec::new();
        for (slot, id) in page.iter().take(reader.slots_seen(&mut r)).enumerate() {
            let of = EventData {
                content_id: Some(*id),
                slot: u16::try_from(slot).ok(),
                ..EventData::default()
            };
            events.push(self.event(&reader, EventType::Impression, at, events.len(), of.clone()));
            let Some(facts) = facts.get(id).filter(|_| !clicked.contains(id)) else {
                continue;
            };
            let looked = r.chance(model.examines(&reader, slot));
            if looked && r.chance(model.attracts(&reader, facts, at)) {
                clicked.insert(*id);
                at.0 += 2_000;
                events.push(self.event(&reader, EventType::Click, at, events.len(), of.clone()));
                let dwell_s = reader.dwell_s(facts, &mut r);
                at.0 += (dwell_s * 1000.0) as i64;
                let read = EventData {
                    dwell_s: Some(dwell_s),
                    ..of.clone()
                };
                events.push(self.event(&reader, EventType::Read, at, events.len(), read));
                if r.chance(reader.likes) {
                    events.push(self.event(&reader, EventType::Like, at, events.len(), of));
                }
            } else if looked && reader.matches(facts) == 0.0 && r.chance(reader.hides) {
                events.push(self.event(&reader, EventType::Hide, at, events.len(), of));
            }
            at.0 += 500;
        }
        if r.chance(MUTE_SHARE) {
            let disliked = (0..topics::TOPICS as u8).filter(|t| reader.likes_topic(*t) == 0.0);
            let all: Vec<u8> = disliked.collect();
            if let Some(t) = topics::topic(*r.pick(&all)) {
                let mute = Some(MuteTarget::Topic(t.slug.to_owned()));
                let data = EventData {
                    mute,
                    ..EventData::default()
                };
                events.push(self.event(&reader, EventType::Mute, at, events.len(), data));
            }
        }
        events
    }

    fn event(
        &self,
        reader: &Reader,
        kind: EventType,
        at: Timestamp,
        n: usize,
        data: EventData,
    ) -> Event {
        let brand = &BRANDS[self.brand];
        Event {
            specversion: String::from("1.0"),
            id: format!("{:x}-{:x}-{n}", self.seed, self.number),
            source: format!("{}/web", brand.site),
            kind,
            time: Some(at),
            subject: None,
            datacontenttype: None,
            traceparent: None,
            readerid: Some(reader_id(self.reader)),
            receivedtime: None,
            senttime: None,
            rawtime: None,
            data: EventData {
                brand: brand.slug.to_owned(),
                surface: Some(String::from("home")),
                session: Some(format!("v{:x}", self.number)),
                device: Some(reader.device.to_owned()),
                country: Some(reader.country.to_owned()),
                ..data
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    #[test]
    fn visits_are_repeatable_in_order_and_lead_to_reads_of_what_is_shown() {
        let all = visits(200, 3, 20_778, 2);
        assert_eq!(all, visits(200, 3, 20_778, 2));
        assert!(all.is_sorted_by_key(|v| v.at) && all.len() > 100);
        let world = World::days(3, 20_777, 3);
        let facts: HashMap<ContentId, Facts> = world
            .items
            .iter()
            .map(|i| (i.content_id(), Facts::from(i)))
            .collect();
        let mut clicked = HashMap::<u64, HashSet<ContentId>>::new();
        let mut reads = 0;
        for v in &all {
            let page: Vec<ContentId> = world
                .items
                .iter()
                .filter(|i| i.brand == v.brand && i.published <= v.at)
                .map(|i| i.content_id())
                .take(30)
                .collect();
            let events = v.look(&page, &facts, clicked.entry(v.reader).or_default());
            assert!(events.is_sorted_by_key(|e| e.time));
            assert!(
                events
                    .iter()
                    .all(|e| e.data.content_id.is_none_or(|c| page.contains(&c)))
            );
            reads += events.iter().filter(|e| e.kind == EventType::Read).count();
        }
        assert!(reads > 20, "{reads}");
    }
}
