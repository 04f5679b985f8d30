//! The classic three-term score (S0-15), kept beside the default ranker and available bit for bit.
//!
//! ```text
//! score      = α·topic + β·recency + γ·engagement        α + β + γ = 1, by default 0.5, 0.3, 0.2
//! topic      = u·a / (‖u‖·‖a‖ + 1e-8)                     cosine of reader and article
//! recency    = 0.95^hours                                 hours since publication, not below 0
//! engagement = rate × 2                                   the reader's interactions per impression
//! ```
//! The response (S0-21) is sorted by score, descending, with the score rounded to 4 decimals and the three terms,
//! before weighting, to 3. Engagement depends on the reader alone and never changes the order: that is what the
//! formula says, and why the default ranker adds terms that depend on the item.
//!
//! Only `+ − × ÷ √` on f64 are used, which IEEE 754 rounds alike everywhere, and the order is decided by the score
//! rounded to whole ten-thousandths, so native and WebAssembly agree. The clock is in minutes: 0.95^(m/60) comes
//! from a table, whole hours by repeated squaring.

use crate::id::ContentId;
use crate::model;
use crate::topics::LANES;
use thiserror::Error;

/// Added to the cosine's denominator.
pub const EPSILON: f64 = 1e-8;
/// Kept per hour of age.
pub const HOURLY: f64 = 0.95;
/// Ten-thousandths in one: the unit of a rounded score.
pub const UNITS: i32 = 10_000;

/// Why a classic score cannot be computed.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ClassicError {
    /// The weights must be a convex combination.
    #[error("weights {0}, {1}, {2} must not be negative and must add up to 1")]
    Weights(f64, f64, f64),
    /// Vectors of different lengths.
    #[error("the reader's vector has {0} lanes, the article's {1}")]
    Lanes(usize, usize),
}

/// α, β and γ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the topic cosine.
    pub alpha: f64,
    /// Of recency.
    pub beta: f64,
    /// Of engagement.
    pub gamma: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            beta: 0.3,
            gamma: 0.2,
        }
    }
}

impl Weights {
    /// Checks that none is negative and that they add up to 1 within 1e-9.
    ///
    /// # Errors
    /// [`ClassicError::Weights`].
    pub fn new(alpha: f64, beta: f64, gamma: f64) -> Result<Self, ClassicError> {
        let sum = alpha + beta + gamma;
        if alpha >= 0.0 && beta >= 0.0 && gamma >= 0.0 && (sum - 1.0).abs() <= 1e-9 {
            Ok(Self { alpha, beta, gamma })
        } else {
            Err(ClassicError::Weights(alpha, beta, gamma))
        }
    }
}

impl From<model::Classic> for Weights {
    fn from(c: model::Classic) -> Self {
        let part = |thousandths: u16| f64::from(thousandths) / 1000.0;
        Self {
            alpha: part(c.alpha),
            beta: part(c.beta),
            gamma: part(c.gamma),
        }
    }
}

/// The three terms before weighting.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Terms {
    /// Cosine, −1 to 1.
    pub topic: f64,
    /// 0 to 1.
    pub recency: f64,
    /// Twice the rate.
    pub engagement: f64,
}

impl Terms {
    /// The weighted sum, unrounded.
    #[must_use]
    pub fn score(&self, w: &Weights) -> f64 {
        w.alpha * self.topic + w.beta * self.recency + w.gamma * self.engagement
    }

    /// The weighted sum in ten-thousandths: what decides an order.
    #[must_use]
    pub fn units(&self, w: &Weights) -> i32 {
        units(self.score(w))
    }
}

/// A number in whole ten-thousandths, halves away from zero; not a number is 0.
#[must_use]
pub fn units(x: f64) -> i32 {
    // `as` saturates and turns NaN into 0.
    (x * f64::from(UNITS)).round() as i32
}

/// Rounds to so many decimals, halves away from zero.
#[must_use]
pub fn round(x: f64, decimals: u8) -> f64 {
    let scale = (0..decimals.min(15)).fold(1.0, |s, _| s * 10.0);
    (x * scale).round() / scale
}

/// Cosine of two vectors of equal length with [`EPSILON`] in the denominator.
///
/// # Errors
/// [`ClassicError::Lanes`] when the lengths differ.
pub fn cosine(reader: &[f64], article: &[f64]) -> Result<f64, ClassicError> {
    if reader.len() != article.len() {
        return Err(ClassicError::Lanes(reader.len(), article.len()));
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0, |s, (x, y)| s + x * y);
    let norms = dot(reader, reader).sqrt() * dot(article, article).sqrt();
    Ok(dot(reader, article) / (norms + EPSILON))
}

