//! Event contract v1: CloudEvents 1.0 envelopes for what readers do.
//!
//! (`source`, `id`) is the deduplication key. A raw reader id may only appear as the extension attribute
//! `readerid` on the way into ingest, which replaces it by the pseudonym in `data.reader`.

use crate::id::{ContentId, Pseudonym};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Prefix of every event type.
pub const TYPE_PREFIX: &str = "org.mediaflow.";

/// What happened. On the wire `org.mediaflow.<name>.v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// A reader opened an item and stayed: the interaction that feeds the profile.
    #[serde(rename = "org.mediaflow.read.v1")]
    Read,
    /// A page was viewed.
    #[serde(rename = "org.mediaflow.view.v1")]
    View,
    /// An item was rendered at a position.
    #[serde(rename = "org.mediaflow.impression.v1")]
    Impression,
    /// An item was clicked.
    #[serde(rename = "org.mediaflow.click.v1")]
    Click,
    /// A video played up to `position_s` of `duration_s`.
    #[serde(rename = "org.mediaflow.video_progress.v1")]
    VideoProgress,
    /// An ad was clicked.
    #[serde(rename = "org.mediaflow.ad_click.v1")]
    AdClick,
    /// A newsletter signup.
    #[serde(rename = "org.mediaflow.signup.v1")]
    Signup,
    /// The reader liked an item.
    #[serde(rename = "org.mediaflow.like.v1")]
    Like,
    /// "Less of this": the item goes, and its topics count less.
    #[serde(rename = "org.mediaflow.hide.v1")]
    Hide,
    /// A topic or an author is muted (`data.mute`).
    #[serde(rename = "org.mediaflow.mute.v1")]
    Mute,
    /// A mute is taken back (`data.mute`).
    #[serde(rename = "org.mediaflow.unmute.v1")]
    Unmute,
    /// Consent was given or withdrawn (`data.consent`).
    #[serde(rename = "org.mediaflow.consent.v1")]
    Consent,
    /// The reader had their profile forgotten.
    #[serde(rename = "org.mediaflow.reset.v1")]
    Reset,
}

impl EventType {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 13] = [
        Self::Read,
        Self::View,
        Self::Impression,
        Self::Click,
        Self::VideoProgress,
        Self::AdClick,
        Self::Signup,
        Self::Like,
        Self::Hide,
        Self::Mute,
        Self::Unmute,
        Self::Consent,
        Self::Reset,
    ];
}

/// What a mute is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MuteTarget {
    /// A topic slug.
    Topic(String),
    /// An author's [`crate::id::name_hash`], as 8 hex digits.
    Author(String),
}

/// The payload. Every field is optional on the wire; which are needed depends on the type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct EventData {
    /// Brand slug: required.
    #[serde(default)]
    pub brand: String,
    /// Surface slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// The item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<ContentId>,
    /// The reader, set by ingest or by an authenticated edge; absent for readers without consent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<Pseudonym>,
    /// Session id, opaque.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Feed the item was served in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_id: Option<String>,
    /// Signed exposure id of the served item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<String>,
    /// Set by ingest: the exposure id was present and valid, so the event is fit for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainable: Option<bool>,
    /// Slot from 0, as rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// Seconds spent on the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell_s: Option<f64>,
    /// Position in a video, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position_s: Option<f64>,
    /// Length of a video, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<f64>,
    /// Target of a mute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute: Option<MuteTarget>,
    /// For consent events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<bool>,
    /// `mobile`, `desktop`, `tablet`, `tv`, `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Set by ingest for known robots; kept out of training and counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot: Option<bool>,
}

/// One CloudEvents 1.0 envelope in structured JSON mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// "1.0".
    pub specversion: String,
    /// Unique within `source`.
    pub id: String,
    /// Who emitted it (URI reference).
    pub source: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When it happened at the reader's side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// Content id as text, where there is one (CloudEvents `subject`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `application/json` or absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Raw reader id: only on the way into ingest, never in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readerid: Option<String>,
    /// When ingest received it; set by ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receivedtime: Option<Timestamp>,
    /// The payload.
    pub data: EventData,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_event_keeps_its_golden_json() {
        let json = r#"{"specversion":"1.0","id":"e1","source":"https://daily.example/web","type":"org.mediaflow.read.v1","time":"2026-11-21T08:00:00Z","subject":"00000000000000ff","data":{"brand":"daily","content_id":"00000000000000ff","dwell_s":41.5}}"#;
        let e: Event = serde_json::from_str(json).unwrap();
        assert_eq!(e.kind, EventType::Read);
        assert_eq!(serde_json::to_string(&e).unwrap(), json);
    }

    #[test]
    fn every_type_has_the_documented_name() {
        for t in EventType::ALL {
            let name = serde_json::to_string(&t).unwrap();
            assert!(
                name.starts_with("\"org.mediaflow.") && name.ends_with(".v1\""),
                "{name}"
            );
        }
    }
}
