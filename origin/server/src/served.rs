//! Served records by feed id, so that a feed can be served again.
//!
//! Follows the topic `served`; position and records are committed together. Processes share its partitions by the log's
//! groups; where two work on one while it changes hands, the position decides whose commit counts, and both write the
//! same. Records leave after [`KEEP_MS`], as do the archived fronts and rules they name.

use mediaflow_ports::{Commit, EventLog, PortError, PortErrorKind, StateStore};
use mediaflow_shared::served::Served;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// View: text of the feed id → the served record.
pub const VIEW: &str = "served.by-feed";
const TOPIC: &str = "served";
const CONSUMER: &str = "served.by-feed";
/// As long as the publisher archives fronts and rules.
const KEEP_MS: i64 = 48 * 3_600_000;
const BATCH_RECORDS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
const RETRY: Duration = Duration::from_millis(500);

/// Runs until the signal; waits for stores that are away.
pub async fn run(
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut seat = None;
    loop {
        let passed = match &seat {
            None => log.join(CONSUMER, TOPIC).await.map(|joined| {
                seat = Some(joined);
                true
            }),
            Some(seat) => {
                let ours = seat.assigned().borrow().clone();
                pass(&*log, &*state, &ours).await
            }
        };
        let pause = match passed {
            Ok(true) => Duration::ZERO,
            Ok(false) => Duration::from_millis(200),
            Err(e) => {
                tracing::warn!(error = %e, "served records cannot be indexed; trying again");
                RETRY
            }
        };
        if *shutdown.borrow() {
            return;
        }
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = shutdown.changed() => return,
            }
        }
    }
}

/// One batch of every partition of ours; whether there was anything.
async fn pass(
    log: &dyn EventLog,
    state: &dyn StateStore,
    ours: &BTreeSet<u32>,
) -> Result<bool, PortError> {
    let mut any = false;
    for &partition in ours {
        let from = state.progress(CONSUMER, TOPIC, partition).await?;
        let records = log
            .read(TOPIC, partition, from, BATCH_RECORDS, BATCH_BYTES)
            .await?;
        let Some(last) = records.last() else { continue };
        any = true;
        let mut commit = Commit::new().advance(CONSUMER, TOPIC, partition, from, last.offset + 1);
        for r in &records {
            // The collector checked the record; one that a newer release wrote is not ours to replay.
            if let Ok(served) = Served::decode(&r.record.value) {
                let until = r.appended_ms + KEEP_MS;
                commit = commit.put_until(VIEW, served.feed_id, r.record.value.clone(), until);
            }
        }
        match state.commit(commit).await {
            // Whoever had the partition before us was still at it: the records are in.
            Err(e) if e.kind() == PortErrorKind::Conflict => {}
            other => other?,
        }
    }
    Ok(any)
}
