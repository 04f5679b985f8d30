//! The folds with their state in Redis: flushed, killed and restarted, the log rebuilds the same bytes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_features::declare::{Placement, VIEW_DEFINITIONS, VIEW_TOP, VIEWS, View, plans};
use mediaflow_features::{CONSUMER, FeatureDeps, ReaderState, TOPIC_EVENTS, run};
use mediaflow_ports::{Entry, EventLog, Layout, Record, StateStore, partition_of};
use mediaflow_shared::event::{Event, EventType};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::signals::VIEW_READER;
use mediaflow_shared::time::Timestamp;
use mediaflow_state_store_redis::{RedisConfig, RedisState};
use mediaflow_test_servers::redis::{Redis, RedisCluster, present};
use mediaflow_tests::{event, now_ms, until};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const PARTITIONS: u32 = 4;

async fn open(uri: &str) -> Arc<RedisState> {
    let layout = Layout::new(PARTITIONS)
        .views(&plans())
        .partitioned(CONSUMER);
    let config = RedisConfig::new(&uri.parse().unwrap(), None, layout).unwrap();
    Arc::new(RedisState::open(config).await.unwrap())
}

/// A log of its own, read by folds that keep their state elsewhere.
struct Evening {
    _folder: tempfile::TempDir,
    db: Embedded,
    began_ms: i64,
}

impl Evening {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Embedded::open(folder.path()).unwrap();
        let log = db.log();
        log.ensure_topic(TOPIC_EVENTS, PARTITIONS).await.unwrap();
        Self {
            _folder: folder,
            db,
            began_ms: now_ms() - 3_600_000,
        }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.db.log()
    }

    /// Events `from..to` of 200 readers and 30 items.
    async fn append(&self, from: u64, to: u64) {
        let mut records: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
        for n in from..to {
            let kind = [EventType::Click, EventType::Read][usize::from(n % 3 != 0)];
            let mut e: Event = event(&format!("e{n}"), kind, ContentId(n * 7 % 30 + 1), None);
            let at = Timestamp(self.began_ms + i64::try_from(n).unwrap() * 100);
            (e.time, e.receivedtime) = (Some(at), Some(at));
            let reader = Pseudonym((u128::from(n * 31 % 200) << 64 | 7).to_be_bytes());
            e.data.reader = Some(reader);
            let record = Record::new(reader.0.to_vec(), serde_json::to_vec(&e).unwrap());
            let partition = partition_of(&reader.0, PARTITIONS);
            records.entry(partition).or_default().push(record);
        }
        for (partition, records) in records {
            let log = self.log();
            log.append(TOPIC_EVENTS, partition, records).await.unwrap();
        }
    }

    /// Folds into `state` until told to stop.
    async fn fold(&self, state: Arc<dyn StateStore>) -> Folding {
        let deps = FeatureDeps::new(self.log(), state).await.unwrap();
        let (stop, shutdown) = watch::channel(false);
        let task = tokio::spawn(async move { run(deps, shutdown).await.unwrap() });
        Folding { stop, task }
    }

    async fn caught_up(&self, state: &Arc<dyn StateStore>) {
        until(
            "the folds at the end of the log",
            Duration::from_secs(60),
            || async {
                for partition in 0..PARTITIONS {
                    let end = self.log().end(TOPIC_EVENTS, partition).await.unwrap();
                    let at = state.progress(CONSUMER, TOPIC_EVENTS, partition).await;
                    if at.ok() != Some(end) {
                        return None;
                    }
                }
                Some(())
            },
        )
        .await;
    }

    /// What a replay of the whole log into an empty embedded store gives.
    async fn replayed(&self) -> Dump {
        let folder = tempfile::tempdir().unwrap();
        let state = Embedded::open(folder.path()).unwrap().state();
        let folding = self.fold(state.clone()).await;
        self.caught_up(&state).await;
        folding.stop().await;
        dump(&state).await
    }
}

