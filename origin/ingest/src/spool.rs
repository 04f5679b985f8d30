//! A log that may be full or absent, made one that acknowledges all the same: by waiting on disk.
//!
//! Path: append → the log, as long as it answers in time → else the spool, a second log on this machine, whose sync is the
//! acknowledgement → drained in order, in the background, once the log answers again; until all of it is, new records
//! queue behind it. Beyond [`SpoolLimits::bytes_max`] appends are refused as `Full`, which senders see as 503.
//!
//! Nothing is lost: a record leaves the spool only when the log has acknowledged it. Nothing is doubled: a record whose
//! append failed or took too long *may* be in the log (a suspect), as may the batch that was being drained when the process
//! died; before draining, the log is searched for the suspects from the time they were spooled on, and those it holds are
//! skipped. Records are recognised by their `dedupe` header, or by a hash of all they hold.
//!
//! What it never does: reorder the records of a partition within the spool, or name an adapter.

mod backlog;

use async_trait::async_trait;
use mediaflow_http::Metrics;
use mediaflow_http::metrics::{IntCounter, IntGauge};
use mediaflow_http::serve::sleep_unless_stopped;
use mediaflow_ports::fault::Point;
use mediaflow_ports::{
    Clock, EventLog, Membership, Offset, PortError, PortErrorKind, PortResult, Record, Retained,
    RetentionPolicy, StoredRecord, Summary,
};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{RwLock, watch};

use crate::limits::{SPOOL_PATIENCE, SPOOL_PAUSE_MAX, SPOOL_PAUSE_MIN};
use backlog::{Backlog, DONE, SPOOL, wrap};

/// What a spool may hold, and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct SpoolLimits {
    /// Bytes of records that may wait on disk.
    pub bytes_max: u64,
    /// How long an append may take before its records go to the spool too.
    pub patience: Duration,
}

impl SpoolLimits {
    /// At most `bytes_max`, with the usual patience.
    #[must_use]
    pub fn of(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            patience: SPOOL_PATIENCE,
        }
    }
}

struct Gauges {
    records: IntGauge,
    bytes: IntGauge,
    oldest_s: IntGauge,
    parked: IntCounter,
    drained: IntCounter,
    skipped: IntCounter,
    refused: IntCounter,
}

impl Gauges {
    fn of(m: &Metrics) -> Self {
        let none: &[&str] = &[];
        let gauge = |name, help| m.gauge(name, help, none).with_label_values(none);
        let total = m.counter(
            "spool_records_total",
            "Records of the spool by what became of them.",
            &["outcome"],
        );
        let count = |outcome| total.with_label_values(&[outcome]);
        Self {
            records: gauge(
                "spool_records",
                "Records that wait on disk for the event log.",
            ),
            bytes: gauge("spool_bytes", "Bytes that wait on disk for the event log."),
            oldest_s: gauge(
                "spool_oldest_seconds",
                "Age of the oldest record that waits; 0 when none does.",
            ),
            parked: count("parked"),
            drained: count("drained"),
            skipped: count("in_log_already"),
            refused: count("refused"),
        }
    }
}

/// See the module. Share it by `Arc`; [`Spool::run`] drains it.
pub struct Spool {
    log: Arc<dyn EventLog>,
    disk: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    limits: SpoolLimits,
    gauges: Gauges,
    /// Appends go to disk. Changed only under `gate`.
    spooling: AtomicBool,
    /// Held shared by whoever parks, and alone by whoever ends the spooling: nothing is parked unseen.
    gate: RwLock<()>,
    /// Appends to the log whose end is not known yet.
    outstanding: Arc<AtomicUsize>,
    backlog: Mutex<Backlog>,
    /// Counts of partitions, for when the log cannot be asked.
    partitions: Mutex<HashMap<String, u32>>,
    changed: watch::Sender<u64>,
}

