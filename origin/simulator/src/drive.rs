//! Sends simulated readers to a real edge and measures what personalization is worth.
//!
//! A session: consent (once, unless the reader never gives it) → feed → what was looked at and clicked, by the click
//! model → events citing the exposure ids → perhaps another page. A seeded coin per session decides the arm:
//! personalized, or editorial (newest first). Both arms see the same readers, devices, hours and number of slots.

mod report;
mod session;

pub use report::{Progress, Report};

use crate::brands::{BRANDS, brand_index};
use crate::client::EdgeClient;
use crate::clock::Clock;
use crate::error::SimulatorError;
use crate::limits::{CONTENT_DAYS_KNOWN, SESSIONS_AT_ONCE};
use crate::readers::{ClickModel, Facts, Reader};
use crate::rng::Rng;
use crate::world::{World, day_of};
use mediaflow_shared::id::ContentId;
use report::Tally;
use session::Visitor;
use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};

/// When a drive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this many sessions.
    Sessions(u64),
    /// After this many seconds of real time.
    Seconds(u64),
}

/// What to do to which edge.
#[derive(Debug, Clone)]
pub struct DriveConfig {
    /// Base URL of the edge: `http://127.0.0.1:8081`.
    pub edge_url: String,
    /// Brand slugs to visit; readers whose brands are all outside stay at home. Empty means all twelve.
    pub brands: Vec<String>,
    /// Surface slug of every brand.
    pub surface: String,
    /// Number of readers.
    pub readers: u64,
    /// When to stop.
    pub until: Until,
    /// Sessions a second at most; `None` for as fast as the edge answers.
    pub rate_per_s: Option<f64>,
    /// Sessions under way at once.
    pub at_once: usize,
    /// Seed of the readers, of every choice they make, and of the content they may meet.
    pub seed: u64,
    /// Share of sessions in the personalized arm.
    pub personalized_share: f64,
    /// First sessions that are not counted: profiles are still empty. For [`Until::Seconds`] also in sessions.
    pub warmup_sessions: u64,
    /// Items asked for.
    pub limit: usize,
    /// Time for events, rhythms and freshness: the clock the content was published by.
    pub clock: Clock,
    /// How readers click.
    pub model: ClickModel,
}

impl DriveConfig {
    /// 1,000 sessions of 200 readers, half of them personalized, as fast as the edge answers.
    #[must_use]
    pub fn new(edge_url: &str, seed: u64) -> Self {
        Self {
            edge_url: edge_url.to_owned(),
            brands: Vec::new(),
            surface: String::from("home"),
            readers: 200,
            until: Until::Sessions(1_000),
            rate_per_s: None,
            at_once: SESSIONS_AT_ONCE,
            seed,
            personalized_share: 0.5,
            warmup_sessions: 0,
            limit: 20,
            clock: Clock::real(),
            model: ClickModel::default(),
        }
    }
}

/// What all sessions share.
struct Run {
    config: DriveConfig,
    client: EdgeClient,
    facts: HashMap<ContentId, Facts>,
    /// Part of every event id, so that two runs of one seed are two sets of events.
    id: i64,
}

/// Drives readers until the configured end. `progress` is called after every session, from any task.
///
/// # Errors
/// [`SimulatorError`] when the URL is no URL, or no reader or no known brand is left. A failing edge is not an error:
/// it shows in the report.
pub async fn drive(
    config: DriveConfig,
    progress: impl Fn(&Progress) + Send + Sync + 'static,
) -> Result<Report, SimulatorError> {
    let client = EdgeClient::new(&config.edge_url)?;
    let wanted: Vec<usize> = if config.brands.is_empty() {
        (0..BRANDS.len()).collect()
    } else {
        config
            .brands
            .iter()
            .filter_map(|b| brand_index(b))
            .collect()
    };
    if wanted.is_empty() {
        return Err(SimulatorError::Empty {
            what: "known brand",
        });
    }
    let visitors = visitors(&config, &wanted);
    if visitors.is_empty() {
        return Err(SimulatorError::Empty {
            what: "reader of these brands",
        });
    }
    let now = config.clock.now();
    let first = day_of(now).saturating_sub(CONTENT_DAYS_KNOWN - 2);
    let world = World::days(config.seed, first, CONTENT_DAYS_KNOWN);
    let facts = world
        .items
        .iter()
        .map(|i| (i.content_id(), Facts::from(i)))
        .collect();
    let run = Arc::new(Run {
        id: now.0,
        client,
        facts,
        config,
    });
    let tally = Arc::new(SyncMutex::new(Tally::new(visitors.len())));
    sessions(&run, &visitors, &tally, Arc::new(progress)).await;
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(tally.report())
}

type Shared = Arc<Vec<(Reader, Arc<Mutex<Visitor>>)>>;

fn visitors(config: &DriveConfig, wanted: &[usize]) -> Shared {
    let all = (0..config.readers).map(|i| Reader::new(config.seed, i));
    let here = all.filter_map(|mut r| {
        r.brands.retain(|b| wanted.contains(b));
        (!r.brands.is_empty()).then(|| (r, Arc::new(Mutex::new(Visitor::default()))))
    });
    Arc::new(here.collect())
}

/// Starts sessions, a bounded number at once, and waits for the last.
async fn sessions(
    run: &Arc<Run>,
    visitors: &Shared,
    tally: &Arc<SyncMutex<Tally>>,
    progress: Arc<dyn Fn(&Progress) + Send + Sync>,
) {
    let (begun, gate) = (
        Instant::now(),
        Arc::new(Semaphore::new(run.config.at_once.max(1))),
    );
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0u64.. {
        let over = match run.config.until {
            Until::Sessions(n) => number >= n,
            Until::Seconds(s) => begun.elapsed() >= Duration::from_secs(s),
        };
        if over {
            break;
        }
        if let Some(rate) = run.config.rate_per_s.filter(|r| *r > 0.0) {
            let due = begun + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
        }
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&gate).acquire_owned().await else {
            break;
        };
        while tasks.try_join_next().is_some() {}
        let who = choose(run, visitors, number);
        let (run, visitors, tally, progress) = (
            Arc::clone(run),
            Arc::clone(visitors),
            Arc::clone(tally),
            Arc::clone(&progress),
        );
        tasks.spawn(async move {
            let (reader, visitor) = &visitors[who];
            let outcome = session::play(&run, reader, &mut *visitor.lock().await, number).await;
            drop(permit);
            let counted = number >= run.config.warmup_sessions;
            let now = {
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(who, reader, outcome, counted);
                tally.progress(begun.elapsed().as_secs_f64())
            };
            progress(&now);
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Who comes next: by each reader's rhythm at this hour (rejection sampling, at most as many draws as readers).
fn choose(run: &Run, visitors: &Shared, number: u64) -> usize {
    let (mut r, now) = (
        Rng::of(run.config.seed, &[0xc0, number]),
        run.config.clock.now(),
    );
    for _ in 0..visitors.len().max(16) {
        let i = r.below(visitors.len());
        if r.chance(visitors[i].0.activity(now) / 4.0) {
            return i;
        }
    }
    r.below(visitors.len())
}
