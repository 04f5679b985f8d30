//! From content, outboxes and counted signals to what edges read, on the embedded database.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use async_trait::async_trait;
use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_ports::{
    Blob, BlobListing, BlobStore, Clock, Commit, DeleteReport, Lane, ManualClock, PortError,
    PortErrorKind, PortResult, PutFailure, PutReport, Record, Summary,
};
use mediaflow_publisher::{
    Publisher, PublisherDeps, PublisherMetrics, PublisherSettings, front_key, profile_key, replay,
    rules_key,
};
use mediaflow_shared::content::{CONTENT_VERSION, Content, Metadata, Nlp, Status, TopicWeight};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::model::Model;
use mediaflow_shared::rules::{Action, Conditions, Rule, Rules, Window};
use mediaflow_shared::served::{Request, SERVED_VERSION, Served};
use mediaflow_shared::signals::{
    Counts, Neighbours, OUTBOX_PROFILES, VIEW_NEIGHBOURS, VIEW_POPULARITY, key,
};
use mediaflow_shared::time::{Minute, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NOW_MS: i64 = 1_795_248_000_000;

fn article(id: u64, status: Status, updated_s: i64) -> Content {
    let published_at = Timestamp(NOW_MS - 3_600_000 - id as i64 * 60_000);
    Content {
        version: CONTENT_VERSION,
        content_id: ContentId(id),
        title: format!("Item {id}"),
        body: String::new(),
        summary: String::new(),
        source_cms: Default::default(),
        source: "wp".into(),
        original_id: id.to_string(),
        brand: "daily".into(),
        author: "Unknown".into(),
        published_at,
        updated_at: Timestamp(NOW_MS + updated_s * 1000),
        embargo_until: None,
        expires_at: None,
        categories: vec!["sports".into()],
        tags: vec![],
        cast: vec![],
        media_assets: vec![],
        url: format!("https://daily.example/{id}"),
        series: None,
        kind: Default::default(),
        status,
        metadata: Metadata {
            word_count: 900,
            reading_time_min: 4,
            language: "en".into(),
            ingested_at: Timestamp(NOW_MS),
        },
        nlp: Nlp {
            topics: vec![TopicWeight {
                topic: "sport".into(),
                weight: 100,
            }],
            entities: vec![],
            sentiment: 0.0,
            readability: 8,
            language: "en".into(),
            embedding_id: String::new(),
            simhash: ContentId(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        },
    }
}

/// A blob store that refuses the first so many batches and counts the others.
struct Moody {
    inner: Arc<dyn BlobStore>,
    refuse: AtomicUsize,
    puts: AtomicUsize,
}

#[async_trait]
impl BlobStore for Moody {
    async fn put_many(&self, lane: Lane, blobs: Vec<Blob>) -> PortResult<PutReport> {
        let refused = || PortError::new(PortErrorKind::Unavailable, "not now");
        let left = self
            .refuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match left {
            Ok(n) if n % 2 == 1 => Err(refused()),
            Ok(_) => {
                let failed = blobs.into_iter().map(|b| PutFailure {
                    key: b.key,
                    reason: refused(),
                });
                Ok(PutReport {
                    written: 0,
                    failed: failed.collect(),
                })
            }
            Err(_) => {
                self.puts.fetch_add(blobs.len(), Ordering::SeqCst);
                self.inner.put_many(lane, blobs).await
            }
        }
    }

    async fn delete_many(&self, lane: Lane, keys: Vec<String>) -> PortResult<DeleteReport> {
        self.inner.delete_many(lane, keys).await
    }

    async fn get(&self, key: &str) -> PortResult<Option<Blob>> {
        self.inner.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> PortResult<BlobListing> {
        self.inner.list(prefix, after, limit).await
    }

    fn summary(&self) -> Summary {
        self.inner.summary()
    }
}

struct World {
    db: Embedded,
    blobs: Arc<Moody>,
    clock: Arc<ManualClock>,
    metrics: Arc<PublisherMetrics>,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new(articles: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Embedded::open(dir.path()).unwrap();
        db.log().ensure_topic("content.enriched", 2).await.unwrap();
        db.log().ensure_topic("events", 2).await.unwrap();
        let blobs = Arc::new(Moody {
            inner: db.blobs(),
            refuse: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
        });
        let world = Self {
            db,
            blobs,
            clock: Arc::new(ManualClock::at(NOW_MS)),
            metrics: Arc::default(),
            _dir: dir,
        };
        for id in 1..=articles {
            world.store(&article(id, Status::Published, 0)).await;
        }
        world
    }

    async fn store(&self, c: &Content) {
        let json = serde_json::to_vec(c).unwrap();
        let commit = Commit::new().put("content", c.content_id.0.to_be_bytes().to_vec(), json);
        self.db.state().commit(commit).await.unwrap();
    }

    /// As enrich does: the view, then the topic.
    async fn change(&self, c: &Content) {
        self.store(c).await;
        let record = Record::new("k", serde_json::to_vec(c).unwrap());
        self.db
            .log()
            .append("content.enriched", 0, vec![record])
            .await
            .unwrap();
    }

    fn start(&self, settings: &str) -> Running {
        let settings: PublisherSettings = serde_json::from_str(settings).unwrap();
        let deps = PublisherDeps {
            log: self.db.log(),
            state: self.db.state(),
            blobs: self.blobs.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let publisher = Publisher::new(deps, settings, None).unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move { publisher.run(stopped).await.unwrap() });
        Running { stop, task }
    }

    async fn value(&self, key: &str) -> Option<Bytes> {
        self.blobs.get(key).await.unwrap().map(|b| b.value)
    }

    /// Waits until the value under `key` is as wanted; answers how long that took.
    async fn until(&self, key: &str, wanted: impl Fn(Option<Bytes>) -> bool) -> Duration {
        let start = Instant::now();
        while !wanted(self.value(key).await) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{key}: {:?}",
                self.metrics.snapshot()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        start.elapsed()
    }

    async fn submit(&self, surface: &str, rules: &Rules) {
        let commit =
            Commit::new().emit("rules.publish", format!("daily/{surface}"), rules.encode());
        self.db.state().commit(commit).await.unwrap();
    }
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        tokio::time::timeout(Duration::from_secs(5), self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

const DAILY: &str = r#"{"rebuild_every_s":2,"brands":[{"slug":"daily","name":"Daily",
    "surfaces":[{"slug":"home"},{"slug":"sport","categories":["sports"],"items_max":10}]}]}"#;

fn front(bytes: Option<Bytes>) -> Option<Front> {
    bytes.and_then(|b| Front::parse(b.to_vec()).ok())
}

fn has(bytes: Option<Bytes>, id: u64) -> bool {
    front(bytes).is_some_and(|f| f.row(ContentId(id)).is_some())
}

fn rules(bytes: Option<Bytes>) -> Rules {
    bytes
        .map(|b| Rules::decode(&b).unwrap().0)
        .unwrap_or_default()
}

fn pin(id: u64) -> Rules {
    Rules {
        revision: 3,
        rules: vec![Rule {
            id: 1,
            action: Action::Pin {
                content: ContentId(id),
                slot: 0,
            },
            windows: vec![Window {
                from: Minute(0),
                until: Minute(u32::MAX),
            }],
            when: Conditions::default(),
            label: "top".into(),
        }],
        ..Rules::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_becomes_fronts_and_changes_follow_within_a_second() {
    let w = World::new(30).await;
    let running = w.start(DAILY);
    let home = front_key("daily", "home");
    w.until(&home, |b| front(b).is_some_and(|f| f.len() == 30))
        .await;
    w.until(&front_key("daily", "sport"), |b| {
        front(b).is_some_and(|f| f.len() == 10)
    })
    .await;

    w.change(&article(77, Status::Published, 1)).await;
    let took = w.until(&home, |b| has(b, 77)).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    w.change(&article(77, Status::Unpublished, 2)).await;
    w.until(&home, |b| !has(b, 77)).await;
    // An older version that arrives late changes nothing; a takedown always does.
    w.change(&article(5, Status::Published, 9)).await;
    w.change(&article(5, Status::Unpublished, 3)).await;
    w.change(&article(6, Status::Takedown, -9)).await;
    w.until(&home, |b| !has(b, 6)).await;
    assert!(has(w.value(&home).await, 5));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_clicks_and_next_reads_reach_the_columns() {
    let w = World::new(5).await;
    let now = Timestamp(NOW_MS).minute();
    let (mut a, mut b, mut n) = (Counts::default(), Counts::default(), Neighbours::default());
    (0..2).for_each(|_| a.click(now));
    b.click(Minute(now.0 - 30));
    n.follow(ContentId(2), now);
    let commit = Commit::new()
        .put(VIEW_POPULARITY, key(0, "daily", ContentId(1)), a.encode())
        .put(VIEW_POPULARITY, key(1, "daily", ContentId(1)), b.encode())
        .put(VIEW_NEIGHBOURS, key(1, "daily", ContentId(1)), n.encode());
    w.db.state().commit(commit).await.unwrap();
    let running = w.start(DAILY);
    w.until(&front_key("daily", "home"), |b| b.is_some()).await;
    let f = front(w.value(&front_key("daily", "home")).await).unwrap();
    let row = f.row(ContentId(1)).unwrap();
    // 16·log2(1 + n)
    assert_eq!(
        (f.clicks15(row), f.clicks60(row)),
        (25, 32),
        "both partitions"
    );
    let near: Vec<_> = f.neighbours(row).collect();
    assert_eq!(near, [(f.row(ContentId(2)).unwrap(), 127)]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_front_is_not_written_again_until_its_age_counts() {
    let w = World::new(5).await;
    let running = w.start(r#"{"rebuild_every_s":1,"brands":[{"slug":"daily","name":"Daily","surfaces":[{"slug":"home"}]}]}"#);
    let home = front_key("daily", "home");
    w.until(&home, |b| b.is_some()).await;
    let first = w.value(&home).await;
    while w.metrics.snapshot().fronts_unchanged < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(w.value(&home).await, first);
    w.clock.advance(60_000);
    w.until(&home, |b| {
        front(b).is_some_and(|f| f.built() == Timestamp(w.clock.now_ms()).minute())
    })
    .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_is_out_at_once_with_its_card_and_follows_its_article() {
    let w = World::new(30).await;
    let running = w.start(DAILY);
    let home = rules_key("daily", "home");
    w.until(&home, |b| b.is_some()).await;
    w.submit("home", &pin(9)).await;
    let took = w.until(&home, |b| rules(b).revision == 3).await;
    assert!(took < Duration::from_millis(500), "{took:?}");
    let r = rules(w.value(&home).await);
    assert_eq!(r.pinned.len(), 1);
    assert!(r.pinned[0].card.contains("Item 9"), "{}", r.pinned[0].card);

    let mut changed = article(9, Status::Published, 5);
    changed.title = "A better headline".into();
    w.change(&changed).await;
    w.until(&home, |b| {
        rules(b).pinned[0].card.contains("A better headline")
    })
    .await;

    // A takedown on one surface holds on all of them, in the next front, and against the pin.
    let takedown = Rules {
        revision: 4,
        takedowns: vec![ContentId(9)],
        ..Rules::default()
    };
    w.submit("sport", &takedown).await;
    w.until(&home, |b| rules(b).takedowns == [ContentId(9)])
        .await;
    let r = rules(w.value(&home).await);
    assert_eq!((r.revision, r.pinned.len(), r.rules.len()), (3, 0, 1));
    w.until(&front_key("daily", "home"), |b| !has(b, 9)).await;
    assert_eq!(
        w.db.state().outbox_read("rules.publish", 9).await.unwrap(),
        []
    );
    running.stop().await;

    // A new process knows the takedown before it builds anything.
    w.blobs
        .delete_many(Lane::Fronts, vec![front_key("daily", "home")])
        .await
        .unwrap();
    let running = w.start(DAILY);
    w.until(&front_key("daily", "home"), |b| b.is_some()).await;
    assert!(!has(w.value(&front_key("daily", "home")).await, 9));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_rules_are_dropped_and_others_go_on() {
    let w = World::new(1).await;
    let running = w.start(DAILY);
    let commit = Commit::new()
        .emit("rules.publish", "daily/home", "not rules")
        .emit("rules.publish", "Not a slug/x", pin(1).encode())
        .emit("rules.publish", "daily/sport", pin(1).encode());
    w.db.state().commit(commit).await.unwrap();
    w.until(&rules_key("daily", "sport"), |b| rules(b).revision == 3)
        .await;
    assert_eq!(w.metrics.snapshot().refused, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_are_written_when_changed_and_deleted_on_withdrawal() {
    let w = World::new(1).await;
    let running = w.start(DAILY);
    let reader = Pseudonym([7; 16]);
    let emit = |value: &'static str| Commit::new().emit(OUTBOX_PROFILES, reader.0.to_vec(), value);
    let state = w.db.state();
    state.commit(emit("old")).await.unwrap();
    w.until(&profile_key(reader), |b| b.as_deref() == Some(b"old"))
        .await;
    // A key takes one write a second.
    w.clock.advance(1_000);
    state.commit(emit("new")).await.unwrap();
    let took = w
        .until(&profile_key(reader), |b| b.as_deref() == Some(b"new"))
        .await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    while !state
        .outbox_read(OUTBOX_PROFILES, 9)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    state.commit(emit("new")).await.unwrap();
    while w.metrics.snapshot().profiles_unchanged == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    state.commit(emit("")).await.unwrap();
    w.until(&profile_key(reader), |b| b.is_none()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_for_a_while_loses_nothing() {
    let w = World::new(3).await;
    w.blobs.refuse.store(9, Ordering::SeqCst);
    let running = w.start(DAILY);
    let reader = Pseudonym([7; 16]);
    let commit = Commit::new().emit(OUTBOX_PROFILES, reader.0.to_vec(), "blob");
    w.db.state().commit(commit).await.unwrap();
    w.submit("home", &pin(2)).await;
    w.until(&profile_key(reader), |b| b.is_some()).await;
    w.until(&rules_key("daily", "home"), |b| rules(b).revision == 3)
        .await;
    w.until(&front_key("daily", "home"), |b| has(b, 1)).await;
    w.until("m/daily", |b| b.is_some()).await;
    let failed: u64 = w.metrics.snapshot().lanes.iter().map(|l| l.1.failed).sum();
    assert!(failed >= 9, "{failed}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_weights_are_a_new_model_and_the_same_ones_are_not() {
    let w = World::new(1).await;
    let with = |weights: &str| {
        format!(
            r#"{{"brands":[{{"slug":"daily","name":"D","surfaces":[{{"slug":"home"}}],"model":{{"weights":{weights}}}}}]}}"#
        )
    };
    let mut ids = Vec::new();
    for weights in [
        "{}",
        r#"{"recency":100}"#,
        r#"{"recency":100}"#,
        r#"{"recency":200}"#,
    ] {
        let before = w.metrics.snapshot();
        let running = w.start(&with(weights));
        let weight = if weights.contains("200") {
            13_107
        } else if weights.contains("100") {
            6_553
        } else {
            29_491
        };
        w.until("m/daily", |b| {
            b.and_then(|b| Model::decode(&b).ok())
                .is_some_and(|m| m.weights.recency == weight)
        })
        .await;
        running.stop().await;
        let lane = |s: &mediaflow_publisher::PublisherSnapshot| {
            s.lanes.iter().find(|l| l.0 == "models").unwrap().1.written
        };
        let id = Model::decode(&w.value("m/daily").await.unwrap())
            .unwrap()
            .id;
        ids.push((id, lane(&w.metrics.snapshot()) - lane(&before)));
    }
    assert_eq!(ids, [(0, 1), (1, 1), (1, 0), (2, 1)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_feed_was_made_from_is_found_again() {
    let w = World::new(12).await;
    let running = w.start(DAILY);
    let (f, r) = (front_key("daily", "home"), rules_key("daily", "home"));
    w.submit("home", &pin(4)).await;
    w.until(&r, |b| rules(b).revision == 3).await;
    w.until(&f, |b| b.is_some()).await;
    w.until("m/daily", |b| b.is_some()).await;
    let front = front(w.value(&f).await).unwrap();
    let (rules, version) = Rules::decode(&w.value(&r).await.unwrap()).unwrap();
    let mut served = Served {
        version: SERVED_VERSION,
        feed_id: String::new(),
        at: Timestamp(NOW_MS),
        edge: "test".into(),
        brand: "daily".into(),
        surface: "home".into(),
        rung: 0,
        front: front.id(),
        rules: version,
        revision: rules.revision,
        model: 0,
        minute: Timestamp(NOW_MS).minute(),
        profile: vec![],
        reader: None,
        request: Request::default(),
        slots: vec![],
        profile_age_s: None,
        front_age_s: 0,
        body_hash: 0,
    };
    // The front moves on; what was served is found all the same.
    w.change(&article(77, Status::Published, 1)).await;
    w.until(&f, |b| has(b, 77)).await;
    let found = replay::inputs(&served, w.db.state().as_ref())
        .await
        .unwrap();
    assert_eq!(
        (found.front.id(), found.rules.unwrap()),
        (front.id(), (rules, version))
    );
    assert_eq!(found.front.card(0), front.card(0));
    served.front = 1;
    let gone = replay::inputs(&served, w.db.state().as_ref())
        .await
        .unwrap_err();
    assert!(gone.to_string().contains("not in the archive"), "{gone}");
    assert!(replay::verify(&served, b"other").is_err());
    running.stop().await;
}
