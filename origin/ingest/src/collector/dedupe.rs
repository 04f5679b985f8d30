//! Which events were already acknowledged: an exact window over (source, id).
//!
//! Two generations of keys, each as long as the window: a key is remembered for one to two hours.
//! A key whose append is still under way is *pending*: a second delivery of it waits for the outcome
//! instead of being acknowledged on a promise.

use sha2::{Digest, Sha256};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::limits::{DEDUPE_KEYS_MAX, DEDUPE_WINDOW_MS};

/// The first 128 bits of SHA-256 over source and id: senders choose both, so the hash must not be
/// one for which collisions can be made.
pub(crate) type Key = [u8; 16];

/// Parts of a generation: a growing table moves all it holds, and nobody is answered meanwhile.
const PARTS: usize = 16;

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

/// Hashes a key with a seed of the process: who chooses ids cannot choose places in the table.
#[derive(Clone)]
struct Seeded(u64);

struct Place {
    seed: u64,
    hash: u64,
}

impl BuildHasher for Seeded {
    type Hasher = Place;

    fn build_hasher(&self) -> Place {
        Place {
            seed: self.0,
            hash: 0,
        }
    }
}

impl Hasher for Place {
    fn write(&mut self, bytes: &[u8]) {
        self.hash = xxh3_64_with_seed(bytes, self.seed);
    }

    // An array's length comes before its bytes and is the same for every key.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

struct Keys([HashSet<Key, Seeded>; PARTS]);

impl Keys {
    fn new(hasher: &Seeded) -> Self {
        Self(std::array::from_fn(|_| {
            HashSet::with_hasher(hasher.clone())
        }))
    }

    fn part(key: &Key) -> usize {
        usize::from(key[0]) % PARTS
    }

    fn contains(&self, key: &Key) -> bool {
        self.0[Self::part(key)].contains(key)
    }

    fn insert(&mut self, key: Key) {
        self.0[Self::part(&key)].insert(key);
    }

    fn len(&self) -> usize {
        self.0.iter().map(HashSet::len).sum()
    }

    /// Forgets all keys and keeps the room: the next generation will be as large.
    fn clear(&mut self) {
        self.0.iter_mut().for_each(HashSet::clear);
    }
}

struct Generations {
    current: Keys,
    previous: Keys,
    turned_ms: i64,
    pending: HashMap<Key, Outcome, Seeded>,
    turned_early: u64,
}

pub(crate) struct Window(Mutex<Generations>);

impl Default for Window {
    fn default() -> Self {
        // Without randomness the places are only as good as the keys, which are a cryptographic hash's.
        let hasher = Seeded(getrandom::u64().unwrap_or(0));
        Self(Mutex::new(Generations {
            current: Keys::new(&hasher),
            previous: Keys::new(&hasher),
            turned_ms: 0,
            pending: HashMap::with_hasher(hasher),
            turned_early: 0,
        }))
    }
}

impl Window {
    fn lock(&self) -> MutexGuard<'_, Generations> {
        // Every change below is a single insert or remove: a panic cannot leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims keys for the request whose end `outcome` announces; one answer per key, in their order.
    pub(crate) fn claim(&self, keys: &[Key], now_ms: i64, outcome: &Outcome) -> Vec<Claim> {
        let mut g = self.lock();
        g.turn(now_ms);
        keys.iter().map(|key| g.claim(*key, outcome)).collect()
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
    fn claim(&mut self, key: Key, outcome: &Outcome) -> Claim {
        if self.current.contains(&key) || self.previous.contains(&key) {
            return Claim::Seen;
        }
        if let Some(other) = self.pending.get(&key) {
            return Claim::Pending(other.clone());
        }
        self.pending.insert(key, outcome.clone());
        Claim::Mine
    }

    fn turn(&mut self, now_ms: i64) {
        if self.turned_ms == 0 {
            self.turned_ms = now_ms;
        }
        let full = self.current.len() >= DEDUPE_KEYS_MAX;
        let over = now_ms - self.turned_ms >= DEDUPE_WINDOW_MS;
        if over || full {
            std::mem::swap(&mut self.previous, &mut self.current);
            self.current.clear();
            self.turned_ms = now_ms;
            self.turned_early += u64::from(!over);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(w: &Window, key: Key, now_ms: i64, outcome: &Outcome) -> Claim {
        w.claim(&[key], now_ms, outcome).remove(0)
    }

    #[test]
    fn a_key_is_seen_for_an_hour_and_forgotten_after_two() {
        let w = Window::default();
        let (_tx, rx) = watch::channel(None);
        let k = key_of("s", "1");
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Mine));
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Pending(_)));
        w.settle(&[k], true);
        assert!(matches!(claim(&w, k, DEDUPE_WINDOW_MS, &rx), Claim::Seen));
        assert!(matches!(
            claim(&w, k, DEDUPE_WINDOW_MS + 1, &rx),
            Claim::Seen
        ));
        assert!(matches!(
            claim(&w, k, 2 * DEDUPE_WINDOW_MS + 2, &rx),
            Claim::Mine
        ));
    }

    #[test]
    fn a_failed_event_may_come_again() {
        let w = Window::default();
        let (_tx, rx) = watch::channel(None);
        let k = key_of("s", "1");
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Mine));
        w.settle(&[k], false);
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Mine));
    }

    #[test]
    fn a_key_twice_in_one_batch_is_claimed_once() {
        let w = Window::default();
        let (_tx, rx) = watch::channel(None);
        let (a, b) = (key_of("s", "1"), key_of("s", "2"));
        let claims = w.claim(&[a, b, a], 1, &rx);
        let mine = claims.iter().filter(|c| matches!(c, Claim::Mine)).count();
        assert_eq!(mine, 2);
        assert!(matches!(&claims[2], Claim::Pending(o) if o.same_channel(&rx)));
    }

    #[test]
    fn source_and_id_do_not_run_together() {
        assert_ne!(key_of("a", "bc"), key_of("ab", "c"));
    }
}
