//! The writer thread: takes queued appends, numbers them, writes and syncs them per group.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fjall::{Database, PersistMode};
use mediaflow_ports::{Clock, Offset, PortError, PortErrorKind, PortResult};
use tokio::sync::{mpsc, oneshot};

use super::chunk;
use super::topic::Topic;
use crate::fault;
use crate::limits::{GROUP_BYTES_MAX, GROUP_CALLS_LINGER_MIN, GROUP_LINGER_MAX};

/// One append call on its way to disk.
pub(super) struct Append {
    pub topic: Arc<Topic>,
    pub partition: usize,
    pub chunk: Vec<u8>,
    pub count: u64,
    /// Gets the offset of the first record once it is synced.
    pub reply: oneshot::Sender<PortResult<Offset>>,
}

pub(super) struct Writer {
    pub db: Database,
    pub clock: Arc<dyn Clock>,
    pub queue: mpsc::Receiver<Append>,
    pub queued_bytes: Arc<AtomicUsize>,
}

impl Writer {
    /// Runs until every sender is gone and the queue is empty.
    pub fn run(mut self) {
        let mut linger = false;
        while let Some(first) = self.queue.blocking_recv() {
            let group = self.collect(first, linger);
            linger = group.len() >= GROUP_CALLS_LINGER_MIN;
            self.write(group);
        }
    }

    /// Whatever waits, up to the size limit. Only under load is it worth waiting for more: a
    /// lone append is synced at once.
    fn collect(&mut self, first: Append, linger: bool) -> Vec<Append> {
        let deadline = Instant::now() + GROUP_LINGER_MAX;
        let mut bytes = first.chunk.len();
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX {
            match self.queue.try_recv() {
                Ok(next) => {
                    bytes += next.chunk.len();
                    group.push(next);
                }
                Err(mpsc::error::TryRecvError::Empty) if linger && Instant::now() < deadline => {
                    std::thread::sleep(GROUP_LINGER_MAX / 10);
                }
                Err(_) => break,
            }
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        group
    }

    fn write(&self, mut group: Vec<Append>) {
        let appended_ms = self.clock.now_ms();
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        // Ends as of this group; the topics learn them only once synced.
        let mut ends: Vec<(Arc<Topic>, usize, Offset, u64)> = Vec::new();
        let mut bases = Vec::with_capacity(group.len());
        for append in &mut group {
            let known = ends
                .iter()
                .position(|(t, p, ..)| Arc::ptr_eq(t, &append.topic) && *p == append.partition);
            let at = known.unwrap_or_else(|| {
                let (end, bytes) = append.topic.tail(append.partition);
                ends.push((append.topic.clone(), append.partition, end, bytes));
                ends.len() - 1
            });
            let (_, _, end, bytes_before) = &mut ends[at];
            chunk::stamp(&mut append.chunk, appended_ms, *bytes_before);
            bases.push(*end);
            let key = append.topic.key(append.partition, *end);
            *end += append.count;
            *bytes_before += append.chunk.len() as u64;
            let chunk = std::mem::take(&mut append.chunk);
            batch.insert(&append.topic.keyspace, key.as_slice(), chunk);
        }
        match batch.commit() {
            Ok(()) => {
                for (topic, partition, end, bytes) in ends {
                    topic.advance(partition, end, bytes);
                }
                for (append, base) in group.into_iter().zip(bases) {
                    // A caller that went away still has its records in the log.
                    let _ = append.reply.send(Ok(base));
                }
            }
            Err(error) => {
                let error = fault::storage("append to the log", error);
                tracing::error!(%error, calls = group.len(), "appends were not acknowledged");
                for append in group {
                    let _ = append.reply.send(Err(copy_of(&error)));
                }
            }
        }
    }
}

/// The same refusal for every caller of the group; the cause was logged once.
fn copy_of(error: &PortError) -> PortError {
    PortError::new(error.kind(), error.to_string())
}

pub(super) fn stopped() -> PortError {
    PortError::new(
        PortErrorKind::Unavailable,
        "embedded log: the writer has stopped; restart",
    )
}
