//! Content contract v1: what a CMS delivers ([`RawItem`]) and the unified article ([`Content`], S0-04).
//!
//! `ingest` writes [`RawItem`] as JSON to the log topic `content.raw`; `enrich` normalises it (taxonomy, media,
//! text, language, topics) into [`Content`] and writes that to `content.enriched`. Unknown JSON fields are
//! ignored, so a newer writer does not stop an older reader; a changed meaning raises [`CONTENT_VERSION`].

use crate::id::ContentId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Version of both records.
pub const CONTENT_VERSION: u16 = 1;

/// Where an item stands. Only `Published` is eligible for a front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Live, or live once its embargo ends.
    #[default]
    Published,
    /// Not live yet.
    Draft,
    /// Was live, withdrawn by its editors; may come back.
    Unpublished,
    /// Removed for legal reasons; outranks everything and never comes back by a CMS update.
    Takedown,
    /// Reader-generated content that waits for moderation.
    Pending,
    /// Reader-generated content that moderation refused.
    Rejected,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text first.
    #[default]
    Article,
    /// Video first.
    Video,
    /// Audio first.
    Audio,
    /// A gallery of pictures.
    Gallery,
    /// A recipe.
    Recipe,
    /// Written by a reader.
    Ugc,
}

/// The system an item came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceCms {
    /// WordPress REST, webhook or WXR.
    Wordpress,
    /// Drupal JSON:API.
    Drupal,
    /// RSS, Atom or JSON Feed.
    Feed,
    /// A custom CMS read through a declarative mapping.
    #[default]
    Custom,
    /// Reader-generated content.
    Ugc,
}

/// A picture, video or sound as the source names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RawMedia {
    /// `image`, `video`, `audio` …; absent means image (S0-08).
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Absolute URL.
    pub url: String,
    /// Alternative text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alt: String,
}

/// A time as a source gave it (S0-06): missing, a number of seconds or milliseconds, or text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawTime {
    /// Epoch seconds, or milliseconds when above 10^11.
    Number(f64),
    /// ISO 8601 / RFC 3339, or RFC 2822 from feeds.
    Text(String),
    /// Not given: the time of ingestion.
    #[default]
    Missing,
}

/// One delivery from a source, before normalisation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RawItem {
    /// [`CONTENT_VERSION`].
    pub version: u16,
    /// Slug of the configured source, the first half of the content id.
    pub source: String,
    /// The system behind it.
    pub source_cms: SourceCms,
    /// The source's own id (`id`, else `post_id`).
    pub original_id: String,
    /// Brand slug.
    pub brand: String,
    /// Title, may hold entities or inline HTML.
    #[serde(default)]
    pub title: String,
    /// HTML body; when empty, `content` is used (S0-04).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// Fallback body.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Teaser, may hold HTML.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Absent or empty becomes "Unknown".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// First publication.
    #[serde(default)]
    pub published: RawTime,
    /// Last change at the source; orders re-deliveries.
    #[serde(default)]
    pub modified: RawTime,
    /// Not shown before.
    #[serde(default)]
    pub embargo_until: RawTime,
    /// Not shown after.
    #[serde(default)]
    pub expires: RawTime,
    /// Categories as the source names them.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Free tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// People seen or heard in it, leading ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
    /// `images` of the source.
    #[serde(default)]
    pub images: Vec<RawMedia>,
    /// `media` of the source.
    #[serde(default)]
    pub media: Vec<RawMedia>,
    /// Canonical URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// BCP 47 tag when the source says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Where it stands.
    #[serde(default)]
    pub status: Status,
    /// What it is.
    #[serde(default)]
    pub kind: Kind,
    /// Series or format it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// When ingest took it in.
    pub ingested_at: Timestamp,
    /// Raised by one for a legal takedown through the admin API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takedown: bool,
}

/// A picture, video or sound after merging `images` and `media` (S0-08).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaAsset {
    /// `image` unless the source says otherwise.
    #[serde(rename = "type")]
    pub kind: String,
    /// Absolute http(s) URL.
    pub url: String,
    /// Alternative text, may be empty.
    pub alt: String,
}

/// Derived facts of the text (S0-04).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Words of the text that was kept.
    pub word_count: u32,
    /// `word_count / 200`, floored.
    pub reading_time_min: u32,
    /// ISO 639-1, or `und`.
    pub language: String,
    /// When ingest took it in.
    pub ingested_at: Timestamp,
}

/// A topic and how much the text is about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicWeight {
    /// Slug from [`crate::topics::TABLE`].
    pub topic: String,
    /// 1 to 127: 127 is "about nothing else".
    pub weight: u8,
}

/// What language processing found (S0-09).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nlp {
    /// Strongest first.
    pub topics: Vec<TopicWeight>,
    /// Names found in the text.
    pub entities: Vec<String>,
    /// −1 to 1.
    pub sentiment: f32,
    /// School grade, clamped to 6–12 (words ÷ 50).
    pub readability: u8,
    /// ISO 639-1, or `und`.
    pub language: String,
    /// Hash of the whole text: names the embedding once there is one.
    pub embedding_id: String,
    /// 64-bit SimHash of the text's word shingles: near-duplicates differ in few bits. Hex on the wire.
    pub simhash: ContentId,
}

/// The unified article.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// [`CONTENT_VERSION`].
    pub version: u16,
    /// Deterministic id (S0-05).
    pub content_id: ContentId,
    /// Plain text.
    pub title: String,
    /// Plain text.
    pub body: String,
    /// Plain text teaser, at most 300 characters.
    pub summary: String,
    /// The system behind it.
    pub source_cms: SourceCms,
    /// Slug of the configured source.
    pub source: String,
    /// The source's own id.
    pub original_id: String,
    /// Brand slug.
    pub brand: String,
    /// "Unknown" when the source has none.
    pub author: String,
    /// First publication.
    pub published_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Not shown before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embargo_until: Option<Timestamp>,
    /// Not shown from this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// After the brand's taxonomy map (S0-07).
    pub categories: Vec<String>,
    /// Free tags, lower-case.
    pub tags: Vec<String>,
    /// People seen or heard in it, leading ones first (S2-02). Records of before it was known have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cast: Vec<String>,
    /// Merged media (S0-08).
    pub media_assets: Vec<MediaAsset>,
    /// Canonical URL; empty when the source has none.
    pub url: String,
    /// Series or format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Where it stands.
    pub status: Status,
    /// Derived facts.
    pub metadata: Metadata,
    /// What language processing found.
    pub nlp: Nlp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    #[test]
    fn records_of_before_the_cast_was_known_are_read_and_written_as_they_were() {
        let mut content = article();
        content.cast.clear();
        let json = serde_json::to_string(&content).unwrap();
        assert!(!json.contains("cast"), "{json}");
        assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        let raw = r#"{"version":1,"source":"wp","source_cms":"wordpress","original_id":"1","brand":"daily","ingested_at":"2026-11-21T08:00:00Z"}"#;
        let raw: RawItem = serde_json::from_str(raw).unwrap();
        assert!(raw.cast.is_empty());
        assert!(!serde_json::to_string(&raw).unwrap().contains("cast"));
    }
}
