//! Content in and events in.
//!
//! Content: a connector reads what a CMS offers and maps it to a [`RawItem`]; [`intake`] writes each
//! version once to the log topic `content.raw`, keyed by content id. Events: [`collector`] checks
//! CloudEvents, replaces reader ids by pseudonyms and writes to `events`, once per (source, id);
//! what cannot be used goes to `dead-letters` with its reason. An answer of 2xx means durable: in the log or,
//! while that is away, in the [`spool`] before it.
//!
//! What this crate never does: normalise or judge text (that is `enrich`), keep a raw reader id,
//! name a store.
//!
//! [`RawItem`]: mediaflow_shared::content::RawItem

pub mod error;
pub mod limits;
pub mod source;

mod append;
mod hex;
mod json;

pub mod custom;
pub mod drupal;
pub mod feed;
pub mod wordpress;

pub mod fetch;
pub mod poll;
pub mod ugc;
pub mod webhook;

pub mod intake;

pub mod collector;
pub mod import;
pub mod spool;

mod routes;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod fakes;

pub use collector::{Collector, CollectorConfig};
pub use error::{IngestError, IngestResult};
pub use intake::{Intake, Taken};
pub use routes::{ugc_routes, webhook_routes};
pub use source::{SourceConfig, SourceKind, parse_sources};
