//! The one door for content: deliveries become records of `content.raw`, each version once.
//!
//! A delivery is known by its content id and a digest of everything it says but the time we took it
//! in. The same digest again makes no record (`ingest.seen` in the state store). Where the source
//! names no time of change, only the latest digest counts, so that A → B → A arrives as three.
//! The log is appended first and `ingest.seen` committed after; each record carries its seen key, so
//! that [`Intake::open`] repairs what a crash between the two left out.

use bytes::Bytes;
use mediaflow_http::Metrics;
use mediaflow_http::metrics::IntCounter;
use mediaflow_ports::{Clock, Commit, EventLog, Record, StateStore};
use mediaflow_shared::content::{CONTENT_VERSION, RawItem, RawTime};
use mediaflow_shared::id::{ContentId, check_slug};
use mediaflow_shared::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Mutex;

use crate::append::append_by_key;
use crate::error::{IngestError, IngestResult};
use crate::limits::{RECOVER_BYTES, RECOVER_RECORDS};

/// The topic deliveries go to.
pub const TOPIC_RAW: &str = "content.raw";
/// The view of versions already taken in.
pub const VIEW_SEEN: &str = "ingest.seen";
/// Consumer name under which recovery remembers how far it looked.
const RECOVERY: &str = "ingest.seen";
/// Header of a record that names its seen key.
const HEADER_SEEN: &str = "seen";

/// What became of a batch of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// New records in `content.raw`.
    pub new: usize,
    /// Deliveries that said nothing new.
    pub duplicates: usize,
}

impl std::ops::AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.duplicates += other.duplicates;
    }
}

/// The door. Share it by `Arc`.
pub struct Intake {
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    // One batch at a time: looking up, appending and remembering must not interleave, or two
    // concurrent deliveries of one version would both be new. Content is thousands a day; imports
    // come in batches of hundreds.
    gate: Mutex<()>,
    items: ItemCounters,
}

struct ItemCounters {
    new: IntCounter,
    duplicate: IntCounter,
}

impl ItemCounters {
    fn of(metrics: &Metrics) -> Self {
        let family = metrics.counter(
            "ingest_items_total",
            "Content deliveries by outcome.",
            &["outcome"],
        );
        Self {
            new: family.with_label_values(&["new"]),
            duplicate: family.with_label_values(&["duplicate"]),
        }
    }
}

