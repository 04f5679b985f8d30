//! The binary `mediaflow`: configuration, wiring, roles as subcommands.
//!
//! `serve` opens the stores a configuration names ([`wiring`]), starts the roles asked for ([`serve`]) and the HTTP surfaces
//! ([`ops`] for operators, [`kv`] for edges, [`edge`] for readers); [`fault`] is for the fault suite alone. Every other command is a client of a running origin: the
//! embedded stores let one process in, and one door is easier to guard than two.

mod config;
mod edge;
mod export;
mod fault;
mod kv;
mod ops;
mod placement;
mod serve;
mod served;
mod telemetry;
mod wiring;

mod commands;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An event is a dozen small texts that one thread makes and another drops: the system's allocator took a quarter of the
/// collector's time (`perf`), this one a tenth.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Personalization for publishers: origin, edge and tools in one binary.
#[derive(Debug, Parser)]
#[command(name = "mediaflow", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the origin: ingest, enrich, features, publisher, admin, kv and a native edge
    Serve(serve::ServeArguments),
    /// Imports content or events from files into a running origin
    Import(commands::import::ImportArguments),
    /// Shows a reader's feed in the terminal, with why each item is there
    Feed(commands::feed::FeedArguments),
    /// Serves a feed again, byte for byte, from the archived inputs its id names
    Replay(commands::replay::ReplayArguments),
    /// Runs a simulated publisher: CMS servers, readers, events
    Simulate(commands::simulate::SimulateArguments),
    /// Makes and rotates keys and tokens
    Keys(commands::keys::KeysArguments),
    /// Prices publishing policies on replayed traffic
    Publish(commands::publish::PublishArguments),
    /// Lists, shows and replays dead letters
    Dlq(commands::dlq::DlqArguments),
    /// Shows lag, rates, freshness, rungs and spool of running origins, live
    Top(commands::top::TopArguments),
    /// The feature catalogue, values now, and values as they were at a moment
    Features(commands::features::FeaturesArguments),
    /// Compares what is served with what the log says, feature by feature
    Parity(commands::features::ParityArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Serve(a) => serve::run(a).await,
        Command::Import(a) => commands::import::run(a).await,
        Command::Feed(a) => commands::feed::run(a).await,
        Command::Replay(a) => commands::replay::run(a).await,
        Command::Simulate(a) => commands::simulate::run(a).await,
        Command::Keys(a) => commands::keys::run(&a),
        Command::Publish(a) => commands::publish::run(a).await,
        Command::Dlq(a) => commands::dlq::run(a).await,
        Command::Top(a) => commands::top::run(a).await,
        Command::Features(a) => commands::features::run(a).await,
        Command::Parity(a) => commands::features::parity(a).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // One line a cause, without a backtrace: whoever reads it wants the remedy.
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
