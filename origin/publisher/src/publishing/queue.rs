//! Who waits: readers whose blob may be written when there is money, and those to look at again later.
//!
//! Ready readers are served by what their write would change, and waiting makes up for change: a reader who has waited
//! the longest allowed age goes before anyone who came just now, whatever the change. Both grow at the same pace for
//! everyone, so the order never changes once it is made.

use mediaflow_shared::id::Pseudonym;
use std::collections::{BTreeSet, HashMap};

#[derive(Debug, Clone, Copy)]
enum Place {
    Later(i64),
    Ready(i64),
}

/// The queue of one brand.
#[derive(Debug, Default)]
pub struct Queue {
    places: HashMap<Pseudonym, Place>,
    later: BTreeSet<(i64, Pseudonym)>,
    ready: BTreeSet<(i64, Pseudonym)>,
}

impl Queue {
    /// Puts a reader where a write waits for money. `change` is 0 to 65,536, `since_ms` when the wait began.
    pub fn ready(&mut self, reader: Pseudonym, change: u32, since_ms: i64, age_ms_max: i64) {
        self.remove(reader);
        let rank = since_ms - i64::from(change.min(65_536)) * age_ms_max / 65_536;
        self.places.insert(reader, Place::Ready(rank));
        self.ready.insert((rank, reader));
    }

    /// Puts a reader where it is looked at again at `due_ms`.
    pub fn later(&mut self, reader: Pseudonym, due_ms: i64) {
        self.remove(reader);
        self.places.insert(reader, Place::Later(due_ms));
        self.later.insert((due_ms, reader));
    }

    /// Forgets a reader.
    pub fn remove(&mut self, reader: Pseudonym) {
        match self.places.remove(&reader) {
            Some(Place::Later(at)) => drop(self.later.remove(&(at, reader))),
            Some(Place::Ready(rank)) => drop(self.ready.remove(&(rank, reader))),
            None => {}
        }
    }

    /// Takes up to `max` readers out whose time has come, earliest first.
    pub fn take_due(&mut self, now_ms: i64, max: usize) -> Vec<Pseudonym> {
        let due = |s: &&(i64, Pseudonym)| s.0 <= now_ms;
        let taken: Vec<_> = self
            .later
            .iter()
            .take_while(due)
            .take(max)
            .map(|s| s.1)
            .collect();
        for r in &taken {
            self.remove(*r);
        }
        taken
    }

    /// Takes up to `max` readers out whose write goes first.
    pub fn take_ready(&mut self, max: usize) -> Vec<Pseudonym> {
        let taken: Vec<_> = self.ready.iter().take(max).map(|s| s.1).collect();
        for r in &taken {
            self.remove(*r);
        }
        taken
    }

    /// Whether a reader waits here.
    #[must_use]
    pub fn contains(&self, reader: Pseudonym) -> bool {
        self.places.contains_key(&reader)
    }

    /// When the next one is due, if anyone waits for a time.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<i64> {
        self.later.first().map(|s| s.0)
    }

    /// Readers waiting for money.
    #[must_use]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Readers waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(n: u8) -> Pseudonym {
        Pseudonym([n; 16])
    }

    #[test]
    fn the_largest_change_goes_first_and_the_longest_wait_before_all() {
        let mut q = Queue::default();
        q.ready(reader(1), 100, 5_000, 10_000);
        q.ready(reader(2), 60_000, 5_000, 10_000);
        q.ready(reader(3), 20_000, 5_000, 10_000);
        q.ready(reader(4), 1, -6_000, 10_000);
        assert_eq!(q.take_ready(3), [reader(4), reader(2), reader(3)]);
        assert_eq!(q.take_ready(9), [reader(1)]);
        assert!(q.is_empty());
    }

    #[test]
    fn a_reader_waits_in_one_place_only() {
        let mut q = Queue::default();
        q.later(reader(1), 50);
        q.ready(reader(1), 7, 0, 100);
        assert_eq!((q.len(), q.ready_len(), q.next_due_ms()), (1, 1, None));
        q.later(reader(1), 70);
        assert_eq!((q.take_ready(9).len(), q.take_due(69, 9).len()), (0, 0));
        assert_eq!(q.take_due(70, 9), [reader(1)]);
    }
}
