//! The live articles of every configured brand, in memory, ready to become candidates.

use bytes::Bytes;
use mediaflow_ports::{Offset, PortErrorKind};
use mediaflow_shared::candidate;
use mediaflow_shared::content::{Content, Status};
use mediaflow_shared::front::build::Item;
use mediaflow_shared::front::flag;
use mediaflow_shared::id::{ContentId, name_hash};
use mediaflow_shared::time::{Minute, Timestamp};
use std::collections::{BTreeSet, HashMap};

use crate::PublisherDeps;
use crate::error::PublisherResult;
use crate::limits::{INDEX_ITEMS_MAX, PAGE, READ_BYTES_MAX};
use crate::push::retrying;

/// The view of unified articles: JSON by 8-byte big-endian content id.
pub(crate) const VIEW_CONTENT: &str = "content";
/// The topic of changed articles.
pub(crate) const TOPIC_CONTENT: &str = "content.enriched";

/// One live article.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub item: Item,
    /// Hash of the source's slug.
    pub source: u32,
    pub categories: Vec<String>,
    pub simhash: u64,
    pub updated: Timestamp,
}

impl Live {
    pub fn of(content: &Content) -> Self {
        let mut item = candidate::from_content(content);
        // Dated ahead by its source: not before then.
        item.embargo = item
            .embargo
            .max(if content.published_at > content.metadata.ingested_at {
                item.published
            } else {
                Minute(0)
            });
        Self {
            item,
            source: name_hash(&content.source),
            categories: content.categories.clone(),
            simhash: content.nlp.simhash.0,
            updated: content.updated_at,
        }
    }
}

/// What became of a changed article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    pub brand: String,
    pub content: ContentId,
}

/// The index.
#[derive(Debug, Default)]
pub(crate) struct Index {
    brands: HashMap<String, HashMap<ContentId, Live>>,
    /// Where `content.enriched` is read on, by partition.
    next: Vec<Offset>,
}

impl Index {
    /// Reads every article of the configured brands from the view, and remembers where the topic stood before.
    pub async fn open(
        deps: &PublisherDeps,
        brands: impl Iterator<Item = &str>,
    ) -> PublisherResult<Self> {
        let mut index = Self {
            brands: brands.map(|b| (b.to_owned(), HashMap::new())).collect(),
            next: Vec::new(),
        };
        let partitions = match deps.log.partitions(TOPIC_CONTENT).await {
            Err(e) if e.kind() == PortErrorKind::NotFound => 0,
            other => other?,
        };
        for p in 0..partitions {
            index.next.push(deps.log.end(TOPIC_CONTENT, p).await?);
        }
        let mut after: Option<Bytes> = None;
        loop {
            let page =
                retrying(|| deps.state.scan(VIEW_CONTENT, b"", after.as_deref(), PAGE)).await?;
            for e in &page {
                index.learn(&e.value);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => break,
            }
        }
        Ok(index)
    }

    /// Takes in what was appended since; answers what changed.
    pub async fn follow(&mut self, deps: &PublisherDeps) -> PublisherResult<Vec<Changed>> {
        let mut changed = Vec::new();
        for p in 0..self.next.len() {
            loop {
                let (from, partition) = (self.next[p], p as u32);
                let records = retrying(|| {
                    deps.log
                        .read(TOPIC_CONTENT, partition, from, PAGE, READ_BYTES_MAX)
                })
                .await?;
                let Some(last) = records.last() else { break };
                self.next[p] = last.offset + 1;
                changed.extend(records.iter().filter_map(|r| self.learn(&r.record.value)));
            }
        }
        Ok(changed)
    }

    /// Takes one version of an article in, unless a newer one is known.
    pub fn learn(&mut self, json: &[u8]) -> Option<Changed> {
        let content: Content = match serde_json::from_slice(json) {
            Ok(c) => c,
            Err(e) => {
                tracing::warn!(error = %e, "an article cannot be read; passed over");
                return None;
            }
        };
        let id = content.content_id;
        // A source that moved to another brand leaves nothing behind.
        for (_, items) in self.brands.iter_mut().filter(|(b, _)| **b != content.brand) {
            items.remove(&id);
        }
        let items = self.brands.get_mut(&content.brand)?;
        let known = items.get(&id);
        // A takedown holds whatever the source said later.
        if content.status != Status::Takedown
            && known.is_some_and(|k| k.updated > content.updated_at)
        {
            return None;
        }
        if content.status == Status::Published {
            items.insert(id, Live::of(&content));
            if items.len() > INDEX_ITEMS_MAX {
                drop_oldest(items);
            }
        } else if items.remove(&id).is_none() {
            return None;
        }
        Some(Changed {
            brand: content.brand,
            content: id,
        })
    }

    /// The live articles of a brand that may be shown now or soon.
    pub fn eligible<'a>(
        &'a self,
        brand: &str,
        takedowns: &'a BTreeSet<ContentId>,
        now: Minute,
        (age_min_max, ahead_min): (u32, u32),
    ) -> impl Iterator<Item = &'a Live> {
        let items = self.brands.get(brand).into_iter().flat_map(HashMap::values);
        items.filter(move |l| {
            let i = &l.item;
            let young = now.since(i.published) <= age_min_max || i.flags & flag::EVERGREEN != 0;
            let live = i.expires.0 == 0 || i.expires > now;
            let soon = i.embargo.since(now) <= ahead_min;
            young && live && soon && !takedowns.contains(&i.content)
        })
    }
}

fn drop_oldest(items: &mut HashMap<ContentId, Live>) {
    let mut published: Vec<Minute> = items.values().map(|l| l.item.published).collect();
    let eighth = published.len() / 8;
    let limit = *published.select_nth_unstable(eighth).1;
    items.retain(|_, l| l.item.published > limit || l.item.flags & flag::EVERGREEN != 0);
}
