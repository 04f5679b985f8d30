//! Writing a front. Runs at the origin, and in tests and benches.

use super::{
    FRAME, FRONT_BYTES_MAX, FRONT_ITEMS_MAX, HAS_LEARNED, HAS_NEIGHBOURS, HEAD, NEIGHBOURS,
    NO_NEIGHBOUR,
};
use crate::content::Kind;
use crate::id::{ContentId, name_hash};
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};
use thiserror::Error;

/// Why a front could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrontError {
    /// More than [`FRONT_ITEMS_MAX`] items.
    #[error("{0} items in a front, at most {FRONT_ITEMS_MAX} fit: cut the list by score first")]
    TooMany(usize),
    /// The same item twice.
    #[error("content {0} is in the front twice")]
    Twice(ContentId),
    /// More than [`FRONT_BYTES_MAX`].
    #[error("front of {0} bytes, at most {FRONT_BYTES_MAX} allowed: shorten the cards")]
    TooLarge(usize),
}

/// What is true of the whole front.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// Brand slug.
    pub brand: &'a str,
    /// Surface slug.
    pub surface: &'a str,
    /// When it is built.
    pub built: Minute,
    /// Model epoch of the learned lanes.
    pub epoch: u16,
    /// Q8 scale of V.
    pub v_scale: u16,
    /// Q8 scale of P.
    pub p_scale: u16,
}

/// One candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Content id.
    pub content: ContentId,
    /// Topic vector, L2 norm 127 (see [`crate::profile::fold::normalise`]).
    pub topics: [i8; TOPICS],
    /// Candidate and read vector of a trained model.
    pub learned: Option<Box<([i8; LANES], [i8; LANES])>>,
    /// First publication.
    pub published: Minute,
    /// 0 = none.
    pub embargo: Minute,
    /// 0 = never.
    pub expires: Minute,
    /// [`name_hash`] of the author, 0 = unknown.
    pub author: u32,
    /// [`name_hash`] of the series, 0 = none.
    pub series: u32,
    /// Next-read neighbours with weights, strongest first; ids not in the front are dropped.
    pub neighbours: Vec<(ContentId, u8)>,
    /// Minutes since the last click; `None` = never clicked.
    pub active_min: Option<u32>,
    /// Near-duplicate cluster, 0 = none.
    pub dup: u16,
    /// ISO 3166-1 alpha-2 the item is about.
    pub country: Option<[u8; 2]>,
    /// ISO 639-1.
    pub language: Option<[u8; 2]>,
    /// Log-scaled clicks in 15 minutes ([`log_count`]).
    pub clicks15: u8,
    /// Log-scaled clicks in 60 minutes.
    pub clicks60: u8,
    /// Log-scaled clicks, fast decay.
    pub decay_fast: u8,
    /// Log-scaled clicks, slow decay.
    pub decay_slow: u8,
    /// Quality 0–255.
    pub quality: u8,
    /// See [`super::flag`].
    pub flags: u8,
    /// Reading time, minutes.
    pub minutes: u8,
    /// Main topic.
    pub main_topic: Option<u8>,
    /// What it is.
    pub kind: Kind,
    /// Members of a JSON Feed item, without braces.
    pub card: String,
}

impl Default for Item {
    fn default() -> Self {
        Self {
            content: ContentId::default(),
            topics: [0; TOPICS],
            learned: None,
            published: Minute(0),
            embargo: Minute(0),
            expires: Minute(0),
            author: 0,
            series: 0,
            neighbours: Vec::new(),
            active_min: None,
            dup: 0,
            country: None,
            language: None,
            clicks15: 0,
            clicks60: 0,
            decay_fast: 0,
            decay_slow: 0,
            quality: 128,
            flags: 0,
            minutes: 0,
            main_topic: None,
            kind: Kind::Article,
            card: String::new(),
        }
    }
}

/// `round(16·log2(1+n))`, 255 at most: 65,000 clicks still fit. Integer arithmetic.
#[must_use]
pub fn log_count(n: u64) -> u8 {
    let x = u128::from(n) + 1;
    // log2 in 1/16 steps: the integer part from the bit length, the fraction by repeated squaring.
    let int = 127 - x.leading_zeros();
    let mut m = if int > 31 {
        x >> (int - 31)
    } else {
        x << (31 - int)
    };
    let mut frac = 0u32;
    for _ in 0..5 {
        m = (m * m) >> 31;
        frac <<= 1;
        if m >= 1 << 32 {
            m >>= 1;
            frac |= 1;
        }
    }
    let log32 = int * 32 + frac;
    u8::try_from(log32.div_ceil(2)).unwrap_or(u8::MAX)
}

/// The number of a kind in the column.
#[must_use]
pub const fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::Article => 0,
        Kind::Video => 1,
        Kind::Audio => 2,
        Kind::Gallery => 3,
        Kind::Recipe => 4,
        Kind::Ugc => 5,
    }
}

fn letters(two: Option<[u8; 2]>) -> u16 {
    two.map_or(0, u16::from_be_bytes)
}

