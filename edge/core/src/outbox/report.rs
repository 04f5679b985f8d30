//! Served records and heartbeats on their way to the origin.

use crate::limits::{HEARTBEAT_MS, IN_FLIGHT_MS, RETRY_AFTER_FAILURE_MS, SERVED_WAITING_MAX};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    in_flight_ms: Option<i64>,
    failed_ms: Option<i64>,
}

/// Encoded served records. What does not fit is lost, the oldest first: they are for learning and replay, and a
/// reader never waits for them.
#[derive(Debug, Default)]
pub struct ServedQueue(Mutex<State>);

impl ServedQueue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record; answers whether nobody is on the way to send it.
    pub fn add(&self, record: Vec<u8>, now_ms: i64) -> bool {
        let mut s = self.lock();
        if s.waiting.len() >= SERVED_WAITING_MAX {
            s.waiting.pop_front();
        }
        s.waiting.push_back(record);
        idle(&s, now_ms)
    }

    /// Records waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn claim(&self, now_ms: i64) -> bool {
        let mut s = self.lock();
        let free = idle(&s, now_ms);
        if free {
            s.in_flight_ms = Some(now_ms);
        }
        free
    }

    /// The oldest records. Empty: the claim is given up under the same lock, so that none is left behind.
    pub(super) fn take(&self, n: usize, now_ms: i64) -> Vec<Vec<u8>> {
        let mut s = self.lock();
        let n = n.min(s.waiting.len());
        s.in_flight_ms = (n > 0).then_some(now_ms);
        s.failed_ms = None;
        s.waiting.drain(..n).collect()
    }

    pub(super) fn put_back(&self, records: Vec<Vec<u8>>) -> usize {
        let mut s = self.lock();
        let room = SERVED_WAITING_MAX.saturating_sub(s.waiting.len());
        let lost = records.len().saturating_sub(room);
        for r in records.into_iter().skip(lost).rev() {
            s.waiting.push_front(r);
        }
        lost
    }

    pub(super) fn release(&self, now_ms: i64) {
        let mut s = self.lock();
        s.in_flight_ms = None;
        s.failed_ms = Some(now_ms);
    }
}

fn idle(s: &State, now_ms: i64) -> bool {
    s.in_flight_ms
        .is_none_or(|f| now_ms - f >= 2 * IN_FLIGHT_MS)
        && s.failed_ms
            .is_none_or(|f| now_ms - f >= RETRY_AFTER_FAILURE_MS)
}

/// A MessagePack array of binaries, as `POST /v1/served` reads it.
#[must_use]
pub fn pack(records: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.iter().map(|r| r.len() + 5).sum::<usize>() + 3);
    // At most `SERVED_BATCH_MAX`, which fits 16 bits.
    out.push(0xdc);
    out.extend_from_slice(&(records.len() as u16).to_be_bytes());
    for r in records {
        out.push(0xc6);
        out.extend_from_slice(&(r.len() as u32).to_be_bytes());
        out.extend_from_slice(r);
    }
    out
}

/// When the last heartbeat went out.
#[derive(Debug, Default)]
pub struct Heartbeats(Mutex<Option<i64>>);

impl Heartbeats {
    /// Whether one is due; then it is claimed.
    #[must_use]
    pub fn due(&self, now_ms: i64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|l| (now_ms - l).abs() >= HEARTBEAT_MS);
        if due {
            *last = Some(now_ms);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_packed_as_an_array_of_binaries() {
        let packed = pack(&[vec![7, 8], vec![9]]);
        assert_eq!(
            packed,
            [0xdc, 0, 2, 0xc6, 0, 0, 0, 2, 7, 8, 0xc6, 0, 0, 0, 1, 9]
        );
    }

    #[test]
    fn a_record_added_while_sending_is_not_left_behind() {
        let q = ServedQueue::default();
        assert!(q.add(vec![1], 0));
        assert!(q.claim(0));
        assert!(!q.add(vec![2], 1), "the sender takes it along");
        assert_eq!(q.take(1, 1), vec![vec![1]]);
        assert_eq!(q.take(9, 1), vec![vec![2]]);
        assert!(q.take(9, 1).is_empty());
        assert!(q.add(vec![3], 2), "the sender has gone");
    }
}
