//! The blob store on Cloudflare Workers KV, through its REST API.
//!
//! Data path: a batch is checked and reduced to one value per key; keys written less than a
//! second ago wait for their second; the rest goes out in bulk calls of bounded size, retried by
//! `api` as Cloudflare documents; keys it reports as unsuccessful are sent again. Each lane sends
//! one call at a time and knows nothing of the others, so rules never wait behind profiles.
//! While a batch waits, a later put of the same key in its lane replaces the value: the earlier
//! one is not sent and counts as written.
//!
//! What it never does: queue beyond its callers, log a token or a value, promise that an edge
//! sees a write at once (Cloudflare: up to 60 seconds).

mod api;
mod pace;
mod wire;

pub mod limits;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use mediaflow_ports::{
    Blob, BlobListing, BlobStore, Clock, DeleteReport, Lane, PortError, PortErrorKind, PortResult,
    PortUri, PutFailure, PutReport, Summary, SystemClock,
};

use crate::api::{Api, same};
use crate::limits::{BACKOFF_FIRST, LIST_KEYS, PAIRS_MAX, TRIES_MAX};
use crate::pace::{LaneQueue, Pace};

/// Where Cloudflare's API lives.
pub const API_BASE: &str = "https://api.cloudflare.com/client/v4";
/// The environment variable that holds the API token (permission: Workers KV Storage Write).
pub const TOKEN_VARIABLE: &str = "CLOUDFLARE_API_TOKEN";

/// A random number, for the jitter of pauses. Any 64 bits will do.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What the adapter needs to know.
#[derive(Clone)]
pub struct CloudflareConfig {
    /// The account's identifier.
    pub account: String,
    /// The namespace's identifier.
    pub namespace: String,
    /// The API token; never logged.
    pub token: String,
    /// [`API_BASE`], or a local server in tests.
    pub api_base: String,
    /// First pause before a retry.
    pub backoff_first: Duration,
    /// Jitter.
    pub random: Random,
    /// Judges how long a value still lives.
    pub clock: Arc<dyn Clock>,
}

impl CloudflareConfig {
    /// For `cloudflare://account/namespace`, with a token the caller read from [`TOKEN_VARIABLE`].
    ///
    /// # Errors
    /// `Invalid` for a malformed URI, `Unauthorized` for an empty token.
    pub fn new(uri: &PortUri, token: impl Into<String>, random: Random) -> PortResult<Self> {
        let token = token.into();
        let is_id = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let Some((account, namespace)) = uri
            .rest()
            .split_once('/')
            .filter(|(a, n)| is_id(a) && is_id(n))
        else {
            let message = format!(
                "blob_store = \"{uri}\" does not name a namespace; \
                 write it like cloudflare://<account id>/<namespace id>"
            );
            return Err(PortError::new(PortErrorKind::Invalid, message));
        };
        if token.trim().is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let message = format!(
                "blob_store = \"{uri}\" needs an api token; set {TOKEN_VARIABLE} to one with the \
                 permission Workers KV Storage Write"
            );
            return Err(PortError::new(PortErrorKind::Unauthorized, message));
        }
        Ok(Self {
            account: account.to_owned(),
            namespace: namespace.to_owned(),
            token,
            api_base: API_BASE.to_owned(),
            backoff_first: BACKOFF_FIRST,
            random,
            clock: Arc::new(SystemClock),
        })
    }
}

/// Blobs in a Workers KV namespace.
pub struct CloudflareBlobs {
    api: Api,
    pace: Pace,
    lanes: HashMap<Lane, LaneQueue>,
    clock: Arc<dyn Clock>,
}

impl CloudflareBlobs {
    /// Prepares the client; nothing is sent before the first call.
    ///
    /// # Errors
    /// `Unavailable` when the machine's certificate store cannot be read.
    pub fn new(config: CloudflareConfig) -> PortResult<Self> {
        let lanes = Lane::ALL
            .into_iter()
            .map(|lane| (lane, LaneQueue::default()))
            .collect();
        let clock = config.clock.clone();
        Ok(Self {
            api: Api::new(config)?,
            pace: Pace::default(),
            lanes,
            clock,
        })
    }

