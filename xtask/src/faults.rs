//! The fault suite: builds it, runs it, writes `docs/faults.md` from what it prints.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::progress::{Progress, Step};
use crate::workspace::Workspace;

const FILE: &str = "docs/faults.md";
const PROGRAM: &str = "mediaflow-faults";

/// What is chosen on the command line.
#[derive(Debug, Default, clap::Args)]
pub struct Choice {
    /// One JSON object a line: fault, times, acknowledged, lost, doubled, recovery_s, took_s, seed
    #[arg(long)]
    json: bool,
    /// Only these faults, by name; the docs stay as they are
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Kills of the whole origin; other faults repeat a fraction of it
    #[arg(long, default_value_t = 100)]
    kills: u32,
    /// Decides moments and orders
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

/// Runs the suite. A complete run rewrites `docs/faults.md`.
///
/// # Errors
/// When it does not build, or something was lost or doubled.
pub fn run(workspace: &Workspace, choice: &Choice) -> Result<()> {
    let logs = workspace.output("xtask-logs");
    let mut progress = (!choice.json).then(|| Progress::new(1, logs.clone()));
    let step = match &mut progress {
        Some(progress) => progress.begin("faults-build", "building the origin and the suite"),
        None => Step::unseen(logs.join("faults-build.log")),
    };
    step.clear();
    // As the test command builds: with fewer packages the same crates would be built once more.
    let built = step.must(&mut workspace.cargo(&["build", "--locked", "--workspace", "--bins"]));
    if !choice.json {
        step.end(if built.is_ok() { "" } else { "failed" });
    }
    built?;

    let program = |arguments: &[String]| {
        let debug = workspace.target.join("debug");
        let mut command = Command::new(debug.join(PROGRAM));
        command.env("MEDIAFLOW_BINARY", debug.join("mediaflow"));
        command.current_dir(&workspace.root).args(arguments);
        command
    };
    let chosen = if choice.only.is_empty() {
        let listed = program(&["--list".to_owned()]).output()?;
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        text.lines().map(str::to_owned).collect()
    } else {
        choice.only.clone()
    };
    let mut progress = (!choice.json).then(|| Progress::new(chosen.len(), logs.clone()));
    let mut found = Vec::new();
    for name in &chosen {
        let step = progress
            .as_mut()
            .map(|progress| progress.begin(&format!("faults-{name}"), name));
        let mut command = program(&[
            "--json".to_owned(),
            format!("--only={name}"),
            format!("--kills={}", choice.kills),
            format!("--seed={}", choice.seed),
        ]);
        let outcome = last_line(&mut command).with_context(|| format!("{name} said nothing"))?;
        match step {
            Some(step) => step.end(&verdict(&outcome)),
            None => println!("{outcome}"),
        }
        found.push(outcome);
    }
    if choice.only.is_empty() {
        fs::write(workspace.at(FILE), page(&found, choice.kills))
            .with_context(|| format!("cannot write {FILE}"))?;
    }
    let broken: Vec<_> = found
        .iter()
        .filter(|o| !holds(o))
        .map(|o| {
            format!(
                "{} (seed {})",
                o["fault"].as_str().unwrap_or("?"),
                o["seed"]
            )
        })
        .collect();
    if !broken.is_empty() {
        bail!("did not hold: {}", broken.join(", "));
    }
    Ok(())
}

/// Runs it; the JSON of its last line. What it says besides goes to the terminal's error output.
fn last_line(command: &mut Command) -> Result<Value> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    let mut last = None;
    for line in lines {
        if let Ok(value) = serde_json::from_str::<Value>(&line?) {
            last = Some(value);
        }
    }
    child.wait()?;
    last.context("it printed no result")
}

fn holds(outcome: &Value) -> bool {
    outcome["failed"].is_null() && outcome["lost"] == 0 && outcome["doubled"] == 0
}

fn verdict(outcome: &Value) -> String {
    if let Some(why) = outcome["skipped"].as_str() {
        return format!("SKIPPED: {why}");
    }
    let counts = format!(
        "× {}: {} acknowledged, {} lost, {} doubled, back within {} s",
        outcome["times"],
        outcome["acknowledged"],
        outcome["lost"],
        outcome["doubled"],
        outcome["recovery_s"]
    );
    match outcome["failed"].as_str() {
        Some(why) => format!("{counts}; FAILED, seed {}: {why}", outcome["seed"]),
        None => counts,
    }
}

