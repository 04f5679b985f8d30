//! Custom CMSs by a declarative mapping in the configuration: which JSON pointer is which field.
//!
//! ```toml
//! [source.mapping]
//! format = "json"                 # or "jsonl": one item a line
//! items = "/data/items"           # a list, or an object whose values are the items
//! next = "/paging/next"           # URL of the next page
//! cursor = { param = "since", at = "/data/cursor" }
//! id = "/uid"                     # a pointer, or a rule
//! title = "/headline"
//! author = { join = ["/by/first", "/by/last"], with = " " }
//! published = { at = "/pub", format = "%d.%m.%Y %H:%M", zone = "Europe/Berlin" }
//! tags = { at = "/keywords", split = "," }
//! cast = { each = "/credits/cast", at = "/name" }
//! categories = { each = "/sections", at = "/name" }
//! images = { each = "/pictures", url = "/src", alt = "/caption" }
//! status = { at = "/state", map = { live = "published", killed = "unpublished" }, default = "draft" }
//! language = { value = "de" }
//! ```

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawMedia, RawTime, SourceCms};
use mediaflow_shared::time::Timestamp;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

use crate::error::{IngestError, IngestResult};
use crate::intake::Taken;
use crate::json::{text_at, text_of};
use crate::limits::PAGES_A_POLL;
use crate::poll::Poller;
use crate::source::SourceConfig;

/// How a document is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON document.
    #[default]
    Json,
    /// One JSON value a line.
    Jsonl,
}

/// Where a value is and what is done with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Rule {
    /// A JSON pointer.
    Pointer(String),
    /// More than a pointer.
    Detailed(Box<Detail>),
}

/// A rule in full. `at`, `value`, `join` and `each` exclude each other, but for `each` with `at`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// A JSON pointer; within an element of `each` when that is given.
    pub at: Option<String>,
    /// A constant.
    pub value: Option<String>,
    /// Pointers whose texts are joined by `with`; absent ones are left out.
    pub join: Option<Vec<String>>,
    /// Joins the parts of `join` (a space).
    pub with: Option<String>,
    /// Pointer to a list; the rule gives one text an element.
    pub each: Option<String>,
    /// Separates the texts of a list written as one text.
    pub split: Option<String>,
    /// Text → text.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// For what `map` does not know, and for nothing.
    pub default: Option<String>,
    /// How a time is written, in strftime's letters.
    pub format: Option<String>,
    /// Time zone of times without an offset, by IANA name (UTC).
    pub zone: Option<String>,
}

/// A list of media.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaRule {
    /// Pointer to the list, or to one object or text.
    pub each: String,
    /// Pointer to the URL within an element; empty for a list of URLs.
    #[serde(default)]
    pub url: String,
    /// Pointer to the alternative text.
    pub alt: Option<String>,
    /// Pointer to the type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// How a pull goes on where the last one ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CursorRule {
    /// Query parameter that takes the cursor.
    pub param: String,
    /// Pointer to the cursor in the answer.
    pub at: String,
}

/// The mapping of one source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Layout of a document.
    #[serde(default)]
    pub format: Format,
    /// Pointer to the items (the document itself).
    #[serde(default)]
    pub items: String,
    /// Pointer to the URL of the next page.
    pub next: Option<String>,
    /// How to go on.
    pub cursor: Option<CursorRule>,
    /// Required: the source's own id.
    pub id: Rule,
    /// Title.
    pub title: Option<Rule>,
    /// HTML body.
    pub body: Option<Rule>,
    /// Fallback body.
    pub content: Option<Rule>,
    /// Teaser.
    pub summary: Option<Rule>,
    /// Author.
    pub author: Option<Rule>,
    /// First publication.
    pub published: Option<Rule>,
    /// Last change.
    pub modified: Option<Rule>,
    /// Not shown before.
    pub embargo_until: Option<Rule>,
    /// Not shown after.
    pub expires: Option<Rule>,
    /// Categories.
    pub categories: Option<Rule>,
    /// Tags.
    pub tags: Option<Rule>,
    /// People seen or heard in it.
    pub cast: Option<Rule>,
    /// Pictures.
    pub images: Option<MediaRule>,
    /// Other media.
    pub media: Option<MediaRule>,
    /// Canonical URL, absolute.
    pub url: Option<Rule>,
    /// BCP 47.
    pub language: Option<Rule>,
    /// `published`, `draft`, `unpublished`, `takedown`, `pending`, `rejected` after `map`.
    pub status: Option<Rule>,
    /// `article`, `video`, `audio`, `gallery`, `recipe`, `ugc` after `map`.
    pub kind: Option<Rule>,
    /// Series.
    pub series: Option<Rule>,
}

