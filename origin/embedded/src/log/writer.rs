//! The writer thread: takes queued appends, numbers them, writes and syncs them per group.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use fjall::OwnedWriteBatch;
use mediaflow_ports::fault::Point;
use mediaflow_ports::{Offset, PortError, PortErrorKind, PortResult};
use tokio::sync::{mpsc, oneshot};

use super::chunk;
use super::topic::Topic;
use crate::limits::{
    CHUNK_BYTES_MAX, GROUP_BYTES_MAX, GROUP_CALLS_LINGER_MIN, GROUP_LINGER_MAX, GROUP_LINGER_STEP,
};
use crate::{Core, fault};

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
    pub core: Arc<Core>,
    pub queue: mpsc::Receiver<Append>,
    pub queued_bytes: Arc<AtomicUsize>,
    /// Groups synced so far.
    pub groups: Arc<AtomicU64>,
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

    /// Whatever waits, up to the size limit. Only under load is it worth waiting for more, and only while more comes: a
    /// lone append is synced at once, and callers that all wait for this group send nothing new.
    fn collect(&mut self, first: Append, linger: bool) -> Vec<Append> {
        let deadline = Instant::now() + GROUP_LINGER_MAX;
        let mut bytes = first.chunk.len();
        let mut group = vec![first];
        let mut waited = false;
        while bytes < GROUP_BYTES_MAX {
            match self.queue.try_recv() {
                Ok(next) => {
                    bytes += next.chunk.len();
                    group.push(next);
                    waited = false;
                }
                Err(mpsc::error::TryRecvError::Empty)
                    if linger && !waited && Instant::now() < deadline =>
                {
                    std::thread::sleep(GROUP_LINGER_STEP);
                    waited = true;
                }
                Err(_) => break,
            }
        }
        self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        group
    }

    /// Writes a group as one batch with one sync: what belongs to one partition becomes as few values as possible, since
    /// each costs the database more than its bytes do.
    fn write(&self, group: Vec<Append>) {
        let appended_ms = self.core.clock.now_ms();
        let mut ends: Vec<Tail> = Vec::new();
        let mut bases = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        for append in group {
            let known = ends.iter().position(|t| {
                Arc::ptr_eq(&t.topic, &append.topic) && t.partition == append.partition
            });
            let at = known.unwrap_or_else(|| {
                ends.push(Tail::of(append.topic, append.partition));
                ends.len() - 1
            });
            bases.push(ends[at].take(append.chunk, append.count));
            replies.push(append.reply);
        }
        let mut batch = self.core.batch();
        for tail in &mut ends {
            tail.write(&mut batch, appended_ms);
        }
        let synced = batch.commit().and_then(|()| {
            Point::LogWritten.pass();
            self.core.sync()
        });
        match synced {
            Ok(()) => {
                for tail in ends {
                    tail.topic.advance(tail.partition, tail.end, tail.bytes);
                }
                self.groups.fetch_add(1, Ordering::Relaxed);
                for (reply, base) in replies.into_iter().zip(bases) {
                    // A caller that went away still has its records in the log.
                    let _ = reply.send(Ok(base));
                }
            }
            Err(error) => {
                let error = fault::storage("append to the log", error);
                tracing::error!(%error, calls = replies.len(), "appends were not acknowledged");
                for reply in replies {
                    let _ = reply.send(Err(copy_of(&error)));
                }
            }
        }
    }
}

/// The end of a partition as of the group; the topic learns it only once synced.
struct Tail {
    topic: Arc<Topic>,
    partition: usize,
    end: Offset,
    bytes: u64,
    /// Values to write: their first offset, records, and the calls' chunks.
    values: Vec<(Offset, u64, Vec<Vec<u8>>)>,
    /// Bytes of the last of them.
    last_bytes: usize,
}

impl Tail {
    fn of(topic: Arc<Topic>, partition: usize) -> Self {
        let (end, bytes) = topic.tail(partition);
        Self {
            topic,
            partition,
            end,
            bytes,
            values: Vec::new(),
            last_bytes: 0,
        }
    }

    /// Adds a call's records; answers the offset of the first.
    fn take(&mut self, chunk: Vec<u8>, count: u64) -> Offset {
        let base = self.end;
        self.end += count;
        let bytes = chunk.len();
        match self.values.last_mut() {
            Some((_, records, chunks)) if self.last_bytes + bytes <= CHUNK_BYTES_MAX => {
                *records += count;
                chunks.push(chunk);
                self.last_bytes += bytes;
            }
            _ => {
                self.values.push((base, count, vec![chunk]));
                self.last_bytes = bytes;
            }
        }
        base
    }

    fn write(&mut self, batch: &mut OwnedWriteBatch, appended_ms: i64) {
        for (base, count, mut chunks) in self.values.drain(..) {
            let mut value = match chunks.pop() {
                Some(only) if chunks.is_empty() => only,
                last => {
                    chunks.extend(last);
                    chunk::join(&chunks, count)
                }
            };
            chunk::stamp(&mut value, appended_ms, self.bytes);
            self.bytes += value.len() as u64;
            let key = self.topic.key(self.partition, base);
            batch.insert(&self.topic.keyspace, key.as_slice(), value);
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
