//! Features: folds the event stream into profiles, live popularity and next-read neighbours.
//!
//! Data path: the process takes a seat in the group ([`group`]); every partition of the log topic `events` that it is
//! given has a worker ([`partition`]), which claims the partition's fence. It parses ([`seen`]), drops what was folded
//! before ([`seen_before`]) and looks where event time stands ([`clock`]), loads the states that are not in memory
//! ([`cache`]), folds ([`folds`]: readers in [`reader`] and [`activity`], items, ads and brands in [`entity`],
//! [`popularity`] for fronts) and commits states, offset and the outbox `profiles.dirty` as one, fenced. Nothing is half
//! done after a crash: the log is read on from the last commit. States say under which rules they were folded
//! ([`rules`]); a store that was emptied is noticed within seconds and filled from the log.
//!
//! What the states say is declared in [`declare`]: one definition per feature, evaluated by the same code online and in a
//! replay of the log. Windows are read from [`tiles`]; everything that is counted adds up in any order ([`tally`],
//! [`sketch`]).
//!
//! [`catalogue`] shows definitions and values over HTTP, and computes values again from the log.
//!
//! Events must be partitioned by reader: all events of one reader in one partition (ingest keys them by pseudonym).
//! Items, ads and brands are counted per partition ([`keys`]) and added up by whoever reads them.
//!
//! What it never does: ask for the time to decide anything (event time does), publish to an edge, see a raw reader
//! id, fold an event of a robot, commit to a partition that is another's.

pub mod bench;
pub mod catalogue;
pub mod declare;
pub mod keys;
pub mod limits;
pub mod tiles;

mod activity;
mod cache;
mod clock;
mod entity;
mod error;
mod folds;
mod group;
mod items;
mod metrics;
mod offline;
mod pack;
mod partition;
mod popularity;
mod reader;
mod registry;
mod replay;
mod rules;
mod seen;
mod seen_before;
mod sketch;
mod tally;

use mediaflow_ports::{EventLog, PortErrorKind, StateStore};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use activity::SessionRule;
pub use clock::LateRule;
pub use declare::{VIEWS, all, evaluate};
pub use entity::{AdState, BrandCounts, BrandState, ItemState, Reach};
pub use error::FeatureError;
pub use items::ItemFacts;
pub use metrics::{FeatureMetrics, FeatureSnapshot};
pub use offline::{ProfileReplay, Replayed};
pub use partition::fence;
pub use reader::ReaderState;
pub use registry::{consumers, register_consumer};
pub use replay::Replay;
pub use rules::WhenChanged;
pub use seen::ad_key;
pub use sketch::{Distinct, Top};

use crate::items::Items;
use crate::partition::{news, retrying};

/// The topic that is folded.
pub const TOPIC_EVENTS: &str = "events";
/// The topic that tells of changed articles.
pub const TOPIC_CONTENT: &str = "content.enriched";
/// The consumer's name in the state store.
pub const CONSUMER: &str = "features";

/// What the folds need. Clones share it.
#[derive(Clone)]
pub struct FeatureDeps {
    /// Holds `events` and `content.enriched`.
    pub log: Arc<dyn EventLog>,
    /// Holds the views and outboxes.
    pub state: Arc<dyn StateStore>,
    /// Live counters: [`FeatureMetrics::new`] with the partitions of `events`.
    pub metrics: Arc<FeatureMetrics>,
    /// What an operator may set.
    pub config: FeatureConfig,
}

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureConfig {
    /// Where sessions are cut.
    pub session: SessionRule,
    /// Which events are late.
    pub late: LateRule,
    /// Readers kept in memory by each partition, about 2 KB each.
    pub readers_hot: usize,
    /// Words of memory in which each partition remembers events, 8 bytes each (see [`limits::SEEN_SLOTS`]).
    pub seen_slots: usize,
    /// What becomes of states that were folded under other rules.
    pub when_changed: WhenChanged,
}

impl Default for FeatureConfig {
    fn default() -> Self {
        Self {
            session: SessionRule::default(),
            late: LateRule::default(),
            readers_hot: limits::READERS_HOT_MAX,
            seen_slots: limits::SEEN_SLOTS,
            when_changed: WhenChanged::default(),
        }
    }
}

impl FeatureDeps {
    /// With fresh counters.
    ///
    /// # Errors
    /// When the topic `events` does not exist.
    pub async fn new(
        log: Arc<dyn EventLog>,
        state: Arc<dyn StateStore>,
    ) -> Result<Self, FeatureError> {
        let metrics = FeatureMetrics::new(log.partitions(TOPIC_EVENTS).await?);
        Ok(Self {
            log,
            state,
            metrics: Arc::new(metrics),
            config: FeatureConfig::default(),
        })
    }
}

/// Folds until `shutdown` turns true (or its sender is gone), then commits what is folded.
///
/// # Errors
/// A definition that something reads and that is gone or changed, states folded under other rules, a store that refuses
/// for good, or a stored state that cannot be read. Stores that are away for a while are waited for.
pub async fn run(deps: FeatureDeps, shutdown: watch::Receiver<bool>) -> Result<(), FeatureError> {
    loop {
        match registry::open(deps.state.as_ref()).await {
            Err(FeatureError::Port(e)) if e.is_retryable() => {
                tracing::warn!(error = %e, "features: the state store is away; asking again");
                tokio::time::sleep(limits::RETRY_MAX).await;
            }
            other => break other?,
        }
    }
    let items = Arc::new(Items::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(group::share(deps.clone(), items.clone(), shutdown.clone()));
    tasks.spawn(registry::keep(deps.state.clone(), shutdown.clone()));
    tasks.spawn(follow_content(deps, items, shutdown));
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(result) => result?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
    Ok(())
}

/// Keeps the items in memory up to date from the end of `content.enriched` on: what is not in memory is read from the
/// view `content` when needed.
async fn follow_content(
    deps: FeatureDeps,
    items: Arc<Items>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), FeatureError> {
    let partitions = match deps.log.partitions(TOPIC_CONTENT).await {
        // A process without the content roles: the view is all there is.
        Err(e) if e.kind() == PortErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let mut appended = deps.log.watch(TOPIC_CONTENT)?;
    let mut next = Vec::new();
    for p in 0..partitions {
        next.push(deps.log.end(TOPIC_CONTENT, p).await?);
    }
    loop {
        appended.borrow_and_update();
        let mut read = 0;
        for (p, next) in (0..partitions).zip(&mut next) {
            let log = &deps.log;
            let from = *next;
            let records = retrying(&deps, || {
                log.read(TOPIC_CONTENT, p, from, 256, limits::READ_BYTES_MAX)
            })
            .await?;
            for r in &records {
                items.learn(&r.record.value);
                *next = r.offset + 1;
            }
            read += records.len();
        }
        if *shutdown.borrow() || shutdown.has_changed().is_err() {
            return Ok(());
        }
        if read == 0 {
            tokio::select! {
                () = news(&mut appended) => {}
                _ = shutdown.changed() => {}
            }
        }
    }
}

/// The value an eighth of the way up: what was used no later than that goes when a cache is full.
pub(crate) fn oldest(used: impl Iterator<Item = u64>) -> u64 {
    let mut used: Vec<u64> = used.collect();
    let eighth = used.len() / 8;
    if used.is_empty() {
        return 0;
    }
    *used.select_nth_unstable(eighth).1
}
