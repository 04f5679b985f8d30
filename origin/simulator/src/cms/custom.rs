//! Three house formats, each awkward in its own way, as grown systems are.
//!
//! - [`nested`] (`/api/v2/stories`): JSON, the facts two and three levels down, a cursor for the next page.
//! - [`lines`] (`/export.ndjson`): one JSON object a line, oldest change first, a watermark to go on from.
//! - [`epoch`] (`/feed.json`): flat JSON with short names, times in epoch seconds, lists as joined text.

use super::{Params, Reply, Shelf, atom};
use crate::limits::CUSTOM_PAGE_MAX;
use crate::world::{Item, State};
use mediaflow_shared::content::Kind;
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};

fn refuse(name: &str, value: &str) -> Reply {
    Reply::json(
        400,
        "application/json",
        &json!({"error": format!("{name}: {value:?} is not understood")}),
    )
}

/// Everything changed at or after `since`, oldest change first.
fn changed<'a>(shelf: &Shelf<'a>, since: Option<Timestamp>) -> Vec<(&'a Item, State)> {
    let from = since.unwrap_or_default();
    let mut all: Vec<_> = shelf
        .items
        .iter()
        .filter(|(_, s)| s.modified >= from)
        .copied()
        .collect();
    all.sort_by_key(|(i, s)| (s.modified, i.number));
    all
}

fn limit(params: &Params) -> Result<usize, Reply> {
    let n = params
        .number("limit", CUSTOM_PAGE_MAX)
        .map_err(|v| refuse("limit", &v))?;
    Ok(n.clamp(1, CUSTOM_PAGE_MAX))
}

fn time(params: &Params, name: &str) -> Result<Option<Timestamp>, Reply> {
    let read = |v: &str| match v.parse::<f64>() {
        Ok(n) if n.abs() > 1e11 => Ok(Timestamp(n as i64)),
        Ok(n) => Ok(Timestamp((n * 1000.0) as i64)),
        Err(_) => Timestamp::parse(v).map_err(|_| refuse(name, v)),
    };
    params.one(name).map(read).transpose()
}

/// Answers `GET …/api/v2/stories?since=<epoch ms>&cursor=&limit=`.
#[must_use]
pub fn nested(shelf: &Shelf<'_>, params: &Params) -> Reply {
    let answer = || -> Result<Reply, Reply> {
        let (all, limit) = (changed(shelf, time(params, "since")?), limit(params)?);
        let at = params
            .number("cursor", 0)
            .map_err(|v| refuse("cursor", &v))?;
        let next = (at + limit < all.len()).then(|| (at + limit).to_string());
        let query = params
            .one("since")
            .map(|s| format!("&since={s}"))
            .unwrap_or_default();
        let more = next.as_ref().map(|n| {
            format!(
                "{}/api/v2/stories?cursor={n}&limit={limit}{query}",
                shelf.base
            )
        });
        // Where to go on from next time: the last change on this page, which is asked for again.
        let newest = all
            .iter()
            .skip(at)
            .take(limit)
            .next_back()
            .map(|(_, s)| s.modified.0.to_string())
            .or_else(|| params.one("since").map(str::to_owned));
        let stories: Vec<Value> = all
            .iter()
            .skip(at)
            .take(limit)
            .map(|(i, s)| nested_story(i, *s, shelf.root))
            .collect();
        let body = json!({"result": {
            "meta": {"total": all.len(), "nextCursor": next, "next": more, "newest": newest}, "stories": stories}});
        Ok(Reply::json(200, "application/json", &body))
    };
    answer().unwrap_or_else(|r| r)
}

fn nested_story(item: &Item, state: State, root: &str) -> Value {
    json!({
        "key": item.original_id(),
        "state": if state.live { "LIVE" } else { "PULLED" },
        "kind": match item.kind { Kind::Video => "clip", Kind::Gallery => "gallery", _ => "story" },
        "permalink": item.link(root),
        "lang": item.story.language.code(),
        "attributes": {
            "headline": {"text": item.title},
            "standfirst": {"text": item.story.summary()},
            "copy": {"html": item.story.body_html(state.revision)},
            "byline": item.author_name().map(|n| json!([{"displayName": n}])).unwrap_or_else(|| json!([])),
            "sections": item.categories().iter().map(|c| json!({"code": c})).collect::<Vec<_>>(),
            "keywords": item.story.tags().iter().map(|t| json!({"label": t})).collect::<Vec<_>>(),
            "visuals": [{"role": "lead", "asset": {"href": item.image_url(root), "alternative": item.title}}],
            "strand": item.series_name().map(|s| json!({"title": s})),
        },
        "timing": {
            "firstLiveAt": item.published.to_string(),
            "revisedAt": state.modified.to_string(),
            "heldUntil": item.embargo_until.map(|t| t.to_string()),
        }
    })
}

