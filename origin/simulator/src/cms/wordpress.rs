//! WordPress REST API v2 (`/wp-json/wp/v2/posts`), as core 6.x answers: paging headers, `modified_after`, `_embed`,
//! its error bodies, and the publisher's webhook.
//!
//! Source: developer.wordpress.org/rest-api/reference/posts. Series are a custom taxonomy `series`, embargoes a post
//! meta `embargo_until`, as publishers add them by plugin.

use super::{Params, Reply, Shelf, escape, naive};
use crate::limits::{WORDPRESS_PAGE, WORDPRESS_PAGE_MAX};
use crate::world::{Item, State, slug};
use mediaflow_shared::content::Kind;
use mediaflow_shared::id::name_hash;
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};

const JSON: &str = "application/json; charset=UTF-8";

/// Offset of the site's clock from UTC, as set in its options: the German site runs on Central European Time.
#[must_use]
pub fn site_offset_ms(item: &Item) -> i64 {
    if item.story.language == crate::words::Language::De {
        3_600_000
    } else {
        0
    }
}

fn local(item: &Item, at: Timestamp) -> String {
    naive(Timestamp(at.0 + site_offset_ms(item)))
}

/// Text as WordPress renders it: escaped, apostrophes and quotes as numeric entities.
fn texturize(text: &str) -> String {
    escape(text)
        .replace('\'', "&#8217;")
        .replace('“', "&#8220;")
        .replace('”', "&#8221;")
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        JSON,
        &json!({"code": code, "message": message, "data": {"status": status}}),
    )
}

fn invalid(param: &str, message: &str) -> Reply {
    let body = json!({
        "code": "rest_invalid_param",
        "message": format!("Invalid parameter(s): {param}"),
        "data": {"status": 400, "params": {param: message}, "details": {param: {
            "code": "rest_invalid_param", "message": message, "data": null}}}
    });
    Reply::json(400, JSON, &body)
}

/// `publish`, or `draft` once withdrawn.
const fn status(state: State) -> &'static str {
    if state.live { "publish" } else { "draft" }
}

const fn format(kind: Kind) -> &'static str {
    match kind {
        Kind::Video => "video",
        Kind::Audio => "audio",
        Kind::Gallery => "gallery",
        Kind::Article | Kind::Recipe | Kind::Ugc => "standard",
    }
}

/// A time parameter: with a zone as it says, without one in the site's zone.
fn moment(text: &str, offset_ms: i64) -> Option<Timestamp> {
    let at = Timestamp::parse(text).ok()?;
    let tail = text.get(10..).unwrap_or_default();
    let zoned = tail.ends_with(['Z', 'z']) || tail.contains(['+', '-']);
    Some(if zoned {
        at
    } else {
        Timestamp(at.0 - offset_ms)
    })
}

/// Answers `GET …/posts`.
#[must_use]
pub fn posts(shelf: &Shelf<'_>, params: &Params) -> Reply {
    match select(shelf, params) {
        Ok((page, total, pages)) => {
            let embed = params
                .one("_embed")
                .is_some_and(|v| v != "false" && v != "0");
            let all: Vec<Value> = page
                .iter()
                .map(|(i, s)| post(i, *s, shelf, embed))
                .collect();
            let mut reply = Reply::json(200, JSON, &Value::Array(all));
            reply.headers.push(("x-wp-total", total.to_string()));
            reply.headers.push(("x-wp-totalpages", pages.to_string()));
            reply
        }
        Err(reply) => reply,
    }
}

type Page<'a> = (Vec<(&'a Item, State)>, usize, usize);

fn select<'a>(shelf: &Shelf<'a>, params: &Params) -> Result<Page<'a>, Reply> {
    let number = |name: &str, default| {
        params
            .number(name, default)
            .map_err(|_| invalid(name, &format!("{name} is not of type integer.")))
    };
    let (per_page, page, offset) = (
        number("per_page", WORDPRESS_PAGE)?,
        number("page", 1)?,
        number("offset", 0)?,
    );
    if !(1..=WORDPRESS_PAGE_MAX).contains(&per_page) {
        return Err(invalid(
            "per_page",
            "per_page must be between 1 (inclusive) and 100 (inclusive)",
        ));
    }
    if page == 0 {
        return Err(invalid("page", "page must be greater than or equal to 1"));
    }
    let mut found = visible(shelf, params)?;
    for (name, by_change, after) in [
        ("modified_after", true, true),
        ("modified_before", true, false),
        ("after", false, true),
        ("before", false, false),
    ] {
        let Some(text) = params.one(name) else {
            continue;
        };
        let offset_ms = shelf.items.first().map_or(0, |(i, _)| site_offset_ms(i));
        let Some(limit) = moment(text, offset_ms) else {
            return Err(invalid(name, "Invalid date."));
        };
        found.retain(|(i, s)| {
            let at = if by_change { s.modified } else { i.published };
            if after { at > limit } else { at < limit }
        });
    }
    sort(&mut found, params)?;
    let total = found.len();
    let pages = total.div_ceil(per_page);
    let from = if offset > 0 {
        offset
    } else {
        (page - 1) * per_page
    };
    if page > 1 && from >= total {
        let message = "The page number requested is larger than the number of pages available.";
        return Err(error(400, "rest_post_invalid_page_number", message));
    }
    Ok((
        found.into_iter().skip(from).take(per_page).collect(),
        total,
        pages,
    ))
}

