//! Live signals v1: what `features` counts from the event stream and `publisher` writes into fronts.
//!
//! Per brand and item: clicks in minute tiles of the last hour, two exponential decays, and the items read next.
//! Each partition of the log counts for itself; [`Counts::merge`] and [`Neighbours::merge`] add partitions up.
//! Decays are *forward decays* (G. Cormode et al., "Forward decay", ICDE 2009): an event's weight depends on its own
//! time only, so late and shuffled events count as if they had come in order. Integer arithmetic only.
//!
//! The values are internal to the origin's state store: a version byte, then little-endian fields.

use crate::id::{ContentId, Pseudonym, check_slug};
use crate::time::Minute;
use crate::wire::{WireError, u32_at, u64_at};

/// View of [`Counts`] by [`key`].
pub const VIEW_POPULARITY: &str = "features.popularity";
/// View of [`Neighbours`] by [`key`].
pub const VIEW_NEIGHBOURS: &str = "features.neighbours";
/// View of the readers' fold states by the 16 bytes of the pseudonym.
pub const VIEW_READER: &str = "features.reader";
/// Outbox of profile blobs to publish: key = [`dirty_key`], value = the blob, empty = delete it.
pub const OUTBOX_PROFILES: &str = "profiles.dirty";

/// Version of both records.
pub const SIGNALS_VERSION: u8 = 1;
/// Minute tiles kept: the longest window.
pub const TILES_MIN: u32 = 60;
/// Neighbours counted per item and partition; the weakest gives way.
pub const NEIGHBOURS_COUNTED_MAX: usize = 40;

/// Steps in a half-life: weights within one are read from a table of as many entries.
const STEPS: u32 = 60;
/// Fraction bits of a weight: a click counts 2^24, so 2^40 clicks of one half-life fit.
const FRACTION: u32 = 24;
/// `2^(1/60)` in Q62.
const ROOT_Q62: u128 = 4_665_271_228_809_715_533;
const WEIGHTS: [u64; STEPS as usize] = weights();

const fn weights() -> [u64; STEPS as usize] {
    let mut table = [0; STEPS as usize];
    let (mut x, mut i) = (1u128 << 62, 0);
    while i < table.len() {
        table[i] = (x >> (62 - FRACTION)) as u64;
        x = (x * ROOT_Q62) >> 62;
        i += 1;
    }
    table
}

/// How fast a decay forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HalfLife {
    /// A sixtieth of the half-life, minutes.
    step_min: u32,
}

impl HalfLife {
    /// One hour.
    pub const H1: Self = Self { step_min: 1 };
    /// Six hours.
    pub const H6: Self = Self { step_min: 6 };
    /// A day.
    pub const H24: Self = Self { step_min: 24 };
    /// Two weeks: [`crate::profile::fold::AFFINITY_HALF_LIFE_H`].
    pub const D14: Self = Self { step_min: 336 };

    /// Whole half-lives since the epoch, and the weight of an event at `at` within its half-life in Q24.
    #[must_use]
    pub const fn weight(self, at: Minute) -> (u32, u64) {
        let step = at.0 / self.step_min;
        (step / STEPS, WEIGHTS[(step % STEPS) as usize])
    }
}

/// A sum that halves every half-life. Which one is up to the caller, always the same for one sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decay {
    /// Half-lives since the epoch at the newest event.
    era: u32,
    /// Σ 2^(t/h − era) in Q24.
    sum: u64,
}

impl Decay {
    /// Counts `n` events at `at`.
    pub fn add(&mut self, half_life: HalfLife, at: Minute, n: u32) {
        let (era, weight) = half_life.weight(at);
        self.merge(&Self {
            era,
            sum: weight.saturating_mul(u64::from(n)),
        });
    }

    /// Adds another sum of the same half-life.
    pub fn merge(&mut self, other: &Self) {
        let era = self.era.max(other.era);
        self.sum = self.in_era(era).saturating_add(other.in_era(era));
        self.era = era;
    }

