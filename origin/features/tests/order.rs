//! Order, repetition and lateness change nothing: a stream shuffled over 48 hours, every event three times, has the
//! same features as the sorted one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_features::declare::{Entity, EntityState, Value, Vocabulary, evaluate, of};
use mediaflow_features::{FeatureConfig, ItemFacts, Replay, SessionRule};
use mediaflow_ports::{Record, StoredRecord};
use mediaflow_shared::event::{Event, EventData, EventType, Traits};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::time::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;

const START_MS: i64 = 1_795_219_200_000;
const HOURS_48_S: u32 = 48 * 3600;

/// What the order may change: a profile's taste is rounded event by event, and the metrics of a session need its
/// events within a gap of their time (see `activity/sessions.rs`).
const IN_ORDER: [&str; 7] = [
    "affinity",
    "affinity_confidence",
    "preferred_length",
    "active_hours",
    "engagement",
    "last_reads",
    "session_depth",
];

/// (seconds, kind, reader, item, number for the rest)
type Row = (u32, usize, u8, u8, u16);

fn event(n: usize, &(at_s, kind, reader, item, more): &Row) -> Event {
    let kind = EventType::ALL[kind];
    // Whoever leaves takes what was before along: that depends on the order, and is meant to.
    let kind = match kind {
        EventType::Consent | EventType::Reset => EventType::Read,
        kind => kind,
    };
    let text = |words: &[&str], n: u16| Some(words[usize::from(n) % words.len()].to_owned());
    let time = Timestamp(START_MS + i64::from(at_s) * 1000);
    Event {
        specversion: "1.0".into(),
        id: format!("e{n}"),
        source: "https://daily.example/web".into(),
        kind,
        time: Some(time),
        subject: None,
        datacontenttype: None,
        traceparent: None,
        readerid: None,
        receivedtime: Some(Timestamp(START_MS + i64::from(HOURS_48_S) * 1000)),
        senttime: None,
        rawtime: None,
        data: EventData {
            brand: ["daily", "weekly"][usize::from(more) % 2].into(),
            surface: text(&["home", "sport"], more / 3),
            content_id: Some(ContentId((u64::from(item) + 1) << 58 | u64::from(item))),
            reader: (reader != 0).then_some(Pseudonym([reader; 16])),
            slot: Some(more % 40),
            dwell_s: (kind == EventType::Read).then_some(f64::from(more % 900) / 2.0),
            position_s: Some(f64::from(more % 101)),
            duration_s: Some(100.0),
            device: text(&["mobile", "desktop", "tv"], more),
            country: text(&["DE", "AT", "CH"], more / 5),
            ad_id: text(&["a", "b"], more / 7),
            campaign_id: text(&["spring", "summer"], more / 11),
            revenue_micros: (kind == EventType::Conversion).then_some(i64::from(more) - 100),
            rating: Some(f64::from(more % 6)),
            engagement: Some(f64::from(more % 100) / 100.0),
            referrer: text(&["direct", "search"], more / 13),
            traits: (kind == EventType::Identify).then(|| Traits {
                age_group: text(&["18-24", "65+"], more),
                subscription: text(&["free", "premium"], more / 2),
                ..Traits::default()
            }),
            outliers: more.is_multiple_of(17).then(|| vec!["dwell_s".to_owned()]),
            bot: more.is_multiple_of(23).then_some(true),
            ..EventData::default()
        },
    }
}

fn facts(item: ContentId) -> Option<ItemFacts> {
    let mut facts = ItemFacts {
        reading_time_min: 4,
        ..ItemFacts::default()
    };
    facts.topics[(item.0 % 50) as usize] = 127;
    Some(facts)
}

/// Every feature of every entity, by name of the entity and feature.
fn features(rows: &[Row], order: &[usize], skip: &[&str]) -> BTreeMap<(String, String), Value> {
    let record = |(offset, n): (usize, &usize)| StoredRecord {
        offset: offset as u64,
        appended_ms: START_MS + i64::from(HOURS_48_S) * 1000 + offset as i64,
        record: Record::new("", serde_json::to_vec(&event(*n, &rows[*n])).unwrap()),
    };
    let records: Vec<_> = order.iter().enumerate().map(record).collect();
    let config = FeatureConfig {
        session: SessionRule {
            cap_s: u32::MAX,
            ..SessionRule::default()
        },
        ..FeatureConfig::default()
    };
    let mut replay = Replay::new(0, config);
    for batch in records.chunks(7) {
        replay.fold(batch, facts);
    }
    assert_eq!(replay.counted().dropped_late, 0);
    let words = Vocabulary {
        brands: vec!["daily".into(), "weekly".into()],
        session: config.session,
    };
    let now = Timestamp(START_MS + i64::from(HOURS_48_S) * 1000);
    let mut all = BTreeMap::new();
    let mut take = |name: String, state: EntityState<'_>| {
        let values = evaluate(state, now, &words);
        for (d, v) in of(state.entity()).iter().zip(values) {
            if !skip.contains(&d.name.as_str()) {
                all.insert((name.clone(), d.full_name()), v);
            }
        }
    };
    for (reader, state) in replay.readers() {
        take(reader.to_string(), EntityState::Reader(state));
        if !skip.contains(&"sessions") {
            take(reader.to_string(), EntityState::Session(state));
        }
    }
    for (item, state) in replay.items() {
        take(item.to_string(), EntityState::Content(state));
    }
    for state in replay.ads() {
        take(state.id().to_owned(), EntityState::Ad(state));
    }
    for slug in ["daily", "weekly"] {
        if let Some(state) = replay.brand(slug) {
            take(slug.to_owned(), EntityState::Brand(&state));
        }
    }
    all
}

