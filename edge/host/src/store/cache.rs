//! Memory in front of a store: fronts and rules are read per request and change per minute.
//!
//! A value younger than the soft time to live is served as it is; up to
//! [`STALE_WHILE_REVALIDATE`] it is served while one refresh runs; older, readers wait for that
//! refresh together. When the store fails or takes longer than [`REFRESH_WAIT`], the last good value
//! stands in for up to [`LAST_GOOD_MAX`]. Absence is cached like a value. Keys under the uncached prefix (profiles) go
//! straight to the store. Never holds more than its bytes and entries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Store, StoreError};
use crate::limits::{CACHE_ENTRIES_MAX, LAST_GOOD_MAX, REFRESH_WAIT, STALE_WHILE_REVALIDATE};

/// What an entry costs apart from its key and value, roughly.
const ENTRY_BYTES: usize = 128;

type Outcome = Result<Option<Bytes>, StoreError>;
type Flight = watch::Receiver<Option<Outcome>>;

/// How the cache behaves.
#[derive(Debug, Clone)]
pub struct CachePolicy {
    /// Age after which a value is refreshed.
    pub soft_ttl: Duration,
    /// Most bytes held, keys and bookkeeping included.
    pub bytes_max: usize,
    /// Keys that begin with this are never held.
    pub uncached_prefix: String,
}

/// A store with memory in front. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CachedStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    policy: CachePolicy,
    // Held for lookups only, never across an await.
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    entries: HashMap<String, Entry>,
    bytes: usize,
    // Numbered, so that a refresh that began before a write cannot land after it.
    flights: HashMap<String, (u64, Flight)>,
    flown: u64,
}

#[derive(Debug)]
struct Entry {
    value: Option<Bytes>,
    fetched: Instant,
    tried: Instant,
    used: Instant,
}

impl Entry {
    fn cost(&self, key: &str) -> usize {
        ENTRY_BYTES + key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

impl CachedStore {
    /// Puts memory in front of `store`.
    pub fn new(store: Store, policy: CachePolicy) -> Self {
        Self(Arc::new(Inner {
            store,
            policy,
            memory: Mutex::default(),
        }))
    }

    /// The store behind the memory.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The value under `key`, from memory when it is fresh enough.
    ///
    /// # Errors
    /// The store's error, when memory has nothing to stand in.
    pub async fn read(&self, key: &str) -> Outcome {
        if self.is_uncached(key) {
            return self.0.store.read(key).await;
        }
        let now = Instant::now();
        let (mut flight, stand_in) = {
            let mut memory = self.memory();
            let soft_ttl = self.0.policy.soft_ttl;
            match memory.entries.get_mut(key) {
                None => (self.fly(&mut memory, key), None),
                Some(entry) => {
                    entry.used = now;
                    let value = entry.value.clone();
                    let age = now - entry.fetched;
                    let tried_lately = now - entry.tried < soft_ttl;
                    if age < soft_ttl || (tried_lately && age < LAST_GOOD_MAX) {
                        return Ok(value);
                    }
                    let flight = self.fly(&mut memory, key);
                    if age < STALE_WHILE_REVALIDATE {
                        return Ok(value);
                    }
                    (flight, (age < LAST_GOOD_MAX).then_some(value))
                }
            }
        };
        let landed = async {
            match flight.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(StoreError::Slow)),
                // The refresh panicked or the runtime is stopping.
                Err(_) => Err(StoreError::Slow),
            }
        };
        let Some(value) = stand_in else {
            return landed.await;
        };
        match timeout(REFRESH_WAIT, landed).await {
            Ok(Ok(fresh)) => Ok(fresh),
            Ok(Err(error)) => {
                tracing::warn!(key, %error, "serving the last good value");
                Ok(value)
            }
            Err(_) => Ok(value),
        }
    }

    /// Writes through, and forgets what memory held.
    ///
    /// # Errors
    /// The store's.
    pub async fn write(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        let outcome = self.0.store.write(key, value).await;
        self.memory().forget(key);
        outcome
    }

