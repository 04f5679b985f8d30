//! Slow profiles just read from storage: a client that ignores cookies must not cost a read every time.

use crate::limits::{PROFILE_HELD_MS, PROFILES_HELD_MAX, RETRY_AFTER_FAILURE_MS};
use mediaflow_shared::id::Pseudonym;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
struct Known {
    at_ms: i64,
    blob: Option<Vec<u8>>,
}

/// Bounded in number and time.
#[derive(Debug, Default)]
pub struct Profiles {
    known: Mutex<HashMap<Pseudonym, Known>>,
    failed_ms: Mutex<Option<i64>>,
}

impl Profiles {
    /// What storage said a moment ago: `None` = not asked lately, `Some(None)` = there is none.
    #[must_use]
    pub fn lately(&self, reader: Pseudonym, now_ms: i64) -> Option<Option<Vec<u8>>> {
        let map = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        map.get(&reader)
            .filter(|k| (0..PROFILE_HELD_MS).contains(&(now_ms - k.at_ms)))
            .map(|k| k.blob.clone())
    }

    /// Remembers an answer of storage.
    pub fn remember(&self, reader: Pseudonym, blob: Option<Vec<u8>>, now_ms: i64) {
        let mut map = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= PROFILES_HELD_MAX {
            map.retain(|_, k| now_ms - k.at_ms < PROFILE_HELD_MS);
        }
        if map.len() < PROFILES_HELD_MAX {
            map.insert(
                reader,
                Known {
                    at_ms: now_ms,
                    blob,
                },
            );
        }
    }

    /// Forgets a reader at once (reset, consent withdrawn).
    pub fn forget(&self, reader: Pseudonym) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&reader);
    }

    /// Whether storage failed a moment ago: then it is left in peace, and readers do not wait for its deadline.
    #[must_use]
    pub fn failing(&self, now_ms: i64) -> bool {
        self.failed_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some_and(|f| now_ms - f < RETRY_AFTER_FAILURE_MS)
    }

    /// Notes a failure.
    pub fn failed(&self, now_ms: i64) {
        *self
            .failed_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(now_ms);
    }
}
