//! From a record of the log to what the folds need of it.

use mediaflow_ports::StoredRecord;
use mediaflow_shared::event::{Event, EventType, MuteTarget};
use mediaflow_shared::id::{ContentId, Pseudonym, check_slug};
use mediaflow_shared::profile::Mute;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use xxhash_rust::xxh3::Xxh3Default;

use crate::limits::{AHEAD_MAX_MS, PLAYED_PERCENT};

/// An event, reduced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub kind: EventType,
    /// When it happened, corrected: never later than it was received, give or take a minute.
    pub at: Timestamp,
    pub received: Timestamp,
    pub brand: String,
    pub content: Option<ContentId>,
    pub reader: Option<Pseudonym>,
    /// Hash of (`source`, `id`).
    pub fingerprint: u64,
    pub bot: bool,
    pub mute: Mute,
    pub consent: Option<bool>,
    /// Of a video, so much was played that it counts as read.
    pub played: bool,
}

impl Seen {
    /// `None` for a record that is no event of ours.
    pub fn of(record: &StoredRecord) -> Option<Self> {
        let e: Event = serde_json::from_slice(&record.record.value).ok()?;
        check_slug(&e.data.brand).ok()?;
        let received = e.receivedtime.unwrap_or(Timestamp(record.appended_ms));
        let latest = Timestamp(received.0.saturating_add(AHEAD_MAX_MS));
        let subject = || e.subject.as_deref().and_then(|s| ContentId::parse(s).ok());
        let mut hash = Xxh3Default::new();
        hash.update(e.source.as_bytes());
        hash.update(&[0]);
        hash.update(e.id.as_bytes());
        Some(Self {
            kind: e.kind,
            at: e
                .time
                .map_or(received, |t| if t > latest { received } else { t }),
            received,
            content: e.data.content_id.or_else(subject),
            reader: e.data.reader,
            fingerprint: hash.digest(),
            bot: e.data.bot == Some(true),
            mute: e.data.mute.as_ref().map_or(Mute::None, muted),
            consent: e.data.consent,
            played: played(e.data.position_s, e.data.duration_s),
            brand: e.data.brand,
        })
    }

    /// Whether it counts towards the popularity of its item.
    pub fn is_click(&self) -> bool {
        !self.bot && matches!(self.kind, EventType::Click | EventType::Read)
    }

    /// Whether its item was read or played.
    pub fn is_read(&self) -> bool {
        match self.kind {
            EventType::Read => true,
            EventType::VideoProgress => self.played,
            _ => false,
        }
    }
}

fn muted(target: &MuteTarget) -> Mute {
    match target {
        MuteTarget::Topic(slug) => topics::index(slug).map_or(Mute::None, Mute::Topic),
        // A profile keeps the low 24 bits.
        MuteTarget::Author(hex) => {
            u32::from_str_radix(hex, 16).map_or(Mute::None, |hash| Mute::Author(hash & 0x00ff_ffff))
        }
    }
}

fn played(position_s: Option<f64>, duration_s: Option<f64>) -> bool {
    match (position_s, duration_s) {
        (Some(p), Some(d)) => d > 0.0 && p * 100.0 >= d * PLAYED_PERCENT,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_ports::Record;

    fn record(json: &str) -> StoredRecord {
        StoredRecord {
            offset: 0,
            appended_ms: 1_795_248_000_000,
            record: Record::new("", json.to_owned()),
        }
    }

    #[test]
    fn a_clock_far_ahead_counts_as_received() {
        let json = |time: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","time":"{time}","receivedtime":"2026-11-21T08:00:00Z","data":{{"brand":"daily"}}}}"#
            )
        };
        let at = |time: &str| Seen::of(&record(&json(time))).unwrap().at.to_string();
        assert_eq!(at("2030-01-01T00:00:00Z"), "2026-11-21T08:00:00Z");
        assert_eq!(at("2026-11-21T08:00:30Z"), "2026-11-21T08:00:30Z");
        assert_eq!(at("2016-05-05T00:00:00Z"), "2016-05-05T00:00:00Z");
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        for bad in [
            "",
            "{}",
            "[1]",
            r#"{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","data":{"brand":"No Slug"}}"#,
        ] {
            assert_eq!(Seen::of(&record(bad)), None, "{bad}");
        }
    }
}
