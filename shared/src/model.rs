//! Model v1: the weights of one brand's ranking, MessagePack in a frame under the key `m/<brand>`.
//!
//! Weights are Q16 (65,536 = 1.0); features are Q15 (32,767 = 1.0), so a contribution is `weight × feature >> 15`, in
//! Q16 again. [`Model::default`] is what a brand starts with before anything was trained.

use crate::wire::{Frame, WireError, unpack};
use serde::{Deserialize, Serialize};

/// The frame of a model.
pub const FRAME: Frame = Frame {
    magic: *b"MFMO",
    version: 1,
    schema: "model.v1 msgpack named",
};

/// One in Q16.
pub const Q16: i32 = 1 << 16;

/// Weights of the scorers, Q16 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Topic affinity × topic vector.
    pub topic: i32,
    /// Learned reader vector × V.
    pub learned: i32,
    /// Neighbours of the last reads.
    pub neighbours: i32,
    /// Clicks of 15 minutes.
    pub clicks15: i32,
    /// Clicks of an hour.
    pub clicks60: i32,
    /// Clicks, fast decay.
    pub decay_fast: i32,
    /// Clicks, slow decay.
    pub decay_slow: i32,
    /// 0.95^hours since publication.
    pub recency: i32,
    /// Clicked in the last minutes.
    pub active: i32,
    /// Editorial and text quality.
    pub quality: i32,
    /// Fits the preferred length.
    pub length: i32,
    /// The reader is usually active at this hour (long reads off-hours count less).
    pub hour: i32,
    /// Matches the context: country and section.
    pub context: i32,
}

/// How repeated authors, topics and series lose, Q16 factors per repetition (65,536 = no decay).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diversity {
    /// Same author.
    pub author: u32,
    /// Same main topic.
    pub topic: u32,
    /// Same series.
    pub series: u32,
}

/// The exploration slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exploration {
    /// Which slot explores; beyond the slate = none.
    pub slot: u16,
    /// Probability of exploring, Q16.
    pub epsilon: u32,
    /// Drawn uniformly from so many next-best candidates.
    pub pool: u16,
}

/// Weights of the classic score (S0-15) in thousandths: they add up to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classic {
    /// Topic cosine.
    pub alpha: u16,
    /// Recency.
    pub beta: u16,
    /// Engagement.
    pub gamma: u16,
}

/// One brand's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Rises with every deployment; 0 = built in.
    pub id: u32,
    /// Epoch of the learned basis it was trained for.
    pub epoch: u16,
    /// Scorers.
    pub weights: Weights,
    /// Diversity.
    pub diversity: Diversity,
    /// Exploration.
    pub explore: Exploration,
    /// Classic score.
    pub classic: Classic,
    /// Older items are not eligible, in hours; evergreen items are exempt.
    pub age_h_max: u16,
}

/// `thousandths` of one in Q16.
const fn milli(thousandths: i32) -> i32 {
    ((thousandths as i64 * Q16 as i64) / 1000) as i32
}

impl Default for Model {
    fn default() -> Self {
        Self {
            id: 0,
            epoch: 0,
            weights: Weights {
                topic: milli(1000),
                learned: milli(600),
                neighbours: milli(350),
                clicks15: milli(250),
                clicks60: milli(200),
                decay_fast: milli(150),
                decay_slow: milli(50),
                recency: milli(450),
                active: milli(50),
                quality: milli(100),
                length: milli(60),
                hour: milli(30),
                context: milli(80),
            },
            diversity: Diversity {
                author: 52_429,
                topic: 60_293,
                series: 39_322,
            },
            explore: Exploration {
                slot: 6,
                epsilon: 6554,
                pool: 20,
            },
            classic: Classic {
                alpha: 500,
                beta: 300,
                gamma: 200,
            },
            age_h_max: 14 * 24,
        }
    }
}

impl Model {
    /// The KV value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        FRAME.seal(&rmp_serde::to_vec_named(self).unwrap_or_default())
    }

    /// Reads a KV value.
    ///
    /// # Errors
    /// [`WireError`] naming what is wrong; the edge then uses its last good or the built-in model.
    // Compiled where it is called: the worker wants it small, and only the rest of this crate fast.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "model";
        let (payload, _) = FRAME.open(WHAT, bytes)?;
        let malformed = |why: String| WireError::Malformed { what: WHAT, why };
        let m: Self = unpack(payload).map_err(malformed)?;
        let c = m.classic;
        if u32::from(c.alpha) + u32::from(c.beta) + u32::from(c.gamma) != 1000 {
            return Err(malformed("classic weights do not add up to 1".into()));
        }
        Ok(m)
    }
}
