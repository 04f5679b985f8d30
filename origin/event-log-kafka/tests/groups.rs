//! Processes share partitions by Kafka's group protocol, and hear of each other's appends.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::{EventLog, Membership, PortErrorKind, Record};
use mediaflow_test_servers::kafka::Kafka;

const MEMBER_URI: &str = "MEDIAFLOW_TEST_MEMBER_URI";

fn open(kafka: &Kafka, prefix: &str) -> (KafkaLog, String) {
    let uri = format!("kafka://{}/{prefix}?session_ms=2000", kafka.brokers());
    (KafkaLog::open(&uri.parse().unwrap()).unwrap(), uri)
}

async fn owns(
    member: &Membership,
    what: &str,
    is: impl Fn(&BTreeSet<u32>) -> bool,
) -> Arc<BTreeSet<u32>> {
    let mut assigned = member.assigned();
    let found =
        tokio::time::timeout(Duration::from_secs(30), assigned.wait_for(|own| is(own))).await;
    found
        .unwrap_or_else(|_| panic!("{what}: still {:?}", member.assigned().borrow()))
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_partitions_and_take_over_from_one_that_leaves() {
    let Some(kafka) = Kafka::shared("members_share_partitions_and_take_over_from_one_that_leaves")
    else {
        return;
    };
    let ((one, _), (two, _)) = (open(&kafka, "share"), open(&kafka, "share"));
    one.ensure_topic("events", 6).await.unwrap();
    assert_eq!(
        one.join("features", "nowhere")
            .await
            .err()
            .map(|e| e.kind()),
        Some(PortErrorKind::NotFound)
    );
    let first = one.join("features", "events").await.unwrap();
    owns(&first, "alone", |own| own.len() == 6).await;
    let second = two.join("features", "events").await.unwrap();
    let ours = owns(&second, "the second", |own| own.len() == 3).await;
    let theirs = owns(&first, "the first", |own| own.len() == 3).await;
    assert!(ours.is_disjoint(&theirs), "{ours:?} {theirs:?}");
    // Another group is not concerned.
    let other = two.join("catalogue", "events").await.unwrap();
    owns(&other, "another group", |own| own.len() == 6).await;
    drop(first);
    owns(&second, "after one left", |own| own.len() == 6).await;
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test(flavor = "multi_thread")]
async fn member_of_another_process() {
    let Ok(uri) = std::env::var(MEMBER_URI) else {
        return;
    };
    let log = KafkaLog::open(&uri.parse().unwrap()).unwrap();
    let member = log.join("features", "events").await.unwrap();
    owns(&member, "the other process", |own| own.len() == 2).await;
    println!("joined");
    std::future::pending::<()>().await;
}

struct Killed(Child);

impl Killed {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_its_partitions_within_its_session() {
    let Some(kafka) = Kafka::shared("a_killed_process_loses_its_partitions_within_its_session")
    else {
        return;
    };
    let (log, uri) = open(&kafka, "killed");
    log.ensure_topic("events", 4).await.unwrap();
    let member = log.join("features", "events").await.unwrap();
    owns(&member, "alone", |own| own.len() == 4).await;
    let other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "member_of_another_process", "--nocapture"])
        .env(MEMBER_URI, &uri)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let other = Killed(other);
    owns(&member, "shared", |own| own.len() == 2).await;
    // Paused for longer than its session, it is replaced; resumed, it gets a share again.
    other.signal("STOP");
    owns(&member, "after the stop", |own| own.len() == 4).await;
    other.signal("CONT");
    owns(&member, "after it went on", |own| own.len() == 2).await;
    let begun = Instant::now();
    drop(other);
    owns(&member, "after the kill", |own| own.len() == 4).await;
    println!(
        "partitions of a killed process were taken over after {:?}",
        begun.elapsed()
    );
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_other_processes_wake_within_a_tenth_of_a_second() {
    let Some(kafka) = Kafka::shared("readers_of_other_processes_wake_within_a_tenth_of_a_second")
    else {
        return;
    };
    // Two logs of one process know no more of each other than two processes.
    let ((writer, _), (reader, _)) = (open(&kafka, "wake"), open(&kafka, "wake"));
    writer.ensure_topic("events", 2).await.unwrap();
    let mut news = reader.watch("events").unwrap();
    let mut slowest = [Duration::ZERO; 2];
    for round in 0..20_u64 {
        // In the second half somebody reads, and hears of it from the fetch.
        let reads = usize::from(round >= 10);
        if reads == 1 {
            let found = reader.read("events", 0, round, 10, 1 << 20).await.unwrap();
            assert!(found.is_empty(), "nothing is there yet");
        }
        tokio::time::sleep(Duration::from_millis(120)).await;
        news.mark_unchanged();
        writer
            .append("events", 0, vec![Record::new("", round.to_string())])
            .await
            .unwrap();
        let begun = Instant::now();
        tokio::time::timeout(Duration::from_secs(5), news.changed())
            .await
            .unwrap()
            .unwrap();
        slowest[reads] = slowest[reads].max(begun.elapsed());
        let found = reader.read("events", 0, round, 10, 1 << 20).await.unwrap();
        assert_eq!(found.len(), 1, "what woke a reader is readable");
    }
    println!(
        "slowest to wake: {:?} by asking, {:?} by reading",
        slowest[0], slowest[1]
    );
    assert!(
        slowest.iter().all(|s| *s < Duration::from_millis(500)),
        "{slowest:?}"
    );
}
