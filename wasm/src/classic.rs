//! The classic score for JavaScript.

use mediaflow_shared::classic::{self, Terms, Weights};
use wasm_bindgen::JsError;
use wasm_bindgen::prelude::wasm_bindgen;

/// A classic score as S0-21 shows it.
#[wasm_bindgen]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicScore {
    /// 4 decimals.
    pub score: f64,
    /// Cosine, 3 decimals.
    pub topic: f64,
    /// 0.95^hours, 3 decimals.
    pub recency: f64,
    /// Twice the rate, 3 decimals.
    pub engagement: f64,
}

#[wasm_bindgen]
impl ClassicScore {
    /// The score of an article for a reader: topic vectors of equal length, age in minutes, interactions per
    /// impression, and three weights that add up to 1.
    ///
    /// # Errors
    /// Vectors of different lengths, weights that do not add up.
    #[wasm_bindgen(constructor)]
    pub fn new(
        reader: &[f64],
        article: &[f64],
        age_min: u32,
        rate: f64,
        weights: &[f64],
    ) -> Result<Self, JsError> {
        let weights = match *weights {
            [] => Weights::default(),
            [alpha, beta, gamma] => Weights::new(alpha, beta, gamma)?,
            _ => return Err(JsError::new("three weights are needed, or none")),
        };
        let terms = Terms {
            topic: classic::cosine(reader, article)?,
            recency: classic::recency(age_min),
            engagement: classic::engagement(rate),
        };
        Ok(Self {
            score: f64::from(terms.units(&weights)) / f64::from(classic::UNITS),
            topic: classic::round(terms.topic, 3),
            recency: classic::round(terms.recency, 3),
            engagement: classic::round(terms.engagement, 3),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_weights_are_used_without_any() {
        // 0.5 × 1/(1 + 1e-8) + 0.3 × 0.95 + 0.2 × 0.2 = 0.825 (rounded to 4 decimals).
        let Ok(s) = ClassicScore::new(&[1.0], &[1.0], 60, 0.1, &[]) else {
            panic!("valid input")
        };
        assert_eq!((s.score, s.recency, s.engagement), (0.825, 0.95, 0.2));
    }
}