    /// Deletes in the store, and forgets what memory held.
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let outcome = self.0.store.delete(key).await;
        self.memory().forget(key);
        outcome
    }

    /// Bytes and entries held now.
    pub fn held(&self) -> (usize, usize) {
        let memory = self.memory();
        (memory.bytes, memory.entries.len())
    }

    fn is_uncached(&self, key: &str) -> bool {
        let prefix = self.0.policy.uncached_prefix.as_str();
        !prefix.is_empty() && key.starts_with(prefix)
    }

    /// The refresh of `key` that is under way, or a new one. It runs to its end even when nobody
    /// waits for it any more.
    fn fly(&self, memory: &mut Memory, key: &str) -> Flight {
        if let Some((_, flight)) = memory.flights.get(key) {
            return flight.clone();
        }
        let (landed, flight) = watch::channel(None);
        memory.flown += 1;
        let number = memory.flown;
        memory
            .flights
            .insert(key.to_owned(), (number, flight.clone()));
        let (cache, key) = (self.clone(), key.to_owned());
        tokio::spawn(async move {
            let outcome = cache.0.store.read(&key).await;
            cache.memory().land(number, &key, &outcome, &cache.0.policy);
            landed.send_replace(Some(outcome));
        });
        flight
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic under this lock leaves at worst a wrong byte count; the map itself stays whole.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn land(&mut self, number: u64, key: &str, outcome: &Outcome, policy: &CachePolicy) {
        match self.flights.get(key) {
            Some((flying, _)) if *flying == number => self.flights.remove(key),
            _ => return,
        };
        let now = Instant::now();
        match outcome {
            Ok(value) => {
                let used = self.entries.get(key).map_or(now, |entry| entry.used);
                self.forget(key);
                let entry = Entry {
                    value: value.clone(),
                    fetched: now,
                    tried: now,
                    used,
                };
                self.bytes += entry.cost(key);
                self.entries.insert(key.to_owned(), entry);
                self.shrink(policy.bytes_max);
            }
            Err(_) => {
                if let Some(entry) = self.entries.get_mut(key) {
                    entry.tried = now;
                }
            }
        }
    }

    fn forget(&mut self, key: &str) {
        self.flights.remove(key);
        if let Some(entry) = self.entries.remove(key) {
            self.bytes -= entry.cost(key);
        }
    }

    /// Drops the least recently used entries, an eighth more than needed so that this is rare.
    fn shrink(&mut self, bytes_max: usize) {
        if self.bytes <= bytes_max && self.entries.len() <= CACHE_ENTRIES_MAX {
            return;
        }
        let mut by_use: Vec<(Instant, String)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        by_use.sort_unstable();
        for (_, key) in by_use {
            if self.bytes <= bytes_max / 8 * 7 && self.entries.len() <= CACHE_ENTRIES_MAX / 8 * 7 {
                return;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.bytes -= entry.cost(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        folder: tempfile::TempDir,
        cache: CachedStore,
    }

    fn world(soft_ttl_ms: u64, bytes_max: usize) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::from_url(folder.path().to_str().unwrap()).unwrap();
        let policy = CachePolicy {
            soft_ttl: Duration::from_millis(soft_ttl_ms),
            bytes_max,
            uncached_prefix: "u/".to_owned(),
        };
        let cache = CachedStore::new(store, policy);
        World { folder, cache }
    }

    async fn put(world: &World, key: &str, value: &str) {
        let value = Bytes::from(value.to_owned());
        world.cache.store().write(key, value).await.unwrap();
    }

    async fn read(world: &World, key: &str) -> Option<String> {
        let value = world.cache.read(key).await.unwrap();
        value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn eventually(world: &World, key: &str, wanted: &str) {
        for _ in 0..200 {
            if read(world, key).await.as_deref() == Some(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} never became {wanted}");
    }

    #[tokio::test]
    async fn a_fresh_value_is_served_from_memory() {
        let world = world(60_000, 1 << 20);
        put(&world, "f/a", "old").await;
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("old"));
        put(&world, "f/a", "new").await;
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("old"));
    }

    #[tokio::test]
    async fn an_old_value_is_served_once_more_while_it_is_refreshed() {
        let world = world(30, 1 << 20);
        put(&world, "f/a", "old").await;
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("old"));
        put(&world, "f/a", "new").await;
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("old"));
        eventually(&world, "f/a", "new").await;
    }

    #[tokio::test]
    async fn absence_is_remembered_and_ends() {
        let world = world(30, 1 << 20);
        assert_eq!(read(&world, "r/a").await, None);
        put(&world, "r/a", "there").await;
        assert_eq!(read(&world, "r/a").await, None);
        eventually(&world, "r/a", "there").await;
    }

    #[tokio::test]
    async fn profiles_are_never_held() {
        let world = world(60_000, 1 << 20);
        put(&world, "u/1", "old").await;
        assert_eq!(read(&world, "u/1").await.as_deref(), Some("old"));
        put(&world, "u/1", "new").await;
        assert_eq!(read(&world, "u/1").await.as_deref(), Some("new"));
        assert_eq!(world.cache.held(), (0, 0));
    }

    #[tokio::test]
    async fn a_failing_store_is_covered_by_the_last_good_value() {
        let world = world(5, 1 << 20);
        put(&world, "f/a", "good").await;
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("good"));
        // A folder where the file was: reading it is an error, not an absence.
        let file = world.folder.path().join("f%2Fa");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(read(&world, "f/a").await.as_deref(), Some("good"));
        }
        std::fs::create_dir(world.folder.path().join("f%2Fb")).unwrap();
        assert!(world.cache.read("f/b").await.is_err());
    }

    #[tokio::test]
    async fn a_write_is_seen_by_the_next_read() {
        let world = world(60_000, 1 << 20);
        assert_eq!(read(&world, "f/a").await, None);
        let value = Bytes::from_static(b"mine");
        world.cache.write("f/a", value).await.unwrap();
        assert_eq!(read(&world, "f/a").await.as_deref(), Some("mine"));
        world.cache.delete("f/a").await.unwrap();
        assert_eq!(read(&world, "f/a").await, None);
    }

    #[tokio::test]
    async fn memory_stays_within_its_bytes_and_drops_the_least_used() {
        let world = world(60_000, 10_000);
        for n in 0..40 {
            put(&world, &format!("f/{n}"), &"x".repeat(1000)).await;
            read(&world, &format!("f/{n}")).await;
            read(&world, "f/0").await;
            assert!(world.cache.held().0 <= 10_000);
        }
        put(&world, "f/0", "changed").await;
        assert_eq!(read(&world, "f/0").await.map(|v| v.len()), Some(1000));
    }

    #[tokio::test]
    async fn many_readers_of_a_missing_key_share_one_flight() {
        let world = world(60_000, 1 << 20);
        put(&world, "f/a", "shared").await;
        let reads = (0..100).map(|_| {
            let cache = world.cache.clone();
            tokio::spawn(async move { cache.read("f/a").await.unwrap() })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap().as_deref(), Some(&b"shared"[..]));
        }
        assert_eq!(world.cache.held().1, 1);
        assert!(world.cache.memory().flights.is_empty());
    }
}
