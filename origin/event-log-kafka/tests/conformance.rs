//! The Kafka log keeps the promises of the port, against a real broker.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::Duration;

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::conformance::{self, LogFixture, Pending};
use mediaflow_ports::{Clock, EventLog, SystemClock};
use mediaflow_test_servers::kafka::Kafka;

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
