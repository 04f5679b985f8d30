//! In-memory log and state for tests of services: small, and able to fail when told to. The tests of
//! `enrich` compile this file too.

use async_trait::async_trait;
use bytes::Bytes;
use mediaflow_ports::{
    Clock, Commit, Entry, EventLog, Expect, ManualClock, Offset, OutboxRecord, PortError,
    PortErrorKind, PortResult, Record, Retained, RetentionPolicy, StateStore, StoredRecord,
    Summary,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const PARTITIONS: usize = 4;

pub(crate) struct MemoryLog {
    clock: Arc<ManualClock>,
    topics: Mutex<HashMap<String, Vec<Vec<StoredRecord>>>>,
    fail: AtomicBool,
    changed: watch::Sender<u64>,
}

impl MemoryLog {
    pub(crate) fn new(clock: Arc<ManualClock>, topics: &[&str]) -> Self {
        let empty = || vec![Vec::new(); PARTITIONS];
        let topics = topics.iter().map(|t| ((*t).to_owned(), empty())).collect();
        let (changed, _) = watch::channel(0);
        Self {
            clock,
            topics: Mutex::new(topics),
            fail: AtomicBool::new(false),
            changed,
        }
    }

    pub(crate) fn fail_next_append(&self) {
        self.fail.store(true, Ordering::SeqCst);
    }

    fn with<T>(
        &self,
        topic: &str,
        partition: u32,
        f: impl FnOnce(&mut Vec<StoredRecord>) -> T,
    ) -> PortResult<T> {
        let mut topics = self.topics.lock().unwrap();
        topics
            .get_mut(topic)
            .and_then(|t| t.get_mut(partition as usize))
            .map(f)
            .ok_or_else(|| PortError::new(PortErrorKind::NotFound, format!("no topic {topic}")))
    }
}

fn refused() -> PortError {
    PortError::new(PortErrorKind::Unavailable, "told to fail")
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> PortResult<()> {
        let mut topics = self.topics.lock().unwrap();
        let empty = || vec![Vec::new(); partitions as usize];
        topics.entry(topic.to_owned()).or_insert_with(empty);
        Ok(())
    }

    async fn append(&self, topic: &str, p: u32, records: Vec<Record>) -> PortResult<Vec<Offset>> {
        // The test of concurrent duplicates needs a point where others run.
        tokio::task::yield_now().await;
        if self.fail.swap(false, Ordering::SeqCst) {
            return Err(refused());
        }
        let appended_ms = self.clock.now_ms();
        let offsets = self.with(topic, p, |kept| {
            let mut offsets = Vec::new();
            for record in records {
                let offset = kept.len() as u64;
                kept.push(StoredRecord {
                    offset,
                    appended_ms,
                    record,
                });
                offsets.push(offset);
            }
            offsets
        })?;
        self.changed.send_modify(|n| *n += 1);
        Ok(offsets)
    }

    async fn read(
        &self,
        topic: &str,
        p: u32,
        from: Offset,
        max: usize,
        _max_bytes: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        let skip = usize::try_from(from).unwrap();
        self.with(topic, p, |kept| {
            kept.iter().skip(skip).take(max).cloned().collect()
        })
    }

    async fn begin(&self, topic: &str, p: u32) -> PortResult<Offset> {
        self.with(topic, p, |_| 0)
    }

    async fn end(&self, topic: &str, p: u32) -> PortResult<Offset> {
        self.with(topic, p, |kept| kept.len() as u64)
    }

    async fn partitions(&self, topic: &str) -> PortResult<u32> {
        let topics = self.topics.lock().unwrap();
        let found = topics.get(topic).map(|t| t.len() as u32);
        found.ok_or_else(|| PortError::new(PortErrorKind::NotFound, format!("no topic {topic}")))
    }

    fn watch(&self, _topic: &str) -> PortResult<watch::Receiver<u64>> {
        Ok(self.changed.subscribe())
    }

    async fn retain(&self, _: &str, _: RetentionPolicy, _: i64) -> PortResult<Retained> {
        Ok(Retained::default())
    }

    fn summary(&self) -> Summary {
        Summary {
            line: "memory".into(),
            warn: true,
        }
    }
}

type Held = (Bytes, Option<i64>);

#[derive(Default)]
struct Kept {
    views: HashMap<String, BTreeMap<Bytes, Held>>,
    progress: HashMap<(String, String, u32), Offset>,
    outbox: Vec<(String, OutboxRecord)>,
    last_id: u64,
}

pub(crate) struct MemoryState {
    clock: Arc<ManualClock>,
    kept: Mutex<Kept>,
    fail: AtomicBool,
    changed: watch::Sender<u64>,
}

impl MemoryState {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        let (changed, _) = watch::channel(0);
        Self {
            clock,
            kept: Mutex::default(),
            fail: AtomicBool::new(false),
            changed,
        }
    }

    pub(crate) fn fail_next_commit(&self) {
        self.fail.store(true, Ordering::SeqCst);
    }

    fn look(&self, kept: &Kept, view: &str, key: &[u8]) -> Option<Bytes> {
        let (value, expires) = kept.views.get(view)?.get(key)?;
        expires
            .is_none_or(|at| self.clock.now_ms() < at)
            .then(|| value.clone())
    }
}

