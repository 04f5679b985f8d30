//! `mediaflow simulate`: a publisher of twelve brands and its readers, over the real interfaces.

use crate::config::FEATURES_SAMPLE;
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use mediaflow_http::serve::until_signal;
use mediaflow_simulator::config::{
    brands_toml, sources_toml, webhook_secrets, webhook_secrets_text,
};
use mediaflow_simulator::world::day_of;
use mediaflow_simulator::{Clock, DriveConfig, Until, Webhooks, World, drive, events, serve};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub struct SimulateArguments {
    #[command(subcommand)]
    command: SimulateCommand,
    /// The same seed gives the same world and the same readers
    #[arg(long, default_value_t = 42, global = true)]
    seed: u64,
}

#[derive(Debug, Subcommand)]
enum SimulateCommand {
    /// Writes mediaflow.toml and sources.toml for the twelve brands into a folder
    Config {
        /// Folder, created when absent
        dir: PathBuf,
        /// Where `simulate serve` listens
        #[arg(long, default_value = "http://127.0.0.1:8090")]
        cms: String,
        /// Seconds between two polls of a source
        #[arg(long, default_value_t = 10)]
        poll_s: u32,
        /// Lines put in front of the brands, such as `listen = "127.0.0.1:0"`
        #[arg(long)]
        head: Vec<String>,
    },
    /// Prints the webhook secrets of the simulated sources as MEDIAFLOW_WEBHOOK_SECRETS
    Secrets,
    /// Runs the twelve content systems until stopped
    Serve {
        /// Where to listen; port 0 picks a free one
        #[arg(long, default_value = "127.0.0.1:8090")]
        listen: SocketAddr,
        /// Origin that gets WordPress webhooks; absent = none are sent
        #[arg(long)]
        origin: Option<String>,
        /// Days of content before today
        #[arg(long, default_value_t = 1)]
        days_before: u32,
    },
    /// Sends readers to an edge and reports CTR of personalized against editorial
    Drive {
        /// Address of an edge
        #[arg(long, default_value = "http://127.0.0.1:8081", env = "MEDIAFLOW_EDGE")]
        edge: String,
        /// Brand slugs; none = all twelve
        #[arg(long, value_delimiter = ',')]
        brands: Vec<String>,
        /// Readers
        #[arg(long, default_value_t = 200)]
        readers: u64,
        /// Sessions in all
        #[arg(long, default_value_t = 1000)]
        sessions: u64,
        /// First sessions that are not counted
        #[arg(long, default_value_t = 200)]
        warmup: u64,
        /// Sessions under way at once
        #[arg(long, default_value_t = 8)]
        at_once: usize,
    },
    /// Prints CloudEvents, a line each, for `import events` and load tests
    Events {
        /// How many
        count: u64,
    },
}

/// Runs `simulate`.
pub async fn run(a: SimulateArguments) -> Result<()> {
    let seed = a.seed;
    match a.command {
        SimulateCommand::Config {
            dir,
            cms,
            poll_s,
            head,
        } => config(&dir, &cms, poll_s, &head),
        SimulateCommand::Secrets => {
            println!("{}", webhook_secrets_text(&webhook_secrets(seed)));
            Ok(())
        }
        SimulateCommand::Serve {
            listen,
            origin,
            days_before,
        } => content(seed, listen, origin, days_before).await,
        SimulateCommand::Drive {
            edge,
            brands,
            readers,
            sessions,
            warmup,
            at_once,
        } => {
            let config = DriveConfig {
                brands,
                readers,
                until: Until::Sessions(sessions),
                warmup_sessions: warmup,
                at_once,
                ..DriveConfig::new(&edge, seed)
            };
            readers_of(config, sessions).await
        }
        SimulateCommand::Events { count } => {
            let mut out = std::io::BufWriter::new(std::io::stdout().lock());
            for e in events(count, seed) {
                serde_json::to_writer(&mut out, &e)?;
                out.write_all(b"\n")?;
            }
            Ok(out.flush()?)
        }
    }
}

/// The part of `[collect]` that costs memory, as it is by default.
const COLLECT_SAMPLE: &str = "
# [collect]
# dedupe_window_s = 3600                 # within it an event that comes again is not taken again
# dedupe_bytes_max = 150994944           # memory for that: an hour at 1,000 events/s; docs/collection.md has more
";

fn config(dir: &std::path::Path, cms: &str, poll_s: u32, head: &[String]) -> Result<()> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("folder {} cannot be created", dir.display()))?;
    let mut main = String::from(
        "# Written by `mediaflow simulate config`: twelve invented brands.\nsources = \"sources.toml\"\n",
    );
    for line in head {
        main.push_str(line);
        main.push('\n');
    }
    main.push('\n');
    main.push_str(&brands_toml());
    main.push_str(FEATURES_SAMPLE);
    main.push_str(COLLECT_SAMPLE);
    for (name, text) in [
        ("mediaflow.toml", main),
        ("sources.toml", sources_toml(cms, poll_s)),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

async fn content(
    seed: u64,
    listen: SocketAddr,
    origin: Option<String>,
    days_before: u32,
) -> Result<()> {
    ensure!(
        listen.ip().is_loopback(),
        "--listen {listen}: the simulated publisher listens on loopback only"
    );
    let clock = Clock::real();
    let today = day_of(clock.now());
    let world = World::days(seed, today - days_before, days_before + 1);
    let items = world.items.len();
    let webhooks = origin.map(|origin_url| Webhooks {
        origin_url,
        secrets: webhook_secrets(seed),
    });
    let running = serve(world, listen, clock, webhooks).await?;
    println!(
        "{}",
        serde_json::json!({"event": "listening", "role": "cms", "addr": running.addr(), "items": items})
    );
    until_signal().await?;
    running.stop().await;
    Ok(())
}

async fn readers_of(config: DriveConfig, sessions: u64) -> Result<()> {
    let bar = ProgressBar::new(sessions);
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} sessions  {msg}  {elapsed}")
    {
        bar.set_style(style);
    }
    let shown = bar.clone();
    let report = drive(config, move |p| {
        shown.set_position(p.sessions);
        shown.set_message(format!("{} events, {} failures", p.events, p.failures));
    })
    .await?;
    bar.finish_and_clear();
    println!("{report}");
    Ok(())
}
