//! Against a local server that behaves as Cloudflare documents its Workers KV REST API.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mediaflow_blob_store_cloudflare::{CloudflareBlobs, CloudflareConfig};
use mediaflow_ports::conformance::{self, BlobFixture, Pending};
use mediaflow_ports::{Blob, BlobStore, Lane, PortErrorKind, PortResult};

use crate::server::{Fault, Server, TOKEN};

fn client(server: &Server, token: &str, namespace: &str) -> PortResult<CloudflareBlobs> {
    let uri = format!("cloudflare://acc1/{namespace}").parse()?;
    let config = CloudflareConfig::new(&uri, token, Arc::new(|| 7))?;
    CloudflareBlobs::new(CloudflareConfig {
        api_base: server.base.clone(),
        backoff_first: Duration::from_millis(20),
        clock: server.clock.clone(),
        ..config
    })
}

async fn pair() -> (Server, Arc<CloudflareBlobs>) {
    let server = Server::start().await;
    let store = Arc::new(client(&server, TOKEN, "ns1").unwrap());
    (server, store)
}

fn one(key: &str, value: &str) -> Vec<Blob> {
    vec![Blob::new(key, value.to_owned())]
}

impl BlobFixture for Server {
    fn open(&self) -> Pending<'_, Arc<dyn BlobStore>> {
        Box::pin(async { Arc::new(client(self, TOKEN, "ns1").unwrap()) as Arc<dyn BlobStore> })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        Box::pin(async move { self.clock.advance(ms) })
    }
    fn ttl_s_min(&self) -> u64 {
        60
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloudflare_blob_store_conforms() {
    let server = Server::start().await;
    conformance::blob_store(&server).await;
    assert_eq!(
        server.violations(),
        Vec::<String>::new(),
        "no documented limit was exceeded"
    );
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_told() {
    let (server, store) = pair().await;
    server.script([
        Fault::Throttle {
            retry_after_s: Some(1),
        },
        Fault::Throttle {
            retry_after_s: None,
        },
    ]);
    let begun = Instant::now();
    let report = store.put_many(Lane::Fronts, one("k", "v")).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (1, 0));
    assert!(
        begun.elapsed() >= Duration::from_secs(1),
        "Retry-After is honoured"
    );
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn a_long_throttle_is_handed_to_the_caller() {
    let (server, store) = pair().await;
    server.script([Fault::Throttle {
        retry_after_s: Some(300),
    }]);
    let report = store.put_many(Lane::Fronts, one("k", "v")).await.unwrap();
    let reason = &report.failed[0].reason;
    assert_eq!(
        reason.kind(),
        PortErrorKind::Throttled { retry_after_s: 300 },
        "{reason}"
    );
    assert!(reason.is_retryable());
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn server_errors_and_cut_connections_are_retried() {
    let (server, store) = pair().await;
    server.script([
        Fault::Status(500),
        Fault::Cut,
        Fault::Status(503),
        Fault::NotSuccessful,
    ]);
    let report = store.put_many(Lane::Fronts, one("k", "v")).await.unwrap();
    assert_eq!(
        (report.written, report.failed.len()),
        (1, 0),
        "{:?}",
        report.failed
    );
    assert_eq!(server.calls().len(), 5);
    assert_eq!(store.get("k").await.unwrap().unwrap().value, "v");
}

#[tokio::test]
async fn lasting_trouble_ends_in_a_retryable_failure() {
    let (server, store) = pair().await;
    server.script((0..20).map(|_| Fault::Status(502)));
    let report = store.put_many(Lane::Fronts, one("k", "v")).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (0, 1));
    assert_eq!(report.failed[0].reason.kind(), PortErrorKind::Unavailable);
    assert_eq!(server.calls().len(), 5, "tries are bounded");
}

#[tokio::test]
async fn unsuccessful_keys_and_only_they_are_sent_again() {
    let (server, store) = pair().await;
    server.script([Fault::Partial(vec!["b".to_owned()])]);
    let blobs = ["a", "b", "c"].map(|key| Blob::new(key, "v")).to_vec();
    let report = store.put_many(Lane::Fronts, blobs).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (3, 0));
    assert_eq!(server.calls()[1].keys, ["b"]);
    assert_eq!(store.get("b").await.unwrap().unwrap().value, "v");
    assert_eq!(
        server.violations(),
        Vec::<String>::new(),
        "a second passes between writes of b"
    );
}

#[tokio::test]
async fn a_wrong_token_or_namespace_is_an_error_that_names_the_remedy() {
    let (server, _) = pair().await;
    let wrong = client(&server, "hunter2", "ns1").unwrap();
    let error = wrong
        .put_many(Lane::Rules, one("k", "v"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::Unauthorized);
    let message = error.to_string();
    assert!(
        message.contains("CLOUDFLARE_API_TOKEN") && !message.contains("hunter2"),
        "{message}"
    );
    assert!(!wrong.summary().line.contains("hunter2"));
    assert_eq!(
        wrong.get("k").await.unwrap_err().kind(),
        PortErrorKind::Unauthorized
    );
    assert_eq!(server.calls().len(), 2, "a refusal is not retried");
    let elsewhere = client(&server, TOKEN, "nowhere").unwrap();
    let error = elsewhere
        .put_many(Lane::Rules, one("k", "v"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), PortErrorKind::NotFound, "{error}");
    assert_eq!(
        elsewhere.get("k").await.unwrap_err().kind(),
        PortErrorKind::NotFound
    );
    let empty = client(&server, " ", "ns1").err().map(|e| e.kind());
    assert_eq!(empty, Some(PortErrorKind::Unauthorized));
}

#[tokio::test]
async fn an_unreachable_server_is_unavailable() {
    let (server, _) = pair().await;
    let mut config =
        CloudflareConfig::new(&"cloudflare://a/n".parse().unwrap(), "t", Arc::new(|| 0)).unwrap();
    config.backoff_first = Duration::from_millis(1);
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    config.api_base = format!("http://{free}");
    let store = CloudflareBlobs::new(config).unwrap();
    assert_eq!(
        store.get("k").await.unwrap_err().kind(),
        PortErrorKind::Unavailable
    );
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_never_wait_behind_profiles() {
    let (server, store) = pair().await;
    server.slow_down("u/", Duration::from_secs(2));
    let slow = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .put_many(Lane::Profiles, one("u/1", "v"))
                .await
                .unwrap()
                .written
        }
    });
    while server.calls().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    let report = store
        .put_many(Lane::Rules, one("r/brand/home", "pin"))
        .await
        .unwrap();
    assert_eq!(report.written, 1);
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    assert!(!slow.is_finished(), "the profiles were still under way");
    assert_eq!(slow.await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_one_key_keep_a_second_apart_and_the_overtaken_are_not_sent() {
    let (server, store) = pair().await;
    assert_eq!(
        store
            .put_many(Lane::Rules, one("r/b/s", "0"))
            .await
            .unwrap()
            .written,
        1
    );
    let mut tasks = Vec::new();
    for n in 1..=10 {
        let store = store.clone();
        let blobs = vec![Blob::new("r/b/s", n.to_string())];
        tasks.push(tokio::spawn(async move {
            store.put_many(Lane::Rules, blobs).await
        }));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().written, 1);
    }
    assert_eq!(
        store.get("r/b/s").await.unwrap().unwrap().value,
        "10",
        "the last one wins"
    );
    assert_eq!(
        server.violations(),
        Vec::<String>::new(),
        "one write per key and second"
    );
    let writes = server
        .calls()
        .iter()
        .filter(|call| !call.keys.is_empty())
        .count();
    assert!(writes <= 3, "{writes} writes for eleven puts");
}
