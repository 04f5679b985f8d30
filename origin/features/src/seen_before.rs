//! Which events a partition has folded already: a window over offsets, stored in segments.
//!
//! A segment holds the fingerprints of [`SEEN_SEGMENT`] offsets, so that its bytes depend on the log alone and a
//! commit rewrites one or two small values.

use bytes::Bytes;
use mediaflow_ports::{Entry, Offset, Write};
use std::collections::{HashSet, VecDeque};

use crate::declare::VIEW_SEEN;
use crate::limits::{SEEN_SEGMENT, SEEN_SEGMENTS_MAX};

#[derive(Debug)]
pub(crate) struct SeenBefore {
    partition: u32,
    segments: VecDeque<Segment>,
    known: HashSet<u64>,
    dropped: Vec<u64>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    fingerprints: Vec<u64>,
    dirty: bool,
}

impl SeenBefore {
    pub fn new(partition: u32) -> Self {
        Self {
            partition,
            segments: VecDeque::new(),
            known: HashSet::new(),
            dropped: Vec::new(),
        }
    }

    /// What all keys of a partition begin with.
    pub fn prefix(partition: u32) -> [u8; 4] {
        partition.to_be_bytes()
    }

    /// Takes a stored segment in; they come in the order of their keys.
    pub fn restore(&mut self, entry: &Entry) {
        let Some(number) = entry.key.last_chunk::<8>() else {
            return;
        };
        let (rows, _) = entry.value.as_chunks::<8>();
        let fingerprints: Vec<u64> = rows.iter().map(|r| u64::from_be_bytes(*r)).collect();
        self.known.extend(&fingerprints);
        self.segments.push_back(Segment {
            number: u64::from_be_bytes(*number),
            fingerprints,
            dirty: false,
        });
    }

    /// Remembers the event at `offset`; answers whether it is new.
    pub fn insert(&mut self, offset: Offset, fingerprint: u64) -> bool {
        if !self.known.insert(fingerprint) {
            return false;
        }
        let number = offset / SEEN_SEGMENT;
        match self.segments.back_mut() {
            Some(s) if s.number == number => {
                s.fingerprints.push(fingerprint);
                s.dirty = true;
            }
            _ => self.segments.push_back(Segment {
                number,
                fingerprints: vec![fingerprint],
                dirty: true,
            }),
        }
        while self.segments.len() > SEEN_SEGMENTS_MAX {
            if let Some(oldest) = self.segments.pop_front() {
                for f in &oldest.fingerprints {
                    self.known.remove(f);
                }
                self.dropped.push(oldest.number);
            }
        }
        true
    }

    /// What changed since the last call.
    pub fn writes(&mut self, out: &mut Vec<Write>) {
        let key = |number: u64| {
            let mut k = Self::prefix(self.partition).to_vec();
            k.extend_from_slice(&number.to_be_bytes());
            Bytes::from(k)
        };
        let write = |number, value| Write {
            view: VIEW_SEEN.to_owned(),
            key: key(number),
            value,
            expires_ms: None,
        };
        for s in self.segments.iter_mut().rev().take_while(|s| s.dirty) {
            s.dirty = false;
            let value: Vec<u8> = s
                .fingerprints
                .iter()
                .flat_map(|f| f.to_be_bytes())
                .collect();
            out.push(write(s.number, Some(value.into())));
        }
        out.extend(self.dropped.drain(..).map(|n| write(n, None)));
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_bounded_and_survives_a_restart() {
        let mut seen = SeenBefore::new(3);
        let mut stored = std::collections::BTreeMap::new();
        let events = SEEN_SEGMENT * (SEEN_SEGMENTS_MAX as u64 + 20);
        let mut writes = Vec::new();
        for offset in 0..events {
            assert!(seen.insert(offset, offset * 7));
            if offset % 700 == 0 || offset == events - 1 {
                seen.writes(&mut writes);
                for w in writes.drain(..) {
                    match w.value {
                        Some(v) => stored.insert(w.key, v),
                        None => stored.remove(&w.key),
                    };
                }
            }
        }
        assert_eq!(stored.len(), SEEN_SEGMENTS_MAX);
        let mut again = SeenBefore::new(3);
        for (key, value) in stored {
            again.restore(&Entry {
                key,
                value,
                expires_ms: None,
            });
        }
        assert_eq!(again.len(), seen.len());
        assert!(!again.insert(events, (events - 1) * 7));
        assert!(again.insert(events, 0), "the first event left the window");
    }
}
