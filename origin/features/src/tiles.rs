//! Tiles: sums over 5 s, 5 min, 1 h and 1 day of event time, from which every window is read.
//!
//! An event is added to the tile it falls into on every tier where that tile still lives. A tier keeps the tiles of its
//! longest window, counted back from the newest it has seen; so what is kept depends on which events came, never on
//! their order, and [`Tiles::merge`] is commutative and associative.
//!
//! A window is a *sawtooth*: its head is the running tile, its tail is rounded down to a whole tile, so it covers at
//! least what its name says and less than one tile more (as in Chronon, github.com/airbnb/chronon, "sawtooth windows").

use mediaflow_shared::time::Timestamp;

use crate::declare::Window;
use crate::pack::{self, Damaged};

/// Widths of the tiers, milliseconds.
pub const TILE_MS: [i64; TIERS] = [5_000, 300_000, 3_600_000, 86_400_000];
/// Tiles a tier keeps: those of its longest window (5 min, 1 h, 24 h, 30 d) and the running one.
pub const TILES_KEPT: [u32; TIERS] = [61, 13, 25, 31];
const TIERS: usize = 4;

/// A number that can be summed in any order.
pub trait Tally: Copy + Default + PartialEq {
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// As it is packed.
    fn pack(self) -> u64;
    /// From its packed form.
    fn unpack(n: u64) -> Option<Self>;
}

impl Tally for u32 {
    // Four thousand million events in one tile of one entity do not happen; a sum that did would stay at the top.
    fn plus(self, other: Self) -> Self {
        self.saturating_add(other)
    }
    fn pack(self) -> u64 {
        self.into()
    }
    fn unpack(n: u64) -> Option<Self> {
        n.try_into().ok()
    }
}

impl Tally for i64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    fn pack(self) -> u64 {
        pack::zigzag(self)
    }
    fn unpack(n: u64) -> Option<Self> {
        Some(pack::unzigzag(n))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile<T, const N: usize> {
    /// Widths since the epoch.
    at: u32,
    sums: [T; N],
}

/// `N` sums on four tiers. Sparse: a tile without events costs nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiles<T, const N: usize> {
    /// Ascending by time.
    tiers: [Vec<Tile<T, N>>; TIERS],
}

impl<T, const N: usize> Default for Tiles<T, N> {
    fn default() -> Self {
        Self {
            tiers: [const { Vec::new() }; TIERS],
        }
    }
}

