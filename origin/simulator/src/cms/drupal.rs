//! Drupal's JSON:API (`/jsonapi/node/article`) with the fields of the Standard profile: `sort`, `filter` in its short
//! and long forms, `page[offset|limit]`, `include`, `links.next`.
//!
//! Source: drupal.org/docs/core-modules-and-themes/core-modules/jsonapi-module. Times in filters are epoch seconds, as
//! the real module wants them; RFC 3339 is taken too. Anonymous callers do not see unpublished nodes.

use super::{Params, Reply, Shelf, atom, escape};
use crate::limits::DRUPAL_PAGE_MAX;
use crate::world::{Item, State, uuid};
use mediaflow_shared::time::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

const JSON: &str = "application/vnd.api+json";

/// Relationships worth including.
pub const RELATIONSHIPS: [&str; 5] = [
    "uid",
    "field_image",
    "field_section",
    "field_tags",
    "field_series",
];

fn error(status: u16, title: &str, detail: &str) -> Reply {
    let body = json!({
        "jsonapi": version(),
        "errors": [{"title": title, "status": status.to_string(), "detail": detail}]
    });
    Reply::json(status, JSON, &body)
}

fn version() -> Value {
    json!({"version": "1.1", "meta": {"links": {"self": {"href": "http://jsonapi.org/format/1.1/"}}}})
}

#[derive(Debug, Default, Clone)]
struct Condition {
    path: String,
    operator: String,
    value: String,
}

/// Reads `filter[status]=1`, `filter[a][value]=…&filter[a][path]=…` and `filter[a][condition][path]=…`.
fn conditions(params: &Params) -> Result<Vec<Condition>, Reply> {
    let mut by_name: BTreeMap<&str, Condition> = BTreeMap::new();
    for (key, value) in params.iter() {
        let Some(rest) = key.strip_prefix("filter[") else {
            continue;
        };
        let Some((name, rest)) = rest.split_once(']') else {
            continue;
        };
        let c = by_name.entry(name).or_insert_with(|| Condition {
            path: name.to_owned(),
            operator: String::from("="),
            value: String::new(),
        });
        match rest.strip_prefix("[condition]").unwrap_or(rest) {
            "" | "[value]" => value.clone_into(&mut c.value),
            "[path]" => value.clone_into(&mut c.path),
            "[operator]" => value.clone_into(&mut c.operator),
            other => {
                let detail = format!(
                    "Invalid filter key {other:?}: 'path' and 'value' are needed, 'operator' may be."
                );
                return Err(error(400, "Bad Request", &detail));
            }
        }
    }
    Ok(by_name.into_values().collect())
}

fn moment_s(text: &str) -> Option<i64> {
    text.parse::<i64>()
        .ok()
        .or_else(|| Timestamp::parse(text).ok().map(|t| t.0.div_euclid(1000)))
}

fn holds(c: &Condition, item: &Item, state: State) -> Result<bool, Reply> {
    let bad = |what: &str| {
        error(
            400,
            "Bad Request",
            &format!("Invalid nested filtering. {what}"),
        )
    };
    let number = match c.path.as_str() {
        "changed" | "changed.value" => state.modified.0.div_euclid(1000),
        "created" | "created.value" => item.published.0.div_euclid(1000),
        "status" | "status.value" => i64::from(state.live),
        "drupal_internal__nid" | "nid" => i64::try_from(item.number).unwrap_or(i64::MAX),
        "title" => return Ok(item.title == c.value),
        "id" => return Ok(item.original_id() == c.value),
        other => {
            return Err(bad(&format!(
                "The field `{other}`, given in the path `{other}`, does not exist."
            )));
        }
    };
    let wanted = moment_s(&c.value)
        .ok_or_else(|| bad(&format!("`{}` is not a number or a time.", c.value)))?;
    match c.operator.as_str() {
        "=" => Ok(number == wanted),
        "<>" => Ok(number != wanted),
        ">" => Ok(number > wanted),
        ">=" => Ok(number >= wanted),
        "<" => Ok(number < wanted),
        "<=" => Ok(number <= wanted),
        other => Err(bad(&format!(
            "The '{other}' operator is not allowed in a filter parameter."
        ))),
    }
}

/// Answers `GET …/jsonapi/node/article?query`.
#[must_use]
pub fn articles(shelf: &Shelf<'_>, query: &str) -> Reply {
    listing(shelf, query).unwrap_or_else(|reply| reply)
}

