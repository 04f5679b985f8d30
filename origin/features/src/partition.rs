//! The worker of one partition: claim, read, load, fold, commit; again from the store when a commit is refused.

use bytes::Bytes;
use mediaflow_http::trace::{self, TRACEPARENT, Traces};
use mediaflow_ports::fault::Point;
use mediaflow_ports::{Commit, Offset, PortError, PortErrorKind, PortResult};
use mediaflow_shared::signals::{VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER, traced_key};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::declare::{VIEW_CLOCK, VIEW_FOLDS, VIEW_SEEN};
use crate::error::FeatureError;
use crate::folds::Folds;
use crate::items::Items;
use crate::limits::{
    CHANGES_PER_EVENT, CLAIM_AGAIN, COMMIT_EVENTS_MAX, COMMIT_EVERY, IDLE_AFTER, LOOK_EVERY,
    READ_BYTES_MAX, RETRY_FIRST, RETRY_MAX,
};
use crate::metrics::bump;
use crate::seen_before::SeenBefore;
use crate::{CONSUMER, FeatureDeps, TOPIC_EVENTS, rules};

/// Entries read from a view at a time when a partition opens.
const RESTORE_PAGE: usize = 2_048;

/// What a worker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Work,
    /// The process ends: commit what is folded.
    Finish,
    /// The partition is another process's: commit nothing more.
    Drop,
}

/// The fence of a partition: whoever claims it last may commit.
#[must_use]
pub fn fence(partition: u32) -> String {
    format!("{CONSUMER}.{TOPIC_EVENTS}.{partition}")
}

pub(crate) struct Partition {
    deps: FeatureDeps,
    items: Arc<Items>,
    number: u32,
    epoch: u64,
    folds: Folds,
    committed: Offset,
    next: Offset,
    pending: usize,
    /// Events folded between two commits at most, by what the store takes well.
    events_max: usize,
    due: Instant,
    /// When the last record came.
    heard: Instant,
    /// When it is looked next whether the state is still there.
    look: Instant,
    traces: Traces,
}

/// Works on a partition until told otherwise, opening it anew whenever another process was faster.
pub(crate) async fn work(
    deps: FeatureDeps,
    items: Arc<Items>,
    number: u32,
    mut order: watch::Receiver<Order>,
) -> Result<(), FeatureError> {
    while *order.borrow() == Order::Work {
        let ended = match Partition::open(deps.clone(), items.clone(), number).await {
            Ok(partition) => partition.run(order.clone()).await,
            Err(e) => Err(e),
        };
        let error = match ended {
            Ok(()) => break,
            Err(FeatureError::Port(e)) => e,
            Err(e) => return Err(e),
        };
        match error.kind() {
            PortErrorKind::Conflict => {
                tracing::warn!(
                    partition = number,
                    error = %error,
                    "state changed without us; opening it again"
                );
            }
            PortErrorKind::Fenced => {
                bump(&deps.metrics.fenced);
                tracing::warn!(
                    partition = number,
                    error = %error,
                    "another process claimed the partition; its commits count, not ours"
                );
                tokio::select! {
                    () = sleep(CLAIM_AGAIN) => {}
                    _ = order.changed() => {}
                }
            }
            _ => return Err(error.into()),
        }
    }
    if let Some(p) = deps.metrics.partition(number) {
        p.assigned.store(false, Relaxed);
        p.lag.store(0, Relaxed);
    }
    Ok(())
}

