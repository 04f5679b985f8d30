//! Which events were already acknowledged: an exact window over (source, id).
//!
//! Two generations of keys, each as long as the window: a key is remembered for one to two hours.
//! A key whose append is still under way is *pending*: a second delivery of it waits for the outcome
//! instead of being acknowledged on a promise.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

use crate::limits::{DEDUPE_KEYS_MAX, DEDUPE_WINDOW_MS};

/// The first 128 bits of SHA-256 over source and id: senders choose both, so the hash must not be
/// one for which collisions can be made.
pub(crate) type Key = [u8; 16];

pub(crate) fn key_of(source: &str, id: &str) -> Key {
    let mut h = Sha256::new();
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    h.update((source.len() as u64).to_be_bytes());
    h.update(source.as_bytes());
    h.update(id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&h.finalize()[..16]);
    key
}

/// `None` while under way, then whether the event became durable.
pub(crate) type Outcome = watch::Receiver<Option<bool>>;

pub(crate) enum Claim {
    /// Nobody has it: the caller must [`Window::settle`] it.
    Mine,
    /// Acknowledged before.
    Seen,
    /// Another request is appending it.
    Pending(Outcome),
}

#[derive(Default)]
struct Generations {
    current: HashSet<Key>,
    previous: HashSet<Key>,
    turned_ms: i64,
    pending: HashMap<Key, Outcome>,
    turned_early: u64,
}

#[derive(Default)]
pub(crate) struct Window(Mutex<Generations>);

impl Window {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change below is a single insert or remove: a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims a key for the request whose end `outcome` announces.
    pub(crate) fn claim(&self, key: Key, now_ms: i64, outcome: &Outcome) -> Claim {
        let mut g = self.lock();
        g.turn(now_ms);
        if g.current.contains(&key) || g.previous.contains(&key) {
            return Claim::Seen;
        }
        if let Some(other) = g.pending.get(&key) {
            return Claim::Pending(other.clone());
        }
        g.pending.insert(key, outcome.clone());
        Claim::Mine
    }

    /// Ends the claims of a request: the keys are remembered when their events are durable.
    pub(crate) fn settle(&self, keys: &[Key], durable: bool) {
        let mut g = self.lock();
        for key in keys {
            g.pending.remove(key);
            if durable {
                g.current.insert(*key);
            }
        }
    }

    /// Remembers a key found in the log at start-up.
    pub(crate) fn remember(&self, key: Key, now_ms: i64) {
        let mut g = self.lock();
        g.turn(now_ms);
        g.current.insert(key);
    }

    /// How often the window was shortened because it was full.
    pub(crate) fn turned_early(&self) -> u64 {
        self.lock().turned_early
    }
}

impl Generations {
    fn turn(&mut self, now_ms: i64) {
        if self.turned_ms == 0 {
            self.turned_ms = now_ms;
        }
        let full = self.current.len() >= DEDUPE_KEYS_MAX;
        let over = now_ms - self.turned_ms >= DEDUPE_WINDOW_MS;
        if over || full {
            self.previous = std::mem::take(&mut self.current);
            self.turned_ms = now_ms;
            self.turned_early += u64::from(!over);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_seen_for_an_hour_and_forgotten_after_two() {
        let w = Window::default();
        let (_tx, rx) = watch::channel(None);
        let k = key_of("s", "1");
        assert!(matches!(w.claim(k, 1, &rx), Claim::Mine));
        assert!(matches!(w.claim(k, 1, &rx), Claim::Pending(_)));
        w.settle(&[k], true);
        assert!(matches!(w.claim(k, DEDUPE_WINDOW_MS, &rx), Claim::Seen));
        assert!(matches!(w.claim(k, DEDUPE_WINDOW_MS + 1, &rx), Claim::Seen));
        assert!(matches!(
            w.claim(k, 2 * DEDUPE_WINDOW_MS + 2, &rx),
            Claim::Mine
        ));
    }

    #[test]
    fn a_failed_event_may_come_again() {
        let w = Window::default();
        let (_tx, rx) = watch::channel(None);
        let k = key_of("s", "1");
        assert!(matches!(w.claim(k, 1, &rx), Claim::Mine));
        w.settle(&[k], false);
        assert!(matches!(w.claim(k, 1, &rx), Claim::Mine));
    }

    #[test]
    fn source_and_id_do_not_run_together() {
        assert_ne!(key_of("a", "bc"), key_of("ab", "c"));
    }
}
