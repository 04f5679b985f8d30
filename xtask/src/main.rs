//! `cargo xtask`: every developer command of MediaFlow, in Rust instead of shell.
//!
//! ```text
//! tools ──► build-worker, build-component, build-wasm ──► test, up, bench
//! ```
//!
//! Rooms: `workspace` (where things are), `progress` (what a person sees), `tools` (what a fresh
//! machine lacks), `bundle/` (what is deployed), `gate` (the test command), `layers` (who may
//! import whom), `up` (the whole product on one machine), `bench` (figures), `faults` (the fault suite).
//!
//! It never ends a process that it did not start, and writes only under `target`, `var` and `docs`.

mod bench;
mod bundle;
mod faults;
mod gate;
mod layers;
mod progress;
mod tools;
mod up;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};

use crate::progress::{Progress, Step};
use crate::workspace::Workspace;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Every developer command of MediaFlow")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs what a fresh machine lacks beyond Rust (rustup) and Node
    Tools {
        /// Also what only the benchmarks need: wrk
        #[arg(long)]
        bench: bool,
    },
    /// Builds the Cloudflare worker into target/worker
    BuildWorker,
    /// Builds the Spin component into target/component
    BuildComponent,
    /// Builds the npm package of the shared ranking into target/npm/mediaflow-wasm
    BuildWasm,
    /// Runs everything that must hold: formatting, lints, dependencies, builds, all tests
    Test {
        /// Only these steps, by name (for developers; an unknown name lists them)
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Builds and starts the whole product on this machine, until Ctrl-C
    Up {
        /// On free ports and an empty store: walk the path of a story once, then stop
        #[arg(long)]
        check: bool,
        /// Real servers instead of the embedded stores
        #[arg(long, value_delimiter = ',')]
        stack: Vec<up::Part>,
    },
    /// Measures what was promised, and writes docs/FIGURES.md
    Bench {
        /// One JSON object a line: name, value, unit, must, holds
        #[arg(long)]
        json: bool,
        /// Only these groups, by name; the others' sections stay as they are
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Also what takes ten minutes by itself: the whole path at a steady rate
        #[arg(long)]
        long: bool,
    },
    /// Kills, pauses, cuts and fills what the product runs on, counts what was lost or doubled, and writes docs/faults.md
    Faults(faults::Choice),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // One line a cause, without a backtrace: the reader wants the remedy.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let workspace = Workspace::find()?;
    match command {
        Command::Tools { bench } => tools::install(&workspace, bench),
        Command::BuildWorker => build(&workspace, "worker", bundle::build_worker),
        Command::BuildComponent => build(&workspace, "component", bundle::build_component),
        Command::BuildWasm => build(&workspace, "wasm", bundle::build_wasm),
        Command::Test { only } => match gate::run(&workspace, &only)? {
            true => Ok(()),
            false => bail!("not everything held: the failed steps are above"),
        },
        Command::Up { check, stack } => {
            let parts = stack.into_iter().collect();
            if check {
                up::check(&workspace, &parts)
            } else {
                up::up(&workspace, &parts)
            }
        }
        Command::Bench { json, only, long } => bench::run(&workspace, json, &only, long),
        Command::Faults(choice) => faults::run(&workspace, &choice),
    }
}

fn build(
    workspace: &Workspace,
    what: &str,
    work: impl Fn(&Workspace, &Step) -> Result<String>,
) -> Result<()> {
    let step = Progress::new(1, workspace.output("xtask-logs"))
        .begin(what, &format!("building the {what}"));
    step.clear();
    let outcome = work(workspace, &step);
    step.end(outcome.as_deref().unwrap_or("failed"));
    outcome.map(drop)
}
