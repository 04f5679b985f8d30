//! One post of the REST API (`wp/v2/posts`), as polled with `_embed` or pushed by a webhook.

use mediaflow_shared::content::{
    CONTENT_VERSION, Kind, RawItem, RawMedia, RawTime, SourceCms, Status,
};
use mediaflow_shared::time::Timestamp;
use serde_json::Value;

use crate::json::{rendered, text_at};
use crate::source::SourceConfig;

/// The deliveries of a saved answer of the REST API: a list of posts, or one.
///
/// # Errors
/// The decoder's, when it is not JSON.
pub fn items(
    bytes: &[u8],
    source: &SourceConfig,
    now: Timestamp,
) -> Result<Vec<RawItem>, serde_json::Error> {
    let posts = match serde_json::from_slice(bytes)? {
        Value::Array(posts) => posts,
        one => vec![one],
    };
    Ok(posts.iter().filter_map(|p| item(p, source, now)).collect())
}

/// The item of a post; `None` for what has no id, or is no post (a page, an attachment).
#[must_use]
pub fn item(post: &Value, source: &SourceConfig, now: Timestamp) -> Option<RawItem> {
    let original_id = text_at(post, "/id").filter(|id| !id.is_empty())?;
    let kind = text_at(post, "/type");
    if kind
        .as_deref()
        .is_some_and(|t| matches!(t, "attachment" | "revision" | "page" | "nav_menu_item"))
    {
        return None;
    }
    let status = text_at(post, "/status").unwrap_or_default();
    let published = time(post, "date");
    let protected = post.pointer("/content/protected").and_then(Value::as_bool) == Some(true);
    let Terms {
        categories,
        tags,
        cast,
    } = Terms::of(post);
    Some(RawItem {
        version: CONTENT_VERSION,
        source: source.slug.clone(),
        source_cms: SourceCms::Wordpress,
        original_id,
        brand: source.brand.clone(),
        title: rendered(post, "title"),
        body: rendered(post, "content"),
        summary: rendered(post, "excerpt"),
        author: author(post),
        embargo_until: if status == "future" {
            published.clone()
        } else {
            RawTime::Missing
        },
        published,
        modified: time(post, "modified"),
        categories,
        tags,
        cast,
        images: images(post),
        url: text_at(post, "/link").unwrap_or_default(),
        language: text_at(post, "/lang"),
        status: if protected {
            Status::Unpublished
        } else {
            status_of(&status)
        },
        kind: kind_of(&text_at(post, "/format").unwrap_or_default()),
        ingested_at: now,
        ..RawItem::default()
    })
}

/// A post's state. One behind a password is nobody's front page; neither is a private one.
pub(crate) fn status_of(status: &str) -> Status {
    match status {
        // `future` is live once its date has come: the embargo says so.
        "" | "publish" | "future" => Status::Published,
        "trash" | "private" | "deleted" => Status::Unpublished,
        _ => Status::Draft,
    }
}

pub(crate) fn kind_of(format: &str) -> Kind {
    match format {
        "video" => Kind::Video,
        "audio" => Kind::Audio,
        "gallery" => Kind::Gallery,
        _ => Kind::Article,
    }
}

/// GMT where given; the site's local time, which has no offset, is better than nothing.
fn time(post: &Value, name: &str) -> RawTime {
    let gmt = text_at(post, &format!("/{name}_gmt")).filter(|t| !t.starts_with("0000"));
    let local = || text_at(post, &format!("/{name}")).filter(|t| !t.starts_with("0000"));
    gmt.or_else(local).map_or(RawTime::Missing, RawTime::Text)
}

/// The name, embedded or pushed; a bare number says nothing to a reader.
fn author(post: &Value) -> Option<String> {
    text_at(post, "/_embedded/author/0/name")
        .or_else(|| text_at(post, "/author_name"))
        .or_else(|| {
            post.get("author")
                .and_then(Value::as_str)
                .map(str::to_owned)
        })
        .filter(|a| !a.is_empty())
}

/// Taxonomies whose terms are people in the item: WordPress has none of its own, sites register one.
pub(super) const CAST: [&str; 4] = ["cast", "actor", "actors", "people"];

#[derive(Default)]
struct Terms {
    categories: Vec<String>,
    tags: Vec<String>,
    cast: Vec<String>,
}

