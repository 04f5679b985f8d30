//! Topics as the brokers know them: created, counted, remembered.
//!
//! The number of partitions never changes here (keys would move), so it is asked for once per process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mediaflow_ports::{Offset, PortError, PortErrorKind, PortResult};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset as At, TopicPartitionList};
use tokio::sync::watch;

use crate::client::{self, Voice};
use crate::limits::{
    ASK_PAUSE, ASK_TIMEOUT, COMPACTION_LAG_MS, CREATE_TIMEOUT, MESSAGE_BYTES_MAX, PARTITIONS_MAX,
    TAIL_FRESH,
};
use crate::options::Options;
use crate::{blocking, fault};

/// A topic in memory.
pub(crate) struct Topic {
    /// As services call it.
    pub name: String,
    /// As the brokers call it.
    pub full: String,
    pub partitions: Vec<Partition>,
    /// Only the newest record of a key matters; the brokers drop older ones.
    pub compacted: AtomicBool,
    appended: watch::Sender<u64>,
}

/// What is known of a partition.
#[derive(Default)]
pub(crate) struct Partition {
    /// The highest end seen, by an acknowledgement, a question or a fetch. Never above the true end.
    end: AtomicI64,
    /// When the end was last asked for.
    asked: Mutex<Option<Instant>>,
    /// Held while the records of one append enter the client's queue, so that they stay together.
    pub queueing: Mutex<()>,
}

impl Topic {
    fn new(name: &str, full: String, partitions: usize) -> Self {
        Self {
            name: name.to_owned(),
            full,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            compacted: AtomicBool::new(false),
            appended: watch::Sender::new(0),
        }
    }

    pub fn count(&self) -> u32 {
        // At most PARTITIONS_MAX where we created it; a broker counts in i32.
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    pub fn partition(&self, number: u32) -> PortResult<&Partition> {
        self.partitions
            .get(number as usize)
            .ok_or_else(|| fault::no_partition(&self.name, number, self.count()))
    }

    /// Wakes whoever waits for records.
    pub fn wake(&self) {
        self.appended.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub fn watch(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    pub fn is_watched(&self) -> bool {
        self.appended.receiver_count() > 0
    }
}

impl Partition {
    /// The end as far as it is known.
    pub fn known_end(&self) -> Offset {
        u64::try_from(self.end.load(Ordering::Acquire)).unwrap_or(0)
    }

    /// Takes a higher end in; answers whether it was news.
    pub fn reached(&self, end: i64) -> bool {
        self.end.fetch_max(end, Ordering::AcqRel) < end
    }

    /// Takes in what a question answered.
    pub fn told(&self, end: i64) -> bool {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.reached(end)
    }

    fn is_fresh(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|at| at.elapsed() < TAIL_FRESH)
    }
}

/// Every topic this process has met, and the client that asks about them.
pub(crate) struct Topics {
    options: Options,
    known: RwLock<HashMap<String, Arc<Topic>>>,
    asker: Arc<BaseConsumer<Voice>>,
}

impl Topics {
    pub fn open(options: &Options) -> PortResult<Self> {
        let asker = client::asking(options)
            .create_with_context(Voice::default())
            .map_err(|e| fault::answer("set up a client", e))?;
        Ok(Self {
            options: options.clone(),
            known: RwLock::default(),
            asker: Arc::new(asker),
        })
    }

    pub fn asker(&self) -> &BaseConsumer<Voice> {
        &self.asker
    }

    pub fn all(&self) -> Vec<Arc<Topic>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().cloned().collect()
    }

    fn remembered(&self, name: &str) -> Option<Arc<Topic>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }

