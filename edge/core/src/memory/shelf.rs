//! Values of one kind, each behind its own lock. No lock is held across an await.

use super::Stored;
use crate::config::Ttl;
use crate::limits::{IN_FLIGHT_MS, RETRY_AFTER_FAILURE_MS};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a held value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// As the store has it, within the hard time to live.
    Store,
    /// The store cannot be read: the last good value, from memory or the edge cache.
    LastGood,
    /// The store says there is none.
    Absent,
    /// The store cannot be read, and nothing is held.
    Nothing,
}

/// What is held of one value.
#[derive(Debug)]
pub struct Held<T> {
    /// The value, if any.
    pub value: Option<Arc<T>>,
    /// Where it stands.
    pub source: Source,
    /// Milliseconds since the store last confirmed it.
    pub age_ms: i64,
    /// When this version was first held here.
    pub since_ms: i64,
}

pub(super) enum Look<T> {
    Serve { held: Held<T>, refresh: bool },
    Ask,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<Arc<T>>,
    /// When the store last answered; `None` = never.
    known_ms: Option<i64>,
    since_ms: i64,
    in_flight_ms: Option<i64>,
    failed_ms: Option<i64>,
}

impl<T> Slot<T> {
    const EMPTY: Self = Self {
        value: None,
        known_ms: None,
        since_ms: 0,
        in_flight_ms: None,
        failed_ms: None,
    };

    fn held(&self, now_ms: i64, ttl: Ttl) -> Held<T> {
        let age_ms = self.known_ms.map_or(i64::MAX, |k| (now_ms - k).max(0));
        let source = match (&self.value, self.known_ms) {
            (Some(_), Some(_)) if age_ms < ttl.hard_ms => Source::Store,
            (Some(_), _) => Source::LastGood,
            (None, Some(_)) if age_ms < ttl.hard_ms => Source::Absent,
            (None, _) => Source::Nothing,
        };
        Held {
            value: self.value.clone(),
            source,
            age_ms,
            since_ms: self.since_ms,
        }
    }
}

/// Values of one kind, by slot.
#[derive(Debug)]
pub struct Shelf<T>(Vec<Mutex<Slot<T>>>);

impl<T: Stored> Shelf<T> {
    /// An empty shelf of `slots` places.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Mutex::new(Slot::EMPTY)).collect())
    }

    // A panic while a lock was held cannot leave a slot half-written: every write is one assignment a field.
    fn lock(&self, slot: usize) -> Option<MutexGuard<'_, Slot<T>>> {
        Some(
            self.0
                .get(slot)?
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// What is held, without asking anyone.
    #[must_use]
    pub fn held(&self, slot: usize, now_ms: i64, ttl: Ttl) -> Held<T> {
        self.lock(slot)
            .map_or_else(|| Slot::EMPTY.held(now_ms, ttl), |s| s.held(now_ms, ttl))
    }

    /// Decides between serving and asking; claims the refresh for the caller.
    pub(super) fn look(&self, slot: usize, now_ms: i64, ttl: Ttl) -> Look<T> {
        let Some(mut s) = self.lock(slot) else {
            return Look::Serve {
                held: Slot::EMPTY.held(now_ms, ttl),
                refresh: false,
            };
        };
        let age_ms = s.known_ms.map_or(i64::MAX, |k| (now_ms - k).max(0));
        let in_flight = s.in_flight_ms.is_some_and(|f| now_ms - f < IN_FLIGHT_MS);
        let failing = s
            .failed_ms
            .is_some_and(|f| now_ms - f < RETRY_AFTER_FAILURE_MS);
        let serve = |s: &Slot<T>, refresh| Look::Serve {
            held: s.held(now_ms, ttl),
            refresh,
        };
        let soft_ms = if s.value.is_some() {
            ttl.soft_ms
        } else {
            ttl.absent_ms
        };
        if age_ms < soft_ms {
            return serve(&s, false);
        }
        if age_ms < ttl.hard_ms {
            let refresh = !in_flight && !failing;
            if refresh {
                s.in_flight_ms = Some(now_ms);
            }
            return serve(&s, refresh);
        }
        // A cold place is asked for by every request that meets it: one isolate's request cannot wait for another's.
        if failing || (in_flight && s.value.is_some()) {
            return serve(&s, false);
        }
        s.in_flight_ms = Some(now_ms);
        Look::Ask
    }

    /// The store answered with a value; whether it is another version than before.
    pub(super) fn store(&self, slot: usize, value: T, now_ms: i64) -> bool {
        let Some(mut s) = self.lock(slot) else {
            return false;
        };
        s.in_flight_ms = None;
        s.failed_ms = None;
        s.known_ms = Some(now_ms);
        let other = match &s.value {
            Some(old) => old.version() != value.version() && value.replaces(old),
            None => true,
        };
        if other {
            s.value = Some(Arc::new(value));
            s.since_ms = now_ms;
        }
        other
    }

    /// The store has no such value. One that was held stays: a replica may be behind.
    pub(super) fn absent(&self, slot: usize, now_ms: i64) {
        if let Some(mut s) = self.lock(slot) {
            s.in_flight_ms = None;
            s.failed_ms = None;
            s.known_ms = Some(now_ms);
        }
    }

    /// The store could not be read, or what it answered.
    pub(super) fn failed(&self, slot: usize, now_ms: i64) {
        if let Some(mut s) = self.lock(slot) {
            s.in_flight_ms = None;
            s.failed_ms = Some(now_ms);
        }
    }

    /// The edge cache had a last good value; the store stays unknown.
    pub(super) fn recalled(&self, slot: usize, value: T, now_ms: i64) {
        if let Some(mut s) = self.lock(slot)
            && s.value.is_none()
        {
            s.value = Some(Arc::new(value));
            s.since_ms = now_ms;
        }
    }
}
