//! The parts that states are made of: sums, maxima, sets and newest values. Each adds up in any order, and packs into
//! few bytes.

use crate::pack::{self, Damaged};
use crate::tiles::Tally;
use mediaflow_shared::event::EventType;

/// Kinds of event.
pub(crate) const KINDS: usize = EventType::ALL.len();
/// Events by kind, in the order of [`EventType::ALL`].
pub(crate) type Kinds = Sums<u32, KINDS>;

/// `N` sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sums<T, const N: usize>(pub [T; N]);

impl<T: Tally, const N: usize> Default for Sums<T, N> {
    fn default() -> Self {
        Self([T::default(); N])
    }
}

impl<T: Tally, const N: usize> Sums<T, N> {
    pub fn add(&mut self, which: usize, n: T) {
        self.0[which] = self.0[which].plus(n);
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, n) in self.0.iter_mut().zip(other.0) {
            *sum = sum.plus(n);
        }
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        let mut mask = 0;
        for (i, n) in self.0.iter().enumerate() {
            mask |= u64::from(*n != T::default()) << i;
        }
        let told = self.0.iter().filter(|n| **n != T::default());
        pack::put_all(out, std::iter::once(mask).chain(told.map(|n| n.pack())));
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let mask = pack::take(bytes)?;
        if mask.checked_shr(N as u32).unwrap_or(0) != 0 {
            return Err(Damaged("sums this release does not know"));
        }
        let mut all = Self::default();
        for (i, n) in all.0.iter_mut().enumerate() {
            if mask >> i & 1 == 1 {
                *n = T::unpack(pack::take(bytes)?).ok_or(Damaged("sum too large"))?;
            }
        }
        Ok(all)
    }
}

impl Kinds {
    pub fn of(&self, kind: EventType) -> u32 {
        self.0[kind as usize]
    }

    pub fn all_of(&self, kinds: &[EventType]) -> u64 {
        kinds.iter().map(|k| u64::from(self.of(*k))).sum()
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|n| u64::from(*n)).sum()
    }
}

/// `N` sets of up to 64 members each, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for Sets<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Sets<N> {
    pub fn insert(&mut self, which: usize, member: u32) {
        self.0[which] |= 1 << (member % 64);
    }

    pub fn len(&self, which: usize) -> u32 {
        self.0[which].count_ones()
    }

    pub fn merge(&mut self, other: &Self) {
        for (set, o) in self.0.iter_mut().zip(other.0) {
            *set |= o;
        }
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        for set in self.0 {
            // Sets of hashes have bits anywhere; few of them cost less one by one.
            if set.count_ones() < 8 {
                pack::put(out, set.count_ones().into());
                let mut left = set;
                while left != 0 {
                    out.push(left.trailing_zeros() as u8);
                    left &= left - 1;
                }
            } else {
                out.push(8);
                out.extend_from_slice(&set.to_le_bytes());
            }
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let mut all = Self::default();
        for set in &mut all.0 {
            let count = pack::take_len(bytes, 8)?;
            if count < 8 {
                for bit in pack::take_bytes(bytes, count)? {
                    *set |= 1 << (bit % 64);
                }
            } else {
                let raw = pack::take_bytes(bytes, 8)?;
                *set =
                    u64::from_le_bytes(raw.try_into().map_err(|_| Damaged("ends within a set"))?);
            }
        }
        Ok(all)
    }

    /// How many different values were inserted by a uniform hash: linear counting (Whang et al., 1990). Off by less
    /// than one for up to 10 values, by a tenth for up to 60; at most 266.
    pub fn estimate(&self, which: usize) -> u32 {
        // −64·ln(zeros/64), rounded.
        const OF_ZEROS: [u16; 65] = linear_counts();
        OF_ZEROS[64 - self.len(which) as usize].into()
    }
}

const fn linear_counts() -> [u16; 65] {
    // Expected draws until k of 64 bits are set: Σ 64/(64−i), the coupon collector's sum; in Q16.
    let mut table = [0u16; 65];
    let (mut sum_q16, mut set) = (0u64, 0usize);
    while set <= 64 {
        table[64 - set] = ((sum_q16 + 32_768) >> 16) as u16;
        if set < 64 {
            sum_q16 += (64 << 16) / (64 - set as u64);
        }
        set += 1;
    }
    table
}

