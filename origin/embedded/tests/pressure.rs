//! Back-pressure, and many callers at once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::time::Instant;

use mediaflow_embedded::{Embedded, EmbeddedOptions};
use mediaflow_ports::{PortErrorKind, Record};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        append_queue_bytes_max: 256 * 1024,
        ..Default::default()
    };
    let database = Embedded::open_with(folder.path(), options).unwrap();
    let log = database.log();
    log.ensure_topic("t", 1).await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move {
                log.append("t", 0, vec![Record::new("", vec![7; 64 * 1024])])
                    .await
            })
        })
        .collect();
    let (mut taken, mut refused) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error.kind(), PortErrorKind::Full, "{error}");
                assert!(error.is_retryable());
                refused += 1;
            }
        }
    }
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert_eq!(
        log.end("t", 0).await.unwrap(),
        taken,
        "refused is not appended"
    );
    log.append("t", 0, vec![Record::new("", "later")])
        .await
        .unwrap();
}

/// Prints figures; asserts only that every record of every caller arrived.
#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_many_callers_arrives() {
    const CALLERS: usize = 256;
    const CALLS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let database = Embedded::open(folder.path()).unwrap();
    let log = database.log();
    log.ensure_topic("t", 4).await.unwrap();
    // Fifty events of 342 bytes: what a collector appends per request.
    let batch: Arc<Vec<Record>> = Arc::new(vec![Record::new("reader", vec![b'x'; 336]); 50]);
    let begun = Instant::now();
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (log, batch) = (log.clone(), batch.clone());
            tokio::spawn(async move {
                let mut latencies_us = Vec::with_capacity(CALLS);
                for _ in 0..CALLS {
                    let sent = Instant::now();
                    let records = batch.to_vec();
                    log.append("t", caller as u32 % 4, records).await.unwrap();
                    latencies_us.push(sent.elapsed().as_micros());
                }
                latencies_us
            })
        })
        .collect();
    let mut latencies_us = Vec::new();
    for task in tasks {
        latencies_us.extend(task.await.unwrap());
    }
    let elapsed_s = begun.elapsed().as_secs_f64();
    latencies_us.sort_unstable();
    let records = CALLERS * CALLS * batch.len();
    let appended: u64 = records_in_all_partitions(&*log).await;
    assert_eq!(appended, records as u64);
    println!(
        "{records} records in {elapsed_s:.2} s: {:.0} records/s, p50 {} µs, p99 {} µs",
        records as f64 / elapsed_s,
        latencies_us[latencies_us.len() / 2],
        latencies_us[latencies_us.len() * 99 / 100],
    );
}

async fn records_in_all_partitions(log: &dyn mediaflow_ports::EventLog) -> u64 {
    let mut sum = 0;
    for partition in 0..4 {
        sum += log.end("t", partition).await.unwrap();
    }
    sum
}