#[async_trait]
impl StateStore for MemoryState {
    async fn get(&self, view: &str, key: &[u8]) -> PortResult<Option<Bytes>> {
        Ok(self.look(&self.kept.lock().unwrap(), view, key))
    }

    async fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>> {
        let kept = self.kept.lock().unwrap();
        Ok(keys.iter().map(|k| self.look(&kept, view, k)).collect())
    }

    async fn scan(
        &self,
        view: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<Vec<Entry>> {
        let kept = self.kept.lock().unwrap();
        let Some(entries) = kept.views.get(view) else {
            return Ok(Vec::new());
        };
        let wanted = entries
            .iter()
            .filter(|(k, _)| k.starts_with(prefix) && after.is_none_or(|a| &k[..] > a));
        Ok(wanted
            .take(limit)
            .map(|(key, (value, expires_ms))| Entry {
                key: key.clone(),
                value: value.clone(),
                expires_ms: *expires_ms,
            })
            .collect())
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        if self.fail.swap(false, Ordering::SeqCst) {
            return Err(refused());
        }
        let conflict = |what: &str| Err(PortError::new(PortErrorKind::Conflict, what));
        let mut kept = self.kept.lock().unwrap();
        if let Some(p) = &commit.progress {
            let key = (p.consumer.clone(), p.topic.clone(), p.partition);
            if kept.progress.get(&key).copied().unwrap_or(0) != p.expected {
                return conflict("replayed");
            }
        }
        for r in &commit.requires {
            let held = self.look(&kept, &r.view, &r.key);
            let holds = match &r.expect {
                Expect::Absent => held.is_none(),
                Expect::Exactly(v) => held.as_ref() == Some(v),
            };
            if !holds {
                return conflict("precondition");
            }
        }
        if let Some(p) = commit.progress {
            kept.progress
                .insert((p.consumer, p.topic, p.partition), p.next);
        }
        for w in commit.writes {
            let view = kept.views.entry(w.view.into_owned()).or_default();
            match w.value {
                Some(v) => view.insert(w.key, (v, w.expires_ms)),
                None => view.remove(&w.key),
            };
        }
        for o in commit.outbox {
            kept.last_id += 1;
            let record = OutboxRecord {
                id: kept.last_id,
                key: o.key,
                value: o.value,
            };
            kept.outbox.push((o.outbox.into_owned(), record));
        }
        self.changed.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn claim(&self, _: &str) -> PortResult<u64> {
        let mut kept = self.kept.lock().unwrap();
        kept.last_id += 1;
        Ok(kept.last_id)
    }

    async fn progress(&self, consumer: &str, topic: &str, p: u32) -> PortResult<Offset> {
        let key = (consumer.to_owned(), topic.to_owned(), p);
        Ok(self
            .kept
            .lock()
            .unwrap()
            .progress
            .get(&key)
            .copied()
            .unwrap_or(0))
    }

    async fn outbox_read(&self, outbox: &str, max: usize) -> PortResult<Vec<OutboxRecord>> {
        let kept = self.kept.lock().unwrap();
        let mine = kept.outbox.iter().filter(|(o, _)| o == outbox);
        Ok(mine.take(max).map(|(_, r)| r.clone()).collect())
    }

    async fn outbox_ack(&self, outbox: &str, ids: &[u64]) -> PortResult<()> {
        let mut kept = self.kept.lock().unwrap();
        kept.outbox
            .retain(|(o, r)| o != outbox || !ids.contains(&r.id));
        Ok(())
    }

    fn outbox_watch(&self, _: &str) -> PortResult<watch::Receiver<u64>> {
        Ok(self.changed.subscribe())
    }

    async fn sweep(&self, _: usize) -> PortResult<u64> {
        Ok(0)
    }

    fn summary(&self) -> Summary {
        Summary {
            line: "memory".into(),
            warn: true,
        }
    }
}
