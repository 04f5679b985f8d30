//! Profiles within a budget, on the embedded database: what is parked, what never waits, what a restart finds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_ports::{Clock, Commit, Lane, ManualClock};
use mediaflow_publisher::{
    Publisher, PublisherDeps, PublisherMetrics, PublisherSettings, PublisherSnapshot, VIEW_PARKED,
    VIEW_SENT, front_key, profile_key,
};
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::{Habits, Profile, blob, fold};
use mediaflow_shared::signals::{OUTBOX_PROFILES, dirty_key};
use mediaflow_shared::time::{Minute, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const NOW_MS: i64 = 1_795_248_000_000;
const READER: Pseudonym = Pseudonym([7; 16]);

struct World {
    db: Embedded,
    clock: Arc<ManualClock>,
    metrics: Arc<PublisherMetrics>,
    _dir: tempfile::TempDir,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Embedded::open(dir.path()).unwrap();
        db.log().ensure_topic("content.enriched", 1).await.unwrap();
        db.log().ensure_topic("events", 1).await.unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        Self {
            db,
            clock,
            metrics: Arc::default(),
            _dir: dir,
        }
    }

    /// The front that edges have: the publisher itself knows no articles and leaves it alone for a minute.
    async fn front(&self) {
        let now = Timestamp(NOW_MS).minute();
        let item = |id: u64| Item {
            content: ContentId(id),
            published: Minute(now.0 - 60 * id as u32),
            author: id as u32,
            ..Item::default()
        };
        let head = Head {
            brand: "daily",
            surface: "home",
            built: now,
            ..Head::default()
        };
        let bytes = encode(&head, (1..=40).map(item).collect()).unwrap();
        let blob = mediaflow_ports::Blob::new(front_key("daily", "home"), bytes);
        self.db
            .blobs()
            .put_many(Lane::Fronts, vec![blob])
            .await
            .unwrap();
    }

    fn start(&self, publish: &str) -> Running {
        let settings = format!(
            r#"{{"rebuild_every_s":3600,"publish":{publish},"brands":[{{"slug":"daily","name":"Daily","surfaces":[{{"slug":"home"}}]}}]}}"#
        );
        let settings: PublisherSettings = serde_json::from_str(&settings).unwrap();
        let deps = PublisherDeps {
            log: self.db.log(),
            state: self.db.state(),
            blobs: self.db.blobs(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let publisher = Publisher::new(deps, settings, None).unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move { publisher.run_profiles(stopped).await.unwrap() });
        Running { stop, task }
    }

    async fn emit(&self, blob: impl Into<Bytes>) {
        let commit = Commit::new().emit(OUTBOX_PROFILES, dirty_key(READER, "daily"), blob);
        self.db.state().commit(commit).await.unwrap();
    }

    async fn published(&self) -> Option<Bytes> {
        let held = self.db.blobs().get(&profile_key(READER)).await.unwrap();
        held.map(|b| b.value)
    }

    async fn held(&self, view: &str) -> bool {
        self.db
            .state()
            .get(view, &READER.0)
            .await
            .unwrap()
            .is_some()
    }

    async fn heard(&self) {
        let start = Instant::now();
        while !self
            .db
            .state()
            .outbox_read(OUTBOX_PROFILES, 1)
            .await
            .unwrap()
            .is_empty()
        {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{:?}",
                self.snapshot()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_published(&self, wanted: &[u8]) {
        let start = Instant::now();
        while self.published().await.as_deref() != Some(wanted) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{:?}",
                self.snapshot()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn snapshot(&self) -> PublisherSnapshot {
        self.metrics.snapshot()
    }
}

/// A profile with some reads, and a count that no scorer looks at.
fn profile(reads: &[u32], session_depth: u8) -> Bytes {
    let mut p = Profile {
        consent: 1,
        ..Profile::default()
    };
    for r in reads {
        let view = fold::ItemView {
            short: *r,
            topics: &[],
            read_vector: None,
            epoch: 0,
            reading_time_min: 0,
        };
        fold::apply(
            &mut p,
            &view,
            fold::Interaction::Read,
            Timestamp(NOW_MS).minute(),
        );
    }
    p.habits = Some(Habits {
        session_depth,
        ..p.habits.unwrap_or_default()
    });
    blob::encode(&p).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_changes_a_place_is_written_and_the_rest_after_its_age() {
    let w = World::new().await;
    w.front().await;
    let running = w.start(r#"{"policy":"rank_gated","top_k":5,"age_min_max":60,"recheck_min":10}"#);
    let first = profile(&[1], 1);
    w.emit(first.clone()).await;
    w.until_published(&first).await;
    w.clock.advance(2_000);
    // Counts alone, and a read far below: nobody would see a difference.
    for blob in [profile(&[1], 9), profile(&[1, 35], 10)] {
        w.emit(blob).await;
        w.heard().await;
        assert_eq!(w.published().await.unwrap(), first);
        assert!(w.held(VIEW_PARKED).await);
    }
    // A read within the first five must go from other devices at once.
    let seen = profile(&[1, 35, 3], 11);
    w.emit(seen.clone()).await;
    w.until_published(&seen).await;
    w.heard().await;
    assert!(!w.held(VIEW_PARKED).await);
    w.clock.advance(2_000);
    let late = profile(&[1, 35, 3], 12);
    w.emit(late.clone()).await;
    w.heard().await;
    assert_eq!(w.published().await.unwrap(), seen);
    w.clock.advance(61 * 60_000);
    w.until_published(&late).await;
    running.stop().await;
    let why = w.snapshot().decisions;
    let count = |name: &str| why.iter().find(|d| d.0 == name).unwrap().1;
    assert!(
        count("read_shown") >= 2 && count("wait") >= 3 && count("age") == 1,
        "{why:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawal_is_at_once_although_there_is_no_money() {
    let w = World::new().await;
    w.front().await;
    let rich = w.start(r#"{"policy":"on_change"}"#);
    let first = profile(&[1], 1);
    w.emit(first.clone()).await;
    w.until_published(&first).await;
    w.heard().await;
    rich.stop().await;
    w.clock.advance(2_000);
    let poor = w.start(r#"{"policy":"rank_gated","writes_per_day":0}"#);
    w.emit(profile(&[1, 2], 2)).await;
    w.heard().await;
    assert_eq!(
        w.published().await.unwrap(),
        first,
        "a change that cannot be paid for"
    );
    assert!(w.held(VIEW_PARKED).await);
    // A blob, a withdrawal and a new beginning, all at once: what was known before must go.
    w.emit(profile(&[1, 2, 3], 3)).await;
    w.emit(Bytes::new()).await;
    w.emit(profile(&[4], 1)).await;
    w.heard().await;
    let start = Instant::now();
    while w.published().await.is_some() {
        assert!(start.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!w.held(VIEW_SENT).await && w.held(VIEW_PARKED).await);
    w.emit(Bytes::new()).await;
    w.heard().await;
    assert!(!w.held(VIEW_PARKED).await, "nothing of the reader is left");
    poor.stop().await;
    let left = w.snapshot().brands["daily"].budget_left.unwrap();
    assert!(left < 0.0, "deletions are paid for as a debt: {left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_parked_is_found_after_a_restart_with_or_without_its_entry() {
    let w = World::new().await;
    w.front().await;
    let poor = w.start(r#"{"policy":"on_change","writes_per_day":0}"#);
    let blob = profile(&[1], 1);
    w.emit(blob.clone()).await;
    w.heard().await;
    poor.stop().await;
    assert!(w.held(VIEW_PARKED).await);
    assert_eq!(w.published().await, None);
    // As if the process had died between parking and acknowledging.
    w.emit(blob.clone()).await;
    let rich = w.start(r#"{"policy":"on_change"}"#);
    w.until_published(&blob).await;
    w.heard().await;
    rich.stop().await;
    assert!(!w.held(VIEW_PARKED).await);

    // And with nothing in the outbox: the sweep finds it.
    w.clock.advance(2_000);
    let newer = profile(&[1, 2], 2);
    let poor = w.start(r#"{"policy":"on_change","writes_per_day":0}"#);
    w.emit(newer.clone()).await;
    w.heard().await;
    poor.stop().await;
    let rich = w.start(r#"{"policy":"on_change"}"#);
    w.until_published(&newer).await;
    rich.stop().await;
    assert!(w.held(VIEW_SENT).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_past_its_day_is_deleted_instead_of_written() {
    let w = World::new().await;
    let today = Timestamp(w.clock.now_ms()).minute().0 / 1440;
    let until = |day: u32| {
        let p = Profile {
            consent: 1,
            expires_day: day as u16,
            ..Profile::default()
        };
        Bytes::from(blob::encode(&p))
    };
    let running = w.start(r#"{"policy":"on_change"}"#);
    let fresh = until(today + 1);
    w.emit(fresh.clone()).await;
    w.until_published(&fresh).await;
    w.clock.advance(2_000);
    w.emit(until(today - 1)).await;
    w.heard().await;
    assert_eq!(w.published().await, None);
    assert!(!w.held(VIEW_SENT).await && !w.held(VIEW_PARKED).await);
    running.stop().await;
}
