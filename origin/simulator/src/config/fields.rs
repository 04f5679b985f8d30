//! One source as ingest's file of sources names it: the one place to change when that file's form does.

use super::quoted;
use crate::brands::{Brand, Wire};
use crate::cms::drupal;
use mediaflow_shared::topics;
use std::fmt::Write as _;

/// Our field → where the source has it.
type Fields = &'static [(&'static str, &'static str)];

const NESTED: Fields = &[
    ("original_id", "key"),
    ("title", "attributes.headline.text"),
    ("summary", "attributes.standfirst.text"),
    ("body", "attributes.copy.html"),
    ("author", "attributes.byline[0].displayName"),
    ("categories", "attributes.sections[].code"),
    ("tags", "attributes.keywords[].label"),
    ("images", "attributes.visuals[].asset.href"),
    ("images_alt", "attributes.visuals[].asset.alternative"),
    ("series", "attributes.strand.title"),
    ("published", "timing.firstLiveAt"),
    ("modified", "timing.revisedAt"),
    ("embargo_until", "timing.heldUntil"),
    ("url", "permalink"),
    ("language", "lang"),
    ("status", "state"),
    ("kind", "kind"),
];

const LINES: Fields = &[
    ("original_id", "post_id"),
    ("title", "headline"),
    ("summary", "teaser"),
    ("body", "html"),
    ("author", "writer"),
    ("categories", "sections"),
    ("tags", "labels[]"),
    ("images", "pictures[].src"),
    ("images_alt", "pictures[].caption"),
    ("series", "series"),
    ("published", "first_published"),
    ("modified", "last_edited"),
    ("embargo_until", "not_before"),
    ("url", "link"),
    ("status", "live"),
    ("kind", "form"),
];

const EPOCH: Fields = &[
    ("original_id", "id"),
    ("title", "t"),
    ("summary", "intro"),
    ("body", "b"),
    ("author", "by"),
    ("categories", "cat"),
    ("tags", "kw"),
    ("images", "img"),
    ("images_alt", "img_alt"),
    ("series", "series"),
    ("published", "ts"),
    ("modified", "upd"),
    ("embargo_until", "hold"),
    ("url", "href"),
    ("status", "hidden"),
];

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
    let fields = match b.wire {
        Wire::Nested => NESTED,
        Wire::Lines => LINES,
        Wire::Epoch => EPOCH,
        Wire::Wordpress | Wire::Drupal => &[],
    };
    if !fields.is_empty() {
        out.push_str("\n[source.mapping]\n");
    }
    for (ours, theirs) in fields {
        let _ = writeln!(out, "{ours} = {}", quoted(theirs));
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
