//! Ports of the origin: what a service may ask of a log, a state store, a blob store and a clock.
//!
//! Data path: a service holds `Arc<dyn EventLog>`, `Arc<dyn StateStore>`, `Arc<dyn BlobStore>`;
//! the binary `mediaflow` picks the adapters by [`PortUri`]. Records enter a topic of the
//! [`EventLog`]; a consumer folds them and commits state, progress and outbox in one
//! [`Commit`]; whoever serves the outbox pushes blobs through the [`BlobStore`].
//!
//! Promises every adapter keeps, held by the suites in `conformance` (feature of that name):
//! what is acknowledged is durable, offsets of a partition are dense, a [`Commit`] is all or
//! nothing, an expired value is never read.
//!
//! What this crate never does: IO, retries, serialization of anybody's values (keys and values
//! are bytes), naming a vendor.

mod check;
mod error;

pub mod blob;
pub mod clock;
pub mod fault;
pub mod limits;
pub mod log;
pub mod placement;
pub mod state;
pub mod uri;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use blob::{
    Blob, BlobEntry, BlobListing, BlobStore, DeleteReport, Lane, PutFailure, PutReport,
};
pub use check::{check_commit, check_name};
pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{PortError, PortErrorKind, PortResult};
pub use log::{
    EventLog, Membership, Offset, Record, Retained, RetentionPolicy, StoredRecord, partition_of,
};
pub use placement::{Layout, Placement, Slot, ViewPlan};
pub use state::{
    Commit, Entry, Expect, Fence, OnlineStore, OutboxEntry, OutboxRecord, Progress, Require,
    StateStore, ViewUsage, Write,
};
pub use uri::{PortUri, Summary};
