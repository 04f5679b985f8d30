//! The click-through rate of one arm against another, with an interval that respects who clicked.
//!
//! Impressions of one reader are alike, so the reader is the unit. Every reader may have sessions in both arms. The
//! interval is the delta method on the logarithm of the ratio (Deng, Knoblich, Lu: "Applying the delta method in metric
//! analytics", KDD 2018), with the covariance of the two arms within a reader taken into account.

/// Clicks and impressions of one reader in both arms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Unit {
    /// Clicks on personalized feeds.
    pub clicks: f64,
    /// Impressions on personalized feeds.
    pub shown: f64,
    /// Clicks on editorial feeds.
    pub base_clicks: f64,
    /// Impressions on editorial feeds.
    pub base_shown: f64,
}

/// Two rates, their ratio and its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    /// Rate of the first arm.
    pub ctr: f64,
    /// Rate of the second arm.
    pub base_ctr: f64,
    /// First over second.
    pub ratio: f64,
    /// Lower end of the interval of the ratio.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Estimates the lift; `None` while an arm has no impression or no click, or there are fewer than two readers.
#[must_use]
pub fn lift(units: &[Unit]) -> Option<Lift> {
    let sum = |f: fn(&Unit) -> f64| units.iter().map(f).sum::<f64>();
    let (c, i) = (sum(|u| u.clicks), sum(|u| u.shown));
    let (bc, bi) = (sum(|u| u.base_clicks), sum(|u| u.base_shown));
    if units.len() < 2 || [c, i, bc, bi].iter().any(|x| *x <= 0.0) {
        return None;
    }
    let (ctr, base_ctr) = (c / i, bc / bi);
    // What each reader adds to log(ratio), linearised; the sum over readers is zero.
    let pull =
        |u: &Unit| (u.clicks - ctr * u.shown) / c - (u.base_clicks - base_ctr * u.base_shown) / bc;
    let n = units.len() as f64;
    let variance = n / (n - 1.0) * units.iter().map(|u| pull(u).powi(2)).sum::<f64>();
    let (ratio, half) = (ctr / base_ctr, 1.959_964 * variance.sqrt());
    Some(Lift {
        ctr,
        base_ctr,
        ratio,
        low: ratio * (-half).exp(),
        high: ratio * half.exp(),
    })
}

/// The value below which a share `q` of `sorted` lies (nearest rank); 0 for none.
#[must_use]
pub fn percentile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn known_numbers_give_the_known_interval() {
        // One impression a reader: the delta method is then the textbook standard error of log(p1/p2),
        // sqrt((1-p1)/(n p1) + (1-p2)/(m p2)).
        let mut units = Vec::new();
        for k in 0..2000 {
            let hit = |n: i32| f64::from(u8::from(k % 1000 < n));
            units.push(if k < 1000 {
                Unit {
                    clicks: hit(150),
                    shown: 1.0,
                    ..Unit::default()
                }
            } else {
                Unit {
                    base_clicks: hit(100),
                    base_shown: 1.0,
                    ..Unit::default()
                }
            });
        }
        let l = lift(&units).unwrap();
        let se = (0.85f64 / 150.0 + 0.9 / 100.0).sqrt();
        assert!(
            (l.ctr - 0.15).abs() < 1e-12
                && (l.base_ctr - 0.10).abs() < 1e-12
                && (l.ratio - 1.5).abs() < 1e-12
        );
        assert!(
            (l.low / (1.5 * (-1.96 * se).exp()) - 1.0).abs() < 1e-3,
            "{l:?}"
        );
        assert!(
            (l.high / (1.5 * (1.96 * se).exp()) - 1.0).abs() < 1e-3,
            "{l:?}"
        );
    }

    #[test]
    fn the_interval_covers_the_truth_about_95_times_in_100() {
        let mut covered = 0;
        for trial in 0..400u64 {
            let mut r = Rng::of(3, &[trial]);
            let units: Vec<Unit> = (0..200)
                .map(|_| {
                    // Readers differ in how much they click, in both arms alike: the truth is a ratio of 1.4.
                    let p = 0.02 + 0.1 * r.unit();
                    let mut draw = |p: f64, n: usize| (0..n).filter(|_| r.chance(p)).count() as f64;
                    Unit {
                        clicks: draw(1.4 * p, 30),
                        shown: 30.0,
                        base_clicks: draw(p, 30),
                        base_shown: 30.0,
                    }
                })
                .collect();
            let l = lift(&units).unwrap();
            covered += usize::from(l.low <= 1.4 && 1.4 <= l.high);
        }
        assert!((368..=392).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn too_little_data_gives_no_number() {
        assert_eq!(lift(&[]), None);
        assert_eq!(
            lift(
                &[Unit {
                    shown: 5.0,
                    base_shown: 5.0,
                    ..Unit::default()
                }; 3]
            ),
            None
        );
        assert!((percentile(&[1.0, 2.0, 3.0, 4.0], 0.5) - 2.0).abs() < 1e-12);
        assert!((percentile(&[1.0, 2.0], 0.99) - 2.0).abs() < 1e-12);
    }
}
