//! A delivery becomes the unified article: total, deterministic, no clock.

use mediaflow_shared::content::{
    CONTENT_VERSION, Content, MediaAsset, Metadata, RawItem, RawMedia, RawTime, SourceCms, Status,
};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use url::Url;

use crate::limits::{
    MEDIA_MAX, NAME_CHARS_MAX, SUMMARY_CHARS_MAX, TERMS_MAX, TITLE_CHARS_MAX, WORDS_A_MINUTE,
};
use crate::nlp::Analyzer;
use crate::time::{Read, read};
use crate::{Taxonomy, text};

/// The author of an item that names none (S0-04).
pub const AUTHOR_UNKNOWN: &str = "Unknown";

/// Everything normalisation needs to know besides the item.
#[derive(Debug, Default)]
pub struct Normalizer {
    taxonomy: Taxonomy,
    analyzer: Analyzer,
}

impl Normalizer {
    /// With a publisher's taxonomy.
    #[must_use]
    pub fn new(taxonomy: Taxonomy) -> Self {
        Self {
            taxonomy,
            analyzer: Analyzer::default(),
        }
    }

    /// The article that `raw` describes. Never fails: what cannot be read is left out, a time that
    /// cannot be read is the time of ingestion, an embargo that cannot be read keeps the item back.
    #[must_use]
    pub fn normalize(&self, raw: &RawItem) -> Content {
        let html = if raw.body.trim().is_empty() {
            &raw.content
        } else {
            &raw.body
        };
        let body = self.body(html, raw.source_cms);
        let title = text::line_of_html(&raw.title, TITLE_CHARS_MAX);
        let categories = terms(&raw.categories, |name| self.taxonomy.map(&raw.brand, name));
        let tags = terms(&raw.tags, str::to_lowercase);
        let cast = terms(&raw.cast, str::to_owned);
        let given = raw.language.as_deref();
        let nlp = self
            .analyzer
            .analyze(&title, &body, &raw.categories, &tags, given);
        let word_count = text::word_count(&body);
        let (embargo, held) = until(&raw.embargo_until);
        let (expires, _) = until(&raw.expires);
        Content {
            version: CONTENT_VERSION,
            content_id: ContentId::of(&raw.source, &raw.original_id),
            summary: summary(&raw.summary, &body),
            title,
            source_cms: raw.source_cms,
            source: raw.source.clone(),
            original_id: raw.original_id.clone(),
            brand: raw.brand.clone(),
            author: author(raw.author.as_deref()),
            published_at: at(&raw.published, raw.ingested_at),
            updated_at: at(&raw.modified, raw.ingested_at),
            embargo_until: embargo,
            expires_at: expires,
            categories,
            tags,
            cast,
            media_assets: media(raw),
            url: web_url(&raw.url, None).unwrap_or_default(),
            series: raw.series.as_deref().map(name).filter(|s| !s.is_empty()),
            kind: raw.kind,
            status: status(raw, held),
            metadata: Metadata {
                word_count,
                reading_time_min: word_count / WORDS_A_MINUTE,
                language: nlp.language.clone(),
                ingested_at: raw.ingested_at,
            },
            nlp,
            body,
        }
    }

    fn body(&self, html: &str, cms: SourceCms) -> String {
        if cms == SourceCms::Wordpress {
            text::of_html(&text::without_shortcodes(html))
        } else {
            text::of_html(html)
        }
    }
}

fn status(raw: &RawItem, held: bool) -> Status {
    match raw.status {
        _ if raw.takedown => Status::Takedown,
        Status::Published if held => Status::Draft,
        other => other,
    }
}

/// S0-06: missing, or unreadable, means now, which is when ingest took it in.
fn at(raw: &RawTime, ingested_at: Timestamp) -> Timestamp {
    match read(raw) {
        Read::At(t) => t,
        Read::Missing | Read::Unreadable => ingested_at,
    }
}

/// A limit in time, and whether one was given that cannot be read.
fn until(raw: &RawTime) -> (Option<Timestamp>, bool) {
    match read(raw) {
        Read::At(t) => (Some(t), false),
        Read::Missing => (None, false),
        Read::Unreadable => (None, true),
    }
}

