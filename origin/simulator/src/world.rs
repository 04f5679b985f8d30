//! The content of the simulated publishers: pure data, made from a seed and a day.
//!
//! [`world`] gives one day, [`World::days`] several. An [`Item`] holds its facts and the seed of its wording; title,
//! body and links are made when asked for, so a month of content costs a few megabytes. What an item looks like at
//! an instant (not there yet, live, edited, withdrawn) is [`Item::state`]. No clock, no IO.

mod day;

use crate::brands::{BRANDS, Brand, Wire};
use crate::rng::Rng;
use crate::text::{Story, person};
use day::day_items;
use mediaflow_shared::content::Kind;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use std::collections::HashMap;

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Authors of each brand.
pub const AUTHORS: usize = 24;

/// What happens to an item after it went live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its text was edited.
    Edited,
    /// Its editors withdrew it.
    Withdrawn,
}

/// What an item is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Edits so far.
    pub revision: u32,
    /// Last change, withdrawal included.
    pub modified: Timestamp,
    /// False once withdrawn.
    pub live: bool,
}

/// One simulated item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Index into [`BRANDS`].
    pub brand: usize,
    /// Number within its source, growing with time.
    pub number: u64,
    /// What it says.
    pub story: Story,
    /// Headline.
    pub title: String,
    /// Index of its author within the brand, below [`AUTHORS`].
    pub author: usize,
    /// Index into the brand's series.
    pub series: Option<usize>,
    /// What it is.
    pub kind: Kind,
    /// When it appears in the CMS.
    pub published: Timestamp,
    /// Not to be shown before.
    pub embargo_until: Option<Timestamp>,
    /// Later changes, in order.
    pub changes: Vec<(Timestamp, Change)>,
    /// Hidden: how good it is, around 1; part of the click model, never on the wire.
    pub quality: f64,
    /// The item (brand, number) it was taken over from.
    pub syndicated_from: Option<(usize, u64)>,
}

impl Item {
    /// Its brand and source.
    #[must_use]
    pub fn brand(&self) -> &'static Brand {
        &BRANDS[self.brand]
    }

    /// What it is at `at`, or `None` while it does not exist.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> Option<State> {
        if at < self.published {
            return None;
        }
        let first = State {
            revision: 0,
            modified: self.published,
            live: true,
        };
        let so_far = self.changes.iter().take_while(|(t, _)| *t <= at);
        Some(so_far.fold(first, |s, (t, c)| match c {
            Change::Edited => State {
                revision: s.revision + 1,
                modified: *t,
                ..s
            },
            Change::Withdrawn => State {
                modified: *t,
                live: false,
                ..s
            },
        }))
    }

    /// The id its source knows it by.
    #[must_use]
    pub fn original_id(&self) -> String {
        match self.brand().wire {
            Wire::Wordpress => self.number.to_string(),
            Wire::Drupal => uuid(&[0xd7, self.brand as u64, self.number]),
            Wire::Nested => format!("SW-{}", self.number),
            Wire::Lines => format!("pp{:x}", self.number),
            Wire::Epoch => self.number.to_string(),
        }
    }

    /// The id MediaFlow gives it.
    #[must_use]
    pub fn content_id(&self) -> ContentId {
        ContentId::of(self.brand().source, &self.original_id())
    }

    /// Path of its page on the simulated server.
    #[must_use]
    pub fn path(&self) -> String {
        format!(
            "/{}/{}/{}",
            self.brand().source,
            self.number,
            slug(&self.title)
        )
    }

    /// Canonical URL, below a server's base URL: the page really is there.
    #[must_use]
    pub fn link(&self, base: &str) -> String {
        format!("{base}{}", self.path())
    }

    /// The byline, or `None` for the two percent that have none.
    #[must_use]
    pub fn author_name(&self) -> Option<String> {
        (!self.story.seed.is_multiple_of(50)).then(|| author(self.brand, self.author))
    }

    /// The series' name.
    #[must_use]
    pub fn series_name(&self) -> Option<&'static str> {
        self.series
            .and_then(|i| self.brand().series.get(i).copied())
    }

    /// Where its picture is, below a server's base URL.
    #[must_use]
    pub fn image_url(&self, base: &str) -> String {
        format!("{base}/img/{:x}.svg", self.story.seed)
    }

    /// Categories as its CMS names them.
    #[must_use]
    pub fn categories(&self) -> Vec<String> {
        let all = std::iter::once(self.story.primary).chain(self.story.secondary);
        all.map(|t| self.brand().category(t)).collect()
    }
}

/// The byline of a brand's author.
#[must_use]
pub fn author(brand: usize, index: usize) -> String {
    // One start per brand and steps through the name list keep the bylines of a brand distinct.
    person(&mut Rng::of(0xa07_0e5, &[brand as u64, index as u64]))
}

/// A version-4-shaped UUID from numbers.
#[must_use]
pub fn uuid(path: &[u64]) -> String {
    let mut r = Rng::of(0x00d1_d0d1, path);
    let (a, b) = (r.bits(), r.bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xfff,
        0x8000 | (b >> 50),
        b & 0xffff_ffff_ffff
    )
}

/// A URL slug: lower-case ASCII words joined by hyphens.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => out.push(c),
            'ä' => out.push_str("ae"),
            'ö' => out.push_str("oe"),
            'ü' => out.push_str("ue"),
            'ß' => out.push_str("ss"),
            'á' => out.push('a'),
            'é' => out.push('e'),
            'í' => out.push('i'),
            'ó' => out.push('o'),
            'ú' => out.push('u'),
            'ñ' => out.push('n'),
            ' ' | '-' | '_' | '/' if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// Items of one or more days.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// The seed it was made from.
    pub seed: u64,
    /// First day, in days since 1970-01-01.
    pub first_day: u32,
    /// Days it covers.
    pub days: u32,
    /// By publication time.
    pub items: Vec<Item>,
}

