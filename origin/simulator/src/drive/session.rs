//! One visit of one reader: the feed, the clicks, the events.

use super::Run;
use crate::brands::BRANDS;
use crate::client::{Answer, Arm, Call, Feed, FeedItem, Jar};
use crate::limits::{MUTE_SHARE, PAGES_MAX};
use crate::readers::{Facts, Reader};
use crate::rng::Rng;
use mediaflow_shared::event::{Event, EventData, EventType, MuteTarget};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use std::collections::HashSet;

/// What a reader's device remembers between sessions.
#[derive(Debug, Default)]
pub(super) struct Visitor {
    jar: Jar,
    /// Brands that have the reader's consent: a token is one brand's.
    asked: HashSet<&'static str>,
    clicked: HashSet<ContentId>,
}

/// What a session brought.
#[derive(Debug)]
pub(super) struct Outcome {
    pub arm: Arm,
    pub shown: u64,
    pub clicks: u64,
    pub events: u64,
    pub calls: Vec<(Call, u16, f64)>,
}

impl Outcome {
    fn note<T>(&mut self, call: Call, answer: Answer<T>) -> Option<T> {
        self.calls.push((call, answer.status, answer.latency_ms));
        answer.value
    }
}

/// Where a session takes place.
struct Scene<'a> {
    run: &'a Run,
    reader: &'a Reader,
    brand: &'static str,
    site: &'static str,
    session: String,
    number: u64,
    events: u64,
}

impl Scene<'_> {
    fn event(&mut self, kind: EventType, at: Timestamp, data: EventData) -> Event {
        self.events += 1;
        Event {
            specversion: String::from("1.0"),
            id: format!("{:x}-{:x}-{}", self.run.id, self.number, self.events),
            source: format!("{}/web", self.site),
            kind,
            time: Some(at),
            subject: data.content_id.map(|c| c.to_string()),
            datacontenttype: None,
            traceparent: None,
            readerid: None,
            receivedtime: None,
            senttime: None,
            rawtime: None,
            data: EventData {
                brand: self.brand.to_owned(),
                surface: Some(self.run.config.surface.clone()),
                session: Some(self.session.clone()),
                device: Some(self.reader.device.to_owned()),
                country: Some(self.reader.country.to_owned()),
                ..data
            },
        }
    }

    fn on(&mut self, kind: EventType, at: Timestamp, item: &FeedItem, feed: &Feed) -> Event {
        let data = EventData {
            content_id: Some(item.id),
            feed_id: feed.feed_id.clone(),
            exposure: item.exposure.clone(),
            slot: Some(item.slot),
            ..EventData::default()
        };
        self.event(kind, at, data)
    }
}

/// Plays session `number`.
pub(super) async fn play(
    run: &Run,
    reader: &Reader,
    visitor: &mut Visitor,
    number: u64,
) -> Outcome {
    let config = &run.config;
    let mut r = Rng::of(config.seed, &[0x5e55, number]);
    let arm = if r.chance(config.personalized_share) {
        Arm::Personalized
    } else {
        Arm::Editorial
    };
    let brand = &BRANDS[reader.brands[if r.chance(0.75) {
        0
    } else {
        r.below(reader.brands.len())
    }]];
    let mut out = Outcome {
        arm,
        shown: 0,
        clicks: 0,
        events: 0,
        calls: Vec::new(),
    };
    let mut scene = Scene {
        run,
        reader,
        brand: brand.slug,
        site: brand.site,
        session: format!("{:x}-{number:x}", run.id),
        number,
        events: 0,
    };
    if reader.consents && !visitor.asked.contains(brand.slug) {
        let answer = run
            .client
            .consent_on(brand.slug, reader, &mut visitor.jar)
            .await;
        if out.note(Call::Me, answer).is_some() {
            visitor.asked.insert(brand.slug);
        }
    }
    for page in 0..PAGES_MAX {
        if page > 0 && !r.chance(0.35) {
            break;
        }
        let target = (brand.slug, config.surface.as_str());
        let answer = run
            .client
            .feed(target, arm, config.limit, reader, &mut visitor.jar)
            .await;
        let Some(feed) = out.note(Call::Feed, answer) else {
            break;
        };
        let batch = look(&mut scene, visitor, &feed, &mut r, &mut out);
        if !batch.is_empty() {
            out.events += batch.len() as u64;
            let answer = run.client.events(&batch, reader, &mut visitor.jar).await;
            out.note(Call::Events, answer);
        }
    }
    out
}

/// Looks down a feed and says what was seen and done.
fn look(
    scene: &mut Scene<'_>,
    visitor: &mut Visitor,
    feed: &Feed,
    r: &mut Rng,
    out: &mut Outcome,
) -> Vec<Event> {
    let (reader, model) = (scene.reader, scene.run.config.model);
    let mut at = scene.run.config.clock.now();
    let (mut events, seen) = (Vec::new(), reader.slots_seen(r));
    for (slot, item) in feed.items.iter().take(seen).enumerate() {
        events.push(scene.on(EventType::Impression, at, item, feed));
        // Nobody clicks a story twice. Passing over it is no verdict, so it counts in neither arm.
        if visitor.clicked.contains(&item.id) {
            continue;
        }
        out.shown += 1;
        let facts = facts(scene.run, item, at);
        let looked = r.chance(model.examines(reader, slot));
        if looked && r.chance(model.attracts(reader, &facts, at)) {
            out.clicks += 1;
            visitor.clicked.insert(item.id);
            at.0 += 1;
            events.push(scene.on(EventType::Click, at, item, feed));
            let mut read = scene.on(EventType::Read, at, item, feed);
            read.data.dwell_s = Some(reader.dwell_s(&facts, r));
            events.push(read);
            if r.chance(reader.likes) {
                events.push(scene.on(EventType::Like, at, item, feed));
            }
        } else if looked && reader.matches(&facts) == 0.0 && r.chance(reader.hides) {
            events.push(scene.on(EventType::Hide, at, item, feed));
        }
    }
    if !feed.items.is_empty() && r.chance(MUTE_SHARE) {
        let disliked = (0..topics::TOPICS as u8).filter(|t| reader.likes_topic(*t) == 0.0);
        let all: Vec<u8> = disliked.collect();
        if let Some(t) = topics::topic(*r.pick(&all)) {
            let mute = Some(MuteTarget::Topic(t.slug.to_owned()));
            events.push(scene.event(
                EventType::Mute,
                at,
                EventData {
                    mute,
                    ..EventData::default()
                },
            ));
        }
    }
    events
}

/// What the click model knows of an item: from the simulated world, else from the feed's own words.
fn facts(run: &Run, item: &FeedItem, now: Timestamp) -> Facts {
    run.facts.get(&item.id).copied().unwrap_or_else(|| {
        let known = |tag: &String| {
            topics::TABLE
                .iter()
                .position(|t| t.slug.eq_ignore_ascii_case(tag) || t.label.eq_ignore_ascii_case(tag))
        };
        let mut found = item
            .tags
            .iter()
            .filter_map(known)
            .filter_map(|i| u8::try_from(i).ok());
        Facts {
            // A number beyond the table: liked by nobody.
            primary: found.next().unwrap_or(u8::MAX),
            secondary: found.next(),
            words: 400,
            quality: 1.0,
            published: item.published.unwrap_or(now),
        }
    })
}