fn listing(shelf: &Shelf<'_>, query: &str) -> Result<Reply, Reply> {
    let params = Params::parse(query);
    let page = |name: &str, default| {
        params
            .number(name, default)
            .map_err(|v| error(400, "Bad Request", &format!("{name}={v} is not a number.")))
    };
    let (offset, limit) = (
        page("page[offset]", 0)?,
        page("page[limit]", DRUPAL_PAGE_MAX)?,
    );
    let limit = limit.clamp(1, DRUPAL_PAGE_MAX);
    let conditions = conditions(&params)?;
    let mut found = Vec::new();
    for (item, state) in shelf.items.iter().filter(|(_, s)| s.live || shelf.trusted) {
        let mut fits = true;
        for c in &conditions {
            fits = fits && holds(c, item, *state)?;
        }
        if fits {
            found.push((*item, *state));
        }
    }
    sort(
        &mut found,
        params.one("sort").unwrap_or("drupal_internal__nid"),
    )?;
    let total = found.len();
    let shown: Vec<_> = found.into_iter().skip(offset).take(limit).collect();
    let href = |offset: usize| {
        format!(
            "{}/jsonapi/node/article?{}",
            shelf.base,
            paged(&params, offset, limit)
        )
    };
    let mut links = Map::new();
    links.insert(
        "self".into(),
        json!({"href": format!("{}/jsonapi/node/article?{query}", shelf.base)}),
    );
    if offset + shown.len() < total {
        links.insert("next".into(), json!({"href": href(offset + limit)}));
    }
    if offset > 0 {
        links.insert("first".into(), json!({"href": href(0)}));
        links.insert(
            "prev".into(),
            json!({"href": href(offset.saturating_sub(limit))}),
        );
    }
    let data: Vec<Value> = shown.iter().map(|(i, s)| node(i, *s, shelf)).collect();
    let mut body = json!({"jsonapi": version(), "data": data, "links": links});
    let wanted: BTreeSet<&str> = params
        .one("include")
        .map(|i| i.split(',').collect())
        .unwrap_or_default();
    if !wanted.is_empty() {
        body["included"] = Value::Array(included(&shown, &wanted)?);
    }
    Ok(Reply::json(200, JSON, &body))
}

fn paged(params: &Params, offset: usize, limit: usize) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for (k, v) in params.iter().filter(|(k, _)| !k.starts_with("page[")) {
        out.append_pair(k, v);
    }
    out.append_pair("page[offset]", &offset.to_string())
        .append_pair("page[limit]", &limit.to_string());
    out.finish()
}

fn sort(found: &mut [(&Item, State)], by: &str) -> Result<(), Reply> {
    let mut failed = None;
    let (fields, mut keys): (Vec<&str>, Vec<(bool, &str)>) = (by.split(',').collect(), Vec::new());
    for f in fields {
        let (down, name) = f.strip_prefix('-').map_or((false, f), |n| (true, n));
        if !matches!(
            name,
            "changed" | "created" | "drupal_internal__nid" | "nid" | "title" | "id" | "status"
        ) {
            failed = Some(name.to_owned());
        }
        keys.push((down, name));
    }
    if let Some(name) = failed {
        return Err(error(
            400,
            "Bad Request",
            &format!("The field `{name}`, given in the sort, does not exist."),
        ));
    }
    found.sort_by(|(a, sa), (b, sb)| {
        let by_key = keys.iter().map(|(down, name)| {
            let o = match *name {
                "changed" => sa.modified.cmp(&sb.modified),
                "created" => a.published.cmp(&b.published),
                "title" => a.title.cmp(&b.title),
                "status" => sa.live.cmp(&sb.live),
                "id" => a.original_id().cmp(&b.original_id()),
                _ => a.number.cmp(&b.number),
            };
            if *down { o.reverse() } else { o }
        });
        by_key
            .fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
            .then(a.number.cmp(&b.number))
    });
    Ok(())
}

/// Answers `GET …/jsonapi/node/article/{uuid}`.
#[must_use]
pub fn single(shelf: &Shelf<'_>, id: &str, query: &str) -> Reply {
    let Some((item, state)) = shelf.items.iter().find(|(i, _)| i.original_id() == id) else {
        return error(
            404,
            "Not Found",
            "The \"entity\" parameter was not converted for the path.",
        );
    };
    if !state.live && !shelf.trusted {
        let detail = "The current user is not allowed to GET the selected resource.";
        return error(403, "Forbidden", detail);
    }
    let params = Params::parse(query);
    let wanted: BTreeSet<&str> = params
        .one("include")
        .map(|i| i.split(',').collect())
        .unwrap_or_default();
    let mut body = json!({"jsonapi": version(), "data": node(item, *state, shelf),
        "links": {"self": {"href": format!("{}/jsonapi/node/article/{id}", shelf.base)}}});
    match included(&[(item, *state)], &wanted) {
        Ok(all) if !wanted.is_empty() => body["included"] = Value::Array(all),
        Ok(_) => {}
        Err(reply) => return reply,
    }
    Reply::json(200, JSON, &body)
}

fn user_id(item: &Item) -> String {
    uuid(&[1, item.brand as u64, item.author as u64])
}

