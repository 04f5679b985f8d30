//! Which of a brand's live articles get a place in a front: fresh and popular in turn, with caps.

use mediaflow_shared::front::build::Item;
use mediaflow_shared::time::Minute;
use mediaflow_shared::topics;
use std::cmp::Reverse;
use std::collections::HashMap;

use crate::duplicates::clusters;
use crate::index::Live;
use crate::limits::{AUTHOR_SHARE_PERCENT, SOURCE_SHARE_PERCENT};
use crate::settings::SurfaceSettings;
use crate::stream::Signals;

/// The candidates of one surface with all columns that do not need a model, sorted by content id.
pub(crate) fn select(
    surface: &SurfaceSettings,
    live: &[&Live],
    signals: &Signals,
    now: Minute,
) -> Vec<Item> {
    let max = usize::from(surface.items_max);
    let mut fresh: Vec<&Live> = live
        .iter()
        .copied()
        .filter(|l| belongs(surface, l))
        .collect();
    fresh.sort_unstable_by_key(|l| (Reverse(l.item.published), l.item.content));
    let mut popular: Vec<(u64, &Live)> = fresh
        .iter()
        .map(|l| (signals.heat(l.item.content, now), *l))
        .filter(|(heat, _)| *heat > 0)
        .collect();
    popular.sort_unstable_by_key(|(heat, l)| (Reverse(*heat), l.item.content));
    let popular: Vec<&Live> = popular.into_iter().map(|(_, l)| l).collect();

    let mut chosen = Chosen::new(max);
    let turns = fresh.len().max(popular.len());
    for turn in 0..turns {
        for list in [&fresh, &popular] {
            if let Some(l) = list.get(turn) {
                chosen.offer(l, true);
            }
        }
    }
    // Places nobody else wanted go to those beyond the caps.
    for l in &fresh {
        chosen.offer(l, false);
    }
    let mut picked = chosen.picked;
    picked.sort_unstable_by_key(|l| l.item.content);
    let hashes: Vec<_> = picked.iter().map(|l| (l.item.content, l.simhash)).collect();
    picked
        .iter()
        .zip(clusters(&hashes))
        .map(|(l, dup)| {
            let mut item = l.item.clone();
            item.dup = dup;
            signals.fill(&mut item, now);
            item
        })
        .collect()
}

/// Whether an article belongs to a section.
fn belongs(surface: &SurfaceSettings, l: &Live) -> bool {
    if surface.topics.is_empty() && surface.categories.is_empty() {
        return true;
    }
    let main = l.item.main_topic.and_then(topics::topic).map(|t| t.slug);
    surface.topics.iter().any(|t| Some(t.as_str()) == main)
        || l.categories.iter().any(|c| surface.categories.contains(c))
}

struct Chosen<'a> {
    max: usize,
    picked: Vec<&'a Live>,
    known: std::collections::HashSet<u64>,
    sources: HashMap<u32, usize>,
    authors: HashMap<u32, usize>,
}

impl<'a> Chosen<'a> {
    fn new(max: usize) -> Self {
        Self {
            max,
            picked: Vec::new(),
            known: Default::default(),
            sources: HashMap::new(),
            authors: HashMap::new(),
        }
    }

    fn offer(&mut self, l: &'a Live, capped: bool) {
        let id = l.item.content.0;
        if self.picked.len() >= self.max || self.known.contains(&id) {
            return;
        }
        let share = |percent: usize| (self.max * percent).div_ceil(100);
        let full = |counts: &HashMap<u32, usize>, key: u32, percent| {
            counts.get(&key).is_some_and(|n| *n >= share(percent))
        };
        let author = l.item.author;
        if capped
            && (full(&self.sources, l.source, SOURCE_SHARE_PERCENT)
                || (author != 0 && full(&self.authors, author, AUTHOR_SHARE_PERCENT)))
        {
            return;
        }
        self.known.insert(id);
        *self.sources.entry(l.source).or_default() += 1;
        *self.authors.entry(author).or_default() += 1;
        self.picked.push(l);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_shared::id::ContentId;
    use mediaflow_shared::time::Timestamp;

    const NOW: Minute = Minute(29_920_800);

    fn live(id: u64, source: u32, author: u32) -> Live {
        Live {
            item: Item {
                content: ContentId(id),
                published: Minute(NOW.0 - id as u32),
                author,
                ..Item::default()
            },
            source,
            categories: vec![
                if id.is_multiple_of(2) {
                    "news"
                } else {
                    "sports"
                }
                .into(),
            ],
            simhash: id.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            updated: Timestamp(0),
        }
    }

    fn surface(items_max: u16) -> SurfaceSettings {
        SurfaceSettings {
            slug: "home".into(),
            topics: vec![],
            categories: vec![],
            items_max,
        }
    }

    fn pick(s: &SurfaceSettings, all: &[Live]) -> Vec<Item> {
        let refs: Vec<&Live> = all.iter().collect();
        select(s, &refs, &Signals::default(), NOW)
    }

    #[test]
    fn a_loud_source_leaves_places_to_others() {
        // The first 300 are the freshest and all of one source.
        let all: Vec<Live> = (1..=400)
            .map(|id| live(id, if id > 300 { id as u32 % 5 + 1 } else { 0 }, id as u32))
            .collect();
        let items = pick(&surface(100), &all);
        let loud = items.iter().filter(|i| i.content.0 <= 300).count();
        assert_eq!((items.len(), loud), (100, 40));
    }

    #[test]
    fn a_front_is_full_although_there_is_one_source_only() {
        let all: Vec<Live> = (1..=400).map(|id| live(id, 1, 7)).collect();
        let items = pick(&surface(100), &all);
        assert_eq!(items.len(), 100);
        assert!(items.iter().all(|i| i.content.0 <= 100), "the freshest");
    }

    #[test]
    fn a_section_takes_its_categories_only() {
        let all: Vec<Live> = (1..=50).map(|id| live(id, 1, 0)).collect();
        let s = SurfaceSettings {
            categories: vec!["sports".into()],
            ..surface(100)
        };
        let items = pick(&s, &all);
        assert_eq!(items.len(), 25);
        assert!(items.iter().all(|i| !i.content.0.is_multiple_of(2)));
    }
}