impl Terms {
    fn of(post: &Value) -> Self {
        let mut out = Self::default();
        let groups = post.pointer("/_embedded/wp:term").and_then(Value::as_array);
        for term in groups
            .into_iter()
            .flatten()
            .filter_map(Value::as_array)
            .flatten()
        {
            let Some(name) = text_at(term, "/name") else {
                continue;
            };
            match text_at(term, "/taxonomy").as_deref() {
                Some("category") if name != "Uncategorized" => out.categories.push(name),
                Some("post_tag") => out.tags.push(name),
                Some(taxonomy) if CAST.contains(&taxonomy) => out.cast.push(name),
                _ => {}
            }
        }
        // A webhook may send names in place of ids.
        for (field, out) in [
            ("categories", &mut out.categories),
            ("tags", &mut out.tags),
            ("cast", &mut out.cast),
        ] {
            let list = post
                .get(field)
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            out.extend(list.filter_map(|v| {
                v.as_str()
                    .map(str::to_owned)
                    .or_else(|| text_at(v, "/name"))
            }));
        }
        out
    }
}

fn images(post: &Value) -> Vec<RawMedia> {
    let media = post
        .pointer("/_embedded/wp:featuredmedia")
        .and_then(Value::as_array);
    let embedded = media.into_iter().flatten().filter_map(|m| {
        Some(RawMedia {
            kind: text_at(m, "/media_type"),
            url: text_at(m, "/source_url")?,
            alt: text_at(m, "/alt_text").unwrap_or_default(),
        })
    });
    let pushed = text_at(post, "/featured_image_url")
        .into_iter()
        .map(|url| RawMedia {
            url,
            ..RawMedia::default()
        });
    embedded.chain(pushed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::source;
    use serde_json::json;

    #[test]
    fn an_embedded_post_is_read_whole() {
        let post = json!({
            "id": 42, "type": "post", "status": "publish", "format": "video",
            "date_gmt": "2026-11-20T10:00:00", "modified_gmt": "2026-11-21T07:00:00",
            "link": "https://daily.example/42", "title": {"rendered": "A &amp; B"},
            "content": {"rendered": "<p>x</p>", "protected": false},
            "excerpt": {"rendered": "<p>e</p>"}, "author": 3, "categories": [7], "tags": [],
            "_embedded": {
                "author": [{"name": "Ada"}],
                "wp:term": [[{"taxonomy": "category", "name": "Tech"}], [{"taxonomy": "post_tag", "name": "AI"}], [{"taxonomy": "cast", "name": "Ann Actor"}]],
                "wp:featuredmedia": [{"media_type": "image", "source_url": "https://d/i.jpg", "alt_text": "i"}]
            }
        });
        let i = item(&post, &source("wordpress"), Timestamp(1)).unwrap();
        assert_eq!(i.cast, ["Ann Actor"]);
        assert_eq!(
            (i.original_id.as_str(), i.title.as_str(), i.body.as_str()),
            ("42", "A &amp; B", "<p>x</p>")
        );
        assert_eq!(
            (i.author.as_deref(), i.kind, i.status),
            (Some("Ada"), Kind::Video, Status::Published)
        );
        assert_eq!(
            (i.categories, i.tags),
            (vec!["Tech".to_owned()], vec!["AI".to_owned()])
        );
        assert_eq!(i.images[0].url, "https://d/i.jpg");
        assert_eq!(i.modified, RawTime::Text("2026-11-21T07:00:00".into()));
    }

    #[test]
    fn states_are_kept_apart() {
        let status = |s: &str| {
            let post = json!({"id": 1, "status": s, "date_gmt": "2027-01-01T00:00:00"});
            item(&post, &source("wordpress"), Timestamp(1)).unwrap()
        };
        assert_eq!(status("draft").status, Status::Draft);
        assert_eq!(status("trash").status, Status::Unpublished);
        assert_eq!(status("private").status, Status::Unpublished);
        assert_eq!(status("publish").embargo_until, RawTime::Missing);
        assert_ne!(status("future").embargo_until, RawTime::Missing);
        let locked = json!({"id": 1, "content": {"rendered": "", "protected": true}});
        assert_eq!(
            item(&locked, &source("wordpress"), Timestamp(1))
                .unwrap()
                .status,
            Status::Unpublished
        );
        assert!(
            item(
                &json!({"title": "no id"}),
                &source("wordpress"),
                Timestamp(1)
            )
            .is_none()
        );
    }
}
