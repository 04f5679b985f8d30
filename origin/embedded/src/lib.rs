//! The embedded adapter of every port: log, state and blobs in one durable database (fjall).
//!
//! Data path: appends are encoded by their caller, queued to one writer thread, written as one
//! value per partition and synced per group; state commits are checked and written under one lock as
//! one batch, and synced together with whatever else waits for the disk; blobs likewise. All three share the journal of one database, so a machine
//! needs one folder and one process.
//!
//! What it never does: acknowledge before `fdatasync`, queue without a bound, talk to a network,
//! let a second process in (the second one gets an error naming the path).

mod blobs;
mod fault;
mod log;
mod state;
mod syncs;

pub mod limits;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode,
};
use mediaflow_ports::{
    BlobStore, Clock, EventLog, OnlineStore, PortError, PortErrorKind, PortResult, StateStore,
    Summary, SystemClock,
};

use crate::blobs::EmbeddedBlobs;
use crate::log::EmbeddedLog;
use crate::state::EmbeddedState;
use crate::syncs::Syncs;

/// The embedded database. Clones share it; it closes when the last handle of any port is dropped.
#[derive(Clone)]
pub struct Embedded {
    log: Arc<EmbeddedLog>,
    state: Arc<EmbeddedState>,
    blobs: Arc<EmbeddedBlobs>,
    core: Arc<Core>,
}

/// What can be chosen when opening.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// Judges expiry and stamps records.
    pub clock: Arc<dyn Clock>,
    /// Retention compacts after removing this many bytes.
    pub compact_after_bytes: u64,
    /// Bytes of appends that may wait before callers get `Full`.
    pub append_queue_bytes_max: usize,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            compact_after_bytes: limits::COMPACT_AFTER_BYTES,
            append_queue_bytes_max: limits::APPEND_QUEUE_BYTES_MAX,
        }
    }
}

impl Embedded {
    /// Opens the database in the folder `path`, creating it when absent. Blocks for as long as
    /// the journal takes to replay (well under a second).
    ///
    /// # Errors
    /// `Locked` when another process has it open, `Corrupt`, `Unavailable` for IO.
    pub fn open(path: impl AsRef<Path>) -> PortResult<Self> {
        Self::open_with(path, EmbeddedOptions::default())
    }

    /// As [`Embedded::open`], with another clock or other limits.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn open_with(path: impl AsRef<Path>, options: EmbeddedOptions) -> PortResult<Self> {
        let core = Arc::new(Core::open(path.as_ref(), &options)?);
        Ok(Self {
            log: Arc::new(EmbeddedLog::open(core.clone(), &options)?),
            state: Arc::new(EmbeddedState::open(core.clone())),
            blobs: Arc::new(EmbeddedBlobs::open(core.clone())?),
            core,
        })
    }

    /// The event log.
    #[must_use]
    pub fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    /// The state store.
    #[must_use]
    pub fn state(&self) -> Arc<dyn StateStore> {
        self.state.clone()
    }

    /// The online store: the same views as [`Embedded::state`].
    #[must_use]
    pub fn online(&self) -> Arc<dyn OnlineStore> {
        self.state.clone()
    }

    /// The blob store.
    #[must_use]
    pub fn blobs(&self) -> Arc<dyn BlobStore> {
        self.blobs.clone()
    }

    /// Groups of log appends synced since it was opened: how many syncs its log has cost.
    #[must_use]
    pub fn log_groups_synced(&self) -> u64 {
        self.log.groups_synced()
    }

    /// Bytes the database takes on disk now, journals included.
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be read.
    pub fn disk_bytes(&self) -> PortResult<u64> {
        self.core
            .db
            .disk_space()
            .map_err(|e| fault::storage("measure its folder", e))
    }
}

/// What the three stores share.
pub(crate) struct Core {
    db: Database,
    /// Topics, offsets, fences, counters: small rows under composed keys (see [`meta_key`]).
    meta: Keyspace,
    clock: Arc<dyn Clock>,
    path: PathBuf,
    /// Held from the checks of a commit to its write: what was checked is still true when written.
    commit_lock: Mutex<()>,
    syncs: Syncs,
}

impl Core {
    fn open(path: &Path, options: &EmbeddedOptions) -> PortResult<Self> {
        let failed = |e| fault::opening(path, e);
        let db = Database::builder(path)
            .cache_size(limits::CACHE_BYTES)
            .max_journaling_size(limits::JOURNAL_BYTES_MAX)
            .worker_threads(limits::WORKERS)
            // Cores are scarcer than a disk's bytes: compressing every append would cost as much as reading it.
            .journal_compression(CompressionType::None)
            .open()
            .map_err(failed)?;
        let meta = db.keyspace("meta", keyspace_options).map_err(failed)?;
        let (clock, path) = (options.clock.clone(), path.to_owned());
        Ok(Self {
            db,
            meta,
            clock,
            path,
            commit_lock: Mutex::new(()),
            syncs: Syncs::default(),
        })
    }

    fn lock_commits(&self) -> MutexGuard<'_, ()> {
        // The lock guards no data, so a panic of a holder leaves nothing half-changed.
        self.commit_lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch that is on disk when its commit returns.
    fn synced_batch(&self) -> fjall::OwnedWriteBatch {
        self.db.batch().durability(Some(PersistMode::SyncData))
    }

    /// A batch whose commit others can see before it is on disk: acknowledge nothing of it before [`Core::sync`].
    ///
    /// Whoever acts on what they saw commits later, and the journal keeps the order: what is on disk never lacks what it
    /// followed from.
    fn batch(&self) -> fjall::OwnedWriteBatch {
        self.db.batch()
    }

    /// Puts everything committed before this call on disk. Calls that meet share a sync.
    fn sync(&self) -> fjall::Result<()> {
        self.syncs.share(|| self.db.persist(PersistMode::SyncData))
    }

    fn meta_u64(&self, key: &[u8]) -> PortResult<Option<u64>> {
        let row = self
            .meta
            .get(key)
            .map_err(|e| fault::storage("read a counter", e))?;
        row.map(|bytes| {
            let bytes = bytes
                .as_ref()
                .try_into()
                .map_err(|_| fault::corrupt("a counter"))?;
            Ok(u64::from_be_bytes(bytes))
        })
        .transpose()
    }

    fn summary(&self, port: &str) -> Summary {
        let line = format!(
            "{port}: embedded database at {} (one process, one machine, synced on every commit)",
            self.path.display()
        );
        Summary { line, warn: true }
    }
}

fn keyspace_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(limits::MEMTABLE_BYTES)
}

/// Of a topic. A keyspace keeps the options it was made with, so an older database goes on as it was.
fn log_options() -> KeyspaceCreateOptions {
    let apart = KvSeparationOptions::default()
        .separation_threshold(limits::LOG_SEPARATE_BYTES)
        .age_cutoff(1.0)
        .compression(CompressionType::None);
    keyspace_options().with_kv_separation(Some(apart))
}

/// A key of the `meta` keyspace: parts joined by NUL, which no name contains.
pub(crate) fn meta_key(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

/// Runs blocking database work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        PortError::new(
            PortErrorKind::Unavailable,
            "embedded database: a task ended early; retry",
        )
        .with_source(e)
    })?
}
