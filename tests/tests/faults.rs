//! What the stores and the network do on a bad day, against real processes: the next rung, never a 5xx.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_blob_store_redis::RedisBlobs;
use mediaflow_embedded::Embedded;
use mediaflow_http::Secret;
use mediaflow_ingest::collector::pseudonym;
use mediaflow_ports::{Blob, BlobStore, Lane};
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_tests::{Feed, Origin, Reader, Setup, event, skip, stories, until};
use reqwest::StatusCode;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FRONT: &str = "f/daily/home";
const RULES: &str = "r/daily/home";
const MODEL: &str = "m/daily";

/// What a store may hand out instead of a value.
fn damaged(good: &[u8], foreign: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = good.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let mut newer = good.to_vec();
    newer[4] = newer[4].wrapping_add(9);
    vec![
        ("empty", Vec::new()),
        ("truncated", good[..good.len() * 2 / 3].to_vec()),
        ("its first bytes", good[..7.min(good.len())].to_vec()),
        ("flipped", flipped),
        ("newer", newer),
        ("foreign", foreign.to_vec()),
        (
            "no value of ours",
            b"<html>503 Service Unavailable</html>".to_vec(),
        ),
    ]
}

/// Like [`damaged`] for a profile, whose version is its first byte.
fn damaged_profile(good: &[u8], foreign: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = damaged(good, foreign);
    let mut newer = good.to_vec();
    newer[0] = newer[0].wrapping_add(9);
    all.retain(|(what, _)| *what != "newer" && *what != "flipped");
    all.push(("newer", newer));
    all
}

fn is_served(what: &str, f: &Feed) {
    assert_eq!(f.status, StatusCode::OK, "{what}: {}", f.body);
    assert!(
        ["0", "1", "2", "3", "4"].contains(&f.rung()),
        "{what}: {:?}",
        f.headers
    );
    assert!(f.body["items"].is_array(), "{what}: {}", f.body);
}

async fn value(db: &Embedded, key: &str) -> Vec<u8> {
    db.blobs().get(key).await.unwrap().unwrap().value.to_vec()
}

async fn put(blobs: &dyn BlobStore, key: &str, bytes: Vec<u8>) {
    let done = blobs
        .put_many(Lane::Fronts, vec![Blob::new(key, bytes)])
        .await
        .unwrap();
    assert_eq!(done.written, 1, "{:?}", done.failed);
}

/// A reader of reader id `ann`, on a device that nobody used before.
async fn new_device(origin: &Origin) -> Reader {
    let r = Reader::new(origin);
    r.consent().await;
    r.link("ann").await;
    r
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_values_cost_a_rung_and_never_the_feed() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(dir.path());
    origin.import(&stories("f", 24)).await;
    let ann = new_device(&origin).await;
    ann.filled(24).await;
    let id = ContentId::parse(&ann.feed("limit=5").await.ids()[0]).unwrap();
    ann.send(&[event("ann-1", EventType::Read, id, None)]).await;
    let kv = origin.kv.clone();
    let profile = format!("u/{}", pseudonym(&Secret::new([0x22; 32]), "daily", "ann"));
    let keys = [FRONT, RULES, MODEL, profile.as_str()];
    until("a value of each kind", Duration::from_secs(20), || async {
        let page: Value = reqwest::get(format!("{kv}/"))
            .await
            .ok()?
            .json()
            .await
            .ok()?;
        let there = |key: &&str| {
            page["keys"]
                .as_array()
                .is_some_and(|all| all.iter().any(|k| k["name"] == **key))
        };
        keys.iter().all(there).then_some(())
    })
    .await;
    assert!(origin.stop(Duration::from_secs(20)).is_some());

    let db_path = dir.path().join("var/db");
    let db = Embedded::open(&db_path).unwrap();
    let mut good = Vec::new();
    for key in keys {
        good.push(value(&db, key).await);
    }
    drop(db);
    let mut tried = 0;
    for (at, key) in keys.iter().enumerate() {
        let foreign = &good[(at + 1) % good.len()];
        let cases = if *key == profile {
            damaged_profile(&good[at], foreign)
        } else {
            damaged(&good[at], foreign)
        };
        for (how, bytes) in cases {
            tried += 1;
            let what = format!("{key} is {how}");
            {
                let db = Embedded::open(&db_path).unwrap();
                for (k, bytes) in keys.iter().zip(&good) {
                    put(&*db.blobs(), k, bytes.clone()).await;
                }
                put(&*db.blobs(), key, bytes).await;
            }
            // Only the edge: the publisher would repair it.
            let origin = Setup::roles("edge").start(dir.path());
            let anonymous = Reader::new(&origin).feed("limit=30").await;
            is_served(&what, &anonymous);
            let linked = new_device(&origin).await.feed("limit=30").await;
            is_served(&what, &linked);
            let rungs = (anonymous.rung(), linked.rung());
            match *key {
                // A cold edge has no last good front.
                FRONT => assert_eq!(rungs, ("4", "4"), "{what}"),
                RULES | MODEL => {
                    assert_eq!(rungs.0, "2", "{what}");
                    assert!(!anonymous.items().is_empty(), "{what}");
                }
                _ => {
                    assert_eq!(rungs.0, "2", "{what}");
                    assert_ne!(
                        rungs.1, "0",
                        "{what}: a profile that cannot be read is not fresh"
                    );
                    assert!(!linked.items().is_empty(), "{what}");
                }
            }
        }
    }
    assert!(tried >= 20, "{tried}");
}