    /// The sum as seen from a later era.
    fn in_era(&self, era: u32) -> u64 {
        self.sum.checked_shr(era - self.era.min(era)).unwrap_or(0)
    }

    /// What is left at `now`, in 1/256 events.
    #[must_use]
    pub fn at_q8(&self, half_life: HalfLife, now: Minute) -> u64 {
        let (era, weight) = half_life.weight(now);
        // An event of the future, as far as clocks can disagree, counts as of now.
        let sum = u128::from(self.in_era(era.max(self.era)));
        u64::try_from((sum << 8) / u128::from(weight)).unwrap_or(u64::MAX)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sum == 0
    }
}

/// Clicks and reads of one item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// Last minute with a click.
    pub last: Minute,
    /// (minute, clicks), ascending, none older than [`TILES_MIN`] before `last`.
    tiles: Vec<(Minute, u32)>,
    /// Half-life of an hour.
    pub fast: Decay,
    /// Half-life of a day.
    pub slow: Decay,
}

impl Counts {
    /// Counts one click or read at `at`; older than the tiles, it counts in the decays only.
    pub fn click(&mut self, at: Minute) {
        self.fast.add(HalfLife::H1, at, 1);
        self.slow.add(HalfLife::H24, at, 1);
        self.tile(at, 1);
    }

    fn tile(&mut self, at: Minute, n: u32) {
        self.last = self.last.max(at);
        let last = self.last;
        self.tiles.retain(|(m, _)| last.since(*m) < TILES_MIN);
        if last.since(at) >= TILES_MIN {
            return;
        }
        match self.tiles.binary_search_by_key(&at, |t| t.0) {
            Ok(i) => self.tiles[i].1 = self.tiles[i].1.saturating_add(n),
            Err(i) => self.tiles.insert(i, (at, n)),
        }
    }

    /// Adds another partition's counts of the same item.
    pub fn merge(&mut self, other: &Self) {
        self.fast.merge(&other.fast);
        self.slow.merge(&other.slow);
        self.last = self.last.max(other.last);
        for (m, n) in &other.tiles {
            self.tile(*m, *n);
        }
    }

    /// Clicks in the `window_min` minutes that end with `now`, at most [`TILES_MIN`].
    #[must_use]
    pub fn clicks(&self, now: Minute, window_min: u32) -> u64 {
        let within = |m: &Minute| now.since(*m) < window_min;
        self.tiles
            .iter()
            .filter(|(m, _)| within(m))
            .map(|(_, n)| u64::from(*n))
            .sum()
    }