struct Folding {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Folding {
    async fn stop(self) {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
    }
}

type Dump = BTreeMap<&'static str, Vec<Entry>>;

/// Every view of the folds, whole. What is written at start-up, such as the definitions, is none.
async fn dump(state: &Arc<dyn StateStore>) -> Dump {
    let mut all = Dump::new();
    let folded = |view: &&View| view.placement != Placement::Global;
    for view in VIEWS.iter().filter(folded) {
        let entries = all.entry(view.name).or_default();
        let mut after: Option<Bytes> = None;
        loop {
            let page = state.scan(view.name, b"", after.as_deref(), 500).await;
            let page = page.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            entries.extend(page);
        }
    }
    all
}

/// A sketch of heavy hitters writes its rows in the order of its hash table, which depends on when it was read back:
/// the same rows in one order. Version byte, 32 bytes of header with the number of rows at 8, counts, items.
fn rows_in_order(sketch: &[u8]) -> Vec<u8> {
    let (head, rows) = sketch.split_at(33);
    let n = usize::from(u16::from_le_bytes([head[9], head[10]]));
    let (counts, items) = rows.split_at(8 * n);
    assert_eq!(items.len(), 8 * n, "items of eight bytes");
    let mut pairs: Vec<_> = items.chunks(8).zip(counts.chunks(8)).collect();
    pairs.sort_unstable();
    let rows = pairs.into_iter().flat_map(|(item, count)| [item, count]);
    std::iter::once(head)
        .chain(rows)
        .flatten()
        .copied()
        .collect()
}

/// A reader without what was handed to the publisher when, which is a matter of commits.
fn unpublished(reader: &[u8]) -> ReaderState {
    let mut state = ReaderState::decode(reader).unwrap();
    state.forget_published();
    state
}

fn same(what: &str, ours: &Dump, replay: &Dump) {
    for (view, entries) in replay {
        assert_eq!(ours[view].len(), entries.len(), "{what}: entries of {view}");
        for (ours, theirs) in ours[view].iter().zip(entries) {
            if *view == VIEW_TOP {
                let (ours, theirs) = (rows_in_order(&ours.value), rows_in_order(&theirs.value));
                assert_eq!(ours, theirs, "{what}: {view}");
            } else if *view == VIEW_READER {
                let (mine, replayed) = (unpublished(&ours.value), unpublished(&theirs.value));
                let (mine, replayed) = ((&ours.key, mine), (&theirs.key, replayed));
                assert_eq!(mine, replayed, "{what}: {view}");
            } else {
                assert_eq!(ours, theirs, "{what}: {view}");
            }
        }
    }
    assert!(replay["features.reader"].len() == 200 && !replay["features.popularity"].is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_is_rebuilt_from_the_log() {
    if !present("a_flushed_redis_is_rebuilt_from_the_log") {
        return;
    }
    let server = Redis::start(&[]);
    let evening = Evening::begin().await;
    let state: Arc<dyn StateStore> = open(&server.uri("")).await;
    let folding = evening.fold(state.clone()).await;
    evening.append(0, 3_000).await;
    evening.caught_up(&state).await;
    assert_eq!(server.cli(&["flushall"]).trim(), "OK");
    // The next events meet an offset that is not theirs: the worker starts over.
    evening.append(3_000, 6_000).await;
    evening.caught_up(&state).await;
    folding.stop().await;
    same(
        "after a flush",
        &dump(&state).await,
        &evening.replayed().await,
    );
}

/// Nobody comes by: no event, hence no commit that would meet the loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_flushed_while_all_is_quiet_is_filled_again_within_seconds() {
    if !present("a_redis_flushed_while_all_is_quiet_is_filled_again_within_seconds") {
        return;
    }
    let server = Redis::start(&[]);
    let evening = Evening::begin().await;
    let state: Arc<dyn StateStore> = open(&server.uri("")).await;
    let folding = evening.fold(state.clone()).await;
    evening.append(0, 3_000).await;
    evening.caught_up(&state).await;
    let definitions = state
        .scan(VIEW_DEFINITIONS, b"", None, 9_999)
        .await
        .unwrap();
    assert!(!definitions.is_empty());
    assert_eq!(server.cli(&["flushall"]).trim(), "OK");
    let began = Instant::now();
    evening.caught_up(&state).await;
    until("the definitions", Duration::from_secs(10), || async {
        let again = state
            .scan(VIEW_DEFINITIONS, b"", None, 9_999)
            .await
            .unwrap();
        (again == definitions).then_some(())
    })
    .await;
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    folding.stop().await;
    let what = "flushed while quiet";
    same(what, &dump(&state).await, &evening.replayed().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_does_not_hold_redis_up() {
    if !present("a_commit_does_not_hold_redis_up") {
        return;
    }
    let server = Redis::start(&[]);
    let evening = Evening::begin().await;
    evening.append(0, 20_000).await;
    let state: Arc<dyn StateStore> = open(&server.uri("")).await;
    let deps = FeatureDeps::new(evening.log(), state.clone())
        .await
        .unwrap();
    let metrics = deps.metrics.clone();
    let (stop, shutdown) = watch::channel(false);
    let task = tokio::spawn(async move { run(deps, shutdown).await.unwrap() });
    evening.caught_up(&state).await;
    stop.send(true).unwrap();
    task.await.unwrap();
    let (events, commits) = (metrics.snapshot().events, metrics.snapshot().commits);
    assert_eq!(events, 20_000);
    let least = events / (state.commit_changes() as u64 / 2);
    assert!(commits >= least, "{commits} commits, not {least}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_under_the_folds_loses_and_doubles_nothing() {
    if !present("redis_killed_under_the_folds_loses_and_doubles_nothing") {
        return;
    }
    let mut server = Redis::start(&[]);
    let evening = Evening::begin().await;
    let state: Arc<dyn StateStore> = open(&server.uri("")).await;
    let folding = evening.fold(state.clone()).await;
    for round in 0..3 {
        evening.append(round * 2_000, (round + 1) * 2_000).await;
        // Some of it is folded, some is not: commits are in flight at any time.
        tokio::time::sleep(Duration::from_millis(120 * (round + 1))).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.restart();
    }
    evening.caught_up(&state).await;
    folding.stop().await;
    same(
        "after three kills",
        &dump(&state).await,
        &evening.replayed().await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_folds_the_same_bytes() {
    if !present("a_cluster_folds_the_same_bytes") {
        return;
    }
    let cluster = RedisCluster::start();
    let evening = Evening::begin().await;
    evening.append(0, 4_000).await;
    let state: Arc<dyn StateStore> = open(&cluster.uri("")).await;
    let folding = evening.fold(state.clone()).await;
    evening.caught_up(&state).await;
    folding.stop().await;
    same(
        "on a cluster",
        &dump(&state).await,
        &evening.replayed().await,
    );
}
