//! Against a real `redis-server` and a real cluster of three: conformance, lost answers, crashes, other processes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mediaflow_ports::conformance::{self, Pending, StateFixture};
use mediaflow_ports::{Clock as _, Commit, Layout, PortErrorKind, StateStore, SystemClock};
use mediaflow_state_store_redis::{RedisConfig, RedisState};
use mediaflow_test_servers::redis::{Redis, RedisCluster, present};

async fn open(uri: &str, layout: Layout) -> RedisState {
    RedisState::open(RedisConfig::new(&uri.parse().unwrap(), None, layout).unwrap())
        .await
        .unwrap()
}

struct Fixture {
    uri: String,
    layout: Layout,
}

impl StateFixture for Fixture {
    fn open(&self) -> Pending<'_, Arc<dyn StateStore>> {
        Box::pin(async {
            Arc::new(open(&self.uri, self.layout.clone()).await) as Arc<dyn StateStore>
        })
    }
    fn advance(&self, ms: i64) -> Pending<'_, ()> {
        // Redis expires by its own clock.
        Box::pin(tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())))
    }
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms()
    }
}

#[tokio::test]
async fn the_redis_state_store_conforms() {
    if !present("the_redis_state_store_conforms") {
        return;
    }
    let server = Redis::start(&[]);
    let uri = server.uri("");
    conformance::state_store(&Fixture {
        uri: uri.clone(),
        layout: Layout::new(4),
    })
    .await;
    let (uri, layout) = (format!("{uri}?prefix=placed"), conformance::placed_layout());
    conformance::placed_state_store(&Fixture { uri, layout }).await;
}

#[tokio::test]
async fn a_cluster_of_three_conforms() {
    if !present("a_cluster_of_three_conforms") {
        return;
    }
    let cluster = RedisCluster::start();
    let (uri, layout) = (cluster.uri(""), Layout::new(4));
    conformance::state_store(&Fixture { uri, layout }).await;
    let (uri, layout) = (cluster.uri("&prefix=placed"), conformance::placed_layout());
    conformance::placed_state_store(&Fixture { uri, layout }).await;
    let keys = |node: &Redis| node.cli(&["dbsize"]).trim().parse::<u64>().unwrap();
    assert!(
        cluster.nodes.iter().filter(|node| keys(node) > 0).count() > 1,
        "slots lie on several nodes"
    );
}

#[tokio::test]
async fn while_a_node_of_a_cluster_is_away_a_commit_may_work_later() {
    if !present("while_a_node_of_a_cluster_is_away_a_commit_may_work_later") {
        return;
    }
    let mut cluster = RedisCluster::start();
    let state = open(&cluster.uri(""), Layout::new(4)).await;
    let write = || state.commit(Commit::new().put("away", "key", "value"));
    write().await.unwrap();
    let holds = |node: &&mut Redis| node.cli(&["dbsize"]).trim() != "0";
    let node = cluster.nodes.iter_mut().find(holds).unwrap();
    node.kill();
    // Until the others agree that it is gone, they only say that the slot is its.
    let away = Instant::now() + Duration::from_secs(3);
    while Instant::now() < away {
        let error = write().await.unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Unavailable, "{error}");
    }
    node.restart();
    let back = Instant::now() + Duration::from_secs(30);
    while let Err(error) = write().await {
        assert!(error.is_retryable() && Instant::now() < back, "{error}");
    }
}