fn name(s: &str) -> String {
    text::line_of_html(s, NAME_CHARS_MAX)
}

fn author(raw: Option<&str>) -> String {
    raw.map(name)
        .filter(|a| !a.is_empty())
        .unwrap_or_else(|| AUTHOR_UNKNOWN.to_owned())
}

fn summary(raw: &str, body: &str) -> String {
    let given = text::line_of_html(raw, SUMMARY_CHARS_MAX);
    if given.is_empty() {
        text::cut_words(&body.replace('\n', " "), SUMMARY_CHARS_MAX)
    } else {
        given
    }
}

/// Cleaned, mapped, each once, in the source's order.
fn terms(raw: &[String], map: impl Fn(&str) -> String) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for term in raw {
        let term = name(&map(&name(term)));
        if !term.is_empty() && !out.contains(&term) {
            out.push(term);
        }
        if out.len() == TERMS_MAX {
            break;
        }
    }
    out
}

/// `images` and `media` in one list (S0-08), each URL once. Relative URLs are resolved against the
/// item's own; what is not http(s) then is left out.
fn media(raw: &RawItem) -> Vec<MediaAsset> {
    let base = Url::parse(&raw.url).ok();
    let mut out: Vec<MediaAsset> = Vec::new();
    for m in raw.images.iter().chain(&raw.media) {
        let Some(url) = web_url(&m.url, base.as_ref()) else {
            continue;
        };
        if let Some(known) = out.iter_mut().find(|a| a.url == url) {
            if known.alt.is_empty() {
                known.alt = name(&m.alt);
            }
            continue;
        }
        out.push(MediaAsset {
            kind: media_kind(m),
            url,
            alt: name(&m.alt),
        });
        if out.len() == MEDIA_MAX {
            break;
        }
    }
    out
}

/// A MIME type counts by its first half; absent means image.
fn media_kind(m: &RawMedia) -> String {
    let kind = m.kind.as_deref().unwrap_or("").trim().to_lowercase();
    let kind = kind.split('/').next().unwrap_or("");
    if kind.is_empty() {
        "image".to_owned()
    } else {
        name(kind)
    }
}

