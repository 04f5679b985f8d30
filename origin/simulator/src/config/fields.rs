//! One source as ingest's file of sources names it: the one place to change when that file's form does.

use super::quoted;
use crate::brands::{Brand, Wire};
use crate::cms::drupal;
use mediaflow_shared::topics;
use std::fmt::Write as _;

const NESTED: &str = r#"items = "/result/stories"
next = "/result/meta/next"
cursor = { param = "since", at = "/result/meta/newest" }
id = "/key"
title = "/attributes/headline/text"
summary = "/attributes/standfirst/text"
body = "/attributes/copy/html"
author = "/attributes/byline/0/displayName"
categories = { each = "/attributes/sections", at = "/code" }
tags = { each = "/attributes/keywords", at = "/label" }
images = { each = "/attributes/visuals", url = "/asset/href", alt = "/asset/alternative" }
series = "/attributes/strand/title"
published = "/timing/firstLiveAt"
modified = "/timing/revisedAt"
embargo_until = "/timing/heldUntil"
url = "/permalink"
language = "/lang"
status = { at = "/state", map = { LIVE = "published", PULLED = "unpublished" }, default = "draft" }
kind = { at = "/kind", map = { clip = "video", gallery = "gallery" }, default = "article" }
"#;

const LINES: &str = r#"format = "jsonl"
id = "/post_id"
title = "/headline"
summary = "/teaser"
body = "/html"
author = "/writer"
categories = { at = "/sections", split = "|" }
tags = "/labels"
images = { each = "/pictures", url = "/src", alt = "/caption" }
series = "/series"
published = "/first_published"
modified = "/last_edited"
embargo_until = "/not_before"
url = "/link"
language = { value = "en" }
status = { at = "/live", map = { true = "published", false = "unpublished" }, default = "draft" }
kind = { at = "/form", map = { recipe = "recipe", video = "video" }, default = "article" }
"#;

const EPOCH: &str = r#"items = "/posts"
next = "/more"
cursor = { param = "updated_since", at = "/newest" }
id = "/id"
title = "/t"
summary = "/intro"
body = "/b"
author = "/by"
categories = { at = "/cat", split = ";" }
tags = { at = "/kw", split = "," }
images = { each = "", url = "/img", alt = "/img_alt" }
series = "/series"
published = "/ts"
modified = "/upd"
embargo_until = "/hold"
url = "/href"
language = { value = "en" }
status = { at = "/hidden", map = { 0 = "published", 1 = "unpublished" }, default = "draft" }
"#;

/// Appends a `[[source]]`.
pub(super) fn source(out: &mut String, b: &Brand, base_url: &str, poll_s: u32) {
    let (kind, path) = match b.wire {
        Wire::Wordpress => ("wordpress", ""),
        Wire::Drupal => ("drupal", ""),
        Wire::Nested => ("custom", "/api/v2/stories"),
        Wire::Lines => ("custom", "/export.ndjson"),
        Wire::Epoch => ("custom", "/feed.json"),
    };
    let _ = writeln!(
        out,
        "[[source]]\nslug = {}\nbrand = {}\nkind = {}\nbase_url = {}\npoll_interval_s = {poll_s}",
        quoted(b.source),
        quoted(b.slug),
        quoted(kind),
        quoted(&format!("{base_url}/{}{path}", b.source)),
    );
    if b.wire == Wire::Drupal {
        let fields = drupal::RELATIONSHIPS.map(quoted).join(", ");
        let _ = writeln!(out, "node_types = [\"article\"]\ninclude = [{fields}]");
    }
    taxonomy(out, b);
    let mapping = match b.wire {
        Wire::Nested => NESTED,
        Wire::Lines => LINES,
        Wire::Epoch => EPOCH,
        Wire::Wordpress | Wire::Drupal => "",
    };
    if !mapping.is_empty() {
        let _ = write!(out, "\n[source.mapping]\n{mapping}");
    }
    out.push('\n');
}

fn taxonomy(out: &mut String, b: &Brand) {
    out.push_str("\n[source.taxonomy]\n");
    for (name, topic) in b.taxonomy() {
        let slug = topics::topic(topic).map_or("", |t| t.slug);
        let _ = writeln!(out, "{} = {}", quoted(&name), quoted(slug));
    }
}