impl Intake {
    /// Opens the door: repairs `ingest.seen` from the records appended since the last start.
    ///
    /// # Errors
    /// When the log or the store refuses. The topic `content.raw` must exist.
    pub async fn open(
        log: Arc<dyn EventLog>,
        state: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> IngestResult<Self> {
        let items = ItemCounters::of(metrics);
        let this = Self {
            log,
            state,
            clock,
            gate: Mutex::new(()),
            items,
        };
        for partition in 0..this.log.partitions(TOPIC_RAW).await? {
            this.recover(partition).await?;
        }
        Ok(this)
    }

    /// The time by the door's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Takes deliveries in; durable once answered. Order within the batch is kept per item.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] for an item without a valid source, brand or id (nothing of the
    /// batch is taken), or when the log or the store refuses.
    pub async fn submit(&self, items: Vec<RawItem>) -> IngestResult<Taken> {
        let mut candidates = Vec::with_capacity(items.len());
        for item in items {
            check(&item)?;
            candidates.push(Delivery::of(item)?);
        }
        let _one_at_a_time = self.gate.lock().await;
        let keys: Vec<Bytes> = candidates.iter().map(|d| d.seen_key.clone()).collect();
        let stored = self.state.multi_get(VIEW_SEEN, &keys).await?;
        let mut known: HashMap<Bytes, Bytes> = HashMap::new();
        for (key, value) in keys.into_iter().zip(stored) {
            if let Some(value) = value {
                known.insert(key, value);
            }
        }
        let mut taken = Taken::default();
        let mut records = Vec::new();
        let mut commit = Commit::new();
        for d in candidates {
            if known.get(&d.seen_key) == Some(&d.seen_value) {
                taken.duplicates += 1;
                continue;
            }
            taken.new += 1;
            known.insert(d.seen_key.clone(), d.seen_value.clone());
            commit = commit.put(VIEW_SEEN, d.seen_key, d.seen_value);
            records.push(d.record);
        }
        if !records.is_empty() {
            append_by_key(self.log.as_ref(), TOPIC_RAW, records).await?;
            self.state.commit(commit).await?;
        }
        self.items.new.inc_by(taken.new as u64);
        self.items.duplicate.inc_by(taken.duplicates as u64);
        Ok(taken)
    }

    async fn recover(&self, partition: u32) -> IngestResult<()> {
        loop {
            let from = self.state.progress(RECOVERY, TOPIC_RAW, partition).await?;
            let records = self
                .log
                .read(TOPIC_RAW, partition, from, RECOVER_RECORDS, RECOVER_BYTES)
                .await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            let mut commit =
                Commit::new().advance(RECOVERY, TOPIC_RAW, partition, from, last.offset + 1);
            for r in &records {
                if let Some((key, value)) = r.record.header(HEADER_SEEN).and_then(split_seen) {
                    commit = commit.put(VIEW_SEEN, key, value);
                }
            }
            self.state.commit(commit).await?;
        }
    }
}

/// A delivery on its way into the log.
struct Delivery {
    seen_key: Bytes,
    seen_value: Bytes,
    record: Record,
}

/// With a time of change every version has a key of its own; without, only the latest counts.
const VERSIONED: u8 = b'v';
const LATEST: u8 = b'l';
const ID_BYTES: usize = 8;

impl Delivery {
    fn of(mut item: RawItem) -> IngestResult<Self> {
        item.version = CONTENT_VERSION;
        let id = ContentId::of(&item.source, &item.original_id)
            .0
            .to_be_bytes();
        let ingested_at = std::mem::take(&mut item.ingested_at);
        let digest = Sha256::digest(encode(&item)?);
        let kind = if item.modified == RawTime::Missing {
            LATEST
        } else {
            VERSIONED
        };
        item.ingested_at = ingested_at;
        let seen: Bytes = [&[kind], &id[..], &digest[..16]].concat().into();
        let value = encode(&item)?;
        let record = Record::new(id.to_vec(), value).with_header(HEADER_SEEN, seen.clone());
        // `split_seen` takes apart what was built three lines above.
        let (seen_key, seen_value) = split_seen(&seen).unwrap_or_default();
        Ok(Self {
            seen_key,
            seen_value,
            record,
        })
    }
}

fn encode(item: &RawItem) -> IngestResult<Vec<u8>> {
    serde_json::to_vec(item).map_err(|e| {
        IngestError::malformed(
            format!("item {}:{}", item.source, item.original_id),
            e,
            "report this item: it cannot be written as JSON",
        )
    })
}

fn split_seen(seen: &Bytes) -> Option<(Bytes, Bytes)> {
    match *seen.first()? {
        VERSIONED => Some((seen.clone(), Bytes::new())),
        LATEST if seen.len() > ID_BYTES => {
            Some((seen.slice(..=ID_BYTES), seen.slice(ID_BYTES + 1..)))
        }
        _ => None,
    }
}

fn check(item: &RawItem) -> IngestResult<()> {
    for (name, slug) in [("source", &item.source), ("brand", &item.brand)] {
        check_slug(slug).map_err(|e| {
            IngestError::malformed(
                format!("{name} of an item"),
                e,
                "use the slug of a configured source or brand",
            )
        })?;
    }
    if item.original_id.trim().is_empty() {
        return Err(IngestError::malformed(
            format!("an item of source {}", item.source),
            "has no id",
            "every item needs the id its source knows it by",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Stores, raw_items};

    fn item(id: &str, body: &str, modified: &str) -> RawItem {
        RawItem {
            source: "wp".into(),
            brand: "daily".into(),
            original_id: id.into(),
            body: body.into(),
            modified: if modified.is_empty() {
                RawTime::Missing
            } else {
                RawTime::Text(modified.into())
            },
            ..RawItem::default()
        }
    }

    #[tokio::test]
    async fn the_same_delivery_makes_one_record() {
        let s = Stores::new();
        let door = s.intake().await;
        let a = item("1", "a", "2026-01-01T00:00:00Z");
        let taken = door.submit(vec![a.clone(), a.clone()]).await.unwrap();
        assert_eq!(
            taken,
            Taken {
                new: 1,
                duplicates: 1
            }
        );
        s.clock.advance(60_000);
        let later = RawItem {
            ingested_at: door.now(),
            ..a
        };
        assert_eq!(
            door.submit(vec![later]).await.unwrap(),
            Taken {
                new: 0,
                duplicates: 1
            }
        );
        assert_eq!(raw_items(&s).await.len(), 1);
    }

    #[tokio::test]
    async fn a_change_of_text_or_state_makes_another() {
        let s = Stores::new();
        let door = s.intake().await;
        let a = item("1", "a", "2026-01-01T00:00:00Z");
        let unpublished = RawItem {
            status: mediaflow_shared::content::Status::Unpublished,
            ..a.clone()
        };
        let taken = door
            .submit(vec![a, item("1", "b", ""), unpublished])
            .await
            .unwrap();
        assert_eq!(taken.new, 3);
    }

    #[tokio::test]
    async fn without_a_time_of_change_a_revert_is_news() {
        let s = Stores::new();
        let door = s.intake().await;
        for (body, new) in [("a", 1), ("b", 1), ("a", 1), ("a", 0)] {
            assert_eq!(
                door.submit(vec![item("1", body, "")]).await.unwrap().new,
                new,
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn a_crash_before_remembering_doubles_nothing() {
        let s = Stores::new();
        let door = s.intake().await;
        let a = item("1", "a", "2026-01-01T00:00:00Z");
        s.state.fail_next_commit();
        assert!(door.submit(vec![a.clone()]).await.is_err());
        assert_eq!(raw_items(&s).await.len(), 1, "appended, but not remembered");
        let door = s.intake().await;
        assert_eq!(
            door.submit(vec![a]).await.unwrap(),
            Taken {
                new: 0,
                duplicates: 1
            }
        );
    }

    #[tokio::test]
    async fn an_item_without_an_id_or_with_a_foreign_slug_is_refused() {
        let s = Stores::new();
        let door = s.intake().await;
        assert!(door.submit(vec![item(" ", "a", "")]).await.is_err());
        let bad = RawItem {
            brand: "Daily Planet".into(),
            ..item("1", "a", "")
        };
        assert!(door.submit(vec![bad]).await.is_err());
        assert!(raw_items(&s).await.is_empty());
    }
}
