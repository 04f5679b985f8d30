//! The Kafka log keeps the promises of the port, against a real broker.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::conformance::{self, LogFixture, Pending};
use mediaflow_ports::{Clock, EventLog, Record, RetentionPolicy, SystemClock};
use mediaflow_test_servers::kafka::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

struct Fixture {
    kafka: Arc<Kafka>,
}

impl LogFixture for Fixture {
    fn open(&self) -> Pending<'_, Arc<dyn EventLog>> {
        Box::pin(async {
            let uri = format!("kafka://{}/conformance?replication=1", self.kafka.brokers());
            Arc::new(KafkaLog::open(&uri.parse().unwrap()).unwrap()) as Arc<dyn EventLog>
        })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        // The broker stamps by its own clock.
        Box::pin(tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())))
    }
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms()
    }
    fn retains_by_bytes(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kafka_log_conforms() {
    let Some(kafka) = Kafka::shared("the_kafka_log_conforms") else {
        return;
    };
    conformance::event_log(&Fixture { kafka }).await;
}

/// The topic that [`KafkaLog`] would create keeps old versions for a week; this one shows at once what a week later shows.
async fn compacted_soon(kafka: &Kafka, topic: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .create()
        .unwrap();
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "1048576")
        .set("min.cleanable.dirty.ratio", "0.01");
    let made = admin
        .create_topics([&topic], &AdminOptions::new())
        .await
        .unwrap();
    made[0].as_ref().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_passes_over_the_gaps_of_a_compacted_topic() {
    const RECORDS: u64 = 4_000;
    let Some(kafka) = Kafka::shared("a_reader_passes_over_the_gaps_of_a_compacted_topic") else {
        return;
    };
    compacted_soon(&kafka, "gaps.content").await;
    let uri = format!("kafka://{}/gaps?compression=none", kafka.brokers());
    let log = KafkaLog::open(&uri.parse().unwrap()).unwrap();
    log.ensure_latest_by_key("content", 1).await.unwrap();
    for first in (0..RECORDS).step_by(100) {
        let record = |n: u64| Record::new(format!("key-{}", n % 10), format!("{n:01000}"));
        log.append("content", 0, (first..first + 100).map(record).collect())
            .await
            .unwrap();
    }
    let begun = Instant::now();
    let (kept, newest) = loop {
        let (mut from, mut kept, mut newest) = (0, 0, BTreeMap::new());
        loop {
            let found = log.read("content", 0, from, 37, 1 << 20).await.unwrap();
            let Some(last) = found.last() else { break };
            assert!(found.is_sorted_by_key(|r| r.offset) && found[0].offset >= from);
            from = last.offset + 1;
            kept += found.len() as u64;
            for r in found {
                newest.insert(r.record.key.clone(), r.offset);
            }
        }
        assert_eq!(from, RECORDS, "the newest record is never dropped");
        if kept < RECORDS {
            break (kept, newest);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the broker does not compact"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    println!("{kept} of {RECORDS} records are left");
    let expected: Vec<u64> = (RECORDS - 10..RECORDS).collect();
    assert_eq!(
        newest.into_values().collect::<Vec<_>>(),
        expected,
        "the newest of every key"
    );
    // From within a gap a read goes on behind it.
    assert!(log.read("content", 0, 5, 1, 1).await.unwrap()[0].offset > 5);
    let old = RetentionPolicy {
        max_age_ms: Some(0),
        max_bytes: None,
    };
    let removed = log.retain("content", old, i64::MAX).await.unwrap();
    assert_eq!(
        removed.records_removed, 0,
        "the newest of each key stays for good"
    );
}
