//! The whole product with its log on a real Kafka broker: content, readers, editors, restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_ports::EventLog;
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_test_servers::kafka::Kafka;
use mediaflow_test_servers::redis::{Redis, present};
use mediaflow_tests::{EDITOR, Origin, Reader, Setup, TOKEN, content_id, event, stories, until};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn on(kafka: &Kafka, prefix: &str) -> Setup {
    let uri = format!("kafka://{}/{prefix}", kafka.brokers());
    Setup::default().head(&format!("event_log = \"{uri}\""))
}

async fn post(origin: &Origin, ids: std::ops::Range<usize>) -> Value {
    let batch: Vec<_> = ids
        .map(|i| {
            event(
                &format!("e-{i}"),
                EventType::Click,
                content_id("r-0"),
                Some(&format!("reader-{}", i % 7)),
            )
        })
        .collect();
    let answer = Client::new()
        .post(format!("{}/v1/events", origin.url))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(serde_json::to_string(&batch).unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_product_runs_on_kafka_and_remembers_after_kill() {
    let Some(kafka) = Kafka::shared("the_product_runs_on_kafka_and_remembers_after_kill") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let setup = on(&kafka, "product");
    let mut origin = setup.start(dir.path());
    assert!(
        origin.log().contains("event_log: kafka at 127.0.0.1"),
        "{}",
        origin.log()
    );
    origin.import(&stories("r", 12)).await;
    Reader::new(&origin).filled(12).await;

    // What a reader reads reaches the profile that another device is served from.
    let reader = Reader::new(&origin);
    reader.consent().await;
    let before = reader.feed("limit=12").await;
    let read = ContentId::parse(before.items()[0]["id"].as_str().unwrap()).unwrap();
    let mut reading = event("read-1", EventType::Read, read, None);
    reading.data.exposure = before.items()[0]["_mediaflow"]["exposure"]
        .as_str()
        .map(str::to_owned);
    reader.send(&[reading]).await;
    let after = reader.feed("limit=12").await;
    assert!(!after.ids().contains(&read.to_string()));

    // An editor's pin goes through the audit topic.
    let pinned = content_id("r-11");
    let pin = json!({"content_id": pinned, "slot": 0, "ttl_min": 60, "name": "Front page"});
    let path = "/admin/v1/brands/daily/surfaces/home/pins";
    let (status, answer) = origin.admin(EDITOR, Method::POST, path, pin).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("the pin", Duration::from_secs(5), || async {
        (reader.feed("limit=5").await.ids()[0] == pinned.to_string()).then_some(())
    })
    .await;

    // Deduplication survives a kill, and what follows the topic goes on where it was.
    assert_eq!(post(&origin, 0..100).await["accepted"], 100);
    origin.kill();
    let origin = setup.start(dir.path());
    let again = post(&origin, 50..150).await;
    assert_eq!(
        (&again["accepted"], &again["duplicates"]),
        (&json!(50), &json!(50)),
        "{again}"
    );
    Reader::new(&origin).filled(12).await;
    let log = KafkaLog::open(
        &format!("kafka://{}/product", kafka.brokers())
            .parse()
            .unwrap(),
    )
    .unwrap();
    let mut times = BTreeMap::<String, u32>::new();
    for p in 0..log.partitions("events").await.unwrap() {
        let mut from = 0;
        loop {
            let records = log.read("events", p, from, 1000, 8 << 20).await.unwrap();
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            for r in &records {
                let v: Value = serde_json::from_slice(&r.record.value).unwrap();
                *times
                    .entry(v["id"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    let lines = Client::new()
        .get(format!("{}/admin/v1/events", origin.url))
        .bearer_auth(TOKEN)
        .send()
        .await
        .unwrap();
    let mut streamed = BTreeMap::<String, u32>::new();
    for line in lines.text().await.unwrap().lines() {
        let v: Value = serde_json::from_str(line).unwrap();
        let id = v["id"].as_str().unwrap().to_owned();
        *streamed.entry(id).or_default() += 1;
    }
    assert_eq!(streamed, times);
    let sent = (0..150).map(|i| format!("e-{i}"));
    assert!(
        sent.clone().all(|id| times.get(&id) == Some(&1)),
        "{times:?}"
    );
    until("every event folded", Duration::from_secs(30), || async {
        let metrics = reqwest::get(format!("{}/metrics", origin.url))
            .await
            .unwrap();
        let text = metrics.text().await.unwrap();
        let lag = |l: &&str| l.starts_with("mediaflow_events_lag_records{");
        let lags: Vec<_> = text.lines().filter(lag).collect();
        (!lags.is_empty() && lags.iter().all(|l| l.ends_with(" 0"))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_named_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup::default().head("event_log = \"kafka://127.0.0.1:1/x\"");
    let out = setup.command(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success());
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("kafka") && last.contains("brokers run"),
        "{said}"
    );
    let setup = Setup::default().head("event_log = \"kafka://127.0.0.1:1/x?replicas=3\"");
    let out = setup.command(dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("`replicas` is none of replication"), "{said}");
}

/// A count in a process's metrics; 0 while it has none.
async fn count(origin: &Origin, name: &str) -> u64 {
    origin.metric(name).await.unwrap_or(0.0) as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_share_the_making_of_articles_and_do_none_twice() {
    let Some((kafka, redis)) =
        Kafka::shared("two_processes_share_the_making_of_articles_and_do_none_twice")
            .filter(|_| present("two_processes_share_the_making_of_articles_and_do_none_twice"))
            .map(|kafka| (kafka, Redis::start(&[])))
    else {
        return;
    };
    let setup = |roles: &str| {
        let log = format!(
            "event_log = \"kafka://{}/shared?session_ms=6000\"",
            kafka.brokers()
        );
        let state = format!("state_store = \"{}\"", redis.uri(""));
        Setup::roles(roles).head(&format!("{log}\n{state}"))
    };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = setup("ingest,enrich,admin").start(one.path());
    let mut two = setup("enrich,admin").start(two.path());
    let shared = |a: u64, b: u64| (a, b) == (2, 2);
    until("both have a seat", Duration::from_secs(60), || async {
        let name = "enrich_partitions";
        let (a, b) = (count(&one, name).await, count(&two, name).await);
        shared(a, b).then_some(())
    })
    .await;
    let handled = "enrich_items_total";
    let both = async |n: u64| {
        until("all articles", Duration::from_secs(60), || async {
            let (a, b) = (count(&one, handled).await, count(&two, handled).await);
            (a + b >= n).then_some((a, b))
        })
        .await
    };
    let before = both(0).await;
    one.import(&stories("s", 120)).await;
    both(before.0 + before.1 + 120).await;
    // What was done twice would be counted twice, if later.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (a, b) = both(120).await;
    assert!(a > 0 && b > 0, "{a} {b}");
    assert_eq!(a + b, before.0 + before.1 + 120, "{a} and {b}");

    // One that goes leaves its share to the other.
    two.kill();
    one.import(&stories("t", 40)).await;
    until("the other's share", Duration::from_secs(60), || async {
        let all = count(&one, "enrich_partitions").await == 4;
        let (made, share) = (count(&one, handled).await, a + 40);
        (all && made >= share).then_some(())
    })
    .await;
}
