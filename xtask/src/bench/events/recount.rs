//! Ten million events through the collector, counted again by DuckDB from what the client wrote down.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::origin::Origin;
use super::soak::drain;
use crate::bench::programs::{self, figures, printed};
use crate::bench::{Figure, Must};
use crate::progress::Step;
use crate::tools;
use crate::workspace::Workspace;

const EVENTS: f64 = 10_000_000.0;

/// Streams, stops the origin, dumps its log and compares.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    let Some(duckdb) = tools::duckdb(workspace) else {
        bail!("DuckDB for Python is not installed: run `cargo xtask tools`");
    };
    let mut origin = Origin::start(workspace, "recount", None, &[])?;
    let folder = origin.folder.clone();
    let file = |name: &str| folder.join(name).display().to_string();
    let (ledger, dump, db) = (file("ledger.csv"), file("dump.csv"), file("db"));
    let (addr, count) = (origin.address.to_string(), format!("{EVENTS}"));
    let load = [
        "events", "--addr", &addr, "--count", &count, "--ledger", &ledger,
    ];
    let told = figures(workspace, &load)?;
    drain(&origin)?;
    let folded = origin.settled("features_events_total")?;
    origin.program.must_run()?;
    drop(origin);
    figures(workspace, &["dump", "--db", &db, "--to", &dump])?;
    let counted = recount(workspace, &duckdb, &ledger, &dump)?;
    fs::remove_dir_all(&folder)?;
    let number = |name: &str| {
        counted[name]
            .as_f64()
            .with_context(|| format!("no {name} in {counted}"))
    };
    let faults = [
        "lost",
        "doubled",
        "invented",
        "different",
        "wrong_readers",
        "split_readers",
        "gaps",
    ];
    let wrong = faults
        .iter()
        .map(|name| number(name))
        .sum::<Result<f64>>()?;
    Ok(vec![
        Figure::new(
            "events acknowledged, and in the log by DuckDB's count",
            number("logged")?,
            "",
            Must::AtLeast(EVENTS),
        ),
        Figure::new(
            "the same: lost, doubled, invented or different",
            wrong,
            "",
            Must::AtMost(0.0),
        ),
        Figure::new(
            "the same: counts by kind and item",
            number("counts")?,
            "",
            Must::Nothing,
        ),
        Figure::new(
            "the same: of which differ from DuckDB's",
            number("wrong_counts")?,
            "",
            Must::AtMost(0.0),
        ),
        Figure::new("the same: events folded", folded, "", Must::AtLeast(EVENTS)),
        Figure::new(
            "the same: rate with a ledger being written",
            told["rate"].as_f64().unwrap_or_default(),
            "1/s",
            Must::Nothing,
        ),
    ])
}

fn recount(workspace: &Workspace, duckdb: &Path, ledger: &str, dump: &str) -> Result<Value> {
    let text = printed(
        Command::new("python3")
            .env("PYTHONPATH", duckdb)
            .arg(workspace.at("tests/recount.py"))
            .args([ledger, dump]),
    )?;
    serde_json::from_str(&text).with_context(|| format!("the recount printed no JSON: {text}"))
}
