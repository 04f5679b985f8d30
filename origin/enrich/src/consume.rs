//! The service: reads `content.raw`, commits articles, outbox and position together, and moves the
//! outbox to `content.enriched`.
//!
//! Processes share the partitions of `content.raw` by the log's groups; whoever has the first one moves the outbox.
//! While a partition changes hands two may work on it: the position decides whose commit counts, and the other reads
//! it again. Two that move the outbox, like a crash between the commit and the move, repeat the move: `content.enriched`
//! may hold a version twice, and its readers go by content id and time of change. The view `content` never does.

use bytes::Bytes;
use mediaflow_http::metrics::{IntCounter, IntGauge};
use mediaflow_http::{Metrics, serve};
use mediaflow_ports::{
    Commit, EventLog, PortError, PortErrorKind, Record, StateStore, StoredRecord, partition_of,
};
use mediaflow_shared::content::{Content, RawItem};
use mediaflow_shared::id::{ContentId, name_hash};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::decide::{Decision, decide};
use crate::limits::{BATCH_BYTES, BATCH_RECORDS, LOOK_EVERY, RELAY_BATCH, RETRY_MS};
use crate::normalize::Normalizer;

/// Name under which the position in `content.raw` is kept.
pub const CONSUMER: &str = "enrich";
/// The topic it reads.
const TOPIC_RAW: &str = "content.raw";
/// The topic of articles, keyed like `content.raw`.
pub const TOPIC_ENRICHED: &str = "content.enriched";
/// The outbox in front of it.
pub const OUTBOX_ENRICHED: &str = "content.enriched";
/// The view of articles: content id as 8 bytes, big-endian → `Content` as JSON.
pub const VIEW_CONTENT: &str = "content";

/// The view of people: [`name_hash`] as 4 bytes, big-endian → the name as it was last written. What is counted of
/// people knows them by hash.
pub const VIEW_PEOPLE: &str = "content.people";

/// Why the service stopped before it was told to.
#[derive(Debug, Error)]
pub enum EnrichError {
    /// A log or store refused for good.
    #[error("enrich cannot go on: {0}")]
    Port(#[from] PortError),
    /// A worker died.
    #[error("a worker of enrich died: {0}")]
    Worker(String),
}

struct Service {
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    normalizer: Normalizer,
    written: IntCounter,
    kept: IntCounter,
    unreadable: IntCounter,
    partitions: IntGauge,
}

/// The partition whose owner moves the outbox.
const RELAYING: u32 = 0;

type Workers = JoinSet<Result<(), PortError>>;

/// Runs until `shutdown` turns true. One worker for each partition of `content.raw` that is this process's, and one for
/// the outbox. Refusals that may pass are retried; both topics must exist.
///
/// # Errors
/// [`EnrichError`] when a log or store refuses for good.
pub async fn run(
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    normalizer: Normalizer,
    metrics: &Metrics,
    shutdown: watch::Receiver<bool>,
) -> Result<(), EnrichError> {
    let family = metrics.counter(
        "enrich_items_total",
        "Deliveries handled by outcome.",
        &["outcome"],
    );
    let service = Arc::new(Service {
        log,
        state,
        normalizer,
        written: family.with_label_values(&["written"]),
        kept: family.with_label_values(&["kept"]),
        unreadable: family.with_label_values(&["unreadable"]),
        partitions: metrics
            .gauge(
                "enrich_partitions",
                "Partitions of raw content that this process makes articles of.",
                &[],
            )
            .with_label_values::<&str>(&[]),
    });
    share(&service, shutdown).await
}

/// Works on the partitions that are this process's, as they change, until `shutdown`.
async fn share(
    service: &Arc<Service>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), EnrichError> {
    let seat = loop {
        match service.log.join(CONSUMER, TOPIC_RAW).await {
            Err(e) if may_pass(&e) => pause(&e, &mut shutdown).await,
            other => break other?,
        }
        if *shutdown.borrow() {
            return Ok(());
        }
    };
    let mut assigned = seat.assigned();
    let mut workers = Workers::new();
    let mut stops: BTreeMap<u32, watch::Sender<bool>> = BTreeMap::new();
    loop {
        let ours = assigned.borrow_and_update().clone();
        stops.retain(|p, stop| {
            let keep = ours.contains(p);
            if !keep {
                stop.send_replace(true);
            }
            keep
        });
        for p in ours.iter() {
            let start = || service.start(*p, &mut workers);
            stops.entry(*p).or_insert_with(start);
        }
        service.partitions.set(stops.len() as i64);
        let seated = tokio::select! {
            changed = assigned.changed() => changed.is_ok(),
            () = serve::stopped(&mut shutdown) => false,
            Some(done) = workers.join_next() => {
                ended(done)?;
                true
            }
        };
        if !seated {
            break;
        }
    }
    for stop in stops.values() {
        stop.send_replace(true);
    }
    while let Some(done) = workers.join_next().await {
        ended(done)?;
    }
    Ok(())
}

fn ended(done: Result<Result<(), PortError>, tokio::task::JoinError>) -> Result<(), EnrichError> {
    Ok(done.map_err(|e| EnrichError::Worker(e.to_string()))??)
}

impl Service {
    /// Starts what a partition needs; it ends when the answer is told so.
    fn start(self: &Arc<Self>, partition: u32, workers: &mut Workers) -> watch::Sender<bool> {
        let (stop, stopped) = watch::channel(false);
        if partition == RELAYING {
            let (service, stopped) = (self.clone(), stopped.clone());
            workers.spawn(async move { service.relay(stopped).await });
        }
        let service = self.clone();
        workers.spawn(async move { service.follow(partition, stopped).await });
        stop
    }

