//! Metarank's events: `item`, `user`, `ranking`, `interaction`; one object or an array. Source: Metarank's page
//! "Supported events".
//!
//! | Metarank | ours |
//! |---|---|
//! | `id` | `id`; the impressions of a ranking are `id/0`, `id/1`, … |
//! | `timestamp` (milliseconds, as number or text; RFC 3339) | `time` |
//! | `user` | the reader |
//! | `session` | `session` |
//! | `tenant` | `brand` |
//! | ranking: `items[].id` in order | one impression each: `content_id`, `slot`; `id` → `feed_id` |
//! | interaction: `type` | by name: see `kind` |
//! | interaction: `item`, `ranking` | `content_id`, `feed_id` |
//! | interaction: fields `dwell_s`, `rating`, `revenue`, `currency`, `position_s`, `duration_s` | the same |
//! | user: fields `age`, `age_group`, `country`, `subscription`, `language`, `joined` | identify with `traits` |
//! | item: fields `title`, `body`, `summary`, `url`, `author`, `category`, `tags`, `cast` or `actors`, `image`, `language`, `published` | an item of content |
//!
//! `relevancy` is not read: what was served, and why, is known from our own served records.

use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawMedia, RawTime, SourceCms};
use mediaflow_shared::event::EventType;
use serde_json::{Map, Value};

use super::field::Fields;
use super::kind::kind;
use super::{Context, Mapped};
use crate::collector::check::Refusal;
use crate::json::text_of;

/// Where reader ids are. `fields` of a user hold what the publisher chose to send to a ranking service.
pub(super) const PERSONAL: (&[&str], &[&str]) = (&["/user"], &[]);

pub(super) fn map(o: &Map<String, Value>, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let f = Fields::of(o);
    let missing =
        |name: &str| Refusal::new(format!("`{name}` is missing"), format!("add `{name}`"));
    let id = f.text(&["id"]).ok_or_else(|| missing("id"))?;
    let time = f
        .time(&["timestamp"])?
        .ok_or_else(|| missing("timestamp"))?;
    let named = named_fields(o);
    let extra = Fields::of(&named);
    let event = |id: String, kind| {
        let mut e = c.event(Some(id), kind, Some(time));
        if let Some(brand) = f.text(&["tenant"]) {
            e.data.brand = brand;
        }
        e.data.session = f.text(&["session"]);
        c.reader(&mut e, f.text(&["user"]));
        e
    };
    match f.text(&["event"]).as_deref() {
        Some("ranking") => {
            let items = o
                .get("items")
                .and_then(Value::as_array)
                .ok_or_else(|| missing("items"))?;
            let mut events = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                let raw = item
                    .get("id")
                    .and_then(text_of)
                    .ok_or_else(|| missing("items.id"))?;
                let mut e = event(format!("{id}/{i}"), EventType::Impression);
                e.data.content_id = Some(c.sender.content_id(&raw));
                e.data.slot = u16::try_from(i).ok();
                e.data.feed_id = Some(id.clone());
                events.push(e);
            }
            Ok(events.into())
        }
        Some("interaction") => {
            let name = f.text(&["type"]).ok_or_else(|| missing("type"))?;
            let raw = f.text(&["item"]).ok_or_else(|| missing("item"))?;
            let Some(kind) = kind(&name, c)? else {
                return Ok(Mapped::nothing());
            };
            let mut e = event(id, kind);
            e.data.content_id = Some(c.sender.content_id(&raw));
            e.data.feed_id = f.text(&["ranking"]);
            e.data.dwell_s = extra.number(&["dwell_s"])?;
            e.data.position_s = extra.number(&["position_s"])?;
            e.data.duration_s = extra.number(&["duration_s"])?;
            e.data.rating = extra.number(&["rating"])?;
            e.data.revenue_micros = extra.micros(&["revenue"])?;
            e.data.currency = extra.text(&["currency"]);
            Ok(Mapped::one(e))
        }
        Some("user") => {
            f.text(&["user"]).ok_or_else(|| missing("user"))?;
            let mut e = event(id, EventType::Identify);
            e.data.traits = Some(extra.traits()?);
            Ok(Mapped::one(e))
        }
        Some("item") => {
            let raw = f.text(&["item"]).ok_or_else(|| missing("item"))?;
            Ok(Mapped {
                events: Vec::new(),
                item: Some(Box::new(item(raw, f, extra, &named, c))),
            })
        }
        _ => Err(Refusal::new(
            "`event` is none of Metarank's events",
            "send item, user, ranking or interaction",
        )),
    }
}

/// Milliseconds, so that whatever unit came reads the same later.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds stay exact for 285,000 years"
)]
fn stamp(f: Fields<'_>) -> RawTime {
    match f.time(&["timestamp"]) {
        Ok(Some(t)) => RawTime::Number(t.0 as f64),
        _ => RawTime::Missing,
    }
}

/// Of a user's fields only coarse traits are kept in a dead letter.
pub(super) fn drop_fields(v: &mut Value, coarse: &[&str]) {
    if v.get("event").and_then(Value::as_str) != Some("user") {
        return;
    }
    if let Some(Value::Array(fields)) = v.get_mut("fields") {
        fields.retain(|p| {
            p.get("name")
                .and_then(Value::as_str)
                .is_some_and(|n| coarse.contains(&n))
        });
    }
}

/// `[{"name": …, "value": …}]` as an object.
fn named_fields(o: &Map<String, Value>) -> Map<String, Value> {
    let pairs = o
        .get("fields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let pair = |p: &Value| Some((p.get("name")?.as_str()?.to_owned(), p.get("value")?.clone()));
    pairs.filter_map(pair).collect()
}

fn item(
    raw: String,
    f: Fields<'_>,
    extra: Fields<'_>,
    named: &Map<String, Value>,
    c: &Context<'_>,
) -> RawItem {
    let many = |names: [&str; 2]| -> Vec<String> {
        names
            .iter()
            .filter_map(|n| named.get(*n))
            .flat_map(|v| match v {
                Value::Array(all) => all.iter().filter_map(text_of).collect(),
                one => text_of(one).into_iter().collect::<Vec<_>>(),
            })
            .collect()
    };
    let text = |names: &[&'static str]| extra.text(names).unwrap_or_default();
    let time = |names: &[&'static str]| extra.text(names).map_or(RawTime::Missing, RawTime::Text);
    let image = text(&["image", "image_url"]);
    RawItem {
        version: CONTENT_VERSION,
        source: c.sender.content_source.clone(),
        source_cms: SourceCms::Custom,
        original_id: raw,
        brand: f
            .text(&["tenant"])
            .unwrap_or_else(|| c.sender.brand.clone()),
        title: text(&["title", "name"]),
        body: text(&["body", "text", "content"]),
        summary: text(&["summary", "description"]),
        author: extra.text(&["author"]),
        published: time(&["published", "published_at"]),
        modified: stamp(f),
        categories: many(["category", "categories"]),
        tags: many(["tags", "tag"]),
        cast: many(["cast", "actors"]),
        images: if image.is_empty() {
            Vec::new()
        } else {
            vec![RawMedia {
                url: image,
                ..RawMedia::default()
            }]
        },
        url: text(&["url", "link"]),
        language: extra.text(&["language"]),
        ingested_at: c.received,
        ..RawItem::default()
    }
}