/// The content of one day (`day` in days since 1970-01-01, UTC). The same seed and day give the same items.
#[must_use]
pub fn world(seed: u64, day: u32) -> World {
    World {
        seed,
        first_day: day,
        days: 1,
        items: day_items(seed, day),
    }
}

impl World {
    /// The content of `days` days from `first_day` on; each day equals [`world`] of that day.
    #[must_use]
    pub fn days(seed: u64, first_day: u32, days: u32) -> Self {
        let all = (0..days).map(|d| first_day.saturating_add(d));
        let items = all.flat_map(|d| day_items(seed, d)).collect();
        Self {
            seed,
            first_day,
            days,
            items,
        }
    }

    /// A world with no content yet, for a server that fills it as its clock runs.
    #[must_use]
    pub const fn empty(seed: u64, first_day: u32) -> Self {
        Self {
            seed,
            first_day,
            days: 0,
            items: Vec::new(),
        }
    }

    /// Adds days until `day` is covered, and drops the oldest beyond `held_max` days.
    pub fn extend_to(&mut self, day: u32, held_max: u32) {
        while self.first_day + self.days <= day {
            self.items
                .extend(day_items(self.seed, self.first_day + self.days));
            self.days += 1;
        }
        if self.days > held_max {
            self.first_day += self.days - held_max;
            self.days = held_max;
            let from = Timestamp(i64::from(self.first_day) * DAY_MS);
            self.items.retain(|i| i.published >= from);
        }
    }

    /// Every item by the id MediaFlow gives it.
    #[must_use]
    pub fn by_content_id(&self) -> HashMap<ContentId, &Item> {
        self.items.iter().map(|i| (i.content_id(), i)).collect()
    }
}

/// The day an instant lies in, in days since 1970-01-01.
#[must_use]
pub fn day_of(at: Timestamp) -> u32 {
    u32::try_from(at.0.div_euclid(DAY_MS).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{SYNDICATED_SHARE, UNPUBLISHED_SHARE, UPDATED_SHARE};
    use std::collections::BTreeSet;

    const MINUTE_MS: i64 = 60_000;

    const DAY: u32 = 20_778;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let print = |seed| format!("{:?}", world(seed, DAY));
        assert_eq!(print(7), print(7));
        assert_ne!(print(7), print(8));
        let two = World::days(7, DAY, 2);
        assert_eq!(two.items[..world(7, DAY).items.len()], world(7, DAY).items);
    }

    #[test]
    fn a_day_brings_about_two_thousand_items_by_daylight() {
        for day in DAY..DAY + 5 {
            let w = world(3, day);
            assert!(
                (1_900..=2_100).contains(&w.items.len()),
                "{}",
                w.items.len()
            );
            assert!(w.items.iter().all(|i| day_of(i.published) == day));
            let at = |h: std::ops::Range<i64>| {
                w.items
                    .iter()
                    .filter(|i| h.contains(&(i.published.0.rem_euclid(DAY_MS) / 3_600_000)))
                    .count()
            };
            assert!(
                at(7..10) > 5 * at(1..4),
                "morning {} night {}",
                at(7..10),
                at(1..4)
            );
        }
    }

    #[test]
    fn the_rates_of_changes_hold() {
        let w = World::days(1, DAY, 10);
        let n = w.items.len() as f64;
        let share = |f: &dyn Fn(&Item) -> bool| w.items.iter().filter(|i| f(i)).count() as f64 / n;
        let edited = share(&|i| i.changes.iter().any(|c| c.1 == Change::Edited));
        let withdrawn = share(&|i| i.changes.iter().any(|c| c.1 == Change::Withdrawn));
        assert!((edited - UPDATED_SHARE).abs() < 0.006, "{edited}");
        assert!((withdrawn - UNPUBLISHED_SHARE).abs() < 0.003, "{withdrawn}");
        assert!((share(&|i| i.syndicated_from.is_some()) - SYNDICATED_SHARE).abs() < 0.002);
        assert!(share(&|i| i.embargo_until.is_some()) > 0.005);
    }

    #[test]
    fn ids_are_unique_and_headlines_rarely_repeat() {
        let w = World::days(1, DAY, 2);
        assert_eq!(w.by_content_id().len(), w.items.len());
        let titles: BTreeSet<_> = w.items.iter().map(|i| (i.brand, &i.title)).collect();
        assert!(
            titles.len() * 100 >= w.items.len() * 95,
            "{} of {}",
            titles.len(),
            w.items.len()
        );
    }

    #[test]
    fn bodies_have_between_200_and_900_words() {
        for item in &world(5, DAY).items[..400] {
            let html = item.story.body_html(0);
            let text: String = html.replace('<', " <").replace('>', "> ");
            let words = text
                .split_whitespace()
                .filter(|w| !w.starts_with('<'))
                .count();
            assert!((195..=930).contains(&words), "{words}");
        }
    }

    #[test]
    fn an_item_appears_is_edited_and_goes() {
        let mut item = world(1, DAY).items[0].clone();
        let t = |min: i64| Timestamp(item.published.0 + min * MINUTE_MS);
        let (before, live, edited, gone) = (t(-1), t(1), t(20), t(40));
        item.changes = vec![(t(10), Change::Edited), (t(30), Change::Withdrawn)];
        assert_eq!(item.state(before), None);
        assert_eq!(
            item.state(live).map(|s| (s.revision, s.live)),
            Some((0, true))
        );
        assert_eq!(
            item.state(edited).map(|s| (s.revision, s.live)),
            Some((1, true))
        );
        assert_eq!(item.state(gone).map(|s| s.live), Some(false));
    }
}
