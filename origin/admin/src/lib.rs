//! The editors' API: what is pinned, hidden, boosted; who changed it; which edge serves it.
//!
//! The path of a decision: a [`document`] is saved as a draft, previewed against the live front ([`preview`]),
//! published by [`store`] in one atomic commit (surface state, revision, audit entry, outbox `rules.publish`), pushed
//! by the publisher, and reported back by the edges ([`receipts`]). [`audit`] chains every change by hash.
//!
//! What this crate never does: talk to an edge, write a blob, decide an order (that is `shared::rank`).

pub mod limits;

pub mod access;
pub mod audit;
pub mod document;
pub mod preview;
pub mod receipts;
pub mod store;

mod api;
mod routes;

pub use access::{Role, Tokens};
pub use routes::{ROUTES, SERVED_BESIDE, admin_routes};

use mediaflow_http::Secret;
use mediaflow_ports::{BlobStore, Clock, EventLog, StateStore};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The OpenAPI 3.1 description of every route, also served at `/admin/v1/openapi.json`.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// What the API needs of the process around it.
#[derive(Clone)]
pub struct AdminDeps {
    /// Surface states, revisions, audit, idempotency keys, outbox.
    pub state: Arc<dyn StateStore>,
    /// Live fronts and models, for previews.
    pub blobs: Arc<dyn BlobStore>,
    /// Takedowns go to `content.raw`, audit entries to `rules.audit`.
    pub log: Arc<dyn EventLog>,
    /// Now.
    pub clock: Arc<dyn Clock>,
}

/// What the API is told.
#[derive(Clone)]
pub struct AdminConfig {
    /// Surfaces by brand.
    pub brands: BTreeMap<String, Vec<String>>,
    /// Who may do what.
    pub tokens: Tokens,
    /// What an edge presents with a heartbeat.
    pub edge_token: Secret,
}