/// Writes a front; the items may come in any order.
///
/// # Errors
/// [`FrontError`] when there are too many items, one of them twice, or the cards are too long.
// Compiled where it is called: see `Rules::decode`.
#[inline]
pub fn encode(head: &Head<'_>, mut items: Vec<Item>) -> Result<Vec<u8>, FrontError> {
    let n = items.len();
    if n > FRONT_ITEMS_MAX {
        return Err(FrontError::TooMany(n));
    }
    items.sort_by_key(|i| i.content);
    if let Some(w) = items.windows(2).find(|w| w[0].content == w[1].content) {
        return Err(FrontError::Twice(w[0].content));
    }
    let learned = n > 0 && items.iter().all(|i| i.learned.is_some());
    let neighbours = items.iter().any(|i| !i.neighbours.is_empty());
    let mut out = Vec::with_capacity(HEAD + n * 600);
    let flags = if learned { HAS_LEARNED } else { 0 } | if neighbours { HAS_NEIGHBOURS } else { 0 };
    for v in [n as u16, flags, head.epoch, head.v_scale, head.p_scale, 0] {
        out.extend_from_slice(&v.to_le_bytes());
    }
    for v in [name_hash(head.brand), name_hash(head.surface), head.built.0] {
        out.extend_from_slice(&v.to_le_bytes());
    }
    out.resize(HEAD, 0);

    for i in &items {
        out.extend(i.topics.iter().map(|&v| v as u8));
        out.resize(out.len() + LANES - TOPICS, 0);
    }
    if learned {
        for half in [0, 1] {
            for l in items.iter().filter_map(|i| i.learned.as_deref()) {
                out.extend(
                    (if half == 0 { &l.0 } else { &l.1 })
                        .iter()
                        .map(|&v| v as u8),
                );
            }
        }
    }
    items
        .iter()
        .for_each(|i| out.extend_from_slice(&i.content.0.to_le_bytes()));
    let columns: [fn(&Item) -> u32; 5] = [
        |i| i.published.0,
        |i| i.embargo.0,
        |i| i.expires.0,
        |i| i.author,
        |i| i.series,
    ];
    for column in columns {
        items
            .iter()
            .for_each(|i| out.extend_from_slice(&column(i).to_le_bytes()));
    }
    let lists: Vec<Vec<(u16, u8)>> = items.iter().map(|i| near(i, &items)).collect();
    if neighbours {
        for list in &lists {
            for k in 0..NEIGHBOURS {
                let slot = list.get(k).map_or(NO_NEIGHBOUR, |x| x.0);
                out.extend_from_slice(&slot.to_le_bytes());
            }
        }
    }
    let columns: [fn(&Item) -> u16; 4] = [
        |i| {
            i.active_min
                .map_or(u16::MAX, |m| m.min(u32::from(u16::MAX) - 1) as u16)
        },
        |i| i.dup,
        |i| letters(i.country),
        |i| letters(i.language),
    ];
    for column in columns {
        items
            .iter()
            .for_each(|i| out.extend_from_slice(&column(i).to_le_bytes()));
    }
    if neighbours {
        for list in &lists {
            out.extend((0..NEIGHBOURS).map(|k| list.get(k).map_or(0, |x| x.1)));
        }
    }
    let columns: [fn(&Item) -> u8; 9] = [
        |i| i.clicks15,
        |i| i.clicks60,
        |i| i.decay_fast,
        |i| i.decay_slow,
        |i| i.quality,
        |i| i.flags,
        |i| i.minutes,
        |i| {
            i.main_topic
                .filter(|t| usize::from(*t) < TOPICS)
                .unwrap_or(TOPICS as u8)
        },
        |i| kind_code(i.kind),
    ];
    for column in columns {
        out.extend(items.iter().map(column));
    }
    let mut at = 0u32;
    out.extend_from_slice(&at.to_le_bytes());
    for i in &items {
        at = at.saturating_add(i.card.len() as u32);
        out.extend_from_slice(&at.to_le_bytes());
    }
    items
        .iter()
        .for_each(|i| out.extend_from_slice(i.card.as_bytes()));
    let total = out.len() + crate::wire::HEADER_BYTES;
    if total > FRONT_BYTES_MAX {
        return Err(FrontError::TooLarge(total));
    }
    Ok(FRAME.seal(&out))
}

/// The neighbours of an item that are in the front, as rows.
fn near(item: &Item, sorted: &[Item]) -> Vec<(u16, u8)> {
    item.neighbours
        .iter()
        .filter(|(id, _)| *id != item.content)
        .filter_map(|(id, w)| {
            sorted
                .binary_search_by_key(id, |i| i.content)
                .ok()
                .map(|row| (row as u16, *w))
        })
        .take(NEIGHBOURS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_logarithmic() {
        for (n, want) in [
            (0, 0),
            (1, 16),
            (3, 32),
            (7, 48),
            (65_535, 255),
            (u64::MAX, 255),
        ] {
            assert_eq!(log_count(n), want, "{n}");
        }
        let exact = |n: u64| (16.0 * ((n + 1) as f64).log2()).round() as i32;
        for n in 0..5000 {
            assert!(
                (i32::from(log_count(n)) - exact(n).min(255)).abs() <= 1,
                "{n}"
            );
        }
    }

    #[test]
    fn twice_the_same_item_is_refused() {
        let items = vec![Item::default(), Item::default()];
        assert_eq!(
            encode(&Head::default(), items),
            Err(FrontError::Twice(ContentId(0)))
        );
    }
}
