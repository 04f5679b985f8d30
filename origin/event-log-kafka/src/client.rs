//! Settings that all clients share, and where their words go.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::limits::{
    ASK_TIMEOUT, FETCH_PARTITION_BYTES, FETCH_WAIT_MS, MESSAGE_BYTES_MAX, PREFETCH_KB,
    PREFETCH_RECORDS, REQUEST_TIMEOUT_MS,
};
use crate::options::Options;

/// While brokers are away a client repeats itself several times a second.
const SAID_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What every client needs to find its brokers and to come back to them.
pub(crate) fn config(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.brokers)
        .set("client.id", &options.client_id)
        // A broker that is back is found within a second; the default waits up to ten.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.timeout.ms", "10000")
        .set("socket.nagle.disable", "true")
        // The machine may have no IPv6 route to a name that has such an address.
        .set("broker.address.family", "any")
        .set("topic.metadata.refresh.fast.interval.ms", "100")
        .set("allow.auto.create.topics", "false");
    config
}

/// A client that only asks about topics and offsets.
pub(crate) fn asking(options: &Options) -> ClientConfig {
    let mut config = config(options);
    config.set("socket.timeout.ms", ASK_TIMEOUT.as_millis().to_string());
    config
}

/// A client that reads assigned partitions, ahead of who asks for them.
pub(crate) fn reading(options: &Options) -> ClientConfig {
    let mut config = config(options);
    config
        // Never joined: partitions are assigned by hand. The library wants a name all the same.
        .set("group.id", options.named("readers"))
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        // Where to go on after records were retained away is decided here, not by the client.
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", FETCH_WAIT_MS.to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.message.max.bytes", FETCH_PARTITION_BYTES.to_string())
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("queued.min.messages", PREFETCH_RECORDS.to_string())
        .set("queued.max.messages.kbytes", PREFETCH_KB.to_string())
        .set("check.crcs", "true");
    config
}

/// A client that appends.
pub(crate) fn appending(options: &Options) -> ClientConfig {
    use crate::limits::{
        APPEND_QUEUE_BYTES_MAX, APPEND_QUEUE_RECORDS_MAX, BATCH_BYTES, CLIENT_QUEUE_FACTOR,
        LINGER_MS,
    };
    let mut config = config(options);
    let queue_kb = APPEND_QUEUE_BYTES_MAX * CLIENT_QUEUE_FACTOR / 1024;
    let queue_records = APPEND_QUEUE_RECORDS_MAX * CLIENT_QUEUE_FACTOR;
    config
        // Implies acks=all and that retries keep order and never double.
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.codec", &options.compression)
        .set("linger.ms", LINGER_MS.to_string())
        .set("batch.size", BATCH_BYTES.to_string())
        .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
        .set("queue.buffering.max.kbytes", queue_kb.to_string())
        .set("queue.buffering.max.messages", queue_records.to_string())
        .set(
            "message.timeout.ms",
            options.delivery_timeout_ms.to_string(),
        )
        .set(
            "request.timeout.ms",
            REQUEST_TIMEOUT_MS
                .min(options.delivery_timeout_ms)
                .to_string(),
        )
        .set("retry.backoff.ms", "50")
        .set("retry.backoff.max.ms", "500");
    config
}

/// Hands a client's words to `tracing`. Unreachable brokers are news, not the end: the client comes back to them by itself.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    said: Mutex<Option<Instant>>,
}

impl Voice {
    /// Warns, unless it did so within the last seconds.
    pub fn warn(&self, what: &str, reason: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAID_AGAIN_AFTER) {
            *said = Some(Instant::now());
            tracing::warn!(reason, "kafka: {what}");
        } else {
            tracing::debug!(reason, "kafka: {what}");
        }
    }
}

impl ClientContext for Voice {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "kafka client: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // A reader that has read everything is not in trouble.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        self.warn(&error.to_string(), reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Voice {}
