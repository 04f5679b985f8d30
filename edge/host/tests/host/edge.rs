//! The real component of `edge/spin` in this host: it answers, and steps down when stores fail.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::world::{World, build_guest, serve};

/// The component named by the environment, else built once.
fn component() -> Option<PathBuf> {
    static COMPONENT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = COMPONENT.get_or_init(|| {
        if let Some(path) = std::env::var_os("MEDIAFLOW_SPIN_COMPONENT") {
            return Some(path.into());
        }
        build_guest(&["--lib"], "mediaflow_edge_spin.wasm")
    });
    built.clone()
}

async fn edge(test: &str, kv: &str, flags: &[&str]) -> Option<World> {
    let Some(component) = tokio::task::spawn_blocking(component).await.unwrap() else {
        eprintln!("skipped: {test}: the Spin component could not be built");
        return None;
    };
    let brands = r#"brands=[{"slug":"daily","title":"The Daily","surfaces":["home"]}]"#;
    let token_keys = format!("token_keys=1:{}", "11".repeat(32));
    let reader_key = format!("reader_key={}", "22".repeat(32));
    let exposure_key = format!("exposure_key={}", "33".repeat(16));
    let login_key = format!("login_key={}", "44".repeat(32));
    let mut all = Vec::new();
    for variable in [brands, &token_keys, &reader_key, &exposure_key, &login_key] {
        all.extend(["--variable", variable]);
    }
    all.extend(["--variable", "edge_token=edge-secret"]);
    all.extend(flags);
    let folder = tempfile::tempdir().unwrap();
    let kv = match kv {
        "" => folder.path().to_str().unwrap().to_owned(),
        kv => kv.to_owned(),
    };
    Some(serve(&component, &kv, &all, folder).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_component_answers_for_its_own_health() {
    let Some(world) = edge("health", "", &[]).await else {
        return;
    };
    assert_eq!(world.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_brand_is_not_found() {
    let Some(world) = edge("unknown brand", "", &[]).await else {
        return;
    };
    assert_eq!(world.get("/v1/feed/nobody/home").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_served_with_an_empty_store_and_with_one_that_is_down() {
    // Port 9 of loopback: nobody listens.
    for kv in ["", "redis://127.0.0.1:9", "http://127.0.0.1:9/kv"] {
        let Some(world) = edge("feed without stores", kv, &[]).await else {
            return;
        };
        let feed = world.get("/v1/feed/daily/home").await.ok();
        let feed: serde_json::Value = serde_json::from_str(&feed).unwrap();
        assert!(feed["items"].is_array(), "{kv}: {feed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_without_its_variables_says_which_in_the_log_and_fails_politely() {
    let Some(world) = edge("missing variables", "", &["--variable", "brands="]).await else {
        return;
    };
    assert_eq!(world.get("/v1/feed/daily/home").await.status, 500);
}

type Received = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// An origin that takes everything and remembers path, bearer and body.
async fn origin() -> (String, Received) {
    let received = Received::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let log = received.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let log = log.clone();
            let take = service_fn(move |request: Request<Incoming>| {
                let log = log.clone();
                async move {
                    let bearer = request.headers().get("authorization");
                    let bearer = bearer.map_or("", |value| value.to_str().unwrap());
                    let (path, bearer) = (request.uri().path().to_owned(), bearer.to_owned());
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    log.lock().unwrap().push((path, bearer, body.to_vec()));
                    let mut response = Response::new(Full::<Bytes>::default());
                    *response.status_mut() = http::StatusCode::ACCEPTED;
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), take));
        }
    });
    (url, received)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_the_origin_with_the_edges_token() {
    let (url, received) = origin().await;
    let variable = format!("origin_url={url}");
    let flags = ["--variable", &variable, "--allow-outbound", &url];
    let Some(world) = edge("events", "", &flags).await else {
        return;
    };
    let event = serde_json::json!([{
        "specversion": "1.0", "id": "e1", "source": "https://daily.example/web",
        "type": "org.mediaflow.read.v1", "time": "2026-11-21T08:00:00Z",
        "subject": "00000000000000ff",
        "data": {"brand": "daily", "content_id": "00000000000000ff", "dwell_s": 41.5},
    }]);
    let answer = world.post("/v1/events", &event.to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    for _ in 0..100 {
        let seen = received.lock().unwrap().clone();
        if let Some((_, bearer, body)) = seen.iter().find(|(path, ..)| path == "/v1/events") {
            assert_eq!(bearer, "Bearer edge-secret");
            assert!(String::from_utf8_lossy(body).contains("e1"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no event arrived: {:?}", received.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_served_record_reaches_the_origin_the_last_ones_before_the_host_ends() {
    const FEEDS: usize = 12;
    let (url, received) = origin().await;
    let variable = format!("origin_url={url}");
    let flags = ["--variable", &variable, "--allow-outbound", &url];
    let Some(mut world) = edge("served records", "", &flags).await else {
        return;
    };
    // Feeds of other lengths are other feeds: a shared one is recorded once.
    for limit in 1..=FEEDS {
        let feed = format!("/v1/feed/daily/home?limit={limit}");
        world.get(&feed).await.ok();
    }
    // What was taken is sent before the host ends.
    world.stop();
    (&mut world.served).await.unwrap();
    let received = received.lock().unwrap();
    let posts: Vec<_> = received
        .iter()
        .filter(|(path, ..)| path == "/v1/served")
        .collect();
    let records: usize = posts
        .iter()
        .map(|(_, bearer, body)| {
            assert_eq!(bearer, "Bearer edge-secret");
            assert_eq!(body[0], 0xdc, "a MessagePack array of up to 65,535");
            usize::from(u16::from_be_bytes([body[1], body[2]]))
        })
        .sum();
    assert_eq!(records, FEEDS);
}