/// A value told with a time: the newest one counts; of two at once the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Latest {
    pub at_s: u32,
    pub value: u32,
}

impl Latest {
    pub fn tell(&mut self, other: Self) {
        *self = (*self).max(other);
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.value.into());
        if self.value != 0 {
            pack::put(out, self.at_s.into());
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let value = pack::take_as(bytes)?;
        let at_s = if value == 0 { 0 } else { pack::take_as(bytes)? };
        Ok(Self { at_s, value })
    }
}

/// The `N` names met last, with their counts. Exact while there are no more than `N`; beyond that a name that comes
/// back starts anew. Which names are kept does not depend on the order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Recent<const N: usize> {
    /// Name, second last met, times met; ascending by name.
    rows: Vec<(u32, u32, u32)>,
}

impl<const N: usize> Recent<N> {
    /// See [`crate::cache::Warm`].
    pub fn warm(&self) -> u64 {
        self.rows.first().map_or(0, |r| r.0.into())
    }

    pub fn meet(&mut self, name: u32, at_s: u32, times: u32) {
        match self.rows.binary_search_by_key(&name, |r| r.0) {
            Ok(i) => {
                let row = &mut self.rows[i];
                row.1 = row.1.max(at_s);
                row.2 = row.2.saturating_add(times);
            }
            Err(i) => {
                self.rows.insert(i, (name, at_s, times));
                if self.rows.len() > N {
                    let oldest = self.rows.iter().enumerate().min_by_key(|(_, r)| (r.1, r.0));
                    if let Some((oldest, _)) = oldest {
                        self.rows.remove(oldest);
                    }
                }
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for &(name, at_s, times) in &other.rows {
            self.meet(name, at_s, times);
        }
    }

    /// The name met most often, the newer of two.
    pub fn most(&self) -> Option<u32> {
        self.rows
            .iter()
            .max_by_key(|r| (r.2, r.1, r.0))
            .map(|r| r.0)
    }

    /// Names with times met, most first, the newer of two.
    pub fn by_times(&self) -> Vec<(u32, u32)> {
        let mut rows: Vec<_> = self.rows.iter().map(|r| (r.2, r.1, r.0)).collect();
        rows.sort_unstable_by(|a, b| b.cmp(a));
        rows.into_iter()
            .map(|(times, _, name)| (name, times))
            .collect()
    }

    /// The name met last.
    pub fn last(&self) -> Option<u32> {
        self.rows.iter().max_by_key(|r| (r.1, r.0)).map(|r| r.0)
    }

    pub fn total(&self) -> u64 {
        self.rows.iter().map(|r| u64::from(r.2)).sum()
    }

    /// Σ times², for shares.
    pub fn squares(&self) -> u64 {
        let square = |r: &(u32, u32, u32)| u64::from(r.2) * u64::from(r.2);
        self.rows.iter().map(square).sum()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        let newest = self.rows.iter().map(|r| r.1).max().unwrap_or(0);
        pack::put(out, self.rows.len() as u64);
        pack::put(out, newest.into());
        for &(name, at_s, times) in &self.rows {
            pack::put_all(out, [name.into(), (newest - at_s).into(), times.into()]);
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let count = pack::take_len(bytes, N)?;
        let newest: u32 = pack::take_as(bytes)?;
        let mut rows: Vec<(u32, u32, u32)> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = pack::take_as(bytes)?;
            let ago: u32 = pack::take_as(bytes)?;
            let at_s = newest
                .checked_sub(ago)
                .ok_or(Damaged("time before the epoch"))?;
            if rows.last().is_some_and(|r| r.0 >= name) {
                return Err(Damaged("names out of order"));
            }
            rows.push((name, at_s, pack::take_as(bytes)?));
        }
        Ok(Self { rows })
    }
}

/// Shown and acted on, by name: sparse. Names are few by nature (249 countries), so none is ever dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Split {
    /// Ascending by name.
    rows: Vec<(u16, [u32; 2])>,
}

/// Names a split holds at most: two letters from A to Z.
const SPLIT_MAX: usize = 676;

impl Split {
    pub fn add(&mut self, name: u16, shown: u32, acted: u32) {
        match self.rows.binary_search_by_key(&name, |r| r.0) {
            Ok(i) => {
                let row = &mut self.rows[i].1;
                *row = [row[0].plus(shown), row[1].plus(acted)];
            }
            Err(i) if self.rows.len() < SPLIT_MAX => self.rows.insert(i, (name, [shown, acted])),
            Err(_) => {}
        }
    }

