//! Nodes of Drupal's JSON:API with what they include: authors, terms, media and files.

use mediaflow_shared::content::{
    CONTENT_VERSION, Kind, RawItem, RawMedia, RawTime, SourceCms, Status,
};
use mediaflow_shared::time::Timestamp;
use serde_json::Value;
use std::collections::HashMap;
use url::Url;

use crate::json::{text_at, text_of};
use crate::source::SourceConfig;

/// How far a media reference is followed: node → media → file.
const REFERENCE_DEPTH: usize = 3;

type Included<'a> = HashMap<(&'a str, &'a str), &'a Value>;

/// The items of a JSON:API document, whose `data` is a list of nodes or one node.
#[must_use]
pub fn items(page: &Value, source: &SourceConfig, base: &Url, now: Timestamp) -> Vec<RawItem> {
    let included = page
        .get("included")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let included: Included<'_> = included.filter_map(|r| Some((key(r)?, r))).collect();
    let nodes = match page.get("data") {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        _ => &[],
    };
    nodes
        .iter()
        .filter_map(|n| item(n, &included, source, base, now))
        .collect()
}

/// Seconds since the epoch of a node's last change.
pub(super) fn changed_s(node: &Value) -> Option<i64> {
    match node.pointer("/attributes/changed")? {
        Value::String(s) => Timestamp::parse(s).ok().map(|t| t.0.div_euclid(1_000)),
        Value::Number(n) => n.as_i64(),
        _ => None,
    }
}

fn key(resource: &Value) -> Option<(&str, &str)> {
    Some((
        resource.get("type")?.as_str()?,
        resource.get("id")?.as_str()?,
    ))
}

fn item(
    node: &Value,
    included: &Included<'_>,
    source: &SourceConfig,
    base: &Url,
    now: Timestamp,
) -> Option<RawItem> {
    let original_id = text_at(node, "/id")?;
    let node_type = text_at(node, "/type").unwrap_or_default();
    let bundle = node_type.rsplit("--").next().unwrap_or("").to_owned();
    let related = Related::of(node, included, base);
    let live = node.pointer("/attributes/status").and_then(Value::as_bool) != Some(false);
    let alias = text_at(node, "/attributes/path/alias").or_else(|| {
        text_at(node, "/attributes/drupal_internal__nid").map(|n| format!("/node/{n}"))
    });
    Some(RawItem {
        version: CONTENT_VERSION,
        source: source.slug.clone(),
        source_cms: SourceCms::Drupal,
        original_id,
        brand: source.brand.clone(),
        title: text_at(node, "/attributes/title").unwrap_or_default(),
        body: body(node),
        summary: first(
            node,
            &["/attributes/body/summary", "/attributes/field_summary"],
        ),
        author: related.author,
        published: time(node, "/attributes/created"),
        modified: time(node, "/attributes/changed"),
        embargo_until: time(node, "/attributes/publish_on"),
        expires: time(node, "/attributes/unpublish_on"),
        categories: related.categories,
        tags: related.tags,
        cast: related.cast,
        images: related.images,
        url: alias
            .and_then(|a| base.join(&a).ok())
            .map_or_else(String::new, String::from),
        language: text_at(node, "/attributes/langcode"),
        // A node that was never live is a draft; one with a change after its creation may have been.
        status: if live {
            Status::Published
        } else {
            Status::Unpublished
        },
        kind: kind(&bundle),
        ingested_at: now,
        ..RawItem::default()
    })
}

pub(super) fn kind(bundle: &str) -> Kind {
    match bundle {
        "recipe" => Kind::Recipe,
        "video" => Kind::Video,
        "audio" | "podcast" => Kind::Audio,
        "gallery" => Kind::Gallery,
        _ => Kind::Article,
    }
}

