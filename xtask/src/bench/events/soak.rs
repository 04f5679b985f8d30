//! The whole path in one process at a steady rate: does anything grow that should not?

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Load;
use super::origin::Origin;
use crate::bench::programs;
use crate::bench::{Figure, Must};
use crate::progress::Step;
use crate::workspace::Workspace;

/// Of a complete run of the benchmarks.
const SHORT_S: f64 = 60.0;
const LONG_S: f64 = 600.0;
/// Behind by less than this many seconds of events is a commit's cadence, not a lag.
const LAG_S_MAX: f64 = 5.0;
/// What memory may grow by from the middle of a run to its end: caches still filling.
const GROWTH_MAX: f64 = 1.15;
const LOOK: Duration = Duration::from_secs(2);
/// By then what was acknowledged is folded, or it never will be.
const DRAIN_MAX: Duration = Duration::from_secs(300);

/// A run of the whole path: collector, log, features and publisher in one process.
pub struct Soak<'a> {
    /// As figures name it.
    pub what: &'a str,
    /// Its folder's name.
    pub name: &'a str,
    /// The same load for so long before, folded to its end: a broker's machine code and its files' first rewrites.
    pub warm_s: f64,
    /// Events a second.
    pub rate: f64,
    /// How long.
    pub seconds: f64,
    /// First lines of the configuration.
    pub head: &'a [&'a str],
}

impl Soak<'_> {
    /// On embedded stores.
    pub const SHORT: Self = Soak {
        what: "the whole path in one process",
        name: "path",
        warm_s: 0.0,
        rate: 50_000.0,
        seconds: SHORT_S,
        head: &[],
    };
}

/// Ten minutes of it.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    let long = Soak {
        seconds: LONG_S,
        ..Soak::SHORT
    };
    long.run(workspace)
}

/// What was seen of the origin while the load ran.
struct Sample {
    lag: f64,
    resident_mb: f64,
}

impl Soak<'_> {
    pub fn run(&self, workspace: &Workspace) -> Result<Vec<Figure>> {
        let mut origin = Origin::start(workspace, self.name, None, self.head)?;
        if self.warm_s > 0.0 {
            let warm = Load {
                rate: self.rate,
                seconds: self.warm_s,
                seed: 7,
                ..Load::default()
            };
            warm.run(workspace, origin.address)?;
            drain(&origin)?;
        }
        let before = (origin.metric("features_events_total")?, origin.cpu_s()?);
        let load = Load {
            rate: self.rate,
            seconds: self.seconds,
            ..Load::default()
        };
        let over = AtomicBool::new(false);
        let to = origin.address;
        let (told, samples) = thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let told = load.run(workspace, to);
                over.store(true, Ordering::Release);
                told
            });
            let samples = watch(&origin, &over);
            let told = loading.join().ok().context("the load ended early")?;
            anyhow::Ok((told?, samples?))
        })?;
        origin.program.must_run()?;
        let drain_s = drain(&origin)?;
        let (acknowledged, rate) = (told.number("acknowledged")?, told.number("rate")?);
        let folded = origin.settled("features_events_total")? - before.0;
        let cpu_us = (origin.cpu_s()? - before.1) * 1e6 / acknowledged;
        let disk = origin.metric("embedded_disk_bytes")?;
        let half = samples.len() / 2;
        let highest = |part: &[Sample]| part.iter().map(|s| s.resident_mb).fold(0.0, f64::max);
        let (middle_mb, end_mb) = (highest(&samples[..half]), highest(&samples[half..]));
        let lag = samples[half..].iter().map(|s| s.lag).fold(0.0, f64::max);
        let folder = origin.folder.clone();
        drop(origin);
        fs::remove_dir_all(&folder)?;
        let same = |what: &str, value, unit, must| {
            Figure::new(format!("the same: {what}"), value, unit, must)
        };
        let mut figures = vec![
            Figure::new(
                format!(
                    "{} at {:.0} events/s for {:.0} s: reached",
                    self.what, self.rate, self.seconds
                ),
                rate,
                "1/s",
                Must::AtLeast(self.rate * 0.98),
            ),
            same("ack p99", told.number("p99_ms")?, "ms", Must::Nothing),
            same(
                "events acknowledged and not folded at the end",
                acknowledged - folded,
                "",
                Must::AtMost(0.0),
            ),
            same(
                "lag of the folds in the second half, at most",
                lag / self.rate,
                "s",
                Must::AtMost(LAG_S_MAX),
            ),
            same(
                "folded after the last event by",
                drain_s,
                "s",
                Must::Nothing,
            ),
            same("CPU of the origin an event", cpu_us, "µs", Must::Nothing),
            same(
                "memory in the second half over the first",
                end_mb / middle_mb,
                "×",
                Must::AtMost(GROWTH_MAX),
            ),
            same(
                "memory at its highest",
                end_mb.max(middle_mb),
                "MB",
                Must::Nothing,
            ),
        ];
        if disk > 0.0 {
            figures.push(same(
                "disk an event",
                disk / (before.0 + acknowledged),
                "B",
                Must::Nothing,
            ));
        }
        Ok(figures)
    }
}

fn watch(origin: &Origin, over: &AtomicBool) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Acquire) {
        thread::sleep(LOOK);
        samples.push(Sample {
            lag: origin.metric("events_lag_records")?,
            resident_mb: origin.resident_mb()?.0,
        });
    }
    ensure!(samples.len() >= 2, "the load was too short to watch");
    Ok(samples)
}

/// Waits until all is folded; answers how long that took, to the cadence of the metric.
pub fn drain(origin: &Origin) -> Result<f64> {
    let begun = Instant::now();
    while origin.settled("events_lag_records")? > 0.0 {
        ensure!(
            begun.elapsed() < DRAIN_MAX,
            "the folds are still behind after {} s",
            DRAIN_MAX.as_secs()
        );
    }
    Ok(begun.elapsed().as_secs_f64())
}
