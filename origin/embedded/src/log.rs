//! The event log on the embedded database.
//!
//! One keyspace per topic; key = partition and first offset, value = the records of one append
//! call, or of several that came together. Appends go through `writer`, reads go straight to the keyspace, `retention` removes.

mod chunk;
mod retention;
mod topic;
mod writer;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use mediaflow_ports::{
    EventLog, Offset, PortError, PortErrorKind, PortResult, Record, Retained, RetentionPolicy,
    StoredRecord, Summary, check_name,
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::limits::{APPEND_QUEUE_CALLS_MAX, PARTITIONS_MAX};
use crate::log::topic::{Topic, base_of, chunk_key};
use crate::log::writer::{Append, Writer};
use crate::{Core, EmbeddedOptions, blocking, fault, meta_key};

pub(crate) struct EmbeddedLog {
    topics: RwLock<HashMap<String, Arc<Topic>>>,
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Append>>,
    queued_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
    groups: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
    /// Removed bytes not yet compacted away, per topic.
    owed_bytes: Mutex<HashMap<String, Arc<AtomicU64>>>,
    compact_after_bytes: u64,
    core: Arc<Core>,
}

impl EmbeddedLog {
    pub(crate) fn open(core: Arc<Core>, options: &EmbeddedOptions) -> PortResult<Self> {
        let mut topics = HashMap::new();
        for guard in core.meta.prefix(meta_key(&["topic", ""])) {
            let (key, value) = guard
                .into_inner()
                .map_err(|e| fault::storage("list the topics", e))?;
            let name = std::str::from_utf8(&key[b"topic\0".len()..])
                .map_err(|_| fault::corrupt("a topic's name"))?;
            let count = value
                .as_ref()
                .try_into()
                .map_err(|_| fault::corrupt("a topic"))?;
            let topic = Topic::open(&core, name, u32::from_be_bytes(count))?;
            topics.insert(name.to_owned(), Arc::new(topic));
        }
        let (sender, queue) = mpsc::channel(APPEND_QUEUE_CALLS_MAX);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let groups = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            core: core.clone(),
            queue,
            queued_bytes: queued_bytes.clone(),
            groups: groups.clone(),
        };
        let thread = std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| {
                PortError::new(
                    PortErrorKind::Unavailable,
                    "cannot start the log's writer thread",
                )
                .with_source(e)
            })?;
        Ok(Self {
            topics: RwLock::new(topics),
            queue: Some(sender),
            queued_bytes,
            queue_bytes_max: options.append_queue_bytes_max,
            groups,
            writer: Some(thread),
            owed_bytes: Mutex::default(),
            compact_after_bytes: options.compact_after_bytes,
            core,
        })
    }

    /// Groups of appends synced since the start: each was one `fdatasync`.
    pub(crate) fn groups_synced(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    fn topic(&self, name: &str) -> PortResult<Arc<Topic>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned().ok_or_else(|| {
            PortError::new(
                PortErrorKind::NotFound,
                format!(
                    "there is no topic \"{}\"; ensure it first",
                    name.escape_debug()
                ),
            )
        })
    }

    /// Reserves room in the queue or says that it is full.
    fn reserve(&self, bytes: usize) -> PortResult<()> {
        let before = self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        // A lone append always fits, however small the queue was configured.
        if before > 0 && before + bytes > self.queue_bytes_max {
            self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(queue_full(before));
        }
        Ok(())
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        // The writer ends once the queue is closed and empty; only then may the database close.
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> PortResult<()> {
        check_name("topic", topic)?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(PortError::new(
                PortErrorKind::Invalid,
                format!("topic \"{topic}\": {partitions} partitions; use 1 to {PARTITIONS_MAX}"),
            ));
        }
        // Held while the keyspace is made, so that two callers do not make it twice. Happens
        // once per topic and process, at start-up.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topics.get(topic) {
            let has = known.partitions();
            if has == partitions {
                return Ok(());
            }
            return Err(PortError::new(
                PortErrorKind::Conflict,
                format!(
                    "topic \"{topic}\" has {has} partitions, not {partitions}; \
                     a topic keeps its count, since keys would move"
                ),
            ));
        }
        let opened = Topic::open(&self.core, topic, partitions)?;
        let mut batch = self.core.synced_batch();
        batch.insert(
            &self.core.meta,
            meta_key(&["topic", topic]),
            partitions.to_be_bytes(),
        );
        batch
            .commit()
            .map_err(|e| fault::storage("create a topic", e))?;
        topics.insert(topic.to_owned(), Arc::new(opened));
        Ok(())
    }

    async fn append(
        &self,
        topic: &str,
        partition: u32,
        records: Vec<Record>,
    ) -> PortResult<Vec<Offset>> {
        let topic = self.topic(topic)?;
        topic.span(partition)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let count = records.len() as u64;
        let chunk = chunk::encode(&records)?;
        let bytes = chunk.len();
        self.reserve(bytes)?;
        let (reply, answer) = oneshot::channel();
        let append = Append {
            topic,
            partition: partition as usize,
            chunk,
            count,
            reply,
        };
        let queue = self.queue.as_ref().ok_or_else(writer::stopped)?;
        if let Err(refused) = queue.try_send(append) {
            let waiting = self.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(match refused {
                mpsc::error::TrySendError::Full(_) => queue_full(waiting),
                mpsc::error::TrySendError::Closed(_) => writer::stopped(),
            });
        }
        let base = answer.await.map_err(|_| writer::stopped())??;
        Ok((base..base + count).collect())
    }

    async fn read(
        &self,
        topic: &str,
        partition: u32,
        from: Offset,
        max_records: usize,
        max_bytes: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        let topic = self.topic(topic)?;
        let span = topic.span(partition)?;
        let from = from.max(span.begin);
        if from >= span.end || max_records == 0 {
            return Ok(Vec::new());
        }
        blocking(move || read(&topic, partition, from, span.end, max_records, max_bytes)).await
    }

    async fn begin(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        Ok(self.topic(topic)?.span(partition)?.begin)
    }

    async fn end(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        Ok(self.topic(topic)?.span(partition)?.end)
    }

    async fn partitions(&self, topic: &str) -> PortResult<u32> {
        Ok(self.topic(topic)?.partitions())
    }

    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>> {
        Ok(self.topic(topic)?.watch())
    }

    async fn retain(
        &self,
        topic: &str,
        policy: RetentionPolicy,
        now_ms: i64,
    ) -> PortResult<Retained> {
        let topic = self.topic(topic)?;
        let core = self.core.clone();
        let owed_bytes = {
            let mut owed = self
                .owed_bytes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            owed.entry(topic.name.clone()).or_default().clone()
        };
        let compact_after_bytes = self.compact_after_bytes;
        blocking(move || {
            let removed = retention::retain(&core, &topic, policy, now_ms)?;
            owed_bytes.fetch_add(removed.bytes_removed, Ordering::AcqRel);
            retention::reclaim(&core, &topic, &owed_bytes, compact_after_bytes)?;
            Ok(removed)
        })
        .await
    }

    fn summary(&self) -> Summary {
        self.core.summary("event_log")
    }
}