/// Answers `GET …/export.ndjson?after=<RFC 3339>&limit=`. The header `x-watermark` is the `after` of the next page.
#[must_use]
pub fn lines(shelf: &Shelf<'_>, params: &Params) -> Reply {
    let answer = || -> Result<Reply, Reply> {
        let all = changed(shelf, time(params, "after")?);
        // An export is whole unless a page of it is asked for.
        let limit = if params.one("limit").is_some() {
            limit(params)?
        } else {
            all.len()
        };
        let mut end = limit.min(all.len());
        // A page never ends between items of the same instant, or the watermark would skip the rest.
        while end > 0 && end < all.len() && all[end].1.modified == all[end - 1].1.modified {
            end += 1;
        }
        let body: String = all[..end]
            .iter()
            .map(|(i, s)| format!("{}\n", line(i, *s, shelf.root)))
            .collect();
        let mut headers = vec![("content-type", String::from("application/x-ndjson"))];
        if let Some((_, s)) = all.get(end) {
            headers.push(("x-watermark", s.modified.to_string()));
        }
        Ok(Reply {
            status: 200,
            headers,
            body,
        })
    };
    answer().unwrap_or_else(|r| r)
}

fn line(item: &Item, state: State, root: &str) -> Value {
    json!({
        "post_id": item.original_id(),
        "headline": item.title,
        "teaser": item.story.summary(),
        "html": item.story.body_html(state.revision),
        "writer": item.author_name(),
        "first_published": atom(item.published),
        "last_edited": atom(state.modified),
        "not_before": item.embargo_until.map(atom),
        "sections": item.categories().join("|"),
        "labels": item.story.tags(),
        "pictures": [{"src": item.image_url(root), "caption": item.title}],
        "link": item.link(root),
        "series": item.series_name(),
        "form": match item.kind { Kind::Recipe => "recipe", Kind::Video => "video", _ => "text" },
        "live": state.live,
    })
}

/// Answers `GET …/feed.json?updated_since=<epoch s>&offset=&limit=`.
#[must_use]
pub fn epoch(shelf: &Shelf<'_>, params: &Params) -> Reply {
    let answer = || -> Result<Reply, Reply> {
        let (all, limit) = (
            changed(shelf, time(params, "updated_since")?),
            limit(params)?,
        );
        let at = params
            .number("offset", 0)
            .map_err(|v| refuse("offset", &v))?;
        let newest = all
            .iter()
            .skip(at)
            .take(limit)
            .next_back()
            .map(|(_, s)| (s.modified.0 / 1000).to_string())
            .or_else(|| params.one("updated_since").map(str::to_owned));
        let posts: Vec<Value> = all
            .iter()
            .skip(at)
            .take(limit)
            .map(|(i, s)| epoch_post(i, *s, shelf.root))
            .collect();
        let since = params
            .one("updated_since")
            .map(|s| format!("&updated_since={s}"))
            .unwrap_or_default();
        let more = (at + limit < all.len()).then(|| {
            format!(
                "{}/feed.json?offset={}&limit={limit}{since}",
                shelf.base,
                at + limit
            )
        });
        let body = json!({"count": all.len(), "more": more, "newest": newest, "posts": posts});
        Ok(Reply::json(200, "application/json", &body))
    };
    answer().unwrap_or_else(|r| r)
}

fn epoch_post(item: &Item, state: State, root: &str) -> Value {
    json!({
        "id": item.number,
        "t": item.title,
        "intro": item.story.summary(),
        "b": item.story.body_html(state.revision),
        "by": item.author_name().unwrap_or_default(),
        "ts": item.published.0 / 1000,
        "upd": state.modified.0 / 1000,
        "hold": item.embargo_until.map_or(0, |t| t.0 / 1000),
        "cat": item.categories().join(";"),
        "kw": item.story.tags().join(", "),
        "img": item.image_url(root),
        "img_alt": item.title,
        "href": item.link(root),
        "series": item.series_name().unwrap_or_default(),
        "hidden": u8::from(!state.live),
    })
}
