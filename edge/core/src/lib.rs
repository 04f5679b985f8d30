//! The edge request: token, profile, front, ladder, feed. No IO of its own, no async runtime, no clock.
//!
//! An adapter builds one [`Edge`] per isolate or process from [`Config::from_vars`], implements [`Platform`],
//! translates a request into [`Request`], awaits [`Edge::handle`], sends the [`Response`], and then (in `waitUntil`
//! or a spawned task) awaits [`Edge::run_deferred`] for every item of `response.deferred`.
//!
//! The path of a feed: [`routes`] → [`feed_request`] (what is asked) → [`ladder`] (front, rules, model from
//! [`memory`]) → [`visitor`] (consent, [`token`], profile) → [`compose`] (`shared` ranks and writes) → [`feed_route`]
//! (headers) → [`outbox`] (the served record, after the response).
//!
//! Never here: a vendor's name, a socket, a thread. A feed is always answered: bad bytes in a store or a cookie
//! mean the next rung of the ladder, never a 5xx.

pub mod config;
pub mod limits;
pub mod platform;

pub mod http;
mod json;
pub mod params;
pub mod problem;
pub mod routes;

mod edge;
pub mod memory;

pub mod token;
pub mod visitor;

pub mod compose;
pub mod cors;
pub mod feed_request;
pub mod feed_route;
pub mod ladder;

pub mod events_route;
pub mod me_route;
mod page;

mod deferred;
pub mod heartbeat;
pub mod outbox;

#[cfg(test)]
mod testing;

pub use config::{Config, ConfigError};
pub use deferred::Deferred;
pub use edge::Edge;
pub use http::{Headers, Request, Response};
pub use platform::{Level, OriginReply, Platform, StoreError};
