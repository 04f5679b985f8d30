//! A topic in memory: where each partition begins and ends, and who waits for more.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use fjall::Keyspace;
use mediaflow_ports::{Offset, PortError, PortErrorKind, PortResult};
use tokio::sync::watch;

use super::chunk;
use crate::{Core, fault, log_options, meta_key};

pub(super) struct Topic {
    pub name: String,
    pub keyspace: Keyspace,
    /// Short reads and writes of three numbers each; never held over IO.
    spans: Mutex<Vec<Span>>,
    appended: watch::Sender<u64>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub begin: Offset,
    pub end: Offset,
    /// Chunk bytes ever stored (see `chunk`).
    pub bytes: u64,
}

impl Topic {
    /// Opens the keyspace and finds where each partition begins and ends.
    pub fn open(core: &Core, name: &str, partitions: u32) -> PortResult<Self> {
        let failed = |e| fault::storage("open a topic", e);
        let keyspace = core
            .db
            .keyspace(&format!("log.{name}"), log_options)
            .map_err(failed)?;
        let spans = (0..partitions)
            .map(|partition| {
                let floor = core.meta_u64(&begin_key(name, partition))?.unwrap_or(0);
                let last = keyspace.prefix(partition.to_be_bytes()).next_back();
                let Some((key, value)) = last
                    .map(fjall::Guard::into_inner)
                    .transpose()
                    .map_err(failed)?
                else {
                    return Ok(Span {
                        begin: floor,
                        end: floor,
                        bytes: 0,
                    });
                };
                let bytes = value.len() as u64;
                let head = chunk::head(&mut Bytes::from(value))?;
                let end = base_of(&key)? + u64::from(head.count);
                Ok(Span {
                    begin: floor,
                    end,
                    bytes: head.bytes_before + bytes,
                })
            })
            .collect::<PortResult<Vec<_>>>()?;
        let (name, spans) = (name.to_owned(), Mutex::new(spans));
        Ok(Self {
            name,
            keyspace,
            spans,
            appended: watch::Sender::new(0),
        })
    }

    pub fn partitions(&self) -> u32 {
        self.spans().len() as u32
    }

    pub fn span(&self, partition: u32) -> PortResult<Span> {
        let spans = self.spans();
        spans.get(partition as usize).copied().ok_or_else(|| {
            PortError::new(
                PortErrorKind::NotFound,
                format!(
                    "topic \"{}\" has no partition {partition}; it has {}",
                    self.name,
                    spans.len()
                ),
            )
        })
    }

    /// End and bytes of a partition known to exist.
    pub fn tail(&self, partition: usize) -> (Offset, u64) {
        let span = self.spans()[partition];
        (span.end, span.bytes)
    }

    /// Publishes a new end and wakes readers.
    pub fn advance(&self, partition: usize, end: Offset, bytes: u64) {
        {
            let mut spans = self.spans();
            spans[partition].end = end;
            spans[partition].bytes = bytes;
        }
        self.appended.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Publishes a new beginning after retention.
    pub fn cut(&self, partition: u32, begin: Offset) {
        self.spans()[partition as usize].begin = begin;
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// Key of the chunk that begins at `base`.
    pub fn key(&self, partition: usize, base: Offset) -> [u8; 12] {
        chunk_key(partition as u32, base)
    }

    fn spans(&self) -> MutexGuard<'_, Vec<Span>> {
        // Numbers are stored one at a time, so a panicking holder leaves them usable.
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn chunk_key(partition: u32, base: Offset) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&partition.to_be_bytes());
    key[4..].copy_from_slice(&base.to_be_bytes());
    key
}

/// The first offset of the chunk under `key`.
pub(super) fn base_of(key: &[u8]) -> PortResult<Offset> {
    let base = key.get(4..12).and_then(|b| b.try_into().ok());
    Ok(u64::from_be_bytes(
        base.ok_or_else(|| fault::corrupt("a log key"))?,
    ))
}

pub(super) fn begin_key(topic: &str, partition: u32) -> Vec<u8> {
    meta_key(&["begin", topic, &partition.to_string()])
}
