//! The blob store on Redis, which the Spin edge reads.
//!
//! Data path: a batch is checked, split into bounded pipelines of `SET [EX]` or `UNLINK`, and
//! sent over one multiplexed connection that reconnects by itself. Keys and values are stored
//! verbatim: Spin's key-value provider of type `redis` does a plain `GET key`.
//!
//! What it never does: store metadata (there is no room for it beside a verbatim value), queue,
//! prefix keys (give the blobs a database of their own: `redis://host/3`), log a password.

mod fault;

pub mod limits;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use mediaflow_ports::{
    Blob, BlobEntry, BlobListing, BlobStore, Clock, DeleteReport, Lane, PortError, PortErrorKind,
    PortResult, PortUri, PutFailure, PutReport, Summary, SystemClock,
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{FromRedisValue, Pipeline};

use crate::limits::{
    BLOB_BYTES_MAX, CONNECT_TIMEOUT, KEY_BYTES_MAX, PIPELINE_BYTES_MAX, PIPELINE_COMMANDS_MAX,
    RESPONSE_TIMEOUT, RETRY_PAUSE, SCAN_COUNT, TRIES_MAX,
};

/// Blobs in a Redis database.
pub struct RedisBlobs {
    connection: ConnectionManager,
    /// Only to tell expiry as a point in time; Redis expires by its own clock.
    clock: Arc<dyn Clock>,
    /// The URI without secrets.
    place: String,
}

impl RedisBlobs {
    /// Prepares a connection to `uri` (`redis://[user:password@]host[:port][/database]`); it is
    /// made on first use, so a process starts while Redis is down. Call within a Tokio runtime.
    ///
    /// # Errors
    /// `Invalid` for a malformed URI.
    pub fn open(uri: &PortUri) -> PortResult<Self> {
        let invalid = |e| {
            let message = format!(
                "blob_store = \"{uri}\" is not a redis uri; write it like redis://host:6379/0"
            );
            PortError::new(PortErrorKind::Invalid, message).with_source(e)
        };
        let client = redis::Client::open(uri.to_secret_string()).map_err(invalid)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(1);
        let connection =
            ConnectionManager::new_lazy_with_config(client, config).map_err(invalid)?;
        Ok(Self {
            connection,
            clock: Arc::new(SystemClock),
            place: uri.to_string(),
        })
    }

    /// Sends a pipeline, again when the connection broke: every command here is idempotent.
    async fn send<T: FromRedisValue>(&self, doing: &str, pipeline: &Pipeline) -> PortResult<T> {
        let mut pause = RETRY_PAUSE;
        let mut tried = 1;
        loop {
            let mut connection = self.connection.clone();
            let error = match pipeline.query_async::<T>(&mut connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => fault::answer(&self.place, doing, error),
            };
            if tried == TRIES_MAX || error.kind() != PortErrorKind::Unavailable {
                return Err(error);
            }
            tracing::debug!(%error, tried, "trying redis again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            tried += 1;
        }
    }

    /// The `limit + 1` smallest keys after `after`: Redis has no order, so all are looked at.
    async fn smallest_keys(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<Vec<String>> {
        let mut keys: BTreeSet<String> = BTreeSet::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::pipe();
            scan.cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern(prefix));
            scan.arg("COUNT").arg(SCAN_COUNT);
            let ((next, page),): ((u64, Vec<Vec<u8>>),) = self.send("list keys", &scan).await?;
            // A key that is not UTF-8 is not ours.
            for key in page
                .into_iter()
                .filter_map(|key| String::from_utf8(key).ok())
            {
                if after.is_none_or(|after| key.as_str() > after) {
                    keys.insert(key);
                    if keys.len() > limit + 1 {
                        keys.pop_last();
                    }
                }
            }
            cursor = next;
            if cursor == 0 {
                return Ok(keys.into_iter().collect());
            }
        }
    }
}

#[async_trait]
impl BlobStore for RedisBlobs {
    async fn put_many(&self, _lane: Lane, blobs: Vec<Blob>) -> PortResult<PutReport> {
        let mut report = PutReport::default();
        // Of two blobs with one key the later wins; the earlier counts as overtaken, hence written.
        let mut latest: HashMap<String, Blob> = HashMap::with_capacity(blobs.len());
        let mut copies: HashMap<String, usize> = HashMap::new();
        for blob in blobs {
            match check(&blob) {
                Ok(()) => {
                    *copies.entry(blob.key.clone()).or_default() += 1;
                    latest.insert(blob.key.clone(), blob);
                }
                Err(reason) => report.failed.push(PutFailure {
                    key: blob.key,
                    reason,
                }),
            }
        }
        for group in groups(latest.into_values().collect()) {
            let mut pipeline = redis::pipe();
            for blob in &group {
                pipeline.cmd("SET").arg(&blob.key).arg(&blob.value[..]);
                if let Some(ttl_s) = blob.ttl_s {
                    pipeline.arg("EX").arg(ttl_s);
                }
                pipeline.ignore();
            }
            let sent = self.send::<()>("write blobs", &pipeline).await;
            match sent {
                Ok(()) => report.written += group.iter().map(|b| copies[&b.key]).sum::<usize>(),
                Err(error) if error.kind() == PortErrorKind::Unauthorized => return Err(error),
                Err(error) => report
                    .failed
                    .extend(group.into_iter().map(|blob| PutFailure {
                        key: blob.key,
                        reason: PortError::new(error.kind(), error.to_string()),
                    })),
            }
        }
        Ok(report)
    }