/// Between client and server; swallows the next answer and cuts the connection when told to.
struct Proxy {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = Arc::new(AtomicBool::new(false));
        let armed = cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (mut from, Ok(mut to)) =
                    (client.unwrap(), TcpStream::connect(("127.0.0.1", server)))
                else {
                    continue;
                };
                let (mut answers, mut back) = (to.try_clone().unwrap(), from.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let armed = armed.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 65_536];
                    while let Ok(n @ 1..) = answers.read(&mut buffer) {
                        // The answer is here, so the script has run; its sender will not learn of it.
                        if armed.swap(false, Ordering::SeqCst)
                            || back.write_all(&buffer[..n]).is_err()
                        {
                            break;
                        }
                    }
                    let _ = back.shutdown(Shutdown::Both);
                    let _ = answers.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, cut }
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_takes_effect_once() {
    if !present("a_commit_whose_answer_was_lost_takes_effect_once") {
        return;
    }
    let server = Redis::start(&[]);
    let proxy = Proxy::before(server.port);
    let store = open(&format!("redis://127.0.0.1:{}", proxy.port), Layout::new(2)).await;
    for n in 0..20_u64 {
        let commit = Commit::new()
            .advance("fold", "events", 0, n, n + 1)
            .put("lost", "n", n.to_string())
            .emit("work", "k", n.to_string());
        proxy.cut.store(n % 2 == 0, Ordering::SeqCst);
        store.commit(commit).await.unwrap();
        assert!(!proxy.cut.load(Ordering::SeqCst), "the connection was cut");
    }
    assert_eq!(store.progress("fold", "events", 0).await.unwrap(), 20);
    let work = store.outbox_read("work", 100).await.unwrap();
    let values: Vec<_> = work
        .iter()
        .map(|w| String::from_utf8(w.value.to_vec()).unwrap())
        .collect();
    assert_eq!(values, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_committed_survives_kill_nine() {
    if !present("what_was_committed_survives_kill_nine") {
        return;
    }
    let mut server = Redis::start(&[]);
    let store = Arc::new(open(&server.uri(""), Layout::new(2)).await);
    let committed = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (writer, told) = (store.clone(), committed.clone());
    let writing = tokio::spawn(async move {
        let mut n = 0;
        // Each key once, so that a commit lost later shows.
        while n < 100_000 {
            let commit = Commit::new().advance("fold", "events", 0, n, n + 1).put(
                "kept",
                n.to_be_bytes().to_vec(),
                "v",
            );
            match writer.commit(commit).await {
                Ok(()) => {
                    n += 1;
                    told.store(n, Ordering::SeqCst);
                }
                Err(e) if e.kind() == PortErrorKind::Conflict => {
                    n = writer.progress("fold", "events", 0).await.unwrap()
                }
                Err(e) if e.is_retryable() => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(e) => panic!("{e}"),
            }
        }
    });
    for _ in 0..3 {
        let before = committed.load(Ordering::SeqCst);
        while committed.load(Ordering::SeqCst) < before + 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.kill();
        let acknowledged = committed.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
        let begun = Instant::now();
        let stored = loop {
            match store.progress("fold", "events", 0).await {
                Ok(stored) => break stored,
                Err(e) => assert!(
                    e.is_retryable() && begun.elapsed() < Duration::from_secs(20),
                    "{e}"
                ),
            }
        };
        assert!(
            stored >= acknowledged,
            "{acknowledged} acknowledged, {stored} stored"
        );
    }
    writing.abort();
    let _ = writing.await;
    let stored = store.progress("fold", "events", 0).await.unwrap();
    let mut found = 0;
    let mut after: Option<Bytes> = None;
    loop {
        let page = store
            .scan("kept", b"", after.as_deref(), 1_000)
            .await
            .unwrap();
        found += page.len() as u64;
        match page.last() {
            Some(last) => after = Some(last.key.clone()),
            None => break,
        }
    }
    assert_eq!(found, stored, "state and progress agree");
}

#[tokio::test]
async fn other_processes_are_woken_at_once() {
    if !present("other_processes_are_woken_at_once") {
        return;
    }
    let server = Redis::start(&[]);
    let (here, there) = (
        open(&server.uri(""), Layout::new(2)).await,
        open(&server.uri(""), Layout::new(2)).await,
    );
    let mut watch = there.outbox_watch("work").unwrap();
    // Once a commit wakes, both are subscribed.
    let mut quick = 0;
    for n in 0..20 {
        tokio::time::sleep(Duration::from_millis(77)).await;
        watch.mark_unchanged();
        let begun = Instant::now();
        here.commit(Commit::new().emit("work", "k", n.to_string()))
            .await
            .unwrap();
        watch.changed().await.unwrap();
        quick += u32::from(begun.elapsed() < Duration::from_millis(100));
    }
    assert!(quick >= 15, "{quick} of 20 within 100 ms");
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    if !present("a_server_that_is_away_is_waited_for") {
        return;
    }
    let mut server = Redis::start(&[]);
    server.kill();
    let store = open(&server.uri(""), Layout::new(2)).await;
    assert!(store.summary().warn && store.summary().line.contains("not reachable"));
    let error = store
        .commit(Commit::new().put("v", "k", "v"))
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    server.restart();
    store
        .commit(Commit::new().put("v", "k", "v"))
        .await
        .unwrap();
    server.kill();
    let error = store.get("v", b"k").await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("check that it runs"),
        "{error}"
    );
    server.restart();
    let begun = Instant::now();
    while store.get("v", b"k").await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the connection does not come back"
        );
    }
    assert_eq!(store.get("v", b"k").await.unwrap(), Some(Bytes::from("v")));
}

