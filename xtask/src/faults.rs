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
    let built = step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-server",
        "--package",
        "mediaflow-tests",
        "--bins",
    ]));
    if !choice.json {
        step.end(if built.is_ok() { "" } else { "failed" });
    }
    built?;

    let program = |arguments: &[String]| {
        let mut command = Command::new(workspace.target.join("debug").join(PROGRAM));
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
        "hostile-input" => {
            "everything three times and shuffled, poison in every batch, bytes that are no batch, 100 MB at once, one hot reader"
        }
        "clock" => "event times a day ahead, a day behind and stepping back, over kills",
        "disk-full" => "a disk of 64 MB fills up, and is enlarged after a kill",
        "kill-roles" => {
            "kill -9 of collector, features and publisher, each a process of its own (Kafka and Redis)"
        }
        "pause-features" => {
            "SIGSTOP of one of two features processes; it wakes as a writer that was replaced"
        }
        "kill-broker" => "kill -9 of the only broker, and back after up to four seconds",
        "broker-away" => {
            "the broker is gone, the collector acknowledges from its spool and is killed"
        }
        "redis-flushed" => {
            "Redis killed and restarted; then FLUSHALL: the folds begin again at the log's beginning"
        }
        _ => "",
    }
}

fn page(found: &[Value], kills: u32) -> String {
    let mut text = format!(
        "# Faults\n\nWritten by `cargo xtask faults` (`--kills {kills}`; `--json` prints one object a line, `--only NAME` runs \
         one). Clients keep the ids that were acknowledged in a file of their own. At the end every one of them is in the log \
         once; the counters of every item and of the brand equal a recount from ids alone, and a replay of the log. Lost and \
         doubled are what differs from that. Recovery is the longest time from the fault to the next acknowledgement, or to \
         folds at the log's end where these were hit, of debug builds on a shared machine.\n\n\
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
