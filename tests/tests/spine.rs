//! The whole path over real processes: content in → feed → read → changed feed → pin → receipt → replay.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_shared::event::EventType;
use mediaflow_tests::{EDITOR, Origin, TOKEN, content_id, event, raw_item, until};
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

async fn import(origin: &Origin, items: &[Value]) {
    let r = Client::new()
        .post(format!("{}/admin/v1/import/content", origin.url))
        .bearer_auth(TOKEN)
        .json(items)
        .send()
        .await
        .unwrap();
    assert_eq!(r.status(), StatusCode::OK, "{}", r.text().await.unwrap());
}

async fn feed(
    client: &Client,
    origin: &Origin,
    query: &str,
) -> (StatusCode, Value, reqwest::header::HeaderMap) {
    let r = client
        .get(format!("{}/v1/feed/daily/home?{query}", origin.edge))
        .send()
        .await
        .unwrap();
    let (status, headers) = (r.status(), r.headers().clone());
    (status, r.json().await.unwrap_or(Value::Null), headers)
}

async fn filled(client: &Client, origin: &Origin, least: usize) -> Value {
    until("a full feed", Duration::from_secs(20), || async {
        let (_, f, _) = feed(client, origin, "limit=30").await;
        (f["items"].as_array().map_or(0, Vec::len) >= least).then_some(f)
    })
    .await
}

fn reader() -> Client {
    Client::builder().cookie_store(true).build().unwrap()
}

async fn consent(client: &Client, origin: &Origin) {
    let r = client
        .post(format!("{}/v1/me?brand=daily", origin.edge))
        .json(&json!({"action": "consent_on", "brand": "daily"}))
        .send()
        .await
        .unwrap();
    assert!(
        r.status().is_success(),
        "{} {}",
        r.status(),
        r.text().await.unwrap()
    );
}

fn football(feed: &Value, first: usize) -> usize {
    let items = feed["items"].as_array().unwrap();
    items
        .iter()
        .take(first)
        .filter(|i| i["title"].as_str().unwrap().starts_with("Football"))
        .count()
}

