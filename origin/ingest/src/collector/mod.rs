//! The event collector: CloudEvents in, checked and deduplicated events in the log.
//!
//! Path: bytes → one JSON text per event → `check` (refuse, correct, pseudonymise) → `dedupe` → append
//! to `events`, partitioned by pseudonym. Refused events go to `dead-letters` with their bytes and the
//! reason, and never take their batch with them. [`Collector::collect`] returns after the log's sync.
//!
//! Deduplication survives a restart because every record carries its key: [`Collector::open`] reads
//! back the last hour of the log. No second store has to agree with the log.

mod check;
mod counters;
mod dedupe;
mod envelope;
mod foreign;
mod letters;
mod options;
mod overload;
mod reader_key;
mod records;
mod redact;
mod routes;
mod senders;
mod served;
mod sources;

pub use check::Refusal;
pub use check::agent::Agents;
pub use check::facts::Facts;
pub use check::outlier::OutlierRules;
pub use check::place::Places;
pub use dedupe::DedupeLimits;
pub use envelope::Envelope;
pub use options::Collect;
pub use reader_key::{ReaderKey, pseudonym};
pub use routes::routes;
pub use senders::{Sender, SenderConfig, Senders, parse_write_keys};

use futures_util::future::join_all;
use mediaflow_http::body::check_depth;
use mediaflow_http::limits::JSON_DEPTH_MAX;
use mediaflow_http::{Metrics, Secret};
use mediaflow_ports::fault::Point;
use mediaflow_ports::{Clock, EventLog, PortResult, Record, partition_of};
use mediaflow_shared::event::Event;
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::served::Exposure;
use mediaflow_shared::time::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

use crate::append::append_by_key;
use crate::error::{IngestError, IngestResult};
use crate::limits::{BATCH_EVENTS_MAX, RECOVER_BYTES, RECOVER_RECORDS, RECOVER_RECORDS_MIN};
use counters::Counters;
use dedupe::{Claim, Key, Window, key_of};
use records::Candidate;

/// The topic of checked events.
pub const TOPIC_EVENTS: &str = "events";
/// The topic of served records.
pub const TOPIC_SERVED: &str = "served";
/// The topic of what could not be used.
pub const TOPIC_DEAD: &str = "dead-letters";
/// Header of a record in `events`: its deduplication key.
const HEADER_DEDUPE: &str = "dedupe";
/// Header of a record in `events`: the W3C trace context its sender had.
const HEADER_TRACE: &str = "traceparent";

/// Whether an exposure id is valid for this event now.
pub type ExposureCheck = Arc<dyn Fn(&str, &Event, Timestamp) -> bool + Send + Sync>;

/// What the collector must know.
#[derive(Clone)]
pub struct CollectorConfig {
    /// Brand slug → group of brands within which a reader is one person. Empty: every brand is
    /// accepted and is a group of its own.
    pub brands: HashMap<String, String>,
    /// Key of the pseudonyms (MEDIAFLOW_READER_KEY).
    pub reader_key: ReaderKey,
    /// What an edge presents as bearer token (MEDIAFLOW_EDGE_TOKEN). Empty: no edge is believed.
    pub edge_token: Secret,
    /// See [`exposure_check`].
    pub exposure: ExposureCheck,
    /// Senders of other envelopes, outlier rules, user agents, geography, limits.
    pub collect: Arc<Collect>,
}

impl CollectorConfig {
    /// The pseudonym of a reader of `brand`: HMAC-SHA256(reader key, group ‖ 0 ‖ id), 16 bytes.
    #[must_use]
    pub fn pseudonym(&self, brand: &str, reader_id: &str) -> Pseudonym {
        let group = self.brands.get(brand).map_or(brand, String::as_str);
        self.reader_key.pseudonym(group, reader_id)
    }
}

/// Accepts exposure ids sealed with `key` (MEDIAFLOW_EXPOSURE_KEY) that are for the event's own item
/// and have not expired when the event is received.
#[must_use]
pub fn exposure_check(key: [u8; 16]) -> ExposureCheck {
    Arc::new(move |text, event, now| {
        Exposure::open(text, &key, now.minute())
            .is_ok_and(|e| event.data.content_id.is_none_or(|id| id == e.content))
    })
}

/// Who sends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Presented the edge's bearer token or a sender's write key.
    pub edge: bool,
    /// The reader's user agent is that of a known robot.
    pub bot: bool,
    /// What the reader's headers told, where a reader's browser sent them.
    pub facts: Option<Arc<Facts>>,
    /// The event comes out of a dead letter: its pseudonym is ours.
    pub replayed: bool,
    /// The event was mapped from another envelope: its `rawtime` is ours.
    pub mapped: bool,
}

/// One refused event of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Why, and what to do.
    #[serde(flatten)]
    pub refusal: Refusal,
}

