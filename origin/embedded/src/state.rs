//! The state store on the embedded database: one keyspace per view, one synced batch per commit.

mod outbox;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch};
use mediaflow_ports::{
    Commit, Entry, Expect, Fence, Offset, OnlineStore, OutboxRecord, PortError, PortErrorKind,
    PortResult, Progress, Require, StateStore, Summary, ViewUsage, Write, check_commit, check_name,
};
use tokio::sync::watch;

use crate::limits::REMOVE_BATCH_MAX;
use crate::state::outbox::Outboxes;
use crate::{Core, blocking, fault, keyspace_options, meta_key};

/// Keyspaces of views, apart from topics and the rest.
const VIEW_PREFIX: &str = "view.";

pub(crate) struct EmbeddedState {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    views: RwLock<HashMap<String, Keyspace>>,
    outboxes: Outboxes,
    /// Where the next sweep goes on: a view and the last key looked at.
    swept: Mutex<Option<(String, Bytes)>>,
}

impl EmbeddedState {
    pub(crate) fn open(core: Arc<Core>) -> Self {
        let outboxes = Outboxes::default();
        let (views, swept) = (RwLock::default(), Mutex::new(None));
        Self {
            inner: Arc::new(Inner {
                core,
                views,
                outboxes,
                swept,
            }),
        }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let inner = self.inner.clone();
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl StateStore for EmbeddedState {
    async fn get(&self, view: &str, key: &[u8]) -> PortResult<Option<Bytes>> {
        let (view, key) = (view.to_owned(), Bytes::copy_from_slice(key));
        self.run(move |inner| {
            let now_ms = inner.core.clock.now_ms();
            match inner.view(&view)? {
                Some(keyspace) => inner.live(&keyspace, &key, now_ms),
                None => Ok(None),
            }
        })
        .await
    }

    async fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>> {
        let (view, keys) = (view.to_owned(), keys.to_vec());
        self.run(move |inner| inner.multi_get(&view, &keys)).await
    }

    async fn scan(
        &self,
        view: &str,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> PortResult<Vec<Entry>> {
        let view = view.to_owned();
        let prefix = Bytes::copy_from_slice(prefix);
        let after = after.map(Bytes::copy_from_slice);
        self.run(move |inner| inner.scan(&view, &prefix, after, limit))
            .await
    }

    async fn commit(&self, commit: Commit) -> PortResult<()> {
        check_commit(&commit)?;
        self.run(move |inner| inner.commit(commit)).await
    }

    async fn claim(&self, fence: &str) -> PortResult<u64> {
        check_name("fence", fence)?;
        let key = meta_key(&["fence", fence]);
        self.run(move |inner| inner.claim(key)).await
    }

    async fn progress(&self, consumer: &str, topic: &str, partition: u32) -> PortResult<Offset> {
        let key = progress_key(consumer, topic, partition);
        self.run(move |inner| Ok(inner.core.meta_u64(&key)?.unwrap_or(0)))
            .await
    }

    async fn outbox_read(&self, outbox: &str, max: usize) -> PortResult<Vec<OutboxRecord>> {
        let outbox = outbox.to_owned();
        self.run(move |inner| inner.outboxes.read(&inner.core, &outbox, max))
            .await
    }

    async fn outbox_ack(&self, outbox: &str, ids: &[u64]) -> PortResult<()> {
        let (outbox, ids) = (outbox.to_owned(), ids.to_vec());
        self.run(move |inner| outbox::ack(&inner.core, &outbox, &ids))
            .await
    }

    fn outbox_watch(&self, outbox: &str) -> PortResult<watch::Receiver<u64>> {
        check_name("outbox", outbox)?;
        Ok(self.inner.outboxes.watch(outbox))
    }

    async fn sweep(&self, max: usize) -> PortResult<u64> {
        self.run(move |inner| inner.sweep(max)).await
    }

    async fn usage(&self) -> PortResult<Vec<ViewUsage>> {
        self.run(Inner::usage).await
    }

    fn summary(&self) -> Summary {
        self.inner.core.summary("state_store")
    }
}

#[async_trait]
impl OnlineStore for EmbeddedState {
    async fn read_features(
        &self,
        view: &str,
        entities: &[Bytes],
    ) -> PortResult<Vec<Option<Bytes>>> {
        self.multi_get(view, entities).await
    }
}

impl Inner {
    /// The keyspace of a view, if anything was ever written to it.
    fn view(&self, name: &str) -> PortResult<Option<Keyspace>> {
        let known = self
            .views
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if known.is_some() {
            return Ok(known);
        }
        check_name("view", name)?;
        if !self
            .core
            .db
            .keyspace_exists(&format!("{VIEW_PREFIX}{name}"))
        {
            return Ok(None);
        }
        self.view_for_write(name).map(Some)
    }

    fn view_for_write(&self, name: &str) -> PortResult<Keyspace> {
        if let Some(known) = self
            .views
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
        {
            return Ok(known.clone());
        }
        let opened = self
            .core
            .db
            .keyspace(&format!("{VIEW_PREFIX}{name}"), keyspace_options)
            .map_err(|e| fault::storage("open a view", e))?;
        let mut views = self.views.write().unwrap_or_else(PoisonError::into_inner);
        views.insert(name.to_owned(), opened.clone());
        Ok(opened)
    }

    /// Versions not yet compacted away count as entries.
    fn usage(&self) -> PortResult<Vec<ViewUsage>> {
        let mut all = Vec::new();
        for name in self.core.db.list_keyspace_names() {
            let Some(view) = name.strip_prefix(VIEW_PREFIX) else {
                continue;
            };
            let keyspace = self.view_for_write(view)?;
            all.push(ViewUsage {
                view: view.to_owned(),
                entries: keyspace.approximate_len() as u64,
                bytes: keyspace.disk_space(),
                estimated: true,
            });
        }
        Ok(all)
    }

    fn live(&self, view: &Keyspace, key: &[u8], now_ms: i64) -> PortResult<Option<Bytes>> {
        let stored = view
            .get(key)
            .map_err(|e| fault::storage("read a view", e))?;
        match stored {
            Some(stored) => Ok(value::decode(stored.into())?.live(now_ms)),
            None => Ok(None),
        }
    }

    fn multi_get(&self, view: &str, keys: &[Bytes]) -> PortResult<Vec<Option<Bytes>>> {
        use fjall::Readable;
        let Some(view) = self.view(view)? else {
            return Ok(vec![None; keys.len()]);
        };
        let now_ms = self.core.clock.now_ms();
        let snapshot = self.core.db.snapshot();
        keys.iter()
            .map(|key| {
                let stored = snapshot
                    .get(&view, key)
                    .map_err(|e| fault::storage("read a view", e))?;
                stored.map_or(Ok(None), |s| Ok(value::decode(s.into())?.live(now_ms)))
            })
            .collect()
    }

    fn scan(
        &self,
        view: &str,
        prefix: &Bytes,
        after: Option<Bytes>,
        limit: usize,
    ) -> PortResult<Vec<Entry>> {
        let Some(view) = self.view(view)? else {
            return Ok(Vec::new());
        };
        let now_ms = self.core.clock.now_ms();
        let mut found = Vec::new();
        for guard in view.range(start_after(prefix, after)..) {
            if found.len() == limit {
                break;
            }
            let (key, stored) = guard
                .into_inner()
                .map_err(|e| fault::storage("scan a view", e))?;
            if !key.starts_with(prefix) {
                break;
            }
            let stored = value::decode(stored.into())?;
            let expires_ms = stored.expires_ms;
            if let Some(value) = stored.live(now_ms) {
                found.push(Entry {
                    key: key.into(),
                    value,
                    expires_ms,
                });
            }
        }
        Ok(found)
    }

    fn commit(&self, commit: Commit) -> PortResult<()> {
        let Commit {
            writes,
            progress,
            fence,
            requires,
            outbox,
        } = commit;
        // Before the lock: encoding a commit of thousands takes longer than checking it.
        let mut batch = self.core.batch();
        self.write(writes, &mut batch)?;
        let lock = self.core.lock_commits();
        let now_ms = self.core.clock.now_ms();
        if let Some(fence) = &fence {
            self.hold_fence(fence, &mut batch)?;
        }
        if let Some(progress) = &progress {
            self.move_on(progress, &mut batch)?;
        }
        for require in &requires {
            self.hold(require, now_ms)?;
        }
        let touched = self.outboxes.append(&self.core, outbox, &mut batch)?;
        batch
            .commit()
            .map_err(|e| fault::storage("commit state", e))?;
        // The next commit is checked and written while this one waits for the disk.
        drop(lock);
        self.core
            .sync()
            .map_err(|e| fault::storage("commit state", e))?;
        self.outboxes.wake(&touched);
        Ok(())
    }

    fn claim(&self, key: Vec<u8>) -> PortResult<u64> {
        let _lock = self.core.lock_commits();
        let epoch = self.core.meta_u64(&key)?.unwrap_or(0).saturating_add(1);
        let mut batch = self.core.synced_batch();
        batch.insert(&self.core.meta, key, epoch.to_be_bytes());
        batch
            .commit()
            .map_err(|e| fault::storage("claim a fence", e))?;
        Ok(epoch)
    }

    fn hold_fence(&self, fence: &Fence, batch: &mut OwnedWriteBatch) -> PortResult<()> {
        let key = meta_key(&["fence", &fence.name]);
        let stored = self.core.meta_u64(&key)?;
        match stored {
            Some(newer) if newer > fence.epoch => Err(PortError::new(
                PortErrorKind::Fenced,
                format!(
                    "fence \"{}\" is held by epoch {newer}, this is epoch {}; \
                     another worker took over: stop",
                    fence.name, fence.epoch
                ),
            )),
            Some(same) if same == fence.epoch => Ok(()),
            _ => {
                batch.insert(&self.core.meta, key, fence.epoch.to_be_bytes());
                Ok(())
            }
        }
    }

    fn move_on(&self, progress: &Progress, batch: &mut OwnedWriteBatch) -> PortResult<()> {
        let Progress {
            consumer,
            topic,
            partition,
            expected,
            next,
        } = progress;
        let key = progress_key(consumer, topic, *partition);
        let stored = self.core.meta_u64(&key)?.unwrap_or(0);
        if stored != *expected {
            return Err(PortError::new(
                PortErrorKind::Conflict,
                format!(
                    "consumer \"{consumer}\" of {topic}/{partition} is at {stored}, \
                     not {expected}; read on from {stored}"
                ),
            ));
        }
        batch.insert(&self.core.meta, key, next.to_be_bytes());
        Ok(())
    }

    fn hold(&self, require: &Require, now_ms: i64) -> PortResult<()> {
        let stored = match self.view(&require.view)? {
            Some(view) => self.live(&view, &require.key, now_ms)?,
            None => None,
        };
        let holds = match &require.expect {
            Expect::Absent => stored.is_none(),
            Expect::Exactly(bytes) => stored.as_ref() == Some(bytes),
        };
        if holds {
            return Ok(());
        }
        Err(PortError::new(
            PortErrorKind::Conflict,
            format!(
                "view \"{}\": key \"{}\" was changed by someone else; load it and decide anew",
                require.view,
                require.key.escape_ascii()
            ),
        ))
    }

    fn write(&self, writes: Vec<Write>, batch: &mut OwnedWriteBatch) -> PortResult<()> {
        // All items of a fjall batch share one sequence number, so a key may occur only once.
        // Sorted by view and key, the later of two last; most commits are in one view for long.
        let mut order: Vec<usize> = (0..writes.len()).collect();
        let of = |at: usize| (&writes[at].view[..], &writes[at].key[..]);
        order.sort_by(|a, b| of(*a).cmp(&of(*b)));
        let mut open: Option<(&str, Keyspace)> = None;
        for (n, &at) in order.iter().enumerate() {
            if order.get(n + 1).is_some_and(|next| of(*next) == of(at)) {
                continue;
            }
            let write = &writes[at];
            let view = match &open {
                Some((name, view)) if *name == write.view => view,
                _ => {
                    let view = self.view_for_write(&write.view)?;
                    &open.insert((&write.view, view)).1
                }
            };
            match &write.value {
                Some(bytes) => batch.insert(
                    view,
                    write.key.clone(),
                    value::encode(bytes, write.expires_ms),
                ),
                None => batch.remove(view, write.key.clone()),
            }
        }
        Ok(())
    }

    fn sweep(&self, max: usize) -> PortResult<u64> {
        let mut names: Vec<String> = self
            .core
            .db
            .list_keyspace_names()
            .iter()
            .filter_map(|name| name.strip_prefix(VIEW_PREFIX).map(str::to_owned))
            .collect();
        names.sort_unstable();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut looked_at, mut removed) = (0, 0);
        let resumed = swept.take();
        let from_view = resumed
            .as_ref()
            .map(|(view, _)| view.clone())
            .unwrap_or_default();
        for name in names.into_iter().filter(|name| *name >= from_view) {
            let mut after = resumed
                .as_ref()
                .filter(|(v, _)| *v == name)
                .map(|(_, k)| k.clone());
            let Some(view) = self.view(&name)? else {
                continue;
            };
            loop {
                let budget = REMOVE_BATCH_MAX.min(max - looked_at);
                if budget == 0 {
                    *swept = after.map(|key| (name, key));
                    return Ok(removed);
                }
                let page = self.sweep_page(&view, after.take(), budget)?;
                looked_at += page.looked_at;
                removed += page.removed;
                after = page.last;
                if page.looked_at < budget {
                    break;
                }
            }
        }
        Ok(removed)
    }

    fn sweep_page(&self, view: &Keyspace, after: Option<Bytes>, budget: usize) -> PortResult<Page> {
        let failed = |e| fault::storage("sweep a view", e);
        let now_ms = self.core.clock.now_ms();
        let mut page = Page {
            looked_at: 0,
            removed: 0,
            last: None,
        };
        let mut expired = Vec::new();
        for guard in view.range(start_after(&Bytes::new(), after)..).take(budget) {
            let (key, stored) = guard.into_inner().map_err(failed)?;
            page.looked_at += 1;
            if value::decode(stored.into())?.live(now_ms).is_none() {
                expired.push(key.clone());
            }
            page.last = Some(key.into());
        }
        if expired.is_empty() {
            return Ok(page);
        }
        // Looked at again under the lock: a commit may have renewed the key meanwhile.
        let _lock = self.core.lock_commits();
        let mut batch = self.core.synced_batch();
        for key in expired {
            let stored = view.get(&key).map_err(failed)?;
            if let Some(stored) = stored
                && value::decode(stored.into())?.live(now_ms).is_none()
            {
                batch.remove(view, key);
                page.removed += 1;
            }
        }
        batch.commit().map_err(failed)?;
        Ok(page)
    }
}

struct Page {
    looked_at: usize,
    removed: u64,
    last: Option<Bytes>,
}

/// The first key a scan may answer: `prefix`, or the one right after `after`.
fn start_after(prefix: &Bytes, after: Option<Bytes>) -> Vec<u8> {
    match after {
        Some(after) if after >= *prefix => [&after[..], &[0]].concat(),
        _ => prefix.to_vec(),
    }
}

fn progress_key(consumer: &str, topic: &str, partition: u32) -> Vec<u8> {
    meta_key(&["progress", consumer, topic, &partition.to_string()])
}
