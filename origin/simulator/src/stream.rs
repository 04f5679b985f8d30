//! Events and reading histories without any server, for load and size measurements.
//!
//! [`events`] gives valid CloudEvents one after the other and holds nothing but a counter; [`profiles`] gives what
//! each of many readers did in a week.

use crate::brands::BRANDS;
use crate::limits::HISTORY_MAX;
use crate::readers::{Facts, Reader};
use crate::rng::Rng;
use crate::world::{DAY_MS, World};
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use std::collections::HashMap;

/// Which events, and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventPlan {
    /// Events in all.
    pub count: u64,
    /// Seed.
    pub seed: u64,
    /// Readers they come from; a tenth of them cause half of the events.
    pub readers: u64,
    /// Items they are about.
    pub items: u64,
    /// Time of the first event.
    pub start: Timestamp,
    /// Simulated events a second: spreads the times.
    pub per_s: f64,
}

/// `n` events of 100,000 readers about 20,000 items, 1,000 a second from 2026-11-21T00:00:00Z on.
pub fn events(n: u64, seed: u64) -> impl Iterator<Item = Event> {
    let start = Timestamp(20_778 * DAY_MS);
    events_of(EventPlan {
        count: n,
        seed,
        readers: 100_000,
        items: 20_000,
        start,
        per_s: 1000.0,
    })
}

/// The events of a plan. Event `i` depends only on the plan and `i`, so a range can be made again after a fault.
pub fn events_of(plan: EventPlan) -> impl Iterator<Item = Event> {
    (0..plan.count).map(move |i| event(&plan, i))
}

/// Raw reader id of a simulated reader, as a publisher's site would send it.
#[must_use]
pub fn reader_id(index: u64) -> String {
    format!("sim-{index:08}")
}

/// Event number `i` of a plan.
#[must_use]
pub fn event(plan: &EventPlan, i: u64) -> Event {
    const KINDS: [(EventType, f64); 7] = [
        (EventType::Impression, 62.0),
        (EventType::View, 14.0),
        (EventType::Click, 9.0),
        (EventType::Read, 11.0),
        (EventType::VideoProgress, 2.0),
        (EventType::Like, 1.5),
        (EventType::Hide, 0.5),
    ];
    let mut r = Rng::of(plan.seed, &[0xe7e7, i]);
    let kind = KINDS[r.weighted(&KINDS.map(|k| k.1))].0;
    // The square root of ten to one: a low number comes up much more often than a high one.
    let reader = (plan.readers as f64 * r.unit().powf(3.3)) as u64;
    let item = (plan.items as f64 * r.unit().powi(3)) as u64;
    let home = Rng::of(plan.seed, &[0xb0, reader]).weighted(&BRANDS.map(|b| b.weight));
    let brand = &BRANDS[home];
    let id = ContentId::of(brand.source, &format!("load-{item}"));
    let at = Timestamp(plan.start.0 + (i as f64 / plan.per_s * 1000.0) as i64);
    let mut data = EventData {
        brand: brand.slug.to_owned(),
        surface: Some(String::from("home")),
        content_id: Some(id),
        session: Some(format!("s{reader:x}-{}", at.0 / 1_800_000)),
        slot: Some(r.below(20) as u16),
        device: Some(if r.chance(0.65) { "mobile" } else { "desktop" }.to_owned()),
        country: Some((*r.pick(&["GB", "US", "DE", "ES", "IE"])).to_owned()),
        ..EventData::default()
    };
    match kind {
        EventType::Read => data.dwell_s = Some((r.unit() * 1200.0).round() / 10.0),
        EventType::VideoProgress => {
            data.duration_s = Some(90.0);
            data.position_s = Some((r.unit() * 900.0).round() / 10.0);
        }
        _ => {}
    }
    Event {
        specversion: String::from("1.0"),
        id: format!("{:x}-{i:x}", plan.seed),
        source: format!("{}/web", brand.site),
        kind,
        time: Some(at),
        subject: Some(id.to_string()),
        datacontenttype: None,
        traceparent: None,
        readerid: Some(reader_id(reader)),
        receivedtime: None,
        senttime: None,
        rawtime: None,
        data,
    }
}

/// One thing a reader did.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// When.
    pub at: Timestamp,
    /// Read, like or hide.
    pub kind: EventType,
    /// Index into [`Histories::world`]'s items.
    pub item: usize,
    /// The item's id.
    pub content_id: ContentId,
    /// Seconds spent.
    pub dwell_s: f64,
}

/// What one reader did, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Who.
    pub reader: Reader,
    /// What.
    pub interactions: Vec<Interaction>,
}

/// Histories of many readers over one week of content.
#[derive(Debug)]
pub struct Histories {
    world: World,
    by_topic: HashMap<(usize, u8), Vec<usize>>,
    by_brand: HashMap<usize, Vec<usize>>,
    seed: u64,
    next: u64,
    count: u64,
}

