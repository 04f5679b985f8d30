//! `mediaflow dlq`: what could not be used, and a second chance for it after a fix.

use super::{Origin, cut};
use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

/// Arguments of `dlq`.
#[derive(Debug, Args)]
pub struct DlqArguments {
    #[command(subcommand)]
    command: DlqCommand,
    #[command(flatten)]
    origin: Origin,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// Newest last, a line each
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// One letter with its bytes
    Show {
        /// `partition/offset` as `list` prints it
        id: String,
    },
    /// Sends letters to the collector again: what was right by now is stored once
    Replay {
        /// `partition/offset`, or `all`
        id: String,
    },
}

/// Runs `dlq`.
pub async fn run(a: DlqArguments) -> Result<()> {
    let client = reqwest::Client::new();
    let (method, path) = match &a.command {
        DlqCommand::List { limit } => {
            (Method::GET, format!("/admin/v1/dead-letters?limit={limit}"))
        }
        DlqCommand::Show { id } => (Method::GET, format!("/admin/v1/dead-letters/{id}")),
        DlqCommand::Replay { id } if id == "all" => {
            (Method::POST, "/admin/v1/dead-letters/replay".to_owned())
        }
        DlqCommand::Replay { id } => (Method::POST, format!("/admin/v1/dead-letters/{id}/replay")),
    };
    let answer: Value = a
        .origin
        .send(a.origin.request(&client, method, &path))
        .await?
        .json()
        .await?;
    match &a.command {
        DlqCommand::List { .. } => {
            let letters = answer["letters"].as_array().cloned().unwrap_or_default();
            for l in &letters {
                let text = |k: &str| l[k].as_str().unwrap_or("").to_owned();
                println!(
                    "{:<12} {:<24} {:<12} {}",
                    text("id"),
                    text("at"),
                    text("envelope"),
                    cut(&text("reason"), 100)
                );
            }
            eprintln!("{} letters that were not taken in since", letters.len());
        }
        DlqCommand::Show { .. } | DlqCommand::Replay { .. } => {
            println!("{}", serde_json::to_string_pretty(&answer)?)
        }
    }
    Ok(())
}