    /// Sends what is due of `waiting`, group by group, until nothing is left.
    async fn drain(
        &self,
        queue: &LaneQueue,
        mut waiting: Vec<(Blob, u64)>,
        report: &mut PutReport,
    ) -> PortResult<()> {
        while !waiting.is_empty() {
            // Overtaken by a later put while this one waited.
            let before = waiting.len();
            waiting.retain(|(blob, ticket)| queue.is_latest(&blob.key, *ticket));
            report.written += before - waiting.len();
            let (due, later): (Vec<_>, Vec<_>) = waiting
                .into_iter()
                .partition(|(blob, _)| self.pace.is_due(&blob.key));
            waiting = later;
            if due.is_empty() {
                self.pace
                    .wait_for_any(waiting.iter().map(|(blob, _)| blob.key.as_str()))
                    .await;
                continue;
            }
            for group in wire::groups(due.into_iter().map(|(blob, _)| blob).collect()) {
                let nothing_tried = report.written == 0 && report.failed.is_empty();
                match self.put_group(&group, report).await {
                    Err(error) if nothing_tried && !error.is_retryable() => return Err(error),
                    Err(error) => {
                        fail_all(&mut report.failed, group.iter().map(|b| &*b.key), &error)
                    }
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// One bulk write, and again for the keys Cloudflare says to retry.
    async fn put_group(&self, group: &[Blob], report: &mut PutReport) -> PortResult<()> {
        let mut left: Vec<&Blob> = group.iter().collect();
        for tried in 1..=TRIES_MAX {
            let body = wire::bulk_write(&left)?;
            self.pace.written(left.iter().map(|blob| blob.key.as_str()));
            let answer = match self.api.call(Method::PUT, "bulk", Some(body)).await {
                Ok(answer) => answer,
                Err(error) if tried == 1 => return Err(error),
                Err(error) => {
                    fail_all(&mut report.failed, left.iter().map(|b| &*b.key), &error);
                    return Ok(());
                }
            };
            let unsuccessful = wire::unsuccessful_keys(&answer)?;
            let sent = left.len();
            left.retain(|blob| unsuccessful.contains(&blob.key));
            report.written += sent - left.len();
            if left.is_empty() {
                return Ok(());
            }
            self.api.pause(tried).await;
            self.pace
                .wait_for_all(left.iter().map(|blob| blob.key.as_str()))
                .await;
        }
        let error = PortError::new(
            PortErrorKind::Unavailable,
            format!("workers kv did not take the key in {TRIES_MAX} tries; retry later"),
        );
        fail_all(&mut report.failed, left.iter().map(|b| &*b.key), &error);
        Ok(())
    }

    async fn delete_group(&self, keys: &[&str]) -> PortResult<HashSet<String>> {
        let mut left: Vec<&str> = keys.to_vec();
        let mut unsuccessful = HashSet::new();
        for tried in 1..=TRIES_MAX {
            let body = wire::bulk_delete(&left)?;
            let answer = self
                .api
                .call(Method::POST, "bulk/delete", Some(body))
                .await?;
            unsuccessful = wire::unsuccessful_keys(&answer)?;
            left.retain(|key| unsuccessful.contains(*key));
            if left.is_empty() {
                break;
            }
            self.api.pause(tried).await;
        }
        Ok(unsuccessful)
    }
}

#[async_trait]
impl BlobStore for CloudflareBlobs {
    async fn put_many(&self, lane: Lane, blobs: Vec<Blob>) -> PortResult<PutReport> {
        let mut report = PutReport::default();
        let mut latest: HashMap<String, Blob> = HashMap::with_capacity(blobs.len());
        for blob in blobs {
            match wire::check(&blob) {
                // Of two blobs with one key the earlier is overtaken, which counts as written.
                Ok(()) => {
                    report.written += usize::from(latest.insert(blob.key.clone(), blob).is_some());
                }
                Err(reason) => report.failed.push(PutFailure {
                    key: blob.key,
                    reason,
                }),
            }
        }
        if latest.is_empty() {
            return Ok(report);
        }
        let mut sent = PutReport::default();
        let queue = &self.lanes[&lane];
        // The ticket is taken before waiting for the lane, so that a waiting put can be overtaken.
        let announced = queue.announce(latest.keys());
        let ticket = announced.ticket;
        let mut waiting: Vec<_> = latest.into_values().map(|blob| (blob, ticket)).collect();
        waiting.sort_unstable_by(|(a, _), (b, _)| a.key.cmp(&b.key));
        let _turn = queue.turn().await;
        self.drain(queue, waiting, &mut sent).await?;
        report.written += sent.written;
        report.failed.append(&mut sent.failed);
        Ok(report)
    }

    async fn delete_many(&self, lane: Lane, keys: Vec<String>) -> PortResult<DeleteReport> {
        let mut report = DeleteReport::default();
        let queue = &self.lanes[&lane];
        // A delete overtakes puts of its keys that still wait, as a put does.
        let _announced = queue.announce(keys.iter());
        let _turn = queue.turn().await;
        let unique: Vec<&str> = {
            let mut seen = HashSet::new();
            keys.iter()
                .map(String::as_str)
                .filter(|key| seen.insert(*key))
                .collect()
        };
        for group in unique.chunks(PAIRS_MAX) {
            self.pace.wait_for_all(group.iter().copied()).await;
            self.pace.written(group.iter().copied());
            match self.delete_group(group).await {
                Ok(unsuccessful) => {
                    let error = PortError::new(
                        PortErrorKind::Unavailable,
                        "workers kv did not delete the key; retry later",
                    );
                    fail_all(
                        &mut report.failed,
                        unsuccessful.iter().map(String::as_str),
                        &error,
                    );
                }
                Err(error) if report.failed.is_empty() && !error.is_retryable() => {
                    return Err(error);
                }
                Err(error) => fail_all(&mut report.failed, group.iter().copied(), &error),
            }
        }
        let failed: HashSet<&str> = report.failed.iter().map(|f| f.key.as_str()).collect();
        report.deleted = keys
            .iter()
            .filter(|key| !failed.contains(key.as_str()))
            .count();
        Ok(report)
    }

    async fn get(&self, key: &str) -> PortResult<Option<Blob>> {
        let encoded = wire::encode_component(key);
        let Some(answer) = self.api.read(&format!("values/{encoded}")).await? else {
            return Ok(None);
        };
        let metadata = match self.api.read(&format!("metadata/{encoded}")).await? {
            Some(answer) => wire::metadata(&answer.body)?,
            None => None,
        };
        let now_s = self.clock.now_ms().div_euclid(1_000);
        let ttl_s = answer
            .expires_s
            .map(|at| (at - now_s).max(0).unsigned_abs());
        let value: Bytes = answer.body;
        Ok(Some(Blob {
            key: key.to_owned(),
            value,
            ttl_s,
            metadata,
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<BlobListing> {
        // Our cursor is "skip:cursor": Cloudflare's smallest page may be more than was asked for.
        let (skip, cursor) = match after {
            None => (0, ""),
            Some(after) => after
                .split_once(':')
                .and_then(|(skip, cursor)| Some((skip.parse().ok()?, cursor)))
                .ok_or_else(|| {
                    let message = format!("\"{after}\" is no cursor of a listing; begin anew");
                    PortError::new(PortErrorKind::Invalid, message)
                })?,
        };
        let limit = limit.min(LIST_KEYS.1);
        let asked = (limit.saturating_add(skip)).clamp(LIST_KEYS.0, LIST_KEYS.1);
        let mut path = format!(
            "keys?limit={asked}&prefix={}",
            wire::encode_component(prefix)
        );
        if !cursor.is_empty() {
            path.push_str(&format!("&cursor={}", wire::encode_component(cursor)));
        }
        let answer = self.api.call(Method::GET, &path, None).await?;
        wire::listing(&answer, skip, cursor, limit)
    }

    fn summary(&self) -> Summary {
        Summary {
            line: format!("blob_store: {}", self.api.place()),
            warn: false,
        }
    }
}

fn fail_all<'a>(
    failed: &mut Vec<PutFailure>,
    keys: impl Iterator<Item = &'a str>,
    error: &PortError,
) {
    failed.extend(keys.map(|key| PutFailure {
        key: key.to_owned(),
        reason: same(error),
    }));
}