    /// The state store's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SIGNALS_VERSION];
        out.extend_from_slice(&self.last.0.to_le_bytes());
        for d in [&self.fast, &self.slow] {
            put(&mut out, d);
        }
        for (m, n) in &self.tiles {
            out.push(self.last.since(*m) as u8);
            out.extend_from_slice(&n.to_le_bytes());
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`]: truncated, newer, or tiles out of order.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "popularity counts";
        let body = versioned(WHAT, bytes, 28)?;
        let (head, tail) = body.split_at(28);
        let last = Minute(u32_at(head, 0));
        let malformed = || WireError::Malformed {
            what: WHAT,
            why: "tiles out of order".into(),
        };
        let (tiles, rest) = tail.as_chunks::<5>();
        let tiles: Vec<(Minute, u32)> = tiles
            .iter()
            .map(|t| (Minute(last.0.saturating_sub(t[0].into())), u32_at(t, 1)))
            .collect();
        let ordered = tiles.is_sorted_by(|a, b| a.0 < b.0);
        let recent = tiles.first().is_none_or(|t| last.since(t.0) < TILES_MIN);
        if !rest.is_empty() || !ordered || !recent {
            return Err(malformed());
        }
        Ok(Self {
            last,
            tiles,
            fast: decay_at(head, 4),
            slow: decay_at(head, 16),
        })
    }
}

/// What readers of one item read next in the same session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours {
    next: Vec<(ContentId, Decay)>,
}

impl Neighbours {
    /// Counts one reader who went on to `next` at `at`.
    pub fn follow(&mut self, next: ContentId, at: Minute) {
        let mut one = Decay::default();
        one.add(HalfLife::H6, at, 1);
        self.insert(next, &one);
        if self.next.len() > NEIGHBOURS_COUNTED_MAX {
            let era = self.era();
            // The newcomer is last: of equals an older one goes, so that a change of taste gets in.
            let weakest = (0..self.next.len() - 1)
                .min_by_key(|&i| (self.next[i].1.in_era(era), self.next[i].0));
            if let Some(i) = weakest {
                self.next.remove(i);
            }
        }
    }

    fn insert(&mut self, next: ContentId, sum: &Decay) {
        match self.next.iter_mut().find(|n| n.0 == next) {
            Some(n) => n.1.merge(sum),
            None => self.next.push((next, *sum)),
        }
    }

    fn era(&self) -> u32 {
        self.next.iter().map(|n| n.1.era).max().unwrap_or(0)
    }

    /// Adds another partition's neighbours of the same item.
    pub fn merge(&mut self, other: &Self) {
        for (id, sum) in &other.next {
            self.insert(*id, sum);
        }
    }

    /// The `n` strongest at `now` with weights from 1 to 255: relative to the strongest, and less the fewer readers
    /// stand behind that one (one reader: half).
    #[must_use]
    pub fn strongest(&self, n: usize, now: Minute) -> Vec<(ContentId, u8)> {
        let mut sums: Vec<(u64, ContentId)> = self
            .next
            .iter()
            .map(|(id, d)| (d.at_q8(HalfLife::H6, now), *id))
            .filter(|(v, _)| *v > 0)
            .collect();
        sums.sort_unstable_by_key(|&(v, id)| (core::cmp::Reverse(v), id));
        sums.truncate(n);
        let most = u128::from(sums.first().map_or(0, |s| s.0)) + 256;
        sums.into_iter()
            .map(|(v, id)| (id, (u128::from(v) * 255 / most).max(1) as u8))
            .collect()
    }

    /// How many are counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.next.len()
    }

    /// Whether none is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// The state store's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SIGNALS_VERSION];
        for (id, sum) in &self.next {
            out.extend_from_slice(&id.0.to_le_bytes());
            put(&mut out, sum);
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`]: truncated or newer.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "next-read neighbours";
        let (rows, rest) = versioned(WHAT, bytes, 0)?.as_chunks::<20>();
        if !rest.is_empty() {
            return Err(WireError::Truncated {
                what: WHAT,
                need: bytes.len() + 20 - rest.len(),
                have: bytes.len(),
            });
        }
        let row = |r: &[u8; 20]| (ContentId(u64_at(r, 0)), decay_at(r, 8));
        Ok(Self {
            next: rows.iter().map(row).collect(),
        })
    }
}

/// The key of an entry of [`OUTBOX_PROFILES`]: the 16 bytes of the pseudonym, then the slug of the brand of the
/// reader's last event, so that the publisher knows whose fronts this reader sees.
#[must_use]
pub fn dirty_key(reader: Pseudonym, brand: &str) -> Vec<u8> {
    [&reader.0[..], brand.as_bytes()].concat()
}

/// A [`dirty_key`] with the `traceparent` of the event that made the change.
#[must_use]
pub fn traced_key(key: &[u8], traceparent: &str) -> Vec<u8> {
    [key, b" ", traceparent.as_bytes()].concat()
}

/// The `traceparent` of a [`traced_key`].
#[must_use]
pub fn trace_of_key(key: &[u8]) -> Option<&[u8]> {
    let rest = key.get(16..)?;
    let at = rest.iter().position(|b| *b == b' ')?;
    rest.get(at + 1..)
}

