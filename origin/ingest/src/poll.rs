//! Asking sources again and again: one task per source, a cursor in the state store, a growing pause
//! after failures.

use mediaflow_http::{Metrics, serve};
use mediaflow_ports::{Commit, StateStore};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

use crate::error::{IngestError, IngestResult};
use crate::fetch::Fetch;
use crate::intake::{Intake, Taken};
use crate::limits::{BACKOFF_MAX_S, BACKOFF_MIN_S};
use crate::source::{SourceConfig, SourceKind};
use crate::{custom, drupal, feed, wordpress};

/// The view of cursors: source slug → [`Cursor`] as JSON.
pub const VIEW_CURSOR: &str = "ingest.cursor";

/// How far a source was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Newest change seen, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_ms: Option<i64>,
    /// What a custom CMS gave to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `ETag` of the last feed document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// `Last-Modified` of the last feed document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Drupal reads each node type on its own: type → newest change, seconds.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub changed_s_of: std::collections::BTreeMap<String, i64>,
}

/// What a poller works with.
pub struct Poller {
    /// The source.
    pub source: SourceConfig,
    /// Where items go.
    pub intake: Arc<Intake>,
    /// Where the cursor is.
    pub state: Arc<dyn StateStore>,
    /// The client.
    pub fetch: Fetch,
}

impl Poller {
    /// A poller for `source`; `authorization` is the value of the variable it names.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(
        source: SourceConfig,
        intake: Arc<Intake>,
        state: Arc<dyn StateStore>,
        authorization: Option<String>,
    ) -> IngestResult<Self> {
        let fetch = Fetch::new(&source, authorization)?;
        Ok(Self {
            source,
            intake,
            state,
            fetch,
        })
    }

    /// Asks the source once, from its cursor on.
    ///
    /// # Errors
    /// When the source, the log or the store refuses. What was taken in before stays, and the cursor
    /// stands behind it.
    pub async fn poll(&self) -> IngestResult<Taken> {
        match self.source.kind {
            SourceKind::Wordpress => wordpress::poll(self).await,
            SourceKind::Drupal => drupal::poll(self).await,
            SourceKind::Feed => feed::poll(self).await,
            SourceKind::Custom => custom::poll(self).await,
            SourceKind::Ugc => Ok(Taken::default()),
        }
    }

    /// The stored cursor; one that cannot be read counts as none, which reads everything again.
    pub(crate) async fn cursor(&self) -> IngestResult<Cursor> {
        let value = self
            .state
            .get(VIEW_CURSOR, self.source.slug.as_bytes())
            .await?;
        Ok(value
            .and_then(|v| serde_json::from_slice(&v).ok())
            .unwrap_or_default())
    }

    pub(crate) async fn remember(&self, cursor: &Cursor) -> IngestResult<()> {
        let value = serde_json::to_vec(cursor)
            .map_err(|e| IngestError::malformed("cursor", e, "report this defect"))?;
        let key = self.source.slug.clone().into_bytes();
        self.state
            .commit(Commit::new().put(VIEW_CURSOR, key, value))
            .await?;
        Ok(())
    }
}

/// Polls until `shutdown` turns true. Never fails: refusals are logged with the source's slug and a
/// remedy, counted in `ingest_polls_total`, and answered with a growing pause.
pub async fn run(poller: Poller, metrics: &Metrics, mut shutdown: watch::Receiver<bool>) {
    let polls = metrics.counter(
        "ingest_polls_total",
        "Polls of sources by outcome.",
        &["source", "outcome"],
    );
    let slug = poller.source.slug.clone();
    let interval = Duration::from_secs(poller.source.poll_interval_s.max(1));
    let mut failures = 0u32;
    loop {
        let polled = tokio::select! {
            polled = poller.poll() => polled,
            // Cancelling is safe: the cursor moves only behind what is durable.
            () = serve::stopped(&mut shutdown) => return,
        };
        let pause = match polled {
            Ok(taken) => {
                failures = 0;
                polls.with_label_values(&[slug.as_str(), "ok"]).inc();
                if taken.new > 0 {
                    tracing::info!(source = slug, new = taken.new, "content taken in");
                }
                interval
            }
            Err(e) => {
                failures += 1;
                polls.with_label_values(&[slug.as_str(), "failed"]).inc();
                let pause = backoff(failures, asked_pause_s(&e));
                tracing::warn!(source = slug, error = %e, retry_s = pause.as_secs(), "poll failed");
                pause
            }
        };
        if !serve::sleep_unless_stopped(&mut shutdown, pause).await {
            return;
        }
    }
}

fn asked_pause_s(e: &IngestError) -> Option<u64> {
    match e {
        IngestError::Fetch { retry_after_s, .. } => *retry_after_s,
        _ => None,
    }
}

/// 2 s, 4 s, 8 s … 5 min, or what the source asked for within that.
fn backoff(failures: u32, asked_s: Option<u64>) -> Duration {
    let doubled = BACKOFF_MIN_S.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let pause_s = asked_s.unwrap_or(0).max(doubled);
    Duration::from_secs(pause_s.min(BACKOFF_MAX_S))
}

#[cfg(test)]
mod backoff_tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_five_minutes_and_honours_the_source() {
        let s = |n, asked| backoff(n, asked).as_secs();
        assert_eq!(
            [s(1, None), s(2, None), s(3, None), s(40, None)],
            [2, 4, 8, 300]
        );
        assert_eq!((s(1, Some(120)), s(1, Some(9_999))), (120, 300));
    }
}

#[cfg(test)]
mod tests;