/// The body, and what a recipe says besides it. `processed` is what the site would show.
fn body(node: &Value) -> String {
    let mut out = String::new();
    for field in ["body", "field_body", "field_recipe_instruction"] {
        let at = |part: &str| text_at(node, &format!("/attributes/{field}{part}"));
        if let Some(text) = at("/processed").or_else(|| at("/value")).or_else(|| at("")) {
            out.push_str(&text);
        }
    }
    if let Some(Value::Array(list)) = node.pointer("/attributes/field_ingredients") {
        let rows = list
            .iter()
            .filter_map(text_of)
            .map(|i| format!("<li>{i}</li>"));
        out.push_str(&format!("<ul>{}</ul>", rows.collect::<String>()));
    }
    out
}

/// Text fields come as text or as `{value, processed}`.
fn first(node: &Value, pointers: &[&str]) -> String {
    let found = pointers.iter().find_map(|p| {
        text_at(node, p)
            .or_else(|| text_at(node, &format!("{p}/processed")))
            .or_else(|| text_at(node, &format!("{p}/value")))
            .filter(|t| !t.is_empty())
    });
    found.unwrap_or_default()
}

fn time(node: &Value, pointer: &str) -> RawTime {
    match node.pointer(pointer) {
        Some(Value::String(s)) => RawTime::Text(s.clone()),
        Some(Value::Number(n)) => n.as_f64().map_or(RawTime::Missing, RawTime::Number),
        _ => RawTime::Missing,
    }
}

/// Fields whose terms or nodes are people in the item: what sites call them, there is no field of Drupal's own.
const CAST: [&str; 4] = ["field_cast", "field_actors", "field_actor", "field_people"];

/// What a node's relationships lead to.
#[derive(Default)]
struct Related {
    cast: Vec<String>,
    author: Option<String>,
    categories: Vec<String>,
    tags: Vec<String>,
    images: Vec<RawMedia>,
}

impl Related {
    fn of(node: &Value, included: &Included<'_>, base: &Url) -> Self {
        let mut out = Self::default();
        for (name, reference) in references(node) {
            let Some(resource) = resolve(reference, included) else {
                continue;
            };
            if CAST.contains(&name) {
                let person = text_at(resource, "/attributes/name");
                let person = person.or_else(|| text_at(resource, "/attributes/title"));
                out.cast.extend(person);
                continue;
            }
            let kind = text_at(resource, "/type").unwrap_or_default();
            match kind.split("--").next().unwrap_or("") {
                "user" if name == "uid" => {
                    out.author = text_at(resource, "/attributes/display_name")
                        .or_else(|| text_at(resource, "/attributes/name"));
                }
                "taxonomy_term" => {
                    let Some(term) = text_at(resource, "/attributes/name") else {
                        continue;
                    };
                    if kind.ends_with("--tags") {
                        &mut out.tags
                    } else {
                        &mut out.categories
                    }
                    .push(term);
                }
                "media" | "file" => out.images.extend(file(reference, included, base, 0)),
                _ => {}
            }
        }
        out
    }
}

/// The (field, resource identifier) pairs of a resource, in order.
fn references(resource: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let map = resource
        .get("relationships")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    map.flat_map(|(name, r)| {
        let list: Vec<&Value> = match r.get("data") {
            Some(Value::Array(list)) => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => Vec::new(),
        };
        list.into_iter().map(move |id| (name.as_str(), id))
    })
}

fn resolve<'a>(reference: &Value, included: &Included<'a>) -> Option<&'a Value> {
    let (kind, id) = key(reference)?;
    included.get(&(kind, id)).copied()
}

