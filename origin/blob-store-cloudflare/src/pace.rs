//! Order and pace: one call per lane at a time, one write per key and second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits::{KEY_WRITE_PAUSE, WRITES_REMEMBERED};

/// A lane's callers, in order of arrival.
#[derive(Default)]
pub(crate) struct LaneQueue {
    turn: tokio::sync::Mutex<()>,
    tickets: AtomicU64,
    /// The latest ticket that wants to write a key.
    latest: Mutex<HashMap<String, u64>>,
}

impl LaneQueue {
    /// Waits until every earlier caller of the lane is done.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Says that these keys will be written, for as long as the answer is held.
    pub fn announce<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Announcement<'_> {
        let keys: Vec<String> = keys.cloned().collect();
        let mut latest = lock(&self.latest);
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        latest.extend(keys.iter().map(|key| (key.clone(), ticket)));
        Announcement {
            queue: self,
            keys,
            ticket,
        }
    }

    pub fn is_latest(&self, key: &str, ticket: u64) -> bool {
        lock(&self.latest)
            .get(key)
            .is_none_or(|latest| *latest == ticket)
    }
}

/// Keys about to be written. Forgotten when dropped, also by a caller that gave up waiting, so
/// that an earlier put is not overtaken by one that will never be sent.
pub(crate) struct Announcement<'a> {
    queue: &'a LaneQueue,
    keys: Vec<String>,
    pub ticket: u64,
}

impl Drop for Announcement<'_> {
    fn drop(&mut self) {
        let mut latest = lock(&self.queue.latest);
        for key in &self.keys {
            if latest.get(key) == Some(&self.ticket) {
                latest.remove(key);
            }
        }
    }
}

/// When keys were last written, across lanes.
#[derive(Default)]
pub(crate) struct Pace {
    written: Mutex<HashMap<String, Instant>>,
}

impl Pace {
    pub fn is_due(&self, key: &str) -> bool {
        lock(&self.written)
            .get(key)
            .is_none_or(|at| at.elapsed() >= KEY_WRITE_PAUSE)
    }

    pub fn written<'a>(&self, keys: impl Iterator<Item = &'a str>) {
        let mut written = lock(&self.written);
        if written.len() > WRITES_REMEMBERED {
            written.retain(|_, at| at.elapsed() < KEY_WRITE_PAUSE);
        }
        let now = Instant::now();
        written.extend(keys.map(|key| (key.to_owned(), now)));
    }

    /// Until the first of these keys may be written again.
    pub async fn wait_for_any<'a>(&self, keys: impl Iterator<Item = &'a str>) {
        if let Some(at) = self.due_times(keys).into_iter().min() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Until all of these keys may be written again.
    pub async fn wait_for_all<'a>(&self, keys: impl Iterator<Item = &'a str>) {
        if let Some(at) = self.due_times(keys).into_iter().max() {
            tokio::time::sleep_until(at).await;
        }
    }

    fn due_times<'a>(&self, keys: impl Iterator<Item = &'a str>) -> Vec<Instant> {
        let written = lock(&self.written);
        keys.filter_map(|key| written.get(key))
            .map(|at| *at + KEY_WRITE_PAUSE)
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Maps of plain values: a panicking holder leaves nothing half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
