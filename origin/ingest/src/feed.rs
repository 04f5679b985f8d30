//! RSS, Atom and JSON Feed, parsed by `feed-rs`; what it does not read is put right before
//! ([`prepare`]): encodings by byte order mark, XML declaration or HTTP header, and RSS versions it
//! does not know.

mod older;
pub mod prepare;

use feed_rs::model::{Entry, Feed, Link, Text};
use mediaflow_shared::content::{CONTENT_VERSION, Kind, RawItem, RawMedia, RawTime, SourceCms};
use mediaflow_shared::time::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE};
use reqwest::header::{IF_NONE_MATCH, LAST_MODIFIED};
use sha2::{Digest, Sha256};

use crate::error::{IngestError, IngestResult};
use crate::intake::Taken;
use crate::poll::{Cursor, Poller};
use crate::source::SourceConfig;

/// Asks for the document if it changed. Feeds have no cursor: what was seen before makes no record.
pub(crate) async fn poll(p: &Poller) -> IngestResult<Taken> {
    let cursor = p.cursor().await?;
    let mut validators = HeaderMap::new();
    condition(&mut validators, IF_NONE_MATCH, cursor.etag.as_deref());
    condition(
        &mut validators,
        IF_MODIFIED_SINCE,
        cursor.last_modified.as_deref(),
    );
    let url = p.source.url()?;
    let accept = "application/atom+xml, application/rss+xml, application/feed+json, application/xml;q=0.8, */*;q=0.5";
    let answer = p.fetch.get(&url, accept, validators).await?;
    if answer.status == StatusCode::NOT_MODIFIED {
        return Ok(Taken::default());
    }
    let kind = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    let items = items(
        &answer.body,
        kind,
        Some(url.as_str()),
        &p.source,
        p.intake.now(),
    )?;
    let taken = p.intake.submit(items).await?;
    let of = |name| {
        answer
            .headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    let next = Cursor {
        etag: of(ETAG),
        last_modified: of(LAST_MODIFIED),
        ..cursor.clone()
    };
    if next != cursor {
        p.remember(&next).await?;
    }
    Ok(taken)
}

fn condition(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|v| HeaderValue::from_str(v).ok()) {
        headers.insert(name, value);
    }
}

/// Parses a feed document. `content_type` is that of the HTTP answer, `base` resolves relative URLs.
///
/// # Errors
/// [`IngestError::Malformed`] when it is no feed.
pub fn parse(bytes: &[u8], content_type: Option<&str>, base: Option<&str>) -> IngestResult<Feed> {
    let text = prepare::to_utf8(bytes, content_type);
    let text = prepare::for_parser(&text);
    let parser = feed_rs::parser::Builder::new()
        .base_uri(base)
        .sanitize_content(false)
        // Ours must be the same tomorrow: a random id would double every item at the next poll.
        .id_generator(|links, title, _| stable_id(links, title.as_ref()))
        .build();
    parser.parse(text.as_bytes()).map_err(|e| {
        IngestError::malformed(
            "feed",
            e,
            "check that the address leads to RSS, Atom or JSON Feed",
        )
    })
}

/// The items of a feed document.
///
/// # Errors
/// As [`parse`].
pub fn items(
    bytes: &[u8],
    content_type: Option<&str>,
    base: Option<&str>,
    source: &SourceConfig,
    now: Timestamp,
) -> IngestResult<Vec<RawItem>> {
    let feed = parse(bytes, content_type, base)?;
    let language = feed.language.clone();
    Ok(feed
        .entries
        .into_iter()
        .filter_map(|e| item(e, language.as_deref(), source, now))
        .collect())
}

fn item(
    e: Entry,
    language: Option<&str>,
    source: &SourceConfig,
    now: Timestamp,
) -> Option<RawItem> {
    if e.id.is_empty() {
        return None;
    }
    // A guid often is the address; one that is not, is no URL.
    let permalink = || e.id.starts_with("http").then(|| e.id.clone());
    let url = link(&e)
        .map(|l| l.href.clone())
        .or_else(permalink)
        .unwrap_or_default();
    let media = media(&e);
    let kind = match media.iter().find_map(|m| m.kind.as_deref()) {
        Some(k) if k.starts_with("video") => Kind::Video,
        Some(k) if k.starts_with("audio") => Kind::Audio,
        _ => Kind::Article,
    };
    let body = e
        .content
        .as_ref()
        .and_then(|c| c.body.clone())
        .unwrap_or_default();
    let summary = text(e.summary.as_ref());
    let term = |c: &feed_rs::model::Category| {
        c.label
            .clone()
            .filter(|l| !l.is_empty())
            .unwrap_or_else(|| c.term.clone())
    };
    Some(RawItem {
        version: CONTENT_VERSION,
        source: source.slug.clone(),
        source_cms: SourceCms::Feed,
        brand: source.brand.clone(),
        title: text(e.title.as_ref()),
        // Many feeds have the whole text in the description.
        content: if body.is_empty() {
            summary.clone()
        } else {
            String::new()
        },
        body,
        summary,
        author: e
            .authors
            .iter()
            .find_map(|a| a.name.clone().or_else(|| a.email.clone())),
        published: time(e.published),
        modified: time(e.updated),
        categories: e.categories.iter().map(term).collect(),
        media,
        url,
        language: e.language.clone().or_else(|| language.map(str::to_owned)),
        kind,
        ingested_at: now,
        original_id: e.id,
        ..RawItem::default()
    })
}

fn text(t: Option<&Text>) -> String {
    t.map(|t| t.content.clone()).unwrap_or_default()
}

/// `feed-rs` speaks chrono; only the milliseconds are wanted.
fn time(t: Option<chrono::DateTime<chrono::Utc>>) -> RawTime {
    t.map_or(RawTime::Missing, |t| {
        RawTime::Number(t.timestamp_millis() as f64)
    })
}

/// The page of an entry: its `alternate` link, else the first that is no enclosure or comment.
fn link(e: &Entry) -> Option<&Link> {
    let rel = |l: &Link| l.rel.clone().unwrap_or_else(|| "alternate".to_owned());
    let own = || e.links.iter().filter(|l| l.target.is_none());
    own().find(|l| rel(l) == "alternate").or_else(|| {
        own().find(|l| !matches!(rel(l).as_str(), "enclosure" | "self" | "replies" | "edit"))
    })
}

fn media(e: &Entry) -> Vec<RawMedia> {
    let mut out = Vec::new();
    for object in &e.media {
        let alt = object.title.as_ref().or(object.description.as_ref());
        let alt = text(alt);
        for c in &object.content {
            let Some(url) = &c.url else { continue };
            let kind = c.content_type.as_ref().map(ToString::to_string);
            out.push(RawMedia {
                kind,
                url: url.to_string(),
                alt: alt.clone(),
            });
        }
        for t in &object.thumbnails {
            out.push(RawMedia {
                kind: None,
                url: t.image.uri.clone(),
                alt: alt.clone(),
            });
        }
    }
    let enclosures = e
        .links
        .iter()
        .filter(|l| l.rel.as_deref() == Some("enclosure"));
    out.extend(enclosures.map(|l| RawMedia {
        kind: l.media_type.clone(),
        url: l.href.clone(),
        alt: l.title.clone().unwrap_or_default(),
    }));
    out
}

/// An id for an entry without one: the same link and title give the same id.
fn stable_id(links: &[Link], title: Option<&Text>) -> String {
    let mut h = Sha256::new();
    h.update(links.first().map_or("", |l| l.href.as_str()));
    h.update([0]);
    h.update(title.map_or("", |t| t.content.as_str()));
    h.finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect()
}