fn read(
    topic: &Topic,
    partition: u32,
    from: Offset,
    end: Offset,
    max_records: usize,
    max_bytes: usize,
) -> PortResult<Vec<StoredRecord>> {
    let failed = |e| fault::storage("read the log", e);
    // The chunk that holds `from` begins at or before it.
    let holder = topic
        .keyspace
        .range(chunk_key(partition, 0)..=chunk_key(partition, from))
        .next_back()
        .map(fjall::Guard::key)
        .transpose()
        .map_err(failed)?;
    let start = holder.map_or(Ok(from), |key| base_of(&key))?;
    let mut found = Vec::new();
    let mut bytes = 0;
    for guard in topic
        .keyspace
        .range(chunk_key(partition, start)..chunk_key(partition, end))
    {
        let (key, value) = guard.into_inner().map_err(failed)?;
        let base = base_of(&key)?;
        let mut chunk = Bytes::from(value);
        let head = chunk::head(&mut chunk)?;
        for offset in base..base + u64::from(head.count) {
            let record = chunk::record(&mut chunk)?;
            if offset < from {
                continue;
            }
            bytes += record.size_bytes();
            if found.len() == max_records || (!found.is_empty() && bytes > max_bytes) {
                return Ok(found);
            }
            found.push(StoredRecord {
                offset,
                appended_ms: head.appended_ms,
                record,
            });
        }
    }
    Ok(found)
}

fn queue_full(waiting_bytes: usize) -> PortError {
    PortError::new(
        PortErrorKind::Full,
        format!("embedded log: {waiting_bytes} bytes wait for the disk; slow down, then retry"),
    )
}