/// Reader and brand of a [`dirty_key`], traced or not; a key of 16 bytes names no brand. `None` for what is no such key.
#[must_use]
pub fn parse_dirty_key(key: &[u8]) -> Option<(Pseudonym, Option<&str>)> {
    let (reader, rest) = key.split_first_chunk::<16>()?;
    let brand = rest.split(|b| *b == b' ').next().unwrap_or_default();
    let brand = match brand {
        [] => None,
        slug => Some(check_slug(std::str::from_utf8(slug).ok()?).ok()?),
    };
    Some((Pseudonym(*reader), brand))
}

fn put(out: &mut Vec<u8>, d: &Decay) {
    out.extend_from_slice(&d.era.to_le_bytes());
    out.extend_from_slice(&d.sum.to_le_bytes());
}

fn decay_at(b: &[u8], at: usize) -> Decay {
    Decay {
        era: u32_at(b, at),
        sum: u64_at(b, at + 4),
    }
}

fn versioned<'a>(what: &'static str, bytes: &'a [u8], need: usize) -> Result<&'a [u8], WireError> {
    match bytes.split_first() {
        Some((&SIGNALS_VERSION, body)) if body.len() >= need => Ok(body),
        Some((&found, _)) if found > SIGNALS_VERSION => Err(WireError::Newer {
            what,
            found: found.into(),
            known: SIGNALS_VERSION.into(),
        }),
        Some((0, _)) => Err(WireError::Foreign(what)),
        _ => Err(WireError::Truncated {
            what,
            need: need + 1,
            have: bytes.len(),
        }),
    }
}

/// Key of an item's signals: partition u32 · brand · NUL · content id u64, big-endian so that prefixes scan.
#[must_use]
pub fn key(partition: u32, brand: &str, content: ContentId) -> Vec<u8> {
    let mut k = brand_prefix(partition, brand);
    k.extend_from_slice(&content.0.to_be_bytes());
    k
}

/// What all keys of a brand in one partition begin with.
#[must_use]
pub fn brand_prefix(partition: u32, brand: &str) -> Vec<u8> {
    let mut k = partition.to_be_bytes().to_vec();
    k.extend_from_slice(brand.as_bytes());
    k.push(0);
    k
}