impl Spool {
    /// Opens the spool on `disk`, whose topics `spool` and `spool.done` are its own, and finds what waits there.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn open(
        log: Arc<dyn EventLog>,
        disk: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        limits: SpoolLimits,
        metrics: &Metrics,
    ) -> PortResult<Arc<Self>> {
        disk.ensure_topic(SPOOL, 1).await?;
        disk.ensure_topic(DONE, 1).await?;
        let backlog = Backlog::read(disk.as_ref()).await?;
        if backlog.records > 0 {
            tracing::warn!(
                records = backlog.records,
                bytes = backlog.bytes,
                "records of an earlier run wait for the event log"
            );
        }
        let this = Self {
            log,
            disk,
            clock,
            limits,
            gauges: Gauges::of(metrics),
            spooling: AtomicBool::new(backlog.records > 0),
            gate: RwLock::new(()),
            outstanding: Arc::default(),
            backlog: Mutex::new(backlog),
            partitions: Mutex::default(),
            changed: watch::Sender::new(0),
        };
        this.show();
        Ok(Arc::new(this))
    }

    /// Deduplication keys of what waited when the spool was opened; a second call has none.
    #[must_use]
    pub fn take_keys(&self) -> Vec<[u8; 16]> {
        std::mem::take(&mut self.backlog().keys)
    }

    /// Records and bytes that wait.
    #[must_use]
    pub fn depth(&self) -> (u64, u64) {
        let b = self.backlog();
        (b.records, b.bytes)
    }

    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        // Counts and sets change in single steps.
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) {
        let b = self.backlog();
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.gauges.records.set(signed(b.records));
        self.gauges.bytes.set(signed(b.bytes));
        let age = b
            .oldest_ms
            .map_or(0, |at| (self.clock.now_ms() - at).max(0) / 1_000);
        self.gauges.oldest_s.set(age);
    }

    /// Drains until told to stop.
    pub async fn run(self: Arc<Self>, mut signal: watch::Receiver<bool>) {
        let mut changed = self.changed.subscribe();
        let mut pause = SPOOL_PAUSE_MIN;
        loop {
            self.show();
            if !self.spooling.load(Ordering::SeqCst) {
                tokio::select! {
                    _ = changed.changed() => {}
                    go_on = sleep_unless_stopped(&mut signal, SPOOL_PAUSE_MAX) => if !go_on { return },
                }
                continue;
            }
            match self.drain().await {
                Ok(()) => pause = SPOOL_PAUSE_MIN,
                Err(e) => {
                    tracing::warn!(error = %e, pause_ms = pause.as_millis(), "the event log does not take what is spooled");
                    if !sleep_unless_stopped(&mut signal, pause).await {
                        return;
                    }
                    pause = (pause * 2).min(SPOOL_PAUSE_MAX);
                }
            }
            if *signal.borrow() {
                return;
            }
        }
    }

    /// One attempt to bring everything into the log.
    ///
    /// # Errors
    /// The first refusal of log or disk; what was acknowledged until then is done.
    pub async fn drain(&self) -> PortResult<()> {
        // An append that is still under way may yet succeed: only its end makes the search for suspects final.
        while self.outstanding.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(SPOOL_PAUSE_MIN / 10).await;
        }
        self.find_suspects().await?;
        loop {
            while self.drain_batch().await? {
                self.show();
            }
            let _alone = self.gate.write().await;
            if self.disk.end(SPOOL, 0).await? == self.backlog().drained {
                self.spooling.store(false, Ordering::SeqCst);
                self.backlog().forget();
                self.show();
                tracing::info!("everything spooled is in the event log");
                return self.reclaim().await;
            }
        }
    }

    /// Gives the disk back. Nothing waits and nothing is being parked.
    async fn reclaim(&self) -> PortResult<()> {
        let all = RetentionPolicy {
            max_age_ms: Some(0),
            max_bytes: None,
        };
        // What was appended in this very millisecond is to go as well.
        let now_ms = self.clock.now_ms() + 1;
        self.disk.retain(SPOOL, all, now_ms).await?;
        // The notes go last: with records but no note they would be drained again.
        if self.disk.begin(SPOOL, 0).await? == self.disk.end(SPOOL, 0).await? {
            self.disk.retain(DONE, all, now_ms).await?;
        }
        Ok(())
    }

    /// Parks records on disk; the gate is held by the caller.
    async fn park(
        &self,
        topic: &str,
        partition: u32,
        records: Vec<Record>,
        tried: bool,
    ) -> PortResult<Vec<Offset>> {
        let bytes: u64 = records.iter().map(|r| r.size_bytes() as u64).sum();
        let count = records.len() as u64;
        {
            let mut b = self.backlog();
            if b.bytes.saturating_add(bytes) > self.limits.bytes_max {
                self.gauges.refused.inc_by(count);
                return Err(PortError::new(
                    PortErrorKind::Full,
                    format!(
                        "the event log does not answer and the spool holds {} bytes; send again later",
                        b.bytes
                    ),
                ));
            }
            b.bytes += bytes;
            b.records += count;
            b.oldest_ms.get_or_insert(self.clock.now_ms());
            if tried {
                b.suspect(topic, partition, &records, self.clock.now_ms());
            }
        }
        let wrapped = records
            .into_iter()
            .map(|r| wrap(r, topic, partition, tried))
            .collect();
        let parked = self.disk.append(SPOOL, 0, wrapped).await;
        Point::SpoolParked.pass();
        if parked.is_ok() {
            self.gauges.parked.inc_by(count);
        } else {
            let mut b = self.backlog();
            b.bytes -= bytes;
            b.records -= count;
            if b.records == 0 {
                b.oldest_ms = None;
            }
            self.gauges.refused.inc_by(count);
        }
        self.changed.send_modify(|n| *n += 1);
        parked
    }
}

