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
    /// An ad was rendered (`data.ad_id`).
    #[serde(rename = "org.mediaflow.ad_impression.v1")]
    AdImpression,
    /// A click on an ad or an offer led to a sale, a subscription, … (`data.revenue_micros`).
    #[serde(rename = "org.mediaflow.conversion.v1")]
    Conversion,
    /// The reader rated an item (`data.rating`).
    #[serde(rename = "org.mediaflow.rating.v1")]
    Rating,
    /// The reader shared an item.
    #[serde(rename = "org.mediaflow.share.v1")]
    Share,
    /// The reader commented on an item.
    #[serde(rename = "org.mediaflow.comment.v1")]
    Comment,
    /// The publisher told what it knows of a reader (`data.traits`).
    #[serde(rename = "org.mediaflow.identify.v1")]
    Identify,
}

impl EventType {
    /// All of them, in the order of the contract.
    pub const ALL: [Self; 19] = [
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
        Self::AdImpression,
        Self::Conversion,
        Self::Rating,
        Self::Share,
        Self::Comment,
        Self::Identify,
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

/// What a publisher tells of a reader: the static features. Coarse on purpose; no name, no address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traits {
    /// `0-17`, `18-24`, `25-34`, `35-44`, `45-54`, `55-64`, `65+`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_group: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Subscription tier of the reader, such as `free`, `premium`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// When the reader registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<Timestamp>,
    /// ISO 639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
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
    /// The ad or offer, at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ad_id: Option<String>,
    /// The campaign of the ad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// Where on the page the ad was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// Revenue in millionths of `currency`; may be negative for a refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revenue_micros: Option<i64>,
    /// ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// From 0 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<f64>,
    /// How engaged the reader was by the sender's own measure, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engagement: Option<f64>,
    /// Subscription tier at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Quality a video played in, such as `1080p`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_level: Option<String>,
    /// Network as the player saw it, such as `4g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_quality: Option<String>,
    /// ISO 3166-2 subdivision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Operating system family, by ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Browser family, by ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// `direct`, `internal`, `search`, `social`, `email`, `campaign`, `other`; by ingest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<String>,
    /// Of an identify event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<Traits>,
    /// Set by ingest: names of fields whose values are outliers; they are kept, and not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outliers: Option<Vec<String>>,
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
    /// When the sender sent it, by the sender's clock: what `time` is corrected with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senttime: Option<Timestamp>,
    /// `time` as it came, where ingest corrected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rawtime: Option<Timestamp>,
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
