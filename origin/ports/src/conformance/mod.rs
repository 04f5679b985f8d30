//! Conformance suites: what an adapter must do to be one. Every adapter's tests run them.
//!
//! A suite gets a fixture that opens the store, moves time and says what the vendor cannot do.
//! Each check uses names of its own, so one store serves a whole suite. A failed check panics
//! with the promise that was broken.

mod blobs;
mod log;
mod placed;
mod state;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use blobs::blob_store;
pub use log::event_log;
pub use placed::{placed_layout, placed_state_store};
pub use state::state_store;

use crate::{BlobStore, EventLog, PortError, PortErrorKind, StateStore};

/// A future of a fixture.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a suite reaches a log.
pub trait LogFixture: Sync {
    /// Opens the log, always the same one. The suite drops the handle it had before.
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>>;
    /// Moves the log's clock on.
    fn advance(&self, ms: i64) -> Pending<'_, ()>;
    /// The log's clock.
    fn now_ms(&self) -> i64;
    /// Bytes on disk, where the fixture can tell: retention must lower them.
    fn disk_bytes(&self) -> Option<u64> {
        None
    }
    /// Whether retention can keep the newest bytes and say how many it removed.
    fn retains_by_bytes(&self) -> bool {
        true
    }
}

/// How a suite reaches a state store.
pub trait StateFixture: Sync {
    /// Opens the store, always the same one. The suite drops the handle it had before.
    fn open(&self) -> Pending<'_, Arc<dyn StateStore>>;
    /// Moves the store's clock on.
    fn advance(&self, ms: i64) -> Pending<'_, ()>;
    /// The store's clock.
    fn now_ms(&self) -> i64;
}

/// How a suite reaches a blob store.
pub trait BlobFixture: Sync {
    /// Opens the store, always the same one. The suite drops the handle it had before.
    fn open(&self) -> Pending<'_, Arc<dyn BlobStore>>;
    /// Moves the store's clock on, or waits.
    fn advance(&self, ms: i64) -> Pending<'_, ()>;
    /// The shortest time to live the vendor takes.
    fn ttl_s_min(&self) -> u64 {
        1
    }
    /// Whether the vendor stores metadata beside a value.
    fn keeps_metadata(&self) -> bool {
        true
    }
    /// Whether listings are in byte order and full to their limit.
    fn lists_in_order(&self) -> bool {
        true
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, PortError>, kind: PortErrorKind, promise: &str) {
    match answer {
        Err(error) => assert_eq!(error.kind(), kind, "{promise}: {error}"),
        Ok(answer) => panic!("{promise}: expected {kind:?}, got {answer:?}"),
    }
}

#[track_caller]
fn answered<T>(answer: Result<T, PortError>) -> T {
    match answer {
        Ok(answer) => answer,
        Err(error) => panic!("{error} ({:?})", std::error::Error::source(&error)),
    }
}