impl Partition {
    /// Claims the partition and opens it where its last commit left it.
    pub async fn open(
        deps: FeatureDeps,
        items: Arc<Items>,
        number: u32,
    ) -> Result<Self, FeatureError> {
        let state = &deps.state;
        // Claimed before anything is read: from here on no predecessor changes what we read.
        let name = fence(number);
        let epoch = retrying(&deps, || state.claim(&name)).await?;
        let committed = retrying(&deps, || state.progress(CONSUMER, TOPIC_EVENTS, number)).await?;
        let committed = rules::hold(&deps, number, epoch, committed).await?;
        let events_max = (state.commit_changes() / CHANGES_PER_EVENT).clamp(1, COMMIT_EVENTS_MAX);
        let mut folds = Folds::new(number, deps.config);
        for view in [VIEW_SEEN, VIEW_CLOCK, VIEW_POPULARITY, VIEW_NEIGHBOURS] {
            let prefix = SeenBefore::prefix(number);
            let mut after: Option<Bytes> = None;
            loop {
                let page = retrying(&deps, || {
                    state.scan(view, &prefix, after.as_deref(), RESTORE_PAGE)
                })
                .await?;
                for entry in &page {
                    folds
                        .restore(view, entry)
                        .map_err(|source| FeatureError::State { view, source })?;
                }
                match page.last() {
                    Some(last) if page.len() == RESTORE_PAGE => after = Some(last.key.clone()),
                    _ => break,
                }
            }
        }
        if let Some(p) = deps.metrics.partition(number) {
            p.assigned.store(true, Relaxed);
        }
        Ok(Self {
            deps,
            items,
            number,
            epoch,
            folds,
            committed,
            next: committed,
            pending: 0,
            events_max,
            due: Instant::now(),
            heard: Instant::now(),
            look: Instant::now() + LOOK_EVERY,
            traces: Traces::default(),
        })
    }

    /// Works until told otherwise.
    async fn run(mut self, mut order: watch::Receiver<Order>) -> Result<(), FeatureError> {
        let mut appended = self.deps.log.watch(TOPIC_EVENTS)?;
        loop {
            let told = *order.borrow_and_update();
            match told {
                Order::Work => {}
                Order::Finish => return self.commit().await,
                Order::Drop => return Ok(()),
            }
            appended.borrow_and_update();
            let read = self.step().await?;
            if self.is_due() {
                continue;
            }
            self.note_idleness(read);
            if read == 0 {
                self.check_presence().await?;
                let (wake, idle) = (self.due, self.heard + IDLE_AFTER);
                let pending = self.pending > 0;
                let awake = Instant::now() < idle;
                tokio::select! {
                    () = news(&mut appended) => {}
                    () = sleep_until(wake), if pending => {}
                    () = sleep_until(idle), if awake => {}
                    () = sleep_until(self.look) => {}
                    _ = order.changed() => {}
                }
            }
        }
    }

    /// Whether what was committed is still stored. A partition with events hears it from its next commit; an idle one
    /// would serve nothing for as long as it is idle.
    ///
    /// # Errors
    /// `Conflict` when it is not: the partition is to be opened anew.
    async fn check_presence(&mut self) -> Result<(), FeatureError> {
        if Instant::now() < self.look {
            return Ok(());
        }
        self.look = Instant::now() + LOOK_EVERY;
        if self.pending > 0 || self.committed == 0 {
            return Ok(());
        }
        let (state, number) = (&self.deps.state, self.number);
        let rules = state.get(VIEW_FOLDS, &number.to_be_bytes()).await;
        let progress = state.progress(CONSUMER, TOPIC_EVENTS, number).await;
        // A store that is away is asked again at the next look. One that is ahead is another process's doing: the fence
        // decides.
        let lost = match (rules, progress) {
            (Ok(rules), Ok(at)) => rules.is_none() || at < self.committed,
            _ => false,
        };
        if !lost {
            return Ok(());
        }
        let said = format!("the state of partition {number} of events is gone from the store");
        Err(PortError::new(PortErrorKind::Conflict, said).into())
    }

    fn is_due(&self) -> bool {
        self.pending >= self.events_max || (self.pending > 0 && Instant::now() >= self.due)
    }

    fn note_idleness(&mut self, read: usize) {
        if read > 0 {
            self.heard = Instant::now();
        }
        if let Some(p) = self.deps.metrics.partition(self.number) {
            let idle = read == 0 && self.heard.elapsed() >= IDLE_AFTER;
            p.idle.store(idle, Relaxed);
        }
    }