/// What each fault is, for people.
fn about(fault: &str) -> &'static str {
    match fault {
        "kill-origin" => "kill -9 of the whole origin at random moments (embedded stores)",
        "kill-points" => {
            "the origin ends itself at nine named points, each the first to twelfth time it passes: batch claimed, log written and \
             not synced, appended, not yet answered, folded, committed, profiles judged, written, noted"
        }
        "hostile-input" => {
            "everything three times and shuffled, poison in every batch, bytes that are no batch, 100 MB at once, one hot reader"
        }
        "event-times" => "event times a day ahead, a day behind and stepping back, over kills",
        "clock-steps" => {
            "the wall clock of stores and roles a day ahead, a day behind and right again, every 0.7 s, over kills"
        }
        "disk-full" => "a disk of 64 MB fills up, and is enlarged after a kill",
        "short-writes" => {
            "batches of 200 KB on a disk with 12 to 170 KB left: writes end half-way; room comes back under the running process or \
             after its death, by kill -9"
        }
        "kill-roles" => {
            "kill -9 of collector, features and publisher, each a process of its own (Kafka and Redis)"
        }
        "kill-points-roles" => {
            "the same processes end themselves at named points; with the broker away and back also while records are parked, \
             half-way through draining them, and between draining and forgetting"
        }
        "pause-features" => {
            "SIGSTOP of one of two features processes for 60 s; then of one with folded events in hand, until the other folds all \
             partitions: its commit must be refused"
        }
        "cut-network" => {
            "the networks between collector and broker, features and broker, features and Redis are cut, stalled and robbed of \
             their answers for 1 to 9 s each, then reset twenty times"
        }
        "kill-broker" => "kill -9 of the only broker, and back after up to four seconds",
        "one-of-three-brokers" => {
            "kill -9 of each of three brokers in turn (replication 3), and back"
        }
        "broker-away" => {
            "the broker is gone, the collector acknowledges from its spool and is killed"
        }
        "redis-flushed" => {
            "Redis killed and restarted; then FLUSHALL: the folds begin again at the log's beginning"
        }
        "redis-cluster" => {
            "kill -9 of each of the three masters of a Redis Cluster in turn, and back"
        }
        _ => "",
    }
}

const INTRO: &str = "Clients keep the ids that were acknowledged in a file of their own. At the end every one of them is in the
log once; the counters of every item and of the brand equal a recount from ids alone, all values of items and brand equal a replay
of the log, and so do readers' published profiles where a publisher runs. Lost and doubled are what differs from that. Recovery is
the longest time from the fault to the next acknowledgement, or to folds at the log's end where these were hit, of debug builds on
a shared machine. A fault that takes more than five minutes has failed.
";

const NOT_COVERED: &str = "
Named points are `Point` in `origin/ports/src/fault.rs`; `MEDIAFLOW_FAULT_AT=POINT:N` ends a process there,
`MEDIAFLOW_FAULT_CLOCK` makes its clock wrong (`origin/server/src/fault.rs`). The test command runs four of the rows with ten kills.

**Not covered.** A power cut: killed processes leave the page cache, so a missing sync shows only in the order of the points.
Disks that return bad bytes. Clocks of brokers and Redis: only our processes' step, on the embedded stores. Networks that lose
single packets or one direction of new connections; a broker cut off from the others but not from clients. A record that the
leader of a partition has and may not show yet while its copy waits in a spool (ADR 7). A Redis failover to a replica that lags
(ADR 8 says what it loses). Several machines.
";

fn page(found: &[Value], kills: u32) -> String {
    let mut text = format!(
        "# Faults\n\nWritten by `cargo xtask faults` (`--kills {kills}`; `--json` prints one object a line, `--only NAME` runs \
         one).\n{INTRO}\n\
         | fault | what happens | times | acknowledged | lost | doubled | recovery, s | |\n|---|---|---|---|---|---|---|---|\n"
    );
    for o in found {
        let name = o["fault"].as_str().unwrap_or("?");
        let remark = match (o["skipped"].as_str(), holds(o)) {
            (Some(why), _) => format!("skipped: {why}"),
            (None, true) => "holds".to_owned(),
            (None, false) => format!("**does not hold**, seed {}", o["seed"]),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} | {} | {} | {} | {remark} |",
            about(name),
            o["times"],
            o["acknowledged"],
            o["lost"],
            o["doubled"],
            o["recovery_s"]
        );
    }
    text.push_str(NOT_COVERED);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_says_what_did_not_hold_and_what_was_skipped() {
        let outcome = |fault: &str, lost: u32| json!({"fault": fault, "times": 3, "acknowledged": 9, "lost": lost, "doubled": 0, "recovery_s": 0.5, "seed": 7});
        let mut skipped = outcome("kill-broker", 0);
        skipped["skipped"] = "no Java".into();
        let text = page(
            &[outcome("kill-origin", 0), outcome("clock", 1), skipped],
            3,
        );
        assert!(text.contains("| 3 | 9 | 0 | 0 | 0.5 | holds |"), "{text}");
        assert!(
            text.contains("| 1 | 0 | 0.5 | **does not hold**, seed 7 |"),
            "{text}"
        );
        assert!(text.contains("| skipped: no Java |"), "{text}");
    }
}
