//! Figures: what was promised, measured in one run, beside the command that measures it.
//!
//! ```text
//! groups (each measures some figures) ─► the terminal, or --json a line each ─► their sections of docs/FIGURES.md
//! ```
//!
//! A figure that is missed is named as missed; only a group that cannot measure is an error. Loads
//! are bounded in time and go to 127.0.0.1 alone.

mod blob;
mod bundle;
mod edges;
mod events;
mod figure;
mod parity;
mod process;
mod programs;
mod rank;
mod sections;
mod world;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::{Progress, Step};
use crate::workspace::Workspace;
pub use figure::{Figure, Must};

/// One group: the name for `--only`, what a person reads, the work.
type Group = (
    &'static str,
    &'static str,
    fn(&Workspace, &Step) -> Result<Vec<Figure>>,
);

/// In the order of the table. Add a group here and a file beside this one.
const GROUPS: &[Group] = &[
    ("bundle", "size of what is deployed", bundle::measure),
    ("blob", "readers' profiles and their tokens", blob::measure),
    (
        "rank",
        "ranking 500 candidates, native and in WASM",
        rank::measure,
    ),
    ("edges", "feeds of every edge under load", edges::measure),
    (
        "world",
        "importing a publisher; pins and readings on their way",
        world::measure,
    ),
    ("parity", "the same bytes on every target", parity::measure),
    (
        "events",
        "readers' events: durable, folded, published",
        events::measure,
    ),
    ("stack", "the same on real Kafka and Redis", events::stack),
    (
        "recount",
        "10,000,000 events, counted again by DuckDB",
        events::recount,
    ),
    (SOAK, "ten minutes of the whole path", events::soak),
];
/// Takes as long as all others: measured only when it is named, or with `--long`.
const SOAK: &str = "soak";

const FILE: &str = "docs/FIGURES.md";

/// Measures all groups, or those named by `only`, and rewrites their sections of `docs/FIGURES.md`.
pub fn run(workspace: &Workspace, json: bool, only: &[String], long: bool) -> Result<()> {
    for name in only {
        if !GROUPS.iter().any(|(slug, ..)| slug == name) {
            let known: Vec<_> = GROUPS.iter().map(|(slug, ..)| *slug).collect();
            bail!("no group is called {name}; there are: {}", known.join(", "));
        }
    }
    let chosen: Vec<_> = GROUPS
        .iter()
        .filter(|(slug, ..)| match only.is_empty() {
            true => long || *slug != SOAK,
            false => only.iter().any(|name| name == slug),
        })
        .collect();
    let logs = workspace.output("xtask-logs");
    // Figures for a program must not be mixed with words for a person.
    let mut progress = (!json).then(|| Progress::new(chosen.len(), logs.clone()));
    let file = workspace.at(FILE);
    for (slug, name, measure) in chosen {
        let mut figures = Vec::new();
        let log = format!("bench-{slug}");
        let step = match &mut progress {
            Some(progress) => progress.begin(&log, name),
            None => Step::unseen(logs.join(format!("{log}.log"))),
        };
        step.clear();
        let measured = measure(workspace, &step);
        if !json {
            step.end(if measured.is_ok() { "" } else { "failed" });
        }
        for figure in measured.with_context(|| format!("measuring {name}"))? {
            if json {
                println!("{}", figure.json());
            } else {
                println!("    {figure}");
            }
            figures.push(figure);
        }
        // At once: what a later group cannot measure takes nothing from this one.
        let before = fs::read_to_string(&file).unwrap_or_default();
        let order: Vec<&str> = GROUPS.iter().map(|(slug, ..)| *slug).collect();
        let text = sections::replace(&before, &order, (slug, name), &figures, &machine());
        fs::write(&file, text).with_context(|| format!("cannot write {FILE}"))?;
    }
    Ok(())
}

/// Cores, processor and compiler, as far as this system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("model name"))
            .map(|rest| rest.trim_start_matches(['\t', ' ', ':']).to_owned())
    });
    let compiler = Command::new("rustc")
        .arg("--version")
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    format!(
        "{cores} cores ({}), {compiler}",
        processor.as_deref().unwrap_or(std::env::consts::ARCH)
    )
}
