//! Counters of the folds as plain atomics; the binary exports them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Live counters, shared by all partitions.
#[derive(Debug, Default)]
pub struct FeatureMetrics {
    pub(crate) events: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) unreadable: AtomicU64,
    pub(crate) robots: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) profiles: AtomicU64,
    pub(crate) deletions: AtomicU64,
    pub(crate) reader_loads: AtomicU64,
    pub(crate) lag: Vec<AtomicU64>,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeatureSnapshot {
    /// Events folded, duplicates and robots not among them.
    pub events: u64,
    /// Events with a (`source`, `id`) seen before.
    pub duplicates: u64,
    /// Events older than the newest of their partition by more than five minutes; folded all the same.
    pub late: u64,
    /// Records that are no events of ours; passed over.
    pub unreadable: u64,
    /// Events of robots; passed over.
    pub robots: u64,
    /// Commits made.
    pub commits: u64,
    /// Times a store or the log had to be asked again.
    pub retries: u64,
    /// Changed profile blobs handed to the publisher.
    pub profiles: u64,
    /// Deletions handed to the publisher.
    pub deletions: u64,
    /// Readers loaded from the store because they were not in memory.
    pub reader_loads: u64,
    /// Records in the log that no commit covers yet.
    pub lag_records: u64,
}

impl FeatureMetrics {
    /// Counters for as many partitions as the topic `events` has.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self {
            lag: (0..partitions).map(|_| AtomicU64::new(0)).collect(),
            ..Self::default()
        }
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> FeatureSnapshot {
        FeatureSnapshot {
            events: self.events.load(Relaxed),
            duplicates: self.duplicates.load(Relaxed),
            late: self.late.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            robots: self.robots.load(Relaxed),
            commits: self.commits.load(Relaxed),
            retries: self.retries.load(Relaxed),
            profiles: self.profiles.load(Relaxed),
            deletions: self.deletions.load(Relaxed),
            reader_loads: self.reader_loads.load(Relaxed),
            lag_records: self.lag.iter().map(|n| n.load(Relaxed)).sum(),
        }
    }
}

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
