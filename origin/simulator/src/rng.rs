//! Seeded randomness: SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
//!
//! Every choice of the simulated world comes from a generator that is derived from the seed and a path of
//! numbers ([`Rng::of`]), so any item, reader or event can be made again on its own, in any order.

/// A small, fast, splittable generator. The same seed gives the same numbers on every platform.
#[derive(Debug, Clone)]
pub struct Rng {
    state: u64,
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// A generator for one seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            state: mix(seed ^ GAMMA),
        }
    }

    /// A generator for a path of numbers below a seed, independent of every other path.
    #[must_use]
    pub fn of(seed: u64, path: &[u64]) -> Self {
        let state = path.iter().fold(mix(seed ^ GAMMA), |s, p| {
            mix(s.wrapping_add(GAMMA) ^ mix(p.wrapping_add(GAMMA)))
        });
        Self { state }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number in `[0, n)`; 0 when `n` is 0. The bias is below 2^-32 for every `n` used here.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// A whole number in `[from, to]`.
    pub fn between(&mut self, from: usize, to: usize) -> usize {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One of `all`; the slice must not be empty.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// An index drawn in proportion to `weights`; the last one when rounding leaves a rest.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (i, w) in weights.iter().enumerate() {
            if left < *w {
                return i;
            }
            left -= w;
        }
        weights.len().saturating_sub(1)
    }

    /// A standard normal number (sum of twelve uniforms: its tails end at six, which is enough here).
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_repeatable_and_distinct() {
        assert_eq!(Rng::of(7, &[1, 2]).bits(), Rng::of(7, &[1, 2]).bits());
        assert_ne!(Rng::of(7, &[1, 2]).bits(), Rng::of(7, &[2, 1]).bits());
        assert_ne!(Rng::of(7, &[1]).bits(), Rng::of(8, &[1]).bits());
    }

    #[test]
    fn draws_stay_in_range_and_centred() {
        let mut r = Rng::new(1);
        let mean = (0..20_000).map(|_| r.unit()).sum::<f64>() / 20_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..1000).all(|_| r.between(3, 5) >= 3 && r.below(4) < 4));
        assert_eq!(r.weighted(&[0.0, 1.0, 0.0]), 1);
    }
}
