//! The folds on the embedded database: nothing lost, nothing doubled, the same bytes again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_features::declare::{
    Entity, EntityState, VIEW_BRAND, VIEW_CLOCK, VIEW_FOLDS, VIEW_ITEM, VIEW_REACH, VIEW_TOP,
    Value, ValueType, Vocabulary, evaluate, of,
};
use mediaflow_features::keys;
use mediaflow_features::{
    BrandCounts, BrandState, CONSUMER, FeatureConfig, FeatureDeps, ItemState, Reach, ReaderState,
    Replay, SessionRule, TOPIC_EVENTS, Top, WhenChanged, run,
};
use mediaflow_ports::{Commit, Record, partition_of};
use mediaflow_shared::content::{CONTENT_VERSION, Content, Metadata, Nlp, TopicWeight};
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::blob::decode;
use mediaflow_shared::signals::{
    Counts, Neighbours, OUTBOX_PROFILES, VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER,
    parse_dirty_key, parse_key,
};
use mediaflow_shared::time::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const START_MS: i64 = 1_795_248_000_000;
const PARTITIONS: u32 = 3;

fn reader(n: u64) -> Pseudonym {
    Pseudonym((u128::from(n) + 1).to_be_bytes())
}

/// Event `n` of a made-up evening: 40 readers, 25 items, reads with clicks before them.
fn event(n: u64) -> Event {
    let time = Timestamp(START_MS + (n as i64) * 2_000);
    Event {
        specversion: "1.0".into(),
        id: format!("e{n}"),
        source: "https://daily.example/web".into(),
        kind: if n.is_multiple_of(3) {
            EventType::Click
        } else {
            EventType::Read
        },
        time: Some(time),
        subject: None,
        datacontenttype: None,
        traceparent: None,
        readerid: None,
        receivedtime: Some(time),
        senttime: None,
        rawtime: None,
        data: EventData {
            brand: "daily".into(),
            content_id: Some(ContentId(n * 7 % 25 + 1)),
            reader: Some(reader(n % 40)),
            ..EventData::default()
        },
    }
}

async fn append(db: &Embedded, events: &[Event]) {
    let mut by_partition: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for e in events {
        let key = e.data.reader.map(|r| r.0.to_vec()).unwrap_or_default();
        let record = Record::new(key.clone(), serde_json::to_vec(e).unwrap());
        let partition = partition_of(&key, PARTITIONS);
        by_partition.entry(partition).or_default().push(record);
    }
    for (p, records) in by_partition {
        db.log().append(TOPIC_EVENTS, p, records).await.unwrap();
    }
}

fn article(id: u64) -> Content {
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
        published_at: Timestamp(START_MS),
        updated_at: Timestamp(START_MS),
        embargo_until: None,
        expires_at: None,
        categories: vec![],
        tags: vec![],
        cast: vec![],
        media_assets: vec![],
        url: String::new(),
        series: None,
        kind: Default::default(),
        status: Default::default(),
        metadata: Metadata {
            word_count: 900,
            reading_time_min: 4,
            language: "en".into(),
            ingested_at: Timestamp(START_MS),
        },
        nlp: Nlp {
            topics: vec![TopicWeight {
                topic: if id.is_multiple_of(2) {
                    "sport"
                } else {
                    "science"
                }
                .into(),
                weight: 100,
            }],
            entities: vec![],
            sentiment: 0.0,
            readability: 8,
            language: "en".into(),
            embedding_id: String::new(),
            simhash: ContentId(id),
        },
    }
}

async fn open(path: &Path) -> Embedded {
    let db = Embedded::open(path).unwrap();
    db.log()
        .ensure_topic(TOPIC_EVENTS, PARTITIONS)
        .await
        .unwrap();
    db.log().ensure_topic("content.enriched", 1).await.unwrap();
    let mut commit = Commit::new();
    for id in 1..=25u64 {
        let json = serde_json::to_vec(&article(id)).unwrap();
        commit = commit.put("content", id.to_be_bytes().to_vec(), json);
    }
    db.state().commit(commit).await.unwrap();
    db
}

