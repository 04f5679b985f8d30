//! The worker of one partition: read, load, fold, commit; again from the store when a commit is refused.

use bytes::Bytes;
use mediaflow_ports::{Commit, Offset, PortErrorKind, PortResult};
use mediaflow_shared::signals::{VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER};
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use crate::declare::VIEW_SEEN;
use crate::error::FeatureError;
use crate::folds::Folds;
use crate::items::Items;
use crate::limits::{COMMIT_EVENTS_MAX, COMMIT_EVERY, READ_BYTES_MAX, RETRY_FIRST, RETRY_MAX};
use crate::metrics::bump;
use crate::seen_before::SeenBefore;
use crate::{CONSUMER, FeatureDeps, TOPIC_EVENTS};

/// Entries read from a view at a time when a partition opens.
const RESTORE_PAGE: usize = 2_048;

pub(crate) struct Partition {
    deps: FeatureDeps,
    items: std::sync::Arc<Items>,
    number: u32,
    folds: Folds,
    committed: Offset,
    next: Offset,
    pending: usize,
    due: Instant,
}

impl Partition {
    /// Opens the partition where its last commit left it.
    pub async fn open(
        deps: FeatureDeps,
        items: std::sync::Arc<Items>,
        number: u32,
    ) -> Result<Self, FeatureError> {
        let committed = deps.state.progress(CONSUMER, TOPIC_EVENTS, number).await?;
        let mut folds = Folds::new(number);
        for view in [VIEW_SEEN, VIEW_POPULARITY, VIEW_NEIGHBOURS] {
            let prefix = SeenBefore::prefix(number);
            let mut after: Option<Bytes> = None;
            loop {
                let page = deps
                    .state
                    .scan(view, &prefix, after.as_deref(), RESTORE_PAGE)
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
        Ok(Self {
            deps,
            items,
            number,
            folds,
            committed,
            next: committed,
            pending: 0,
            due: Instant::now(),
        })
    }

    /// Works until told to stop, then commits what is folded.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> Result<(), FeatureError> {
        let mut appended = self.deps.log.watch(TOPIC_EVENTS)?;
        loop {
            if *shutdown.borrow() || shutdown.has_changed().is_err() {
                return self.commit().await;
            }
            appended.borrow_and_update();
            let read = match self.step().await {
                Ok(read) => read,
                Err(FeatureError::Port(e)) if e.kind() == PortErrorKind::Conflict => {
                    tracing::warn!(
                        partition = self.number,
                        "state moved on without us; opening it again"
                    );
                    let (deps, items) = (self.deps.clone(), self.items.clone());
                    self = Self::open(deps, items, self.number).await?;
                    continue;
                }
                Err(e) => return Err(e),
            };
            if self.pending >= COMMIT_EVENTS_MAX || (self.pending > 0 && Instant::now() >= self.due)
            {
                continue;
            }
            if read == 0 {
                let wake = self.due;
                let pending = self.pending > 0;
                tokio::select! {
                    () = news(&mut appended) => {}
                    () = sleep_until(wake), if pending => {}
                    _ = shutdown.changed() => {}
                }
            }
        }
    }

    /// Commits what is due, then reads and folds what is there; answers how many records that were.
    pub async fn step(&mut self) -> Result<usize, FeatureError> {
        if self.pending >= COMMIT_EVENTS_MAX || (self.pending > 0 && Instant::now() >= self.due) {
            self.commit().await?;
        }
        let room = COMMIT_EVENTS_MAX - self.pending.min(COMMIT_EVENTS_MAX);
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
        let batch = self.folds.admit(&records, &self.deps.metrics);
        let state = &self.deps.state;
        if !batch.readers.is_empty() {
            let keys: Vec<Bytes> = batch
                .readers
                .iter()
                .map(|r| Bytes::copy_from_slice(&r.0))
                .collect();
            let stored = retrying(&self.deps, || state.multi_get(VIEW_READER, &keys)).await?;
            let loads = &self.deps.metrics.reader_loads;
            loads.fetch_add(keys.len() as u64, Relaxed);
            for (reader, value) in batch.readers.iter().zip(stored) {
                self.folds
                    .supply(*reader, value.as_deref())
                    .map_err(|source| FeatureError::State {
                        view: VIEW_READER,
                        source,
                    })?;
            }
        }
        let items = retrying(&self.deps, || self.items.load(state.as_ref(), &batch.items)).await?;
        self.folds.fold(&batch.events, &items, &self.deps.metrics);
        self.next = next;
        self.pending += records.len();
        self.report_lag().await;
        Ok(records.len())
    }

    /// Makes everything folded so far durable, in one commit with the offset.
    pub async fn commit(&mut self) -> Result<(), FeatureError> {
        if self.pending == 0 {
            return Ok(());
        }
        let (number, span) = (self.number, (self.committed, self.next));
        let commit: Commit = self.folds.changes(number, span, &self.deps.metrics);
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
        bump(&self.deps.metrics.commits);
        self.committed = self.next;
        self.pending = 0;
        self.due = Instant::now() + COMMIT_EVERY;
        self.report_lag().await;
        Ok(())
    }

    async fn report_lag(&self) {
        if let (Ok(end), Some(lag)) = (
            self.deps.log.end(TOPIC_EVENTS, self.number).await,
            self.deps.metrics.lag.get(self.number as usize),
        ) {
            lag.store(end.saturating_sub(self.committed), Relaxed);
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