    fn remember(&self, name: &str, partitions: usize) -> Arc<Topic> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Topic::new(name, self.options.named(name), partitions)))
            .clone()
    }

    /// The topic, asked for when this process has not met it.
    pub async fn find(self: &Arc<Self>, name: &str) -> PortResult<Arc<Topic>> {
        if let Some(topic) = self.remembered(name) {
            return Ok(topic);
        }
        let (this, name) = (self.clone(), name.to_owned());
        blocking(move || this.find_blocking(&name)).await
    }

    /// As [`Topics::find`]; a topic not yet met keeps the thread for a broker's answer.
    pub fn find_blocking(&self, name: &str) -> PortResult<Arc<Topic>> {
        if let Some(topic) = self.remembered(name) {
            return Ok(topic);
        }
        if fault::check_name("topic", name).is_err() {
            return Err(fault::no_topic(name));
        }
        match self.count(name)? {
            Some(partitions) => Ok(self.remember(name, partitions)),
            None => Err(fault::no_topic(name)),
        }
    }

    /// Partitions of a topic, `None` when there is none of that name or not all have a leader yet.
    fn count(&self, name: &str) -> PortResult<Option<usize>> {
        let full = self.options.named(name);
        let metadata = asked(&format!("ask about topic \"{name}\""), |timeout| {
            self.asker.fetch_metadata(Some(&full), timeout)
        })?;
        let Some(topic) = metadata.topics().iter().find(|t| t.name() == full) else {
            return Ok(None);
        };
        match topic.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(Code::LeaderNotAvailable) => return Ok(None),
            Some(code) => return Err(fault::code(&format!("ask about topic \"{name}\""), code)),
        }
        let led = topic.partitions().iter().all(|p| p.leader() >= 0);
        let count = topic.partitions().len();
        Ok((count > 0 && led).then_some(count))
    }

    /// Creates the topic unless it exists, then waits until every partition has a leader.
    pub async fn ensure(
        self: &Arc<Self>,
        name: &str,
        partitions: u32,
        compacted: bool,
    ) -> PortResult<()> {
        fault::check_name("topic", name)?;
        if !(1..=PARTITIONS_MAX).contains(&partitions) {
            return Err(PortError::new(
                PortErrorKind::Invalid,
                format!("topic \"{name}\": {partitions} partitions; use 1 to {PARTITIONS_MAX}"),
            ));
        }
        let topic = match self.find(name).await {
            Ok(topic) => topic,
            Err(e) if e.kind() == PortErrorKind::NotFound => {
                self.create(name, partitions, compacted).await?;
                self.settled(name).await?
            }
            Err(e) => return Err(e),
        };
        if topic.count() != partitions {
            let has = topic.count();
            return Err(PortError::new(
                PortErrorKind::Conflict,
                format!(
                    "topic \"{name}\" has {has} partitions, not {partitions}; \
                     a topic keeps its count, since keys would move"
                ),
            ));
        }
        if compacted {
            topic.compacted.store(true, Ordering::Release);
        }
        Ok(())
    }

    async fn create(&self, name: &str, partitions: u32, compacted: bool) -> PortResult<()> {
        let full = self.options.named(name);
        let replication = TopicReplication::Fixed(self.options.replication.unwrap_or(-1));
        // What is acknowledged is on two brokers, and a leader that lacks it is never elected.
        let in_step = match self.options.replication {
            Some(n) if n >= 3 => Some((n - 1).to_string()),
            _ => None,
        };
        let bytes_max = MESSAGE_BYTES_MAX.to_string();
        let lag_ms = COMPACTION_LAG_MS.to_string();
        // At most PARTITIONS_MAX.
        let mut topic = NewTopic::new(&full, partitions as i32, replication)
            .set("message.timestamp.type", "LogAppendTime")
            .set("max.message.bytes", &bytes_max)
            .set("unclean.leader.election.enable", "false");
        if let Some(n) = &in_step {
            topic = topic.set("min.insync.replicas", n);
        }
        topic = if compacted {
            topic
                .set("cleanup.policy", "compact")
                .set("min.compaction.lag.ms", &lag_ms)
        } else {
            // Retention is ours to say: `EventLog::retain`.
            topic
                .set("cleanup.policy", "delete")
                .set("retention.ms", "-1")
        };
        let options = AdminOptions::new()
            .operation_timeout(Some(CREATE_TIMEOUT))
            .request_timeout(Some(CREATE_TIMEOUT));
        let failed = |e| fault::answer(&format!("create topic \"{name}\""), e);
        let admin = self.admin()?;
        let made = admin
            .create_topics([&topic], &options)
            .await
            .map_err(failed)?;
        match made.into_iter().next() {
            // Another process was faster.
            None | Some(Ok(_) | Err((_, Code::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, code))) => Err(fault::code(&format!("create topic \"{name}\""), code)),
        }
    }

    /// What was just created reaches every broker a moment later.
    async fn settled(self: &Arc<Self>, name: &str) -> PortResult<Arc<Topic>> {
        let begun = Instant::now();
        loop {
            match self.find(name).await {
                Err(e)
                    if e.kind() == PortErrorKind::NotFound && begun.elapsed() < CREATE_TIMEOUT =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => return other,
            }
        }
    }

    /// First and next offset, asked of the brokers now.
    pub async fn span(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        partition: u32,
    ) -> PortResult<(Offset, Offset)> {
        topic.partition(partition)?;
        let (this, topic) = (self.clone(), topic.clone());
        blocking(move || {
            // Partitions are counted in i32 by the brokers.
            let doing = format!("ask where topic \"{}\" ends", topic.name);
            let (begin, end) = asked(&doing, |timeout| {
                let (full, number) = (&topic.full, partition as i32);
                this.asker.fetch_watermarks(full, number, timeout)
            })?;
            topic.partition(partition)?.told(end);
            Ok((
                u64::try_from(begin).unwrap_or(0),
                u64::try_from(end).unwrap_or(0),
            ))
        })
        .await
    }

    /// The next offset; asked for unless that was a moment ago.
    pub async fn end(self: &Arc<Self>, topic: &Arc<Topic>, partition: u32) -> PortResult<Offset> {
        let known = topic.partition(partition)?;
        if known.is_fresh() {
            return Ok(known.known_end());
        }
        Ok(self.span(topic, partition).await?.1.max(known.known_end()))
    }

    /// The first offset of every partition that was appended at or after `since_ms`; `None`: the end.
    pub async fn since(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        partitions: &[u32],
        since_ms: i64,
    ) -> PortResult<Vec<(u32, Option<Offset>)>> {
        let mut list = TopicPartitionList::new();
        for p in partitions {
            topic.partition(*p)?;
            // Negative times have a meaning of their own to the brokers (begin, end).
            list.add_partition_offset(&topic.full, *p as i32, At::Offset(since_ms.max(0)))
                .map_err(|e| fault::answer("ask for offsets by time", e))?;
        }
        let (this, topic) = (self.clone(), topic.clone());
        blocking(move || {
            let doing = format!("ask topic \"{}\" for offsets by time", topic.name);
            let found = asked(&doing, |timeout| {
                let found = this.asker.offsets_for_times(list.clone(), timeout)?;
                // One partition without a leader is a reason to ask again.
                for element in found.elements() {
                    element.error()?;
                }
                Ok(found)
            })?;
            Ok(found
                .elements()
                .iter()
                .map(|e| {
                    let offset = match e.offset() {
                        At::Offset(n) => u64::try_from(n).ok(),
                        _ => None,
                    };
                    (u32::try_from(e.partition()).unwrap_or(0), offset)
                })
                .collect())
        })
        .await
    }

    /// Makes everything before these offsets unreadable; `None`: everything there is.
    pub async fn cut(&self, topic: &Topic, before: &[(u32, Option<Offset>)]) -> PortResult<()> {
        let doing = format!("remove old records of topic \"{}\"", topic.name);
        let failed = |e| fault::answer(&doing, e);
        let mut list = TopicPartitionList::new();
        for (partition, offset) in before {
            let at = offset.map_or(At::End, |n| {
                At::Offset(i64::try_from(n).unwrap_or(i64::MAX))
            });
            list.add_partition_offset(&topic.full, *partition as i32, at)
                .map_err(failed)?;
        }
        let options = AdminOptions::new()
            .operation_timeout(Some(ASK_TIMEOUT))
            .request_timeout(Some(ASK_TIMEOUT));
        let done = self
            .admin()?
            .delete_records(&list, &options)
            .await
            .map_err(failed)?;
        for element in done.elements() {
            element.error().map_err(failed)?;
        }
        Ok(())
    }

    /// Made for each use: topics are created once, and old records removed once a minute.
    fn admin(&self) -> PortResult<AdminClient<Voice>> {
        let config: ClientConfig = client::asking(&self.options);
        config
            .create_with_context(Voice::default())
            .map_err(|e: KafkaError| fault::answer("set up a client", e))
    }
}

/// Asks until there is an answer or [`ASK_TIMEOUT`] is over: a broker that goes down, or a partition between two leaders, is
/// passed over by asking again. Keeps the thread.
fn asked<T>(doing: &str, ask: impl Fn(Duration) -> Result<T, KafkaError>) -> PortResult<T> {
    let begun = Instant::now();
    loop {
        let left = ASK_TIMEOUT.saturating_sub(begun.elapsed());
        match ask(left.max(ASK_PAUSE)) {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                let error = fault::answer(doing, error);
                if !error.is_retryable() || begun.elapsed() + ASK_PAUSE >= ASK_TIMEOUT {
                    return Err(error);
                }
                std::thread::sleep(ASK_PAUSE);
            }
        }
    }
}
