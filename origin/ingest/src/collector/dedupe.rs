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

use crate::error::{IngestError, IngestResult};
use crate::limits::{DEDUPE_BYTES_MAX, DEDUPE_WINDOW_MS};

/// The first 128 bits of SHA-256 over source and id: senders choose both, so the hash must not be
/// one for which collisions can be made.
pub(crate) type Key = [u8; 16];

/// Parts of a generation: a growing table moves all it holds, and nobody is answered meanwhile.
const PARTS: usize = 16;
/// Bytes of a place in a table: the key, and a byte that tells whether it is taken.
const PLACE_BYTES: usize = 17;
/// A table of `n` places, a power of two, holds 7/8 of them; parts fill unevenly, by far less than 2 %.
const FILLED: (usize, usize) = (7 * 98, 8 * 100);
/// The least memory worth having: minutes at 1,000 events/s.
const BYTES_MIN: usize = 8 << 20;

/// For how long events are remembered at the door, and in how much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupeLimits {
    /// Repetitions within this time are recognised, milliseconds.
    pub window_ms: i64,
    /// Both generations of keys together.
    pub bytes_max: usize,
}

impl Default for DedupeLimits {
    fn default() -> Self {
        Self {
            window_ms: DEDUPE_WINDOW_MS,
            bytes_max: DEDUPE_BYTES_MAX,
        }
    }
}

impl DedupeLimits {
    /// Keys of a generation: what the largest tables that fit hold.
    #[must_use]
    pub const fn keys_max(&self) -> usize {
        let places = self.bytes_max / (2 * PARTS * PLACE_BYTES);
        if places == 0 {
            return 0;
        }
        (1 << places.ilog2()) * PARTS * FILLED.0 / FILLED.1
    }

    /// Refuses what no window can be kept by.
    ///
    /// # Errors
    /// [`IngestError::Config`] naming the key.
    pub fn check(&self) -> IngestResult<()> {
        let window_s = self.window_ms / 1000;
        if !(60..=86_400).contains(&window_s) {
            return Err(IngestError::config(
                "collect.dedupe_window_s",
                format!("{window_s}: senders retry for minutes; set 60 to 86400, 3600 is usual"),
            ));
        }
        if self.bytes_max < BYTES_MIN {
            return Err(IngestError::config(
                "collect.dedupe_bytes_max",
                format!(
                    "{}: would remember a few minutes at best; set at least {BYTES_MIN}, {DEDUPE_BYTES_MAX} holds an hour at \
                     1,000 events/s",
                    self.bytes_max
                ),
            ));
        }
        Ok(())
    }
}

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
    limits: DedupeLimits,
    turned_ms: i64,
    /// When the older generation began; 0 before there is one.
    began_ms: i64,
    pending: HashMap<Key, Outcome, Seeded>,
    turned_early: u64,
}

pub(crate) struct Window(Mutex<Generations>);

impl Window {
    pub(crate) fn new(limits: DedupeLimits) -> Self {
        // Without randomness the places are only as good as the keys, which are a cryptographic hash's.
        let hasher = Seeded(getrandom::u64().unwrap_or(0));
        Self(Mutex::new(Generations {
            current: Keys::new(&hasher),
            previous: Keys::new(&hasher),
            limits,
            turned_ms: 0,
            began_ms: 0,
            pending: HashMap::with_hasher(hasher),
            turned_early: 0,
        }))
    }

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

    /// How far back keys are remembered at `now_ms`, at most since the process began.
    pub(crate) fn reach_ms(&self, now_ms: i64) -> i64 {
        let g = self.lock();
        match (g.began_ms, g.turned_ms) {
            (0, 0) => 0,
            (0, began) | (began, _) => (now_ms - began).max(0),
        }
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
        let full = self.current.len() >= self.limits.keys_max();
        let over = now_ms - self.turned_ms >= self.limits.window_ms;
        if over || full {
            std::mem::swap(&mut self.previous, &mut self.current);
            self.current.clear();
            self.began_ms = self.turned_ms;
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
        let w = Window::new(DedupeLimits::default());
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
    fn a_full_window_turns_early_and_says_how_far_it_reaches() {
        let limits = DedupeLimits {
            window_ms: 60_000,
            bytes_max: 2 * PARTS * PLACE_BYTES * 64,
        };
        assert_eq!(limits.keys_max(), 64 * PARTS * 686 / 800);
        let w = Window::new(limits);
        assert_eq!(w.reach_ms(1), 0, "nothing is remembered yet");
        let remember = |range: std::ops::Range<usize>, now_ms| {
            for n in range {
                w.remember(key_of("s", &n.to_string()), now_ms);
            }
        };
        remember(0..limits.keys_max(), 1_000);
        assert_eq!((w.turned_early(), w.reach_ms(5_000)), (0, 4_000));
        remember(10_000..10_001, 5_000);
        assert_eq!((w.turned_early(), w.reach_ms(6_000)), (1, 5_000));
        remember(10_001..10_000 + limits.keys_max(), 7_000);
        remember(20_000..20_001, 8_000);
        assert_eq!((w.turned_early(), w.reach_ms(8_000)), (2, 3_000));
        // By time it turns as well, and that is not early.
        remember(30_000..30_001, 70_000);
        assert_eq!((w.turned_early(), w.reach_ms(70_000)), (2, 62_000));
    }

    #[test]
    fn the_memory_asked_for_holds_the_keys() {
        let keys = |bytes_max| {
            DedupeLimits {
                bytes_max,
                ..DedupeLimits::default()
            }
            .keys_max()
        };
        assert!(
            keys(DEDUPE_BYTES_MAX) >= 3_590_000,
            "an hour at 1,000 a second"
        );
        assert!(keys(10 << 30) >= 180_000_000, "an hour at 50,000 a second");
        // What a generation of so many keys allocates is what was asked for.
        let limits = DedupeLimits {
            bytes_max: 8 << 20,
            ..DedupeLimits::default()
        };
        let mut g = Keys::new(&Seeded(7));
        for n in 0..limits.keys_max() {
            g.insert(key_of("s", &n.to_string()));
        }
        // `capacity` is 7/8 of the places.
        let places: usize = g.0.iter().map(|part| part.capacity() * 8 / 7).sum();
        assert!(2 * places * PLACE_BYTES <= limits.bytes_max, "{places}");
    }

    #[test]
    fn a_failed_event_may_come_again() {
        let w = Window::new(DedupeLimits::default());
        let (_tx, rx) = watch::channel(None);
        let k = key_of("s", "1");
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Mine));
        w.settle(&[k], false);
        assert!(matches!(claim(&w, k, 1, &rx), Claim::Mine));
    }

    #[test]
    fn a_key_twice_in_one_batch_is_claimed_once() {
        let w = Window::new(DedupeLimits::default());
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