impl Mapping {
    /// Checks pointers, time zones and the words that `status` and `kind` may give.
    pub(crate) fn check(&self) -> Result<(), String> {
        for rule in self.rules() {
            rule.check()?;
        }
        let words = |rule: &Option<Rule>, name: &str, known: fn(&str) -> bool| {
            let Some(Rule::Detailed(d)) = rule else {
                return Ok(());
            };
            match d
                .map
                .values()
                .chain(&d.default)
                .chain(&d.value)
                .find(|w| !known(w))
            {
                Some(w) => Err(format!("mapping.{name} gives {w:?}, which is no {name}")),
                None => Ok(()),
            }
        };
        words(&self.status, "status", |w| {
            word::<mediaflow_shared::content::Status>(w).is_some()
        })?;
        words(&self.kind, "kind", |w| {
            word::<mediaflow_shared::content::Kind>(w).is_some()
        })
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        let optional = [
            &self.title,
            &self.body,
            &self.content,
            &self.summary,
            &self.author,
            &self.published,
            &self.modified,
            &self.embargo_until,
            &self.expires,
            &self.categories,
            &self.tags,
            &self.cast,
            &self.url,
            &self.language,
            &self.status,
            &self.kind,
            &self.series,
        ];
        std::iter::once(&self.id).chain(optional.into_iter().flatten())
    }
}

fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let pointer = |p: &String| {
            if p.is_empty() || p.starts_with('/') {
                Ok(())
            } else {
                Err(format!(
                    "mapping: {p:?} is no JSON pointer, which begins with '/'"
                ))
            }
        };
        match self {
            Self::Pointer(p) => pointer(p),
            Self::Detailed(d) => {
                d.at.iter()
                    .chain(&d.each)
                    .chain(d.join.iter().flatten())
                    .try_for_each(pointer)?;
                match &d.zone {
                    Some(z) => TimeZone::get(z)
                        .map(|_| ())
                        .map_err(|_| format!("mapping: no time zone {z:?}")),
                    None => Ok(()),
                }
            }
        }
    }

    fn text(&self, item: &Value) -> Option<String> {
        match self {
            Self::Pointer(p) => text_at(item, p),
            Self::Detailed(d) => d.text(item),
        }
        .filter(|t| !t.is_empty())
    }

    fn texts(&self, item: &Value) -> Vec<String> {
        match self {
            Self::Pointer(p) => item.pointer(p).map(list).unwrap_or_default(),
            Self::Detailed(d) => d.texts(item),
        }
    }

    fn time(&self, item: &Value) -> RawTime {
        let (format, zone) = match self {
            // A number stays one, so that milliseconds are told from seconds.
            Self::Pointer(p) => {
                if let Some(n) = item.pointer(p).and_then(Value::as_f64) {
                    return RawTime::Number(n);
                }
                (None, None)
            }
            Self::Detailed(d) => {
                if let Some(n) =
                    d.at.as_ref()
                        .and_then(|p| item.pointer(p))
                        .and_then(Value::as_f64)
                {
                    return RawTime::Number(n);
                }
                (d.format.as_deref(), d.zone.as_deref())
            }
        };
        let Some(text) = self.text(item) else {
            return RawTime::Missing;
        };
        RawTime::Text(format.and_then(|f| instant(&text, f, zone)).unwrap_or(text))
    }
}

/// A text as it is, or the texts of a list.
fn list(v: &Value) -> Vec<String> {
    match v {
        Value::Array(list) => list.iter().filter_map(text_of).collect(),
        other => text_of(other).into_iter().collect(),
    }
}

