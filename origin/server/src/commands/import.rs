//! `mediaflow import`: files into a running origin, through the same doors as live content and events.
//!
//! Reading and mapping happen here, in batches; every batch is durable once answered. An import can be stopped and begun
//! again: what arrived before makes no second record.

use super::Origin;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use mediaflow_ingest::import::events::{EventMapping, read as read_events};
use mediaflow_ingest::{IngestError, SourceConfig, custom, drupal, feed, parse_sources, wordpress};
use mediaflow_shared::content::RawItem;
use mediaflow_shared::time::Timestamp;
use reqwest::{Client, Method};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Items or events of one request.
const BATCH: usize = 250;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    #[command(subcommand)]
    command: ImportCommand,
    #[command(flatten)]
    origin: Origin,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// Articles from an export of a content system
    Content {
        /// What the file is
        #[arg(long, value_enum)]
        format: Format,
        /// The file, or for `umami` the folder
        path: PathBuf,
        /// Slug of the source in the file of sources: half of every content id
        #[arg(long)]
        source: String,
        /// The file of sources
        #[arg(long, default_value = "sources.toml")]
        sources: PathBuf,
    },
    /// Reader events from CSV or JSON lines
    Events {
        /// The file
        path: PathBuf,
        /// TOML that says which column is what
        #[arg(long)]
        mapping: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A WordPress export (WXR)
    Wxr,
    /// Saved answers of WordPress' REST API
    WordpressJson,
    /// RSS, Atom or JSON Feed
    Feed,
    /// JSON or JSON lines in the shape of the source's mapping
    Json,
    /// A folder of Drupal's Umami demonstration content
    Umami,
}