fn visible<'a>(shelf: &Shelf<'a>, params: &Params) -> Result<Vec<(&'a Item, State)>, Reply> {
    let wanted = params.one("status").unwrap_or("publish");
    if wanted != "publish" && !shelf.trusted {
        return Err(invalid("status", "Status is forbidden."));
    }
    let include = params.one("include").or_else(|| params.one("include[]"));
    let ids: Option<Vec<&str>> = include.map(|i| i.split(',').collect());
    let fits = |(i, s): &(&Item, State)| {
        (wanted == "any" || wanted.split(',').any(|w| w == status(*s)))
            && ids
                .as_ref()
                .is_none_or(|ids| ids.contains(&i.original_id().as_str()))
    };
    Ok(shelf.items.iter().filter(|e| fits(e)).copied().collect())
}

fn sort(found: &mut [(&Item, State)], params: &Params) -> Result<(), Reply> {
    match params.one("orderby").unwrap_or("date") {
        "date" => found.sort_by_key(|(i, _)| (i.published, i.number)),
        "modified" => found.sort_by_key(|(i, s)| (s.modified, i.number)),
        "id" => found.sort_by_key(|(i, _)| i.number),
        "title" => found.sort_by(|a, b| a.0.title.cmp(&b.0.title)),
        _ => {
            return Err(invalid(
                "orderby",
                "orderby is not one of author, date, id, include, modified, title.",
            ));
        }
    }
    match params.one("order").unwrap_or("desc") {
        "asc" => Ok(()),
        "desc" => {
            found.reverse();
            Ok(())
        }
        _ => Err(invalid("order", "order is not one of asc and desc.")),
    }
}

/// Answers `GET …/posts/{id}`.
#[must_use]
pub fn single(shelf: &Shelf<'_>, id: &str, params: &Params) -> Reply {
    match shelf.items.iter().find(|(i, _)| i.original_id() == id) {
        None => error(404, "rest_post_invalid_id", "Invalid post ID."),
        Some((_, s)) if !s.live && !shelf.trusted => error(
            401,
            "rest_forbidden",
            "Sorry, you are not allowed to do that.",
        ),
        Some((i, s)) => Reply::json(
            200,
            JSON,
            &post(i, *s, shelf, params.one("_embed").is_some()),
        ),
    }
}

/// One post as the REST API and the webhook show it.
#[must_use]
pub fn post(item: &Item, state: State, shelf: &Shelf<'_>, embed: bool) -> Value {
    let (base, id) = (shelf.base, item.number);
    let api = format!("{base}/wp-json/wp/v2");
    let categories: Vec<u64> = topics(item).map(category_id).collect();
    let tags: Vec<u32> = item
        .story
        .tags()
        .iter()
        .map(|t| name_hash(t) % 100_000)
        .collect();
    let mut v = json!({
        "id": id,
        "date": local(item, item.published),
        "date_gmt": naive(item.published),
        "guid": {"rendered": format!("{}/?p={id}", item.brand().site)},
        "modified": local(item, state.modified),
        "modified_gmt": naive(state.modified),
        "slug": slug(&item.title),
        "status": status(state),
        "type": "post",
        "link": item.link(shelf.root),
        "title": {"rendered": texturize(&item.title)},
        "content": {"rendered": body(item, state, shelf.root), "protected": false},
        "excerpt": {"rendered": format!("<p>{}</p>\n", texturize(&item.story.summary())), "protected": false},
        "author": item.author_name().map_or(0, |_| item.author + 1),
        "featured_media": media_id(item),
        "comment_status": "open",
        "ping_status": "closed",
        "sticky": false,
        "template": "",
        "format": format(item.kind),
        "meta": {"footnotes": ""},
        "categories": categories,
        "tags": tags,
        "_links": links(&api, id, item),
    });
    if let Some(at) = item.embargo_until {
        v["meta"]["embargo_until"] = json!(at.to_string());
    }
    if let Some(series) = item.series {
        v["series"] = json!([900 + series]);
    }
    if embed {
        v["_embedded"] = embedded(item, shelf, &api);
    }
    v
}

