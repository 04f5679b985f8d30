//! Front v1: the candidate list of one brand and surface, as a struct of arrays decoded without copying.
//!
//! [`build::encode`] writes it at the origin, [`Front::parse`] checks every bound once at the edge, after which the
//! accessors cannot fail. Rows are sorted by content id. `docs/front.md` accounts for the bytes.
//!
//! ```text
//! frame      24 B  see `wire`, magic MFFR; its checksum is the front's version (`Front::id`)
//! head       64 B  n u16 · flags u16 · epoch u16 · v_scale u16 · p_scale u16 · 0 u16 · brand u32 · surface u32 · built u32 · 0…
//! columns          topics n×64 i8 · [V n×64 i8 · P n×64 i8] · id n×u64 · published, embargo, expires, author,
//!                  series n×u32 · [neighbour slots n×20 u16] · active, dup, country, language n×u16
//!                  · [neighbour weights n×20 u8] · clicks15, clicks60, decay_fast, decay_slow, quality, flags,
//!                  minutes, topic, kind n×u8
//! cards            offset (n+1)×u32 · bytes (UTF-8): each card a JSON fragment without its braces
//! ```

pub mod build;

use crate::id::ContentId;
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};
use crate::wire::{Frame, WireError, u16_at, u32_at, u64_at};

/// The frame of a front.
pub const FRAME: Frame = Frame {
    magic: *b"MFFR",
    version: 1,
    schema: "front.v1 head64 topics64 v64 p64 id8 published4 embargo4 expires4 author4 series4 nslots40 active2 dup2 country2 lang2 nweights20 u8x9 cards",
};

/// Items in a front at most.
pub const FRONT_ITEMS_MAX: usize = 1024;
/// Neighbours kept per item at most.
pub const NEIGHBOURS: usize = 20;
/// An empty place in a neighbour list.
pub const NO_NEIGHBOUR: u16 = u16::MAX;
/// Bytes of one front value at most: KV takes 25 MiB, memory in an isolate is dearer.
pub const FRONT_BYTES_MAX: usize = 4 << 20;

const HEAD: usize = 64;
const WHAT: &str = "front";
const HAS_LEARNED: u16 = 1;
const HAS_NEIGHBOURS: u16 = 2;

/// Flags of an item.
pub mod flag {
    /// Written by a reader.
    pub const UGC: u8 = 1;
    /// Needs a subscription.
    pub const PAYWALLED: u8 = 1 << 1;
    /// Does not age.
    pub const EVERGREEN: u8 = 1 << 2;
    /// Breaking news.
    pub const BREAKING: u8 = 1 << 3;
}

/// Byte offsets of the columns in the payload, fixed by `n` and the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Columns {
    n: usize,
    topics: usize,
    v: usize,
    p: usize,
    id: usize,
    published: usize,
    embargo: usize,
    expires: usize,
    author: usize,
    series: usize,
    neighbour_slots: usize,
    active: usize,
    dup: usize,
    country: usize,
    language: usize,
    neighbour_weights: usize,
    clicks15: usize,
    clicks60: usize,
    decay_fast: usize,
    decay_slow: usize,
    quality: usize,
    flags: usize,
    minutes: usize,
    topic: usize,
    kind: usize,
    card_offsets: usize,
    cards: usize,
}

impl Columns {
    fn of(n: usize, flags: u16) -> Self {
        let learned = if flags & HAS_LEARNED != 0 {
            n * LANES
        } else {
            0
        };
        let neighbours = if flags & HAS_NEIGHBOURS != 0 {
            n * NEIGHBOURS
        } else {
            0
        };
        let mut at = HEAD;
        let mut next = |bytes: usize| {
            let here = at;
            at += bytes;
            here
        };
        Self {
            n,
            topics: next(n * LANES),
            v: next(learned),
            p: next(learned),
            id: next(n * 8),
            published: next(n * 4),
            embargo: next(n * 4),
            expires: next(n * 4),
            author: next(n * 4),
            series: next(n * 4),
            neighbour_slots: next(neighbours * 2),
            active: next(n * 2),
            dup: next(n * 2),
            country: next(n * 2),
            language: next(n * 2),
            neighbour_weights: next(neighbours),
            clicks15: next(n),
            clicks60: next(n),
            decay_fast: next(n),
            decay_slow: next(n),
            quality: next(n),
            flags: next(n),
            minutes: next(n),
            topic: next(n),
            kind: next(n),
            card_offsets: next((n + 1) * 4),
            cards: next(0),
        }
    }
}

