//! Event batches that the origin has not taken yet.

use crate::limits::{IN_FLIGHT_MS, RETRY_AFTER_FAILURE_MS, RETRY_BATCHES_MAX, RETRY_BYTES_MAX};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// A batch of checked events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// A JSON array of CloudEvents.
    pub body: Vec<u8>,
    /// The reader's user agent, for the robot check at the origin.
    pub agent: String,
    /// W3C trace context.
    pub traceparent: String,
}

/// The queue holds all it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the retry queue is full: the origin has been unreachable for long")]
pub struct Full;

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(u64, Arc<Batch>)>,
    bytes: usize,
    next: u64,
    in_flight_ms: Option<i64>,
    failed_ms: Option<i64>,
}

/// Bounded in bytes and number.
#[derive(Debug, Default)]
pub struct Queue(Mutex<State>);

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch over: from here on the edge answers for it.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&self, batch: Batch) -> Result<(), Full> {
        let mut s = self.lock();
        let bytes = s.bytes + batch.body.len();
        if s.waiting.len() >= RETRY_BATCHES_MAX || bytes > RETRY_BYTES_MAX {
            return Err(Full);
        }
        s.bytes = bytes;
        let number = s.next;
        s.next += 1;
        s.waiting.push_back((number, Arc::new(batch)));
        Ok(())
    }

    /// Batches waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the origin failed a moment ago: then nobody is made to wait for it.
    #[must_use]
    pub fn failing(&self, now_ms: i64) -> bool {
        self.lock()
            .failed_ms
            .is_some_and(|f| now_ms - f < RETRY_AFTER_FAILURE_MS)
    }

    /// Whether a flush is due: something waits, nobody flushes, and the origin was left in peace for a moment.
    #[must_use]
    pub fn due(&self, now_ms: i64) -> bool {
        let s = self.lock();
        !s.waiting.is_empty()
            && s.in_flight_ms
                .is_none_or(|f| now_ms - f >= 2 * IN_FLIGHT_MS)
            && s.failed_ms
                .is_none_or(|f| now_ms - f >= RETRY_AFTER_FAILURE_MS)
    }

    pub(super) fn claim(&self, now_ms: i64) -> bool {
        let mut s = self.lock();
        let free = s
            .in_flight_ms
            .is_none_or(|f| now_ms - f >= 2 * IN_FLIGHT_MS);
        if free {
            s.in_flight_ms = Some(now_ms);
        }
        free
    }

    /// The oldest batch, which stays; the claim of the flush that asks is renewed.
    pub(super) fn oldest(&self, now_ms: i64) -> Option<(u64, Arc<Batch>)> {
        let mut s = self.lock();
        s.in_flight_ms = Some(now_ms);
        s.waiting.front().cloned()
    }

    pub(super) fn done(&self, number: u64) {
        let mut s = self.lock();
        if let Some(at) = s.waiting.iter().position(|(n, _)| *n == number)
            && let Some((_, batch)) = s.waiting.remove(at)
        {
            s.bytes = s.bytes.saturating_sub(batch.body.len());
        }
    }

    /// Notes that the origin failed or answered.
    pub fn note(&self, now_ms: i64, failed: bool) {
        self.lock().failed_ms = failed.then_some(now_ms);
    }

    pub(super) fn release(&self, now_ms: i64, failed: bool) {
        let mut s = self.lock();
        s.in_flight_ms = None;
        s.failed_ms = failed.then_some(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_bytes_and_keeps_a_batch_until_it_is_done() {
        let q = Queue::default();
        let batch = |n| Batch {
            body: vec![0; n],
            ..Batch::default()
        };
        assert_eq!(q.add(batch(RETRY_BYTES_MAX)), Ok(()));
        assert_eq!(q.add(batch(1)), Err(Full));
        assert!(q.claim(0));
        assert!(!q.claim(1), "one flush at a time");
        let (number, _) = q.oldest(0).unwrap();
        q.release(5, true);
        assert!(!q.due(10) && q.due(5 + RETRY_AFTER_FAILURE_MS));
        assert!(q.claim(6));
        assert_eq!(q.oldest(6).unwrap().0, number);
        q.done(number);
        assert!(q.is_empty());
        assert_eq!(q.add(batch(RETRY_BYTES_MAX)), Ok(()));
    }
}
