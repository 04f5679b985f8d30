//! What the benchmarks run beside the product: a stand for edges, a load, blob sizes, the native digest.
//!
//! `cargo xtask bench` starts these and reads the JSON they print. None of them is part of the product.

mod blobs;
mod events;
mod folds;
mod load;
mod stand;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "mediaflow-figures", about = "Parts of the benchmarks")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sizes of the profile blobs of simulated readers
    Blobs {
        /// Readers
        #[arg(long, default_value_t = 10_000)]
        readers: u64,
    },
    /// Digest over random ranking cases, natively
    Digest {
        /// First case
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Cases
        #[arg(long, default_value_t = 1_000_000)]
        cases: u64,
    },
    /// A KV namespace with one front, rules and a model, that counts its reads and takes every event
    Stand {
        /// Candidates in the front
        #[arg(long, default_value_t = 500)]
        items: usize,
        /// An embedded database that gets the same values, for the native edge
        #[arg(long)]
        db: Option<std::path::PathBuf>,
    },
    /// Feeds at a fixed rate, and their latencies
    Load {
        /// Where the edge listens
        #[arg(long)]
        addr: std::net::SocketAddr,
        /// With its query
        #[arg(long, default_value = "/v1/feed/daily/home")]
        path: String,
        /// `Cookie`
        #[arg(long, default_value = "")]
        cookie: String,
        /// Requests a second
        #[arg(long)]
        rate: f64,
        /// Connections
        #[arg(long, default_value_t = 32)]
        connections: u32,
        /// How long
        #[arg(long, default_value_t = 6.0)]
        seconds: f64,
    },
    /// Reader events in batches, at a rate or as fast as they are acknowledged, and how long that took
    Events(events::Events),
    /// The folds of one partition on one core, commits encoded, without log and store
    Folds {
        /// Events
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// Readers of the partition
        #[arg(long, default_value_t = 16_000)]
        readers: u64,
    },
    /// Every event in the log of a stopped origin, a line each
    Dump(events::dump::Dump),
    /// Bytes in a plain file with syncs: what no log can beat
    Floor(events::floor::Floor),
}

// One thread: a load of many would take the cores from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Blobs { readers } => blobs::run(readers),
        Command::Digest { from, cases } => {
            println!(
                "{}",
                serde_json::json!({"digest": format!("{:016x}", mediaflow_shared::testing::digest(from, cases))})
            );
            Ok(())
        }
        Command::Stand { items, db } => stand::run(items, db).await,
        Command::Events(arguments) => events::run(arguments).await,
        Command::Dump(dump) => events::dump::run(&dump).await,
        Command::Folds { events, readers } => {
            folds::run(events, readers);
            Ok(())
        }
        Command::Floor(floor) => events::floor::run(&floor),
        Command::Load {
            addr,
            path,
            cookie,
            rate,
            connections,
            seconds,
        } => {
            let load = load::Load {
                addr,
                path,
                cookie,
                rate,
                connections,
                seconds,
            };
            load::run(load).await
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
