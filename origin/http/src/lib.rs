//! What every HTTP surface of the origin shares: refusals, limits, authentication, health, metrics, shutdown.
//!
//! The path of a request: [`observe`] gives it an id, a log line and two metrics; a handler checks
//! the caller ([`auth`]), reads the body within [`limits`] ([`body`]) and answers, or refuses with a
//! [`Problem`] (RFC 9457) that names the input, the reason and the remedy. [`health`] and
//! [`metrics`] have routes of their own; [`serve`] runs a router until it is told to stop.
//!
//! What this crate never does: know a service, touch a port, log a query value, a body or an id of
//! a reader.

pub mod limits;

mod problem;
pub use problem::Problem;

pub mod auth;
pub mod body;
pub mod health;
pub mod metrics;
pub mod observe;
pub mod process;
pub mod serve;
pub mod trace;

pub use auth::Secret;
pub use body::{BodyLimits, JsonBody};
pub use health::Health;
pub use metrics::Metrics;
pub use serve::{ShutdownTrigger, shutdown_channel};
