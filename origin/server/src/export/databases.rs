//! What the embedded databases cost the disk.

use mediaflow_embedded::Embedded;
use mediaflow_http::Metrics;
use mediaflow_http::metrics::{clamped, raise};

/// `mediaflow_embedded_log_syncs_total`, `mediaflow_embedded_disk_bytes`; nothing where no port is embedded.
pub fn databases(metrics: &Metrics, databases: Vec<Embedded>) {
    if databases.is_empty() {
        return;
    }
    let syncs = super::counter(
        metrics,
        "embedded_log_syncs_total",
        "Groups of appends synced to disk.",
    );
    let disk = metrics
        .gauge(
            "embedded_disk_bytes",
            "Bytes of the embedded databases on disk, journals included.",
            &[],
        )
        .with_label_values::<&str>(&[]);
    metrics.on_scrape(move || {
        raise(
            &syncs,
            databases.iter().map(Embedded::log_groups_synced).sum(),
        );
        disk.set(clamped(
            databases.iter().filter_map(|d| d.disk_bytes().ok()).sum(),
        ));
    });
}
