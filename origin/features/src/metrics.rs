//! Counters of the folds as plain atomics; the binary exports them.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

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
    pub(crate) dropped_late: AtomicU64,
    pub(crate) outliers: AtomicU64,
    pub(crate) fenced: AtomicU64,
    pub(crate) state_bytes: AtomicU64,
    partitions: Vec<PartitionMetrics>,
}

/// Of one partition.
#[derive(Debug, Default)]
pub(crate) struct PartitionMetrics {
    pub lag: AtomicU64,
    pub newest_ms: AtomicI64,
    pub watermark_ms: AtomicI64,
    pub seen_reach_min: AtomicU64,
    pub assigned: AtomicBool,
    pub idle: AtomicBool,
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
    /// Records in the log that no commit covers yet, of the partitions assigned.
    pub lag_records: u64,
    /// Late events that were too late for windows and sessions; among `late`.
    pub dropped_late: u64,
    /// Values left out because ingest called them outliers.
    pub outliers: u64,
    /// Times another process had claimed a partition.
    pub fenced: u64,
    /// Bytes of state handed to the store.
    pub state_bytes: u64,
    /// Partitions assigned to this process.
    pub partitions_assigned: u64,
    /// The least watermark of the partitions that are assigned and not idle, milliseconds since the epoch; `None`
    /// when all are idle.
    pub watermark_ms: Option<i64>,
    /// The newest event folded, milliseconds since the epoch; 0 before the first.
    pub newest_ms: i64,
    /// Minutes back to which events are remembered, of the partition that remembers least.
    pub seen_reach_min: u64,
}

impl FeatureMetrics {
    /// Counters for as many partitions as the topic `events` has.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions: (0..partitions)
                .map(|_| PartitionMetrics::default())
                .collect(),
            ..Self::default()
        }
    }

    pub(crate) fn partition(&self, number: u32) -> Option<&PartitionMetrics> {
        self.partitions.get(number as usize)
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> FeatureSnapshot {
        let assigned = || self.partitions.iter().filter(|p| p.assigned.load(Relaxed));
        let awake = assigned().filter(|p| !p.idle.load(Relaxed) && p.newest_ms.load(Relaxed) != 0);
        let newest = assigned().map(|p| p.newest_ms.load(Relaxed));
        let reach = assigned().map(|p| p.seen_reach_min.load(Relaxed));
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
            lag_records: self.partitions.iter().map(|p| p.lag.load(Relaxed)).sum(),
            dropped_late: self.dropped_late.load(Relaxed),
            outliers: self.outliers.load(Relaxed),
            fenced: self.fenced.load(Relaxed),
            state_bytes: self.state_bytes.load(Relaxed),
            partitions_assigned: assigned().count() as u64,
            watermark_ms: awake.map(|p| p.watermark_ms.load(Relaxed)).min(),
            newest_ms: newest.max().unwrap_or(0),
            seen_reach_min: reach.min().unwrap_or(0),
        }
    }
}

pub(crate) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
