//! Loads on one edge: a closed loop by wrk, and a fixed rate by our own loader.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::start::{Edge, FEED};
use crate::bench::process::cpu_s;
use crate::bench::programs;
use crate::workspace::Workspace;

/// Length of every measured load.
pub const SECONDS: f64 = 6.0;
const WARM_UP_S: u32 = 2;
const CONNECTIONS: &str = "32";

/// An edge at its limit.
#[derive(Debug)]
pub struct Saturated {
    /// Answers a second.
    pub per_s: f64,
    /// CPU of the edge's process a request, microseconds.
    pub cpu_us: f64,
}

/// An edge at a part of it.
#[derive(Debug)]
pub struct Paced {
    /// Median latency.
    pub p50_ms: f64,
    /// Of a hundred, the second worst.
    pub p99_ms: f64,
}

/// Compiles, fills caches, grows pools.
pub fn warm_up(edge: &Edge, cookie: &str) -> Result<()> {
    wrk(edge, cookie, WARM_UP_S).map(drop)
}

/// As many requests as 32 connections bring about.
pub fn saturate(edge: &Edge, cookie: &str) -> Result<Saturated> {
    let before_s = cpu_s(edge.program.id())?;
    let (requests, per_s) = wrk(edge, cookie, SECONDS as u32)?;
    let used_s = cpu_s(edge.program.id())? - before_s;
    Ok(Saturated {
        per_s,
        cpu_us: used_s * 1e6 / requests,
    })
}

/// Requests answered, and a second.
fn wrk(edge: &Edge, cookie: &str, seconds: u32) -> Result<(f64, f64)> {
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "-c", CONNECTIONS, "-d"])
        .arg(format!("{seconds}s"));
    if !cookie.is_empty() {
        command.arg("-H").arg(format!("cookie: {cookie}"));
    }
    command.arg(format!("http://{}{FEED}", edge.address));
    let output = command
        .output()
        .context("cannot start wrk: `cargo xtask tools --bench` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).with_context(|| format!("{}: wrk said:\n{text}", edge.name))
}

fn parse(text: &str) -> Result<(f64, f64)> {
    let mut found = (None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("Non-2xx") || line.starts_with("Socket errors") {
            bail!("{line}");
        }
        if let Some((requests, _)) = line.split_once(" requests in ") {
            found.0 = requests.parse().ok();
        }
        if let Some(rate) = line.strip_prefix("Requests/sec:") {
            found.1 = rate.trim().parse().ok();
        }
    }
    found.0.zip(found.1).context("no figures in it")
}

/// Feeds at a fixed rate.
pub fn pace(workspace: &Workspace, edge: &Edge, cookie: &str, per_s: f64) -> Result<Paced> {
    let answer = programs::figures(
        workspace,
        &[
            "load",
            "--addr",
            &edge.address.to_string(),
            "--path",
            FEED,
            "--cookie",
            cookie,
            "--rate",
            &format!("{per_s:.0}"),
            "--connections",
            CONNECTIONS,
            "--seconds",
            &SECONDS.to_string(),
        ],
    )?;
    let number = |name: &str| {
        answer[name]
            .as_f64()
            .with_context(|| format!("no {name} in {answer}"))
    };
    ensure!(
        number("failed")? == 0.0,
        "{}: not every answer was 200: {answer}",
        edge.name
    );
    Ok(Paced {
        p50_ms: number("p50_ms")?,
        p99_ms: number("p99_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_understood() {
        let text = "Running 6s test @ http://127.0.0.1:1/\n  61234 requests in 6.01s, 1.2GB read\n\
                    Requests/sec:  10188.85\nTransfer/sec: 200MB\n";
        assert_eq!(parse(text).unwrap(), (61234.0, 10188.85));
        let failed = format!("{text}  Non-2xx or 3xx responses: 7\n");
        assert!(parse(&failed).is_err());
        assert!(parse("unable to connect").is_err());
    }
}