fn body(item: &Item, state: State, root: &str) -> String {
    let html = item
        .story
        .body_html(state.revision)
        .replace('\'', "&#8217;");
    // Every third post opens with its picture in the text, as the block editor writes it.
    if item.story.seed.is_multiple_of(3) {
        let (id, url) = (media_id(item), item.image_url(root));
        return format!(
            "<figure class=\"wp-block-image size-large\"><img decoding=\"async\" src=\"{url}\" alt=\"\" \
             class=\"wp-image-{id}\"/></figure>\n\n{html}"
        );
    }
    html
}

fn topics(item: &Item) -> impl Iterator<Item = u8> {
    std::iter::once(item.story.primary).chain(item.story.secondary)
}

fn category_id(topic: u8) -> u64 {
    u64::from(topic) + 10
}

const fn media_id(item: &Item) -> u64 {
    item.number + 500_000_000
}

fn links(api: &str, id: u64, item: &Item) -> Value {
    let mut v = json!({
        "self": [{"href": format!("{api}/posts/{id}"), "targetHints": {"allow": ["GET"]}}],
        "collection": [{"href": format!("{api}/posts")}],
        "about": [{"href": format!("{api}/types/post")}],
        "replies": [{"embeddable": true, "href": format!("{api}/comments?post={id}")}],
        "version-history": [{"count": 1, "href": format!("{api}/posts/{id}/revisions")}],
        "wp:featuredmedia": [{"embeddable": true, "href": format!("{api}/media/{}", media_id(item))}],
        "wp:attachment": [{"href": format!("{api}/media?parent={id}")}],
        "wp:term": [
            {"taxonomy": "category", "embeddable": true, "href": format!("{api}/categories?post={id}")},
            {"taxonomy": "post_tag", "embeddable": true, "href": format!("{api}/tags?post={id}")},
            {"taxonomy": "series", "embeddable": true, "href": format!("{api}/series?post={id}")}
        ],
        "curies": [{"name": "wp", "href": "https://api.w.org/{rel}", "templated": true}]
    });
    if item.author_name().is_some() {
        v["author"] =
            json!([{"embeddable": true, "href": format!("{api}/users/{}", item.author + 1)}]);
    }
    v
}

fn term(id: u64, name: &str, taxonomy: &str, site: &str) -> Value {
    let slug = slug(name);
    json!({"id": id, "link": format!("{site}/{taxonomy}/{slug}/"), "name": escape(name), "slug": slug, "taxonomy": taxonomy})
}

fn embedded(item: &Item, shelf: &Shelf<'_>, api: &str) -> Value {
    let site = item.brand().site;
    let categories: Vec<Value> = topics(item)
        .map(|t| term(category_id(t), &item.brand().category(t), "category", site))
        .collect();
    let tags: Vec<Value> = item
        .story
        .tags()
        .iter()
        .map(|t| term(u64::from(name_hash(t) % 100_000), t, "post_tag", site))
        .collect();
    let series: Vec<Value> = item
        .series
        .zip(item.series_name())
        .map(|(i, name)| term(900 + i as u64, name, "series", site))
        .into_iter()
        .collect();
    let mut v = json!({
        "wp:featuredmedia": [{
            "id": media_id(item),
            "date": local(item, item.published),
            "slug": format!("picture-{}", item.number),
            "type": "attachment",
            "link": format!("{site}/?attachment_id={}", media_id(item)),
            "title": {"rendered": texturize(&item.title)},
            "author": item.author + 1,
            "caption": {"rendered": ""},
            "alt_text": item.title,
            "media_type": "image",
            "mime_type": "image/svg+xml",
            "media_details": {"width": 1200, "height": 675, "sizes": {}},
            "source_url": item.image_url(shelf.root),
        }],
        "wp:term": [categories, tags, series],
    });
    if let Some(name) = item.author_name() {
        v["author"] = json!([{
            "id": item.author + 1, "name": name, "url": "", "description": "",
            "link": format!("{site}/author/{}/", slug(&name)), "slug": slug(&name),
            "_links": {"self": [{"href": format!("{api}/users/{}", item.author + 1)}]},
        }]);
    }
    v
}
