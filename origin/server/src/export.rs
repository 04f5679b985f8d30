//! Counters that services keep as plain numbers, as metrics.

use anyhow::Result;
use mediaflow_features::FeatureMetrics;
use mediaflow_http::Metrics;
use mediaflow_http::serve::sleep_unless_stopped;
use mediaflow_ingest::Collector;
use mediaflow_ports::StateStore;
use mediaflow_publisher::PublisherMetrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often the snapshots are taken; scrapers ask every 15 s or so.
const EVERY: Duration = Duration::from_secs(2);

/// How often views are measured: a store may have to look at samples of its keys.
const VIEWS_EVERY: Duration = Duration::from_secs(30);

type Tasks = JoinSet<Result<()>>;

fn gauge(metrics: &Metrics, name: &str, help: &str) -> impl Fn(u64) + Send + 'static {
    let family = metrics.gauge(name, help, &[]);
    move |value: u64| {
        family
            .with_label_values::<&str>(&[])
            .set(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// `features_*`.
pub fn features(
    metrics: &Metrics,
    source: Arc<FeatureMetrics>,
    mut signal: watch::Receiver<bool>,
    tasks: &mut Tasks,
) {
    let events = gauge(metrics, "features_events", "Events folded since the start.");
    let duplicates = gauge(metrics, "features_duplicates", "Events seen before.");
    let late = gauge(
        metrics,
        "features_late",
        "Events older than the window they belong to.",
    );
    let unreadable = gauge(metrics, "features_unreadable", "Records that are no event.");
    let profiles = gauge(
        metrics,
        "features_profiles",
        "Changed profiles handed to the publisher.",
    );
    let lag = gauge(
        metrics,
        "features_lag_records",
        "Events in the log that are not folded yet.",
    );
    tasks.spawn(async move {
        while sleep_unless_stopped(&mut signal, EVERY).await {
            let s = source.snapshot();
            events(s.events);
            duplicates(s.duplicates);
            late(s.late);
            unreadable(s.unreadable);
            profiles(s.profiles);
            lag(s.lag_records);
        }
        Ok(())
    });
}

/// `state_view_entries`, `state_view_bytes` by view.
pub fn views(
    metrics: &Metrics,
    source: Arc<dyn StateStore>,
    mut signal: watch::Receiver<bool>,
    tasks: &mut Tasks,
) {
    let entries = metrics.gauge(
        "state_view_entries",
        "Entries of a view of the state store.",
        &["view"],
    );
    let bytes = metrics.gauge(
        "state_view_bytes",
        "Bytes a view takes up in the state store.",
        &["view"],
    );
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    tasks.spawn(async move {
        while sleep_unless_stopped(&mut signal, VIEWS_EVERY).await {
            match source.usage().await {
                Ok(usage) => {
                    for view in usage {
                        entries
                            .with_label_values(&[&view.view])
                            .set(whole(view.entries));
                        bytes
                            .with_label_values(&[&view.view])
                            .set(whole(view.bytes));
                    }
                }
                Err(e) => tracing::debug!(error = %e, "views are not measured this time"),
            }
        }
        Ok(())
    });
}

/// `ingest_dedupe_shortened`.
pub fn collector(
    metrics: &Metrics,
    source: Arc<Collector>,
    mut signal: watch::Receiver<bool>,
    tasks: &mut Tasks,
) {
    let shortened = gauge(
        metrics,
        "ingest_dedupe_shortened",
        "Times deduplication forgot early because it was full.",
    );
    tasks.spawn(async move {
        while sleep_unless_stopped(&mut signal, EVERY).await {
            shortened(source.window_shortened());
        }
        Ok(())
    });
}

/// `publisher_*`.
pub fn publisher(
    metrics: &Metrics,
    source: Arc<PublisherMetrics>,
    mut signal: watch::Receiver<bool>,
    tasks: &mut Tasks,
) {
    let written = metrics.gauge(
        "publisher_written",
        "Values written since the start, by lane.",
        &["lane"],
    );
    let failed = metrics.gauge(
        "publisher_failed",
        "Writes that failed, by lane.",
        &["lane"],
    );
    let bytes = metrics.gauge(
        "publisher_bytes",
        "Bytes written since the start, by lane.",
        &["lane"],
    );
    let candidates = gauge(metrics, "publisher_candidates", "Candidates in all fronts.");
    let unchanged = gauge(
        metrics,
        "publisher_profiles_unchanged",
        "Profiles that edges had already.",
    );
    tasks.spawn(async move {
        let set = |v: u64| i64::try_from(v).unwrap_or(i64::MAX);
        while sleep_unless_stopped(&mut signal, EVERY).await {
            let s = source.snapshot();
            for (lane, l) in &s.lanes {
                written.with_label_values(&[*lane]).set(set(l.written));
                failed.with_label_values(&[*lane]).set(set(l.failed));
                bytes.with_label_values(&[*lane]).set(set(l.bytes));
            }
            candidates(s.candidates);
            unchanged(s.profiles_unchanged);
        }
        Ok(())
    });
}
