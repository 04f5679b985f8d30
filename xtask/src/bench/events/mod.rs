//! Reader events: how many a second become durable, how many pass the whole path, how soon they show, what they weigh.
//!
//! ```text
//! mediaflow-figures events ─► POST /v1/events ─► log ─► features ─► publisher     one process, embedded stores
//!        └─► its own counts and latencies            └─► /metrics: lag, syncs; /proc: memory
//! ```
//! The load runs on the same cores. Rates are events acknowledged after their sync, never events sent.

mod fresh;
mod origin;
mod recount;
mod soak;

use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::net::SocketAddr;

use super::programs;
use super::{Figure, Must};
use crate::progress::Step;
use crate::up::Part;
use crate::up::stack::Stack;
use crate::workspace::Workspace;
use origin::Origin;
use soak::Soak;

pub use recount::measure as recount;
pub use soak::measure as soak;

/// Events a request where nothing else is said: what an edge gathers in a second.
const BATCH: usize = 100;
/// What another server gathers.
const BATCH_LARGE: usize = 500;
const CONNECTIONS: usize = 16;
const CONNECTIONS_FLAT_OUT: usize = 32;
const OVERHEAD_MB: f64 = 512.0;
const READERS: f64 = 1_000_000.0;
const READER_KB: f64 = 1.5;
/// Three for every reader: 95 of 100 readers are then heard of.
const EVENTS_OF_MILLION: u64 = 3_000_000;
/// Of Metarank 0.7.11, arrays of 100, in memory; and of Gorse 0.5.9 on SQLite, batches of 100 (measured before).
const METARANK_S: f64 = 8_350.0;
const GORSE_S: f64 = 7_100.0;

/// A load on a collector, as `mediaflow-figures events` takes it.
pub struct Load {
    /// Events a second; 0 = as fast as they are acknowledged.
    pub rate: f64,
    /// How long.
    pub seconds: f64,
    /// Stop after so many events; 0 = when the time is over.
    pub count: u64,
    /// Events a request.
    pub batch: usize,
    /// Each with one request under way.
    pub connections: usize,
    /// A million readers alike, instead of by Zipf's law.
    pub uniform: bool,
    /// Two runs with one seed send the same ids.
    pub seed: u64,
    /// Whose events.
    pub brand: String,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            rate: 0.0,
            seconds: 10.0,
            count: 0,
            batch: BATCH,
            connections: CONNECTIONS,
            uniform: false,
            seed: 1,
            brand: "daily".to_owned(),
        }
    }
}

impl Load {
    fn arguments(&self, to: SocketAddr) -> Vec<String> {
        let mut a: Vec<String> = [
            ("addr", to.to_string()),
            ("rate", self.rate.to_string()),
            ("seconds", self.seconds.to_string()),
            ("count", self.count.to_string()),
            ("batch", self.batch.to_string()),
            ("connections", self.connections.to_string()),
            ("seed", self.seed.to_string()),
            ("brand", self.brand.clone()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [format!("--{name}"), value])
        .collect();
        a.insert(0, "events".to_owned());
        if self.uniform {
            a.push("--uniform".to_owned());
        }
        a
    }

    /// Runs to its end.
    pub fn run(&self, workspace: &Workspace, to: SocketAddr) -> Result<Told> {
        let arguments = self.arguments(to);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Ok(Told(programs::figures(workspace, &arguments)?))
    }
}

/// What a load printed.
pub struct Told(Value);

impl Told {
    /// One of its numbers.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.0[name]
            .as_f64()
            .with_context(|| format!("the load told no {name}: {}", self.0))
    }
}

/// The collector alone, then the whole path.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    let mut figures = collector(workspace)?;
    figures.extend(folds(workspace)?);
    figures.extend(fresh::measure(workspace)?);
    figures.extend(Soak::SHORT.run(workspace)?);
    figures.extend(memory(workspace)?);
    Ok(figures)
}

/// The whole path on a real broker and a real Redis, beside the load on the same cores.
pub fn stack(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    let folder = workspace.output("bench-events").join("servers");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let servers = Stack::start(workspace, &[Part::Kafka, Part::Redis].into(), &folder)?;
    let log = format!("event_log = \"{}\"", servers.event_log());
    let state = format!("state_store = \"{}\"", servers.state_store());
    let path = Soak {
        what: "the whole path on Kafka and Redis, after 30 s of warm-up,",
        name: "stack",
        warm_s: 30.0,
        rate: 30_000.0,
        seconds: 60.0,
        head: &[&log, &state],
    };
    let figures = path.run(workspace);
    drop(servers);
    fs::remove_dir_all(&folder)?;
    figures
}

