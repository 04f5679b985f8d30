//! How far the folds are behind the log, seen from outside: a worker that hangs cannot tell.
//!
//! Every [`EVERY`] the ends of the log and the committed offsets are compared. How long the oldest waiting event has
//! waited follows from when the log was seen to end before it; no record is read, so a broker is not asked to seek.

use mediaflow_http::Metrics;
use mediaflow_http::metrics::clamped;
use mediaflow_http::serve::sleep_unless_stopped;
use mediaflow_ports::{Clock, EventLog, Offset, PortResult, StateStore};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks; scrapers ask every 15 s or so.
const EVERY: Duration = Duration::from_secs(2);
/// Ends remembered per partition: over two hours at one every 2 s, and longer the more the log rests.
const REMEMBERED_MAX: usize = 4_096;

const TOPIC: &str = "events";
const CONSUMER: &str = "features";
const DEAD: &str = "dead-letters";

/// Ends of one partition and when they were first seen, oldest first. Ends only grow.
#[derive(Debug, Default)]
struct Ends(VecDeque<(i64, Offset)>);

impl Ends {
    fn see(&mut self, now_ms: i64, end: Offset) {
        if self.0.back().is_none_or(|(_, last)| end > *last) {
            if self.0.len() == REMEMBERED_MAX {
                // Half as fine is still true: every entry is a moment at which the log ended there.
                let mut keep = false;
                self.0.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            self.0.push_back((now_ms, end));
        }
    }

    /// Since when the record at `next` waits, at the latest; `None` when nothing waits. Forgets what is done with.
    fn waiting_since(&mut self, next: Offset) -> Option<i64> {
        while self.0.len() > 1 && self.0.get(1).is_some_and(|(_, end)| *end <= next) {
            self.0.pop_front();
        }
        self.0
            .iter()
            .find(|(_, end)| *end > next)
            .map(|(at, _)| *at)
    }
}

/// Exports `mediaflow_events_lag_records`, `mediaflow_events_lag_seconds`, `mediaflow_events_end_offset` by partition and
/// `mediaflow_dead_letter_records`, until the signal.
pub async fn watch(
    metrics: Metrics,
    log: Arc<dyn EventLog>,
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    mut signal: watch::Receiver<bool>,
) {
    let records = metrics.gauge(
        "events_lag_records",
        "Events in the log that no commit of the folds covers, by partition.",
        &["partition"],
    );
    let seconds = metrics.level(
        "events_lag_seconds",
        "How long the oldest event that is not folded has waited, by partition; 0 when none waits.",
        &["partition"],
    );
    let ends = metrics.gauge(
        "events_end_offset",
        "Offset that the next event will get, by partition.",
        &["partition"],
    );
    let dead = metrics
        .gauge("dead_letter_records", "Dead letters that are kept.", &[])
        .with_label_values::<&str>(&[]);
    let failures = metrics
        .counter(
            "lag_failures_total",
            "Times the lag could not be read; its gauges are then those of before.",
            &[],
        )
        .with_label_values::<&str>(&[]);
    let mut seen: Vec<Ends> = Vec::new();
    loop {
        let look = async {
            let partitions = log.partitions(TOPIC).await?;
            seen.resize_with(partitions as usize, Ends::default);
            for (partition, ends_seen) in (0..partitions).zip(&mut seen) {
                // The end first: a commit in between makes the lag too small by what it folded, never negative.
                let end = log.end(TOPIC, partition).await?;
                let next = state.progress(CONSUMER, TOPIC, partition).await?;
                let now_ms = clock.now_ms();
                ends_seen.see(now_ms, end);
                let waits_ms = ends_seen.waiting_since(next).map_or(0, |at| now_ms - at);
                let label = partition.to_string();
                let label = [label.as_str()];
                records
                    .with_label_values(&label)
                    .set(clamped(end.saturating_sub(next)));
                seconds
                    .with_label_values(&label)
                    .set(super::seconds(waits_ms.max(0)));
                ends.with_label_values(&label).set(clamped(end));
            }
            let mut letters = 0;
            for partition in 0..log.partitions(DEAD).await? {
                let end = log.end(DEAD, partition).await?;
                letters += end.saturating_sub(log.begin(DEAD, partition).await?);
            }
            dead.set(clamped(letters));
            PortResult::Ok(())
        };
        if let Err(e) = look.await {
            failures.inc();
            tracing::debug!(error = %e, "the lag cannot be read");
        }
        if !sleep_unless_stopped(&mut signal, EVERY).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_waiting_record_tells_how_long() {
        let mut e = Ends::default();
        e.see(0, 10);
        assert_eq!(e.waiting_since(10), None);
        e.see(2_000, 20);
        e.see(4_000, 20);
        e.see(6_000, 30);
        assert_eq!(e.waiting_since(10), Some(2_000));
        assert_eq!(e.waiting_since(19), Some(2_000));
        assert_eq!(e.waiting_since(20), Some(6_000));
        assert_eq!(e.waiting_since(30), None);
        assert_eq!(e.0.len(), 1);
    }

    #[test]
    fn a_consumer_that_never_moves_costs_bounded_memory() {
        let mut e = Ends::default();
        for i in 1..100_000_u32 {
            e.see(i64::from(i), u64::from(i));
        }
        assert!(e.0.len() <= REMEMBERED_MAX);
        assert_eq!(e.waiting_since(0), Some(1));
    }
}