async fn admin(
    origin: &Origin,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
) -> (StatusCode, Value) {
    let r = Client::new()
        .request(method, format!("{}{path}", origin.url))
        .bearer_auth(token)
        .json(&body)
        .send()
        .await
        .unwrap();
    (r.status(), r.json().await.unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_becomes_a_feed_that_follows_the_reader_and_the_editor() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    import(&origin, &stories()).await;

    // Everybody's feed, without consent.
    let anonymous = reader();
    let plain = filled(&anonymous, &origin, 30).await;
    let (_, _, headers) = feed(&anonymous, &origin, "limit=30").await;
    assert_eq!(headers["mediaflow-rung"], "2");
    assert!(!headers.contains_key("set-cookie"));

    // A reader who consents and reads two football stories.
    let client = reader();
    consent(&client, &origin).await;
    let (_, before, _) = feed(&client, &origin, "limit=20").await;
    let read: Vec<&Value> = before["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["title"].as_str().unwrap().starts_with("Football"))
        .take(2)
        .collect();
    assert_eq!(read.len(), 2);
    let events: Vec<Value> = read
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let id = item["id"].as_str().unwrap();
            let content = mediaflow_shared::id::ContentId::parse(id).unwrap();
            let mut e =
                serde_json::to_value(event(&format!("read-{n}"), EventType::Read, content, None))
                    .unwrap();
            e["data"]["exposure"] = item["_mediaflow"]["exposure"].clone();
            e
        })
        .collect();
    let r = client
        .post(format!("{}/v1/events", origin.edge))
        .json(&events)
        .send()
        .await
        .unwrap();
    assert_eq!(r.status(), StatusCode::ACCEPTED);

    // The very next feed: the two are gone, and there is more football at the top than for everybody.
    let (_, after, headers) = feed(&client, &origin, "limit=20&explain=1").await;
    assert_eq!(headers["mediaflow-rung"], "0");
    assert_eq!(headers["cache-control"], "private, no-store");
    for item in &read {
        assert!(
            after["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|i| i["id"] != item["id"]),
            "a read item is served again"
        );
    }
    assert!(
        football(&after, 10) > football(&plain, 10),
        "{} {}",
        football(&after, 10),
        football(&plain, 10)
    );
    let reasons = after["items"][0]["_mediaflow"]["reasons"].to_string();
    assert!(reasons.contains("Because you read about"), "{reasons}");

    // An editor pins the last story of the feed to the top; it shows within two seconds, with proof.
    let pinned = content_id("story-39");
    let begun = Instant::now();
    let pin = json!({"content_id": pinned, "slot": 0, "ttl_min": 60, "name": "Front page"});
    let (status, answer) = admin(
        &origin,
        EDITOR,
        Method::POST,
        "/admin/v1/brands/daily/surfaces/home/pins",
        pin,
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let shown = until("the pin", Duration::from_secs(2), || async {
        let (_, f, _) = feed(&client, &origin, "limit=10").await;
        (f["items"][0]["id"] == pinned.to_string()).then_some(f)
    })
    .await;
    println!("pin published to feed: {:?}", begun.elapsed());
    assert!(
        shown["items"][0]["_mediaflow"]["reasons"]
            .to_string()
            .contains("Front page")
    );
    let receipt_url = answer["receipt_url"].as_str().unwrap().to_owned();
    let receipt = until("the receipt", Duration::from_secs(10), || async {
        feed(&client, &origin, "limit=1").await;
        let (_, r) = admin(&origin, EDITOR, Method::GET, &receipt_url, Value::Null).await;
        (r["reached"].as_u64() >= Some(1)).then_some(r)
    })
    .await;
    assert!(
        receipt["propagation_ms"].as_i64().unwrap() < 2_000,
        "{receipt}"
    );

    // A takedown outranks the pin, everywhere.
    let down = json!({"content_id": pinned, "reason": "court order"});
    let (status, _) = admin(
        &origin,
        TOKEN,
        Method::POST,
        "/admin/v1/brands/daily/takedowns",
        down,
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    until("the takedown", Duration::from_secs(2), || async {
        let (_, f, _) = feed(&client, &origin, "limit=50").await;
        f["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|i| i["id"] != pinned.to_string())
            .then_some(())
    })
    .await;

    // The same bytes again.
    let url = format!("{}/v1/feed/daily/home?limit=20&explain=1", origin.edge);
    let r = client.get(&url).send().await.unwrap();
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
    import(&origin, &stories()).await;
    let (phone, laptop) = (reader(), reader());
    filled(&phone, &origin, 30).await;
    let assertion = login("reader-7");
    for device in [&phone, &laptop] {
        consent(device, &origin).await;
        let r = device
            .post(format!("{}/v1/me?brand=daily", origin.edge))
            .json(&json!({"action": "link", "brand": "daily", "assertion": assertion}))
            .send()
            .await
            .unwrap();
        assert!(r.status().is_success(), "{}", r.text().await.unwrap());
    }
    let (_, f, _) = feed(&phone, &origin, "limit=5").await;
    let id = f["items"][0]["id"].as_str().unwrap().to_owned();
    let content = mediaflow_shared::id::ContentId::parse(&id).unwrap();
    let read = event("phone-read", EventType::Read, content, None);
    let r = phone
        .post(format!("{}/v1/events", origin.edge))
        .json(&read)
        .send()
        .await
        .unwrap();
    assert_eq!(r.status(), StatusCode::ACCEPTED);
    // A third device, new to this reader, asks KV for the profile.
    until(
        "the reading on another device",
        Duration::from_secs(5),
        || async {
            let tablet = reader();
            consent(&tablet, &origin).await;
            let body = json!({"action": "link", "brand": "daily", "assertion": assertion});
            tablet
                .post(format!("{}/v1/me?brand=daily", origin.edge))
                .json(&body)
                .send()
                .await
                .unwrap();
            let (_, f, _) = feed(&tablet, &origin, "limit=40").await;
            f["items"]
                .as_array()
                .unwrap()
                .iter()
                .all(|i| i["id"] != id.as_str())
                .then_some(())
        },
    )
    .await;
}

/// What a publisher's login signs: base64url(id) "." expiry "." base64url(HMAC-SHA256[..16]).
fn login(id: &str) -> String {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let b64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let said = format!(
        "{}.{}",
        b64.encode(id),
        mediaflow_tests::now_ms() / 1000 + 600
    );
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[0x44; 32]).unwrap();
    mac.update(said.as_bytes());
    format!("{said}.{}", b64.encode(&mac.finalize().into_bytes()[..16]))
}
