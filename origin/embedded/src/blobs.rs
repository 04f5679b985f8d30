//! The blob store on the embedded database: what workerd reads as a KV namespace.
//!
//! Stored: version u8 = 1 | expires_s i64, `i64::MAX` = never | metadata_len u32, `u32::MAX` =
//! none | metadata | value, big-endian.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use fjall::Keyspace;
use mediaflow_ports::{
    Blob, BlobEntry, BlobListing, BlobStore, DeleteReport, Lane, PortError, PortErrorKind,
    PortResult, PutFailure, PutReport, Summary,
};

use crate::limits::{
    BLOB_BYTES_MAX, BLOB_KEY_BYTES_MAX, BLOB_METADATA_BYTES_MAX, REMOVE_BATCH_MAX,
};
use crate::{Core, blocking, fault, keyspace_options};

const VERSION: u8 = 1;

pub(crate) struct EmbeddedBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    blobs: Keyspace,
    /// The last key the sweep looked at.
    swept: Mutex<Option<Bytes>>,
}

impl EmbeddedBlobs {
    pub(crate) fn open(core: Arc<Core>) -> PortResult<Self> {
        let blobs = core
            .db
            .keyspace("blobs", keyspace_options)
            .map_err(|e| fault::storage("open the blobs", e))?;
        Ok(Self {
            inner: Arc::new(Inner {
                core,
                blobs,
                swept: Mutex::new(None),
            }),
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl BlobStore for EmbeddedBlobs {
    async fn put_many(&self, _lane: Lane, blobs: Vec<Blob>) -> PortResult<PutReport> {
        self.run(move |inner| inner.put_many(blobs)).await
    }

    async fn delete_many(&self, _lane: Lane, keys: Vec<String>) -> PortResult<DeleteReport> {
        self.run(move |inner| inner.delete_many(&keys)).await
    }

    async fn get(&self, key: &str) -> PortResult<Option<Blob>> {
        let key = key.to_owned();
        self.run(move |inner| inner.get(key)).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<BlobListing> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.run(move |inner| inner.list(&prefix, after.as_deref(), limit))
            .await
    }

    async fn sweep(&self, max: usize) -> PortResult<u64> {
        self.run(move |inner| inner.sweep(max)).await
    }

    fn summary(&self) -> Summary {
        self.inner.core.summary("blob_store")
    }
}

impl Inner {
    fn put_many(&self, blobs: Vec<Blob>) -> PortResult<PutReport> {
        let now_s = self.core.clock.now_ms().div_euclid(1_000);
        let mut report = PutReport::default();
        // A fjall batch may hold a key only once; the later blob wins.
        let mut rows: HashMap<String, Vec<u8>> = HashMap::with_capacity(blobs.len());
        for blob in blobs {
            match check(&blob) {
                Ok(()) => {
                    let row = encode(&blob, now_s);
                    rows.insert(blob.key, row);
                    report.written += 1;
                }
                Err(reason) => report.failed.push(PutFailure {
                    key: blob.key,
                    reason,
                }),
            }
        }
        let mut batch = self.core.synced_batch();
        for (key, row) in rows {
            batch.insert(&self.blobs, key, row);
        }
        let _lock = self.core.lock_commits();
        batch
            .commit()
            .map_err(|e| fault::storage("write blobs", e))?;
        Ok(report)
    }

    fn delete_many(&self, keys: &[String]) -> PortResult<DeleteReport> {
        let mut batch = self.core.synced_batch();
        let unique: std::collections::BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        for key in unique
            .iter()
            .filter(|key| !key.is_empty() && key.len() <= BLOB_KEY_BYTES_MAX)
        {
            batch.remove(&self.blobs, *key);
        }
        let _lock = self.core.lock_commits();
        batch
            .commit()
            .map_err(|e| fault::storage("delete blobs", e))?;
        Ok(DeleteReport {
            deleted: keys.len(),
            failed: Vec::new(),
        })
    }

    fn get(&self, key: String) -> PortResult<Option<Blob>> {
        if key.is_empty() || key.len() > BLOB_KEY_BYTES_MAX {
            return Ok(None);
        }
        let stored = self
            .blobs
            .get(&key)
            .map_err(|e| fault::storage("read a blob", e))?;
        let Some(stored) = stored else {
            return Ok(None);
        };
        let (head, value) = decode(stored.into())?;
        let now_ms = self.core.clock.now_ms();
        if head.expired(now_ms) {
            return Ok(None);
        }
        let ttl_s = head
            .expires_s
            .map(|at| (at - now_ms.div_euclid(1_000)).max(0).unsigned_abs());
        Ok(Some(Blob {
            key,
            value,
            ttl_s,
            metadata: head.metadata,
        }))
    }

    fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> PortResult<BlobListing> {
        let now_ms = self.core.clock.now_ms();
        let start = match after {
            Some(after) if after >= prefix => [after.as_bytes(), &[0]].concat(),
            _ => prefix.as_bytes().to_vec(),
        };
        let mut listing = BlobListing::default();
        for guard in self.blobs.range(start..) {
            let (key, stored) = guard
                .into_inner()
                .map_err(|e| fault::storage("list blobs", e))?;
            if !key.starts_with(prefix.as_bytes()) {
                break;
            }
            let (head, _) = decode(stored.into())?;
            if head.expired(now_ms) {
                continue;
            }
            if listing.entries.len() == limit {
                listing.next = listing.entries.last().map(|entry| entry.key.clone());
                break;
            }
            let key =
                String::from_utf8(key.to_vec()).map_err(|_| fault::corrupt("a blob's key"))?;
            let Head {
                expires_s,
                metadata,
            } = head;
            listing.entries.push(BlobEntry {
                key,
                expires_s,
                metadata,
            });
        }
        Ok(listing)
    }

    fn sweep(&self, max: usize) -> PortResult<u64> {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut looked_at, mut removed) = (0, 0);
        while looked_at < max {
            let budget = REMOVE_BATCH_MAX.min(max - looked_at);
            let (seen, gone, last) = self.sweep_page(swept.take(), budget)?;
            looked_at += seen;
            removed += gone;
            if seen < budget {
                return Ok(removed);
            }
            *swept = last;
        }
        Ok(removed)
    }

    fn sweep_page(
        &self,
        after: Option<Bytes>,
        budget: usize,
    ) -> PortResult<(usize, u64, Option<Bytes>)> {
        let failed = |e| fault::storage("sweep blobs", e);
        let now_ms = self.core.clock.now_ms();
        let start = after
            .map(|key| [&key[..], &[0]].concat())
            .unwrap_or_default();
        // Held throughout: a put between the look and the removal would be lost.
        let _lock = self.core.lock_commits();
        let mut batch = self.core.synced_batch();
        let (mut seen, mut last) = (0, None);
        for guard in self.blobs.range(start..).take(budget) {
            let (key, stored) = guard.into_inner().map_err(failed)?;
            seen += 1;
            if decode(stored.into())?.0.expired(now_ms) {
                batch.remove(&self.blobs, key.clone());
            }
            last = Some(key.into());
        }
        let removed = batch.len() as u64;
        batch.commit().map_err(failed)?;
        Ok((seen, removed, last))
    }
}

struct Head {
    expires_s: Option<i64>,
    metadata: Option<String>,
}

impl Head {
    fn expired(&self, now_ms: i64) -> bool {
        self.expires_s
            .is_some_and(|at| now_ms >= at.saturating_mul(1_000))
    }
}

fn encode(blob: &Blob, now_s: i64) -> Vec<u8> {
    let expires_s = blob
        .ttl_s
        .map_or(i64::MAX, |ttl| now_s.saturating_add_unsigned(ttl));
    let metadata = blob.metadata.as_deref().unwrap_or_default();
    let metadata_len = blob.metadata.as_ref().map_or(u32::MAX, |m| m.len() as u32);
    let mut row = Vec::with_capacity(13 + metadata.len() + blob.value.len());
    row.push(VERSION);
    row.extend_from_slice(&expires_s.to_be_bytes());
    row.extend_from_slice(&metadata_len.to_be_bytes());
    row.extend_from_slice(metadata.as_bytes());
    row.extend_from_slice(&blob.value);
    row
}

fn decode(mut row: Bytes) -> PortResult<(Head, Bytes)> {
    let corrupt = || fault::corrupt("a blob");
    if row.len() < 13 || row[0] != VERSION {
        return Err(corrupt());
    }
    row.advance(1);
    let expires_s = Some(row.get_i64()).filter(|at| *at != i64::MAX);
    let metadata = match row.get_u32() {
        u32::MAX => None,
        len if row.len() < len as usize => return Err(corrupt()),
        len => Some(String::from_utf8(row.split_to(len as usize).to_vec()).map_err(|_| corrupt())?),
    };
    Ok((
        Head {
            expires_s,
            metadata,
        },
        row,
    ))
}

/// The limits of Workers KV, so that what works here works there.
fn check(blob: &Blob) -> PortResult<()> {
    if matches!(blob.key.as_str(), "" | "." | "..") {
        return Err(PortError::new(
            PortErrorKind::Invalid,
            format!("blob key \"{}\" is reserved; name it otherwise", blob.key),
        ));
    }
    let metadata_bytes = blob.metadata.as_ref().map_or(0, String::len);
    for (what, bytes, bytes_max) in [
        ("a blob's key", blob.key.len(), BLOB_KEY_BYTES_MAX),
        ("a blob", blob.value.len(), BLOB_BYTES_MAX),
        ("a blob's metadata", metadata_bytes, BLOB_METADATA_BYTES_MAX),
    ] {
        if bytes > bytes_max {
            return Err(PortError::too_large(what, bytes, bytes_max));
        }
    }
    Ok(())
}
