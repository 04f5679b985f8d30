//! An item as a connector would hand it to enrichment, without the way over HTTP: for measurements and imports.

use crate::brands::Wire;
use crate::world::{Item, State, World};
use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawMedia, RawTime, SourceCms, Status};
use mediaflow_shared::time::Timestamp;

/// The delivery of an item in a state; pictures are below `root` (`http://127.0.0.1:4711`).
#[must_use]
pub fn raw_item(item: &Item, state: State, root: &str, ingested_at: Timestamp) -> RawItem {
    let text = |t: Timestamp| RawTime::Text(t.to_string());
    let brand = item.brand();
    RawItem {
        version: CONTENT_VERSION,
        source: brand.source.to_owned(),
        source_cms: match brand.wire {
            Wire::Wordpress => SourceCms::Wordpress,
            Wire::Drupal => SourceCms::Drupal,
            Wire::Nested | Wire::Lines | Wire::Epoch => SourceCms::Custom,
        },
        original_id: item.original_id(),
        brand: brand.slug.to_owned(),
        title: item.title.clone(),
        body: item.story.body_html(state.revision),
        summary: item.story.summary(),
        author: item.author_name(),
        published: text(item.published),
        modified: text(state.modified),
        embargo_until: item.embargo_until.map_or(RawTime::Missing, text),
        categories: item.categories(),
        tags: item.story.tags(),
        images: vec![RawMedia {
            kind: None,
            url: item.image_url(root),
            alt: item.title.clone(),
        }],
        url: item.link(root),
        language: Some(item.story.language.code().to_owned()),
        status: if state.live {
            Status::Published
        } else {
            Status::Unpublished
        },
        kind: item.kind,
        series: item.series_name().map(str::to_owned),
        ingested_at,
        ..RawItem::default()
    }
}

/// Every item of a world that exists at `now`, one after the other.
pub fn raw_items<'a>(
    world: &'a World,
    root: &'a str,
    now: Timestamp,
) -> impl Iterator<Item = RawItem> + 'a {
    let there = world
        .items
        .iter()
        .filter_map(move |i| i.state(now).map(|s| (i, s)));
    there.map(move |(i, s)| raw_item(i, s, root, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{DAY_MS, world};
    use mediaflow_shared::id::ContentId;

    #[test]
    fn deliveries_carry_the_ids_of_their_items_and_read_back() {
        let w = world(1, 20_778);
        let noon = Timestamp(20_778 * DAY_MS + DAY_MS / 2);
        let known = w.by_content_id();
        let all: Vec<RawItem> = raw_items(&w, "http://127.0.0.1:1", noon).collect();
        assert!(
            all.len() > 500 && all.len() < w.items.len(),
            "{}",
            all.len()
        );
        for raw in &all {
            assert!(known.contains_key(&ContentId::of(&raw.source, &raw.original_id)));
            assert!(!raw.title.is_empty() && !raw.body.is_empty());
        }
        let json = serde_json::to_string(&all[0]).unwrap();
        assert_eq!(serde_json::from_str::<RawItem>(&json).unwrap(), all[0]);
    }
}
