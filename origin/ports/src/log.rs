//! The event log: durable, partitioned topics, read by offset.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{PortResult, Summary};

/// Position of a record within its partition: 0, 1, 2, … without gaps.
pub type Offset = u64;

/// What a producer appends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Chooses the partition (see [`partition_of`]); may be empty.
    pub key: Bytes,
    /// The payload; its encoding is the topic's contract.
    pub value: Bytes,
    /// Names and values beside the payload, in order; a name may repeat.
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// A record without headers.
    pub fn new(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            headers: Vec::new(),
        }
    }

    /// The same record with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value)
    }

    /// Key, value and headers in bytes, without any framing.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
        self.key.len() + self.value.len() + headers
    }
}

/// A record as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its position in the partition.
    pub offset: Offset,
    /// When the log took it, milliseconds since the Unix epoch, by the adapter's clock.
    pub appended_ms: i64,
    /// What was appended, byte for byte.
    pub record: Record,
}

/// How much of a topic to keep. A limit that is `None` does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionPolicy {
    /// Records appended longer ago than this go.
    pub max_age_ms: Option<i64>,
    /// The oldest records of a partition go until it holds at most this many bytes.
    pub max_bytes: Option<u64>,
}

/// What a retention run removed from a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retained {
    /// Records no longer readable.
    pub records_removed: u64,
    /// Their stored bytes.
    pub bytes_removed: u64,
}

/// A process's seat in a group that shares the partitions of a topic. Dropping it leaves the group.
pub struct Membership {
    assigned: watch::Receiver<Arc<BTreeSet<u32>>>,
    _seat: Box<dyn Any + Send + Sync>,
}

impl Membership {
    /// A seat whose partitions `assigned` tells; `seat` is what leaves the group when dropped.
    pub fn new(
        assigned: watch::Receiver<Arc<BTreeSet<u32>>>,
        seat: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            assigned,
            _seat: seat,
        }
    }

    /// The seat of the only process there is: partitions 0 to `partitions` − 1, for good.
    #[must_use]
    pub fn alone(partitions: u32) -> Self {
        let (sender, assigned) = watch::channel(Arc::new((0..partitions).collect()));
        Self::new(assigned, Box::new(sender))
    }

    /// The partitions that are this process's own, as they change. Two processes may for a moment both believe
    /// they own one: only a fence ([`crate::StateStore::claim`]) decides whose commit counts.
    #[must_use]
    pub fn assigned(&self) -> watch::Receiver<Arc<BTreeSet<u32>>> {
        self.assigned.clone()
    }
}

/// Durable, partitioned, append-only topics.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Creates `topic` with `partitions` partitions, or checks that it has as many.
    ///
    /// # Errors
    /// `Conflict` when the topic exists with another count, `Invalid` for a bad name or count.
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> PortResult<()>;

    /// Appends in order and answers one offset per record, consecutive. Durable (synced) and
    /// visible to readers once answered; all or nothing.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition, `Full` when the queue is, `TooLarge`.
    async fn append(
        &self,
        topic: &str,
        partition: u32,
        records: Vec<Record>,
    ) -> PortResult<Vec<Offset>>;

    /// Records from `from` on, in order: at most `max_records`, and at most `max_bytes` of keys,
    /// values and headers, but at least one when there is one. Empty at the end of the
    /// partition. When `from` was retained away, starts at [`EventLog::begin`].
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition.
    async fn read(
        &self,
        topic: &str,
        partition: u32,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> PortResult<Vec<StoredRecord>>;

    /// Offset of the oldest record kept (equals `end` when none is).
    async fn begin(&self, topic: &str, partition: u32) -> PortResult<Offset>;

    /// Offset the next record will get.
    async fn end(&self, topic: &str, partition: u32) -> PortResult<Offset>;

    /// Number of partitions.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic.
    async fn partitions(&self, topic: &str) -> PortResult<u32>;

    /// Takes a seat in `group`, whose live members share the partitions of `topic`. The default is for a log that
    /// only one process can open: all partitions.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic, `Invalid` for a bad name.
    async fn join(&self, group: &str, topic: &str) -> PortResult<Membership> {
        let _ = group;
        Ok(Membership::alone(self.partitions(topic).await?))
    }

    /// A counter that changes after every append to `topic`, to wake readers at the end of it.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic.
    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>>;

    /// Removes what `policy` no longer keeps at `now_ms`, whole appends at a time, and gives the
    /// space back. The newest record's offset is never reused.
    async fn retain(
        &self,
        topic: &str,
        policy: RetentionPolicy,
        now_ms: i64,
    ) -> PortResult<Retained>;

    /// One line for the start-up log.
    fn summary(&self) -> Summary;
}

/// The partition of `key` among `partitions` (0 counts as 1): XXH3-64 modulo the count, the same
/// on every machine and in every version, so a key's records keep their order.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    let hash = xxhash_rust::xxh3::xxh3_64(key);
    // The remainder is below a u32.
    u32::try_from(hash % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_partition_across_versions() {
        // XXH3-64 of the empty input is 2d06800538d394c2 (xxHash's own test vectors).
        assert_eq!(
            partition_of(b"", u32::MAX),
            (0x2d06_8005_38d3_94c2_u64 % 0xffff_ffff) as u32
        );
        assert_eq!(partition_of(b"anything", 1), 0);
        assert_eq!(partition_of(b"anything", 0), 0);
    }

    #[test]
    fn keys_spread_over_all_partitions() {
        let mut hits = [0_u32; 8];
        for i in 0..8_000_u32 {
            hits[partition_of(&i.to_be_bytes(), 8) as usize] += 1;
        }
        assert!(hits.iter().all(|&n| (800..1_200).contains(&n)), "{hits:?}");
    }
}
