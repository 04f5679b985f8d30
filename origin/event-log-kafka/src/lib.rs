//! The event log on Apache Kafka.
//!
//! Data path: appends go through one idempotent producer (`append`), which answers when every in-sync replica has the
//! records; reads go by offset through partitions that are fetched ahead (`read`); readers at the end are woken by their own
//! fetch, or by `tail`, which asks for ends; processes share partitions by Kafka's group protocol (`group`). `topics` creates
//! and counts. Kafka's topics have our names, behind the URI's prefix; the partition of a record is always ours to say.
//!
//! What it never does: use transactions (state and offsets commit together elsewhere), commit offsets to the brokers, let the
//! brokers create a topic unasked, end because a broker is away. ADR 7 says what the contract cannot promise on Kafka.

mod append;
mod client;
mod fault;
mod group;
mod options;
mod read;
mod tail;
mod topics;

pub mod limits;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use mediaflow_ports::{
    EventLog, Membership, Offset, PortError, PortErrorKind, PortResult, PortUri, Record, Retained,
    RetentionPolicy, StoredRecord, Summary,
};
use tokio::sync::watch;

use crate::append::Appender;
pub use crate::options::Options;
use crate::read::Reader;
use crate::tail::Tail;
use crate::topics::Topics;

/// The log of one process. Share it by `Arc`.
pub struct KafkaLog {
    options: Options,
    appender: Appender,
    reader: Reader,
    /// Before the topics it asks about.
    _tail: Tail,
    topics: Arc<Topics>,
}

impl KafkaLog {
    /// Sets the clients up. Brokers are first spoken to when a topic is.
    ///
    /// # Errors
    /// `Invalid` for what the URI says.
    pub fn open(uri: &PortUri) -> PortResult<Self> {
        Self::open_with(Options::parse(uri)?)
    }

    /// As [`KafkaLog::open`], with options already read.
    ///
    /// # Errors
    /// `Invalid` when the client refuses a setting.
    pub fn open_with(options: Options) -> PortResult<Self> {
        let topics = Arc::new(Topics::open(&options)?);
        Ok(Self {
            appender: Appender::open(&options)?,
            reader: Reader::open(&options, &topics),
            _tail: Tail::start(&topics)?,
            topics,
            options,
        })
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> PortResult<()> {
        self.topics.ensure(topic, partitions, false).await
    }

    async fn ensure_latest_by_key(&self, topic: &str, partitions: u32) -> PortResult<()> {
        self.topics.ensure(topic, partitions, true).await
    }

    async fn append(
        &self,
        topic: &str,
        partition: u32,
        records: Vec<Record>,
    ) -> PortResult<Vec<Offset>> {
        let topic = self.topics.find(topic).await?;
        self.appender.append(&topic, partition, &records).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: u32,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        let topic = self.topics.find(topic).await?;
        self.reader
            .read(&topic, partition, from, max_records, max_bytes)
            .await
    }

    async fn begin(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        let topic = self.topics.find(topic).await?;
        Ok(self.topics.span(&topic, partition).await?.0)
    }

    async fn end(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        let topic = self.topics.find(topic).await?;
        self.topics.end(&topic, partition).await
    }

    async fn first_since(&self, topic: &str, partition: u32, since_ms: i64) -> PortResult<Offset> {
        let topic = self.topics.find(topic).await?;
        let found = self.topics.since(&topic, &[partition], since_ms).await?;
        match found.first() {
            Some((_, Some(offset))) => Ok(*offset),
            _ => Ok(self.topics.span(&topic, partition).await?.1),
        }
    }

    async fn partitions(&self, topic: &str) -> PortResult<u32> {
        Ok(self.topics.find(topic).await?.count())
    }

    async fn join(&self, group: &str, topic: &str) -> PortResult<Membership> {
        fault::check_name("group", group)?;
        let topic = self.topics.find(topic).await?;
        group::join(&self.options, group, &topic.full)
    }

    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>> {
        Ok(self.topics.find_blocking(topic)?.watch())
    }

    async fn retain(
        &self,
        topic: &str,
        policy: RetentionPolicy,
        now_ms: i64,
    ) -> PortResult<Retained> {
        let topic = self.topics.find(topic).await?;
        if policy.max_bytes.is_some() {
            return Err(PortError::new(
                PortErrorKind::Invalid,
                format!(
                    "topic \"{}\": kafka cannot say how many bytes lie before an offset; keep by age, \
                     or set retention.bytes of the topic",
                    topic.name
                ),
            ));
        }
        let Some(max_age_ms) = policy.max_age_ms else {
            return Ok(Retained::default());
        };
        // The brokers keep the newest record of each key for good: that is what such a topic is for.
        if topic.compacted.load(Ordering::Acquire) {
            return Ok(Retained::default());
        }
        let partitions: Vec<u32> = (0..topic.count()).collect();
        let oldest_ms = now_ms.saturating_sub(max_age_ms);
        let mut cuts = Vec::new();
        let mut removed = Retained::default();
        for (partition, keep_from) in self.topics.since(&topic, &partitions, oldest_ms).await? {
            let (begin, end) = self.topics.span(&topic, partition).await?;
            let keep_from = keep_from.unwrap_or(end);
            if keep_from > begin {
                removed.records_removed += keep_from - begin;
                cuts.push((partition, Some(keep_from)));
            }
        }
        if !cuts.is_empty() {
            self.topics.cut(&topic, &cuts).await?;
        }
        Ok(removed)
    }

    fn summary(&self) -> Summary {
        let copies = self.options.replication;
        let line = format!(
            "event_log: kafka at {}, topics {}*, replication {}, acks=all{}",
            self.options.brokers,
            self.options.named(""),
            copies.map_or("as the brokers say".to_owned(), |n| n.to_string()),
            if copies == Some(1) {
                " (one copy: a lost disk loses records)"
            } else {
                ""
            },
        );
        Summary {
            line,
            warn: copies == Some(1),
        }
    }
}

/// Runs a client call that waits for a broker off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        PortError::new(
            PortErrorKind::Unavailable,
            "kafka: a task ended early; retry",
        )
        .with_source(e)
    })?
}