    async fn follow(
        &self,
        partition: u32,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), PortError> {
        let mut news = self.log.watch(TOPIC_RAW)?;
        while !*stop.borrow() {
            news.mark_unchanged();
            match self.step(partition).await {
                Ok(0) => wait(&mut news, &mut stop).await,
                Ok(_) => {}
                Err(e) if may_pass(&e) => pause(&e, &mut stop).await,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Handles the next records of a partition in one commit; answers how many.
    async fn step(&self, partition: u32) -> Result<usize, PortError> {
        let from = self.state.progress(CONSUMER, TOPIC_RAW, partition).await?;
        let records = self
            .log
            .read(TOPIC_RAW, partition, from, BATCH_RECORDS, BATCH_BYTES)
            .await?;
        let Some(last) = records.last() else {
            return Ok(0);
        };
        let raws = self.decode(&records);
        let mut articles = self.stored(&raws).await?;
        let mut changed: BTreeMap<Bytes, Vec<u8>> = BTreeMap::new();
        let mut commit = Commit::new();
        for raw in &raws {
            let key = key_of(raw);
            let new = self.normalizer.normalize(raw);
            match decide(articles.get(&key), raw, new) {
                Decision::Write(article) => {
                    let value = encode(&article)?;
                    for person in &article.cast {
                        let hash = name_hash(person).to_be_bytes();
                        commit = commit.put(VIEW_PEOPLE, hash.to_vec(), person.clone());
                    }
                    commit = commit.emit(OUTBOX_ENRICHED, key.clone(), value.clone());
                    changed.insert(key.clone(), value);
                    articles.insert(key, *article);
                    self.written.inc();
                }
                Decision::Keep => self.kept.inc(),
            }
        }
        for (key, value) in changed {
            commit = commit.put(VIEW_CONTENT, key, value);
        }
        // `from` may lie before what retention has kept.
        let next = last.offset + 1;
        self.state
            .commit(commit.advance(CONSUMER, TOPIC_RAW, partition, from, next))
            .await?;
        Ok(records.len())
    }

    /// Records of a newer writer or foreign bytes are passed over: stopping would stop every brand.
    fn decode(&self, records: &[StoredRecord]) -> Vec<RawItem> {
        let mut raws = Vec::with_capacity(records.len());
        for r in records {
            match serde_json::from_slice::<RawItem>(&r.record.value) {
                Ok(raw) => raws.push(raw),
                Err(e) => {
                    self.unreadable.inc();
                    tracing::warn!(
                        offset = r.offset, error = %e,
                        "a record of content.raw is not a RawItem and was passed over; is its writer newer?"
                    );
                }
            }
        }
        raws
    }

    async fn stored(&self, raws: &[RawItem]) -> Result<HashMap<Bytes, Content>, PortError> {
        let keys: Vec<Bytes> = raws.iter().map(key_of).collect();
        let values = self.state.multi_get(VIEW_CONTENT, &keys).await?;
        let mut out = HashMap::new();
        for (key, value) in keys.into_iter().zip(values) {
            let Some(value) = value else { continue };
            match serde_json::from_slice(&value) {
                Ok(article) => {
                    out.insert(key, article);
                }
                // Written by another version of ours: the source's word is taken anew.
                Err(e) => {
                    tracing::warn!(error = %e, "a stored article cannot be read and is rebuilt")
                }
            }
        }
        Ok(out)
    }

    async fn relay(&self, mut stop: watch::Receiver<bool>) -> Result<(), PortError> {
        let mut news = self.state.outbox_watch(OUTBOX_ENRICHED)?;
        while !*stop.borrow() {
            news.mark_unchanged();
            match self.relay_step().await {
                Ok(0) => wait(&mut news, &mut stop).await,
                Ok(_) => {}
                Err(e) if may_pass(&e) => pause(&e, &mut stop).await,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn relay_step(&self) -> Result<usize, PortError> {
        let waiting = self.state.outbox_read(OUTBOX_ENRICHED, RELAY_BATCH).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let partitions = self.log.partitions(TOPIC_ENRICHED).await?;
        let mut groups: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
        let ids: Vec<u64> = waiting.iter().map(|w| w.id).collect();
        for w in waiting {
            let partition = partition_of(&w.key, partitions);
            groups
                .entry(partition)
                .or_default()
                .push(Record::new(w.key, w.value));
        }
        for (partition, records) in groups {
            self.log.append(TOPIC_ENRICHED, partition, records).await?;
        }
        self.state.outbox_ack(OUTBOX_ENRICHED, &ids).await?;
        Ok(ids.len())
    }
}

fn key_of(raw: &RawItem) -> Bytes {
    Bytes::copy_from_slice(&ContentId::of(&raw.source, &raw.original_id).0.to_be_bytes())
}

fn encode(article: &Content) -> Result<Vec<u8>, PortError> {
    serde_json::to_vec(article).map_err(|e| {
        PortError::new(
            PortErrorKind::Invalid,
            "an article cannot be written as JSON",
        )
        .with_source(e)
    })
}

/// A conflict means that another process of this role moved on: reading the position again settles it.
fn may_pass(e: &PortError) -> bool {
    e.is_retryable() || e.kind() == PortErrorKind::Conflict
}

async fn pause(e: &PortError, stop: &mut watch::Receiver<bool>) {
    tracing::warn!(error = %e, retry_ms = RETRY_MS, "enrich waits for a store");
    serve::sleep_unless_stopped(stop, Duration::from_millis(RETRY_MS)).await;
}

/// Until there is news, or the end, or for a while: a store that was emptied has a position again, and no news.
async fn wait(news: &mut watch::Receiver<u64>, stop: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(LOOK_EVERY) => {}
        changed = news.changed() => {
            if changed.is_err() {
                // The store is being closed: the stop signal follows.
                serve::sleep_unless_stopped(stop, Duration::from_millis(RETRY_MS)).await;
            }
        }
        () = serve::stopped(stop) => {}
    }
}

#[cfg(test)]
mod tests;

// The in-memory stores of ingest's tests: test code only, so that neither service depends on the other.
#[cfg(test)]
#[path = "../../ingest/src/fakes/memory.rs"]
mod memory;
