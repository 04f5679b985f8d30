//! Events through a real process, counted again outside of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_tests::{Origin, skip};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The benchmarks stream 10,000,000 (`cargo xtask bench --only recount`).
const EVENTS: u64 = 100_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Python with DuckDB: installed on this machine, or by `cargo xtask tools` into our own folder.
fn python() -> Command {
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", root().join("target/duckdb"));
    python
}

fn figures(arguments: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_mediaflow-figures"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn every_acknowledged_event_is_in_the_log_once_by_an_independent_count() {
    let name = "every_acknowledged_event_is_in_the_log_once_by_an_independent_count";
    let duckdb = python().args(["-c", "import duckdb"]).output();
    if !duckdb.is_ok_and(|o| o.status.success()) {
        return skip(name, "Python's DuckDB is not installed (cargo xtask tools)");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |file: &str| dir.path().join(file).display().to_string();
    let mut origin = Origin::start(dir.path());
    let addr = origin.url.trim_start_matches("http://").to_owned();
    let (ledger, dump) = (path("ledger.csv"), path("dump.csv"));
    let events = EVENTS.to_string();
    let load = [
        "events",
        "--addr",
        &addr,
        "--count",
        &events,
        "--readers",
        "20000",
        "--ledger",
    ];
    let told = figures(&[&load[..], &[&ledger]].concat());
    assert_eq!(told["acknowledged"], EVENTS, "{told}");
    // The same events again: acknowledged, and counted once.
    let again = figures(&[
        "events",
        "--addr",
        &addr,
        "--count",
        "5000",
        "--readers",
        "20000",
    ]);
    assert_eq!(again["duplicates"], 5000, "{again}");
    assert!(origin.stop(Duration::from_secs(20)).is_some());
    let db = path("var/db");
    let db = if Path::new(&db).exists() {
        db
    } else {
        path("db")
    };
    figures(&["dump", "--db", &db, "--to", &dump]);
    let out = python()
        .arg(root().join("tests/recount.py"))
        .args([&ledger, &dump])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(told["logged"], EVENTS, "{told}");
    for fault in [
        "lost",
        "doubled",
        "invented",
        "different",
        "wrong_counts",
        "wrong_readers",
        "split_readers",
        "gaps",
    ] {
        assert_eq!(told[fault], 0, "{fault}: {told}");
    }
}
