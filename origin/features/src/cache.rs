//! States in memory: those used last, loaded from a view when first met, written back when changed.
//!
//! An event finds its states by hash once ([`Cache::want`]); from then on by their place, which stays theirs until
//! [`Cache::cool`].

use bytes::Bytes;
use mediaflow_ports::Write;
use mediaflow_shared::wire::WireError;
use std::collections::HashMap;
use std::hash::Hash;

/// Keys come from outside, so the hash is seeded; the order of its iteration decides nothing.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Where a state is in a cache.
pub(crate) type Place = u32;

#[derive(Debug)]
pub(crate) struct Slot<K, V> {
    pub key: K,
    pub state: V,
    /// Clock at the last use.
    used: u64,
    dirty: bool,
}

#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    places: Map<K, Place>,
    slots: Vec<Slot<K, V>>,
    dirty: Vec<Place>,
    /// Met, but not loaded yet.
    wanted: Vec<Place>,
    max: usize,
    clock: u64,
}

impl<K: Copy + Eq + Hash, V: Default + Warm> Cache<K, V> {
    pub fn new(max: usize) -> Self {
        Self {
            places: Map::default(),
            slots: Vec::new(),
            dirty: Vec::new(),
            wanted: Vec::new(),
            max,
            clock: 0,
        }
    }

    /// The place of a state; one met for the first time is to be loaded before it is used.
    pub fn want(&mut self, key: K) -> Place {
        let next = self.slots.len() as Place;
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.slots.push(Slot {
                key,
                state: V::default(),
                used: self.clock,
                dirty: false,
            });
            self.wanted.push(place);
        }
        place
    }

    /// What is to be loaded, and forgets that it was asked for.
    pub fn take_wanted(&mut self) -> Vec<Place> {
        std::mem::take(&mut self.wanted)
    }

    pub fn key(&self, place: Place) -> K {
        self.slots[place as usize].key
    }

    /// Takes a state from its store.
    pub fn supply(&mut self, place: Place, state: V) {
        self.slots[place as usize].state = state;
    }

    /// A state, to be changed.
    pub fn change(&mut self, place: Place) -> &mut V {
        let slot = &mut self.slots[place as usize];
        self.clock += 1;
        slot.used = self.clock;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty.push(place);
        }
        &mut slot.state
    }

    /// A state in memory.
    pub fn find(&self, key: &K) -> Option<&V> {
        let place = *self.places.get(key)?;
        self.slots.get(place as usize).map(|s| &s.state)
    }

    /// All states in memory, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().map(|s| (&s.key, &s.state))
    }

    /// Hands out every state that changed since the last call, in the order of their first change.
    pub fn each_changed(&mut self, mut write: impl FnMut(&K, &mut V)) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for some in dirty.chunks(WARM) {
            self.warm(some.iter().copied());
            for place in some {
                let slot = &mut self.slots[*place as usize];
                slot.dirty = false;
                write(&slot.key, &mut slot.state);
            }
        }
        dirty.clear();
        self.dirty = dirty;
    }

    /// Fetches states that are about to be worked on, about [`WARM`] of them.
    pub fn warm(&self, places: impl Iterator<Item = Place>) {
        let read = places.map(|p| self.slots[p as usize].state.warm());
        std::hint::black_box(read.fold(0, u64::wrapping_add));
    }

    /// Forgets the states used least lately, in memory only, when there are too many. Call when none has changed;
    /// places are void afterwards.
    pub fn cool(&mut self) {
        if self.slots.len() <= self.max {
            return;
        }
        let limit = crate::oldest(self.slots.iter().map(|s| s.used));
        self.slots.retain(|s| s.used > limit);
        self.places.clear();
        for (place, slot) in self.slots.iter().enumerate() {
            self.places.insert(slot.key, place as Place);
        }
    }
}

/// States whose memory can be fetched before it is needed. Thousands of states of several pieces each do not fit the
/// processor's caches, and one waited for after the other costs more than the work on them: reading a bit of each of many
/// first lets the processor wait for all at once.
pub(crate) trait Warm {
    /// Any number that depends on the pieces that the work will read.
    fn warm(&self) -> u64 {
        0
    }
}

/// States fetched ahead: more outstanding reads than a core has are of no use.
pub(crate) const WARM: usize = 16;