struct Running {
    deps: FeatureDeps,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn start(db: &Embedded) -> Running {
    start_with(db, FeatureConfig::default()).await
}

async fn start_with(db: &Embedded, config: FeatureConfig) -> Running {
    let mut deps = FeatureDeps::new(db.log(), db.state()).await.unwrap();
    deps.config = config;
    let (stop, stopped) = watch::channel(false);
    let work = run(deps.clone(), stopped);
    let task = tokio::spawn(async move { work.await.unwrap() });
    Running { deps, stop, task }
}

impl Running {
    async fn until_folded(&self) {
        for _ in 0..400 {
            let mut behind = 0;
            for p in 0..PARTITIONS {
                let at = self
                    .deps
                    .state
                    .progress(CONSUMER, TOPIC_EVENTS, p)
                    .await
                    .unwrap();
                behind += self.deps.log.end(TOPIC_EVENTS, p).await.unwrap() - at;
            }
            if behind == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!(
            "not folded within ten seconds: {:?}",
            self.deps.metrics.snapshot()
        );
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

/// Every byte of the views, by view and key.
async fn views(db: &Embedded) -> BTreeMap<(&'static str, Bytes), Vec<u8>> {
    let mut all = BTreeMap::new();
    for view in [
        VIEW_READER,
        VIEW_POPULARITY,
        VIEW_NEIGHBOURS,
        VIEW_ITEM,
        VIEW_BRAND,
        VIEW_REACH,
        VIEW_TOP,
        VIEW_CLOCK,
    ] {
        let entries = db.state().scan(view, b"", None, usize::MAX).await.unwrap();
        assert!(!entries.is_empty(), "{view}");
        for e in entries {
            let value = comparable(view, &e.value);
            all.insert((view, e.key), value);
        }
    }
    all
}

/// A value without what depends on where in the log its events were, when commits were, or in which order sketches met
/// them.
fn comparable(view: &str, value: &[u8]) -> Vec<u8> {
    match view {
        VIEW_READER => {
            let mut state = ReaderState::decode(value).unwrap().unversioned();
            state.forget_published();
            state.encode()
        }
        VIEW_ITEM => ItemState::decode(value).unwrap().unversioned().encode(),
        VIEW_BRAND => BrandCounts::decode(value).unwrap().unversioned().encode(),
        VIEW_REACH => Reach::decode(value)
            .unwrap()
            .estimate()
            .to_be_bytes()
            .to_vec(),
        VIEW_TOP => format!("{:?}", Top::decode(value).unwrap().items(1000)).into_bytes(),
        _ => value.to_vec(),
    }
}

async fn clicks(db: &Embedded) -> u64 {
    let mut total = 0;
    let rows = db
        .state()
        .scan(VIEW_POPULARITY, b"", None, usize::MAX)
        .await
        .unwrap();
    for e in rows {
        let c = Counts::decode(&e.value).unwrap();
        assert_eq!(parse_key(&e.key).unwrap().0, "daily");
        total += c.clicks(c.last, 60);
    }
    total
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_the_folds_end_in_the_same_bytes() {
    let events: Vec<Event> = (0..900).map(event).collect();
    let straight = tempfile::tempdir().unwrap();
    let db = open(straight.path()).await;
    append(&db, &events).await;
    let folds = start(&db).await;
    folds.until_folded().await;
    folds.stop().await;
    let want = views(&db).await;
    assert_eq!(clicks(&db).await, 900, "nothing lost, nothing doubled");

    let broken = tempfile::tempdir().unwrap();
    let db = open(broken.path()).await;
    for (i, part) in events.chunks(70).enumerate() {
        append(&db, part).await;
        // Every part comes twice, as from an edge that did not see our answer.
        append(&db, part).await;
        let folds = start(&db).await;
        tokio::time::sleep(Duration::from_millis(i as u64 * 5)).await;
        // Dropped in the middle of whatever it does, as by kill -9.
        folds.task.abort();
    }
    let folds = start(&db).await;
    folds.until_folded().await;
    folds.stop().await;
    let got = views(&db).await;
    for (key, value) in &want {
        assert_eq!(got.get(key), Some(value), "{key:?}");
    }
    assert_eq!(clicks(&db).await, 900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_becomes_a_blob_in_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let folds = start(&db).await;
    let mut woken = db.state().outbox_watch(OUTBOX_PROFILES).unwrap();
    for id in [2, 4, 3] {
        let mut e = event(1);
        e.id = format!("r{id}");
        e.data.content_id = Some(ContentId(id));
        append(&db, &[e]).await;
    }
    tokio::time::timeout(Duration::from_secs(20), woken.changed())
        .await
        .unwrap()
        .unwrap();
    folds.until_folded().await;
    let out = db.state().outbox_read(OUTBOX_PROFILES, 100).await.unwrap();
    let last = out.last().unwrap();
    assert_eq!(parse_dirty_key(&last.key), Some((reader(1), Some("daily"))));
    let p = decode(&last.value).unwrap();
    assert_eq!(p.reads.as_slice().len(), 3);
    assert_eq!(
        p.top_topics(1)[0].0,
        mediaflow_shared::topics::index("sport").unwrap()
    );
    let near = db
        .state()
        .scan(VIEW_NEIGHBOURS, b"", None, 10)
        .await
        .unwrap();
    let near: Vec<_> = near
        .iter()
        .map(|e| Neighbours::decode(&e.value).unwrap())
        .collect();
    assert_eq!(near.len(), 2, "2 → 4 → 3");
    folds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn withdrawal_deletes_the_state_and_queues_the_blob_for_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let folds = start(&db).await;
    append(&db, &[event(1)]).await;
    folds.until_folded().await;
    let mut e = event(2);
    e.kind = EventType::Consent;
    e.data.reader = Some(reader(1));
    e.data.consent = Some(false);
    append(&db, &[e]).await;
    folds.until_folded().await;
    let out = db.state().outbox_read(OUTBOX_PROFILES, 100).await.unwrap();
    assert!(out.last().unwrap().value.is_empty());
    let stored = db
        .state()
        .get(VIEW_READER, &reader(1).0)
        .await
        .unwrap()
        .unwrap();
    let left = ReaderState::decode(&stored).unwrap();
    assert_eq!(left.profile(), None);
    assert!(stored.len() < 100, "nothing but the time of the withdrawal");
    folds.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn robots_never_count_and_anonymous_clicks_do() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let folds = start(&db).await;
    let mut robot = event(3);
    robot.data.bot = Some(true);
    let mut anonymous = event(6);
    anonymous.data.reader = None;
    append(&db, &[robot, anonymous]).await;
    db.log()
        .append(TOPIC_EVENTS, 0, vec![Record::new("", "not json")])
        .await
        .unwrap();
    folds.until_folded().await;
    assert_eq!(clicks(&db).await, 1);
    let m = folds.deps.metrics.snapshot();
    assert_eq!(
        (m.events, m.robots, m.unreadable, m.duplicates),
        (1, 1, 1, 0)
    );
    assert_eq!(
        db.state().scan(VIEW_READER, b"", None, 9).await.unwrap(),
        []
    );
    folds.stop().await;
}

/// Who owns a partition is decided by the store alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_claims_last_commits_and_nothing_is_lost_or_doubled() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let events: Vec<Event> = (0..600).map(event).collect();
    let first = start(&db).await;
    append(&db, &events[..200]).await;
    first.until_folded().await;
    // A second process believes that all partitions are its own, too.
    let second = start(&db).await;
    for part in events[200..].chunks(50) {
        append(&db, part).await;
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
    second.until_folded().await;
    let fenced = |r: &Running| r.deps.metrics.snapshot().fenced;
    assert!(fenced(&first) > 0, "the first one was shut out");
    first.stop().await;
    second.stop().await;
    let again = start(&db).await;
    again.until_folded().await;
    again.stop().await;
    assert_eq!(clicks(&db).await, 600);
    let brands = db.state().scan(VIEW_BRAND, b"", None, 99).await.unwrap();
    let mut all = BrandCounts::default();
    for e in brands {
        all.merge(&BrandCounts::decode(&e.value).unwrap());
    }
    let (counts, now) = (all, Timestamp(START_MS + 1_200_000));
    let state = BrandState {
        counts,
        ..BrandState::default()
    };
    let values = evaluate(EntityState::Brand(&state), now, &Vocabulary::default());
    let total = of(Entity::Brand)
        .iter()
        .position(|d| d.name == "events_total")
        .unwrap();
    assert_eq!(values[total], Value::Int(600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_the_log_computes_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let folds = start(&db).await;
    let events: Vec<Event> = (0..900).map(event).collect();
    for part in events.chunks(60) {
        append(&db, part).await;
    }
    folds.until_folded().await;
    folds.stop().await;
    let facts = |id: ContentId| {
        let json = serde_json::to_vec(&article(id.0)).unwrap();
        mediaflow_features::ItemFacts::of_json(&json).map(|(_, f)| f)
    };
    let mut compared = 0;
    for p in 0..PARTITIONS {
        let mut replay = Replay::new(p, Default::default());
        let log = db.log();
        let records = log.read(TOPIC_EVENTS, p, 0, 9_999, 1 << 24).await.unwrap();
        for part in records.chunks(37) {
            replay.fold(part, facts);
        }
        for (reader, mut state) in replay.readers().map(|(r, s)| (r, s.clone())) {
            let stored = db.state().get(VIEW_READER, &reader.0).await.unwrap();
            let stored = ReaderState::decode(&stored.unwrap()).unwrap();
            // What was handed to the publisher when is not a matter of the log.
            state.forget_published();
            let mut online = stored;
            online.forget_published();
            assert_eq!(state, online);
            compared += 1;
        }
        for (item, state) in replay.items() {
            let key = keys::number(p, item.0);
            let stored = db.state().get(VIEW_ITEM, &key).await.unwrap().unwrap();
            assert_eq!(ItemState::decode(&stored).unwrap().encode(), state.encode());
            compared += 1;
        }
    }
    assert!(compared >= 40 + 25, "{compared}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feature_that_a_model_reads_and_nobody_declares_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let reads = [(Entity::Reader, "mood", ValueType::Count, 1)];
    mediaflow_features::register_consumer(db.state().as_ref(), "model churn-3", &reads)
        .await
        .unwrap();
    let deps = FeatureDeps::new(db.log(), db.state()).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let error = run(deps, stopped).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("model churn-3") && source.contains("reader.mood"),
        "{source}"
    );
}

/// What the folds say when they do not go on.
async fn refusal(db: &Embedded, config: FeatureConfig) -> String {
    let mut deps = FeatureDeps::new(db.log(), db.state()).await.unwrap();
    deps.config = config;
    let (_stop, stopped) = watch::channel(false);
    let ran = tokio::time::timeout(Duration::from_secs(10), run(deps, stopped));
    ran.await.unwrap().unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn states_of_another_session_rule_are_not_gone_on_with_unasked() {
    // Every reader comes once in 80 seconds.
    let rule = |when_changed| FeatureConfig {
        session: SessionRule {
            gap_s: 60,
            ..SessionRule::default()
        },
        when_changed,
        ..FeatureConfig::default()
    };
    let events: Vec<Event> = (0..400).map(event).collect();
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    append(&db, &events[..200]).await;
    let folds = start(&db).await;
    folds.until_folded().await;
    folds.stop().await;
    let old = views(&db).await;

    let said = refusal(&db, rule(WhenChanged::Refuse)).await;
    assert!(
        said.contains("session_gap_s was 1800 and is 60") && said.contains("rebuild"),
        "{said}"
    );
    assert_eq!(views(&db).await, old, "nothing was touched");

    // As asked: what was counted stays. From then on the new rule is the one that holds.
    let folds = start_with(&db, rule(WhenChanged::Keep)).await;
    folds.until_folded().await;
    append(&db, &events[200..300]).await;
    folds.until_folded().await;
    folds.stop().await;
    let said = refusal(&db, FeatureConfig::default()).await;
    assert!(said.contains("session_gap_s was 60 and is 1800"), "{said}");

    // Both rules are in the states now; folded again, only one is.
    let other = rule(WhenChanged::Rebuild);
    let third = FeatureConfig {
        session: SessionRule {
            gap_s: 70,
            ..other.session
        },
        ..other
    };
    let folds = start_with(&db, third).await;
    folds.until_folded().await;
    append(&db, &events[300..]).await;
    folds.until_folded().await;
    folds.stop().await;
    let again = views(&db).await;
    let fresh = tempfile::tempdir().unwrap();
    let db = open(fresh.path()).await;
    append(&db, &events).await;
    let folds = start_with(&db, third).await;
    folds.until_folded().await;
    folds.stop().await;
    let want = views(&db).await;
    assert_eq!(again.len(), want.len());
    for (key, value) in &want {
        assert_eq!(again.get(key), Some(value), "{key:?}");
    }
    let sessions = |bytes: &Vec<u8>| {
        let state = ReaderState::decode(bytes).unwrap();
        let now = Timestamp(START_MS + 1_200_000);
        let values = evaluate(EntityState::Reader(&state), now, &Vocabulary::default());
        let at = of(Entity::Reader).iter().position(|d| d.name == "sessions");
        values[at.unwrap()].clone()
    };
    let of_reader = (VIEW_READER, Bytes::copy_from_slice(&reader(1).0));
    assert_eq!(
        sessions(&old[&of_reader]),
        Value::Int(1),
        "a gap of half an hour"
    );
    assert_eq!(
        sessions(&again[&of_reader]),
        Value::Int(10),
        "of seventy seconds"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_that_was_cut_short_is_done_again_by_whoever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path()).await;
    let events: Vec<Event> = (0..200).map(event).collect();
    append(&db, &events).await;
    let folds = start(&db).await;
    folds.until_folded().await;
    folds.stop().await;
    let want = views(&db).await;
    // As it is when a process dies while it deletes: a mark, and states that are half gone.
    let mut half = Commit::new();
    for p in 0..PARTITIONS {
        half = half.put(VIEW_FOLDS, p.to_be_bytes().to_vec(), "rebuilding\n");
    }
    for n in 0..20 {
        half = half.delete(VIEW_READER, reader(n).0.to_vec());
    }
    db.state().commit(half).await.unwrap();
    let folds = start(&db).await;
    for _ in 0..400 {
        let there = db.state().scan(VIEW_READER, b"", None, 99).await.unwrap();
        if there.len() == 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    folds.until_folded().await;
    folds.stop().await;
    let got = views(&db).await;
    for (key, value) in &want {
        assert_eq!(got.get(key), Some(value), "{key:?}");
    }
}
