//! Scans in byte order: by a view's index, or by looking at every key where the view keeps none.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::try_join_all;
use mediaflow_ports::{Entry, PortResult, Slot};
use redis::cmd;

use crate::Inner;
use crate::fault;
use crate::keys::{pattern, range};
use crate::limits::{PAGE, SCAN_COUNT};

const DOING: &str = "scan a view";

type Row = (Vec<u8>, Vec<u8>, i64);

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub view: &'a str,
    pub prefix: &'a [u8],
    pub after: Option<&'a [u8]>,
    pub limit: usize,
}

impl Inner {
    pub(crate) async fn scan(&self, ask: Question<'_>) -> PortResult<Vec<Entry>> {
        if ask.limit == 0 {
            return Ok(Vec::new());
        }
        let slots = self.layout.slots_of_scan(ask.view, ask.prefix);
        if !self.layout.plan(ask.view).1 {
            return self.scan_everything(ask, &slots).await;
        }
        let pages = slots.iter().map(|slot| self.scan_index(ask, *slot));
        let mut all: Vec<Entry> = try_join_all(pages).await?.into_iter().flatten().collect();
        if slots.len() > 1 {
            all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            all.truncate(ask.limit);
        }
        Ok(all)
    }

    async fn scan_index(&self, ask: Question<'_>, slot: Slot) -> PortResult<Vec<Entry>> {
        let index = [self.keys.index(slot, ask.view).into_bytes()];
        let values = self.keys.values(slot, ask.view);
        let mut found = Vec::new();
        let mut after = ask.after.map(<[u8]>::to_vec);
        loop {
            let (first, last) = range(ask.prefix, after.as_deref());
            let looked_at_max = PAGE.min(ask.limit - found.len());
            let count = looked_at_max.to_string();
            let arguments = [&values[..], &first, &last, count.as_bytes()];
            let page: Vec<redis::Value> = self
                .scripts
                .scan
                .run(&self.link, slot, DOING, &index, &arguments)
                .await?;
            let nonsense = || fault::nonsense(self.link.place(), DOING);
            let mut page = page.into_iter();
            let (Some(looked_at), Some(last)) = (page.next(), page.next()) else {
                return Err(nonsense());
            };
            let looked_at: usize = redis::from_redis_value(looked_at).map_err(|_| nonsense())?;
            after = Some(redis::from_redis_value(last).map_err(|_| nonsense())?);
            while let (Some(key), Some(value), Some(expires)) =
                (page.next(), page.next(), page.next())
            {
                let row = redis::Value::Array(vec![key, value, expires]);
                found.push(entry(redis::from_redis_value(row).map_err(|_| nonsense())?));
            }
            if looked_at < looked_at_max || found.len() == ask.limit {
                return Ok(found);
            }
        }
    }

    /// For operators: costs some milliseconds per 10,000 keys of the database and page.
    async fn scan_everything(&self, ask: Question<'_>, slots: &[Slot]) -> PortResult<Vec<Entry>> {
        let mut keys: BTreeSet<Vec<u8>> = BTreeSet::new();
        for slot in slots {
            let values = self.keys.values(*slot, ask.view);
            let wanted = pattern(&[&values[..], ask.prefix].concat());
            let mut cursor = 0_u64;
            loop {
                let mut page = cmd("SCAN");
                page.arg(cursor)
                    .arg("MATCH")
                    .arg(&wanted)
                    .arg("COUNT")
                    .arg(SCAN_COUNT);
                let (next, names): (u64, Vec<Vec<u8>>) =
                    self.link.call(*slot, DOING, &page).await?;
                for key in names
                    .iter()
                    .filter_map(|name| name.strip_prefix(&values[..]))
                {
                    if ask.after.is_none_or(|after| key > after) {
                        keys.insert(key.to_vec());
                        if keys.len() > ask.limit {
                            keys.pop_last();
                        }
                    }
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            let slot = self.layout.slot_of(ask.view, &key)?;
            let name = self.keys.value(slot, ask.view, &key);
            let value: Option<Vec<u8>> = self.link.call(slot, DOING, cmd("GET").arg(&name)).await?;
            let expires: i64 = self
                .link
                .call(slot, DOING, cmd("PEXPIRETIME").arg(&name))
                .await?;
            // It may have gone since it was listed.
            if let Some(value) = value {
                found.push(entry((key, value, expires)));
            }
        }
        Ok(found)
    }

    /// Drops index entries whose values expired, from where the last call stopped; answers how many.
    pub(crate) async fn sweep(&self, max: usize) -> PortResult<u64> {
        let mut cursor = self.swept.lock().await;
        let (mut looked_at, mut dropped) = (0, 0);
        let slots: Vec<Slot> = self.layout.slots().collect();
        let (from_slot, from_view, mut after) =
            cursor.take().unwrap_or((Slot::Global, String::new(), None));
        for slot in slots.into_iter().filter(|slot| *slot >= from_slot) {
            let mut views: Vec<String> = self
                .link
                .call(slot, DOING, cmd("SMEMBERS").arg(self.keys.names(slot)))
                .await?;
            views.sort_unstable();
            views.retain(|view| slot > from_slot || *view >= from_view);
            for view in views {
                if slot != from_slot || view != from_view {
                    after = None;
                }
                loop {
                    let count = PAGE.min(max - looked_at);
                    if count == 0 {
                        *cursor = Some((slot, view, after));
                        return Ok(dropped);
                    }
                    let (first, _) = range(b"", after.as_deref());
                    let index = [self.keys.index(slot, &view).into_bytes()];
                    let values = self.keys.values(slot, &view);
                    let text = count.to_string();
                    let (seen, gone, last): (usize, u64, Vec<u8>) = self
                        .scripts
                        .sweep
                        .run(
                            &self.link,
                            slot,
                            "sweep a view",
                            &index,
                            &[&values, &first, text.as_bytes()],
                        )
                        .await?;
                    looked_at += seen;
                    dropped += gone;
                    if seen < count {
                        break;
                    }
                    after = Some(last);
                }
            }
        }
        Ok(dropped)
    }
}

fn entry((key, value, expires): Row) -> Entry {
    Entry {
        key: Bytes::from(key),
        value: Bytes::from(value),
        expires_ms: (expires >= 0).then_some(expires),
    }
}