    /// Commits what is due, then reads and folds what is there; answers how many records that were.
    async fn step(&mut self) -> Result<usize, FeatureError> {
        if self.is_due() {
            self.commit().await?;
        }
        let room = self.events_max - self.pending.min(self.events_max);
        let records = {
            let (log, number, from) = (&self.deps.log, self.number, self.next);
            retrying(&self.deps, || {
                log.read(TOPIC_EVENTS, number, from, room, READ_BYTES_MAX)
            })
            .await?
        };
        let Some(last) = records.last() else {
            return Ok(0);
        };
        let next = last.offset + 1;
        if trace::is_on() {
            for r in &records {
                let sent = r.record.header(TRACEPARENT).map(|h| &h[..]);
                self.traces.note(&r.record.key, sent);
            }
        }
        let batch = self.folds.admit(&records, &self.deps.metrics);
        let state = &self.deps.state;
        for wanted in self.folds.wanted() {
            let stored =
                retrying(&self.deps, || state.multi_get(wanted.view, &wanted.keys)).await?;
            if wanted.view == VIEW_READER {
                let loads = &self.deps.metrics.reader_loads;
                loads.fetch_add(wanted.keys.len() as u64, Relaxed);
            }
            self.folds.supply(&wanted, &stored)?;
        }
        let facts = retrying(&self.deps, || self.items.load(state.as_ref(), &batch.facts)).await?;
        self.folds.fold(&batch, &facts, &self.deps.metrics);
        self.traces
            .stage("fold", &[("partition", i64::from(self.number))]);
        self.next = next;
        self.pending += records.len();
        self.report_lag().await;
        Ok(records.len())
    }

    /// Makes everything folded so far durable, in one commit with the offset.
    async fn commit(&mut self) -> Result<(), FeatureError> {
        if self.pending == 0 {
            return Ok(());
        }
        let (number, span) = (self.number, (self.committed, self.next));
        let mut commit: Commit = self
            .folds
            .changes(span, &self.deps.metrics)
            .fenced(&fence(number), self.epoch);
        if self.committed == 0 {
            commit.writes.push(rules::entry(number, &self.deps.config));
        }
        for entry in commit.outbox.iter_mut().filter(|_| trace::is_on()) {
            let reader = entry.key.get(..16).unwrap_or_default();
            if let Some(trace) = self.traces.of(reader) {
                entry.key = traced_key(&entry.key, &trace).into();
            }
        }
        Point::Folded.pass();
        let mut again = false;
        let state = &self.deps.state;
        retrying(&self.deps, || {
            let (commit, repeated) = (commit.clone(), std::mem::replace(&mut again, true));
            async move {
                match state.commit(commit).await {
                    // The first try may have gone through although its answer was lost.
                    Err(e) if repeated && e.kind() == PortErrorKind::Conflict => {
                        let at = state.progress(CONSUMER, TOPIC_EVENTS, number).await?;
                        if at == span.1 { Ok(()) } else { Err(e) }
                    }
                    other => other,
                }
            }
        })
        .await?;
        Point::Committed.pass();
        bump(&self.deps.metrics.commits);
        let facts = [
            ("partition", i64::from(number)),
            ("events", self.pending as i64),
        ];
        self.traces.stage("commit", &facts);
        self.traces.clear();
        self.committed = self.next;
        self.pending = 0;
        self.due = Instant::now() + COMMIT_EVERY;
        self.report_lag().await;
        Ok(())
    }

    async fn report_lag(&self) {
        if let (Ok(end), Some(p)) = (
            self.deps.log.end(TOPIC_EVENTS, self.number).await,
            self.deps.metrics.partition(self.number),
        ) {
            p.lag.store(end.saturating_sub(self.committed), Relaxed);
        }
    }
}

/// Waits for the next append; for ever once there will be none.
pub(crate) async fn news(appended: &mut watch::Receiver<u64>) {
    if appended.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Asks again, ever more slowly, while the answer is that it may work later.
pub(crate) async fn retrying<T, F: Future<Output = PortResult<T>>>(
    deps: &FeatureDeps,
    mut ask: impl FnMut() -> F,
) -> PortResult<T> {
    let mut pause = RETRY_FIRST;
    loop {
        match ask().await {
            Err(e) if e.is_retryable() => {
                tracing::warn!(error = %e, pause_ms = pause.as_millis() as u64, "features: asking again");
                bump(&deps.metrics.retries);
                let asked = match e.kind() {
                    PortErrorKind::Throttled { retry_after_s } => {
                        Duration::from_secs(retry_after_s)
                    }
                    _ => pause,
                };
                sleep(asked.max(pause)).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            other => return other,
        }
    }
}
