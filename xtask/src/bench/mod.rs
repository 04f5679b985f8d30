//! Figures: what was promised, measured in one run, beside the command that measures it.
//!
//! ```text
//! groups (each measures some figures) ─► the terminal, or --json a line each ─► docs/FIGURES.md
//! ```
//!
//! A figure that is missed is named as missed; only a group that cannot measure is an error. Loads
//! are bounded in time and go to 127.0.0.1 alone.

mod blob;
mod bundle;
mod edges;
mod figure;
mod parity;
mod process;
mod programs;
mod rank;
mod world;

use std::fmt::Write as _;
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
];

const FILE: &str = "docs/FIGURES.md";

/// Measures all groups, or those named by `only`. A complete run rewrites `docs/FIGURES.md`.
pub fn run(workspace: &Workspace, json: bool, only: &[String]) -> Result<()> {
    for name in only {
        if !GROUPS.iter().any(|(slug, ..)| slug == name) {
            let known: Vec<_> = GROUPS.iter().map(|(slug, ..)| *slug).collect();
            bail!("no group is called {name}; there are: {}", known.join(", "));
        }
    }
    let chosen: Vec<_> = GROUPS
        .iter()
        .filter(|(slug, ..)| only.is_empty() || only.iter().any(|name| name == slug))
        .collect();
    let logs = workspace.output("xtask-logs");
    // Figures for a program must not be mixed with words for a person.
    let mut progress = (!json).then(|| Progress::new(chosen.len(), logs.clone()));
    let mut figures = Vec::new();
    for (slug, name, measure) in chosen {
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
    }
    if only.is_empty() {
        let text = table(&figures, &machine());
        fs::write(workspace.at(FILE), text).with_context(|| format!("cannot write {FILE}"))?;
    }
    Ok(())
}

fn table(figures: &[Figure], machine: &str) -> String {
    let mut text = format!(
        "# Figures\n\nMeasured by `cargo xtask bench` (`--json` for one object a line) on {machine}, in one run, \
         the load on the same cores. Times differ from machine to machine; ratios hold.\n\n\
         | figure | measured | must | |\n|---|---|---|---|\n"
    );
    for figure in figures {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{}", figure.row());
    }
    let missed: Vec<_> = figures
        .iter()
        .filter(|figure| !figure.holds())
        .map(|figure| figure.name.as_str())
        .collect();
    if !missed.is_empty() {
        let _ = writeln!(text, "\nMissed: {}.", missed.join(", "));
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_what_was_missed() {
        let figures = [
            Figure::new("worker bundle, raw", 123.0, "KB", Must::AtMost(700.0)),
            Figure::new("feeds", 9000.0, "1/s", Must::AtLeast(12000.0)),
            Figure::new("memory", 61.0, "MB", Must::Nothing),
        ];
        let text = table(&figures, "a machine");
        assert!(
            text.contains("| worker bundle, raw | 123 KB | ≤ 700 KB | holds |"),
            "{text}"
        );
        assert!(
            text.contains("| feeds | 9000 1/s | ≥ 12000 1/s | **missed** |"),
            "{text}"
        );
        assert!(text.contains("| memory | 61 MB |  |  |"), "{text}");
        assert!(text.ends_with("\nMissed: feeds.\n"), "{text}");
    }
}
