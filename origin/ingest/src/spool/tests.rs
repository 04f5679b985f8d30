use super::*;
use crate::fakes::memory::MemoryLog;
use crate::fakes::{NOW_MS, Stores};
use mediaflow_ports::ManualClock;

/// What a log that is in trouble does with an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Well,
    /// Refuses, and keeps nothing.
    Down,
    /// Keeps everything, and says it did not.
    Lying,
    /// Keeps everything, and answers only later.
    Slow,
    /// Its queue is full.
    Full,
}

struct Moody {
    log: Arc<MemoryLog>,
    mood: Mutex<Mood>,
    /// Ends as somebody was told them: reads hear of nothing beyond, as a process's do of a log on other machines.
    told: Mutex<HashMap<(String, u32), Offset>>,
}

impl Moody {
    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn tell(&self, topic: &str, p: u32, end: Offset) {
        let mut told = self.told.lock().unwrap();
        let known = told.entry((topic.to_owned(), p)).or_default();
        *known = end.max(*known);
    }

    fn refused(kind: PortErrorKind) -> PortError {
        PortError::new(kind, "in a bad mood")
    }

    fn away(&self) -> PortResult<()> {
        if *self.mood.lock().unwrap() == Mood::Down {
            return Err(Self::refused(PortErrorKind::Unavailable));
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for Moody {
    async fn ensure_topic(&self, topic: &str, n: u32) -> PortResult<()> {
        self.log.ensure_topic(topic, n).await
    }

    async fn append(&self, topic: &str, p: u32, records: Vec<Record>) -> PortResult<Vec<Offset>> {
        let mood = *self.mood.lock().unwrap();
        let appended = match mood {
            Mood::Down => Err(Self::refused(PortErrorKind::Unavailable)),
            Mood::Full => Err(Self::refused(PortErrorKind::Full)),
            Mood::Well => self.log.append(topic, p, records).await,
            Mood::Lying => {
                self.log.append(topic, p, records).await?;
                Err(Self::refused(PortErrorKind::Unavailable))
            }
            Mood::Slow => {
                tokio::time::sleep(Duration::from_millis(150)).await;
                self.log.append(topic, p, records).await
            }
        };
        if let Some(last) = appended.as_ref().ok().and_then(|offsets| offsets.last()) {
            self.tell(topic, p, last + 1);
        }
        appended
    }

    async fn read(
        &self,
        t: &str,
        p: u32,
        from: Offset,
        n: usize,
        b: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        self.away()?;
        let end = self.told.lock().unwrap().get(&(t.to_owned(), p)).copied();
        let mut found = self.log.read(t, p, from, n, b).await?;
        found.retain(|r| r.offset < end.unwrap_or(0));
        Ok(found)
    }

    async fn first_since(&self, t: &str, p: u32, since_ms: i64) -> PortResult<Offset> {
        self.away()?;
        self.log.first_since(t, p, since_ms).await
    }

    async fn begin(&self, topic: &str, p: u32) -> PortResult<Offset> {
        self.away()?;
        self.log.begin(topic, p).await
    }

    async fn end(&self, topic: &str, p: u32) -> PortResult<Offset> {
        self.away()?;
        let end = self.log.end(topic, p).await?;
        self.tell(topic, p, end);
        Ok(end)
    }

    async fn partitions(&self, topic: &str) -> PortResult<u32> {
        self.away()?;
        self.log.partitions(topic).await
    }

    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>> {
        self.log.watch(topic)
    }

    async fn retain(&self, t: &str, policy: RetentionPolicy, now: i64) -> PortResult<Retained> {
        self.log.retain(t, policy, now).await
    }

    fn summary(&self) -> Summary {
        self.log.summary()
    }
}

struct Bench {
    stores: Stores,
    log: Arc<Moody>,
    disk: Arc<MemoryLog>,
}

impl Bench {
    fn new() -> Self {
        let stores = Stores::new();
        let log = Arc::new(Moody {
            log: stores.log.clone(),
            mood: Mutex::new(Mood::Well),
            told: Mutex::default(),
        });
        let disk = Arc::new(MemoryLog::new(Arc::new(ManualClock::at(NOW_MS)), &[]));
        Self { stores, log, disk }
    }

    async fn spool(&self, bytes_max: u64) -> Arc<Spool> {
        let limits = SpoolLimits {
            bytes_max,
            patience: Duration::from_millis(50),
        };
        Spool::open(
            self.log.clone(),
            self.disk.clone(),
            self.stores.clock.clone(),
            limits,
            &Metrics::new(),
        )
        .await
        .unwrap()
    }

    /// The numbers of the records in the log, in their order.
    async fn numbers(&self, partition: u32) -> Vec<u32> {
        let all = self
            .stores
            .log
            .read("events", partition, 0, usize::MAX, usize::MAX)
            .await
            .unwrap();
        for r in &all {
            assert!(
                r.record.headers.iter().all(|(n, _)| n == "dedupe"),
                "{:?}",
                r.record.headers
            );
        }
        all.iter()
            .map(|r| u32::from_be_bytes(r.record.value[..].try_into().unwrap()))
            .collect()
    }
}

fn record(n: u32) -> Record {
    let mut key = [0_u8; 16];
    key[..4].copy_from_slice(&n.to_be_bytes());
    Record::new(n.to_be_bytes().to_vec(), n.to_be_bytes().to_vec())
        .with_header("dedupe", key.to_vec())
}

async fn send(s: &Spool, numbers: std::ops::Range<u32>) {
    for n in numbers {
        s.append("events", n % 2, vec![record(n)]).await.unwrap();
    }
}

fn of(parity: u32, to: u32) -> Vec<u32> {
    (0..to).filter(|n| n % 2 == parity).collect()
}

#[tokio::test]
async fn an_outage_is_acknowledged_from_disk_and_drained_in_order() {
    for mood in [Mood::Down, Mood::Full, Mood::Lying, Mood::Slow] {
        let b = Bench::new();
        let s = b.spool(u64::MAX).await;
        send(&s, 0..4).await;
        b.log.set(mood);
        send(&s, 4..20).await;
        assert!(s.depth().0 >= 15, "{mood:?}: {:?}", s.depth());
        b.log.set(Mood::Well);
        // Still queueing behind what waits.
        send(&s, 20..24).await;
        s.drain().await.unwrap();
        assert_eq!(s.depth(), (0, 0));
        send(&s, 24..30).await;
        for parity in [0, 1] {
            assert_eq!(b.numbers(parity).await, of(parity, 30), "{mood:?}");
        }
        assert_eq!(s.depth(), (0, 0), "well again: nothing waits");
    }
}

#[tokio::test]
async fn a_process_that_dies_while_spooling_goes_on_where_it_was() {
    let b = Bench::new();
    let s = b.spool(u64::MAX).await;
    b.log.set(Mood::Lying);
    send(&s, 0..1).await;
    b.log.set(Mood::Down);
    send(&s, 1..50).await;
    assert!(s.drain().await.is_err());
    drop(s);
    let again = b.spool(u64::MAX).await;
    assert_eq!((again.depth().0, again.take_keys().len()), (50, 50));
    assert!(again.take_keys().is_empty());
    b.log.set(Mood::Well);
    again.drain().await.unwrap();
    for parity in [0, 1] {
        assert_eq!(b.numbers(parity).await, of(parity, 50));
    }
    drop(again);
    assert_eq!(
        b.spool(u64::MAX).await.depth().0,
        0,
        "and is not drained twice"
    );
}

#[tokio::test]
async fn a_process_that_dies_between_log_and_note_doubles_nothing() {
    let b = Bench::new();
    let s = b.spool(u64::MAX).await;
    b.log.set(Mood::Down);
    send(&s, 0..10).await;
    drop(s);
    b.log.set(Mood::Well);
    // What draining does before its note: some of the batch is in the log.
    for n in [0, 2, 4] {
        b.stores
            .log
            .append("events", 0, vec![record(n)])
            .await
            .unwrap();
    }
    let again = b.spool(u64::MAX).await;
    again.drain().await.unwrap();
    assert_eq!(b.numbers(0).await, of(0, 10));
    assert_eq!(b.numbers(1).await, of(1, 10));
}

#[tokio::test]
async fn a_log_that_fails_again_while_draining_is_not_given_anything_twice() {
    let b = Bench::new();
    let s = b.spool(u64::MAX).await;
    b.log.set(Mood::Down);
    send(&s, 0..10).await;
    b.log.set(Mood::Lying);
    assert!(s.drain().await.is_err());
    assert!(s.drain().await.is_err());
    b.log.set(Mood::Well);
    s.drain().await.unwrap();
    for parity in [0, 1] {
        assert_eq!(b.numbers(parity).await, of(parity, 10));
    }
}

#[tokio::test]
async fn a_full_spool_and_a_lost_disk_refuse_and_keep_the_count() {
    let b = Bench::new();
    let one = record(0).size_bytes() as u64;
    let s = b.spool(3 * one).await;
    b.log.set(Mood::Down);
    send(&s, 0..3).await;
    let e = s.append("events", 0, vec![record(3)]).await.unwrap_err();
    assert_eq!(e.kind(), PortErrorKind::Full);
    assert_eq!(s.depth(), (3, 3 * one));
    b.log.set(Mood::Well);
    s.drain().await.unwrap();
    b.log.set(Mood::Down);
    b.disk.fail_next_append();
    assert!(
        s.append("events", 0, vec![record(4)]).await.is_err(),
        "neither log nor disk"
    );
    assert_eq!(s.depth(), (0, 0));
    b.log.set(Mood::Well);
    s.drain().await.unwrap();
    assert_eq!(b.numbers(0).await, [0, 2]);
}

#[tokio::test]
async fn what_cannot_be_appended_at_all_is_not_spooled() {
    let b = Bench::new();
    let s = b.spool(u64::MAX).await;
    let e = s
        .append("no-such-topic", 0, vec![record(1)])
        .await
        .unwrap_err();
    assert_eq!((e.kind(), s.depth().0), (PortErrorKind::NotFound, 0));
}

#[tokio::test]
async fn the_task_drains_by_itself_while_senders_go_on() {
    let b = Bench::new();
    let s = b.spool(u64::MAX).await;
    let (trigger, signal) = mediaflow_http::shutdown_channel();
    let task = tokio::spawn(s.clone().run(signal));
    for round in 0..6_u32 {
        b.log.set(if round % 2 == 0 {
            Mood::Down
        } else {
            Mood::Well
        });
        send(&s, round * 50..(round + 1) * 50).await;
    }
    b.log.set(Mood::Well);
    for _ in 0..200 {
        if s.depth().0 == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for parity in [0, 1] {
        assert_eq!(b.numbers(parity).await, of(parity, 300));
    }
    trigger.stop();
    task.await.unwrap();
}
