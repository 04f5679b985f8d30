//! What was published, by version, for as long as a feed may be replayed.
//!
//! Written before the value itself is published, so that whatever an edge serves can be found. Fronts are many and
//! alike: they are kept as lists of [`chunks`](crate::chunks), each stored once. Rules and models that stay in force
//! are archived anew every hour; fronts are, by being rebuilt.

use bytes::Bytes;
use mediaflow_ports::{Commit, PortResult, StateStore};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_128;

use crate::PublisherDeps;
use crate::chunks::split;
use crate::error::PublisherResult;
use crate::limits::{ARCHIVE_CHUNKS_KNOWN_MAX, ARCHIVE_RENEW, ARCHIVE_TTL_MS};
use crate::push::{retrying, stopped, stopping};

/// Fronts by their version, 8 bytes big-endian: a version byte, then the 16-byte keys of their chunks.
pub const VIEW_FRONT: &str = "archive.front";
/// Pieces of fronts by XXH3-128, big-endian.
pub const VIEW_CHUNK: &str = "archive.chunk";
/// Rules by their version, 8 bytes big-endian.
pub const VIEW_RULES: &str = "archive.rules";
/// Models by brand, NUL and id (4 bytes big-endian).
pub const VIEW_MODEL: &str = "archive.model";

/// First byte of a list of chunks.
const LIST_VERSION: u8 = 1;

/// The key of a front or of rules.
#[must_use]
pub fn version_key(version: u64) -> Bytes {
    Bytes::copy_from_slice(&version.to_be_bytes())
}

/// The key of a model.
#[must_use]
pub fn model_key(brand: &str, id: u32) -> Bytes {
    [brand.as_bytes(), &[0], &id.to_be_bytes()].concat().into()
}

/// An archived value: its view, key and bytes.
type Held = (&'static str, Bytes, Bytes);

/// What is in the archive, as far as this process put it there.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// Rules and models in force, by KV key.
    current: Mutex<HashMap<String, Held>>,
    /// Chunks, and until when they are kept.
    chunks: Mutex<HashMap<u128, i64>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Archive {
    /// Archives rules or a model about to be published under `kv_key`.
    pub async fn hold(&self, deps: &PublisherDeps, kv_key: &str, held: Held) -> PortResult<()> {
        put(deps, &held).await?;
        lock(&self.current).insert(kv_key.to_owned(), held);
        Ok(())
    }

    /// Archives a front about to be published.
    pub async fn hold_front(
        &self,
        deps: &PublisherDeps,
        version: u64,
        bytes: &Bytes,
    ) -> PortResult<()> {
        let until_ms = deps.clock.now_ms() + ARCHIVE_TTL_MS;
        // A chunk outlives the lists that name it: it is written again once that would not hold any more.
        let chunk_until_ms = until_ms + ARCHIVE_TTL_MS;
        let mut list = vec![LIST_VERSION];
        let mut commit = Commit::new();
        let mut new = Vec::new();
        {
            let known = lock(&self.chunks);
            for chunk in split(bytes) {
                let hash = xxh3_128(chunk);
                list.extend_from_slice(&hash.to_be_bytes());
                if known.get(&hash).is_none_or(|until| *until < until_ms) {
                    let key = hash.to_be_bytes().to_vec();
                    let value = bytes.slice_ref(chunk);
                    commit = commit.put_until(VIEW_CHUNK, key, value, chunk_until_ms);
                    new.push(hash);
                }
            }
        }
        let commit = commit.put_until(VIEW_FRONT, version_key(version), list, until_ms);
        retrying(|| deps.state.commit(commit.clone())).await?;
        let mut known = lock(&self.chunks);
        if known.len() + new.len() > ARCHIVE_CHUNKS_KNOWN_MAX {
            known.clear();
        }
        known.extend(new.into_iter().map(|hash| (hash, chunk_until_ms)));
        Ok(())
    }

    /// Archives rules and models in force anew.
    async fn renew(&self, deps: &PublisherDeps) -> PortResult<()> {
        let all: Vec<Held> = lock(&self.current).values().cloned().collect();
        for held in &all {
            put(deps, held).await?;
        }
        Ok(())
    }

    /// Renews every hour until told to stop.
    pub async fn run(
        &self,
        deps: PublisherDeps,
        mut shutdown: watch::Receiver<bool>,
    ) -> PublisherResult<()> {
        while !stopping(&shutdown) {
            tokio::select! {
                () = sleep(ARCHIVE_RENEW) => self.renew(&deps).await?,
                () = stopped(&mut shutdown) => {}
            }
        }
        Ok(())
    }
}

async fn put(deps: &PublisherDeps, (view, key, value): &Held) -> PortResult<()> {
    let until_ms = deps.clock.now_ms() + ARCHIVE_TTL_MS;
    let commit = Commit::new().put_until(view, key.clone(), value.clone(), until_ms);
    retrying(|| deps.state.commit(commit.clone())).await
}

/// An archived front; `None` when it, or a piece of it, is no longer there.
///
/// # Errors
/// When the store refuses.
pub async fn front(state: &dyn StateStore, version: u64) -> PortResult<Option<Vec<u8>>> {
    let Some(list) = state.get(VIEW_FRONT, &version_key(version)).await? else {
        return Ok(None);
    };
    let Some((&LIST_VERSION, rest)) = list.split_first() else {
        return Ok(None);
    };
    let (keys, _) = rest.as_chunks::<16>();
    let keys: Vec<Bytes> = keys.iter().map(|k| Bytes::copy_from_slice(k)).collect();
    let chunks = state.multi_get(VIEW_CHUNK, &keys).await?;
    let whole: Option<Vec<Bytes>> = chunks.into_iter().collect();
    Ok(whole.map(|c| c.concat()))
}
