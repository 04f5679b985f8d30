//! Sums of a plan.

use serde::Serialize;

use super::Candidate;
use crate::publishing::decide::Why;

/// Reasons of writes.
pub(super) const REASONS: usize = Why::ALL.len();
/// Steps of the histogram in one doubling: p95 is off by at most a sixteenth of it, 4.5 %.
const STEPS: usize = 16;
const DOUBLINGS: usize = 40;

/// Counts of one policy.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub writes: u64,
    pub deletes: u64,
    pub why: [u64; REASONS],
    samples: u64,
    stale_ms: u128,
    stale: Vec<u64>,
    elsewhere: Regret,
    served: Regret,
}

/// Distances from the ideal ranking, of 65,536.
#[derive(Debug, Clone)]
struct Regret {
    sum: u64,
    histogram: Vec<u64>,
}

impl Default for Regret {
    fn default() -> Self {
        Self {
            sum: 0,
            histogram: vec![0; STEPS * DOUBLINGS],
        }
    }
}

impl Regret {
    fn add(&mut self, regret: u32) {
        self.sum += u64::from(regret);
        self.histogram[place(regret.into())] += 1;
    }

    fn mean(&self, samples: f64) -> f64 {
        self.sum as f64 / samples / 65_536.0
    }

    fn p95(&self) -> f64 {
        quantile(&self.histogram, 0.95) / 65_536.0
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            writes: 0,
            deletes: 0,
            why: [0; REASONS],
            samples: 0,
            stale_ms: 0,
            stale: vec![0; STEPS * DOUBLINGS],
            elsewhere: Regret::default(),
            served: Regret::default(),
        }
    }
}

fn place(value: u64) -> usize {
    (((value as f64 + 1.0).log2() * STEPS as f64).ceil() as usize).min(STEPS * DOUBLINGS - 1)
}

fn quantile(histogram: &[u64], share: f64) -> f64 {
    let all: u64 = histogram.iter().sum();
    let mut below = (all as f64 * share).ceil() as u64;
    for (i, n) in histogram.iter().enumerate() {
        if below <= *n {
            return (i as f64 / STEPS as f64).exp2() - 1.0;
        }
        below -= n;
    }
    0.0
}

impl Counts {
    /// A request: for how long edges lack something, and how far from the ideal the ranking is on another device and
    /// on the one that asked, of 65,536.
    pub fn sample(&mut self, stale_ms: i64, elsewhere: u32, served: u32) {
        self.samples += 1;
        let stale_ms = stale_ms.max(0).unsigned_abs();
        self.stale_ms += u128::from(stale_ms);
        self.stale[place(stale_ms)] += 1;
        self.elsewhere.add(elsewhere);
        self.served.add(served);
    }

    pub fn row(&self, candidate: &Candidate, days: f64, waiting: u64) -> Row {
        let n = self.samples.max(1) as f64;
        let dollars = candidate.settings.dollars(self.writes);
        let per_day = |x: f64| if days > 0.0 { x / days } else { x };
        Row {
            policy: candidate.name.clone(),
            writes: self.writes,
            deletes: self.deletes,
            waiting,
            dollars,
            writes_per_day: per_day(self.writes as f64),
            dollars_per_day: per_day(dollars),
            staleness_s_mean: self.stale_ms as f64 / n / 1000.0,
            staleness_s_p95: quantile(&self.stale, 0.95) / 1000.0,
            regret_elsewhere_mean: self.elsewhere.mean(n),
            regret_elsewhere_p95: self.elsewhere.p95(),
            regret_served_mean: self.served.mean(n),
            regret_served_p95: self.served.p95(),
            samples: self.samples,
            why: Why::ALL
                .iter()
                .map(|w| (w.name(), self.why[*w as usize]))
                .filter(|w| w.1 > 0)
                .collect(),
        }
    }
}

/// One policy of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub policy: String,
    /// Profile writes.
    pub writes: u64,
    /// Deletions: withdrawals, in every policy alike.
    pub deletes: u64,
    /// Readers whose last change was not written at the end.
    pub waiting: u64,
    /// Price of the writes.
    pub dollars: f64,
    /// Over the length of the traffic.
    pub writes_per_day: f64,
    /// Over the length of the traffic.
    pub dollars_per_day: f64,
    /// For how long edges lacked a change, over the sampled requests, seconds.
    pub staleness_s_mean: f64,
    /// The same, 95th percentile.
    pub staleness_s_p95: f64,
    /// Distance of the top 10 on another device, which has what storage has, from the ideal one, 0 to 1, over the
    /// sampled requests.
    pub regret_elsewhere_mean: f64,
    /// The same, 95th percentile.
    pub regret_elsewhere_p95: f64,
    /// The same distance on the device that asked, which has its token.
    pub regret_served_mean: f64,
    /// The same, 95th percentile.
    pub regret_served_p95: f64,
    /// Requests sampled.
    pub samples: u64,
    /// Writes wanted by reason.
    pub why: std::collections::BTreeMap<&'static str, u64>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// Events taken in.
    pub events: u64,
    /// Readers with a profile.
    pub readers: u64,
    /// Requests: a reader's first event of a minute.
    pub requests: u64,
    /// Of these, by a device that the reader was met on before.
    pub by_known_devices: u64,
    /// Readers met on more than one device.
    pub readers_on_several: u64,
    /// Length of the traffic, days.
    pub days: f64,
    /// One a policy.
    pub rows: Vec<Row>,
}
