//! `mediaflow-faults`: the fault suite, one JSON object a line. `cargo xtask faults` builds and runs it.

use clap::Parser;
use mediaflow_tests::faults::{Outcome, Plan, names, run};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "mediaflow-faults",
    about = "Injects faults and counts what was lost or doubled"
)]
struct Arguments {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// Kills of the whole origin; other faults repeat a fraction of it
    #[arg(long, default_value_t = Plan::default().kills)]
    kills: u32,
    /// Decides moments and orders; a failure prints it
    #[arg(long, default_value_t = Plan::default().seed)]
    seed: u64,
    /// Seconds for which a paused process is paused
    #[arg(long, default_value_t = Plan::default().pause_s)]
    pause_s: u64,
    /// Only these faults, by name
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Prints the names of the faults
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        println!("{}", names().join("\n"));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<&str> = match arguments.only.as_slice() {
        [] => names(),
        some => some.iter().map(String::as_str).collect(),
    };
    let plan = Plan {
        kills: arguments.kills.max(1),
        seed: arguments.seed,
        pause_s: arguments.pause_s,
    };
    let mut all_hold = true;
    for name in chosen {
        let Some(outcome) = run(name, plan) else {
            eprintln!(
                "error: no fault is called {name}; there are: {}",
                names().join(", ")
            );
            return ExitCode::FAILURE;
        };
        all_hold &= outcome.holds();
        if arguments.json {
            println!("{}", outcome.json());
        } else {
            println!("{}", line(&outcome));
        }
    }
    if all_hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn line(o: &Outcome) -> String {
    if let Some(why) = &o.skipped {
        return format!("SKIPPED: {}: {why}", o.fault);
    }
    let verdict = match &o.failed {
        Some(why) => format!("FAILED, seed {}: {why}", o.seed),
        None => "nothing lost, nothing doubled".to_owned(),
    };
    format!(
        "{} × {}: {} acknowledged, {} lost, {} doubled, back within {:.1} s; {verdict}",
        o.fault, o.times, o.acknowledged, o.lost, o.doubled, o.recovery_s
    )
}
