//! What a partition counts per brand and item: all of it in memory, changes written with every commit.

use mediaflow_ports::Entry;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::signals::{
    Counts, Neighbours, VIEW_NEIGHBOURS, VIEW_POPULARITY, key, parse_key,
};
use mediaflow_shared::time::Minute;
use mediaflow_shared::wire::WireError;

use crate::cache::{Map, Sheet};
use crate::limits::{BRANDS_MAX, ITEM_IDLE_MIN, ITEMS_COUNTED_MAX};

#[derive(Debug, Default)]
struct Item {
    counts: Counts,
    counts_dirty: bool,
    next: Neighbours,
    next_dirty: bool,
}

#[derive(Debug)]
pub(crate) struct Popularity {
    partition: u32,
    brands: Vec<String>,
    items: Map<(u16, ContentId), Item>,
    dirty: Vec<(u16, ContentId)>,
    dropped: Vec<(u16, ContentId)>,
    /// Day of the last look for idle items, by event time.
    swept_day: u32,
}

impl Popularity {
    pub fn new(partition: u32) -> Self {
        Self {
            partition,
            brands: Vec::new(),
            items: Map::default(),
            dirty: Vec::new(),
            dropped: Vec::new(),
            swept_day: 0,
        }
    }

    fn brand(&mut self, slug: &str) -> Option<u16> {
        let known = self.brands.iter().position(|b| b == slug);
        let at = match known {
            Some(at) => at,
            None if self.brands.len() < BRANDS_MAX => {
                self.brands.push(slug.to_owned());
                self.brands.len() - 1
            }
            None => return None,
        };
        u16::try_from(at).ok()
    }

    /// Takes a stored value of either view in.
    pub fn restore(&mut self, view: &str, entry: &Entry) -> Result<(), WireError> {
        let Some((brand, content)) = parse_key(&entry.key) else {
            return Ok(());
        };
        let Some(brand) = self.brand(brand) else {
            return Ok(());
        };
        let item = self.items.entry((brand, content)).or_default();
        if view == VIEW_POPULARITY {
            item.counts = Counts::decode(&entry.value)?;
            self.swept_day = self.swept_day.max(item.counts.last.0 / 1440);
        } else {
            item.next = Neighbours::decode(&entry.value)?;
        }
        Ok(())
    }

    /// Counts a click or read.
    pub fn click(&mut self, brand: &str, content: ContentId, at: Minute) {
        let Some(brand) = self.brand(brand) else {
            return;
        };
        let item = self.touch((brand, content));
        item.counts.click(at);
        item.counts_dirty = true;
        if at.0 / 1440 > self.swept_day {
            self.swept_day = at.0 / 1440;
            self.drop_where(|i| at.since(i.counts.last) > ITEM_IDLE_MIN);
        }
        if self.items.len() > ITEMS_COUNTED_MAX {
            // An eighth at a time, so that a full table is not sorted for every newcomer.
            let mut last: Vec<Minute> = self.items.values().map(|i| i.counts.last).collect();
            let eighth = last.len() / 8;
            let limit = *last.select_nth_unstable(eighth).1;
            self.drop_where(|i| i.counts.last < limit);
            // Should all be of one minute, none was older than the limit.
            if self.items.len() > ITEMS_COUNTED_MAX {
                self.drop_where(|i| i.counts.last == limit);
            }
        }
    }

    /// Counts a reader who went on from one item to another.
    pub fn follow(&mut self, brand: &str, from: ContentId, to: ContentId, at: Minute) {
        let Some(brand) = self.brand(brand) else {
            return;
        };
        // An item nobody clicked here has no neighbours to show either: its reader was elsewhere.
        if self.items.contains_key(&(brand, from)) {
            let item = self.touch((brand, from));
            item.next.follow(to, at);
            item.next_dirty = true;
        }
    }

    fn touch(&mut self, key: (u16, ContentId)) -> &mut Item {
        let item = self.items.entry(key).or_default();
        if !item.counts_dirty && !item.next_dirty {
            self.dirty.push(key);
        }
        item
    }

    fn drop_where(&mut self, gone: impl Fn(&Item) -> bool) {
        let keys = self.items.iter().filter(|(_, i)| gone(i)).map(|(k, _)| *k);
        let keys: Vec<_> = keys.collect();
        for k in keys {
            self.items.remove(&k);
            self.dropped.push(k);
        }
    }

    /// What changed since the last call.
    pub fn writes(&mut self, out: &mut Sheet) {
        // Deletions first: an item may have been dropped and counted anew since the last commit.
        for (brand, content) in self.dropped.drain(..) {
            let k = key(self.partition, &self.brands[usize::from(brand)], content);
            out.delete(VIEW_POPULARITY, &k);
            out.delete(VIEW_NEIGHBOURS, &k);
        }
        for (brand, content) in self.dirty.drain(..) {
            let Some(item) = self.items.get_mut(&(brand, content)) else {
                continue;
            };
            let k = key(self.partition, &self.brands[usize::from(brand)], content);
            if std::mem::take(&mut item.counts_dirty) {
                out.put(VIEW_POPULARITY, &k, None, |o| {
                    o.extend_from_slice(&item.counts.encode());
                });
            }
            if std::mem::take(&mut item.next_dirty) {
                out.put(VIEW_NEIGHBOURS, &k, None, |o| {
                    o.extend_from_slice(&item.next.encode());
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Spare;

    #[test]
    fn items_are_bounded_and_idle_ones_are_deleted() {
        let mut p = Popularity::new(0);
        for id in 0..ITEMS_COUNTED_MAX as u64 + 10 {
            p.click(
                "daily",
                ContentId(id),
                Minute(29_000_000 + (id / 100) as u32),
            );
        }
        assert!(p.items.len() <= ITEMS_COUNTED_MAX);
        let mut sheet = Sheet::default();
        p.writes(&mut sheet);
        assert!(
            sheet
                .into_writes(&mut Spare::default())
                .iter()
                .any(|w| w.value.is_none())
        );
        p.click(
            "daily",
            ContentId(1),
            Minute(29_000_000 + 2 * ITEM_IDLE_MIN),
        );
        assert_eq!(p.items.len(), 1);
    }

    #[test]
    fn what_was_written_is_restored() {
        let mut p = Popularity::new(5);
        let (a, b) = (ContentId(1), ContentId(2));
        p.click("daily", a, Minute(29_000_000));
        p.click("daily", b, Minute(29_000_001));
        p.follow("daily", a, b, Minute(29_000_001));
        let mut sheet = Sheet::default();
        p.writes(&mut sheet);
        let mut again = Popularity::new(5);
        for w in &sheet.into_writes(&mut Spare::default()) {
            let (key, value) = (w.key.clone(), w.value.clone().unwrap());
            again
                .restore(
                    &w.view,
                    &Entry {
                        key,
                        value,
                        expires_ms: None,
                    },
                )
                .unwrap();
        }
        // Both go on alike.
        let mut next = [Sheet::default(), Sheet::default()];
        for (p, out) in [&mut p, &mut again].into_iter().zip(&mut next) {
            p.click("daily", a, Minute(29_000_002));
            p.follow("daily", a, b, Minute(29_000_003));
            p.writes(out);
        }
        let next = next.map(|sheet| sheet.into_writes(&mut Spare::default()));
        assert_eq!(next[0], next[1]);
        assert_eq!(next[0].len(), 2);
    }
}