fn web_url(text: &str, base: Option<&Url>) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let parsed = match (Url::parse(text), base) {
        (Ok(url), _) => url,
        (Err(_), Some(base)) => base.join(text).ok()?,
        (Err(_), None) => return None,
    };
    matches!(parsed.scheme(), "http" | "https").then(|| parsed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw() -> RawItem {
        RawItem {
            source: "wp".into(),
            original_id: "42".into(),
            brand: "daily".into(),
            ingested_at: Timestamp(1_795_248_000_000),
            ..RawItem::default()
        }
    }

    fn normal(raw: &RawItem) -> Content {
        Normalizer::default().normalize(raw)
    }

    #[test]
    fn an_empty_body_falls_back_to_content_and_is_what_is_counted() {
        let words = "word ".repeat(401);
        let c = normal(&RawItem {
            body: " ".into(),
            content: words,
            ..raw()
        });
        assert_eq!(
            (c.metadata.word_count, c.metadata.reading_time_min),
            (401, 2)
        );
        assert_eq!(c.nlp.readability, 8);
        let c = normal(&RawItem {
            body: "<p>a b</p>".into(),
            content: "c".into(),
            ..raw()
        });
        assert_eq!(c.body, "a b");
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let c = normal(&raw());
        assert_eq!(c.author, "Unknown");
        assert_eq!(c.content_id, ContentId::of("wp", "42"));
        assert_eq!(c.published_at, Timestamp(1_795_248_000_000));
        assert_eq!(c.updated_at, c.published_at);
        assert_eq!((c.metadata.reading_time_min, c.nlp.readability), (0, 6));
        assert_eq!(c.status, Status::Published);
        assert_eq!(
            normal(&RawItem {
                author: Some(" ".into()),
                ..raw()
            })
            .author,
            "Unknown"
        );
    }

    #[test]
    fn images_and_media_are_merged() {
        let m = |kind: Option<&str>, url: &str, alt: &str| RawMedia {
            kind: kind.map(str::to_owned),
            url: url.into(),
            alt: alt.into(),
        };
        let c = normal(&RawItem {
            url: "https://daily.example/a/b".into(),
            images: vec![
                m(None, "/i.jpg", "An <b>image</b>"),
                m(None, "javascript:x", ""),
            ],
            media: vec![
                m(Some("video/mp4"), "https://cdn.example/v.mp4", ""),
                m(None, "https://daily.example/i.jpg", "again"),
            ],
            ..raw()
        });
        let got: Vec<_> = c
            .media_assets
            .iter()
            .map(|m| (m.kind.as_str(), m.url.as_str(), m.alt.as_str()))
            .collect();
        assert_eq!(
            got,
            [
                ("image", "https://daily.example/i.jpg", "An image"),
                ("video", "https://cdn.example/v.mp4", "")
            ]
        );
    }

    #[test]
    fn categories_are_mapped_and_tags_lower_cased() {
        let c = normal(&RawItem {
            categories: vec![
                "Tech".into(),
                "Politics".into(),
                "World".into(),
                "Opinion".into(),
            ],
            tags: vec!["AI &amp; You".into(), "ai & you".into()],
            ..raw()
        });
        assert_eq!(c.categories, ["technology", "news", "opinion"]);
        assert_eq!(c.tags, ["ai & you"]);
    }

    #[test]
    fn a_takedown_and_an_unreadable_embargo_keep_an_item_back() {
        assert_eq!(
            normal(&RawItem {
                takedown: true,
                ..raw()
            })
            .status,
            Status::Takedown
        );
        let c = normal(&RawItem {
            embargo_until: RawTime::Text("soon".into()),
            ..raw()
        });
        assert_eq!(c.status, Status::Draft);
        let later = RawTime::Text("2027-01-01T00:00:00Z".into());
        let c = normal(&RawItem {
            embargo_until: later,
            ..raw()
        });
        assert_eq!(
            (c.status, c.embargo_until.is_some()),
            (Status::Published, true)
        );
    }

    #[test]
    fn the_embedding_id_covers_the_whole_text() {
        let opening = "x ".repeat(200);
        let id = |end: &str| {
            normal(&RawItem {
                body: format!("{opening}{end}"),
                ..raw()
            })
            .nlp
            .embedding_id
        };
        assert_ne!(id("a"), id("b"));
        assert_eq!(id("a"), id("a"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn anything_becomes_an_article(
            title in "\\PC{0,80}", body in "(\\PC|<[a-z/!]{0,8}>?|&[a-z#0-9]{0,6};?|\\[[a-z/]{0,9}){0,120}",
            when in "\\PC{0,30}", n in prop::num::f64::ANY, url in "(https?://)?\\PC{0,40}",
            cms in 0..5usize, lang in prop::option::of("\\PC{0,8}"),
        ) {
            let cms = [SourceCms::Wordpress, SourceCms::Drupal, SourceCms::Feed, SourceCms::Custom,
                SourceCms::Ugc][cms];
            let item = RawItem {
                title: title.clone(), body: body.clone(), content: title.clone(), summary: body.clone(),
                author: Some(when.clone()), published: RawTime::Text(when.clone()),
                modified: RawTime::Number(n), embargo_until: RawTime::Text(title.clone()),
                categories: vec![title.clone(), when.clone()], tags: vec![body, title.clone()],
                images: vec![RawMedia { kind: Some(when), url: url.clone(), alt: title }],
                url, language: lang, source_cms: cms, ..raw()
            };
            let c = normal(&item);
            prop_assert!((6..=12).contains(&c.nlp.readability));
            prop_assert!((-1.0..=1.0).contains(&c.nlp.sentiment));
            prop_assert!(c.summary.chars().count() <= SUMMARY_CHARS_MAX);
            prop_assert!(!c.author.is_empty());
            let json = serde_json::to_string(&c).unwrap();
            prop_assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), c.clone());
            prop_assert_eq!(normal(&item), c);
        }
    }
}
