//! What the lanes tell each other: takedowns and pinned items from rules to fronts, changed pins back.

use mediaflow_shared::id::ContentId;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Facts {
    takedowns: HashMap<String, BTreeSet<ContentId>>,
    pinned: HashSet<ContentId>,
    /// Pinned items whose articles changed.
    stale_pins: HashSet<ContentId>,
    /// Brands whose takedowns changed.
    stale_fronts: HashSet<String>,
}

/// The notice board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    // Held for a few map operations, never across an await.
    facts: Mutex<Facts>,
    pub rules_wake: Notify,
    pub fronts_wake: Notify,
}

impl Board {
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn takedowns(&self, brand: &str) -> BTreeSet<ContentId> {
        self.facts()
            .takedowns
            .get(brand)
            .cloned()
            .unwrap_or_default()
    }

    /// Tells the fronts of a brand's takedowns.
    pub fn set_takedowns(&self, brand: &str, takedowns: BTreeSet<ContentId>) {
        let mut f = self.facts();
        if f.takedowns
            .get(brand)
            .is_none_or(|known| *known != takedowns)
        {
            f.takedowns.insert(brand.to_owned(), takedowns);
            f.stale_fronts.insert(brand.to_owned());
            self.fronts_wake.notify_one();
        }
    }

    pub fn take_stale_fronts(&self) -> HashSet<String> {
        std::mem::take(&mut self.facts().stale_fronts)
    }

    pub fn set_pinned(&self, pinned: HashSet<ContentId>) {
        self.facts().pinned = pinned;
    }

    /// Tells the rules that an article changed, if it is pinned anywhere.
    pub fn article_changed(&self, content: ContentId) {
        let mut f = self.facts();
        if f.pinned.contains(&content) {
            f.stale_pins.insert(content);
            self.rules_wake.notify_one();
        }
    }

    pub fn take_stale_pins(&self) -> HashSet<ContentId> {
        std::mem::take(&mut self.facts().stale_pins)
    }
}
