//! The event log: durable, partitioned topics, read by offset.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{PortResult, Summary};

/// Position of a record within its partition: 0, 1, 2, … without gaps, but where [`EventLog::ensure_latest_by_key`] lets
/// a log drop records. Readers go on at the last offset they saw plus one and never count by subtracting.
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

    /// Creates a topic of which only the newest record of each key matters, as [`EventLog::ensure_topic`] does. A log may drop
    /// older records of a key, which leaves gaps in the offsets, and need not retain the newest by age. The default keeps all.
    ///
    /// # Errors
    /// As [`EventLog::ensure_topic`].
    async fn ensure_latest_by_key(&self, topic: &str, partitions: u32) -> PortResult<()> {
        self.ensure_topic(topic, partitions).await
    }

    /// Appends in order and answers one offset per record, ascending; consecutive unless another process appends to the
    /// partition at the same time. Once answered the records are durable (synced, or on every replica in step) and visible
    /// to reads of this handle; readers in other processes see them before their [`EventLog::watch`] wakes, within about
    /// 100 ms.
    ///
    /// What is refused before it was begun (`NotFound`, `Full`, `TooLarge`, `Invalid`) left nothing behind. After `Unavailable`
    /// the fate of the records is unknown, and a log of several machines may have taken only the first of them: append
    /// again, and let readers recognize what they saw.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition, `Full` when the queue is, `TooLarge`, `Unavailable`.
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

    /// The first offset appended at or after `since_ms`; the end when there is none. The default searches by halving:
    /// append times only grow.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic or partition.
    async fn first_since(&self, topic: &str, partition: u32, since_ms: i64) -> PortResult<Offset> {
        let mut low = self.begin(topic, partition).await?;
        let mut high = self.end(topic, partition).await?;
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.read(topic, partition, middle, 1, 1).await?;
            match record.first() {
                Some(r) if r.appended_ms < since_ms => low = r.offset + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

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

    /// A counter that changes after every append to `topic`, of any process, to wake readers at the end of it. It may change
    /// without one.
    ///
    /// # Errors
    /// `NotFound` for an unknown topic.
    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>>;

    /// Removes what `policy` no longer keeps at `now_ms`, and gives the space back, whole appends or files at a time. The
    /// newest record's offset is never reused. A log that cannot count bytes refuses `max_bytes` as `Invalid`, and may leave
    /// `bytes_removed` 0.
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
