//! Handing values to the blob store, one attempt at a time, and the patience between attempts.

use mediaflow_ports::{Blob, Lane, PortError, PortErrorKind, PortResult};
use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::PublisherDeps;
use crate::limits::{RETRY_FIRST, RETRY_MAX};

/// What became of one attempt: the keys that are not as they should be.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// By key: whether trying again makes sense.
    pub failed: HashMap<String, bool>,
    /// How long the store asks to be left alone.
    pub pause: Option<Duration>,
}

impl Outcome {
    /// Whether trying again makes sense for any key.
    pub fn can_retry(&self) -> bool {
        self.failed.values().any(|again| *again)
    }

    fn note(&mut self, key: String, reason: &PortError) {
        if let PortErrorKind::Throttled { retry_after_s } = reason.kind() {
            self.pause = self.pause.max(Some(Duration::from_secs(retry_after_s)));
        }
        tracing::warn!(error = %reason, again = reason.is_retryable(), "a value was not published");
        self.failed.insert(key, reason.is_retryable());
    }
}

/// Tries to write once.
pub(crate) async fn put(deps: &PublisherDeps, lane: Lane, blobs: Vec<Blob>) -> Outcome {
    let mut out = Outcome::default();
    if blobs.is_empty() {
        return out;
    }
    let keys: Vec<String> = blobs.iter().map(|b| b.key.clone()).collect();
    let bytes: u64 = blobs.iter().map(|b| b.value.len() as u64).sum();
    let counters = deps.metrics.lane(lane);
    match deps.blobs.put_many(lane, blobs).await {
        Ok(report) => {
            counters.written.fetch_add(report.written as u64, Relaxed);
            if report.failed.is_empty() {
                counters.bytes.fetch_add(bytes, Relaxed);
            }
            if report.written > 0 {
                counters.last_ms.store(deps.clock.now_ms(), Relaxed);
            }
            for f in report.failed {
                out.note(f.key, &f.reason);
            }
        }
        Err(e) => keys.into_iter().for_each(|k| out.note(k, &e)),
    }
    counters.failed.fetch_add(out.failed.len() as u64, Relaxed);
    out
}

/// Tries to delete once.
pub(crate) async fn delete(deps: &PublisherDeps, lane: Lane, keys: Vec<String>) -> Outcome {
    let mut out = Outcome::default();
    if keys.is_empty() {
        return out;
    }
    let counters = deps.metrics.lane(lane);
    match deps.blobs.delete_many(lane, keys.clone()).await {
        Ok(report) => {
            counters.deleted.fetch_add(report.deleted as u64, Relaxed);
            for f in report.failed {
                out.note(f.key, &f.reason);
            }
        }
        Err(e) => keys.into_iter().for_each(|k| out.note(k, &e)),
    }
    counters.failed.fetch_add(out.failed.len() as u64, Relaxed);
    out
}

/// Ever longer pauses, until something works.
#[derive(Debug)]
pub(crate) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(RETRY_FIRST)
    }
}

impl Patience {
    pub fn reset(&mut self) {
        self.0 = RETRY_FIRST;
    }

    /// Waits, at least as long as the store asked for; not past the shutdown.
    pub async fn wait(&mut self, asked: Option<Duration>, shutdown: &mut watch::Receiver<bool>) {
        let pause = self.0.max(asked.unwrap_or_default());
        self.0 = (self.0 * 2).min(RETRY_MAX);
        tokio::select! {
            () = sleep(pause) => {}
            () = stopped(shutdown) => {}
        }
    }
}

/// Waits for the shutdown; a sender that is gone means the same.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _gone = shutdown.wait_for(|stop| *stop).await;
}

/// Whether to stop.
pub(crate) fn stopping(shutdown: &watch::Receiver<bool>) -> bool {
    *shutdown.borrow() || shutdown.has_changed().is_err()
}

/// Waits for the next news; for ever once there will be none.
pub(crate) async fn news(woken: &mut watch::Receiver<u64>) {
    if woken.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Asks a log or state store again while the answer is that it may work later.
pub(crate) async fn retrying<T, F: Future<Output = PortResult<T>>>(
    mut ask: impl FnMut() -> F,
) -> PortResult<T> {
    let mut pause = RETRY_FIRST;
    loop {
        match ask().await {
            Err(e) if e.is_retryable() => {
                tracing::warn!(error = %e, "publisher: asking again");
                sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            other => return other,
        }
    }
}
