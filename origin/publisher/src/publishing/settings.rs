//! `[publish]` and `[brand.publish]` of the configuration.

use serde::Deserialize;

use crate::error::{PublisherError, PublisherResult};
use crate::limits::{
    DOLLARS_PER_MILLION, GATE_TOP_K, GATE_TOP_K_MAX, PARKED_AGE_MIN, PARKED_AGE_MIN_MAX,
    RECHECK_MIN, SETTLE_MIN,
};

/// When a changed profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// At every event that hands a blob on, changed or not.
    PerEvent,
    /// At most once in `every_min` minutes a reader.
    Every,
    /// When the blob differs from the one that edges have.
    OnChange,
    /// When the top `top_k` of some surface would change.
    #[default]
    RankGated,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::PerEvent, Self::Every, Self::OnChange, Self::RankGated];

    /// Its name in configuration, metrics and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerEvent => "per_event",
            Self::Every => "every",
            Self::OnChange => "on_change",
            Self::RankGated => "rank_gated",
        }
    }
}

/// How much a brand may write in a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Writes a day; fractions add up.
    pub writes_per_day: f64,
}

/// How a brand's profiles are published.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishSettings {
    /// When a changed profile is written.
    pub policy: Policy,
    /// Minutes between two writes of a reader under `every`.
    pub every_min: u32,
    /// Places of a surface that the gate compares.
    pub top_k: u16,
    /// Changes up to this part of the top k, in thousandths of [`gate::distance`](super::gate::distance), are let be.
    pub tolerance_milli: u16,
    /// A change of places alone, no read among them, waits for so long for company: more reads usually follow.
    pub settle_min: u32,
    /// A change that waits for so long is written although no place changed; also what weighs waiting against change.
    pub age_min_max: u32,
    /// A waiting change is looked at again with the fronts of then, so often.
    pub recheck_min: u32,
    /// Writes a day at most; absent = no limit.
    pub writes_per_day: Option<u64>,
    /// Dollars a day at most; absent = no limit. With both, the smaller one holds.
    pub dollars_per_day: Option<f64>,
    /// Price of a million writes.
    pub dollars_per_million: f64,
}

impl Default for PublishSettings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            every_min: 15,
            top_k: GATE_TOP_K,
            tolerance_milli: 0,
            settle_min: SETTLE_MIN,
            age_min_max: PARKED_AGE_MIN,
            recheck_min: RECHECK_MIN,
            writes_per_day: None,
            dollars_per_day: None,
            dollars_per_million: DOLLARS_PER_MILLION,
        }
    }
}

impl PublishSettings {
    /// Checks every number.
    ///
    /// # Errors
    /// [`PublisherError::Settings`] naming the key and what is allowed.
    pub fn check(&self, brand: &str) -> PublisherResult<()> {
        let refuse = |why: String| {
            Err(PublisherError::Settings(format!(
                "publish of brand {brand}: {why}"
            )))
        };
        if !(1..=GATE_TOP_K_MAX).contains(&self.top_k) {
            return refuse(format!(
                "top_k is 1 to {GATE_TOP_K_MAX}, not {}",
                self.top_k
            ));
        }
        if self.tolerance_milli > 1000 {
            return refuse("tolerance_milli is at most 1000".into());
        }
        if !(1..=PARKED_AGE_MIN_MAX).contains(&self.age_min_max) {
            return refuse(format!(
                "age_min_max is 1 to {PARKED_AGE_MIN_MAX}: a profile must be renewed before it expires"
            ));
        }
        if self.settle_min > self.age_min_max {
            return refuse("settle_min is more than age_min_max".into());
        }
        if self.every_min == 0 || self.recheck_min == 0 {
            return refuse("every_min and recheck_min are at least 1".into());
        }
        for (name, value) in [
            ("dollars_per_day", self.dollars_per_day.unwrap_or(0.0)),
            ("dollars_per_million", self.dollars_per_million),
        ] {
            if !value.is_finite() || value < 0.0 {
                return refuse(format!("{name} is {value}; give 0 or more"));
            }
        }
        Ok(())
    }

    /// The tighter of both limits; `None` without any.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        let by_price = self.dollars_per_day.and_then(|d| {
            (self.dollars_per_million > 0.0).then(|| d / self.dollars_per_million * 1e6)
        });
        let by_count = self.writes_per_day.map(|w| w as f64);
        let writes_per_day = match (by_price, by_count) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        Some(Budget { writes_per_day })
    }

    /// What so many writes cost.
    #[must_use]
    pub fn dollars(&self, writes: u64) -> f64 {
        writes as f64 * self.dollars_per_million / 1e6
    }

    /// See [`Self::age_min_max`].
    #[must_use]
    pub fn age_ms_max(&self) -> i64 {
        i64::from(self.age_min_max) * 60_000
    }

    /// See [`Self::recheck_min`].
    #[must_use]
    pub fn recheck_ms(&self) -> i64 {
        i64::from(self.recheck_min) * 60_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_limit_holds() {
        let s = PublishSettings {
            writes_per_day: Some(1000),
            dollars_per_day: Some(0.0025),
            ..PublishSettings::default()
        };
        assert!((s.budget().unwrap().writes_per_day - 500.0).abs() < 1e-6);
        assert_eq!(PublishSettings::default().budget(), None);
        assert!((s.dollars(2_000_000) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn impossible_numbers_are_named() {
        for (bad, says) in [
            (
                PublishSettings {
                    top_k: 0,
                    ..Default::default()
                },
                "top_k",
            ),
            (
                PublishSettings {
                    age_min_max: 0,
                    ..Default::default()
                },
                "age_min_max",
            ),
            (
                PublishSettings {
                    recheck_min: 0,
                    ..Default::default()
                },
                "recheck_min",
            ),
            (
                PublishSettings {
                    dollars_per_day: Some(f64::NAN),
                    ..Default::default()
                },
                "dollars_per_day",
            ),
        ] {
            let said = bad.check("daily").unwrap_err().to_string();
            assert!(said.contains(says) && said.contains("daily"), "{said}");
        }
    }
}
