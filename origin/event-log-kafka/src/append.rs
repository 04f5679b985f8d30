//! Appends: an idempotent producer behind a bounded queue.
//!
//! The records of one call enter the client's queue together, carry a slot each for their offset, and the call answers when
//! the last slot is filled. The client retries in order and without doubling until its delivery timeout.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mediaflow_ports::{Offset, PortError, PortErrorKind, PortResult, Record};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::client::{self, Voice};
use crate::fault;
use crate::limits::{
    APPEND_QUEUE_BYTES_MAX, APPEND_QUEUE_RECORDS_MAX, RECORD_BYTES_MAX, RECORD_OVERHEAD_BYTES,
};
use crate::options::Options;
use crate::topics::Topic;

/// The library's own queue is twice as large as ours, so this happens only while it lags behind its accounting.
const ROOM_PAUSE: Duration = Duration::from_millis(2);

type Client = ThreadedProducer<Deliveries>;

pub(crate) struct Appender {
    options: Options,
    /// Replaced when its client ends for good (a fatal error), which loses nothing: what it held was answered as failed.
    client: RwLock<Arc<Client>>,
    queued: Arc<Queued>,
}

/// What waits for the brokers.
#[derive(Default)]
struct Queued {
    bytes: AtomicUsize,
    records: AtomicUsize,
}

/// One call of `append` on its way.
struct Batch {
    offsets: Vec<AtomicI64>,
    left: AtomicUsize,
    bytes: usize,
    failed: Mutex<Option<KafkaError>>,
    done: Mutex<Option<oneshot::Sender<()>>>,
    topic: Arc<Topic>,
    partition: usize,
    queued: Arc<Queued>,
}

/// A record's place in its batch.
pub(crate) struct Slot {
    batch: Arc<Batch>,
    index: usize,
}

/// Where the client reports.
#[derive(Default)]
pub(crate) struct Deliveries {
    voice: Voice,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.voice.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Slot>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Self::DeliveryOpaque) {
        match result {
            Ok(message) => {
                slot.batch.offsets[slot.index].store(message.offset(), Ordering::Relaxed)
            }
            Err((error, _)) => slot.batch.fail(error.clone()),
        }
        slot.batch.settle(1);
    }
}

impl Batch {
    fn fail(&self, error: KafkaError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
    }

    /// Counts records whose fate is known; the last one wakes the caller and whoever reads.
    fn settle(&self, records: usize) {
        if self.left.fetch_sub(records, Ordering::AcqRel) > records {
            return;
        }
        self.queued.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.queued
            .records
            .fetch_sub(self.offsets.len(), Ordering::AcqRel);
        if let Some(last) = self.offsets.iter().map(|o| o.load(Ordering::Relaxed)).max()
            && last >= 0
        {
            self.topic.partitions[self.partition].reached(last + 1);
            self.topic.wake();
        }
        let done = self
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(done) = done {
            // The caller may have gone; the records stay.
            let _ = done.send(());
        }
    }

    fn outcome(&self) -> Result<Vec<Offset>, KafkaError> {
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(error) = failed {
            return Err(error);
        }
        let offset = |o: &AtomicI64| u64::try_from(o.load(Ordering::Relaxed));
        let offsets: Result<Vec<_>, _> = self.offsets.iter().map(offset).collect();
        // A broker that acknowledges names the offset.
        offsets.map_err(|_| KafkaError::MessageProduction(Code::BadMessage))
    }
}

impl Appender {
    pub fn open(options: &Options) -> PortResult<Self> {
        Ok(Self {
            client: RwLock::new(Arc::new(connect(options)?)),
            options: options.clone(),
            queued: Arc::default(),
        })
    }