/// The histories of `n` readers over the seven days from 2026-11-15 on. Memory: one week of items, not the readers.
#[must_use]
pub fn profiles(n: u64, seed: u64) -> Histories {
    let world = World::days(seed, 20_772, 7);
    let (mut by_topic, mut by_brand) = (
        HashMap::<_, Vec<usize>>::new(),
        HashMap::<_, Vec<usize>>::new(),
    );
    for (k, item) in world.items.iter().enumerate() {
        by_topic
            .entry((item.brand, item.story.primary))
            .or_default()
            .push(k);
        by_brand.entry(item.brand).or_default().push(k);
    }
    Histories {
        world,
        by_topic,
        by_brand,
        seed,
        next: 0,
        count: n,
    }
}

impl Histories {
    /// The content the histories are about.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    fn history(&self, index: u64) -> History {
        let reader = Reader::new(self.seed, index);
        let mut r = Rng::of(self.seed, &[0x415, index]);
        let reads = (reader.sessions_per_day * 7.0 * (0.5 + 3.0 * r.unit())).ceil() as usize;
        let mut all = Vec::with_capacity(reads.min(HISTORY_MAX));
        for _ in 0..reads.min(HISTORY_MAX) {
            let brand = reader.brands[if r.chance(0.7) {
                0
            } else {
                r.below(reader.brands.len())
            }];
            let (topic, _) =
                reader.taste[r.weighted(&reader.taste.iter().map(|t| t.1).collect::<Vec<_>>())];
            let liked = r
                .chance(0.8)
                .then(|| self.by_topic.get(&(brand, topic)))
                .flatten();
            let Some(pool) = liked.or_else(|| self.by_brand.get(&brand)) else {
                continue;
            };
            let item = *r.pick(pool);
            let (i, facts) = (
                &self.world.items[item],
                Facts::from(&self.world.items[item]),
            );
            // Interest halves with the reader's own half-life.
            let later_h = -(1.0 - r.unit()).ln() * reader.patience_h / 2.0;
            let kind = match r.unit() {
                x if x < reader.likes => EventType::Like,
                x if x > 1.0 - reader.hides => EventType::Hide,
                _ => EventType::Read,
            };
            all.push(Interaction {
                at: Timestamp(i.published.0 + (later_h * 3_600_000.0) as i64),
                kind,
                item,
                content_id: i.content_id(),
                dwell_s: reader.dwell_s(&facts, &mut r),
            });
        }
        all.sort_by_key(|i| (i.at, i.item));
        History {
            reader,
            interactions: all,
        }
    }
}

impl Iterator for Histories {
    type Item = History;

    fn next(&mut self) -> Option<History> {
        (self.next < self.count).then(|| {
            self.next += 1;
            self.history(self.next - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn events_are_repeatable_distinct_and_read_back() {
        let text = |seed| {
            events(3000, seed)
                .map(|e| serde_json::to_string(&e).unwrap())
                .collect::<Vec<_>>()
        };
        let all = text(4);
        assert_eq!(all, text(4));
        assert_ne!(all, text(5));
        let ids: HashSet<_> = all
            .iter()
            .map(|t| serde_json::from_str::<Event>(t).unwrap().id)
            .collect();
        assert_eq!(ids.len(), 3000);
        let sizes = all.iter().map(String::len).sum::<usize>() / all.len();
        assert!((250..500).contains(&sizes), "{sizes} bytes an event");
    }

    #[test]
    fn a_few_readers_cause_many_events() {
        let mut by_reader: HashMap<String, usize> = HashMap::new();
        for e in events(20_000, 1) {
            *by_reader.entry(e.readerid.unwrap()).or_default() += 1;
        }
        let low = by_reader
            .iter()
            .filter(|(id, _)| id.as_str() < "sim-00010000")
            .map(|(_, n)| n)
            .sum::<usize>();
        assert!((8_000..12_000).contains(&low), "{low}");
    }

    #[test]
    fn histories_show_the_hidden_taste() {
        let mut all = profiles(300, 2);
        let items = all.world().items.clone();
        assert_eq!(
            profiles(3, 2).collect::<Vec<_>>(),
            profiles(3, 2).collect::<Vec<_>>()
        );
        let (mut liked, mut total) = (0, 0);
        for h in all.by_ref() {
            assert!(h.interactions.is_sorted_by_key(|i| i.at) && !h.interactions.is_empty());
            total += h.interactions.len();
            liked += h
                .interactions
                .iter()
                .filter(|i| h.reader.likes_topic(items[i.item].story.primary) > 0.0)
                .count();
        }
        assert!(liked * 10 > total * 7, "{liked} of {total}");
    }
}
