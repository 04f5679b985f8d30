//! What the process costs: memory, processor time, open files, as Prometheus' own clients name them.

use crate::Metrics;
use crate::metrics::clamped;

/// Linux tells processor time in hundredths of a second to every program (USER_HZ), whatever the kernel's own tick.
const TICKS_PER_S: f64 = 100.0;

/// Adds `process_resident_memory_bytes`, `process_resident_memory_peak_bytes`, `process_cpu_seconds_total`,
/// `process_open_fds`, `process_start_time_seconds` and `mediaflow_build_info`. Where `/proc` is absent only the last two.
pub fn export(metrics: &Metrics, version: &str, started_ms: i64) {
    let none: [&str; 0] = [];
    metrics
        .gauge(
            "build_info",
            "1, with the version as a label.",
            &["version"],
        )
        .with_label_values(&[version])
        .set(1);
    let start = metrics.level(
        "process_start_time_seconds",
        "When the process started, seconds since the epoch.",
        &[],
    );
    #[expect(clippy::cast_precision_loss, reason = "a time of this century")]
    start
        .with_label_values(&none)
        .set(started_ms as f64 / 1_000.0);
    if std::fs::metadata("/proc/self/status").is_err() {
        return;
    }
    let gauge = |name: &str, help: &str| metrics.gauge(name, help, &[]).with_label_values(&none);
    let resident = gauge("process_resident_memory_bytes", "Resident memory.");
    let peak = gauge(
        "process_resident_memory_peak_bytes",
        "Resident memory at its highest.",
    );
    let files = gauge("process_open_fds", "Open files and sockets.");
    let cpu = metrics
        .amount(
            "process_cpu_seconds_total",
            "Processor time, user and system.",
            &[],
        )
        .with_label_values(&none);
    metrics.on_scrape(move || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        resident.set(clamped(kilobytes(&status, "VmRSS:") * 1_024));
        peak.set(clamped(kilobytes(&status, "VmHWM:") * 1_024));
        if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
            files.set(clamped(open.count() as u64));
        }
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        cpu.inc_by((cpu_s(&stat) - cpu.get()).max(0.0));
    });
}

fn kilobytes(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|l| l.strip_prefix(field))
        .and_then(|v| v.trim().split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Fields 14 and 15 of `/proc/self/stat`. The second field, the program's name in parentheses, may hold blanks.
fn cpu_s(stat: &str) -> f64 {
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum::<f64>()
        / TICKS_PER_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_does_not_move_the_fields() {
        let stat = "12 (a) b (c)) S 1 1 1 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 5 6 7";
        assert!((cpu_s(stat) - 2.0).abs() < 1e-9);
        assert_eq!(kilobytes("VmHWM:\t 20 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
    }
}
