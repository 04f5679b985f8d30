//! The folds of one partition without any IO: events in, one commit out.
//!
//! What changes is decided by the events, their order and their times alone, never by when a commit happens: a replay
//! from any commit gives the same bytes.

use bytes::Bytes;
use mediaflow_ports::{Commit, Entry, Offset, OutboxEntry, StoredRecord, Write};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::signals::{OUTBOX_PROFILES, VIEW_READER, dirty_key};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::wire::WireError;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use crate::declare::VIEW_SEEN;
use crate::items::ItemFacts;
use crate::limits::{LATE_MS, READERS_HOT_MAX};
use crate::metrics::{FeatureMetrics, bump};
use crate::popularity::Popularity;
use crate::reader::ReaderState;
use crate::seen::Seen;
use crate::seen_before::SeenBefore;

struct Hot {
    state: ReaderState,
    /// Event counter at the last use.
    used: u64,
    dirty: bool,
    forget: bool,
    /// Of the last event.
    brand: String,
}

pub(crate) struct Folds {
    readers: HashMap<Pseudonym, Hot>,
    dirty: Vec<Pseudonym>,
    popularity: Popularity,
    seen: SeenBefore,
    clock: u64,
    newest: Timestamp,
}

/// A batch after parsing: new events of people, with what must be loaded before they can be folded.
#[derive(Default)]
pub(crate) struct Batch {
    pub events: Vec<Seen>,
    pub items: HashSet<ContentId>,
    /// Readers not in memory.
    pub readers: Vec<Pseudonym>,
}

impl Folds {
    pub fn new(partition: u32) -> Self {
        Self {
            readers: HashMap::new(),
            dirty: Vec::new(),
            popularity: Popularity::new(partition),
            seen: SeenBefore::new(partition),
            clock: 0,
            newest: Timestamp::default(),
        }
    }

    /// Takes a stored value of a partition-wide view in.
    pub fn restore(&mut self, view: &str, entry: &Entry) -> Result<(), WireError> {
        if view == VIEW_SEEN {
            self.seen.restore(entry);
            return Ok(());
        }
        self.popularity.restore(view, entry)
    }

    /// Parses records and drops what was seen before.
    pub fn admit(&mut self, records: &[StoredRecord], metrics: &FeatureMetrics) -> Batch {
        let mut batch = Batch::default();
        let mut readers = HashSet::new();
        for r in records {
            let Some(e) = Seen::of(r) else {
                bump(&metrics.unreadable);
                continue;
            };
            if !self.seen.insert(r.offset, e.fingerprint) {
                bump(&metrics.duplicates);
                continue;
            }
            if e.bot {
                bump(&metrics.robots);
                continue;
            }
            if let Some(reader) = e.reader
                && !self.readers.contains_key(&reader)
            {
                readers.insert(reader);
            }
            if e.reader.is_some() {
                batch.items.extend(e.content);
            }
            batch.events.push(e);
        }
        batch.readers = readers.into_iter().collect();
        batch
    }

    /// Takes a reader from the store; `None` when there is none.
    pub fn supply(&mut self, reader: Pseudonym, stored: Option<&[u8]>) -> Result<(), WireError> {
        let state = stored.map_or(Ok(ReaderState::default()), ReaderState::decode)?;
        self.readers.insert(
            reader,
            Hot {
                state,
                used: self.clock,
                dirty: false,
                forget: false,
                brand: String::new(),
            },
        );
        Ok(())
    }

    /// Folds a batch whose readers were supplied.
    pub fn fold(
        &mut self,
        events: &[Seen],
        items: &HashMap<ContentId, ItemFacts>,
        metrics: &FeatureMetrics,
    ) {
        for e in events {
            self.clock += 1;
            bump(&metrics.events);
            if e.at.0 < self.newest.0.saturating_sub(LATE_MS) {
                bump(&metrics.late);
            }
            self.newest = self.newest.max(e.at);
            let at = e.at.minute();
            if let Some(content) = e.content.filter(|_| e.is_click()) {
                self.popularity.click(&e.brand, content, at);
            }
            let Some(hot) = e.reader.and_then(|r| self.readers.get_mut(&r)) else {
                continue;
            };
            hot.used = self.clock;
            if hot.brand != e.brand {
                hot.brand.clone_from(&e.brand);
            }
            if !hot.dirty {
                hot.dirty = true;
                self.dirty.extend(e.reader);
            }
            let item = e.content.and_then(|c| items.get(&c));
            let effect = hot.state.fold(e, item);
            hot.forget |= effect.forget;
            if let (Some(from), Some(to)) = (effect.came_from, e.content) {
                self.popularity.follow(&e.brand, from, to, at);
            }
        }
    }

    /// Everything that changed since the last call, as one commit that moves from `expected` to `next`.
    pub fn changes(
        &mut self,
        partition: u32,
        (expected, next): (Offset, Offset),
        metrics: &FeatureMetrics,
    ) -> Commit {
        let mut writes = Vec::new();
        let mut outbox = Vec::new();
        let mut emit = |reader: &Pseudonym, brand: &str, blob: Bytes| {
            outbox.push(OutboxEntry {
                outbox: OUTBOX_PROFILES.to_owned(),
                key: dirty_key(*reader, brand).into(),
                value: blob,
            });
        };
        for reader in self.dirty.drain(..) {
            let Some(hot) = self.readers.get_mut(&reader) else {
                continue;
            };
            hot.dirty = false;
            let blob = hot.state.changed_blob();
            if std::mem::take(&mut hot.forget) {
                metrics.deletions.fetch_add(1, Relaxed);
                emit(&reader, &hot.brand, Bytes::new());
            }
            if let Some(blob) = blob {
                metrics.profiles.fetch_add(1, Relaxed);
                emit(&reader, &hot.brand, blob.into());
            }
            writes.push(Write {
                view: VIEW_READER.to_owned(),
                key: Bytes::copy_from_slice(&reader.0),
                value: Some(hot.state.encode().into()),
                expires_ms: hot.state.closed_until_ms(),
            });
        }
        self.popularity.writes(&mut writes);
        self.seen.writes(&mut writes);
        self.cool();
        let mut commit = Commit::new().advance(
            crate::CONSUMER,
            crate::TOPIC_EVENTS,
            partition,
            expected,
            next,
        );
        commit.writes = writes;
        commit.outbox = outbox;
        commit
    }

    /// Forgets the readers not heard of for longest, in memory only. Call when none is dirty.
    fn cool(&mut self) {
        if self.readers.len() > READERS_HOT_MAX {
            let limit = crate::oldest(self.readers.values().map(|h| h.used));
            self.readers.retain(|_, h| h.used > limit);
        }
    }
}