/// RFC 3339 of a time written in `format`; with an offset in the text, `zone` does not matter.
fn instant(text: &str, format: &str, zone: Option<&str>) -> Option<String> {
    let parsed = strtime::parse(format, text).ok()?;
    if let Ok(at) = parsed.to_timestamp() {
        return Some(at.to_string());
    }
    let civil: DateTime = parsed
        .to_datetime()
        .or_else(|_| parsed.to_date().map(Into::into))
        .ok()?;
    let zone = TimeZone::get(zone.unwrap_or("UTC")).ok()?;
    Some(civil.to_zoned(zone).ok()?.timestamp().to_string())
}

impl Detail {
    fn text(&self, item: &Value) -> Option<String> {
        let found = if let Some(v) = &self.value {
            Some(v.clone())
        } else if let Some(parts) = &self.join {
            let parts: Vec<String> = parts.iter().filter_map(|p| text_at(item, p)).collect();
            Some(parts.join(self.with.as_deref().unwrap_or(" ")))
        } else if self.each.is_some() {
            Some(self.texts(item).join(self.with.as_deref().unwrap_or(" ")))
        } else {
            self.at.as_ref().and_then(|p| text_at(item, p))
        };
        let found = found.filter(|t| !t.is_empty());
        match found {
            Some(t) if self.map.is_empty() => Some(t),
            Some(t) => self.map.get(&t).cloned().or_else(|| self.default.clone()),
            None => self.default.clone(),
        }
    }

    fn texts(&self, item: &Value) -> Vec<String> {
        let found: Vec<String> = match (&self.each, &self.at) {
            (Some(each), at) => {
                let at = at.as_deref().unwrap_or("");
                let elements = match item.pointer(each) {
                    Some(Value::Array(list)) => list.iter().collect(),
                    Some(one) => vec![one],
                    None => Vec::new(),
                };
                elements
                    .into_iter()
                    .filter_map(|e| text_at(e, at))
                    .collect()
            }
            (None, Some(at)) => item.pointer(at).map(list).unwrap_or_default(),
            (None, None) => self.value.iter().cloned().collect(),
        };
        let split: Vec<String> = match &self.split {
            Some(s) => found
                .iter()
                .flat_map(|t| t.split(s.as_str()))
                .map(|t| t.trim().to_owned())
                .collect(),
            None => found,
        };
        let mapped = split
            .into_iter()
            .map(|t| self.map.get(&t).cloned().unwrap_or(t));
        mapped.filter(|t| !t.is_empty()).collect()
    }
}

impl MediaRule {
    fn media(&self, item: &Value) -> Vec<RawMedia> {
        let elements = match item.pointer(&self.each) {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        let at = |e: &Value, p: &Option<String>| p.as_ref().and_then(|p| text_at(e, p));
        let media = elements.into_iter().filter_map(|e| {
            Some(RawMedia {
                url: text_at(e, &self.url)?,
                alt: at(e, &self.alt).unwrap_or_default(),
                kind: at(e, &self.kind),
            })
        });
        media.collect()
    }
}

/// The items of a document in the shape of the source's mapping, and the document itself for paging.
///
/// # Errors
/// [`IngestError::Malformed`] when it is not JSON or the items are not where the mapping says.
pub fn items(
    bytes: &[u8],
    source: &SourceConfig,
    now: Timestamp,
) -> IngestResult<(Vec<RawItem>, Value)> {
    let mapping = mapping(source)?;
    let bad = |reason: String| {
        IngestError::malformed(
            format!("document of source {}", source.slug),
            reason,
            "compare it with [source.mapping]",
        )
    };
    let document: Value = match mapping.format {
        Format::Json => {
            serde_json::from_slice(bytes).map_err(|e| bad(format!("is not JSON ({e})")))?
        }
        Format::Jsonl => {
            let values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
            Value::Array(
                values
                    .collect::<Result<_, _>>()
                    .map_err(|e| bad(format!("is not JSON ({e})")))?,
            )
        }
    };
    let list: Vec<&Value> = match document.pointer(&mapping.items) {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(map)) => map.values().collect(),
        _ => return Err(bad(format!("has no items at {:?}", mapping.items))),
    };
    let items = list
        .into_iter()
        .filter_map(|v| item(v, mapping, source, now))
        .collect();
    Ok((items, document))
}

