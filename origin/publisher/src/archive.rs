//! What was published, by version, for as long as a feed may be replayed.
//!
//! Written before the value itself is published, so that whatever an edge serves can be found. What stays in force is
//! archived anew every hour.

use bytes::Bytes;
use mediaflow_ports::{Commit, PortResult, StateStore};
use std::collections::HashMap;
use tokio::sync::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::PublisherDeps;
use crate::error::PublisherResult;
use crate::limits::{ARCHIVE_RENEW, ARCHIVE_TTL_MS};
use crate::push::{retrying, stopped, stopping};

/// Fronts by their version, 8 bytes big-endian.
pub const VIEW_FRONT: &str = "archive.front";
/// Rules by their version, 8 bytes big-endian.
pub const VIEW_RULES: &str = "archive.rules";
/// Models by brand, NUL and id (4 bytes big-endian).
pub const VIEW_MODEL: &str = "archive.model";

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

/// What is in force, by KV key: its view, archive key and bytes.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    current: Mutex<HashMap<String, (&'static str, Bytes, Bytes)>>,
}

impl Archive {
    /// Archives a value about to be published under `kv_key`.
    pub async fn hold(
        &self,
        deps: &PublisherDeps,
        kv_key: &str,
        (view, key, value): (&'static str, Bytes, Bytes),
    ) -> PortResult<()> {
        let until_ms = deps.clock.now_ms() + ARCHIVE_TTL_MS;
        let commit = Commit::new().put_until(view, key.clone(), value.clone(), until_ms);
        retrying(|| deps.state.commit(commit.clone())).await?;
        let mut current = self.current.lock().await;
        current.insert(kv_key.to_owned(), (view, key, value));
        Ok(())
    }

    /// Archives everything in force anew.
    pub async fn renew(&self, deps: &PublisherDeps) -> PortResult<()> {
        let all: Vec<_> = self.current.lock().await.values().cloned().collect();
        for (view, key, value) in all {
            let until_ms = deps.clock.now_ms() + ARCHIVE_TTL_MS;
            let commit = Commit::new().put_until(view, key, value, until_ms);
            retrying(|| deps.state.commit(commit.clone())).await?;
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

/// An archived value.
///
/// # Errors
/// When the store refuses.
pub async fn load(state: &dyn StateStore, view: &str, key: &[u8]) -> PortResult<Option<Bytes>> {
    state.get(view, key).await
}