/// What became of a batch. Every message is refused, ignored, an item, or events; every event is accepted or a duplicate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// New and durable.
    pub accepted: usize,
    /// Durable since before.
    pub duplicates: usize,
    /// Refused; their bytes are in `dead-letters`.
    pub rejected: Vec<Rejected>,
    /// Messages of another envelope that are of no use here.
    #[serde(skip_serializing_if = "none")]
    pub ignored: usize,
    /// Messages with metadata of items.
    #[serde(skip_serializing_if = "none")]
    pub items: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn none(n: &usize) -> bool {
    *n == 0
}

/// The collector. Share it by `Arc`.
pub struct Collector {
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    config: CollectorConfig,
    window: Window,
    /// Bytes of bodies that may still be read.
    inflight: Arc<Semaphore>,
    counters: Counters,
}

impl Collector {
    /// Opens the collector: remembers the (source, id) of the last hour's records.
    ///
    /// # Errors
    /// When the log refuses. The topics `events`, `served` and `dead-letters` must exist.
    pub async fn open(
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        config: CollectorConfig,
        metrics: &Metrics,
    ) -> IngestResult<Self> {
        let inflight = config
            .collect
            .inflight_bytes_max
            .min(Semaphore::MAX_PERMITS);
        let window = Window::new(config.collect.dedupe);
        let this = Self {
            log,
            clock,
            config,
            window,
            inflight: Arc::new(Semaphore::new(inflight)),
            counters: Counters::of(metrics),
        };
        for partition in 0..this.log.partitions(TOPIC_EVENTS).await? {
            this.recover(partition).await?;
        }
        Ok(this)
    }

    /// The configuration it was opened with.
    #[must_use]
    pub fn config(&self) -> &CollectorConfig {
        &self.config
    }

    /// Whether this user agent names a known robot.
    #[must_use]
    pub fn is_bot(&self, user_agent: &str) -> bool {
        self.config.collect.agents.is_bot(user_agent)
    }

    /// Takes a batch in, given as one CloudEvent or an array of them in JSON.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] when the text is no such thing, holds too many or nests too deep;
    /// [`IngestError::Port`] when the log refused: nothing new was acknowledged, send it again.
    pub async fn collect(self: &Arc<Self>, json: &str, caller: Caller) -> IngestResult<Report> {
        let now = Timestamp(self.clock.now_ms());
        let mut report = Report::default();
        let mut dead = Vec::new();
        let mut checked = self.check_all(json, &caller, now).unwrap_or_default();
        let one_by_one = match checked.is_empty() {
            true => {
                check_depth(json).map_err(|_| too_deep())?;
                split(json)?
            }
            false => Vec::new(),
        };
        for (index, raw) in one_by_one.iter().enumerate() {
            match check::read(raw.get(), &self.config, &caller, now) {
                Ok(event) => checked.push(event),
                Err(refusal) => {
                    dead.push(letters::own(
                        &self.config,
                        raw.get(),
                        &caller,
                        &refusal,
                        now,
                    ));
                    report.rejected.push(Rejected { index, refusal });
                }
            }
        }
        self.keep(checked, dead, now, &mut report).await?;
        self.counters.count(Envelope::CloudEvents, &report);
        Ok(report)
    }

    /// The events of a batch that is good as a whole, which most are: read once, instead of first being taken apart. `None` when
    /// anything is wrong with any of it.
    fn check_all(&self, json: &str, caller: &Caller, now: Timestamp) -> Option<Vec<Event>> {
        let events: Vec<Event> = match json.trim_start().starts_with('[') {
            true => serde_json::from_str(json).ok()?,
            false => vec![serde_json::from_str(json).ok()?],
        };
        if !(1..=BATCH_EVENTS_MAX).contains(&events.len()) || !is_shallow(json, events.len()) {
            return None;
        }
        let checked = events
            .into_iter()
            .map(|event| check::settle(event, &self.config, caller, now));
        checked.collect::<Result<_, _>>().ok()
    }

    async fn store(
        &self,
        events: Vec<Event>,
        dead: Vec<Record>,
        now: Timestamp,
    ) -> IngestResult<(usize, usize)> {
        let (done, outcome) = watch::channel(None);
        let (mut mine, mut waiting, mut duplicates) = (Vec::new(), Vec::new(), 0);
        let keys: Vec<Key> = events.iter().map(|e| key_of(&e.source, &e.id)).collect();
        let claims = self.window.claim(&keys, now.0, &outcome);
        for ((key, event), claim) in keys.into_iter().zip(events).zip(claims) {
            match claim {
                Claim::Mine => mine.push((key, event)),
                Claim::Seen => duplicates += 1,
                // Twice in one batch: settled together with its twin.
                Claim::Pending(o) if o.same_channel(&outcome) => duplicates += 1,
                Claim::Pending(o) => waiting.push(o),
            }
        }
        let accepted = mine.len();
        let stored = self.append(mine).await;
        let durable = stored.is_ok();
        done.send_replace(Some(durable));
        stored?;
        for mut other in waiting {
            let ended = other
                .wait_for(Option::is_some)
                .await
                .is_ok_and(|o| *o == Some(true));
            if !ended {
                return Err(mediaflow_ports::PortError::new(
                    mediaflow_ports::PortErrorKind::Unavailable,
                    "another delivery of the same event failed; send the batch again",
                )
                .into());
            }
            duplicates += 1;
        }
        if !dead.is_empty() {
            append_by_key(self.log.as_ref(), TOPIC_DEAD, dead).await?;
        }
        Ok((accepted, duplicates))
    }

