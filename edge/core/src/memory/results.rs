//! Rendered feeds of readers without a profile (S0-19), by feed id: brand, surface, context and every version are in it.

use crate::limits::RESULTS_HELD_MAX;
use mediaflow_shared::served::FeedId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A rendered feed.
#[derive(Debug)]
pub struct Rendered {
    /// Text form of the feed id.
    pub feed_id: String,
    /// Strong validator.
    pub etag: String,
    /// JSON Feed.
    pub body: Vec<u8>,
}

/// Key: the feed id, and a hash of what changes the body but not the slate (cursor links).
type Key = (FeedId, u64);

/// Bounded in number; all of an older minute go when it is full.
#[derive(Debug, Default)]
pub struct Results(Mutex<HashMap<Key, Arc<Rendered>>>);

impl Results {
    /// A feed rendered before.
    #[must_use]
    pub fn find(&self, key: &Key) -> Option<Arc<Rendered>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Holds a rendered feed; answers whether it is the first of its id here.
    pub fn hold(&self, key: Key, rendered: Arc<Rendered>) -> bool {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= RESULTS_HELD_MAX {
            let minute = key.0.minute;
            map.retain(|k, _| k.0.minute >= minute);
            if map.len() >= RESULTS_HELD_MAX {
                map.clear();
            }
        }
        map.insert(key, rendered).is_none()
    }
}
