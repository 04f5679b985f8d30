//! `mediaflow publish --plan`: what a publishing policy would cost and lose, on replayed traffic.
//!
//! Events come from a file, from simulated readers ([`traffic`]) or from the log of a running origin ([`log`]); the folds
//! of `features` turn them into profiles, and the publisher's plan prices every policy in one pass. Nothing is written.

mod log;
mod table;
mod traffic;

use super::Origin;
use crate::config::Config;
use anyhow::{Context, Result, bail, ensure};
use clap::{ArgGroup, Args};
use mediaflow_edge_core::limits::{ASKED_MS_MAX, IDLE_MS, TOKEN_READS_MAX};
use mediaflow_ports::{Clock as _, SystemClock};
use mediaflow_publisher::plan::{Candidate, DeviceSettings, PlanSettings};
use mediaflow_publisher::{Policy, PublishSettings, PublisherSettings};
use mediaflow_shared::time::Timestamp;
use std::path::PathBuf;

/// Arguments of `publish`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("traffic").required(true).args(["events", "simulate", "log"])))]
pub struct PublishArguments {
    /// Prices policies on replayed traffic; writes nothing
    #[arg(long, required = true)]
    plan: bool,
    /// Events: JSON lines of CloudEvents, or any file with --mapping
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// TOML that says which column is what, as for `import events`
    #[arg(long, requires = "events", value_name = "TOML")]
    mapping: Option<PathBuf>,
    /// Articles of the events: JSON lines as in `content.enriched`. Without: items appear when first mentioned
    #[arg(long, requires = "events", value_name = "FILE")]
    articles: Option<PathBuf>,
    /// So many simulated readers instead of a file
    #[arg(long, value_name = "READERS")]
    simulate: Option<u64>,
    /// The events and articles that a running origin holds
    #[arg(long)]
    log: bool,
    /// First event: a span back from now (90m, 24h, 7d) or RFC 3339; without: 24h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Events before this, as --since; without: now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Days of simulated reading
    #[arg(long, default_value_t = 3)]
    days: u32,
    /// Seed of the simulated readers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Brands, surfaces, weights and `[publish]` of this configuration; without: one surface a brand, the defaults
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// Policies to price: per_event, every:MINUTES, on_change, rank_gated, rank_gated:K:TOLERANCE:SETTLE:AGE
    /// (places, thousandths, minutes, minutes; what is left out is as configured)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "per_event,every:1,every:5,every:15,every:60,on_change,rank_gated"
    )]
    policies: Vec<String>,
    /// Ranks every so manieth request for staleness and regret
    #[arg(long, default_value_t = 1, value_name = "N")]
    sample: u64,
    /// One JSON object a line instead of a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    origin: Origin,
}

/// Runs `publish`.
pub async fn run(a: PublishArguments) -> Result<()> {
    ensure!(a.plan, "publish has one form so far: give --plan");
    // An argument that is required is not missed where the chosen traffic excludes it.
    ensure!(
        a.log || (a.since.is_none() && a.until.is_none()),
        "--since and --until bound what is read of an origin's log; give --log, or leave them out"
    );
    let publisher = match &a.config {
        Some(path) => Config::read(path)?.publisher()?,
        None => PublisherSettings {
            brands: Vec::new(),
            rebuild_every_s: 60,
            publish: PublishSettings::default(),
        },
    };
    let candidates = a
        .policies
        .iter()
        .map(|p| candidate(p, &publisher.publish))
        .collect::<Result<Vec<_>>>()?;
    let settings = PlanSettings {
        publisher,
        candidates,
        sample_every: a.sample,
        devices: DeviceSettings {
            idle_ms: IDLE_MS,
            asked_ms_max: ASKED_MS_MAX,
            reads_max: TOKEN_READS_MAX,
        },
        invent_items: a.simulate.is_none() && a.articles.is_none(),
    };
    let tally = if a.log {
        let now = Timestamp(SystemClock.now_ms());
        let since = log::moment("--since", a.since.as_deref().unwrap_or("24h"), now)?;
        let until = log::moment("--until", a.until.as_deref().unwrap_or("0m"), now)?;
        log::from_origin(settings, &a.origin, since, until).await
    } else if let Some(readers) = a.simulate {
        let (seed, days) = (a.seed, a.days);
        tokio::task::spawn_blocking(move || traffic::simulated(settings, readers, seed, days))
            .await?
    } else if let Some(events) = a.events {
        let (mapping, articles) = (a.mapping, a.articles);
        tokio::task::spawn_blocking(move || {
            traffic::from_file(settings, &events, mapping.as_deref(), articles.as_deref())
        })
        .await?
    } else {
        bail!("no traffic was named; give --events, --log or --simulate");
    }?;
    table::print(&tally, a.json)
}

/// A policy by its name on the command line; everything else as configured.
fn candidate(text: &str, base: &PublishSettings) -> Result<Candidate> {
    let mut settings = base.clone();
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    settings.policy = Policy::ALL
        .into_iter()
        .find(|p| p.name() == name)
        .with_context(|| {
            format!("--policies {text}: no policy {name:?}; use per_event, every, on_change or rank_gated")
        })?;
    let mut number = |what: &str| {
        parts
            .next()
            .map(|n| {
                n.parse()
                    .with_context(|| format!("--policies {text}: {what} is no number"))
            })
            .transpose()
    };
    match settings.policy {
        Policy::Every => settings.every_min = number("minutes")?.unwrap_or(settings.every_min),
        Policy::RankGated => {
            if let Some(k) = number("k")? {
                settings.top_k = u16::try_from(k).unwrap_or(u16::MAX);
            }
            if let Some(t) = number("tolerance")? {
                settings.tolerance_milli = u16::try_from(t).unwrap_or(u16::MAX);
            }
            if let Some(m) = number("settle minutes")? {
                settings.settle_min = m;
            }
            if let Some(m) = number("age in minutes")? {
                settings.age_min_max = m;
            }
        }
        Policy::PerEvent | Policy::OnChange => {}
    }
    ensure!(parts.next().is_none(), "--policies {text}: too many colons");
    settings.check(text)?;
    Ok(Candidate {
        name: text.to_owned(),
        settings,
    })
}
