//! The whole path over real processes: content in → feed → read → changed feed → pin → receipt → replay.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_test_servers::redis::{self, Redis};
use mediaflow_tests::{
    EDITOR, Feed, Origin, Reader, Setup, TOKEN, content_id, event, raw_item, until,
};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SPORT: &str = "The striker scored twice as the football club won the league match. Coach and players \
                     praised the goal in the stadium after the championship final.";
const SCIENCE: &str = "Researchers at the laboratory published a study of quantum physics. The scientists measured \
                       particles in an experiment and the research surprised physicists.";

/// Forty stories, every other one about football, the rest about science.
fn stories() -> Vec<Value> {
    (0..40)
        .map(|i| {
            let (title, body) = if i % 2 == 0 {
                (format!("Football club wins match number {i}"), SPORT)
            } else {
                (format!("Physicists publish study number {i}"), SCIENCE)
            };
            // Different enough that they are not near-duplicates of each other.
            let tail: Vec<String> = (0..60)
                .map(|w| format!("detail{}", (i * 7919 + w * 104_729) % 9973))
                .collect();
            let mut item = raw_item(
                &format!("story-{i}"),
                &title,
                &format!("{body} {}", tail.join(" ")),
                30 + i,
            );
            item["author"] = json!(format!("Author {i}"));
            item
        })
        .collect()
}

fn football(feed: &Feed, first: usize) -> usize {
    feed.items()
        .iter()
        .take(first)
        .filter(|i| i["title"].as_str().unwrap().starts_with("Football"))
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_becomes_a_feed_that_follows_the_reader_and_the_editor() {
    walk(&Setup::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_path_with_state_in_redis() {
    if !redis::present("the_same_path_with_state_in_redis") {
        return;
    }
    let server = Redis::start(&[]);
    let state = format!("state_store = \"{}\"", server.uri("/1"));
    walk(&Setup::default().head(&state)).await;
    let keys: u32 = server.cli(&["-n", "1", "dbsize"]).trim().parse().unwrap();
    assert!(keys > 100, "state is in redis: {keys} keys");
}

/// From content to a feed that follows the reader and the editor, and back to the same bytes.
async fn walk(setup: &Setup) {
    let dir = tempfile::tempdir().unwrap();
    let origin = setup.start(dir.path());
    origin.import(&stories()).await;

    // Everybody's feed, without consent.
    let anonymous = Reader::new(&origin);
    let plain = anonymous.filled(30).await;
    assert_eq!(plain.rung(), "2");
    assert!(!plain.headers.contains_key("set-cookie"));

    // A reader who consents and reads two football stories.
    let reader = Reader::new(&origin);
    reader.consent().await;
    let before = reader.feed("limit=20").await;
    let read: Vec<&Value> = before
        .items()
        .iter()
        .filter(|i| i["title"].as_str().unwrap().starts_with("Football"))
        .take(2)
        .collect();
    assert_eq!(read.len(), 2);
    let events: Vec<_> = read
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let content = ContentId::parse(item["id"].as_str().unwrap()).unwrap();
            let mut e = event(&format!("read-{n}"), EventType::Read, content, None);
            e.data.exposure = item["_mediaflow"]["exposure"].as_str().map(str::to_owned);
            assert!(e.data.exposure.is_some());
            e
        })
        .collect();
    reader.send(&events).await;

    // The very next feed: the two are gone, and there is more football at the top than for everybody.
    let after = reader.feed("limit=20&explain=1").await;
    assert_eq!(after.rung(), "0");
    assert_eq!(after.header("cache-control"), "private, no-store");
    for item in &read {
        let id = item["id"].as_str().unwrap().to_owned();
        assert!(!after.ids().contains(&id), "a read item is served again");
    }
    assert!(
        football(&after, 10) > football(&plain, 10),
        "{} {}",
        football(&after, 10),
        football(&plain, 10)
    );
    let reasons = after.items()[0]["_mediaflow"]["reasons"].to_string();
    assert!(reasons.contains("Because you read about"), "{reasons}");

    // An editor pins the last story of the feed to the top; it shows within two seconds, with proof.
    let pinned = content_id("story-39");
    let begun = Instant::now();
    let pin = json!({"content_id": pinned, "slot": 0, "ttl_min": 60, "name": "Front page"});
    let path = "/admin/v1/brands/daily/surfaces/home/pins";
    let (status, answer) = origin.admin(EDITOR, Method::POST, path, pin).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let shown = until("the pin", Duration::from_secs(2), || async {
        let f = reader.feed("limit=10").await;
        (f.ids()[0] == pinned.to_string()).then_some(f)
    })
    .await;
    println!("pin published to feed: {:?}", begun.elapsed());
    assert!(
        shown.items()[0]["_mediaflow"]["reasons"]
            .to_string()
            .contains("Front page")
    );
    let receipt_url = answer["receipt_url"].as_str().unwrap().to_owned();
    let receipt = until("the receipt", Duration::from_secs(10), || async {
        reader.feed("limit=1").await;
        let (_, r) = origin
            .admin(EDITOR, Method::GET, &receipt_url, Value::Null)
            .await;
        (r["reached"].as_u64() >= Some(1)).then_some(r)
    })
    .await;
    assert!(
        receipt["propagation_ms"].as_i64().unwrap() < 2_000,
        "{receipt}"
    );

    // A takedown outranks the pin, everywhere.
    let down = json!({"content_id": pinned, "reason": "court order"});
    let path = "/admin/v1/brands/daily/takedowns";
    let (status, answer) = origin.admin(TOKEN, Method::POST, path, down).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("the takedown", Duration::from_secs(2), || async {
        let f = reader.feed("limit=50").await;
        (!f.ids().contains(&pinned.to_string())).then_some(())
    })
    .await;

    // The same bytes again.
    let url = format!("{}/v1/feed/daily/home?limit=20&explain=1", origin.edge);
    let r = reader.client.get(&url).send().await.unwrap();
    let feed_id = r.headers()["mediaflow-feed-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let served = r.bytes().await.unwrap();
    let replayed = until("the replay", Duration::from_secs(10), || async {
        let r = Client::new()
            .get(format!("{}/admin/v1/replay/{feed_id}", origin.url))
            .bearer_auth(TOKEN)
            .send()
            .await
            .unwrap();
        (r.status() == StatusCode::OK).then_some(r)
    })
    .await;
    assert_eq!(replayed.headers()["mediaflow-replay"], "identical");
    assert_eq!(replayed.bytes().await.unwrap(), served);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_shows_on_another_device_within_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    origin.import(&stories()).await;
    let (phone, laptop) = (Reader::new(&origin), Reader::new(&origin));
    phone.filled(30).await;
    for device in [&phone, &laptop] {
        device.consent().await;
        device.link("reader-7").await;
    }
    let id = phone.feed("limit=5").await.ids()[0].clone();
    let content = ContentId::parse(&id).unwrap();
    phone
        .send(&[event("phone-read", EventType::Read, content, None)])
        .await;
    // A third device, new to this reader, asks KV for the profile.
    until(
        "the reading on another device",
        Duration::from_secs(5),
        || async {
            let tablet = Reader::new(&origin);
            tablet.consent().await;
            tablet.link("reader-7").await;
            let f = tablet.feed("limit=40").await;
            (!f.ids().contains(&id)).then_some(())
        },
    )
    .await;
}
