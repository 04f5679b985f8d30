//! The append-only audit: every change, chained by SHA-256, so that a removed or altered entry shows.

use mediaflow_ports::{Commit, Expect, PortError, PortErrorKind, PortResult, StateStore};
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// View: entries by ascending sequence number (8 bytes, big-endian).
pub const VIEW: &str = "admin.audit";
/// View and key of the newest entry's number and hash.
const HEAD_VIEW: &str = "admin.audit-head";
const HEAD_KEY: &[u8] = b"head";

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3, …
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Brand slug.
    pub brand: String,
    /// Surface slug, empty for the whole brand.
    pub surface: String,
    /// What was done: `draft`, `publish`, `pin`, `takedown` …
    pub action: String,
    /// In words, or the document's hash.
    pub detail: String,
    /// Whether it was carried out, or refused (a lost update).
    pub outcome: Outcome,
    /// Hash of the entry before, 64 zeros for the first.
    pub previous: String,
    /// SHA-256 over all fields above, hex.
    pub hash: String,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Done,
    /// Another editor was first (412).
    Refused,
}

/// What a caller tells of a change.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: &'a str,
    /// Brand slug.
    pub brand: &'a str,
    /// Surface slug, empty for the whole brand.
    pub surface: &'a str,
    /// What was done.
    pub action: &'a str,
    /// In words.
    pub detail: String,
    /// What became of it.
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    seq: u64,
    hash: String,
}

fn corrupt(what: &str, e: &serde_json::Error) -> PortError {
    PortError::new(
        PortErrorKind::Corrupt,
        format!("{what} in the state store does not decode: {e}; restore it"),
    )
}

fn digest(e: &Entry) -> String {
    let mut h = Sha256::new();
    // Lengths before texts: no two entries feed the same bytes.
    for part in [
        &e.actor,
        &e.brand,
        &e.surface,
        &e.action,
        &e.detail,
        &e.previous,
    ] {
        h.update((part.len() as u64).to_be_bytes());
        h.update(part.as_bytes());
    }
    h.update(e.seq.to_be_bytes());
    h.update(e.at.0.to_be_bytes());
    h.update([u8::from(e.outcome == Outcome::Done)]);
    h.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Adds an entry to `commit`, which then holds only if no other entry came between.
///
/// # Errors
/// Those of the store.
pub async fn append(
    state: &dyn StateStore,
    commit: Commit,
    change: &Change<'_>,
) -> PortResult<(Commit, Entry)> {
    let stored = state.get(HEAD_VIEW, HEAD_KEY).await?;
    let head: Head = match &stored {
        None => Head {
            seq: 0,
            hash: "0".repeat(64),
        },
        Some(b) => serde_json::from_slice(b).map_err(|e| corrupt("the audit's head", &e))?,
    };
    let mut entry = Entry {
        seq: head.seq + 1,
        at: change.at,
        actor: change.actor.to_owned(),
        brand: change.brand.to_owned(),
        surface: change.surface.to_owned(),
        action: change.action.to_owned(),
        detail: change.detail.clone(),
        outcome: change.outcome,
        previous: head.hash,
        hash: String::new(),
    };
    entry.hash = digest(&entry);
    let new_head = Head {
        seq: entry.seq,
        hash: entry.hash.clone(),
    };
    let json = |v: serde_json::Result<Vec<u8>>| v.map_err(|e| corrupt("an audit entry", &e));
    let commit = commit
        .require(
            HEAD_VIEW,
            HEAD_KEY,
            stored.map_or(Expect::Absent, Expect::Exactly),
        )
        .put(HEAD_VIEW, HEAD_KEY, json(serde_json::to_vec(&new_head))?)
        .put(
            VIEW,
            entry.seq.to_be_bytes().to_vec(),
            json(serde_json::to_vec(&entry))?,
        );
    Ok((commit, entry))
}

/// Entries after `after`, oldest first.
///
/// # Errors
/// Those of the store; `Corrupt` for an entry that does not decode.
pub async fn page(state: &dyn StateStore, after: u64, limit: usize) -> PortResult<Vec<Entry>> {
    let entries = state
        .scan(VIEW, b"", Some(&after.to_be_bytes()), limit)
        .await?;
    entries
        .iter()
        .map(|e| serde_json::from_slice(&e.value).map_err(|e| corrupt("an audit entry", &e)))
        .collect()
}

/// What a check of the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Entries checked.
    pub entries: u64,
    /// First sequence number at which the chain breaks.
    pub broken_at: Option<u64>,
}

/// Recomputes every hash.
///
/// # Errors
/// Those of the store.
pub async fn verify(state: &dyn StateStore) -> PortResult<Verdict> {
    let (mut after, mut previous) = (0, "0".repeat(64));
    loop {
        let entries = page(state, after, 1000).await?;
        if entries.is_empty() {
            break;
        }
        for e in entries {
            if e.seq != after + 1 || e.previous != previous || digest(&e) != e.hash {
                return Ok(Verdict {
                    entries: after,
                    broken_at: Some(after + 1),
                });
            }
            after = e.seq;
            previous = e.hash;
        }
    }
    // The head also remembers entries that were cut off at the end.
    let head = state.get(HEAD_VIEW, HEAD_KEY).await?;
    let head: Option<Head> = head.and_then(|b| serde_json::from_slice(&b).ok());
    let complete = head.is_none_or(|h| h.seq == after && h.hash == previous);
    Ok(Verdict {
        entries: after,
        broken_at: (!complete).then_some(after + 1),
    })
}