/// The same of two int8 vectors in 1/127, as profiles and fronts hold them; `dot` is their integer product.
#[must_use]
pub fn cosine_lanes(reader: &[i8; LANES], article: &[u8], dot: i32) -> f64 {
    let square = |v: i8| i64::from(v) * i64::from(v);
    let norm = |n: i64| (n as f64).sqrt() / 127.0;
    let a = norm(reader.iter().map(|&v| square(v)).sum());
    let b = norm(article.iter().map(|&v| square(v as i8)).sum());
    (f64::from(dot) / 16_129.0) / (a * b + EPSILON)
}

/// 0.95^hours for an age in minutes.
#[must_use]
pub fn recency(age_min: u32) -> f64 {
    let (mut hours, minutes) = (age_min / 60, (age_min % 60) as usize);
    let mut result = PARTS.get(minutes).copied().unwrap_or(1.0);
    let mut power = HOURLY;
    while hours > 0 {
        if hours & 1 == 1 {
            result *= power;
        }
        power *= power;
        hours >>= 1;
    }
    result
}

/// Engagement of a reader with so many interactions per impression.
#[must_use]
pub fn engagement(rate: f64) -> f64 {
    rate * 2.0
}

/// One line of the response of S0-21.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// The article.
    pub content: ContentId,
    /// 4 decimals.
    pub score: f64,
    /// 3 decimals each.
    pub breakdown: Terms,
}

/// The response of S0-21: sorted by rounded score, descending, then by content id.
#[must_use]
pub fn response(weights: &Weights, articles: &[(ContentId, Terms)]) -> Vec<Line> {
    let mut order: Vec<(i32, ContentId, Terms)> = articles
        .iter()
        .map(|(content, t)| (t.units(weights), *content, *t))
        .collect();
    order.sort_by_key(|(u, content, _)| (core::cmp::Reverse(*u), *content));
    order
        .into_iter()
        .map(|(u, content, t)| Line {
            content,
            score: f64::from(u) / f64::from(UNITS),
            breakdown: Terms {
                topic: round(t.topic, 3),
                recency: round(t.recency, 3),
                engagement: round(t.engagement, 3),
            },
        })
        .collect()
}

