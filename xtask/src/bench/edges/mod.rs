//! Every edge under load, in one run: the same front of 500 items, the same reader, the same machine.
//!
//! ```text
//! mediaflow-figures stand (KV, sink for events) ◄─ native edge · worker in workerd · component in our host
//! wrk, closed loop ─► saturation and CPU a request;  mediaflow-figures load, fixed rate ─► p50 and p99
//! ```
//!
//! The stand answers from memory on the same two cores. A reader's token is minted anew before each load: after
//! half a minute without its updates an edge would ask storage for the profile.

mod load;
pub mod reader;
mod start;

use anyhow::{Context, Result};

use super::{Figure, Must, process, programs};
use crate::bundle::{build_component, build_empty_worker, build_worker};
use crate::progress::Step;
use crate::workspace::Workspace;
use load::{Paced, Saturated};
use start::{Edge, Stand};

/// Metarank 0.7.11 in memory, 500 items, one connection, on the same kind of machine: CPU a request, latencies, memory.
const METARANK: [(&str, f64, &str); 4] = [
    ("CPU a request", 19_400.0, "µs"),
    ("p50", 11.3, "ms"),
    ("p99", 22.4, "ms"),
    ("memory", 1300.0, "MB"),
];
/// Gorse 0.5.9, reading a list of 30 items computed beforehand, the same machine.
const GORSE: [(&str, f64, &str); 4] = [
    ("CPU a request", 2300.0, "µs"),
    ("p50", 2.0, "ms"),
    ("p99", 5.1, "ms"),
    ("memory", 121.0, "MB"),
];
const TIMES_LESS_CPU: f64 = 100.0;
/// Of an empty Rust worker's, in the same run.
const WORKER_CPU_RATIO: f64 = 1.8;
const WORKER_P99_MS: f64 = 50.0;
/// workerd has stalls of its own at saturation, on every route.
const WORKER_PART: f64 = 0.4;
/// Of the native edge's.
const HOST_CPU_RATIO: f64 = 2.5;
const HOST_PER_S: f64 = 12_000.0;
const HOST_P99_MS: f64 = 10.0;
const PART: f64 = 0.5;

/// Builds everything, starts it, and puts each edge under load in turn.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    programs::build_host(workspace, step)?;
    build_worker(workspace, step)?;
    build_component(workspace, step)?;
    let empty_config = build_empty_worker(workspace, step)?;

    let stand = Stand::start(workspace)?;
    let native = Measured::of(workspace, &stand, start::native(workspace, &stand)?, PART)?;
    let host = Measured::of(workspace, &stand, start::host(workspace, &stand)?, PART)?;
    let empty = {
        let edge = start::empty(workspace, &empty_config)?;
        load::warm_up(&edge, "")?;
        load::saturate(&edge, "")?
    };
    let worker = Measured::of(
        workspace,
        &stand,
        start::workerd(workspace, &stand)?,
        WORKER_PART,
    )?;
    Ok(figures(&native, &host, &worker, &empty))
}

/// What one edge did.
struct Measured {
    saturated: Saturated,
    paced: Paced,
    resident_mb: f64,
    profile_reads: f64,
    reads: f64,
}

impl Measured {
    fn of(workspace: &Workspace, stand: &Stand, edge: Edge, part: f64) -> Result<Self> {
        load::warm_up(&edge, &reader::cookie(&edge, stand)?)?;
        let cookie = reader::cookie(&edge, stand)?;
        let before = stand.reads()?;
        let saturated = load::saturate(&edge, &cookie)?;
        let after = stand.reads()?;
        let cookie = reader::cookie(&edge, stand)?;
        let paced = load::pace(workspace, &edge, &cookie, saturated.per_s * part)?;
        let (resident_mb, _) = process::resident_mb(edge.program.id())
            .with_context(|| format!("{} has ended", edge.name))?;
        Ok(Self {
            saturated,
            paced,
            resident_mb,
            profile_reads: after.profiles - before.profiles,
            reads: after.others - before.others,
        })
    }

    /// What is told of every edge.
    fn told(&self, name: &str, part: f64, out: &mut Vec<Figure>) {
        let nothing = Must::Nothing;
        let mut tell =
            |what: String, value, unit| out.push(Figure::new(what, value, unit, nothing));
        let percent = part * 100.0;
        tell(format!("{name}: CPU a feed"), self.saturated.cpu_us, "µs");
        tell(
            format!("{name}: p50 at {percent:.0} % of saturation"),
            self.paced.p50_ms,
            "ms",
        );
        tell(format!("{name}: memory"), self.resident_mb, "MB");
        out.push(Figure::new(
            format!("{name}: times less CPU than Metarank"),
            METARANK[0].1 / self.saturated.cpu_us,
            "×",
            Must::AtLeast(TIMES_LESS_CPU),
        ));
    }
}

fn figures(
    native: &Measured,
    host: &Measured,
    worker: &Measured,
    empty: &Saturated,
) -> Vec<Figure> {
    let (most, least, nothing) = (Must::AtMost, Must::AtLeast, Must::Nothing);
    let mut all = vec![
        Figure::new(
            "native edge: feeds at saturation",
            native.saturated.per_s,
            "1/s",
            nothing,
        ),
        Figure::new(
            "native edge: p99 at 50 % of saturation",
            native.paced.p99_ms,
            "ms",
            nothing,
        ),
    ];
    native.told("native edge", PART, &mut all);
    all.extend([
        Figure::new(
            "component in our host: feeds at saturation (aim 20000)",
            host.saturated.per_s,
            "1/s",
            least(HOST_PER_S),
        ),
        Figure::new(
            "component in our host: p99 at 50 % of saturation",
            host.paced.p99_ms,
            "ms",
            most(HOST_P99_MS),
        ),
        Figure::new(
            "component in our host: CPU a feed over the native edge's",
            host.saturated.cpu_us / native.saturated.cpu_us,
            "×",
            most(HOST_CPU_RATIO),
        ),
    ]);
    host.told("component in our host", PART, &mut all);
    all.extend([
        Figure::new("empty Rust worker in workerd: requests at saturation", empty.per_s, "1/s", nothing),
        Figure::new("empty Rust worker in workerd: CPU a request", empty.cpu_us, "µs", nothing),
        Figure::new("worker in workerd: feeds at saturation", worker.saturated.per_s, "1/s", nothing),
        Figure::new("worker in workerd: p99 at 40 % of saturation", worker.paced.p99_ms, "ms", most(WORKER_P99_MS)),
        Figure::new(
            "worker in workerd: CPU a feed over an empty worker's",
            worker.saturated.cpu_us / empty.cpu_us,
            "×",
            most(WORKER_CPU_RATIO),
        ),
        Figure::new(
            "worker in workerd: KV reads for the profile of a reader with a token, all feeds of the run",
            worker.profile_reads,
            "",
            most(0.0),
        ),
        Figure::new(
            "worker in workerd: refreshes of front, rules and model after a response, a second",
            worker.reads / load::SECONDS,
            "1/s",
            nothing,
        ),
    ]);
    worker.told("worker in workerd", WORKER_PART, &mut all);
    for (name, peer) in [
        ("Metarank 0.7.11, 500 items", METARANK),
        ("Gorse 0.5.9, a list read", GORSE),
    ] {
        for (what, value, unit) in peer {
            let name = format!("for comparison, measured before: {name}: {what}");
            all.push(Figure::new(name, value, unit, nothing));
        }
    }
    all
}
