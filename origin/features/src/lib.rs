//! Features: folds the event stream into profiles, live popularity and next-read neighbours.
//!
//! Data path: every partition of the log topic `events` has a worker ([`partition`]). It parses and deduplicates
//! ([`seen`], [`seen_before`]), loads what is not in memory (readers from `features.reader`, item topics from
//! `content`), folds ([`folds`]: [`reader`] and [`popularity`]) and commits state, offset and the outbox
//! `profiles.dirty` as one. Nothing is half done after a crash: the log is read on from the last commit.
//!
//! Events must be partitioned by reader: all events of one reader in one partition (ingest keys them by pseudonym).
//! Popularity is counted per partition and added up by whoever reads it (`mediaflow_shared::signals`).
//!
//! What it never does: ask for the time to decide anything (event time does), publish to an edge, see a raw reader
//! id, fold an event of a robot.

#[expect(dead_code, reason = "windows are read by the features declared next")]
pub mod declare;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the states of items and ads come next")
)]
pub mod tiles;

mod error;
mod folds;
mod items;
pub mod limits;
mod metrics;
mod offline;
#[expect(dead_code, reason = "packs tiles")]
mod pack;
mod partition;
mod popularity;
mod reader;
mod seen;
mod seen_before;

use mediaflow_ports::{EventLog, PortErrorKind, StateStore};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use declare::{VIEWS, all, evaluate};
pub use error::FeatureError;
pub use items::ItemFacts;
pub use metrics::{FeatureMetrics, FeatureSnapshot};
pub use offline::{ProfileReplay, Replayed};
pub use reader::ReaderState;

use crate::items::Items;
use crate::partition::{Partition, news, retrying};

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
        })
    }
}

/// Folds until `shutdown` turns true (or its sender is gone), then commits what is folded.
///
/// # Errors
/// A store that refuses for good, or a stored state that cannot be read. Stores that are away for a while are waited
/// for.
pub async fn run(deps: FeatureDeps, shutdown: watch::Receiver<bool>) -> Result<(), FeatureError> {
    let items = Arc::new(Items::default());
    let mut workers = JoinSet::new();
    for number in 0..deps.log.partitions(TOPIC_EVENTS).await? {
        let (deps, items, shutdown) = (deps.clone(), items.clone(), shutdown.clone());
        workers.spawn(async move {
            Partition::open(deps, items, number)
                .await?
                .run(shutdown)
                .await
        });
    }
    workers.spawn(follow_content(deps, items, shutdown));
    while let Some(done) = workers.join_next().await {
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
