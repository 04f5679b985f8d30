//! What a measurement of the folds needs: a made-up stream and one call that folds it as a worker does, commits and
//! all, but for log and store.

use mediaflow_ports::{Record, StoredRecord};
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::time::Timestamp;

use crate::limits::COMMIT_EVENTS_MAX;
use crate::replay::Replay;
use crate::{FeatureConfig, ItemFacts};

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Folded {
    /// Events folded.
    pub events: u64,
    /// Commits that would have been made.
    pub commits: u64,
    /// Bytes of state in them.
    pub state_bytes: u64,
    /// Entries for the publisher in them.
    pub profiles: u64,
}

/// Parses, deduplicates and folds the records of one partition, and encodes what every commit would write.
#[must_use]
pub fn fold_log(records: &[StoredRecord]) -> Folded {
    let mut replay = Replay::new(0, FeatureConfig::default());
    let mut folded = Folded::default();
    for batch in records.chunks(COMMIT_EVENTS_MAX) {
        replay.fold(batch, facts);
        let commit = replay.commit();
        folded.commits += 1;
        folded.profiles += commit.outbox.len() as u64;
    }
    let counted = replay.counted();
    folded.events = counted.events;
    folded.state_bytes = counted.state_bytes;
    folded
}

/// A made-up item: two topics and a reading time.
fn facts(item: ContentId) -> Option<ItemFacts> {
    let mut facts = ItemFacts {
        reading_time_min: (item.0 % 12) as u8 + 1,
        ..ItemFacts::default()
    };
    let topic = (item.0 % 50) as usize;
    facts.topics[topic] = 110;
    facts.topics[(topic + 7) % 50] = 60;
    Some(facts)
}

/// `n` events of `readers` readers at `per_s` events/s: feeds shown, clicks, reads, videos and ads as on a news site.
/// `seed` makes them others.
#[must_use]
pub fn records(n: u64, readers: u64, per_s: u64, seed: u64) -> Vec<StoredRecord> {
    let mut state = seed;
    let mut draw = move |below: u64| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    };
    let start_ms = 1_795_248_000_000i64;
    let brands = ["daily", "weekly", "sport", "culture"];
    let record = |i: u64| {
        let at = Timestamp(start_ms + (i * 1000 / per_s.max(1)) as i64);
        let who = draw(readers);
        let reader = Pseudonym(
            (u128::from(who).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).to_be_bytes(),
        );
        // A few items have most of the readers.
        let rank = draw(40) * draw(40) * draw(2) + draw(12);
        let item = ContentId((rank + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut data = EventData {
            brand: brands[(who % 4) as usize].into(),
            surface: Some("home".into()),
            content_id: Some(item),
            reader: Some(reader),
            session: Some(format!("s{who}")),
            device: Some(["mobile", "mobile", "desktop", "tablet"][(who % 4) as usize].into()),
            country: Some(["DE", "AT", "CH", "US", "FR"][(who % 5) as usize].into()),
            ..EventData::default()
        };
        let kind = match draw(20) {
            0..11 => {
                data.slot = Some(draw(30) as u16);
                data.feed_id = Some(format!("f{}", i / 30));
                EventType::Impression
            }
            11..14 => EventType::Click,
            14..17 => {
                data.dwell_s = Some(5.0 + draw(240) as f64);
                EventType::Read
            }
            17 => {
                data.position_s = Some(draw(300) as f64);
                data.duration_s = Some(300.0);
                EventType::VideoProgress
            }
            18 => {
                data.ad_id = Some(format!("ad-{}", draw(200)));
                data.campaign_id = Some("spring".into());
                EventType::AdImpression
            }
            _ => EventType::View,
        };
        let event = Event {
            specversion: "1.0".into(),
            id: format!("{seed:x}-{i:x}"),
            source: "https://daily.example/web".into(),
            kind,
            time: Some(at),
            subject: None,
            datacontenttype: None,
            traceparent: None,
            readerid: None,
            receivedtime: Some(at),
            senttime: None,
            rawtime: None,
            data,
        };
        StoredRecord {
            offset: i,
            appended_ms: at.0,
            // Plain data with string keys always becomes JSON.
            record: Record::new(
                reader.0.to_vec(),
                serde_json::to_vec(&event).unwrap_or_default(),
            ),
        }
    };
    (0..n).map(record).collect()
}