    /// Appends in order; see [`mediaflow_ports::EventLog::append`].
    pub async fn append(
        &self,
        topic: &Arc<Topic>,
        partition: u32,
        records: &[Record],
    ) -> PortResult<Vec<Offset>> {
        topic.partition(partition)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = 0;
        for record in records {
            let size = record.size_bytes();
            if size > RECORD_BYTES_MAX {
                return Err(fault::record_too_large(size));
            }
            bytes += size + RECORD_OVERHEAD_BYTES;
        }
        self.reserve(bytes, records.len())?;
        let (done, answered) = oneshot::channel();
        let batch = Arc::new(Batch {
            offsets: records.iter().map(|_| AtomicI64::new(-1)).collect(),
            left: AtomicUsize::new(records.len()),
            bytes,
            failed: Mutex::default(),
            done: Mutex::new(Some(done)),
            topic: topic.clone(),
            partition: partition as usize,
            queued: self.queued.clone(),
        });
        let client = self.client();
        self.enqueue(&client, &batch, records);
        // Every record is reported on, at the latest when its delivery times out.
        let _ = answered.await;
        batch
            .outcome()
            .map_err(|error| self.refused(&client, topic, error))
    }

    /// Hands every record to the client, or accounts for those it does not take.
    fn enqueue(&self, client: &Client, batch: &Arc<Batch>, records: &[Record]) {
        let together = &batch.topic.partitions[batch.partition].queueing;
        let _together = together.lock().unwrap_or_else(PoisonError::into_inner);
        let deadline =
            Instant::now() + Duration::from_millis(self.options.delivery_timeout_ms.into());
        for (index, record) in records.iter().enumerate() {
            let slot = Box::new(Slot {
                batch: batch.clone(),
                index,
            });
            // Fits: a batch's partition is below PARTITIONS_MAX.
            let mut next = BaseRecord::with_opaque_to(&batch.topic.full, slot)
                .partition(batch.partition as i32)
                .key(&record.key[..])
                .payload(&record.value[..]);
            if !record.headers.is_empty() {
                next = next.headers(headers(record));
            }
            loop {
                match client.send(next) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Code::QueueFull), back))
                        if Instant::now() < deadline =>
                    {
                        next = back;
                        std::thread::sleep(ROOM_PAUSE);
                    }
                    Err((error, _)) => {
                        batch.fail(error);
                        batch.settle(records.len() - index);
                        return;
                    }
                }
            }
        }
    }

    fn client(&self) -> Arc<Client> {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reserves room in the queue or says that it is full.
    fn reserve(&self, bytes: usize, records: usize) -> PortResult<()> {
        let queued = &self.queued;
        let bytes_before = queued.bytes.fetch_add(bytes, Ordering::AcqRel);
        let records_before = queued.records.fetch_add(records, Ordering::AcqRel);
        // A lone append always fits.
        let full = bytes_before + bytes > APPEND_QUEUE_BYTES_MAX
            || records_before + records > APPEND_QUEUE_RECORDS_MAX;
        if bytes_before > 0 && full {
            queued.bytes.fetch_sub(bytes, Ordering::AcqRel);
            queued.records.fetch_sub(records, Ordering::AcqRel);
            return Err(PortError::new(
                PortErrorKind::Full,
                format!("kafka: {bytes_before} bytes wait for the brokers; slow down, then retry"),
            ));
        }
        Ok(())
    }

    fn refused(&self, client: &Arc<Client>, topic: &Topic, error: KafkaError) -> PortError {
        if client.client().fatal_error().is_some() {
            self.replace(client);
        }
        fault::answer(&format!("append to topic \"{}\"", topic.name), error)
    }

    /// A client that met a fatal error takes nothing more: another takes its place.
    fn replace(&self, ended: &Arc<Client>) {
        let mut current = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, ended) {
            return;
        }
        match connect(&self.options) {
            Ok(client) => {
                tracing::warn!("kafka: the producer met a fatal error and was replaced");
                *current = Arc::new(client);
            }
            Err(error) => tracing::error!(error = %error, "kafka: the producer cannot be replaced"),
        }
    }
}

fn connect(options: &Options) -> PortResult<Client> {
    client::appending(options)
        .create_with_context(Deliveries::default())
        .map_err(|e| fault::answer("set up a producer", e))
}

fn headers(record: &Record) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(record.headers.len());
    record.headers.iter().fold(empty, |headers, (name, value)| {
        headers.insert(Header {
            key: name,
            value: Some(&value[..]),
        })
    })
}
