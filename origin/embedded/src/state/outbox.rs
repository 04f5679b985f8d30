//! Outboxes: work stored in the commit that caused it, kept until acknowledged.
//!
//! Rows live in `meta` under `outbox NUL name NUL id`; the next id is a counter row written in the
//! same batch, so ids are never reused, not even after the outbox ran empty.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use fjall::OwnedWriteBatch;
use mediaflow_ports::{OutboxEntry, OutboxRecord, PortResult};
use tokio::sync::watch;

use crate::limits::REMOVE_BATCH_MAX;
use crate::{Core, fault, meta_key};

#[derive(Default)]
pub(super) struct Outboxes {
    wakers: Mutex<HashMap<String, watch::Sender<u64>>>,
    /// Per outbox the oldest id that may still be there. What was acknowledged before it stays in the tree as deletions for
    /// a while, and every read from the beginning would walk over them.
    heads: Mutex<HashMap<String, u64>>,
}

impl Outboxes {
    /// Adds entries to `batch` and answers which outboxes they touch. Call under the commit lock.
    pub fn append(
        &self,
        core: &Core,
        entries: Vec<OutboxEntry>,
        batch: &mut OwnedWriteBatch,
    ) -> PortResult<Vec<String>> {
        let mut next_ids: HashMap<Cow<'static, str>, u64> = HashMap::new();
        for OutboxEntry { outbox, key, value } in entries {
            let id = match next_ids.get(&outbox) {
                Some(id) => *id,
                None => core
                    .meta_u64(&meta_key(&["outbox-next", &outbox]))?
                    .unwrap_or(1),
            };
            let mut row = Vec::with_capacity(4 + key.len() + value.len());
            // Keys are at most `mediaflow_ports::limits::KEY_BYTES_MAX` long, checked before.
            row.extend_from_slice(&(key.len() as u32).to_be_bytes());
            row.extend_from_slice(&key);
            row.extend_from_slice(&value);
            batch.insert(&core.meta, row_key(&outbox, id), row);
            next_ids.insert(outbox, id + 1);
        }
        for (outbox, next) in &next_ids {
            batch.insert(
                &core.meta,
                meta_key(&["outbox-next", outbox]),
                next.to_be_bytes(),
            );
        }
        Ok(next_ids.into_keys().map(Cow::into_owned).collect())
    }

    pub fn wake(&self, touched: &[String]) {
        if touched.is_empty() {
            return;
        }
        let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        for waker in touched.iter().filter_map(|outbox| wakers.get(outbox)) {
            waker.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    pub fn watch(&self, outbox: &str) -> watch::Receiver<u64> {
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers
            .entry(outbox.to_owned())
            .or_insert_with(|| watch::Sender::new(0))
            .subscribe()
    }

    /// The oldest entries.
    pub fn read(&self, core: &Core, outbox: &str, max: usize) -> PortResult<Vec<OutboxRecord>> {
        let prefix = meta_key(&["outbox", outbox, ""]);
        let from = self.heads().get(outbox).copied().unwrap_or(0);
        // Ids lie behind a NUL: the next byte is past them all.
        let end = meta_key(&["outbox", &format!("{outbox}\u{1}")]);
        let rows = core.meta.range(row_key(outbox, from)..end).take(max);
        let found: Vec<OutboxRecord> = rows
            .map(|guard| {
                let (key, row) = guard
                    .into_inner()
                    .map_err(|e| fault::storage("read an outbox", e))?;
                record(&key[prefix.len()..], row.into())
            })
            .collect::<PortResult<_>>()?;
        // Ids ascend in the order of the commits that brought them: nothing older will come.
        if let Some(first) = found.first() {
            self.heads().insert(outbox.to_owned(), first.id);
        }
        Ok(found)
    }

    fn heads(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(id: &[u8], row: Bytes) -> PortResult<OutboxRecord> {
    let id = id.try_into().map_err(|_| fault::corrupt("an outbox id"))?;
    let mut row = row;
    let key_len = row
        .try_get_u32()
        .map_err(|_| fault::corrupt("an outbox row"))? as usize;
    if row.len() < key_len {
        return Err(fault::corrupt("an outbox row"));
    }
    let key = row.split_to(key_len);
    Ok(OutboxRecord {
        id: u64::from_be_bytes(id),
        key,
        value: row,
    })
}

pub(super) fn ack(core: &Core, outbox: &str, ids: &[u64]) -> PortResult<()> {
    for ids in ids.chunks(REMOVE_BATCH_MAX) {
        let mut batch = core.batch();
        let unique: std::collections::BTreeSet<u64> = ids.iter().copied().collect();
        for id in unique {
            batch.remove(&core.meta, row_key(outbox, id));
        }
        batch
            .commit()
            .map_err(|e| fault::storage("acknowledge an outbox", e))?;
    }
    core.sync()
        .map_err(|e| fault::storage("acknowledge an outbox", e))
}

fn row_key(outbox: &str, id: u64) -> Vec<u8> {
    let mut key = meta_key(&["outbox", outbox, ""]);
    key.extend_from_slice(&id.to_be_bytes());
    key
}