/// As fast as it goes, at a rate, and what the disk could do at best.
fn collector(workspace: &Workspace) -> Result<Vec<Figure>> {
    let mut origin = Origin::start(workspace, "collector", Some("ingest"), &[])?;
    // The first seconds fill caches, tables and the allocator.
    let warm = Load {
        seconds: 3.0,
        ..Load::default()
    };
    warm.run(workspace, origin.address)?;
    let (syncs, cpu) = (origin.metric("embedded_log_syncs_total")?, origin.cpu_s()?);
    let flat_out = Load {
        seconds: 60.0,
        batch: BATCH_LARGE,
        connections: CONNECTIONS_FLAT_OUT,
        seed: 2,
        ..Load::default()
    };
    let told = flat_out.run(workspace, origin.address)?;
    origin.program.must_run()?;
    let events = told.number("acknowledged")?;
    let rate = told.number("rate")?;
    let cpu_us = (origin.cpu_s()? - cpu) * 1e6 / events;
    let syncs = (origin.settled("embedded_log_syncs_total")? - syncs).max(1.0);
    let bytes = events * told.number("bytes_an_event")?;
    // As the others were measured.
    let alike = Load {
        seconds: 20.0,
        connections: CONNECTIONS_FLAT_OUT,
        seed: 6,
        ..Load::default()
    };
    let alike = alike.run(workspace, origin.address)?.number("rate")?;
    let at_rate = Load {
        rate: 50_000.0,
        seconds: 20.0,
        seed: 3,
        ..Load::default()
    };
    let paced = at_rate.run(workspace, origin.address)?;
    let (resident_mb, _) = origin.resident_mb()?;
    let folder = origin.folder.clone();
    drop(origin);
    let floor_s = events / floor_s(workspace, &folder, bytes, syncs)?;
    fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(vec![
        Figure::new(
            "events over HTTP in batches of 500, synced before each 202, 60 s (aim 500000)",
            rate,
            "1/s",
            Must::AtLeast(200_000.0),
        ),
        Figure::new(
            "the same: CPU of the origin an event",
            cpu_us,
            "µs",
            Must::Nothing,
        ),
        Figure::new(
            "the same: ack p99",
            told.number("p99_ms")?,
            "ms",
            Must::Nothing,
        ),
        Figure::new("the same: events a sync", events / syncs, "", Must::Nothing),
        Figure::new(
            "a plain file with the same bytes and syncs: events",
            floor_s,
            "1/s",
            Must::Nothing,
        ),
        Figure::new(
            "events over HTTP against that file",
            rate / floor_s,
            "×",
            Must::AtLeast(0.3),
        ),
        Figure::new(
            "events over HTTP in batches of 100, synced before each 202, 20 s",
            alike,
            "1/s",
            Must::Nothing,
        ),
        Figure::new(
            "at 50,000 events/s in batches of 100: reached",
            paced.number("rate")?,
            "1/s",
            Must::AtLeast(49_000.0),
        ),
        Figure::new(
            "the same: ack p50",
            paced.number("p50_ms")?,
            "ms",
            Must::Nothing,
        ),
        Figure::new(
            "the same: ack p99",
            paced.number("p99_ms")?,
            "ms",
            Must::AtMost(20.0),
        ),
        Figure::new(
            "the same: memory of the collector, window of deduplication included",
            resident_mb,
            "MB",
            Must::Nothing,
        ),
        Figure::new(
            "for comparison, measured before: Metarank 0.7.11, arrays of 100, in memory",
            METARANK_S,
            "1/s",
            Must::Nothing,
        ),
        Figure::new(
            "for comparison, measured before: Gorse 0.5.9 on SQLite, batches of 100",
            GORSE_S,
            "1/s",
            Must::Nothing,
        ),
        Figure::new(
            "durable events over HTTP in batches of 100 against the better of them",
            alike / METARANK_S.max(GORSE_S),
            "×",
            Must::AtLeast(20.0),
        ),
    ])
}

/// What a core folds when log and store cost nothing.
fn folds(workspace: &Workspace) -> Result<Vec<Figure>> {
    let told = Told(programs::figures(workspace, &["folds"])?);
    Ok(vec![
        Figure::new(
            "folds on one core, parsing and encoding included (aim 1000000)",
            told.number("events_s")?,
            "1/s",
            Must::AtLeast(300_000.0),
        ),
        Figure::new(
            "the same: CPU an event",
            told.number("cpu_us")?,
            "µs",
            Must::Nothing,
        ),
        Figure::new(
            "the same: state written an event",
            told.number("state_bytes_an_event")?,
            "B",
            Must::Nothing,
        ),
    ])
}

/// What a million readers weigh, all of them heard of.
fn memory(workspace: &Workspace) -> Result<Vec<Figure>> {
    let origin = Origin::start(workspace, "memory", None, &[])?;
    let (empty_mb, _) = origin.resident_mb()?;
    let load = Load {
        count: EVENTS_OF_MILLION,
        uniform: true,
        seed: 4,
        ..Load::default()
    };
    load.run(workspace, origin.address)?;
    soak::drain(&origin)?;
    let (_, highest_mb) = origin.resident_mb()?;
    let disk = origin.metric("embedded_disk_bytes")?;
    let folder = origin.folder.clone();
    drop(origin);
    fs::remove_dir_all(&folder)?;
    Ok(vec![
        Figure::new(
            "memory of the whole origin before any reader",
            empty_mb,
            "MB",
            Must::AtMost(OVERHEAD_MB),
        ),
        Figure::new(
            "memory at its highest with 1,000,000 readers (1.5 KB each, and 512 MB)",
            highest_mb,
            "MB",
            Must::AtMost(OVERHEAD_MB + READERS * READER_KB / 1000.0),
        ),
        Figure::new(
            "the same: disk a reader, the log of 3 events each included",
            disk / READERS,
            "B",
            Must::Nothing,
        ),
    ])
}

/// Seconds to write as many bytes with as many syncs, on the disk of `folder`.
fn floor_s(workspace: &Workspace, folder: &std::path::Path, bytes: f64, syncs: f64) -> Result<f64> {
    let arguments = [
        "floor".to_owned(),
        "--dir".to_owned(),
        folder.display().to_string(),
        "--bytes".to_owned(),
        format!("{bytes:.0}"),
        "--syncs".to_owned(),
        format!("{syncs:.0}"),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = Told(programs::figures(workspace, &arguments)?);
    told.number("seconds")
}