fn file_id(item: &Item) -> String {
    uuid(&[2, item.story.seed])
}

fn section_id(item: &Item, topic: u8) -> String {
    uuid(&[3, item.brand as u64, u64::from(topic)])
}

fn tag_id(tag: &str) -> String {
    uuid(&[4, u64::from(mediaflow_shared::id::name_hash(tag))])
}

fn series_id(item: &Item, series: usize) -> String {
    uuid(&[5, item.brand as u64, series as u64])
}

fn reference(kind: &str, id: &str) -> Value {
    json!({"type": kind, "id": id})
}

fn node(item: &Item, state: State, shelf: &Shelf<'_>) -> Value {
    let html = item.story.body_html(state.revision);
    let sections: Vec<Value> = std::iter::once(item.story.primary)
        .chain(item.story.secondary)
        .map(|t| reference("taxonomy_term--section", &section_id(item, t)))
        .collect();
    let tags: Vec<Value> = item
        .story
        .tags()
        .iter()
        .map(|t| reference("taxonomy_term--tags", &tag_id(t)))
        .collect();
    let mut picture = reference("file--file", &file_id(item));
    picture["meta"] = json!({"alt": item.title, "title": "", "width": 1200, "height": 675});
    let series = item
        .series
        .map(|s| reference("taxonomy_term--series", &series_id(item, s)));
    let id = item.original_id();
    json!({
        "type": "node--article",
        "id": id,
        "links": {"self": {"href": format!("{}/jsonapi/node/article/{id}", shelf.base)}},
        "attributes": {
            "drupal_internal__nid": item.number,
            "drupal_internal__vid": item.number + u64::from(state.revision),
            "langcode": item.story.language.code(),
            "status": state.live,
            "title": item.title,
            "created": atom(item.published),
            "changed": atom(state.modified),
            "promote": true,
            "sticky": false,
            "default_langcode": true,
            "path": {"alias": item.path(), "pid": item.number,
                "langcode": item.story.language.code()},
            "body": {"value": html, "format": "basic_html", "processed": html,
                "summary": escape(&item.story.summary())},
            "publish_on": item.embargo_until.map(atom),
            "field_canonical_url": item.link(shelf.root),
        },
        "relationships": {
            "node_type": {"data": {"type": "node_type--node_type", "id": uuid(&[6]),
                "meta": {"drupal_internal__target_id": "article"}}},
            "uid": {"data": item.author_name().map(|_| reference("user--user", &user_id(item)))},
            "field_image": {"data": picture},
            "field_section": {"data": sections},
            "field_tags": {"data": tags},
            "field_series": {"data": series},
        }
    })
}

fn term(kind: &str, id: &str, name: &str) -> Value {
    json!({"type": format!("taxonomy_term--{kind}"), "id": id, "attributes": {
        "name": name, "langcode": "en", "status": true, "weight": 0, "description": null}})
}

fn included(shown: &[(&Item, State)], wanted: &BTreeSet<&str>) -> Result<Vec<Value>, Reply> {
    let known = RELATIONSHIPS;
    if let Some(other) = wanted.iter().find(|w| !known.contains(w)) {
        let detail = format!(
            "`{other}` is not a valid relationship field name. Possible values: {}.",
            known.join(", ")
        );
        return Err(error(400, "Bad Request", &detail));
    }
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    for (item, _) in shown {
        if let (true, Some(name)) = (wanted.contains("uid"), item.author_name()) {
            let id = user_id(item);
            let v = json!({"type": "user--user", "id": id, "attributes": {"display_name": name}});
            seen.insert(id, v);
        }
        if wanted.contains("field_image") {
            // Root-relative, as Drupal's public file system gives it.
            let (id, url) = (file_id(item), item.image_url(""));
            let v = json!({"type": "file--file", "id": id, "attributes": {
                "filename": format!("{:x}.svg", item.story.seed), "filemime": "image/svg+xml", "status": true,
                "uri": {"value": format!("public://{:x}.svg", item.story.seed), "url": url}}});
            seen.insert(id, v);
        }
        if wanted.contains("field_section") {
            for t in std::iter::once(item.story.primary).chain(item.story.secondary) {
                let id = section_id(item, t);
                seen.insert(id.clone(), term("section", &id, &item.brand().category(t)));
            }
        }
        if wanted.contains("field_tags") {
            for tag in item.story.tags() {
                seen.insert(tag_id(&tag), term("tags", &tag_id(&tag), &tag));
            }
        }
        if let (true, Some((s, name))) = (
            wanted.contains("field_series"),
            item.series.zip(item.series_name()),
        ) {
            let id = series_id(item, s);
            seen.insert(id.clone(), term("series", &id, name));
        }
    }
    Ok(seen.into_values().collect())
}
