//! Which events a partition has folded already: an hour of them, as far as memory goes.
//!
//! An event is remembered by 58 bits of the hash of its (`source`, `id`) and the minute the log took it, in one word
//! of an open table. Two events of 50,000/s over an hour share a word about once in three days: so exact is "exact".
//! What is older than an hour goes, once a minute; when the table is full before, the oldest minutes go
//! ([`SeenBefore::reach_min`] tells). Stored in segments of [`SEEN_SEGMENT`] offsets, so that a commit rewrites one or
//! two small values.

use mediaflow_ports::{Entry, Offset};
use std::collections::VecDeque;

use crate::cache::Sheet;
use crate::declare::VIEW_SEEN;
use crate::limits::{SEEN_MIN, SEEN_SEGMENT, SEEN_SLOTS_MIN};

/// Bits of a word that tell the minute; the rest is the fingerprint.
const MINUTE_BITS: u64 = 0x3f;

#[derive(Debug)]
pub(crate) struct SeenBefore {
    partition: u32,
    slots_max: usize,
    /// Power of two; 0 = free.
    slots: Vec<u64>,
    used: usize,
    /// Newest minute met, and oldest still remembered.
    minute: u32,
    oldest: u32,
    /// Number and newest minute of the segments stored, oldest first.
    stored: VecDeque<(u64, u32)>,
    current: Segment,
    full: Vec<Segment>,
    dropped: Vec<u64>,
}

#[derive(Debug, Default)]
struct Segment {
    number: u64,
    minute: u32,
    fingerprints: Vec<u64>,
    dirty: bool,
}

