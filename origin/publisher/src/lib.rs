//! Publisher: turns state into the four values that edges read, and pushes them to the blob store.
//!
//! Data path, one task a lane, so that none waits for another:
//! - [`rules`]: outbox `rules.publish` → cards for pins, takedowns for the whole brand → `r/<brand>/<surface>`.
//! - [`fronts`]: `content.enriched` and the view `content` → [`index`]; with what the stream says ([`stream`]) →
//!   [`candidates`] → `f/<brand>/<surface>`, on a beat and soon after content changes.
//! - [`profiles`]: outbox `profiles.dirty` → [`publishing`] decides whether it is worth a write → `u/<pseudonym>`; an
//!   empty value deletes.
//! - [`models`]: configured weights → `m/<brand>`.
//!
//! [`plan`] prices publishing policies on replayed traffic. [`archive`] keeps every version for two days, [`replay`] finds them again. The [`board`] is what lanes tell each
//! other.
//!
//! What it never does: rank for a reader, count events, decide rules, publish a value that says what edges have already.

pub mod archive;
mod board;
mod candidates;
mod chunks;
mod current;
mod duplicates;
mod error;
mod fronts;
mod index;
pub mod limits;
mod metrics;
mod models;
pub mod plan;
mod profiles;
pub mod publishing;
mod push;
pub mod replay;
mod rules;
mod settings;
mod stream;

use mediaflow_ports::{BlobStore, Clock, EventLog, StateStore};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use error::{PublisherError, PublisherResult};
pub use fronts::{Basis, LearnedVectors, front_key};
pub use metrics::{BrandSnapshot, LaneSnapshot, PublisherMetrics, PublisherSnapshot};
pub use models::kv_key as model_kv_key;
pub use profiles::{VIEW_BUDGET, VIEW_PARKED, VIEW_SENT, profile_key};
pub use publishing::{Policy, PublishSettings};
pub use rules::{OUTBOX_RULES, RulesPublisher, rules_key};
pub use settings::{BrandSettings, ModelSettings, PublisherSettings, SurfaceSettings};

use crate::archive::Archive;
use crate::board::Board;
use crate::current::Current;
use crate::fronts::Fronts;

/// What the publisher needs. Clones share it.
#[derive(Clone)]
pub struct PublisherDeps {
    /// Holds `content.enriched`; `events` for the number of its partitions.
    pub log: Arc<dyn EventLog>,
    /// Holds views, outboxes and the archive.
    pub state: Arc<dyn StateStore>,
    /// What edges read.
    pub blobs: Arc<dyn BlobStore>,
    /// Judges what is live.
    pub clock: Arc<dyn Clock>,
    /// Live counters.
    pub metrics: Arc<PublisherMetrics>,
}

/// What the lanes share.
pub(crate) struct Shared {
    pub settings: PublisherSettings,
    pub learned: Option<Arc<dyn LearnedVectors>>,
    pub board: Board,
    pub archive: Archive,
    pub current: Current,
}

/// The publisher.
pub struct Publisher {
    deps: PublisherDeps,
    shared: Arc<Shared>,
}

impl Publisher {
    /// A publisher of what `settings` say. `learned` brings trained vectors, once there are any.
    ///
    /// # Errors
    /// [`PublisherError::Settings`] when the settings contradict themselves.
    pub fn new(
        deps: PublisherDeps,
        settings: PublisherSettings,
        learned: Option<Arc<dyn LearnedVectors>>,
    ) -> PublisherResult<Self> {
        settings.check()?;
        let shared = Arc::new(Shared {
            settings,
            learned,
            board: Board::default(),
            archive: Archive::default(),
            current: Current::default(),
        });
        Ok(Self { deps, shared })
    }

    /// A publisher of rules alone, for a caller that drains no outbox.
    ///
    /// # Errors
    /// When the state store refuses.
    pub async fn rules(&self) -> PublisherResult<RulesPublisher> {
        RulesPublisher::open(self.deps.clone(), self.shared.clone()).await
    }

    /// Publishes profiles alone, for a process whose fronts, rules and models another one publishes: the gate ranks
    /// with what edges had when it began.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_profiles(self, shutdown: watch::Receiver<bool>) -> PublisherResult<()> {
        profiles::run(self.deps, self.shared, shutdown).await
    }

    /// Publishes until `shutdown` turns true (or its sender is gone).
    ///
    /// # Errors
    /// A store that refuses for good. Stores that are away for a while are waited for.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> PublisherResult<()> {
        let Self { deps, shared } = self;
        // Takedowns must be known before the first front is built.
        let rules = RulesPublisher::open(deps.clone(), shared.clone()).await?;
        let fronts = Fronts::open(deps.clone(), shared.clone()).await?;
        let mut lanes = JoinSet::new();
        lanes.spawn(rules.run(shutdown.clone()));
        lanes.spawn(fronts.run(shutdown.clone()));
        lanes.spawn(profiles::run(
            deps.clone(),
            shared.clone(),
            shutdown.clone(),
        ));
        let keeper = (shared.clone(), deps.clone(), shutdown.clone());
        lanes.spawn(async move { keeper.0.archive.run(keeper.1, keeper.2).await });
        lanes.spawn(models::publish_all(deps, shared, shutdown));
        while let Some(done) = lanes.join_next().await {
            match done {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        Ok(())
    }
}
