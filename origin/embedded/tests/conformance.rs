//! The embedded adapter keeps the promises of every port.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use mediaflow_embedded::{Embedded, EmbeddedOptions};
use mediaflow_ports::conformance::{self, BlobFixture, LogFixture, Pending, StateFixture};
use mediaflow_ports::{BlobStore, Clock, EventLog, ManualClock, StateStore};

struct Fixture {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    /// Only to measure the disk; replaced by each `open`.
    opened: Mutex<Option<Embedded>>,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        Self {
            folder,
            clock,
            opened: Mutex::new(None),
        }
    }

    fn database(&self) -> Embedded {
        let mut opened = self.opened.lock().unwrap();
        // The lock on the folder must be gone before it is opened again.
        drop(opened.take());
        let options = EmbeddedOptions {
            clock: self.clock.clone(),
            ..EmbeddedOptions::default()
        };
        let database = Embedded::open_with(self.folder.path().join("db"), options).unwrap();
        opened.insert(database).clone()
    }
}

impl LogFixture for Fixture {
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>> {
        Box::pin(async { self.database().log() })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        Box::pin(async move { self.clock.advance(ms) })
    }
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
    fn disk_bytes(&self) -> Option<u64> {
        self.opened
            .lock()
            .unwrap()
            .as_ref()
            .map(|db| db.disk_bytes().unwrap())
    }
}

impl StateFixture for Fixture {
    fn open(&self) -> Pending<'_, Arc<dyn StateStore>> {
        Box::pin(async { self.database().state() })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        Box::pin(async move { self.clock.advance(ms) })
    }
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}

impl BlobFixture for Fixture {
    fn open(&self) -> Pending<'_, Arc<dyn BlobStore>> {
        Box::pin(async { self.database().blobs() })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        Box::pin(async move { self.clock.advance(ms) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_conforms() {
    conformance::event_log(&Fixture::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_state_store_conforms() {
    conformance::state_store(&Fixture::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_blob_store_conforms() {
    conformance::blob_store(&Fixture::new()).await;
}
