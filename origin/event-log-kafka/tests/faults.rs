//! Brokers that die, come back, or were never there: nothing acknowledged is lost.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::{EventLog, PortErrorKind, Record};
use mediaflow_test_servers::kafka::Kafka;

/// Appends without pause until told to stop; what was acknowledged, and how often an append was refused.
async fn write(
    log: Arc<KafkaLog>,
    lane: u32,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<BTreeMap<String, (u32, u64)>>>,
) -> usize {
    let mut refused = 0;
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let names: Vec<String> = (0..5).map(|i| format!("{lane}/{n}/{i}")).collect();
        let records = names
            .iter()
            .map(|name| Record::new("", name.clone()))
            .collect();
        match log.append("ledger", lane % 2, records).await {
            Ok(offsets) => {
                let told = names
                    .into_iter()
                    .zip(offsets)
                    .map(|(name, at)| (name, (lane % 2, at)));
                acknowledged.lock().unwrap().extend(told);
            }
            Err(error) => {
                assert!(
                    error.is_retryable(),
                    "{error}: {:?}",
                    std::error::Error::source(&error)
                );
                refused += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    refused
}

/// Every acknowledged record is at its offset, once, and each writer's records are in order.
async fn check(log: &KafkaLog, acknowledged: &BTreeMap<String, (u32, u64)>) {
    let mut stored = BTreeMap::new();
    let mut doubled = BTreeSet::new();
    for partition in 0..2 {
        let mut from = 0;
        loop {
            let found = log
                .read("ledger", partition, from, 1_000, 1 << 20)
                .await
                .unwrap();
            let Some(last) = found.last() else { break };
            from = last.offset + 1;
            for r in &found {
                let name = String::from_utf8(r.record.value.to_vec()).unwrap();
                if stored.insert(name.clone(), (partition, r.offset)).is_some() {
                    doubled.insert(name);
                }
            }
        }
    }
    let missing: Vec<_> = acknowledged
        .iter()
        .filter(|(name, at)| stored.get(*name) != Some(*at))
        .collect();
    println!(
        "{} acknowledged, {} stored",
        acknowledged.len(),
        stored.len()
    );
    assert!(
        missing.is_empty(),
        "acknowledged and not where it was said: {missing:?}"
    );
    assert!(
        doubled.is_empty(),
        "the client's own retries doubled {doubled:?}"
    );
}

async fn under_load(
    log: &Arc<KafkaLog>,
    fault: impl FnOnce(),
) -> (BTreeMap<String, (u32, u64)>, usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(BTreeMap::new()));
    let writers: Vec<_> = (0..4)
        .map(|lane| tokio::spawn(write(log.clone(), lane, stop.clone(), acknowledged.clone())))
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::block_in_place(fault);
    let before = acknowledged.lock().unwrap().len();
    let begun = Instant::now();
    // It goes on by itself.
    while acknowledged.lock().unwrap().len() < before + 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "appends do not go on"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("appends went on {:?} after the fault", begun.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for writer in writers {
        refused += writer.await.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    (acknowledged, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_and_back_loses_nothing_acknowledged() {
    let Some(mut kafka) = Kafka::for_test("a_broker_killed_and_back_loses_nothing_acknowledged", 1)
    else {
        return;
    };
    let uri = format!("kafka://{}?delivery_timeout_ms=2000", kafka.brokers());
    let log = Arc::new(KafkaLog::open(&uri.parse().unwrap()).unwrap());
    log.ensure_topic("ledger", 2).await.unwrap();
    // A reader is at work all the time: errors are news to it, not the end.
    let (following, last) = (log.clone(), Arc::new(AtomicU64::new(u64::MAX)));
    let (mut news, until) = (log.watch("ledger").unwrap(), last.clone());
    let reader = tokio::spawn(async move {
        let mut from = 0;
        while from <= until.load(Ordering::Relaxed) {
            match following.read("ledger", 0, from, 100, 1 << 20).await {
                Ok(found) if found.is_empty() => {
                    let _ = tokio::time::timeout(Duration::from_millis(100), news.changed()).await;
                }
                Ok(found) => from = found[found.len() - 1].offset + 1,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    });
    let (acknowledged, refused) = under_load(&log, || {
        kafka.kill(0);
        std::thread::sleep(Duration::from_secs(3));
        kafka.restart(0).unwrap();
    })
    .await;
    println!("{refused} appends were refused meanwhile");
    assert!(refused > 0, "longer away than an append waits");
    check(&log, &acknowledged).await;
    let newest = acknowledged
        .values()
        .filter(|(p, _)| *p == 0)
        .map(|(_, at)| *at)
        .max();
    last.store(newest.unwrap(), Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(20), reader)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_brokers_killed_stops_nothing() {
    let Some(mut kafka) = Kafka::for_test("one_of_three_brokers_killed_stops_nothing", 3) else {
        return;
    };
    let uri = format!("kafka://{}/p?replication=3", kafka.brokers());
    let log = Arc::new(KafkaLog::open(&uri.parse().unwrap()).unwrap());
    log.ensure_topic("ledger", 2).await.unwrap();
    let (acknowledged, refused) = under_load(&log, || kafka.kill(0)).await;
    println!("{refused} appends were refused meanwhile");
    check(&log, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_not_there_is_unavailable_in_bounded_time() {
    let uri = "kafka://127.0.0.1:1/p?delivery_timeout_ms=1000";
    let log = KafkaLog::open(&uri.parse().unwrap()).unwrap();
    let begun = Instant::now();
    let error = log.ensure_topic("events", 1).await.unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unavailable, "{error}");
    assert!(
        error.to_string().contains("check that the brokers run"),
        "{error}"
    );
    assert!(begun.elapsed() < Duration::from_secs(15));
}