/// The changes of a commit. Thousands of small keys and values lie in two pieces of memory: allocating each cost as much
/// as encoding it.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    keys: Vec<u8>,
    values: Vec<u8>,
    rows: Vec<Row>,
}

/// The memory of the last commit's values, for the next: new pages cost more than what is written into them.
#[derive(Debug, Default)]
pub(crate) struct Spare(Bytes);

#[derive(Debug)]
struct Row {
    view: &'static str,
    /// Where its key and its value end.
    key_end: usize,
    value_end: usize,
    deletes: bool,
    expires_ms: Option<i64>,
}

impl Sheet {
    /// Writes what `value` appends.
    pub fn put(
        &mut self,
        view: &'static str,
        key: &[u8],
        expires_ms: Option<i64>,
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        value(&mut self.values);
        self.row(view, key, expires_ms, false);
    }

    pub fn delete(&mut self, view: &'static str, key: &[u8]) {
        self.row(view, key, None, true);
    }

    fn row(&mut self, view: &'static str, key: &[u8], expires_ms: Option<i64>, deletes: bool) {
        self.keys.extend_from_slice(key);
        self.rows.push(Row {
            view,
            key_end: self.keys.len(),
            value_end: self.values.len(),
            deletes,
            expires_ms,
        });
    }

    /// Bytes of all values.
    pub fn value_bytes(&self) -> usize {
        self.values.len()
    }

    /// Empty, in the memory of the last one when nobody reads that any more.
    pub fn reusing(spare: &mut Spare) -> Self {
        let last = std::mem::take(&mut spare.0);
        let mut values = if last.is_unique() {
            Vec::from(last)
        } else {
            Vec::new()
        };
        values.clear();
        Self {
            values,
            ..Self::default()
        }
    }

    pub fn into_writes(self, spare: &mut Spare) -> Vec<Write> {
        let (keys, values) = (Bytes::from(self.keys), Bytes::from(self.values));
        spare.0 = values.clone();
        let (mut key, mut value) = (0, 0);
        let write = |r: Row| {
            let of = (key..r.key_end, value..r.value_end);
            (key, value) = (r.key_end, r.value_end);
            Write {
                view: r.view.into(),
                key: keys.slice(of.0),
                value: (!r.deletes).then(|| values.slice(of.1)),
                expires_ms: r.expires_ms,
            }
        };
        self.rows.into_iter().map(write).collect()
    }
}

/// A value of a view as a state; nothing stored is the empty state.
pub(crate) fn read<V: Default>(
    stored: Option<&[u8]>,
    decode: impl FnOnce(&[u8]) -> Result<V, WireError>,
) -> Result<V, WireError> {
    stored.map_or_else(|| Ok(V::default()), decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Warm for u64 {}

    #[test]
    fn a_sheet_holds_what_was_put_in_it() {
        let mut sheet = Sheet::default();
        sheet.put("a", b"k1", Some(7), |out| out.extend_from_slice(b"one"));
        sheet.delete("b", b"k2");
        sheet.put("a", b"", None, |_| {});
        assert_eq!(sheet.value_bytes(), 3);
        let commit = mediaflow_ports::Commit::new()
            .put_until("a", "k1", "one", 7)
            .delete("b", "k2")
            .put("a", "", "");
        let mut spare = Spare::default();
        let writes = sheet.into_writes(&mut spare);
        assert_eq!(writes, commit.writes);
        assert_eq!(Sheet::reusing(&mut spare).values.capacity(), 0, "in use");
        let mut sheet = Sheet::default();
        sheet.put("a", b"k", None, |out| out.extend_from_slice(b"two"));
        drop(sheet.into_writes(&mut spare));
        assert!(Sheet::reusing(&mut spare).values.capacity() >= 3);
    }

    #[test]
    fn what_was_used_last_stays() {
        let mut c = Cache::<u64, u64>::new(100);
        for k in 0..200 {
            let place = c.want(k);
            assert_eq!(c.take_wanted(), [place]);
            *c.change(place) = k;
            c.each_changed(|k, v| assert_eq!(k, v));
            c.cool();
        }
        assert!(c.iter().count() <= 100);
        assert_eq!(c.find(&199), Some(&199));
        assert_eq!(c.find(&0), None);
        let place = c.want(199);
        assert_eq!(*c.change(place), 199);
        assert!(c.take_wanted().is_empty());
    }
}
