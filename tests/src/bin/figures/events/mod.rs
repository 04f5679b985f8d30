//! Reader events by the thousand: what loads a collector, and what its disk could do at best.
//!
//! ```text
//! template (bytes of one request, ids patched in place) ─► keep-alive connections ─► 202, counted and timed
//!                                                                  └─► ledger: one line per acknowledged event
//! ```
//! The load shares the cores with what it measures, so an event costs it some tens of nanoseconds: bodies are built once, and only
//! ids, readers, items and times are written anew.

mod connection;
pub mod dump;
pub mod floor;
mod ledger;
pub mod template;

use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use connection::Connection;
use ledger::Ledger;
use template::{Population, Template};

/// What to send, and how often.
#[derive(Debug, clap::Args)]
pub struct Events {
    /// Where the collector listens
    #[arg(long)]
    addr: SocketAddr,
    /// Events a second; 0 = as fast as they are acknowledged
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// How long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop after so many events; 0 = when the time is over
    #[arg(long, default_value_t = 0)]
    count: u64,
    /// Events a request
    #[arg(long, default_value_t = 100)]
    batch: usize,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Readers the events are of
    #[arg(long, default_value_t = 1_000_000)]
    readers: u32,
    /// Readers come evenly; without it a few readers send most, as they do
    #[arg(long)]
    uniform: bool,
    /// Brand the events are of
    #[arg(long, default_value = "daily")]
    brand: String,
    /// Items the events are about
    #[arg(long, default_value_t = 5_000)]
    items: usize,
    /// Seed of who reads what; two runs with one seed send the same ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File that gets one line per acknowledged event, for a recount
    #[arg(long)]
    ledger: Option<PathBuf>,
}

/// What all connections share.
struct Run {
    arguments: Events,
    begun: Instant,
    end: Instant,
    /// Events handed out to connections.
    taken: AtomicU64,
}

impl Run {
    /// Takes a batch of the remaining work; answers the number of its first event.
    fn take(&self) -> Option<u64> {
        let batch = self.arguments.batch as u64;
        let first = self.taken.fetch_add(batch, Ordering::Relaxed);
        let counted = self.arguments.count > 0;
        let more = if counted {
            first + batch <= self.arguments.count
        } else {
            Instant::now() < self.end
        };
        more.then_some(first)
    }
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    /// Milliseconds from when a request was due to its acknowledgement.
    ms: Vec<f32>,
    acknowledged: u64,
    duplicates: u64,
    rejected: u64,
    /// Answers of 503: sent again.
    refused: u64,
}

/// Prints `{events, seconds, rate, acknowledged, duplicates, rejected, refused, bytes_an_event, p50_ms, p99_ms, p999_ms, max_ms}`.
pub async fn run(arguments: Events) -> Result<()> {
    ensure!(
        (1..=1_000).contains(&arguments.batch),
        "a request holds 1 to 1,000 events"
    );
    ensure!(arguments.connections > 0, "at least one connection");
    let population = Arc::new(Population::new(
        arguments.readers,
        arguments.uniform,
        arguments.items,
    ));
    let ledger = arguments
        .ledger
        .as_ref()
        .map(|path| Ledger::create(path))
        .transpose()?
        .map(Arc::new);
    let begun = Instant::now();
    let run = Arc::new(Run {
        end: begun + Duration::from_secs_f64(arguments.seconds),
        begun,
        taken: AtomicU64::new(0),
        arguments,
    });
    let mut tasks = tokio::task::JoinSet::new();
    let mut bytes_an_event = 0.0;
    for number in 0..run.arguments.connections {
        let a = &run.arguments;
        let template = Template::new(
            &a.addr.to_string(),
            &a.brand,
            a.batch,
            a.seed,
            number as u64,
        );
        bytes_an_event = template.body_bytes() as f64 / a.batch as f64;
        let connection =
            Connection::open(a.addr, template, population.clone(), ledger.clone()).await?;
        tasks.spawn(connection.run(run.clone(), number));
    }
    let mut all = Seen::default();
    while let Some(done) = tasks.join_next().await {
        let seen = done??;
        all.ms.extend(seen.ms);
        all.acknowledged += seen.acknowledged;
        all.duplicates += seen.duplicates;
        all.rejected += seen.rejected;
        all.refused += seen.refused;
    }
    let seconds = run.begun.elapsed().as_secs_f64();
    if let Some(ledger) = ledger {
        ledger.finish().context("the ledger cannot be written")?;
    }
    ensure!(!all.ms.is_empty(), "nothing was acknowledged");
    all.ms.sort_by(f32::total_cmp);
    let at = |part: f64| all.ms[((all.ms.len() - 1) as f64 * part) as usize];
    println!(
        "{}",
        serde_json::json!({
            "events": all.acknowledged + all.duplicates + all.rejected, "seconds": seconds,
            "rate": all.acknowledged as f64 / seconds, "acknowledged": all.acknowledged,
            "duplicates": all.duplicates, "rejected": all.rejected, "refused": all.refused,
            "bytes_an_event": bytes_an_event,
            "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": at(1.0),
        })
    );
    Ok(())
}