    pub fn merge(&mut self, other: &Self) {
        for &(name, [shown, acted]) in &other.rows {
            self.add(name, shown, acted);
        }
    }

    /// (name, shown, acted), most acted on first.
    pub fn rows(&self) -> Vec<(u16, u32, u32)> {
        let mut rows: Vec<_> = self.rows.iter().map(|r| (r.0, r.1[0], r.1[1])).collect();
        rows.sort_by_key(|r| (std::cmp::Reverse((r.2, r.1)), r.0));
        rows
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.rows.len() as u64);
        for (name, [shown, acted]) in &self.rows {
            pack::put_all(out, [(*name).into(), (*shown).into(), (*acted).into()]);
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let count = pack::take_len(bytes, SPLIT_MAX)?;
        let mut rows: Vec<(u16, [u32; 2])> = Vec::with_capacity(count);
        for _ in 0..count {
            let name = pack::take_as(bytes)?;
            if rows.last().is_some_and(|r| r.0 >= name) {
                return Err(Damaged("names out of order"));
            }
            rows.push((name, [pack::take_as(bytes)?, pack::take_as(bytes)?]));
        }
        Ok(Self { rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn linear_counting_is_close_while_few() {
        let mut seed = 7u64;
        for n in [1u32, 3, 10, 30, 60] {
            let mut off = 0i64;
            for _ in 0..200 {
                let mut s = Sets::<1>::default();
                for _ in 0..n {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    s.insert(0, (seed >> 33) as u32);
                }
                off += i64::from(s.estimate(0)) - i64::from(n);
            }
            assert!((off / 200).abs() <= i64::from(n / 10), "{n}: {off}");
        }
    }

    proptest! {
        #[test]
        fn parts_add_up_in_any_order_and_come_back(
            a in prop::collection::vec((0u32..6, 0u32..1000), 0..30),
            b in prop::collection::vec((0u32..6, 0u32..1000), 0..30),
        ) {
            let build = |rows: &[(u32, u32)]| {
                let (mut r, mut s, mut k) = (Recent::<6>::default(), Split::default(), Kinds::default());
                let mut sets = Sets::<2>::default();
                for &(name, at) in rows {
                    r.meet(name, at, 1);
                    s.add(name as u16, 1, at);
                    k.add(name as usize, at);
                    sets.insert(1, at);
                }
                (r, s, k, sets)
            };
            let (mut x, mut y) = (build(&a), build(&b));
            let z = build(&[a.clone(), b.clone()].concat());
            let x0 = x.clone();
            x.0.merge(&y.0); x.1.merge(&y.1); x.2.merge(&y.2); x.3.merge(&y.3);
            y.0.merge(&x0.0); y.1.merge(&x0.1); y.2.merge(&x0.2); y.3.merge(&x0.3);
            prop_assert_eq!(&x, &z);
            prop_assert_eq!(&y, &z);
            let mut out = Vec::new();
            z.0.pack(&mut out); z.1.pack(&mut out); z.2.pack(&mut out); z.3.pack(&mut out);
            let mut rest = &out[..];
            prop_assert_eq!(Recent::unpack(&mut rest), Ok(z.0));
            prop_assert_eq!(Split::unpack(&mut rest), Ok(z.1));
            prop_assert_eq!(Kinds::unpack(&mut rest), Ok(z.2));
            prop_assert_eq!(Sets::unpack(&mut rest), Ok(z.3));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn which_recent_names_are_kept_does_not_depend_on_the_order(
            mut rows in prop::collection::vec((0u32..20, 0u32..1000), 0..40)
        ) {
            let names = |rows: &[(u32, u32)]| {
                let mut r = Recent::<4>::default();
                for &(name, at) in rows {
                    r.meet(name, at, 1);
                }
                r.rows.iter().map(|r| (r.0, r.1)).collect::<Vec<_>>()
            };
            let straight = names(&rows);
            rows.reverse();
            prop_assert_eq!(names(&rows), straight);
        }
    }
}