#[async_trait]
impl EventLog for Spool {
    async fn ensure_topic(&self, topic: &str, partitions: u32) -> PortResult<()> {
        self.log.ensure_topic(topic, partitions).await
    }

    async fn ensure_latest_by_key(&self, topic: &str, partitions: u32) -> PortResult<()> {
        self.log.ensure_latest_by_key(topic, partitions).await
    }

    async fn first_since(&self, topic: &str, partition: u32, since_ms: i64) -> PortResult<Offset> {
        self.log.first_since(topic, partition, since_ms).await
    }

    /// As the log's own; offsets of spooled records are those of the spool, and nobody can read them here.
    async fn append(
        &self,
        topic: &str,
        partition: u32,
        records: Vec<Record>,
    ) -> PortResult<Vec<Offset>> {
        let mut tried = false;
        // Until it is parked, too: a search for suspects must know all of them.
        let unsettled = Outstanding::one(&self.outstanding);
        // Counted before looking: either draining waits for this append, or this append sees that it must queue.
        let under_way = Outstanding::one(&self.outstanding);
        if !self.spooling.load(Ordering::SeqCst) {
            let (log, name, copy) = (Arc::clone(&self.log), topic.to_owned(), records.clone());
            // On its own, so that it ends whatever becomes of the caller: an append given up half-way could still
            // arrive after the search for suspects.
            let append = tokio::spawn(async move {
                let _under_way = under_way;
                log.append(&name, partition, copy).await
            });
            match tokio::time::timeout(self.limits.patience, append).await {
                Ok(Ok(Ok(offsets))) => return Ok(offsets),
                Ok(Ok(Err(e))) if !e.is_retryable() => return Err(e),
                Ok(Ok(Err(e))) => {
                    tracing::warn!(error = %e, topic, "the event log refuses; records wait on disk")
                }
                _ => tracing::warn!(topic, "the event log does not answer; records wait on disk"),
            }
            tried = true;
        } else {
            drop((under_way, unsettled));
        }
        let _with_others = self.gate.read().await;
        if !tried && !self.spooling.load(Ordering::SeqCst) {
            // The spool was emptied meanwhile.
            return self.log.append(topic, partition, records).await;
        }
        self.spooling.store(true, Ordering::SeqCst);
        self.park(topic, partition, records, tried).await
    }

    async fn read(
        &self,
        topic: &str,
        p: u32,
        from: Offset,
        n: usize,
        bytes: usize,
    ) -> PortResult<Vec<StoredRecord>> {
        self.log.read(topic, p, from, n, bytes).await
    }

    async fn begin(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        self.log.begin(topic, partition).await
    }

    async fn end(&self, topic: &str, partition: u32) -> PortResult<Offset> {
        self.log.end(topic, partition).await
    }

    /// The log's, or what it said last.
    async fn partitions(&self, topic: &str) -> PortResult<u32> {
        let known = |this: &Self| {
            let all = this
                .partitions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            all.get(topic).copied()
        };
        // Counts never change, and a log that is away should not be asked at every batch.
        if let Some(n) = known(self) {
            return Ok(n);
        }
        let n = self.log.partitions(topic).await?;
        let mut all = self
            .partitions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(topic.to_owned(), n);
        Ok(n)
    }

    async fn join(&self, group: &str, topic: &str) -> PortResult<Membership> {
        self.log.join(group, topic).await
    }

    fn watch(&self, topic: &str) -> PortResult<watch::Receiver<u64>> {
        self.log.watch(topic)
    }

    async fn retain(
        &self,
        topic: &str,
        policy: RetentionPolicy,
        now_ms: i64,
    ) -> PortResult<Retained> {
        self.log.retain(topic, policy, now_ms).await
    }

    fn summary(&self) -> Summary {
        let below = self.disk.summary();
        Summary {
            line: format!(
                "spool of at most {} bytes: {}",
                self.limits.bytes_max, below.line
            ),
            warn: false,
        }
    }
}

/// Counts an append until it has ended.
struct Outstanding(Arc<AtomicUsize>);

impl Outstanding {
    fn one(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(all))
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