/// Brand and content id of a [`key`]; `None` for any other bytes.
#[must_use]
pub fn parse_key(key: &[u8]) -> Option<(&str, ContentId)> {
    let (head, id) = key.split_last_chunk::<8>()?;
    let brand = head.get(4..)?.strip_suffix(&[0])?;
    let brand = core::str::from_utf8(brand).ok()?;
    Some((brand, ContentId(u64::from_be_bytes(*id))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: Minute = Minute(29_920_800);

    fn later(min: u32) -> Minute {
        Minute(NOON.0 + min)
    }

    #[test]
    fn a_dirty_key_names_reader_and_brand() {
        let reader = Pseudonym([7; 16]);
        let key = dirty_key(reader, "daily");
        assert_eq!(parse_dirty_key(&key), Some((reader, Some("daily"))));
        assert_eq!(parse_dirty_key(&reader.0), Some((reader, None)));
        assert_eq!(parse_dirty_key(&key[..15]), None);
        assert_eq!(parse_dirty_key(&dirty_key(reader, "No!Slug")), None);
        let traced = traced_key(&key, "00-1-2-01");
        assert_eq!(parse_dirty_key(&traced), Some((reader, Some("daily"))));
        assert_eq!(trace_of_key(&traced), Some(&b"00-1-2-01"[..]));
        assert_eq!(trace_of_key(&key), None);
    }

    #[test]
    fn weights_are_powers_of_two() {
        for (i, w) in WEIGHTS.iter().enumerate() {
            let exact = 2f64.powf(i as f64 / 60.0) * f64::from(1 << 24);
            assert!((*w as f64 - exact).abs() <= 1.0, "{i}");
        }
    }

    #[test]
    fn a_decay_halves_every_half_life() {
        for h in [HalfLife::H1, HalfLife::H6, HalfLife::H24, HalfLife::D14] {
            let mut d = Decay::default();
            d.add(h, NOON, 1000);
            let min = h.step_min * STEPS;
            assert_eq!(d.at_q8(h, later(min)), 500 * 256);
            let quarter = d.at_q8(h, later(2 * min));
            assert!((quarter as i64 - 250 * 256).abs() <= 1, "{quarter}");
            assert_eq!(d.at_q8(h, later(min * 60)), 0);
        }
    }

    #[test]
    fn windows_slide_by_the_minute() {
        let mut c = Counts::default();
        for min in 0..60 {
            c.click(later(min));
        }
        assert_eq!(c.clicks(later(59), 15), 15);
        assert_eq!(c.clicks(later(59), 60), 60);
        assert_eq!(c.clicks(later(69), 15), 5);
        assert_eq!(c.clicks(later(200), 60), 0);
    }

    #[test]
    fn the_weakest_neighbour_gives_way() {
        let mut n = Neighbours::default();
        for id in 0..NEIGHBOURS_COUNTED_MAX as u64 {
            n.follow(ContentId(id), NOON);
            n.follow(ContentId(id), NOON);
        }
        for _ in 0..3 {
            n.follow(ContentId(999), later(1));
        }
        assert_eq!(n.len(), NEIGHBOURS_COUNTED_MAX);
        let top = n.strongest(20, later(1));
        assert_eq!((top[0].0, top.len()), (ContentId(999), 20));
        assert!(top.is_sorted_by(|a, b| a.1 >= b.1));
    }

    #[test]
    fn a_key_says_its_brand_and_item() {
        let k = key(7, "daily-planet", ContentId(42));
        assert_eq!(parse_key(&k), Some(("daily-planet", ContentId(42))));
        assert!(k.starts_with(&brand_prefix(7, "daily-planet")));
        assert!(!k.starts_with(&brand_prefix(7, "daily")));
        assert_eq!(parse_key(b"short"), None);
    }

    #[test]
    fn counts_keep_their_golden_bytes() {
        let mut c = Counts::default();
        c.click(Minute(60));
        c.click(Minute(61));
        let hex: String = c.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "013d000000010000007df902020000000000000000a8f70b020000000001010000000001000000"
        );
    }

    proptest! {
        #[test]
        fn order_and_partition_do_not_matter(
            clicks in prop::collection::vec((0u32..180, any::<bool>()), 0..200), seed: u64
        ) {
            let mut in_order = Counts::default();
            for (m, _) in &clicks { in_order.click(later(*m)); }
            let mut shuffled = clicks.clone();
            shuffled.sort_by_key(|(m, _)| (u64::from(*m) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut parts = [Counts::default(), Counts::default()];
            for (m, part) in &shuffled { parts[usize::from(*part)].click(later(*m)); }
            let [mut merged, other] = parts;
            merged.merge(&other);
            prop_assert_eq!(merged.last, in_order.last);
            prop_assert_eq!(&merged.tiles, &in_order.tiles);
            let now = later(200);
            // Every shift to a newer era may lose 2^-24 of a click.
            for (h, a, b) in [(HalfLife::H1, merged.fast, in_order.fast), (HalfLife::H24, merged.slow, in_order.slow)] {
                prop_assert!(a.at_q8(h, now).abs_diff(b.at_q8(h, now)) <= 1);
            }
        }

        #[test]
        fn what_is_written_is_read(clicks in prop::collection::vec((0u32..500, 0u64..60), 0..120)) {
            let (mut c, mut n) = (Counts::default(), Neighbours::default());
            for (m, id) in clicks {
                c.click(later(m));
                n.follow(ContentId(id), later(m));
                prop_assert!(n.len() <= NEIGHBOURS_COUNTED_MAX && c.tiles.len() <= TILES_MIN as usize);
            }
            prop_assert_eq!(Counts::decode(&c.encode()).unwrap(), c);
            prop_assert_eq!(Neighbours::decode(&n.encode()).unwrap(), n);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = (Counts::decode(&bytes), Neighbours::decode(&bytes), parse_key(&bytes));
        }
    }
}