/// One pushed item; `None` when the mapping finds no id in it.
///
/// # Errors
/// [`IngestError::Config`] when the source has no mapping.
pub fn pushed(v: &Value, source: &SourceConfig, now: Timestamp) -> IngestResult<Option<RawItem>> {
    Ok(item(v, mapping(source)?, source, now))
}

fn mapping(source: &SourceConfig) -> IngestResult<&Mapping> {
    let missing = || IngestError::config(format!("source {}", source.slug), "it has no mapping");
    source.mapping.as_ref().ok_or_else(missing)
}

fn item(v: &Value, m: &Mapping, source: &SourceConfig, now: Timestamp) -> Option<RawItem> {
    let text = |r: &Option<Rule>| r.as_ref().and_then(|r| r.text(v));
    let texts = |r: &Option<Rule>| r.as_ref().map(|r| r.texts(v)).unwrap_or_default();
    let time = |r: &Option<Rule>| r.as_ref().map_or(RawTime::Missing, |r| r.time(v));
    let media = |r: &Option<MediaRule>| r.as_ref().map(|r| r.media(v)).unwrap_or_default();
    Some(RawItem {
        version: CONTENT_VERSION,
        source: source.slug.clone(),
        source_cms: SourceCms::Custom,
        original_id: m.id.text(v)?,
        brand: source.brand.clone(),
        title: text(&m.title).unwrap_or_default(),
        body: text(&m.body).unwrap_or_default(),
        content: text(&m.content).unwrap_or_default(),
        summary: text(&m.summary).unwrap_or_default(),
        author: text(&m.author),
        published: time(&m.published),
        modified: time(&m.modified),
        embargo_until: time(&m.embargo_until),
        expires: time(&m.expires),
        categories: texts(&m.categories),
        tags: texts(&m.tags),
        cast: texts(&m.cast),
        images: media(&m.images),
        media: media(&m.media),
        url: text(&m.url).unwrap_or_default(),
        language: text(&m.language),
        // A state nobody mapped must not go live.
        status: match text(&m.status) {
            None => mediaflow_shared::content::Status::Published,
            Some(s) => word(&s).unwrap_or(mediaflow_shared::content::Status::Draft),
        },
        kind: text(&m.kind).and_then(|k| word(&k)).unwrap_or_default(),
        series: text(&m.series),
        ingested_at: now,
        takedown: false,
    })
}

/// Reads from the cursor on, page by page.
pub(crate) async fn poll(p: &Poller) -> IngestResult<Taken> {
    let mapping = mapping(&p.source)?;
    let mut cursor = p.cursor().await?;
    let base = p.source.url()?;
    let mut url = base.clone();
    if let (Some(rule), Some(token)) = (&mapping.cursor, &cursor.token) {
        url.query_pairs_mut().append_pair(&rule.param, token);
    }
    let mut taken = Taken::default();
    for _ in 0..PAGES_A_POLL {
        let answer = p
            .fetch
            .get(&url, "application/json", HeaderMap::new())
            .await?;
        let (items, document) = items(&answer.body, &p.source, p.intake.now())?;
        taken += p.intake.submit(items).await?;
        let token = mapping
            .cursor
            .as_ref()
            .and_then(|r| text_at(&document, &r.at));
        if token.is_some() && token != cursor.token {
            cursor.token = token;
            p.remember(&cursor).await?;
        }
        let next = mapping
            .next
            .as_ref()
            .and_then(|n| text_at(&document, n))
            .filter(|n| !n.is_empty());
        let Some(next) = next else { break };
        let next = base
            .join(&next)
            .ok()
            .filter(|n| n.origin() == base.origin() && *n != url);
        url = next.ok_or_else(|| {
            p.fetch.error(
                "its next page is the same page or on another host",
                "check mapping.next",
                None,
            )
        })?;
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
