//! What a process has used, as the kernel counts it (`/proc`).

use std::fs;

use anyhow::{Context, Result};

/// The kernel's clock ticks a second in `/proc`: fixed for programs, whatever its timer is.
const TICKS_PER_S: f64 = 100.0;

/// User and system time of all threads so far, in seconds.
pub fn cpu_s(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{path}: CPU time is read on Linux only"))?;
    parse_cpu_s(&text).with_context(|| format!("{path} is not as proc(5) says"))
}

fn parse_cpu_s(stat: &str) -> Option<f64> {
    // The name in brackets may hold anything; utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_S)
}

/// Resident memory now and at its highest, in MB.
pub fn resident_mb(process: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024.0 / 1_000_000.0)
    };
    field("VmRSS:")
        .zip(field("VmHWM:"))
        .with_context(|| format!("{path} names no resident memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1 1 1";
        assert_eq!(parse_cpu_s(stat), Some(2.0));
        assert_eq!(parse_cpu_s("42 (x) S"), None);
    }
}
