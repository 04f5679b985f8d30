//! The ranking pipeline: one module per stage, in the order in which a request passes through them.
//!
//! [`query`] (what is asked) → [`eligibility`] (what may be shown, each removal with a reason) → [`score`] (with
//! [`dot`]: features × weights, fixed point) → [`diversity`] (repetition loses) → [`rule`] (hide > pin > quota >
//! boost) → [`slate`] (fills the slots) → [`explore`] (the exploration slot, its propensities) → [`explain`] (why,
//! why not). [`rank`] runs all of it; `docs/ranking.md` has the formulas and a worked example.
//!
//! Everything is total, deterministic and integer: ties are broken by content id, time and randomness are fields of
//! the [`Query`], and a candidate's score never depends on the other candidates. Nothing here knows HTTP, storage,
//! or how a feed is written ([`crate::feed`]).

pub mod query;

pub mod eligibility;

pub mod dot;
pub mod score;

mod diversity;
mod rule;

pub mod slate;

pub mod explore;

pub mod explain;

pub use eligibility::Ineligible;
pub use explain::{Contributions, Reason, Reasons, WhyNot, contributions, explain};
pub use query::{Query, feed_id, request_hash};
pub use slate::{Adjustments, RANKED_MAX, Scratch, Slate, Slot, rank, rank_into};

#[cfg(test)]
mod tests;
