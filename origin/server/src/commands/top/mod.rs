//! `mediaflow top`: what runs, how fast and how fresh, as a screen that goes on or as text once.
//!
//! [`scrape`] asks `/metrics` of every origin, [`board`] makes lines of two answers, [`screen`] shows them. Nothing is
//! asked of an origin that Prometheus would not ask.

mod board;
mod scrape;
mod screen;

use anyhow::{Result, ensure};
use board::Board;
use clap::Args;
use scrape::Scrape;
use std::io::IsTerminal as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What an origin may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `top`.
#[derive(Debug, Args)]
pub struct TopArguments {
    /// Addresses of the origins
    #[arg(
        long = "origin",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080",
        env = "MEDIAFLOW_ORIGIN"
    )]
    origins: Vec<String>,
    /// Seconds between two looks
    #[arg(long, default_value_t = 2.0)]
    every_s: f64,
    /// Print once, as text, and end (also when the output is no terminal)
    #[arg(long)]
    once: bool,
}

/// Runs `top`.
pub async fn run(a: TopArguments) -> Result<()> {
    ensure!(
        (0.1..=3_600.0).contains(&a.every_s),
        "--every-s = {}: give 0.1 to 3600 seconds",
        a.every_s
    );
    let every = Duration::from_secs_f64(a.every_s);
    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    if a.once || !std::io::stdout().is_terminal() {
        let before = Scrape::of(&client, &a.origins).await;
        tokio::time::sleep(every).await;
        let after = Scrape::of(&client, &a.origins).await;
        print!("{}", Board::of(&before, &after, now_s()).text());
        let deaf = after.answers.iter().find_map(|x| x.samples.as_ref().err());
        if let Some(why) = deaf {
            anyhow::bail!("{why}");
        }
        return Ok(());
    }
    screen::run(&client, &a.origins, every).await
}

fn now_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}
