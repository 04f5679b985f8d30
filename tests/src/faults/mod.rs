//! Faults against real processes, and the ledger that says whether anything was lost or counted twice.
//!
//! ```text
//! load ──HTTP──► collector ─► log ─► features ─► state        (faults: kill, pause, cut, fill, flush)
//!   └─ acknowledged ids ─► ledger (a file of its own, synced)
//! ledger + log ─► recount ◄─ state                            (and a replay of the log)
//! ```
//!
//! An [`Outcome`] counts what differs: an acknowledged event that the log lacks or a count that is too small is lost, an
//! event that the log has twice or a count that is too large is doubled. Every fault runs from a seed.
//!
//! What it never does: ask the product what it acknowledged, end a process that it did not start.

mod cases;
mod disk;
mod ledger;
mod load;
mod network;
mod pause;
mod points;
mod proxy;
mod recount;
mod replicas;
mod servers;
mod stand;

use anyhow::Context as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// No fault takes longer; one that does has failed.
const LIMIT: Duration = Duration::from_secs(300);

/// How a fault is run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Kills of the whole origin; the other faults repeat a fraction of it.
    pub kills: u32,
    /// Decides the moments and the order of events.
    pub seed: u64,
    /// Seconds for which a paused process is paused.
    pub pause_s: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            kills: 100,
            seed: 42,
            pause_s: 60,
        }
    }
}

/// What a fault did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The fault by name.
    pub fault: &'static str,
    /// How often it was injected.
    pub times: u32,
    /// Events that clients were told are taken.
    pub acknowledged: u64,
    /// Events or counts that are missing.
    pub lost: u64,
    /// Events or counts too many.
    pub doubled: u64,
    /// Longest time from the fault to normal work, seconds.
    pub recovery_s: f64,
    /// Its seed.
    pub seed: u64,
    /// Seconds it all took.
    pub took_s: f64,
    /// Why it could not run here.
    pub skipped: Option<String>,
    /// What went wrong, where something did.
    pub failed: Option<String>,
}

impl Outcome {
    /// Whether nothing was lost or doubled. One that was skipped is no failure.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failed.is_none() && self.lost == 0 && self.doubled == 0
    }

    /// One object: `fault`, `times`, `acknowledged`, `lost`, `doubled`, `recovery_s`, `took_s`, `seed`, and `skipped` or
    /// `failed` with the reason.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut v = json!({
            "fault": self.fault, "times": self.times, "acknowledged": self.acknowledged, "lost": self.lost,
            "doubled": self.doubled, "recovery_s": tenths(self.recovery_s), "took_s": tenths(self.took_s),
            "seed": self.seed,
        });
        for (name, why) in [("skipped", &self.skipped), ("failed", &self.failed)] {
            if let Some(why) = why {
                v[name] = why.as_str().into();
            }
        }
        v
    }
}

fn tenths(s: f64) -> f64 {
    (s * 10.0).round() / 10.0
}

/// Names of all faults, in their order.
#[must_use]
pub fn names() -> Vec<&'static str> {
    cases::ALL.iter().map(|c| c.0).collect()
}

/// Runs one; `None` when no fault is called so.
#[must_use]
pub fn run(name: &str, plan: Plan) -> Option<Outcome> {
    let (fault, case) = *cases::ALL.iter().find(|c| c.0 == name)?;
    let begun = Instant::now();
    // On a thread of its own: a harness fails by panicking, and the next fault must still run.
    let ran = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let ran = tokio::time::timeout(LIMIT, case(plan)).await;
            ran.with_context(|| format!("not finished after {LIMIT:?}"))?
        })
    });
    let found = match ran.join() {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => Found::failed(format!("{error:#}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Found::failed(text.unwrap_or_else(|| "panicked".to_owned()))
        }
    };
    Some(Outcome {
        fault,
        times: found.times,
        acknowledged: found.acknowledged,
        lost: found.lost,
        doubled: found.doubled,
        recovery_s: found.recovery_s,
        seed: plan.seed,
        took_s: begun.elapsed().as_secs_f64(),
        skipped: found.skipped,
        failed: found.failed,
    })
}

/// What a case finds.
#[derive(Debug, Clone, Default)]
struct Found {
    times: u32,
    acknowledged: u64,
    lost: u64,
    doubled: u64,
    recovery_s: f64,
    skipped: Option<String>,
    failed: Option<String>,
}

impl Found {
    fn failed(why: String) -> Self {
        Self {
            failed: Some(why),
            ..Self::default()
        }
    }

    fn skipped(why: impl ToString) -> Self {
        Self {
            skipped: Some(why.to_string()),
            ..Self::default()
        }
    }
}

/// A small generator: moments must differ from seed to seed, not be unpredictable.
#[must_use]
fn mix(seed: u64, n: u64) -> u64 {
    let mut z = (seed ^ n.rotate_left(32))
        .wrapping_add(n)
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 27;
    z.wrapping_mul(0x94d0_49bb_1331_11eb) ^ (z >> 31)
}
