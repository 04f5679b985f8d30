use super::memory::{MemoryLog, MemoryState};
use super::*;
use mediaflow_ports::ManualClock;
use mediaflow_shared::content::{RawTime, Status};
use mediaflow_shared::time::Timestamp;

struct Bench {
    log: Arc<MemoryLog>,
    state: Arc<MemoryState>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_795_248_000_000));
        let log = MemoryLog::new(clock.clone(), &[TOPIC_RAW, TOPIC_ENRICHED]);
        Self {
            log: Arc::new(log),
            state: Arc::new(MemoryState::new(clock)),
        }
    }

    async fn deliver(&self, raw: &RawItem) {
        self.append(&key_of(raw), serde_json::to_vec(raw).unwrap())
            .await;
    }

    async fn append(&self, key: &[u8], value: Vec<u8>) {
        let p = partition_of(key, self.log.partitions(TOPIC_RAW).await.unwrap());
        let record = Record::new(key.to_vec(), value);
        self.log.append(TOPIC_RAW, p, vec![record]).await.unwrap();
    }

    /// Runs the service until it has nothing left to do.
    async fn settle(&self) {
        let (tx, rx) = watch::channel(false);
        let (log, state) = (self.log.clone(), self.state.clone());
        let task = tokio::spawn(async move {
            run(log, state, Normalizer::default(), &Metrics::new(), rx).await
        });
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.idle().await {
                break;
            }
        }
        assert!(self.idle().await, "the service did not keep up");
        tx.send_replace(true);
        task.await.unwrap().unwrap();
    }

    async fn idle(&self) -> bool {
        for p in 0..self.log.partitions(TOPIC_RAW).await.unwrap() {
            let at = self.state.progress(CONSUMER, TOPIC_RAW, p).await.unwrap();
            if at != self.log.end(TOPIC_RAW, p).await.unwrap() {
                return false;
            }
        }
        self.state
            .outbox_read(OUTBOX_ENRICHED, 1)
            .await
            .unwrap()
            .is_empty()
    }

    async fn announced(&self) -> Vec<Content> {
        let mut out = Vec::new();
        for p in 0..self.log.partitions(TOPIC_ENRICHED).await.unwrap() {
            for r in self
                .log
                .read(TOPIC_ENRICHED, p, 0, 999, usize::MAX)
                .await
                .unwrap()
            {
                out.push(serde_json::from_slice(&r.record.value).unwrap());
            }
        }
        out
    }

    async fn article(&self, raw: &RawItem) -> Content {
        let value = self
            .state
            .get(VIEW_CONTENT, &key_of(raw))
            .await
            .unwrap()
            .unwrap();
        serde_json::from_slice(&value).unwrap()
    }
}

fn raw(id: &str, title: &str, modified_s: i64) -> RawItem {
    RawItem {
        source: "wp".into(),
        original_id: id.into(),
        brand: "daily".into(),
        title: title.into(),
        modified: RawTime::Number(modified_s as f64),
        ingested_at: Timestamp(1_795_248_000_000),
        ..RawItem::default()
    }
}

#[tokio::test]
async fn deliveries_become_articles_in_view_and_topic() {
    let b = Bench::new();
    for i in 0..20 {
        b.deliver(&raw(&i.to_string(), "First", 100)).await;
    }
    b.deliver(&raw("7", "Second", 200)).await;
    b.deliver(&raw("7", "Late first", 150)).await;
    b.settle().await;
    assert_eq!(b.article(&raw("7", "", 0)).await.title, "Second");
    assert_eq!(b.announced().await.len(), 21);
}

#[tokio::test]
async fn a_restart_repeats_nothing() {
    let b = Bench::new();
    b.deliver(&raw("1", "One", 100)).await;
    b.settle().await;
    b.settle().await;
    b.deliver(&raw("1", "", 300)).await;
    assert_eq!(b.announced().await.len(), 1);
    let gone = RawItem {
        status: Status::Unpublished,
        ..raw("1", "", 300)
    };
    b.deliver(&gone).await;
    b.settle().await;
    let c = b.article(&gone).await;
    assert_eq!(c.status, Status::Unpublished);
}

#[tokio::test]
async fn a_failing_store_is_waited_for() {
    let b = Bench::new();
    b.deliver(&raw("1", "One", 100)).await;
    b.state.fail_next_commit();
    b.settle().await;
    assert_eq!(b.article(&raw("1", "", 0)).await.title, "One");
    b.log.fail_next_append();
    assert!(b.log.append(TOPIC_RAW, 0, vec![]).await.is_err());
}

#[tokio::test]
async fn foreign_bytes_do_not_stop_the_rest() {
    let b = Bench::new();
    for p in 0..16u8 {
        b.append(&[p], b"not json".to_vec()).await;
    }
    b.deliver(&raw("1", "One", 100)).await;
    b.settle().await;
    assert_eq!(b.article(&raw("1", "", 0)).await.title, "One");
}

#[tokio::test]
async fn people_are_found_by_the_hash_of_their_name() {
    let b = Bench::new();
    let film = RawItem {
        cast: vec![
            "Ada Actor".into(),
            " Bob&nbsp;Star ".into(),
            "Ada Actor".into(),
        ],
        ..raw("1", "A film", 100)
    };
    b.deliver(&film).await;
    b.settle().await;
    assert_eq!(b.article(&film).await.cast, ["Ada Actor", "Bob Star"]);
    let key = name_hash("bob star").to_be_bytes();
    let name = b.state.get(VIEW_PEOPLE, &key).await.unwrap().unwrap();
    assert_eq!(&name[..], b"Bob Star");
}
