//! The readers' folds without a log or a store, for whoever replays events to see what would have been published.
//!
//! The same [`ReaderState`] as online, one event at a time; every changed blob is handed out at once, where online a
//! commit would gather several changes. Memory: one state per reader (about 2 KB).

use mediaflow_ports::StoredRecord;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::time::Timestamp;
use std::collections::{HashMap, HashSet};

use crate::items::ItemFacts;
use crate::reader::{Circumstances, ReaderState};
use crate::seen::Seen;

/// What one event did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// When it happened.
    pub at: Timestamp,
    /// Where.
    pub brand: String,
    /// Who, when there is consent.
    pub reader: Option<Pseudonym>,
    /// About what.
    pub content: Option<ContentId>,
    /// Whether it counts towards the popularity of `content`.
    pub click: bool,
    /// The reader went on from this item to `content`.
    pub came_from: Option<ContentId>,
    /// The profile is to be deleted everywhere.
    pub forget: bool,
    /// The reader's blob, when it changed.
    pub blob: Option<Vec<u8>>,
}

/// Readers in memory.
#[derive(Debug, Default)]
pub struct ProfileReplay {
    readers: HashMap<Pseudonym, ReaderState>,
    seen: HashSet<u64>,
}

impl ProfileReplay {
    /// Folds the next record of `events`; `None` for what is no event, a robot's, or was there before.
    pub fn fold(
        &mut self,
        record: &StoredRecord,
        item: impl FnOnce(ContentId) -> Option<ItemFacts>,
    ) -> Option<Replayed> {
        let e = Seen::of(record)?;
        if e.bot || !self.seen.insert(e.fingerprint) {
            return None;
        }
        let mut replayed = Replayed {
            at: e.at,
            brand: e.brand.to_string(),
            reader: e.reader,
            content: e.content,
            click: e.is_click() && e.content.is_some(),
            came_from: None,
            forget: false,
            blob: None,
        };
        if let Some(reader) = e.reader {
            let state = self.readers.entry(reader).or_default();
            let facts = e.content.and_then(item);
            let circumstances = Circumstances {
                in_time: true,
                ..Circumstances::default()
            };
            let effect = state.fold(&e, facts.as_ref(), &circumstances);
            replayed.came_from = effect.came_from;
            replayed.forget = effect.forget;
            replayed.blob = effect.told.then(|| state.changed_blob()).flatten();
        }
        Some(replayed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_ports::Record;

    #[test]
    fn a_replayed_read_changes_the_blob_once() {
        let record = |id: &str| StoredRecord {
            offset: 0,
            appended_ms: 1_795_248_000_000,
            record: Record::new(
                "",
                format!(
                    r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"org.mediaflow.read.v1","data":{{"brand":"daily","content_id":"00000000000000aa","reader":"000102030405060708090a0b0c0d0e0f"}}}}"#
                ),
            ),
        };
        let mut replay = ProfileReplay::default();
        let first = replay.fold(&record("a"), |_| None).unwrap();
        assert!(first.click && first.blob.is_some() && !first.forget);
        assert_eq!(replay.fold(&record("a"), |_| None), None, "seen before");
    }
}
