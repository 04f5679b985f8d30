//! A brand's budget: a token bucket that fills evenly over the day.
//!
//! Tokens are writes, kept in millionths so that slow rates add up. The bucket holds an hour's worth, so that a quiet
//! hour pays for a busy minute, but nobody spends the day's money on the morning.

use crate::limits::BUDGET_BURST_MS;
use crate::publishing::Budget;

const DAY_MS: f64 = 86_400_000.0;
const MICRO: f64 = 1e6;

/// The bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    micro_per_ms: f64,
    /// At least one write, however small the budget, unless it is nothing.
    full: f64,
    micro: f64,
    at_ms: i64,
}

impl Bucket {
    /// A bucket that starts full.
    #[must_use]
    pub fn new(budget: Budget, now_ms: i64) -> Self {
        let micro_per_ms = budget.writes_per_day * MICRO / DAY_MS;
        let full = match micro_per_ms {
            0.0 => 0.0,
            rate => (rate * BUDGET_BURST_MS as f64).max(MICRO),
        };
        Self {
            micro_per_ms,
            full,
            micro: full,
            at_ms: now_ms,
        }
    }

    /// A bucket that goes on with what was left.
    #[must_use]
    pub fn resumed(budget: Budget, left: f64, at_ms: i64) -> Self {
        let new = Self::new(budget, at_ms);
        Self {
            micro: (left * MICRO).min(new.full),
            ..new
        }
    }

    /// Whole writes that can be afforded now. A clock that steps back brings nothing.
    pub fn available(&mut self, now_ms: i64) -> usize {
        let gone = now_ms.saturating_sub(self.at_ms).max(0);
        self.micro = (self.micro + gone as f64 * self.micro_per_ms).min(self.full);
        self.at_ms = now_ms;
        (self.micro.max(0.0) / MICRO) as usize
    }

    /// Pays for writes; what must be written at once may leave a debt.
    pub fn spend(&mut self, writes: usize) {
        self.micro -= writes as f64 * MICRO;
    }

    /// Writes left, fractions and debts included.
    #[must_use]
    pub fn left(&self) -> f64 {
        self.micro / MICRO
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(writes_per_day: f64) -> Bucket {
        Bucket::new(Budget { writes_per_day }, 0)
    }

    #[test]
    fn a_day_pays_for_the_days_writes_and_no_more_than_an_hour_of_them_at_once() {
        let mut b = bucket(2400.0);
        assert_eq!(b.available(0), 100);
        b.spend(100);
        let mut spent = 0;
        for s in 1..=86_400 {
            let n = b.available(s * 1000);
            b.spend(n);
            spent += n;
        }
        assert!((2399..=2400).contains(&spent), "{spent}");
    }

    #[test]
    fn no_budget_affords_nothing_and_a_small_one_a_write_in_time() {
        assert_eq!(bucket(0.0).available(86_400_000), 0);
        let mut b = bucket(1.0);
        let first = b.available(0);
        b.spend(first);
        assert_eq!(b.available(43_200_000), 0);
        assert_eq!(b.available(86_400_000), 1);
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst(
            rate in 0.0f64..1e6, steps in prop::collection::vec((-1_000i64..100_000, 0usize..50), 1..200)
        ) {
            let mut b = bucket(rate);
            let (mut now, mut latest, mut spent) = (0i64, 0i64, 0usize);
            for (step, wanted) in steps {
                now = (now + step).max(0);
                latest = latest.max(now);
                let n = b.available(now).min(wanted);
                b.spend(n);
                spent += n;
            }
            // Steps back are forgiven: each may be counted once more when the clock goes on.
            let limit = rate / DAY_MS * (latest as f64 + 200_000.0 + BUDGET_BURST_MS as f64) + 1.0;
            prop_assert!(spent as f64 <= limit, "{spent} of {limit}");
        }
    }
}
