//! What the folds know of items: topics and reading time, in memory, shared by all partitions.

use bytes::Bytes;
use mediaflow_ports::{PortResult, StateStore};
use mediaflow_shared::candidate;
use mediaflow_shared::content::Content;
use mediaflow_shared::id::{ContentId, name_hash};
use mediaflow_shared::topics::TOPICS;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Map;
use crate::limits::{CAST_MAX, ITEMS_HOT_MAX};

/// The view of unified articles: JSON by 8-byte big-endian content id.
pub(crate) const VIEW_CONTENT: &str = "content";

/// What a fold needs to know of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemFacts {
    /// Topic vector, L2 norm 127; zeros when unknown.
    pub topics: [i8; TOPICS],
    /// Reading time in minutes, 0 when unknown.
    pub reading_time_min: u8,
    /// Leading people in it by [`name_hash`]; 0 = none.
    pub cast: [u32; CAST_MAX],
}

impl Default for ItemFacts {
    fn default() -> Self {
        Self {
            topics: [0; TOPICS],
            reading_time_min: 0,
            cast: [0; CAST_MAX],
        }
    }
}

impl ItemFacts {
    /// From the JSON of a unified article; `None` when it is none. The same facts as in a front.
    #[must_use]
    pub fn of_json(json: &[u8]) -> Option<(ContentId, Self)> {
        let content: Content = serde_json::from_slice(json).ok()?;
        let item = candidate::from_content(&content);
        let mut facts = Self {
            topics: item.topics,
            reading_time_min: item.minutes,
            ..Self::default()
        };
        for (known, person) in facts.cast.iter_mut().zip(&content.cast) {
            *known = name_hash(person);
        }
        Some((item.content, facts))
    }
}

struct Kept {
    /// `None` for an item the store does not know, so that it is not asked again for every event.
    facts: Option<ItemFacts>,
    used: u64,
}

#[derive(Default)]
struct Cache {
    items: Map<ContentId, Kept>,
    clock: u64,
}

/// The bounded cache. Shared by `Arc`.
#[derive(Default)]
pub(crate) struct Items {
    // Held for map operations only, never across an await.
    cache: Mutex<Cache>,
}

impl Items {
    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a changed article in.
    pub fn learn(&self, json: &[u8]) {
        if let Some((id, facts)) = ItemFacts::of_json(json) {
            self.lock().put(id, Some(facts));
        }
    }

    /// The facts of many items; those not in memory are read from the store in one go.
    pub async fn load(
        &self,
        state: &dyn StateStore,
        wanted: &HashSet<ContentId, foldhash::fast::RandomState>,
    ) -> PortResult<Map<ContentId, ItemFacts>> {
        let mut found = Map::default();
        found.reserve(wanted.len());
        let mut missing = Vec::new();
        {
            let mut cache = self.lock();
            for id in wanted {
                match cache.find(*id) {
                    Some(facts) => found.extend(facts.map(|f| (*id, f))),
                    None => missing.push(*id),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        let keys: Vec<Bytes> = missing
            .iter()
            .map(|id| Bytes::copy_from_slice(&id.0.to_be_bytes()))
            .collect();
        let values = state.multi_get(VIEW_CONTENT, &keys).await?;
        let mut cache = self.lock();
        for (id, json) in missing.into_iter().zip(values) {
            let facts = json.and_then(|j| ItemFacts::of_json(&j)).map(|(_, f)| f);
            // Someone may have learnt a newer version meanwhile: that one stays.
            let facts = match cache.find(id) {
                Some(known) => known.or(facts),
                None => facts,
            };
            cache.put(id, facts);
            found.extend(facts.map(|f| (id, f)));
        }
        Ok(found)
    }
}

impl Cache {
    /// `Some(None)` for an item known to be unknown.
    fn find(&mut self, id: ContentId) -> Option<Option<ItemFacts>> {
        self.clock += 1;
        let now = self.clock;
        self.items.get_mut(&id).map(|k| {
            k.used = now;
            k.facts
        })
    }

    fn put(&mut self, id: ContentId, facts: Option<ItemFacts>) {
        self.clock += 1;
        let used = self.clock;
        self.items.insert(id, Kept { facts, used });
        if self.items.len() > ITEMS_HOT_MAX {
            let oldest = crate::oldest(self.items.values().map(|k| k.used));
            self.items.retain(|_, k| k.used > oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_article_has_no_facts() {
        for bad in ["", "{}", "[]", "null"] {
            assert_eq!(ItemFacts::of_json(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let items = Items::default();
        for id in 0..ITEMS_HOT_MAX as u64 + 1000 {
            items.lock().put(ContentId(id), None);
        }
        assert!(items.lock().items.len() <= ITEMS_HOT_MAX);
        assert!(
            items
                .lock()
                .find(ContentId(ITEMS_HOT_MAX as u64 + 999))
                .is_some()
        );
    }
}
