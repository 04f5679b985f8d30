//! Counters of publishing as plain atomics; the binary exports them.

use mediaflow_ports::Lane;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Live counters of one lane.
#[derive(Debug, Default)]
pub(crate) struct LaneCounters {
    pub written: AtomicU64,
    pub deleted: AtomicU64,
    pub failed: AtomicU64,
    pub retries: AtomicU64,
    pub bytes: AtomicU64,
    pub last_ms: AtomicI64,
}

/// Live counters.
#[derive(Debug, Default)]
pub struct PublisherMetrics {
    lanes: [LaneCounters; 4],
    pub(crate) fronts_unchanged: AtomicU64,
    pub(crate) profiles_unchanged: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) oldest_front_ms: AtomicI64,
    pub(crate) candidates: AtomicU64,
}

/// One lane at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LaneSnapshot {
    /// Values written.
    pub written: u64,
    /// Keys deleted.
    pub deleted: u64,
    /// Values not written or deleted, whether or not tried again.
    pub failed: u64,
    /// Batches tried again.
    pub retries: u64,
    /// Bytes of the values written.
    pub bytes: u64,
    /// Last success, milliseconds since the epoch; 0 = none.
    pub last_ms: i64,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublisherSnapshot {
    /// By [`Lane::name`].
    pub lanes: Vec<(&'static str, LaneSnapshot)>,
    /// Rebuilt fronts that said nothing new.
    pub fronts_unchanged: u64,
    /// Profiles that were published already.
    pub profiles_unchanged: u64,
    /// Work from an outbox that could not be understood or will never be taken; dropped.
    pub refused: u64,
    /// When the front that was not renewed for longest was built, milliseconds since the epoch; 0 = none yet.
    pub oldest_front_ms: i64,
    /// Items in all fronts.
    pub candidates: u64,
}

impl PublisherMetrics {
    pub(crate) fn lane(&self, lane: Lane) -> &LaneCounters {
        match lane {
            Lane::Rules => &self.lanes[0],
            Lane::Fronts => &self.lanes[1],
            Lane::Profiles => &self.lanes[2],
            Lane::Models => &self.lanes[3],
        }
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> PublisherSnapshot {
        let lane = |l: Lane| {
            let c = self.lane(l);
            let snapshot = LaneSnapshot {
                written: c.written.load(Relaxed),
                deleted: c.deleted.load(Relaxed),
                failed: c.failed.load(Relaxed),
                retries: c.retries.load(Relaxed),
                bytes: c.bytes.load(Relaxed),
                last_ms: c.last_ms.load(Relaxed),
            };
            (l.name(), snapshot)
        };
        PublisherSnapshot {
            lanes: Lane::ALL.into_iter().map(lane).collect(),
            fronts_unchanged: self.fronts_unchanged.load(Relaxed),
            profiles_unchanged: self.profiles_unchanged.load(Relaxed),
            refused: self.refused.load(Relaxed),
            oldest_front_ms: self.oldest_front_ms.load(Relaxed),
            candidates: self.candidates.load(Relaxed),
        }
    }
}
