//! What waits: where draining is, how much there is, which records the log may hold already.

use bytes::Bytes;
use mediaflow_ports::fault::Point;
use mediaflow_ports::{
    EventLog, Offset, PortError, PortErrorKind, PortResult, Record, RetentionPolicy, StoredRecord,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

use super::Spool;
use crate::limits::{
    SPOOL_BATCH_BYTES, SPOOL_BATCH_RECORDS, SPOOL_CLOCK_MARGIN_MS, SPOOL_PAUSE_MIN,
};

/// Topic of the disk with what waits.
pub(super) const SPOOL: &str = "spool";
/// Topic of the disk that says up to where it was drained.
pub(super) const DONE: &str = "spool.done";
const TOPIC: &str = "spool-topic";
const PARTITION: &str = "spool-partition";
const TRIED: &str = "spool-tried";
const DEDUPE: &str = "dedupe";

/// A topic's partition.
type Place = (String, u32);
/// What a record is recognised by.
type Mark = [u8; 16];

#[derive(Default)]
pub(super) struct Backlog {
    /// Offset of the spool up to which everything is in the log.
    pub drained: Offset,
    pub records: u64,
    pub bytes: u64,
    pub oldest_ms: Option<i64>,
    /// Deduplication keys of what waited at the start.
    pub keys: Vec<Mark>,
    /// Records the log may hold, with the earliest time they can have got there.
    suspects: HashMap<Place, (HashSet<Mark>, i64)>,
    /// Suspects that it does hold.
    delivered: HashSet<Mark>,
}

impl Backlog {
    pub(super) async fn read(disk: &dyn EventLog) -> PortResult<Self> {
        let end = disk.end(DONE, 0).await?;
        let last = disk.read(DONE, 0, end.saturating_sub(1), 1, 64).await?;
        let said = last
            .last()
            .and_then(|r| <[u8; 8]>::try_from(&r.record.value[..]).ok());
        let drained = said
            .map_or(0, u64::from_be_bytes)
            .max(disk.begin(SPOOL, 0).await?);
        let mut this = Self {
            drained,
            ..Self::default()
        };
        let mut from = drained;
        loop {
            let part = disk
                .read(SPOOL, 0, from, SPOOL_BATCH_RECORDS, SPOOL_BATCH_BYTES)
                .await?;
            let Some(next) = part.last().map(|r| r.offset + 1) else {
                return Ok(this);
            };
            for stored in part {
                // The batch in hand when the process ended may be in the log without our note of it.
                let in_hand = this.records < SPOOL_BATCH_RECORDS as u64;
                let appended_ms = stored.appended_ms;
                let (place, record, tried) = unwrap(stored)?;
                this.records += 1;
                this.bytes += record.size_bytes() as u64;
                this.oldest_ms.get_or_insert(appended_ms);
                this.keys.extend(
                    record
                        .header(DEDUPE)
                        .and_then(|h| Mark::try_from(&h[..]).ok()),
                );
                if tried || in_hand {
                    this.suspect(&place.0, place.1, &[record], appended_ms);
                }
            }
            from = next;
        }
    }

    pub(super) fn suspect(&mut self, topic: &str, partition: u32, records: &[Record], now_ms: i64) {
        let place = (topic.to_owned(), partition);
        let (marks, since_ms) = self
            .suspects
            .entry(place)
            .or_insert_with(|| (HashSet::new(), now_ms));
        *since_ms = (*since_ms).min(now_ms);
        marks.extend(records.iter().map(mark));
    }

    /// Nothing waits any more.
    pub(super) fn forget(&mut self) {
        self.suspects.clear();
        self.delivered.clear();
        self.oldest_ms = None;
        (self.records, self.bytes) = (0, 0);
    }
}

impl Spool {
    /// Searches the log for suspects, from the time they were spooled on.
    pub(super) async fn find_suspects(&self) -> PortResult<()> {
        let suspects = self.backlog().suspects.clone();
        if !suspects.is_empty() {
            // A log may know an end for a moment before it asks again: what came last must lie before the next one.
            tokio::time::sleep(SPOOL_PAUSE_MIN).await;
        }
        for ((topic, partition), (marks, since_ms)) in suspects {
            // A reader who is at the end that its process knows of hears nothing of what was appended and never answered.
            let end = self.log.end(&topic, partition).await?;
            let mut from = self
                .log
                .first_since(&topic, partition, since_ms - SPOOL_CLOCK_MARGIN_MS)
                .await?;
            while from < end {
                let part = self
                    .log
                    .read(
                        &topic,
                        partition,
                        from,
                        SPOOL_BATCH_RECORDS,
                        SPOOL_BATCH_BYTES,
                    )
                    .await?;
                let Some(next) = part.last().map(|r| r.offset + 1) else {
                    break;
                };
                let found = part
                    .iter()
                    .map(|r| mark(&r.record))
                    .filter(|m| marks.contains(m));
                self.backlog().delivered.extend(found);
                from = next;
            }
            // Answered; what fails from now on is a suspect anew.
            self.backlog().suspects.remove(&(topic, partition));
        }
        Ok(())
    }

    /// Brings the next records into the log and notes it; answers whether there were any.
    pub(super) async fn drain_batch(&self) -> PortResult<bool> {
        let from = self.backlog().drained;
        let part = self
            .disk
            .read(SPOOL, 0, from, SPOOL_BATCH_RECORDS, SPOOL_BATCH_BYTES)
            .await?;
        let Some(last) = part.last() else {
            return Ok(false);
        };
        let (next, last_ms) = (last.offset + 1, last.appended_ms);
        let (mut records, mut bytes) = (0, 0);
        // What the log holds already; known until the note is written, since another record of this batch may fail.
        let mut held = Vec::new();
        let mut groups: BTreeMap<Place, Vec<Record>> = BTreeMap::new();
        for stored in part {
            let (place, record, _) = unwrap(stored)?;
            records += 1;
            bytes += record.size_bytes() as u64;
            if self.backlog().delivered.contains(&mark(&record)) {
                held.push(mark(&record));
            } else {
                groups.entry(place).or_default().push(record);
            }
        }
        for ((topic, partition), group) in groups {
            let count = group.len() as u64;
            // Until the note below is written, what is in the log must be found again after a failure.
            self.backlog().suspect(&topic, partition, &group, last_ms);
            self.log.append(&topic, partition, group).await?;
            Point::SpoolDrained.pass();
            self.gauges.drained.inc_by(count);
        }
        let note = Record::new(Bytes::new(), next.to_be_bytes().to_vec());
        self.disk.append(DONE, 0, vec![note]).await?;
        Point::SpoolNoted.pass();
        {
            let mut b = self.backlog();
            b.drained = next;
            b.records = b.records.saturating_sub(records);
            b.bytes = b.bytes.saturating_sub(bytes);
            b.oldest_ms = Some(last_ms);
            b.suspects.clear();
            for m in &held {
                b.delivered.remove(m);
            }
            self.gauges.skipped.inc_by(held.len() as u64);
        }
        // What is older than the last record drained is drained.
        let now_ms = self.clock.now_ms();
        let older = RetentionPolicy {
            max_age_ms: Some((now_ms - last_ms).max(0)),
            max_bytes: None,
        };
        self.disk.retain(SPOOL, older, now_ms).await?;
        Ok(true)
    }
}

/// The record with the place it belongs to.
pub(super) fn wrap(record: Record, topic: &str, partition: u32, tried: bool) -> Record {
    let record = record
        .with_header(TOPIC, topic.to_owned())
        .with_header(PARTITION, partition.to_be_bytes().to_vec());
    if tried {
        record.with_header(TRIED, Bytes::new())
    } else {
        record
    }
}

fn unwrap(stored: StoredRecord) -> PortResult<(Place, Record, bool)> {
    let corrupt = || {
        PortError::new(
            PortErrorKind::Corrupt,
            "a spooled record does not say where it belongs",
        )
    };
    let mut record = stored.record;
    let topic = record
        .header(TOPIC)
        .and_then(|t| std::str::from_utf8(t).ok())
        .map(str::to_owned);
    let partition = record
        .header(PARTITION)
        .and_then(|p| <[u8; 4]>::try_from(&p[..]).ok());
    let tried = record.header(TRIED).is_some();
    record
        .headers
        .retain(|(name, _)| ![TOPIC, PARTITION, TRIED].contains(&name.as_str()));
    let place = topic
        .zip(partition.map(u32::from_be_bytes))
        .ok_or_else(corrupt)?;
    Ok((place, record, tried))
}

fn mark(r: &Record) -> Mark {
    if let Some(key) = r.header(DEDUPE).and_then(|h| Mark::try_from(&h[..]).ok()) {
        return key;
    }
    let mut h = Sha256::new();
    for part in [&r.key, &r.value] {
        h.update((part.len() as u64).to_be_bytes());
        h.update(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&h.finalize()[..16]);
    out
}
