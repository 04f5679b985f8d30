//! What each view of the state store holds, asked of the store itself.

use anyhow::Result;
use mediaflow_http::Metrics;
use mediaflow_http::metrics::clamped;
use mediaflow_http::serve::sleep_unless_stopped;
use mediaflow_ports::StateStore;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often views are measured: a store may have to look at samples of its keys.
const EVERY: Duration = Duration::from_secs(30);

/// `mediaflow_state_view_entries`, `mediaflow_state_view_bytes` by view.
pub fn views(
    metrics: &Metrics,
    source: Arc<dyn StateStore>,
    mut signal: watch::Receiver<bool>,
    tasks: &mut JoinSet<Result<()>>,
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
    tasks.spawn(async move {
        while sleep_unless_stopped(&mut signal, EVERY).await {
            match source.usage().await {
                Ok(usage) => {
                    for view in usage {
                        let label = [view.view.as_str()];
                        entries.with_label_values(&label).set(clamped(view.entries));
                        bytes.with_label_values(&label).set(clamped(view.bytes));
                    }
                }
                Err(e) => tracing::debug!(error = %e, "views are not measured this time"),
            }
        }
        Ok(())
    });
}