/// The tile of a tier that `at` falls into; what is before 1970 falls into the first.
fn tile_of(tier: usize, at: Timestamp) -> u32 {
    let n = at.0.max(0) / TILE_MS[tier];
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl<T: Tally, const N: usize> Tiles<T, N> {
    /// Adds `amounts` at `at`.
    pub fn add(&mut self, at: Timestamp, amounts: &[T; N]) {
        self.add_finely(at, amounts, amounts);
    }

    /// Adds `amounts` at `at`, of which only `fine` is read over minutes: the finest tier, which has most tiles, keeps
    /// no more than that.
    pub fn add_finely(&mut self, at: Timestamp, fine: &[T; N], amounts: &[T; N]) {
        if fine.iter().any(|n| *n != T::default()) {
            self.put(
                0,
                Tile {
                    at: tile_of(0, at),
                    sums: *fine,
                },
            );
        }
        for tier in 1..TIERS {
            self.put(
                tier,
                Tile {
                    at: tile_of(tier, at),
                    sums: *amounts,
                },
            );
        }
    }

    /// Adds another's tiles of the same entity.
    pub fn merge(&mut self, other: &Self) {
        for (tier, tiles) in other.tiers.iter().enumerate() {
            for t in tiles {
                self.put(tier, *t);
            }
        }
    }

    fn put(&mut self, tier: usize, new: Tile<T, N>) {
        let tiles = &mut self.tiers[tier];
        let newest = tiles.last().map_or(0, |t| t.at);
        if new.at > newest || tiles.is_empty() {
            let oldest = new.at.saturating_sub(TILES_KEPT[tier] - 1);
            if tiles.first().is_some_and(|t| t.at < oldest) {
                tiles.retain(|t| t.at >= oldest);
            }
            tiles.push(new);
            return;
        }
        if newest - new.at >= TILES_KEPT[tier] {
            return;
        }
        let place = match tiles.iter().rposition(|t| t.at <= new.at) {
            Some(i) if tiles[i].at == new.at => {
                for (sum, n) in tiles[i].sums.iter_mut().zip(new.sums) {
                    *sum = sum.plus(n);
                }
                return;
            }
            Some(i) => i + 1,
            None => 0,
        };
        tiles.insert(place, new);
    }

    /// The sums of a window that ends with `now`.
    #[must_use]
    pub fn sums(&self, window: Window, now: Timestamp) -> [T; N] {
        let (tier, tiles) = window.read_from();
        let running = tile_of(tier, now);
        let oldest = running.saturating_sub(tiles);
        let mut sums = [T::default(); N];
        for t in self.tiers[tier].iter().rev() {
            if t.at < oldest {
                break;
            }
            if t.at <= running {
                for (sum, n) in sums.iter_mut().zip(t.sums) {
                    *sum = sum.plus(n);
                }
            }
        }
        sums
    }

    /// Days of a window with any event.
    #[must_use]
    pub fn active_days(&self, window: Window, now: Timestamp) -> u32 {
        let running = tile_of(TIERS - 1, now);
        let oldest = running.saturating_sub(window.days());
        let days = self.tiers[TIERS - 1].iter();
        days.filter(|t| (oldest..=running).contains(&t.at)).count() as u32
    }

    /// See [`crate::cache::Warm`]: what lies before the newest tile follows by itself.
    pub(crate) fn warm(&self) -> u64 {
        let newest = self.tiers.iter().filter_map(|t| t.last());
        newest.map(|t| u64::from(t.at)).sum()
    }

    /// Whether there is no tile at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tiers.iter().all(Vec::is_empty)
    }

    /// Appends the packed form: per tier the count, the newest tile, then from new to old the distance and a mask of
    /// the sums that are not zero, and those sums.
    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        for tiles in &self.tiers {
            pack::put(out, tiles.len() as u64);
            let Some(newest) = tiles.last() else {
                continue;
            };
            pack::put(out, newest.at.into());
            let mut after = newest.at;
            for t in tiles.iter().rev() {
                let mut mask = 0u64;
                for (i, sum) in t.sums.iter().enumerate() {
                    mask |= u64::from(*sum != T::default()) << i;
                }
                let head = u64::from(after - t.at) << N | mask;
                let sums = t.sums.iter().filter(|s| **s != T::default());
                pack::put_all(out, std::iter::once(head).chain(sums.map(|s| s.pack())));
                after = t.at;
            }
        }
    }

    /// Reads what [`Self::pack`] wrote.
    pub(crate) fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let mut all = Self::default();
        for (tier, tiles) in all.tiers.iter_mut().enumerate() {
            let count = pack::take_len(bytes, TILES_KEPT[tier] as usize)?;
            if count == 0 {
                continue;
            }
            let newest: u32 = pack::take_as(bytes)?;
            let mut after = newest;
            for n in 0..count {
                let head = pack::take(bytes)?;
                let gone = u32::try_from(head >> N).map_err(|_| Damaged("tile too far off"))?;
                let at = after
                    .checked_sub(gone)
                    .filter(|at| (n == 0) == (gone == 0) && newest - at < TILES_KEPT[tier]);
                let at = at.ok_or(Damaged("tiles out of order"))?;
                let mut sums = [T::default(); N];
                for (i, sum) in sums.iter_mut().enumerate() {
                    if head >> i & 1 == 1 {
                        *sum = T::unpack(pack::take(bytes)?).ok_or(Damaged("sum too large"))?;
                    }
                }
                tiles.push(Tile { at, sums });
                after = at;
            }
            tiles.reverse();
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_248_000_000;

    #[test]
    fn a_window_covers_its_name_and_less_than_a_tile_more() {
        for window in Window::ALL {
            let (tier, _) = window.read_from();
            let hop = TILE_MS[tier];
            for (ago, counted) in [
                (0, true),
                (window.ms() - 1, true),
                (window.ms() + hop, false),
            ] {
                let mut tiles = Tiles::<u32, 1>::default();
                tiles.add(Timestamp(NOW + 1234 - ago), &[1]);
                let sum = tiles.sums(window, Timestamp(NOW + 1234))[0];
                assert_eq!(sum == 1, counted, "{window:?} {ago}");
            }
        }
    }

    #[test]
    fn what_is_after_now_is_not_in_the_window() {
        let mut tiles = Tiles::<u32, 1>::default();
        tiles.add(Timestamp(NOW + 86_400_000), &[1]);
        assert_eq!(tiles.sums(Window::D7, Timestamp(NOW)), [0]);
    }

    fn events() -> impl Strategy<Value = Vec<(i64, u32)>> {
        prop::collection::vec((0i64..40 * 86_400_000, 0u32..9), 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn order_and_partition_do_not_matter(events in events(), split in 0usize..120, seed in any::<u64>()) {
            let add = |tiles: &mut Tiles<u32, 2>, (ms, n): (i64, u32)| tiles.add(Timestamp(NOW + ms), &[n, 1]);
            let mut straight = Tiles::default();
            for e in &events {
                add(&mut straight, *e);
            }
            let mut shuffled = events.clone();
            let mut s = seed;
            for i in (1..shuffled.len()).rev() {
                s = s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(i, (s >> 33) as usize % (i + 1));
            }
            let (mut a, mut b) = (Tiles::default(), Tiles::default());
            for (i, e) in shuffled.iter().enumerate() {
                add(if i < split { &mut a } else { &mut b }, *e);
            }
            let mut ba = b.clone();
            ba.merge(&a);
            a.merge(&b);
            prop_assert_eq!(&a, &straight);
            prop_assert_eq!(&ba, &straight);
            let mut packed = Vec::new();
            straight.pack(&mut packed);
            let mut rest = &packed[..];
            prop_assert_eq!(Tiles::unpack(&mut rest), Ok(straight));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(mut t) = Tiles::<i64, 4>::unpack(&mut &bytes[..]) {
                t.add(Timestamp(NOW), &[1; 4]);
            }
        }
    }
}
