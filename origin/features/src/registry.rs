//! The definitions and the state store: what changed since the last start, and what readers outside this release wrote
//! down.

use bytes::Bytes;
use mediaflow_http::serve::sleep_unless_stopped;
use mediaflow_ports::{Commit, Entry, PortResult, StateStore};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

use crate::declare::{
    CONSUMERS, Entity, FeatureDefinition, Fingerprint, VIEW_CONSUMERS, VIEW_DEFINITIONS, VIEWS,
    ValueType, all, check, check_stored, fingerprints,
};
use crate::error::FeatureError;
use crate::limits::LOOK_EVERY;

/// Entries read at a time.
const PAGE: usize = 1_000;

/// Holds the definitions against each other, their readers, and the last start; then writes them down.
///
/// # Errors
/// [`FeatureError::Definitions`] names the feature and who reads it. [`FeatureError::Port`] when the store refuses.
pub async fn open(state: &dyn StateStore) -> Result<(), FeatureError> {
    check(all(), CONSUMERS)?;
    let stored: BTreeMap<String, Fingerprint> = entries(state, VIEW_DEFINITIONS)
        .await?
        .into_iter()
        .filter_map(|e| Some((text(&e.key), Fingerprint::decode(&e.value)?)))
        .collect();
    let consumers = consumers(state).await?;
    check_stored(all(), CONSUMERS, &stored, &consumers)?;
    let current = fingerprints(all(), VIEWS);
    let mut commit = Commit::new();
    for (name, f) in &current {
        if stored.get(name) != Some(f) {
            commit = commit.put(VIEW_DEFINITIONS, name.clone(), f.encode().to_vec());
        }
    }
    for name in stored.keys().filter(|n| !current.contains_key(*n)) {
        tracing::info!(feature = %name, "no longer declared; nothing reads it");
        commit = commit.delete(VIEW_DEFINITIONS, name.clone());
    }
    if !commit.writes.is_empty() {
        state.commit(commit).await?;
    }
    Ok(())
}

/// Writes the definitions down again when a store was emptied under us, until `shutdown`. What readers outside this
/// release wrote down is theirs to write again.
///
/// # Errors
/// As [`open`], but for a store that is away: it is asked again.
pub(crate) async fn keep(
    state: Arc<dyn StateStore>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), FeatureError> {
    let Some(first) = all().first().map(FeatureDefinition::full_name) else {
        return Ok(());
    };
    while sleep_unless_stopped(&mut shutdown, LOOK_EVERY).await {
        let there = match state.get(VIEW_DEFINITIONS, first.as_bytes()).await {
            Ok(value) => value.is_some(),
            Err(e) if e.is_retryable() => true,
            Err(e) => return Err(e.into()),
        };
        if there {
            continue;
        }
        match open(state.as_ref()).await {
            Ok(()) => tracing::warn!("the state store was emptied; definitions are written again"),
            Err(FeatureError::Port(e)) if e.is_retryable() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Readers outside this release, by name, with what they read.
///
/// # Errors
/// When the store refuses.
pub async fn consumers(state: &dyn StateStore) -> PortResult<BTreeMap<String, String>> {
    let entries = entries(state, VIEW_CONSUMERS).await?;
    Ok(entries
        .into_iter()
        .map(|e| (text(&e.key), text(&e.value)))
        .collect())
}

/// Writes down what a reader outside this release, such as a trained model, reads: from then on, a release that would
/// not give it that does not start. Nothing to read takes the reader off the list.
///
/// # Errors
/// When the store refuses.
pub async fn register_consumer(
    state: &dyn StateStore,
    name: &str,
    reads: &[(Entity, &str, ValueType, u16)],
) -> PortResult<()> {
    let name = name.to_owned();
    if reads.is_empty() {
        return state
            .commit(Commit::new().delete(VIEW_CONSUMERS, name))
            .await;
    }
    let line = |(entity, feature, kind, version): &(Entity, &str, ValueType, u16)| {
        format!("{}.{feature} {} {version}\n", entity.slug(), kind.slug())
    };
    let lines: String = reads.iter().map(line).collect();
    let commit = Commit::new().put(VIEW_CONSUMERS, name, lines.into_bytes());
    state.commit(commit).await
}

async fn entries(state: &dyn StateStore, view: &str) -> PortResult<Vec<Entry>> {
    let mut all = Vec::new();
    let mut after: Option<Bytes> = None;
    loop {
        let page = state.scan(view, b"", after.as_deref(), PAGE).await?;
        let more = page.len() == PAGE;
        after = page.last().map(|e| e.key.clone());
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
