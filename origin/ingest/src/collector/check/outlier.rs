//! Possible but implausible numbers: kept, named in `data.outliers`, and not counted by the folds.

use mediaflow_shared::event::EventData;
use serde::Deserialize;

use crate::error::{IngestError, IngestResult};
use crate::limits::{DWELL_S_MAX, VIDEO_S_MAX};

/// Bounds beyond which a number is an outlier. `[collect.outliers]` in the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierRules {
    /// Longest reading, seconds. Default 4 hours: a forgotten tab.
    pub dwell_s: f64,
    /// Longest video and furthest position, seconds. Default a day of live coverage.
    pub video_s: f64,
    /// How far a position may lie behind the video's end, as a share of its length. Default 5 %: players round, and
    /// count a closing card.
    pub overrun: f64,
    /// Largest revenue of one event, either way, in units of its currency. Default 10,000: a yearly subscription for
    /// a whole company stays below.
    pub revenue: f64,
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self {
            dwell_s: DWELL_S_MAX,
            video_s: VIDEO_S_MAX,
            overrun: 0.05,
            revenue: 10_000.0,
        }
    }
}

impl OutlierRules {
    /// Refuses bounds that are no numbers above zero.
    ///
    /// # Errors
    /// [`IngestError::Config`] naming the key.
    pub fn check(&self) -> IngestResult<()> {
        for (name, v) in [
            ("dwell_s", self.dwell_s),
            ("video_s", self.video_s),
            ("overrun", self.overrun),
            ("revenue", self.revenue),
        ] {
            if !v.is_finite() || v <= 0.0 {
                return Err(IngestError::config(
                    format!("collect.outliers.{name}"),
                    format!("{v} must be a number above 0"),
                ));
            }
        }
        Ok(())
    }

    /// Names the outliers of an event; what a sender claims of its own is overruled.
    pub(crate) fn flag(&self, d: &mut EventData) {
        let over = |v: Option<f64>, max: f64| v.is_some_and(|v| v > max);
        let past_end = match (d.position_s, d.duration_s) {
            (Some(at), Some(of)) => at > of * (1.0 + self.overrun) + 1.0,
            _ => false,
        };
        #[expect(clippy::cast_precision_loss, reason = "a bound, not a sum")]
        let revenue = d.revenue_micros.map(|m| (m as f64 / 1e6).abs());
        let found: Vec<String> = [
            ("dwell_s", over(d.dwell_s, self.dwell_s)),
            ("position_s", over(d.position_s, self.video_s) || past_end),
            ("duration_s", over(d.duration_s, self.video_s)),
            ("revenue_micros", over(revenue, self.revenue)),
            ("rating", over(d.rating, 5.0)),
            ("engagement", over(d.engagement, 1.0)),
        ]
        .into_iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| name.to_owned())
        .collect();
        d.outliers = (!found.is_empty()).then_some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_implausible_is_kept_and_named() {
        let mut d = EventData {
            dwell_s: Some(1e6),
            position_s: Some(500.0),
            duration_s: Some(100.0),
            revenue_micros: Some(-20_000_000_000),
            rating: Some(9.0),
            ..EventData::default()
        };
        OutlierRules::default().flag(&mut d);
        assert_eq!(
            d.outliers.unwrap(),
            ["dwell_s", "position_s", "revenue_micros", "rating"]
        );
        assert_eq!(d.dwell_s, Some(1e6));
    }

    #[test]
    fn the_plausible_and_small_overruns_are_not_named() {
        let mut d = EventData {
            dwell_s: Some(600.0),
            position_s: Some(104.0),
            duration_s: Some(100.0),
            outliers: Some(vec!["forged".into()]),
            ..EventData::default()
        };
        OutlierRules::default().flag(&mut d);
        assert_eq!(d.outliers, None);
        assert!(
            OutlierRules {
                dwell_s: 0.0,
                ..OutlierRules::default()
            }
            .check()
            .is_err()
        );
    }
}
