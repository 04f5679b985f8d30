//! Readers' blobs: drains the outbox of `features`, writes what changed, deletes what was withdrawn.

use mediaflow_http::trace::Traces;
use mediaflow_ports::{Blob, Lane};
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::signals::{OUTBOX_PROFILES, parse_dirty_key, trace_of_key};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use xxhash_rust::xxh3::xxh3_64;

use crate::PublisherDeps;
use crate::error::PublisherResult;
use crate::limits::{PROFILE_TTL_S, PROFILES_BATCH, PROFILES_EVERY, PROFILES_KNOWN_MAX};
use crate::push::{Outcome, Patience, delete, news, put, retrying, stopped, stopping};

/// The key of a reader's blob.
#[must_use]
pub fn profile_key(reader: Pseudonym) -> String {
    format!("u/{reader}")
}

/// Entries of one reader: the last one counts, all are done with it.
#[derive(Default)]
struct Waiting {
    ids: Vec<u64>,
    value: bytes::Bytes,
}

/// Publishes until told to stop. What was not taken stays in the outbox.
pub(crate) async fn run(
    deps: PublisherDeps,
    mut shutdown: watch::Receiver<bool>,
) -> PublisherResult<()> {
    let mut woken = deps.state.outbox_watch(OUTBOX_PROFILES)?;
    // Hashes of what edges have, as far as we know; a value too many after a restart does no harm.
    let mut known: HashMap<Pseudonym, u64> = HashMap::new();
    let mut patience = Patience::default();
    while !stopping(&shutdown) {
        woken.borrow_and_update();
        let (worked, outcome) = drain(&deps, &mut known).await?;
        if outcome.can_retry() {
            deps.metrics
                .lane(Lane::Profiles)
                .retries
                .fetch_add(1, Relaxed);
            patience.wait(outcome.pause, &mut shutdown).await;
            continue;
        }
        patience.reset();
        tokio::select! {
            () = async {
                if worked == 0 {
                    // The time-out covers stores that wake across processes by polling only.
                    let _ = tokio::time::timeout(Duration::from_secs(1), news(&mut woken)).await;
                }
                if worked < PROFILES_BATCH {
                    sleep(PROFILES_EVERY).await;
                }
            } => {}
            () = stopped(&mut shutdown) => {}
        }
    }
    Ok(())
}

/// Handles the oldest entries; answers how many there were and what was not taken.
async fn drain(
    deps: &PublisherDeps,
    known: &mut HashMap<Pseudonym, u64>,
) -> PublisherResult<(usize, Outcome)> {
    let records = retrying(|| deps.state.outbox_read(OUTBOX_PROFILES, PROFILES_BATCH)).await?;
    let worked = records.len();
    let mut readers: BTreeMap<Pseudonym, Waiting> = BTreeMap::new();
    let mut done = Vec::new();
    let mut traces = Traces::default();
    for r in records {
        traces.note(&[], trace_of_key(&r.key));
        let Some((reader, _)) = parse_dirty_key(&r.key) else {
            deps.metrics.refused.fetch_add(1, Relaxed);
            done.push(r.id);
            continue;
        };
        let w = readers.entry(reader).or_default();
        w.ids.push(r.id);
        w.value = r.value;
    }
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for (reader, w) in &readers {
        if w.value.is_empty() {
            deletes.push(profile_key(*reader));
        } else if known.get(reader) == Some(&xxh3_64(&w.value)) {
            deps.metrics.profiles_unchanged.fetch_add(1, Relaxed);
        } else {
            puts.push(Blob {
                ttl_s: Some(PROFILE_TTL_S),
                ..Blob::new(profile_key(*reader), w.value.clone())
            });
        }
    }
    // Withdrawals first: they must not wait for a slow write.
    let mut outcome = delete(deps, Lane::Profiles, deletes).await;
    let written = put(deps, Lane::Profiles, puts).await;
    traces.stage("publish", &[("failed", written.failed.len() as i64)]);
    outcome.pause = outcome.pause.max(written.pause);
    outcome.failed.extend(written.failed);
    if known.len() + readers.len() > PROFILES_KNOWN_MAX {
        known.clear();
    }
    for (reader, w) in readers {
        match outcome.failed.get(&profile_key(reader)) {
            Some(true) => {
                known.remove(&reader);
                continue;
            }
            Some(false) => {
                deps.metrics.refused.fetch_add(1, Relaxed);
                known.remove(&reader);
            }
            None if w.value.is_empty() => {
                known.remove(&reader);
            }
            None => {
                known.insert(reader, xxh3_64(&w.value));
            }
        }
        done.extend(w.ids);
    }
    retrying(|| deps.state.outbox_ack(OUTBOX_PROFILES, &done)).await?;
    Ok((worked, outcome))
}
