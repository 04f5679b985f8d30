//! The folds of a partition without a log or a store: for replays, parity, training sets and measurements. The same
//! code as online, so the same values: fold the partition's records in the order of the log, up to the offset that a
//! served value names as its version, and ask.

use mediaflow_ports::{Commit, StoredRecord};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::time::Timestamp;

use crate::FeatureConfig;
use crate::cache::Map;
use crate::entity::{AdState, BrandState, ItemState};
use crate::folds::{Batch, Folds};
use crate::items::ItemFacts;
use crate::metrics::{FeatureMetrics, FeatureSnapshot};
use crate::reader::ReaderState;
use crate::seen::ad_key;

/// One partition, all of it in memory: about 2 KB a reader and item.
pub struct Replay {
    folds: Folds,
    metrics: FeatureMetrics,
    next: u64,
}

impl Replay {
    /// At the beginning of a partition. `config` as online, or session rules would differ.
    #[must_use]
    pub fn new(partition: u32, config: FeatureConfig) -> Self {
        let config = FeatureConfig {
            readers_hot: usize::MAX,
            ..config
        };
        Self {
            folds: Folds::new(partition, config),
            metrics: FeatureMetrics::new(partition.saturating_add(1)),
            next: 0,
        }
    }

    /// Folds the next records of the partition, in the order of the log.
    pub fn fold(
        &mut self,
        records: &[StoredRecord],
        facts: impl Fn(ContentId) -> Option<ItemFacts>,
    ) {
        let batch = self.folds.admit(records, &self.metrics);
        let known = Self::facts(&batch, facts);
        // Everything is in memory or new: there is nothing to load.
        self.folds.wanted();
        self.folds.fold(&batch, &known, &self.metrics);
        if let Some(last) = records.last() {
            self.next = last.offset + 1;
        }
    }

    fn facts(
        batch: &Batch<'_>,
        facts: impl Fn(ContentId) -> Option<ItemFacts>,
    ) -> Map<ContentId, ItemFacts> {
        let found = batch.facts.iter().filter_map(|id| Some((*id, facts(*id)?)));
        found.collect()
    }

    /// What a commit would write for everything folded since the last call.
    pub fn commit(&mut self) -> Commit {
        self.folds.changes((0, self.next), &self.metrics)
    }

    /// A reader's state.
    #[must_use]
    pub fn reader(&self, reader: Pseudonym) -> Option<&ReaderState> {
        self.folds.readers.find(&reader).map(|hot| &hot.state)
    }

    /// All readers, in no particular order.
    pub fn readers(&self) -> impl Iterator<Item = (Pseudonym, &ReaderState)> {
        self.folds.readers.iter().map(|(r, hot)| (*r, &hot.state))
    }

    /// This partition's counters of an item.
    #[must_use]
    pub fn item(&self, item: ContentId) -> Option<&ItemState> {
        self.folds.items.find(&item.0)
    }

    /// This partition's counters of all items, in no particular order.
    pub fn items(&self) -> impl Iterator<Item = (ContentId, &ItemState)> {
        self.folds.items.iter().map(|(id, s)| (ContentId(*id), s))
    }

    /// This partition's counters of an ad.
    #[must_use]
    pub fn ad(&self, ad_id: &str) -> Option<&AdState> {
        self.folds.ads.find(&ad_key(ad_id))
    }

    /// This partition's counters of all ads, in no particular order.
    pub fn ads(&self) -> impl Iterator<Item = &AdState> {
        self.folds.ads.iter().map(|(_, s)| s)
    }

    /// This partition's part of a brand.
    #[must_use]
    pub fn brand(&self, slug: &str) -> Option<BrandState> {
        let brand = self.folds.names.find(slug)?;
        let mut days: Vec<_> = self
            .folds
            .reach
            .iter()
            .filter(|(k, _)| k.0 == brand)
            .collect();
        let mut hours: Vec<_> = self
            .folds
            .tops
            .iter()
            .filter(|(k, _)| k.0 == brand)
            .collect();
        days.sort_by_key(|(k, _)| k.1);
        hours.sort_by_key(|(k, _)| k.1);
        Some(BrandState {
            counts: self.folds.brands.find(&brand)?.clone(),
            days: days.into_iter().map(|(k, s)| (k.1, s.clone())).collect(),
            hours: hours.into_iter().map(|(k, s)| (k.1, s.clone())).collect(),
        })
    }

    /// How far event time got.
    #[must_use]
    pub fn newest(&self) -> Timestamp {
        self.folds.newest()
    }

    /// What was folded, dropped and late so far.
    #[must_use]
    pub fn counted(&self) -> FeatureSnapshot {
        self.metrics.snapshot()
    }
}