/// 0.95^(m/60) for the minutes of an hour, each the f64 nearest to the true value.
const PARTS: [f64; 60] = [
    1.0,
    0.9991454770730508,
    0.9982916843555343,
    0.9974386212234697,
    0.9965862870534097,
    0.9957346812224394,
    0.9948838031081763,
    0.9940336520887699,
    0.993184227542901,
    0.9923355288497813,
    0.9914875553891529,
    0.990640306541288,
    0.9897937816869885,
    0.9889479802075852,
    0.9881029014849377,
    0.9872585449014338,
    0.986414909839989,
    0.9855719956840462,
    0.9847298018175751,
    0.9838883276250718,
    0.9830475724915585,
    0.9822075358025827,
    0.981368216944217,
    0.980529615303059,
    0.9796917302662299,
    0.9788545612213748,
    0.9780181075566624,
    0.9771823686607837,
    0.9763473439229525,
    0.9755130327329045,
    0.9746794344808964,
    0.9738465485577066,
    0.9730143743546337,
    0.9721829112634965,
    0.9713521586766336,
    0.9705221159869029,
    0.9696927825876808,
    0.9688641578728624,
    0.9680362412368607,
    0.9672090320746061,
    0.9663825297815459,
    0.9655567337536445,
    0.9647316433873818,
    0.9639072580797539,
    0.963083577228272,
    0.9622606002309622,
    0.9614383264863648,
    0.9606167553935346,
    0.9597958863520393,
    0.95897571876196,
    0.9581562520238902,
    0.957337485538936,
    0.9565194187087152,
    0.9557020509353564,
    0.9548853816214998,
    0.9540694101702956,
    0.9532541359854042,
    0.9524395584709955,
    0.9516256770317486,
    0.9508124910728515,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_computed_by_hand_agree() {
        let w = Weights::default();
        // u = (0.6, 0.8), a = (1, 0): u·a = 0.6, ‖u‖ = 1, ‖a‖ = 1, cosine = 0.6 / (1 + 1e-8) = 0.599999994.
        // 2 hours: 0.95² = 0.9025. rate 0.2: engagement 0.4.
        // score = 0.5 × 0.599999994 + 0.3 × 0.9025 + 0.2 × 0.4 = 0.299999997 + 0.27075 + 0.08 = 0.650749997 → 0.6507.
        let t = Terms {
            topic: cosine(&[0.6, 0.8], &[1.0, 0.0]).unwrap(),
            recency: recency(120),
            engagement: engagement(0.2),
        };
        assert!((t.topic - 0.599_999_994).abs() < 1e-15);
        assert!((t.score(&w) - 0.650_749_997).abs() < 1e-12);
        assert_eq!(t.units(&w), 6507);
        // Opposite tastes, a day old, the most eager reader of S0-13 (0.35):
        // cosine = −1 / (1 + 1e-8) = −0.99999999; 0.95^24 = 0.2919890243387727…; engagement 0.7.
        // score = −0.499999995 + 0.08759670730… + 0.14 = −0.27240328… → −0.2724.
        let t = Terms {
            topic: cosine(&[1.0, 0.0], &[-1.0, 0.0]).unwrap(),
            recency: recency(24 * 60),
            engagement: engagement(0.35),
        };
        assert!((t.recency - 0.291_989_024_338_772_7).abs() < 1e-14);
        assert_eq!(t.units(&w), -2724);
        // A reader of whom nothing is known: 0 / (0 + 1e-8) = 0. Just published: 0.95^0 = 1. Rate 0.
        // score = 0 + 0.3 + 0 = 0.3.
        let t = Terms {
            topic: cosine(&[0.0; 3], &[1.0, 2.0, 3.0]).unwrap(),
            recency: recency(0),
            engagement: engagement(0.0),
        };
        assert_eq!(t.units(&w), 3000);
        // Half an hour: 0.95^0.5 = √0.95 = 0.974679434480896…
        assert!((recency(30) - 0.95f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn the_response_is_sorted_and_rounded() {
        // Hours 1, 10 and 3: 0.95, 0.5987369392…, 0.857375. Cosines 0.1, 0.9, 0.1234567.
        // Scores with engagement 0.1: 0.05 + 0.285 + 0.02 = 0.355; 0.45 + 0.17962108… + 0.02 = 0.64962108… → 0.6496;
        // 0.06172835 + 0.2572125 + 0.02 = 0.33894085 → 0.3389.
        let terms = |topic, h: u32| Terms {
            topic,
            recency: recency(h * 60),
            engagement: 0.1,
        };
        let lines = response(
            &Weights::default(),
            &[
                (ContentId(1), terms(0.1, 1)),
                (ContentId(2), terms(0.9, 10)),
                (ContentId(3), terms(0.123_456_7, 3)),
            ],
        );
        let got: Vec<_> = lines.iter().map(|l| (l.content.0, l.score)).collect();
        assert_eq!(got, [(2, 0.6496), (1, 0.355), (3, 0.3389)]);
        assert_eq!(
            lines[0].breakdown,
            Terms {
                topic: 0.9,
                recency: 0.599,
                engagement: 0.1
            }
        );
        assert_eq!(lines[2].breakdown.topic, 0.123);
        assert_eq!(lines[2].breakdown.recency, 0.857);
    }

    #[test]
    fn equal_scores_are_ordered_by_content_id() {
        let t = Terms::default();
        let lines = response(&Weights::default(), &[(ContentId(9), t), (ContentId(3), t)]);
        assert_eq!(lines[0].content, ContentId(3));
    }

    #[test]
    fn weights_must_add_up_to_one() {
        assert!(Weights::new(0.5, 0.3, 0.2).is_ok());
        assert!(Weights::new(0.7, 0.2, 0.1).is_ok());
        assert!(Weights::new(0.5, 0.3, 0.3).is_err());
        assert!(Weights::new(1.5, -0.3, -0.2).is_err());
        assert!(Weights::new(f64::NAN, 0.5, 0.5).is_err());
    }

    #[test]
    fn lanes_and_floats_give_the_same_cosine() {
        let mut u = [0i8; LANES];
        let mut a = [0u8; LANES];
        (u[0], u[1], u[7]) = (100, -50, 3);
        (a[0], a[1], a[9]) = (90, (-20i8) as u8, 60);
        let dot = crate::rank::dot::one(&u, &a);
        let f = |v: i8| f64::from(v) / 127.0;
        let want = cosine(&u.map(f), &a.map(|v| f(v as i8))).unwrap();
        assert!((cosine_lanes(&u, &a, dot) - want).abs() < 1e-12);
        assert_eq!(cosine_lanes(&[0; LANES], &[0; LANES], 0), 0.0);
    }
}
