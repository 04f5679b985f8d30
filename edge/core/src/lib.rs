//! The edge request: token, profile, front, ladder, feed. No IO of its own, no async runtime, no clock.
//!
//! An adapter builds one [`Edge`] per isolate or process from [`Config::from_vars`], implements [`Platform`],
//! translates a request into [`Request`], awaits [`Edge::handle`], sends the [`Response`], and then (in `waitUntil`
//! or a spawned task) awaits [`Edge::run_deferred`] for every item of `response.deferred`.
//!
//! Never here: a vendor's name, a socket, a thread. A feed is always answered: bad bytes in a store or a cookie
//! mean the next rung of the ladder, never a 5xx.

pub mod config;
mod deferred;
mod edge;
pub mod http;
pub mod limits;
pub mod memory;
pub mod platform;
pub mod routes;
pub mod token;

#[cfg(test)]
mod testing;

pub use config::{Config, ConfigError};
pub use deferred::Deferred;
pub use edge::Edge;
pub use http::{Headers, Request, Response};
pub use platform::{Level, OriginReply, Platform, StoreError};
