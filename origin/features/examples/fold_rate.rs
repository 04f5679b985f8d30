//! Folds a made-up partition on one core and prints events/s:
//! `cargo run --release -p mediaflow-features --example fold_rate [events] [readers]`.

use mediaflow_features::bench::{fold_log, records};
use std::time::Instant;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse().ok());
    let events = numbers.next().unwrap_or(1_000_000);
    let readers = numbers.next().unwrap_or(16_000);
    let log = records(events, readers, 6_250, 1);
    let bytes: usize = log.iter().map(|r| r.record.value.len()).sum();
    for _ in 0..3 {
        let (start, cpu) = (Instant::now(), cpu_s());
        let folded = fold_log(&log);
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_s() - cpu);
        println!(
            "{:.0} events/s per core ({} events of {} B, {readers} readers, {} commits, {:.1} MB state, {} profiles, {cpu:.2} s of CPU, {seconds:.2} s)",
            folded.events as f64 / cpu,
            folded.events,
            bytes / log.len().max(1),
            folded.commits,
            folded.state_bytes as f64 / 1e6,
            folded.profiles,
        );
    }
}

/// Seconds this thread was on a core: what else runs on the machine does not count.
fn cpu_s() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns: Option<f64> = told.split(' ').next().and_then(|n| n.parse().ok());
    ns.unwrap_or(0.0) / 1e9
}