/// A real redis-server on a free port, in a folder of its own.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(dir: &Path) -> Option<Self> {
        let port = free_port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Self { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not listen on {port}");
    }

    fn uri(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let l = TcpListener::bind("127.0.0.1:0").unwrap();
    l.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_redis_damaged_or_gone_the_last_good_front_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let Some(redis) = Redis::start(dir.path()) else {
        skip(
            "with_redis_damaged_or_gone_the_last_good_front_is_served",
            "redis-server is not on PATH",
        );
        return;
    };
    let config = format!("blob_store = \"{}\"", redis.uri());
    let mut origin = Setup::default().head(&config).start(dir.path());
    origin.import(&stories("f", 24)).await;
    Reader::new(&origin).filled(24).await;
    assert!(origin.stop(Duration::from_secs(20)).is_some());

    let blobs = RedisBlobs::open(&redis.uri().parse().unwrap()).unwrap();
    let good = blobs.get(FRONT).await.unwrap().unwrap().value.to_vec();
    let rules = blobs.get(RULES).await.unwrap().unwrap().value.to_vec();
    let mut setup = Setup::roles("edge").head(&config);
    // What is held grows old at once, so that every damage is met.
    for name in ["MEDIAFLOW_FRONT_TTL_MS", "MEDIAFLOW_RULES_TTL_MS"] {
        setup.variables.push((name, "50".into()));
    }
    let edge = setup.start(dir.path());
    let reader = Reader::new(&edge);
    let before = reader.filled(24).await;
    assert_eq!(before.rung(), "2");
    for (how, bytes) in damaged(&good, &rules) {
        put(&blobs, FRONT, bytes).await;
        // Until the edge has met this damage, and once more.
        let met = || edge.log().matches("storage: f/daily/home").count();
        let (before, end) = (met(), Instant::now() + Duration::from_secs(10));
        while met() == before {
            let f = reader.feed("limit=100").await;
            is_served(&format!("the front is {how}"), &f);
            assert_eq!(f.ids().len(), 24, "the front is {how}");
            tokio::time::sleep(Duration::from_millis(30)).await;
            assert!(
                Instant::now() < end,
                "the front is {how}, and nobody saw it"
            );
        }
        assert_eq!(reader.feed("limit=100").await.ids().len(), 24);
    }
    put(&blobs, FRONT, good).await;

    // The server is gone: from memory, at once.
    drop(redis);
    for _ in 0..5 {
        let begun = Instant::now();
        let f = reader.feed("limit=100").await;
        is_served("redis is gone", &f);
        assert_eq!(f.ids().len(), 24);
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // An edge that never saw anything serves its built-in default.
    let empty = tempfile::tempdir().unwrap();
    let cold = setup.start(empty.path());
    let f = Reader::new(&cold).feed("limit=10").await;
    is_served("redis was never there", &f);
    assert_eq!(f.rung(), "4");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_origin_is_down_feeds_go_on_and_events_arrive_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(dir.path());
    origin.import(&stories("f", 24)).await;
    Reader::new(&origin).filled(24).await;
    assert!(origin.stop(Duration::from_secs(20)).is_some());

    let port = free_port();
    let edge = Setup::roles("edge")
        .head(&format!("origin_url = \"http://127.0.0.1:{port}\""))
        .start(dir.path());
    let reader = Reader::new(&edge);
    reader.consent().await;
    let before = reader.feed("limit=100").await;
    let id = ContentId::parse(&before.ids()[0]).unwrap();
    let told = reader
        .send(&[event("while-down", EventType::Read, id, None)])
        .await;
    assert_eq!(told["queued"], true, "{told}");
    let after = reader.feed("limit=100").await;
    assert_eq!(
        (after.status, after.rung()),
        (StatusCode::OK, "0"),
        "the reading counts at once"
    );
    assert!(!after.ids().contains(&id.to_string()));

    // The origin comes back: here a listener that keeps what it gets.
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let take = axum::routing::post(move |body: axum::body::Bytes| {
        let tx = tx.clone();
        async move {
            let _ = tx.send(body);
            (StatusCode::ACCEPTED, "{\"accepted\":1}")
        }
    });
    let app = axum::Router::new()
        .route("/v1/events", take)
        .fallback(|| async { StatusCode::ACCEPTED });
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let arrived = until("the event", Duration::from_secs(20), || {
        let got = rx.try_recv().ok();
        let reader = reader.clone();
        async move {
            // What an edge owes is sent with the next requests.
            reader.feed("limit=1").await;
            got
        }
    })
    .await;
    let events: Value = serde_json::from_slice(&arrived).unwrap();
    let all = events.as_array().unwrap();
    assert!(
        all.iter()
            .any(|e| e["id"] == "while-down" || e["type"] == "org.mediaflow.consent.v1"),
        "{events}"
    );
    let mut ids: Vec<Value> = all.iter().map(|e| e["id"].clone()).collect();
    while !ids.contains(&Value::from("while-down")) {
        let more = tokio::time::timeout(Duration::from_secs(20), rx.recv()).await;
        let more: Value = serde_json::from_slice(&more.unwrap().unwrap()).unwrap();
        ids.extend(more.as_array().unwrap().iter().map(|e| e["id"].clone()));
    }
    serving.abort();
}
