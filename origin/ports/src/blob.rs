//! The blob store: what the edges read. Small values by key, pushed in batches.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{PortError, PortResult, Summary};

/// Who is pushing. A store that queues gives each lane its own queue, so that an editor's pin
/// never waits behind a million profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Editors' decisions: seconds count.
    Rules,
    /// Candidate lists, rebuilt every minute or so.
    Fronts,
    /// Readers' profiles: many, patient.
    Profiles,
    /// Models and weights: large, rare.
    Models,
}

impl Lane {
    /// Every lane, most urgent first.
    pub const ALL: [Self; 4] = [Self::Rules, Self::Fronts, Self::Models, Self::Profiles];

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Fronts => "fronts",
            Self::Profiles => "profiles",
            Self::Models => "models",
        }
    }
}

/// A value to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// At most 512 bytes (Workers KV's limit), not empty, not `.` or `..`.
    pub key: String,
    /// At most 25 MiB (Workers KV's limit).
    pub value: Bytes,
    /// Seconds until it is gone; `None` = never. Workers KV refuses less than 60.
    pub ttl_s: Option<u64>,
    /// JSON of at most 1,024 bytes kept beside the value and shown by `list`.
    pub metadata: Option<String>,
}

impl Blob {
    /// A blob that stays, without metadata.
    pub fn new(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            ttl_s: None,
            metadata: None,
        }
    }
}

/// A key that was not written or deleted.
#[derive(Debug)]
pub struct PutFailure {
    /// The blob's key.
    pub key: String,
    /// Why, with [`PortError::is_retryable`].
    pub reason: PortError,
}

/// What became of a batch of puts.
#[derive(Debug, Default)]
pub struct PutReport {
    /// Keys that hold their new value now.
    pub written: usize,
    /// The others.
    pub failed: Vec<PutFailure>,
}

/// What became of a batch of deletes.
#[derive(Debug, Default)]
pub struct DeleteReport {
    /// Keys that are gone now, whether or not they existed.
    pub deleted: usize,
    /// The others.
    pub failed: Vec<PutFailure>,
}

/// A blob as stored, without its value in listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its key.
    pub key: String,
    /// When it goes, seconds since the Unix epoch; `None` = never.
    pub expires_s: Option<i64>,
    /// What was stored beside the value.
    pub metadata: Option<String>,
}

/// A page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlobListing {
    /// Entries in byte order of their keys where the store has an order.
    pub entries: Vec<BlobEntry>,
    /// Pass as `after` to go on; `None` when the listing is complete. Opaque.
    pub next: Option<String>,
}

/// Key-value storage that edges read.
#[async_trait]
pub trait BlobStore: Send + Sync + 'static {
    /// Writes a batch; of two blobs with one key the later wins. Part of it may fail.
    ///
    /// # Errors
    /// Only when nothing of the batch could be tried, such as `Unauthorized`; all else is in the report.
    async fn put_many(&self, lane: Lane, blobs: Vec<Blob>) -> PortResult<PutReport>;

    /// Deletes a batch; a key that does not exist counts as deleted.
    ///
    /// # Errors
    /// As [`BlobStore::put_many`].
    async fn delete_many(&self, lane: Lane, keys: Vec<String>) -> PortResult<DeleteReport>;

    /// The value and metadata of a key.
    async fn get(&self, key: &str) -> PortResult<Option<Blob>>;

    /// Entries whose keys begin with `prefix`: at most `limit`, from the cursor `after` on. A store
    /// whose own pages are unordered may answer fewer than `limit` before the end.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<BlobListing>;

    /// As [`crate::StateStore::sweep`]; a store that expires by itself answers 0.
    async fn sweep(&self, _max: usize) -> PortResult<u64> {
        Ok(0)
    }

    /// One line for the start-up log.
    fn summary(&self) -> Summary;
}