impl SeenBefore {
    /// At most `slots_max` words of memory, rounded up to a power of two.
    pub fn new(partition: u32, slots_max: usize) -> Self {
        Self {
            partition,
            slots_max: slots_max.next_power_of_two().max(SEEN_SLOTS_MIN),
            slots: vec![0; SEEN_SLOTS_MIN],
            used: 0,
            minute: 0,
            oldest: 0,
            stored: VecDeque::new(),
            current: Segment::default(),
            full: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// What all keys of a partition begin with.
    pub fn prefix(partition: u32) -> [u8; 4] {
        partition.to_be_bytes()
    }

    /// Takes a stored segment in; they come in the order of their keys.
    pub fn restore(&mut self, entry: &Entry) {
        let Some(number) = entry.key.last_chunk::<8>().map(|n| u64::from_be_bytes(*n)) else {
            return;
        };
        let Some((minute, rows)) = entry.value.split_first_chunk::<4>() else {
            return;
        };
        let minute = u32::from_be_bytes(*minute);
        let (rows, _) = rows.as_chunks::<8>();
        let fingerprints: Vec<u64> = rows.iter().map(|r| u64::from_be_bytes(*r)).collect();
        self.turn_to(minute);
        for f in &fingerprints {
            self.put(*f);
        }
        self.stored.push_back((number, minute));
        self.current = Segment {
            number,
            minute,
            fingerprints,
            dirty: false,
        };
    }

    /// Remembers the event at `offset`, which the log took in `minute`; answers whether it is new.
    pub fn insert(&mut self, offset: Offset, minute: u32, fingerprint: u64) -> bool {
        self.turn_to(minute);
        if !self.put(fingerprint) {
            return false;
        }
        let number = offset / SEEN_SEGMENT;
        let minute = self.minute;
        if self.current.number != number || self.current.fingerprints.is_empty() {
            let done = std::mem::replace(
                &mut self.current,
                Segment {
                    number,
                    minute,
                    fingerprints: Vec::new(),
                    dirty: true,
                },
            );
            if done.dirty && !done.fingerprints.is_empty() {
                self.full.push(done);
            }
            self.stored.push_back((number, minute));
        }
        self.current.fingerprints.push(fingerprint);
        self.current.minute = minute;
        self.current.dirty = true;
        if let Some(s) = self.stored.back_mut() {
            s.1 = minute;
        }
        true
    }

    /// Minutes back to which events are remembered.
    pub fn reach_min(&self) -> u32 {
        self.minute.saturating_sub(self.oldest)
    }

    /// Remembers it as of the newest minute, unless it is remembered.
    fn put(&mut self, fingerprint: u64) -> bool {
        // A word is never 0: that is a free one.
        let word = match fingerprint & !MINUTE_BITS {
            0 => MINUTE_BITS + 1,
            word => word,
        };
        let mask = self.slots.len() - 1;
        let mut i = (fingerprint >> 20) as usize & mask;
        loop {
            let found = self.slots[i];
            if found == 0 {
                break;
            }
            if found & !MINUTE_BITS == word {
                return false;
            }
            i = (i + 1) & mask;
        }
        self.slots[i] = word | u64::from(self.minute) & MINUTE_BITS;
        self.used += 1;
        if self.used * 4 > self.slots.len() * 3 {
            self.make_room();
        }
        true
    }

    /// Moves to a later minute and forgets what is older than an hour then.
    fn turn_to(&mut self, minute: u32) {
        if minute <= self.minute {
            return;
        }
        if self.minute == 0 || minute - self.minute > SEEN_MIN {
            self.minute = minute;
            self.slots.fill(0);
            self.forget_before(minute);
            return;
        }
        // A word knows its minute of 64: what is forgotten must go before it looks new again.
        while self.minute < minute {
            self.minute = minute.min(self.minute + 63 - SEEN_MIN);
            let oldest = self.minute.saturating_sub(SEEN_MIN);
            if oldest > self.oldest {
                self.forget_before(oldest);
            }
        }
    }

    fn make_room(&mut self) {
        if self.slots.len() < self.slots_max {
            let grown = vec![0; self.slots.len() * 2];
            self.rebuild(grown, |_| true);
            return;
        }
        let mut by_age = [0usize; 64];
        let now = self.minute;
        for w in self.slots.iter().filter(|w| **w != 0) {
            by_age[age(now, *w) as usize] += 1;
        }
        // The newest minutes that fill half of the table stay; at least the running one's share goes when it alone
        // is too much, and then all of it.
        let (mut kept, mut minutes) = (0, 0);
        while minutes < 64 && kept + by_age[minutes] <= self.slots.len() / 2 {
            kept += by_age[minutes];
            minutes += 1;
        }
        self.forget_before((now + 1).saturating_sub(minutes as u32));
    }

    fn forget_before(&mut self, oldest: u32) {
        let (now, len) = (self.minute, self.slots.len());
        let gone = now.saturating_sub(oldest);
        self.oldest = oldest;
        self.rebuild(vec![0; len], |w| oldest <= now && age(now, w) <= gone);
        while let Some(&(number, minute)) = self.stored.front() {
            if minute >= oldest || number == self.current.number {
                break;
            }
            self.stored.pop_front();
            self.full.retain(|s| s.number != number);
            self.dropped.push(number);
        }
    }

    fn rebuild(&mut self, mut slots: Vec<u64>, keep: impl Fn(u64) -> bool) {
        let mask = slots.len() - 1;
        self.used = 0;
        for w in self.slots.drain(..).filter(|w| *w != 0 && keep(*w)) {
            // The low bits of the fingerprint are not known any more, and not needed.
            let mut i = (w >> 20) as usize & mask;
            while slots[i] != 0 {
                i = (i + 1) & mask;
            }
            slots[i] = w;
            self.used += 1;
        }
        self.slots = slots;
    }

    /// What changed since the last call.
    pub fn writes(&mut self, out: &mut Sheet) {
        let prefix = Self::prefix(self.partition);
        let key = |number: u64| [&prefix[..], &number.to_be_bytes()].concat();
        let mut put = |s: &Segment| {
            out.put(VIEW_SEEN, &key(s.number), None, |value| {
                value.extend_from_slice(&s.minute.to_be_bytes());
                for f in &s.fingerprints {
                    value.extend_from_slice(&f.to_be_bytes());
                }
            });
        };
        for s in self.full.drain(..) {
            put(&s);
        }
        if std::mem::take(&mut self.current.dirty) {
            put(&self.current);
        }
        for number in self.dropped.drain(..) {
            out.delete(VIEW_SEEN, &key(number));
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.used
    }
}

/// Minutes since a word was put.
fn age(now: u32, word: u64) -> u32 {
    now.wrapping_sub(word as u32) & MINUTE_BITS as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Spare;
    use std::collections::BTreeMap;

    fn fingerprint(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    const START: u32 = 29_920_800;

    #[test]
    fn an_hour_is_remembered_and_survives_a_restart() {
        let mut seen = SeenBefore::new(3, 1 << 16);
        let mut stored = BTreeMap::new();
        // 100 a minute for two hours.
        for n in 0..12_000u64 {
            let minute = START + (n / 100) as u32;
            assert!(seen.insert(n, minute, fingerprint(n)), "{n}");
            let twice = n.saturating_sub(100 * 59);
            assert!(!seen.insert(n, minute, fingerprint(twice)), "{n}");
            if n % 70 == 0 || n == 11_999 {
                let mut sheet = Sheet::default();
                seen.writes(&mut sheet);
                for w in sheet.into_writes(&mut Spare::default()) {
                    match w.value {
                        Some(v) => stored.insert(w.key, v),
                        None => stored.remove(&w.key),
                    };
                }
            }
        }
        assert_eq!(seen.reach_min(), SEEN_MIN);
        assert!((6_000..=6_200).contains(&seen.len()), "{}", seen.len());
        assert!(stored.len() <= 8, "{}", stored.len());
        let mut again = SeenBefore::new(3, 1 << 16);
        for (key, value) in stored {
            let expires_ms = None;
            again.restore(&Entry {
                key,
                value,
                expires_ms,
            });
        }
        let now = START + 119;
        for n in 12_000 - 59 * 100..12_000 {
            assert!(!again.insert(12_000, now, fingerprint(n)), "{n}");
        }
        assert!(again.insert(12_000, now, fingerprint(1)), "two hours ago");
    }

    #[test]
    fn a_full_table_forgets_the_oldest_minutes_first() {
        let mut seen = SeenBefore::new(0, SEEN_SLOTS_MIN);
        let a_minute = SEEN_SLOTS_MIN as u64 / 8;
        for n in 0..a_minute * 20 {
            assert!(seen.insert(n, START + (n / a_minute) as u32, fingerprint(n)));
            assert!(seen.len() * 4 <= SEEN_SLOTS_MIN * 3);
        }
        let last = a_minute * 20 - 1;
        for n in last - 3 * a_minute..=last {
            assert!(!seen.insert(last, START + 19, fingerprint(n)), "{n}");
        }
        assert!((3..8).contains(&seen.reach_min()), "{}", seen.reach_min());
        let mut sheet = Sheet::default();
        seen.writes(&mut sheet);
        assert!(
            sheet
                .into_writes(&mut Spare::default())
                .iter()
                .any(|w| w.value.is_none())
        );
    }

    #[test]
    fn a_long_pause_forgets_all() {
        let mut seen = SeenBefore::new(0, 1 << 16);
        for n in 0..100 {
            seen.insert(n, START, fingerprint(n));
        }
        for pause in [61, 64, 70, 128, 10_000] {
            let mut later = SeenBefore::new(0, 1 << 16);
            for n in 0..100 {
                later.insert(n, START, fingerprint(n));
            }
            assert!(later.insert(100, START + pause, fingerprint(5)), "{pause}");
            assert_eq!(later.len(), 1, "{pause}");
        }
        assert!(!seen.insert(100, START + 60, fingerprint(5)));
    }

    #[test]
    fn one_minute_too_many_is_bounded_too() {
        let mut seen = SeenBefore::new(0, SEEN_SLOTS_MIN);
        for n in 0..SEEN_SLOTS_MIN as u64 * 4 {
            assert!(seen.insert(n, START, fingerprint(n)));
        }
        assert!(seen.len() <= SEEN_SLOTS_MIN);
    }
}