/// Positions of `rows` by a key.
fn sorted_by_key<K: Ord>(rows: &[Row], key: impl Fn(&Row) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|n| (key(&rows[*n]), *n));
    order
}

fn rows(readers: u8) -> impl Strategy<Value = Vec<Row>> {
    let row = (
        0..HOURS_48_S,
        0..EventType::ALL.len(),
        0..readers,
        0..4u8,
        any::<u16>(),
    );
    // As many sessions as two days of a reader have.
    prop::collection::vec(row, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn shuffled_tripled_and_two_days_late_is_the_same(
        (rows, order) in rows(5).prop_flat_map(|rows| {
            let thrice: Vec<usize> = (0..rows.len()).flat_map(|n| [n, n, n]).collect();
            (Just(rows), Just(thrice).prop_shuffle())
        })
    ) {
        let mut skip = IN_ORDER.to_vec();
        skip.push("sessions");
        // The reader's number of sessions is compared: only the session entity is left out.
        let sessions = |order: &[usize]| {
            let mut all = features(&rows, order, &IN_ORDER);
            all.retain(|(_, f), _| f == "reader.sessions" || f == "reader.session_avg_s");
            all
        };
        let straight = sorted_by_key(&rows, |r| r.0);
        prop_assert_eq!(features(&rows, &order, &skip), features(&rows, &straight, &skip));
        prop_assert_eq!(sessions(&order), sessions(&straight));
    }

    #[test]
    fn within_a_gap_of_disorder_sessions_are_the_same_too(rows in rows(3)) {
        // Each event comes up to half an hour late.
        let late = sorted_by_key(&rows, |r| r.0 + u32::from(r.4) % 1800);
        let straight = sorted_by_key(&rows, |r| r.0);
        prop_assert_eq!(
            features(&rows, &late, &IN_ORDER[..6]),
            features(&rows, &straight, &IN_ORDER[..6])
        );
    }
}

#[test]
fn every_entity_is_compared() {
    let rows: Vec<Row> = (0..EventType::ALL.len())
        .map(|kind| (kind as u32 * 60, kind, 1, 1, 1))
        .collect();
    let order: Vec<usize> = (0..rows.len()).collect();
    let all = features(&rows, &order, &[]);
    for e in Entity::ALL {
        let name = format!("{}.", e.slug());
        assert!(all.keys().any(|k| k.1.starts_with(&name)), "{name}");
    }
    let of = |name: &str| {
        let found = all.iter().find(|(k, _)| k.1 == name);
        found.unwrap().1.clone()
    };
    // The read, and the consent and reset that this test turns into reads.
    assert_eq!(of("reader.reads_total"), Value::Int(3));
    assert_eq!(of("reader.subscription"), Value::Label("free".into()));
    assert_eq!(of("ad.clicks_total"), Value::Int(1));
    assert_eq!(of("session.signups"), Value::Int(1));
}

#[test]
fn what_is_older_than_two_days_enters_no_window() {
    let rows: [Row; 2] = [(HOURS_48_S, 0, 1, 1, 1), (0, 0, 1, 1, 1)];
    let late = |extra_s: u32| {
        let mut replay = Replay::new(0, FeatureConfig::default());
        let mut events = [event(0, &rows[0]), event(1, &rows[1])];
        let at = Timestamp(START_MS - i64::from(extra_s) * 1000);
        events[1].time = Some(at);
        let record = |(i, e): (usize, &Event)| StoredRecord {
            offset: i as u64,
            appended_ms: START_MS,
            record: Record::new("", serde_json::to_vec(e).unwrap()),
        };
        let records: Vec<_> = events.iter().enumerate().map(record).collect();
        replay.fold(&records, facts);
        let state = replay.reader(Pseudonym([1; 16])).unwrap();
        let now = Timestamp(START_MS + i64::from(HOURS_48_S) * 1000);
        let values = evaluate(EntityState::Reader(state), now, &Vocabulary::default());
        let value = |name: &str| {
            let at = of(Entity::Reader).iter().position(|d| d.name == name);
            values[at.unwrap()].clone()
        };
        let n = replay.counted();
        (
            n.late,
            n.dropped_late,
            value("reads_7d"),
            value("reads_total"),
        )
    };
    let int = Value::Int;
    assert_eq!(late(0), (1, 0, int(2), int(2)), "two days");
    assert_eq!(late(299), (1, 0, int(2), int(2)), "and the watermark's lag");
    assert_eq!(late(301), (1, 1, int(1), int(2)), "more");
}