    async fn delete_many(&self, _lane: Lane, keys: Vec<String>) -> PortResult<DeleteReport> {
        let mut report = DeleteReport::default();
        for group in keys.chunks(PIPELINE_COMMANDS_MAX) {
            let mut pipeline = redis::pipe();
            for key in group {
                pipeline.cmd("UNLINK").arg(key).ignore();
            }
            match self.send::<()>("delete blobs", &pipeline).await {
                Ok(()) => report.deleted += group.len(),
                Err(error) if error.kind() == PortErrorKind::Unauthorized => return Err(error),
                Err(error) => report.failed.extend(group.iter().map(|key| PutFailure {
                    key: key.clone(),
                    reason: PortError::new(error.kind(), error.to_string()),
                })),
            }
        }
        Ok(report)
    }

    async fn get(&self, key: &str) -> PortResult<Option<Blob>> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg(key).cmd("PTTL").arg(key);
        let (value, left_ms): (Option<Vec<u8>>, i64) = self.send("read a blob", &pipeline).await?;
        let ttl_s = u64::try_from(left_ms).ok().map(|ms| ms.div_ceil(1_000));
        Ok(value.map(|value| Blob {
            ttl_s,
            ..Blob::new(key, value)
        }))
    }

    /// Looks at every key of the database per page (some milliseconds per 10,000 keys): for
    /// people and tests, not for a request path.
    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<BlobListing> {
        let mut keys = self.smallest_keys(prefix, after, limit).await?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = if more { keys.last().cloned() } else { None };
        let mut entries = Vec::with_capacity(keys.len());
        for group in keys.chunks(PIPELINE_COMMANDS_MAX) {
            let mut pipeline = redis::pipe();
            for key in group {
                pipeline.cmd("PTTL").arg(key);
            }
            let left_ms: Vec<i64> = self.send("list keys", &pipeline).await?;
            let now_ms = self.clock.now_ms();
            for (key, left_ms) in group.iter().zip(left_ms) {
                // -1: never expires; -2: went since the scan.
                if left_ms == -2 {
                    continue;
                }
                let expires_s = (left_ms >= 0).then(|| (now_ms + left_ms).div_euclid(1_000));
                entries.push(BlobEntry {
                    key: key.clone(),
                    expires_s,
                    metadata: None,
                });
            }
        }
        Ok(BlobListing { entries, next })
    }

    fn summary(&self) -> Summary {
        let line = format!("blob_store: {} (keys verbatim, read by Spin)", self.place);
        Summary { line, warn: false }
    }
}

/// Splits a batch into pipelines of bounded size.
fn groups(blobs: Vec<Blob>) -> Vec<Vec<Blob>> {
    let mut groups: Vec<Vec<Blob>> = Vec::new();
    let mut bytes = usize::MAX;
    for blob in blobs {
        let size = blob.key.len() + blob.value.len();
        let full = groups
            .last()
            .is_none_or(|group| group.len() == PIPELINE_COMMANDS_MAX);
        if full || bytes.saturating_add(size) > PIPELINE_BYTES_MAX {
            groups.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(group) = groups.last_mut() {
            group.push(blob);
        }
    }
    groups
}

/// A glob that matches exactly the keys beginning with `prefix`.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    pattern
}

fn check(blob: &Blob) -> PortResult<()> {
    if matches!(blob.key.as_str(), "" | "." | "..") {
        let message = format!("blob key \"{}\" is reserved; name it otherwise", blob.key);
        return Err(PortError::new(PortErrorKind::Invalid, message));
    }
    if blob.ttl_s == Some(0) {
        let message = format!(
            "blob \"{}\": a time to live of 0 s; delete it instead",
            blob.key
        );
        return Err(PortError::new(PortErrorKind::Invalid, message));
    }
    for (what, bytes, bytes_max) in [
        ("key", blob.key.len(), KEY_BYTES_MAX),
        ("value", blob.value.len(), BLOB_BYTES_MAX),
    ] {
        if bytes > bytes_max {
            let message =
                format!("a blob's {what} has {bytes} bytes, at most {bytes_max}; shorten it");
            return Err(PortError::new(PortErrorKind::TooLarge, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_are_bounded_and_lose_nothing() {
        let blob = |n: usize, bytes: usize| Blob::new(n.to_string(), vec![0; bytes]);
        let many: Vec<_> = (0..1_201).map(|n| blob(n, 10)).collect();
        let sizes: Vec<_> = groups(many).iter().map(Vec::len).collect();
        assert_eq!(sizes, [500, 500, 201]);
        let large: Vec<_> = (0..3).map(|n| blob(n, PIPELINE_BYTES_MAX)).collect();
        assert_eq!(groups(large).len(), 3);
        assert!(groups(Vec::new()).is_empty());
    }

    #[test]
    fn a_prefix_is_matched_literally() {
        assert_eq!(pattern("f/[a]*?\\"), "f/\\[a\\]\\*\\?\\\\*");
    }
}
