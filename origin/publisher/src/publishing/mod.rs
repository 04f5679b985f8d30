//! When a reader's blob is worth a write: settings, the gate, the budget and the queue, without any IO.
//!
//! A changed blob passes [`decide`]: does policy want it written? For `rank_gated` that asks the [`gate`], which ranks
//! the brand's current fronts with the blob that edges have and with the new one. What is wanted and cannot be afforded
//! yet ([`budget`]), and what is not wanted yet, waits in the [`queue`]. The profile lane and `publish --plan` use the
//! same four, so that a plan prices what a server does.

pub mod budget;
pub mod decide;
pub mod gate;
pub mod queue;
mod settings;

pub use settings::{Budget, Policy, PublishSettings};
