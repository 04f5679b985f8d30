//! What the benchmarks run beside the product: a stand for edges, blob sizes, the native digest.
//!
//! `cargo xtask bench` starts these and reads the JSON they print. None of them is part of the product.

mod blobs;
mod stand;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

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
}

#[tokio::main]
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
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