/// Columns as slices of [`Front::len`] values each, little-endian; see [`Front::walk`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk<'a> {
    pub(crate) id: &'a [[u8; 8]],
    pub(crate) published: &'a [[u8; 4]],
    pub(crate) embargo: &'a [[u8; 4]],
    pub(crate) expires: &'a [[u8; 4]],
    pub(crate) author: &'a [[u8; 4]],
    pub(crate) active: &'a [[u8; 2]],
    pub(crate) country: &'a [[u8; 2]],
    pub(crate) language: &'a [[u8; 2]],
    pub(crate) clicks15: &'a [u8],
    pub(crate) clicks60: &'a [u8],
    pub(crate) decay_fast: &'a [u8],
    pub(crate) decay_slow: &'a [u8],
    pub(crate) quality: &'a [u8],
    pub(crate) flags: &'a [u8],
    pub(crate) minutes: &'a [u8],
    pub(crate) topic: &'a [u8],
}

/// A parsed front. Row numbers must be below [`Front::len`]; a row outside reads as zeros or nothing.
#[derive(Debug, Clone)]
pub struct Front {
    bytes: Vec<u8>,
    id: u64,
    flags: u16,
    c: Columns,
}

fn malformed(why: String) -> WireError {
    WireError::Malformed { what: WHAT, why }
}

impl Front {
    /// Takes over the bytes of a KV value after checking frame, sizes, order of ids, topics and cards.
    ///
    /// # Errors
    /// [`WireError`] naming what is wrong; the edge then keeps its last good front.
    pub fn parse(mut bytes: Vec<u8>) -> Result<Self, WireError> {
        if bytes.len() > FRONT_BYTES_MAX {
            return Err(malformed(format!(
                "{} bytes, at most {FRONT_BYTES_MAX} allowed",
                bytes.len()
            )));
        }
        let (payload, id) = FRAME.open(WHAT, &bytes)?;
        if payload.len() < HEAD {
            return Err(WireError::Truncated {
                what: WHAT,
                need: HEAD,
                have: payload.len(),
            });
        }
        let (n, flags) = (usize::from(u16_at(payload, 0)), u16_at(payload, 2));
        if n > FRONT_ITEMS_MAX || flags & !(HAS_LEARNED | HAS_NEIGHBOURS) != 0 {
            return Err(malformed(format!("{n} items and flags {flags:#x}")));
        }
        let c = Columns::of(n, flags);
        if payload.len() < c.cards {
            return Err(WireError::Truncated {
                what: WHAT,
                need: c.cards,
                have: payload.len(),
            });
        }
        bytes.drain(..crate::wire::HEADER_BYTES);
        let front = Self {
            bytes,
            id,
            flags,
            c,
        };
        front.check()?;
        Ok(front)
    }

    fn check(&self) -> Result<(), WireError> {
        let cards = &self.bytes[self.c.cards..];
        if core::str::from_utf8(cards).is_err() {
            return Err(malformed("cards are not UTF-8".into()));
        }
        let mut from = 0;
        for row in 0..=self.c.n {
            let at = u32_at(&self.bytes, self.c.card_offsets + row * 4) as usize;
            let on_char = at == cards.len() || cards.get(at).is_some_and(|b| b & 0xC0 != 0x80);
            if (row == 0 && at != 0) || at < from || !on_char {
                return Err(malformed(format!("card offset {at} of row {row}")));
            }
            from = at;
        }
        if from != cards.len() {
            return Err(malformed(format!(
                "{} bytes after the last card",
                cards.len() - from
            )));
        }
        for row in 0..self.c.n {
            if row > 0 && self.content(row - 1) >= self.content(row) {
                return Err(malformed(format!("content ids out of order at row {row}")));
            }
            if usize::from(self.main_topic(row)) > TOPICS {
                return Err(malformed(format!(
                    "topic {} of row {row}",
                    self.main_topic(row)
                )));
            }
        }
        Ok(())
    }

