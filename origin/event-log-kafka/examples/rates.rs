//! How fast records go through the port to a real broker and back, client and broker on one machine.
//!
//! `cargo run --release -p mediaflow-event-log-kafka --example rates [SECONDS]` prints one JSON object a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::{EventLog, Record};
use mediaflow_test_servers::kafka::Kafka;

type Failed = Box<dyn std::error::Error + Send + Sync>;

const PARTITIONS: u32 = 8;
const BATCH: usize = 500;
/// As large as a click with its envelope.
const VALUE_BYTES: usize = 342;
/// Appends of one partition that wait for their answer at the same time.
const LANES: u32 = 4;

fn batch(seed: u64) -> Vec<Record> {
    let record = |n: u64| {
        // Compresses about as JSON does: words that repeat, numbers that do not.
        let id = seed.wrapping_add(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut value = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"{id:016x}\",\"type\":\"click\",\"time\":{n}"
        );
        while value.len() < VALUE_BYTES {
            value.push_str(&format!(
                ",\"field\":\"{:x}\"",
                id.rotate_left(value.len() as u32) >> 40
            ));
        }
        value.truncate(VALUE_BYTES);
        Record::new(id.to_be_bytes().to_vec(), value).with_header("dedupe", vec![7; 16])
    };
    (0..BATCH as u64).map(record).collect()
}

async fn produce(log: &Arc<KafkaLog>, topic: &'static str, time: Duration) -> Result<(), Failed> {
    let sent = Arc::new(AtomicU64::new(0));
    let slowest_us = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let lanes: Vec<_> = (0..PARTITIONS * LANES)
        .map(|lane| {
            let (log, sent, slowest_us) = (log.clone(), sent.clone(), slowest_us.clone());
            tokio::spawn(async move {
                let records = batch(u64::from(lane) << 32);
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    log.append(topic, lane % PARTITIONS, records.clone())
                        .await?;
                    sent.fetch_add(BATCH as u64, Ordering::Relaxed);
                    let took_us = u64::try_from(asked.elapsed().as_micros())?;
                    slowest_us.fetch_max(took_us, Ordering::Relaxed);
                }
                Ok::<_, Failed>(())
            })
        })
        .collect();
    for lane in lanes {
        lane.await??;
    }
    say("produced", sent.load(Ordering::Relaxed), begun.elapsed());
    let slowest_ms = slowest_us.load(Ordering::Relaxed) / 1_000;
    println!("{{\"slowest_append_ms\":{slowest_ms}}}");
    Ok(())
}

async fn consume(log: &Arc<KafkaLog>, topic: &'static str) -> Result<(), Failed> {
    let begun = Instant::now();
    let readers: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let log = log.clone();
            tokio::spawn(async move {
                let (mut from, mut read) = (0, 0_u64);
                loop {
                    let found = log.read(topic, partition, from, 4_096, 4 << 20).await?;
                    let Some(last) = found.last() else {
                        return Ok::<_, Failed>(read);
                    };
                    from = last.offset + 1;
                    read += found.len() as u64;
                }
            })
        })
        .collect();
    let mut read = 0;
    for reader in readers {
        read += reader.await??;
    }
    say("consumed", read, begun.elapsed());
    Ok(())
}

fn say(what: &str, records: u64, took: Duration) {
    let rate = records as f64 / took.as_secs_f64();
    println!(
        "{{\"what\":\"{what}\",\"records\":{records},\"record_bytes\":{VALUE_BYTES},\"seconds\":{:.2},\"records_per_s\":{rate:.0}}}",
        took.as_secs_f64()
    );
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let seconds = std::env::args().nth(1).map_or(Ok(10), |s| s.parse())?;
    let kafka = Kafka::start(1)?;
    for compression in ["lz4", "none"] {
        let uri = format!(
            "kafka://{}/{compression}?replication=1&compression={compression}",
            kafka.brokers()
        );
        println!("{{\"compression\":\"{compression}\"}}");
        let log = Arc::new(KafkaLog::open(&uri.parse()?)?);
        log.ensure_topic("events", PARTITIONS).await?;
        produce(&log, "events", Duration::from_secs(seconds)).await?;
        consume(&log, "events").await?;
    }
    Ok(())
}