/// Runs `import`.
pub async fn run(a: ImportArguments) -> Result<()> {
    match a.command {
        ImportCommand::Content {
            format,
            path,
            source,
            sources,
        } => {
            let source = find(&sources, &source)?;
            let total = if path.is_file() {
                std::fs::metadata(&path)?.len()
            } else {
                0
            };
            let (tx, rx) = mpsc::channel(4);
            let reading = tokio::task::spawn_blocking(move || items(format, &path, &source, &tx));
            let sums = send(&a.origin, "/admin/v1/import/content", total, rx).await;
            // A refusal of the origin is the cause; what reading then says is its echo.
            let sums = sums?;
            reading.await??;
            println!("{} new, {} there before", sums.first, sums.second);
        }
        ImportCommand::Events { path, mapping } => {
            let text = std::fs::read_to_string(&mapping)
                .with_context(|| format!("mapping {} cannot be read", mapping.display()))?;
            let mapping = EventMapping::parse(&text)?;
            let total = std::fs::metadata(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?
                .len();
            let (tx, rx) = mpsc::channel(4);
            let reading = tokio::task::spawn_blocking(move || events(&path, &mapping, &tx));
            let sums = send(&a.origin, "/admin/v1/import/events", total, rx).await?;
            let malformed = reading.await??;
            println!(
                "{} new, {} there before, {} refused (see `mediaflow dlq list`), {malformed} rows malformed",
                sums.first, sums.second, sums.refused
            );
        }
    }
    Ok(())
}

fn find(sources: &Path, slug: &str) -> Result<SourceConfig> {
    let text = std::fs::read_to_string(sources).with_context(|| {
        format!(
            "file of sources {} cannot be read; name another with --sources",
            sources.display()
        )
    })?;
    let all = parse_sources(&text)?;
    let known: Vec<String> = all.iter().map(|s| s.slug.clone()).collect();
    all.into_iter().find(|s| s.slug == slug).with_context(|| {
        format!(
            "no source is called {slug}; {} has {}",
            sources.display(),
            known.join(", ")
        )
    })
}

/// A batch and how many bytes of the file are behind it.
type Batch<T> = (Vec<T>, u64);

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn given_up() -> IngestError {
    IngestError::Malformed {
        input: "import".into(),
        reason: "was given up".into(),
        remedy: "see the error before".into(),
    }
}

fn items(
    format: Format,
    path: &Path,
    source: &SourceConfig,
    tx: &mpsc::Sender<Batch<RawItem>>,
) -> Result<()> {
    let read = || std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let mut batch = Vec::with_capacity(BATCH);
    let mut behind = 0;
    let mut take = |item: RawItem, at: u64| {
        batch.push(item);
        behind = at;
        if batch.len() < BATCH {
            return Ok(());
        }
        tx.blocking_send((std::mem::take(&mut batch), at))
            .map_err(|_| given_up())
    };
    match format {
        Format::Wxr => wordpress::wxr::read(path, source, now(), &mut take)?,
        Format::WordpressJson => {
            let posts = wordpress::post::items(&read()?, source, now())
                .with_context(|| format!("{} is not JSON", path.display()))?;
            for post in posts {
                take(post, 0)?;
            }
        }
        Format::Feed => {
            for item in feed::items(&read()?, None, source.base_url.as_deref(), source, now())? {
                take(item, 0)?;
            }
        }
        Format::Json => {
            for item in custom::items(&read()?, source, now())?.0 {
                take(item, 0)?;
            }
        }
        Format::Umami => {
            for item in drupal::umami::read(path, source, now())? {
                take(item, 0)?;
            }
        }
    }
    if !batch.is_empty() {
        tx.blocking_send((batch, behind)).map_err(|_| given_up())?;
    }
    Ok(())
}

/// Answers how many rows are no event at all.
fn events(path: &Path, mapping: &EventMapping, tx: &mpsc::Sender<Batch<Value>>) -> Result<u64> {
    let mut batch = Vec::with_capacity(BATCH);
    let (mut malformed, mut behind) = (0, 0);
    read_events(path, mapping, |row, at| {
        behind = at;
        match row {
            Some((event, agent)) => batch.push(marked(event, agent.as_deref())),
            None => malformed += 1,
        }
        if batch.len() < BATCH {
            return Ok(());
        }
        tx.blocking_send((std::mem::take(&mut batch), at))
            .map_err(|_| given_up())
    })?;
    if !batch.is_empty() {
        tx.blocking_send((batch, behind)).map_err(|_| given_up())?;
    }
    Ok(malformed)
}

/// The event, flagged when its user agent names a robot.
pub fn marked(mut event: Value, agent: Option<&str>) -> Value {
    use std::sync::OnceLock;
    static BOTS: OnceLock<isbot::Bots> = OnceLock::new();
    if agent.is_some_and(|a| BOTS.get_or_init(isbot::Bots::default).is_bot(a)) {
        event["data"]["bot"] = Value::Bool(true);
    }
    event
}

#[derive(Default)]
struct Sums {
    first: u64,
    second: u64,
    refused: u64,
}

async fn send<T: Serialize>(
    origin: &Origin,
    path: &str,
    total: u64,
    mut rx: mpsc::Receiver<Batch<T>>,
) -> Result<Sums> {
    let client = Client::new();
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(
        "{bar:30} {bytes}/{total_bytes}  {msg}  {elapsed} (left: {eta})",
    ) {
        bar.set_style(style);
    }
    let mut sums = Sums::default();
    while let Some((batch, behind)) = rx.recv().await {
        let request = origin.request(&client, Method::POST, path).json(&batch);
        let answer = match origin.send(request).await {
            Ok(answer) => answer,
            Err(e) => {
                bar.abandon();
                bail!(
                    "stopped after {} of the file: {e:#}; run the import again, nothing is doubled",
                    HumanBytes(bar.position())
                );
            }
        };
        let told: Value = answer.json().await?;
        let count = |names: [&str; 2]| names.iter().find_map(|n| told[n].as_u64()).unwrap_or(0);
        sums.first += count(["new", "accepted"]);
        sums.second += count(["duplicates", "duplicates"]);
        sums.refused += told["rejected"].as_array().map_or(0, |r| r.len() as u64);
        bar.set_position(behind);
        bar.set_message(format!("{} new, {} before", sums.first, sums.second));
    }
    bar.finish_and_clear();
    Ok(sums)
}
