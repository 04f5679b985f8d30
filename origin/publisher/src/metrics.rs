//! Counters of publishing as plain atomics; the binary exports them.

use mediaflow_ports::Lane;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::publishing::decide::{Verdict, Why};

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
    /// Writes wanted by reason, then those that wait.
    decisions: [AtomicU64; Why::ALL.len() + 1],
    distances: AtomicU64,
    compared: AtomicU64,
    // Held for a map operation once a round.
    brands: Mutex<BTreeMap<String, BrandSnapshot>>,
}

/// One brand's profiles at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct BrandSnapshot {
    /// [`crate::Policy::name`]; empty before the first round.
    pub policy: &'static str,
    /// Profiles written.
    pub written: u64,
    /// Profiles deleted: withdrawn, reset, erased, expired.
    pub deleted: u64,
    /// Writes that the store did not take.
    pub failed: u64,
    /// Their price.
    pub dollars: f64,
    /// Writes that can be paid for now, debts negative; `None` without a budget.
    pub budget_left: Option<f64>,
    /// Readers whose write waits for money.
    pub ready: u64,
    /// Readers whose change is parked.
    pub parked: u64,
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
#[derive(Debug, Clone, PartialEq, Default)]
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
    /// What the policies decided, by [`Why::name`] of a write; `wait` counts the others.
    pub decisions: Vec<(&'static str, u64)>,
    /// Mean distance between the top k by what edges had and by the truth, 0 to 1, over everything the gate compared.
    pub distance_mean: f64,
    /// By slug; the empty one stands for readers of no configured brand.
    pub brands: BTreeMap<String, BrandSnapshot>,
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

    fn brands(&self) -> MutexGuard<'_, BTreeMap<String, BrandSnapshot>> {
        self.brands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn decided(&self, verdict: &Verdict) {
        let place = match verdict {
            Verdict::Same => return,
            Verdict::Write { why, .. } => *why as usize,
            Verdict::Wait { .. } => Why::ALL.len(),
        };
        self.decisions[place].fetch_add(1, Relaxed);
    }

    /// Changes what is known of a brand's profiles.
    pub(crate) fn of_brand(&self, brand: &str, change: impl FnOnce(&mut BrandSnapshot)) {
        let mut brands = self.brands();
        if !brands.contains_key(brand) {
            brands.insert(brand.to_owned(), BrandSnapshot::default());
        }
        if let Some(b) = brands.get_mut(brand) {
            change(b);
        }
    }

    pub(crate) fn gated(&self, distances: u64, compared: u64) {
        self.distances.store(distances, Relaxed);
        self.compared.store(compared, Relaxed);
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
            decisions: named(Why::ALL.map(Why::name), "wait", &self.decisions),
            distance_mean: self.distances.load(Relaxed) as f64
                / 65_536.0
                / self.compared.load(Relaxed).max(1) as f64,
            brands: self.brands().clone(),
        }
    }
}

fn named<const N: usize>(
    names: [&'static str; N],
    last: &'static str,
    counts: &[AtomicU64],
) -> Vec<(&'static str, u64)> {
    let names = names.into_iter().chain([last]);
    names.zip(counts.iter().map(|c| c.load(Relaxed))).collect()
}