    /// Appends per partition and settles per partition, so that a batch which failed in part can
    /// be sent again without doubling the other part.
    async fn append(&self, mine: Vec<(Key, Event)>) -> PortResult<()> {
        if mine.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = mine.iter().map(|(k, _)| *k).collect();
        let partitions = match self.log.partitions(TOPIC_EVENTS).await {
            Ok(n) => n,
            Err(e) => {
                self.window.settle(&keys, false);
                return Err(e);
            }
        };
        let mut groups: BTreeMap<u32, Vec<Candidate>> = BTreeMap::new();
        for candidate in records::candidates(mine) {
            groups
                .entry(partition_of(&candidate.record.key, partitions))
                .or_default()
                .push(candidate);
        }
        Point::Claimed.pass();
        let appends = groups.into_iter().map(|(partition, group)| async move {
            let (keys, records): (Vec<Key>, Vec<Record>) =
                group.into_iter().map(|c| (c.key, c.record)).unzip();
            let appended = self.log.append(TOPIC_EVENTS, partition, records).await;
            Point::Appended.pass();
            self.window.settle(&keys, appended.is_ok());
            appended.map(|_| ())
        });
        join_all(appends).await.into_iter().collect()
    }

    async fn recover(&self, partition: u32) -> IngestResult<()> {
        let now_ms = self.clock.now_ms();
        let since_ms = now_ms - self.config.collect.dedupe.window_ms;
        let since = self
            .log
            .first_since(TOPIC_EVENTS, partition, since_ms)
            .await?;
        // A clock that stepped ahead would find nothing that is young enough.
        let end = self.log.end(TOPIC_EVENTS, partition).await?;
        let begin = self.log.begin(TOPIC_EVENTS, partition).await?;
        let mut from = since
            .min(end.saturating_sub(RECOVER_RECORDS_MIN))
            .max(begin);
        loop {
            let records = self
                .log
                .read(
                    TOPIC_EVENTS,
                    partition,
                    from,
                    RECOVER_RECORDS,
                    RECOVER_BYTES,
                )
                .await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            from = last.offset + 1;
            for r in &records {
                let key = r
                    .record
                    .header(HEADER_DEDUPE)
                    .and_then(|h| Key::try_from(&h[..]).ok());
                if let Some(key) = key {
                    self.window.remember(key, now_ms);
                }
            }
        }
    }

    /// Remembers keys of events that were acknowledged but are not in the log yet: what a spool held at the start.
    pub fn remember(&self, keys: &[[u8; 16]]) {
        let now_ms = self.clock.now_ms();
        for key in keys {
            self.window.remember(*key, now_ms);
        }
    }

    /// How far back events are remembered, milliseconds, at most since the process began.
    #[must_use]
    pub fn window_reach_ms(&self) -> i64 {
        self.window.reach_ms(self.clock.now_ms())
    }

    /// How often deduplication had to forget early because it was full.
    #[must_use]
    pub fn window_shortened(&self) -> u64 {
        self.window.turned_early()
    }
}

/// Whether no bracket of these events can be too deep, told by counting: each event opens two that are closed again before
/// the next one. Most batches pass; [`check_depth`] looks at every byte of the others.
fn is_shallow(json: &str, events: usize) -> bool {
    let opened: usize = json
        .as_bytes()
        // A part's count fits a byte, which is what makes counting fast.
        .chunks(192)
        .map(|part| {
            usize::from(
                part.iter()
                    .map(|b| u8::from(matches!(b, b'{' | b'[')))
                    .sum::<u8>(),
            )
        })
        .sum();
    opened < 2 * events + JSON_DEPTH_MAX - 2
}

fn too_deep() -> IngestError {
    IngestError::malformed(
        "body",
        format!("JSON is nested more than {JSON_DEPTH_MAX} deep"),
        "send flatter JSON",
    )
}

fn split(json: &str) -> IngestResult<Vec<&RawValue>> {
    let bad = |e: serde_json::Error| {
        IngestError::malformed(
            format!("body, line {} column {}", e.line(), e.column()),
            "is not JSON",
            "send one CloudEvent or an array of them",
        )
    };
    let events: Vec<&RawValue> = if json.trim_start().starts_with('[') {
        serde_json::from_str(json).map_err(bad)?
    } else {
        vec![serde_json::from_str(json).map_err(bad)?]
    };
    match events.len() {
        1..=BATCH_EVENTS_MAX => Ok(events),
        n => Err(IngestError::malformed(
            "batch",
            format!("holds {n} events, allowed are 1 to {BATCH_EVENTS_MAX}"),
            "send smaller batches",
        )),
    }
}

#[cfg(test)]
mod tests;