/// The file behind a media or file reference. The alternative text stands on the reference.
fn file(reference: &Value, included: &Included<'_>, base: &Url, depth: usize) -> Option<RawMedia> {
    let resource = resolve(reference, included)?;
    let url =
        text_at(resource, "/attributes/uri/url").or_else(|| text_at(resource, "/attributes/url"));
    if let Some(url) = url {
        return Some(RawMedia {
            kind: text_at(resource, "/attributes/filemime"),
            url: base.join(&url).ok()?.into(),
            alt: text_at(reference, "/meta/alt").unwrap_or_default(),
        });
    }
    if depth >= REFERENCE_DEPTH {
        return None;
    }
    references(resource)
        .filter(|(name, _)| *name != "thumbnail")
        .find_map(|(_, inner)| file(inner, included, base, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::source;
    use serde_json::json;

    fn page() -> Value {
        json!({
            "data": [{
                "type": "node--recipe", "id": "n1",
                "attributes": {
                    "title": "Soup", "status": true, "langcode": "en", "created": "2026-11-20T10:00:00+00:00",
                    "changed": "2026-11-21T07:00:00+00:00", "path": {"alias": "/recipes/soup"},
                    "field_summary": {"value": "s", "processed": "<p>s</p>"},
                    "field_recipe_instruction": {"processed": "<ol><li>stir</li></ol>"},
                    "field_ingredients": ["water", "salt"]
                },
                "relationships": {
                    "uid": {"data": {"type": "user--user", "id": "u1"}},
                    "field_tags": {"data": [{"type": "taxonomy_term--tags", "id": "t1"}]},
                    "field_recipe_category": {"data": [{"type": "taxonomy_term--recipe_category", "id": "c1"}]},
                    "field_cast": {"data": [{"type": "taxonomy_term--people", "id": "p1"}, {"type": "node--person", "id": "p2"}]},
                    "field_media_image": {"data": {"type": "media--image", "id": "m1"}}
                }
            }],
            "included": [
                {"type": "user--user", "id": "u1", "attributes": {"display_name": "Ada"}},
                {"type": "taxonomy_term--tags", "id": "t1", "attributes": {"name": "Vegan"}},
                {"type": "taxonomy_term--recipe_category", "id": "c1", "attributes": {"name": "Starters"}},
                {"type": "taxonomy_term--people", "id": "p1", "attributes": {"name": "Julia Cook"}},
                {"type": "node--person", "id": "p2", "attributes": {"title": "Jacques Chef"}},
                {"type": "media--image", "id": "m1", "relationships": {
                    "field_media_image": {"data": {"type": "file--file", "id": "f1", "meta": {"alt": "A soup"}}},
                    "thumbnail": {"data": {"type": "file--file", "id": "f2"}}}},
                {"type": "file--file", "id": "f1", "attributes": {"filemime": "image/jpeg", "uri": {"url": "/sites/soup.jpg"}}}
            ]
        })
    }

    #[test]
    fn a_node_is_read_with_what_it_includes() {
        let base = Url::parse("https://umami.example/").unwrap();
        let got = items(&page(), &source("drupal"), &base, Timestamp(1));
        let i = &got[0];
        assert_eq!((i.original_id.as_str(), i.kind), ("n1", Kind::Recipe));
        assert_eq!(
            (i.author.as_deref(), &i.tags[..], &i.categories[..]),
            (
                Some("Ada"),
                &["Vegan".to_owned()][..],
                &["Starters".to_owned()][..]
            )
        );
        assert_eq!(i.cast, ["Julia Cook", "Jacques Chef"]);
        assert_eq!(
            (i.images[0].url.as_str(), i.images[0].alt.as_str()),
            ("https://umami.example/sites/soup.jpg", "A soup")
        );
        assert_eq!(i.url, "https://umami.example/recipes/soup");
        assert!(
            i.body.contains("stir") && i.body.contains("salt"),
            "{}",
            i.body
        );
        assert_eq!(changed_s(&page()["data"][0]), Some(1_795_244_400));
    }

    #[test]
    fn an_unpublished_node_is_withdrawn_and_garbage_is_nothing() {
        let base = Url::parse("https://umami.example/").unwrap();
        let mut p = page();
        p["data"][0]["attributes"]["status"] = json!(false);
        assert_eq!(
            items(&p, &source("drupal"), &base, Timestamp(1))[0].status,
            Status::Unpublished
        );
        for v in [json!(null), json!({"data": 7}), json!({"data": [1, {}]})] {
            assert!(items(&v, &source("drupal"), &base, Timestamp(1)).is_empty());
        }
    }
}
