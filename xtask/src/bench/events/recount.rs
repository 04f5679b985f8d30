//! Ten million events through the collector, counted again by DuckDB from what the client wrote down, and its counts by item beside
//! the online values.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::origin::Origin;
use super::soak::drain;
use crate::bench::programs::{self, figures, printed};
use crate::bench::{Figure, Must};
use crate::progress::Step;
use crate::tools;
use crate::up::http::send;
use crate::workspace::Workspace;

const EVENTS: f64 = 10_000_000.0;
/// Kinds of event, and the features that count them.
const TOTALS: [(&str, &str); 4] = [
    ("impression", "impressions_total"),
    ("view", "views_total"),
    ("read", "reads_total"),
    ("click", "clicks_total"),
];
/// Items in a request.
const ITEMS_ASKED: usize = 200;

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
    let features = file("features.csv");
    online_values(&origin, &ledger, &features)?;
    origin.program.must_run()?;
    drop(origin);
    figures(workspace, &["dump", "--db", &db, "--to", &dump])?;
    let counted = recount(workspace, &duckdb, &[&ledger, &dump, &features])?;
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
        Figure::new(
            "the same: online values of items (shown, viewed, read, clicked)",
            number("features")?,
            "",
            Must::AtLeast(1.0),
        ),
        Figure::new(
            "the same: of which differ from DuckDB's",
            number("wrong_features")?,
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

/// Asks the origin what it holds of every item in the ledger: `content,kind,n`.
fn online_values(origin: &Origin, ledger: &str, to: &str) -> Result<()> {
    let mut items = BTreeSet::new();
    for line in BufReader::new(fs::File::open(ledger)?).lines().skip(1) {
        let line = line?;
        let content = line.split(',').nth(3).unwrap_or_default();
        if !content.is_empty() && !items.contains(content) {
            items.insert(content.to_owned());
        }
    }
    let items: Vec<String> = items.into_iter().collect();
    let mut out = String::from("content,kind,n\n");
    let token = format!("Bearer {}", origin.token);
    let headers = [
        ("authorization", token.as_str()),
        ("content-type", "application/json"),
    ];
    let names: Vec<&str> = TOTALS.iter().map(|t| t.1).collect();
    for some in items.chunks(ITEMS_ASKED) {
        let entity = |id: &String| json!({"entity": "content", "id": id});
        let entities: Vec<Value> = some.iter().map(entity).collect();
        let body = json!({"entities": entities, "names": names}).to_string();
        let path = "/features/batch";
        let answer = send(origin.address, "POST", path, &headers, body.as_bytes())?
            .expect("the catalogue", &[200])?
            .json()?;
        let found = answer["entities"].as_array().context("no entities")?;
        for (id, found) in some.iter().zip(found) {
            for (kind, name) in TOTALS {
                let n = found["features"][name]["value"].as_u64();
                let n = n.with_context(|| format!("no {name} of {id}: {found}"))?;
                out.push_str(&format!("{id},{kind},{n}\n"));
            }
        }
    }
    fs::write(to, out).with_context(|| format!("cannot write {to}"))
}

fn recount(workspace: &Workspace, duckdb: &Path, files: &[&str]) -> Result<Value> {
    let text = printed(
        Command::new("python3")
            .env("PYTHONPATH", duckdb)
            .arg(workspace.at("tests/recount.py"))
            .args(files),
    )?;
    serde_json::from_str(&text).with_context(|| format!("the recount printed no JSON: {text}"))
}