#[tokio::test]
async fn settings_that_lose_state_are_warned_of() {
    if !present("settings_that_lose_state_are_warned_of") {
        return;
    }
    let right = Redis::start(&[]);
    assert!(!open(&right.uri(""), Layout::new(2)).await.summary().warn);
    let wrong = Redis::start(&[
        "--appendonly",
        "no",
        "--maxmemory",
        "100mb",
        "--maxmemory-policy",
        "allkeys-lru",
    ]);
    let summary = open(&wrong.uri(""), Layout::new(2)).await.summary();
    assert!(
        summary.warn && summary.line.contains("appendonly") && summary.line.contains("noeviction"),
        "{}",
        summary.line
    );
}

#[tokio::test]
async fn a_password_comes_from_the_environment_and_is_never_shown() {
    if !present("a_password_comes_from_the_environment_and_is_never_shown") {
        return;
    }
    let server = Redis::start(&["--requirepass", "hunter2"]);
    let config = |password| {
        RedisConfig::new(&server.uri("").parse().unwrap(), password, Layout::new(2)).unwrap()
    };
    for password in [None, Some("wrong")] {
        let error = RedisState::open(config(password)).await.err().unwrap();
        assert_eq!(error.kind(), PortErrorKind::Unauthorized, "{error}");
        assert!(
            error.to_string().contains("MEDIAFLOW_REDIS_PASSWORD"),
            "{error}"
        );
    }
    let store = RedisState::open(config(Some("hunter2"))).await.unwrap();
    store
        .commit(Commit::new().put("v", "k", "v"))
        .await
        .unwrap();
    assert!(!store.summary().line.contains("hunter2"));
}

#[tokio::test]
async fn state_laid_out_otherwise_is_refused() {
    if !present("state_laid_out_otherwise_is_refused") {
        return;
    }
    let server = Redis::start(&[]);
    let try_open = async |layout| {
        let config = RedisConfig::new(&server.uri("").parse().unwrap(), None, layout).unwrap();
        RedisState::open(config).await.err()
    };
    let placed = conformance::placed_layout;
    assert!(try_open(placed()).await.is_none());
    assert!(try_open(placed()).await.is_none());
    let error = try_open(Layout::new(16)).await.unwrap();
    assert_eq!(error.kind(), PortErrorKind::Invalid);
    assert!(error.to_string().contains("partitions"), "{error}");
    let fewer = try_open(Layout::new(placed().partitions())).await.unwrap();
    assert!(fewer.to_string().contains("not declared"), "{fewer}");
}

#[tokio::test]
async fn views_are_weighed() {
    if !present("views_are_weighed") {
        return;
    }
    let server = Redis::start(&[]);
    let store = open(&server.uri(""), conformance::placed_layout()).await;
    let mut commit = Commit::new();
    for n in 0..500_u32 {
        commit = commit.put("indexed", n.to_be_bytes().to_vec(), vec![0; 1_000]);
    }
    store.commit(commit).await.unwrap();
    for n in 0..500_u32 {
        store
            .commit(Commit::new().put("placed.key", n.to_be_bytes().to_vec(), vec![0; 100]))
            .await
            .unwrap();
    }
    let usage = store.usage().await.unwrap();
    let of = |view: &str| usage.iter().find(|u| u.view == view).unwrap().clone();
    let exact = of("indexed");
    assert_eq!((exact.entries, exact.estimated), (500, false));
    assert!((500_000..900_000).contains(&exact.bytes), "{exact:?}");
    let sampled = of("placed.key");
    // The marks of 500 commits are among the keys sampled, so a third of 100 samples counts: a standard error is 70.
    assert!(
        sampled.estimated && (100..1_000).contains(&sampled.entries),
        "{sampled:?}"
    );
}
