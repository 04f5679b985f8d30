//! The JavaScript face of the shared ranking: an npm package for browsers, Node and bundlers.
//!
//! A [`Ranker`] holds the four values of KV storage (front, profile blob, rules, model) as bytes decoded by `shared`;
//! it answers feeds, slates and explanations for a [`RankRequest`]. [`ClassicScore`] is the formula of S0-15,
//! [`digest`] the proof that this module gives the same bytes as every other target.
//!
//! No logic of its own: each function decodes its arguments, calls one function of `shared`, and hands over the
//! result. It never fetches, stores, or asks for the time; errors are thrown as JavaScript `Error`s.

mod classic;
mod ranker;
mod request;

pub use classic::ClassicScore;
pub use ranker::{FeedInfo, Ranker};
pub use request::{Device, Policy, RankRequest};

use mediaflow_shared::time::Timestamp;
use wasm_bindgen::prelude::wasm_bindgen;

/// Hash over the feeds of `n` random cases from seed `from` on. Equal digests of two targets mean equal bytes.
#[wasm_bindgen]
#[must_use]
pub fn digest(from: u64, n: u32) -> u64 {
    mediaflow_shared::testing::digest(from, u64::from(n))
}

/// The ranking clock of an instant in milliseconds since the epoch, as `Date.now()` gives it.
#[wasm_bindgen(js_name = minuteOf)]
#[must_use]
pub fn minute_of(epoch_ms: f64) -> u32 {
    Timestamp(epoch_ms as i64).minute().0
}