    /// Rows.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.c.n
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.c.n == 0
    }

    /// Version of the value: checksum of its payload.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Model epoch of the learned lanes.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        u16_at(&self.bytes, 4)
    }

    /// Q8 scale of the candidate vectors V.
    #[must_use]
    pub fn v_scale(&self) -> u16 {
        u16_at(&self.bytes, 6)
    }

    /// Q8 scale of the read vectors P.
    #[must_use]
    pub fn p_scale(&self) -> u16 {
        u16_at(&self.bytes, 8)
    }

    /// [`crate::id::name_hash`] of the brand.
    #[must_use]
    pub fn brand(&self) -> u32 {
        u32_at(&self.bytes, 12)
    }

    /// [`crate::id::name_hash`] of the surface.
    #[must_use]
    pub fn surface(&self) -> u32 {
        u32_at(&self.bytes, 16)
    }

    /// When it was built.
    #[must_use]
    pub fn built(&self) -> Minute {
        Minute(u32_at(&self.bytes, 20))
    }

    /// Whether the columns V and P are there.
    #[must_use]
    pub const fn has_learned(&self) -> bool {
        self.flags & HAS_LEARNED != 0
    }

    /// Whether neighbour lists are there.
    #[must_use]
    pub const fn has_neighbours(&self) -> bool {
        self.flags & HAS_NEIGHBOURS != 0
    }

    /// All topic vectors: `len × 64` bytes, each an i8.
    #[must_use]
    #[inline]
    pub fn topics(&self) -> &[u8] {
        &self.bytes[self.c.topics..self.c.topics + self.c.n * LANES]
    }

    /// All candidate vectors V: `len × 64`, empty without a trained model.
    #[must_use]
    #[inline]
    pub fn v(&self) -> &[u8] {
        &self.bytes[self.c.v..self.c.p]
    }

    /// All read vectors P: `len × 64`, empty without a trained model.
    #[must_use]
    #[inline]
    pub fn p(&self) -> &[u8] {
        &self.bytes[self.c.p..self.c.id]
    }

    /// The 64 bytes (i8) of one row of [`Self::topics`], [`Self::v`] or [`Self::p`]; empty when absent.
    #[must_use]
    pub fn lane_row(column: &[u8], row: usize) -> &[u8] {
        column.get(row * LANES..(row + 1) * LANES).unwrap_or(&[])
    }

    /// Content id of a row.
    #[must_use]
    #[inline]
    pub fn content(&self, row: usize) -> ContentId {
        ContentId(u64_at(&self.bytes, self.c.id + row * 8))
    }

    /// The row of a content id.
    #[must_use]
    pub fn row(&self, id: ContentId) -> Option<usize> {
        let (mut lo, mut hi) = (0, self.c.n);
        while lo < hi {
            let mid = usize::midpoint(lo, hi);
            match self.content(mid).cmp(&id) {
                core::cmp::Ordering::Less => lo = mid + 1,
                core::cmp::Ordering::Greater => hi = mid,
                core::cmp::Ordering::Equal => return Some(mid),
            }
        }
        None
    }

    /// The columns that every request walks over, as slices: one bounds check a column instead of one a value.
    pub(crate) fn walk(&self) -> Walk<'_> {
        let bytes = |at: usize, each: usize| &self.bytes[at..at + self.c.n * each];
        Walk {
            id: bytes(self.c.id, 8).as_chunks().0,
            published: bytes(self.c.published, 4).as_chunks().0,
            embargo: bytes(self.c.embargo, 4).as_chunks().0,
            expires: bytes(self.c.expires, 4).as_chunks().0,
            author: bytes(self.c.author, 4).as_chunks().0,
            active: bytes(self.c.active, 2).as_chunks().0,
            country: bytes(self.c.country, 2).as_chunks().0,
            language: bytes(self.c.language, 2).as_chunks().0,
            clicks15: bytes(self.c.clicks15, 1),
            clicks60: bytes(self.c.clicks60, 1),
            decay_fast: bytes(self.c.decay_fast, 1),
            decay_slow: bytes(self.c.decay_slow, 1),
            quality: bytes(self.c.quality, 1),
            flags: bytes(self.c.flags, 1),
            minutes: bytes(self.c.minutes, 1),
            topic: bytes(self.c.topic, 1),
        }
    }

    #[inline]
    fn u32(&self, column: usize, row: usize) -> u32 {
        u32_at(&self.bytes, column + row * 4)
    }

    #[inline]
    fn u16(&self, column: usize, row: usize) -> u16 {
        u16_at(&self.bytes, column + row * 2)
    }

    #[inline]
    fn u8(&self, column: usize, row: usize) -> u8 {
        self.bytes.get(column + row).copied().unwrap_or(0)
    }

    /// First publication.
    #[must_use]
    #[inline]
    pub fn published(&self, row: usize) -> Minute {
        Minute(self.u32(self.c.published, row))
    }

    /// Not shown before; 0 = no embargo.
    #[must_use]
    #[inline]
    pub fn embargo(&self, row: usize) -> Minute {
        Minute(self.u32(self.c.embargo, row))
    }

    /// Not shown from here on; 0 = never expires.
    #[must_use]
    #[inline]
    pub fn expires(&self, row: usize) -> Minute {
        Minute(self.u32(self.c.expires, row))
    }

    /// Name hash of the author; 0 = unknown.
    #[must_use]
    #[inline]
    pub fn author(&self, row: usize) -> u32 {
        self.u32(self.c.author, row)
    }

    /// Name hash of the series; 0 = none.
    #[must_use]
    #[inline]
    pub fn series(&self, row: usize) -> u32 {
        self.u32(self.c.series, row)
    }

    /// Minutes before `built` in which the item was last clicked, saturating; `u16::MAX` = never.
    #[must_use]
    #[inline]
    pub fn active(&self, row: usize) -> u16 {
        self.u16(self.c.active, row)
    }

    /// Near-duplicate cluster; 0 = none.
    #[must_use]
    #[inline]
    pub fn dup(&self, row: usize) -> u16 {
        self.u16(self.c.dup, row)
    }

    /// Two ASCII bytes of the country the item is about, big-endian; 0 = anywhere.
    #[must_use]
    #[inline]
    pub fn country(&self, row: usize) -> u16 {
        self.u16(self.c.country, row)
    }

    /// Two ASCII bytes of ISO 639-1, big-endian; 0 = unknown.
    #[must_use]
    #[inline]
    pub fn language(&self, row: usize) -> u16 {
        self.u16(self.c.language, row)
    }

    /// Clicks in 15 minutes: `round(16·log2(1+n))`, 255 at most.
    #[must_use]
    #[inline]
    pub fn clicks15(&self, row: usize) -> u8 {
        self.u8(self.c.clicks15, row)
    }

    /// Clicks in an hour, same scale.
    #[must_use]
    #[inline]
    pub fn clicks60(&self, row: usize) -> u8 {
        self.u8(self.c.clicks60, row)
    }

    /// Clicks decayed with the fast half-life, same scale.
    #[must_use]
    #[inline]
    pub fn decay_fast(&self, row: usize) -> u8 {
        self.u8(self.c.decay_fast, row)
    }

    /// Clicks decayed with the slow half-life, same scale.
    #[must_use]
    #[inline]
    pub fn decay_slow(&self, row: usize) -> u8 {
        self.u8(self.c.decay_slow, row)
    }

    /// Quality 0–255.
    #[must_use]
    #[inline]
    pub fn quality(&self, row: usize) -> u8 {
        self.u8(self.c.quality, row)
    }

    /// See [`flag`].
    #[must_use]
    #[inline]
    pub fn item_flags(&self, row: usize) -> u8 {
        self.u8(self.c.flags, row)
    }

    /// Reading time in minutes, saturating.
    #[must_use]
    #[inline]
    pub fn minutes(&self, row: usize) -> u8 {
        self.u8(self.c.minutes, row)
    }

    /// Main topic, [`TOPICS`] when there is none.
    #[must_use]
    #[inline]
    pub fn main_topic(&self, row: usize) -> u8 {
        self.u8(self.c.topic, row)
    }

    /// Kind as a number: [`build::kind_code`].
    #[must_use]
    #[inline]
    pub fn kind(&self, row: usize) -> u8 {
        self.u8(self.c.kind, row)
    }

    /// Neighbours of a row: (row of the neighbour, weight), strongest first.
    pub fn neighbours(&self, row: usize) -> impl Iterator<Item = (usize, u8)> + '_ {
        let count = if self.has_neighbours() { NEIGHBOURS } else { 0 };
        (0..count).filter_map(move |k| {
            let slot = self.u16(self.c.neighbour_slots, row * NEIGHBOURS + k);
            let weight = self.u8(self.c.neighbour_weights, row * NEIGHBOURS + k);
            (usize::from(slot) < self.c.n).then_some((usize::from(slot), weight))
        })
    }

    /// The row's card: members of a JSON Feed item without the surrounding braces.
    #[must_use]
    pub fn card(&self, row: usize) -> &str {
        if row >= self.c.n {
            return "";
        }
        let at =
            |r: usize| self.c.cards + u32_at(&self.bytes, self.c.card_offsets + r * 4) as usize;
        self.bytes
            .get(at(row)..at(row + 1))
            .and_then(|b| core::str::from_utf8(b).ok())
            .unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::build::{Item, encode};
    use super::*;
    use proptest::prelude::*;

    fn sample(n: u64) -> Vec<u8> {
        let items: Vec<Item> = (0..n)
            .map(|i| Item {
                content: ContentId(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                published: Minute(1000 + i as u32),
                card: format!("\"id\":\"{i}\",\"title\":\"Größe {i}\""),
                main_topic: Some((i % 50) as u8),
                neighbours: vec![(
                    ContentId(((i + 1) % n).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                    200,
                )],
                ..Item::default()
            })
            .collect();
        encode(
            &build::Head {
                brand: "daily",
                surface: "home",
                built: Minute(2000),
                ..build::Head::default()
            },
            items,
        )
        .unwrap()
    }

    #[test]
    fn rows_are_found_by_content_id_with_card_and_neighbours() {
        let f = Front::parse(sample(100)).unwrap();
        assert_eq!(f.len(), 100);
        let row = f
            .row(ContentId(7u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .unwrap();
        assert_eq!(f.card(row), "\"id\":\"7\",\"title\":\"Größe 7\"");
        assert_eq!(f.published(row), Minute(1007));
        let next: Vec<_> = f.neighbours(row).collect();
        assert_eq!(next.len(), 1);
        assert_eq!(f.card(next[0].0).get(..8), Some("\"id\":\"8\""));
        assert_eq!(f.row(ContentId(1)), None);
    }

    #[test]
    fn an_item_costs_at_most_200_bytes_without_a_model() {
        let with = sample(500).len();
        let cards: usize = {
            let f = Front::parse(sample(500)).unwrap();
            (0..500).map(|r| f.card(r).len()).sum()
        };
        let per_item = (with - cards - HEAD - crate::wire::HEADER_BYTES) / 500;
        assert!(per_item <= 200, "{per_item}");
    }

    #[test]
    fn truncated_fronts_are_refused() {
        let bytes = sample(20);
        for cut in (0..bytes.len()).step_by(7) {
            assert!(Front::parse(bytes[..cut].to_vec()).is_err(), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn a_payload_that_contradicts_itself_is_read_or_refused_without_panic(
            at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
        ) {
            let mut bytes = sample(12);
            let payload = &mut bytes[crate::wire::HEADER_BYTES..];
            for (i, v) in at { let n = payload.len(); payload[i.index(n)] = v; }
            let resealed = FRAME.seal(&bytes[crate::wire::HEADER_BYTES..]);
            if let Ok(f) = Front::parse(resealed) {
                for row in 0..f.len() + 2 {
                    let _ = (f.card(row), f.neighbours(row).count(), f.main_topic(row));
                }
            }
        }
    }
}
