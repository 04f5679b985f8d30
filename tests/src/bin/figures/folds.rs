//! How many events a core folds.

use mediaflow_features::bench::{fold_log, records};

/// Events of the made-up stream that a partition gets a second.
const PER_S: u64 = 6_250;
/// The best of so many runs: the first one fills caches.
const RUNS: u64 = 3;

/// Prints `{events_s, cpu_us, event_bytes, commits, state_bytes_an_event}`; CPU time, so that what else runs on the
/// machine hardly counts.
pub fn run(events: u64, readers: u64) {
    let log = records(events, readers, PER_S, 1);
    let bytes: usize = log.iter().map(|r| r.record.value.len()).sum();
    let mut best_s = f64::INFINITY;
    let mut folded = fold_log(&[]);
    for _ in 0..RUNS {
        let before = cpu_s();
        folded = fold_log(&log);
        best_s = best_s.min(cpu_s() - before);
    }
    let n = folded.events.max(1) as f64;
    println!(
        "{}",
        serde_json::json!({
            "events_s": n / best_s,
            "cpu_us": best_s * 1e6 / n,
            "event_bytes": bytes as f64 / log.len().max(1) as f64,
            "commits": folded.commits,
            "state_bytes_an_event": folded.state_bytes as f64 / n,
        })
    );
}

/// Seconds this thread was on a core.
fn cpu_s() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: Option<f64> = told.split(' ').next().and_then(|n| n.parse().ok());
    ns.unwrap_or(0.0) / 1e9
}
