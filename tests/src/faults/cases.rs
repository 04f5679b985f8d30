//! The faults, in the order they are run.

use super::disk::{clock_steps, disk_full, event_times, short_writes};
use super::load::{Load, Shape};
use super::network::cut_network;
use super::pause::pause_features;
use super::points::{kill_points, kill_points_roles};
use super::replicas::{one_of_three_brokers, redis_cluster};
use super::servers::Servers;
use super::stand::{Stand, slowest};
use super::{Found, Plan, mix};
use crate::Origin;
use anyhow::{Context, Result, ensure};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

type Case = fn(Plan) -> Pin<Box<dyn Future<Output = Result<Found>>>>;

/// Every fault by name.
pub const ALL: [(&str, Case); 16] = [
    ("kill-origin", |p| Box::pin(kill_origin(p))),
    ("kill-points", |p| Box::pin(kill_points(p))),
    ("hostile-input", |p| Box::pin(hostile_input(p))),
    ("event-times", |p| Box::pin(event_times(p))),
    ("clock-steps", |p| Box::pin(clock_steps(p))),
    ("disk-full", |p| Box::pin(disk_full(p))),
    ("short-writes", |p| Box::pin(short_writes(p))),
    ("kill-roles", |p| Box::pin(kill_roles(p))),
    ("kill-points-roles", |p| Box::pin(kill_points_roles(p))),
    ("pause-features", |p| Box::pin(pause_features(p))),
    ("cut-network", |p| Box::pin(cut_network(p))),
    ("kill-broker", |p| Box::pin(kill_broker(p))),
    ("one-of-three-brokers", |p| {
        Box::pin(one_of_three_brokers(p))
    }),
    ("broker-away", |p| Box::pin(broker_away(p))),
    ("redis-flushed", |p| Box::pin(redis_flushed(p))),
    ("redis-cluster", |p| Box::pin(redis_cluster(p))),
];

/// A load goes on, and a request is acknowledged, within this.
pub const RECOVERED: Duration = Duration::from_secs(60);
/// A batch as no collector takes it, bytes.
const HUGE_BYTES: usize = 100_000_000;

/// Started servers, or the reason to skip.
macro_rules! servers {
    () => {
        match Servers::start()? {
            Ok(servers) => servers,
            Err(skipped) => return Ok(skipped),
        }
    };
}
pub(super) use servers;

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub async fn recovered(load: &Load, since: Instant) -> Result<f64> {
    let after = load.acknowledged_after(since, RECOVERED).await;
    after.with_context(|| format!("nothing is acknowledged within {RECOVERED:?}"))
}

async fn kill_origin(plan: Plan) -> Result<Found> {
    let mut stand = Stand::start(None)?;
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    let mut recovery_s = 0_f64;
    for n in 0..plan.kills {
        tokio::time::sleep(ms(20 + mix(plan.seed, n.into()) % 400)).await;
        stand.kill();
        let since = Instant::now();
        stand.restart();
        load.redirect(&stand.url());
        recovery_s = recovery_s.max(recovered(&load, since).await?);
    }
    load.end().await;
    Ok(Found {
        times: plan.kills,
        recovery_s,
        ..stand.compare().await?
    })
}

async fn hostile_input(plan: Plan) -> Result<Found> {
    let mut stand = Stand::start(None)?;
    let shape = Shape {
        shuffled: true,
        poison: true,
        hot: true,
        ..Shape::default()
    };
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    let (mut recovery_s, mut times) = (0_f64, 0);
    for n in 0..(plan.kills / 20).max(2) {
        times += 1;
        let since = Instant::now();
        huge(&stand.url()).await?;
        broken(&stand.url(), mix(plan.seed, n.into())).await?;
        recovery_s = recovery_s.max(recovered(&load, since).await?);
        tokio::time::sleep(ms(500)).await;
    }
    load.end().await;
    Ok(Found {
        times,
        recovery_s,
        ..stand.compare().await?
    })
}

/// A batch of 100 MB is refused; a server may also stop listening to it halfway.
async fn huge(url: &str) -> Result<()> {
    let sent = reqwest::Client::new()
        .post(format!("{url}/v1/events"))
        .header("content-type", "application/cloudevents-batch+json")
        .body(vec![b' '; HUGE_BYTES])
        .send()
        .await;
    match sent {
        Ok(answer) => ensure!(
            answer.status() == 413,
            "a batch of 100 MB was answered {}",
            answer.status()
        ),
        Err(e) => ensure!(!e.is_connect(), "the collector is gone: {e}"),
    }
    Ok(())
}

/// Bytes that are no batch.
async fn broken(url: &str, seed: u64) -> Result<()> {
    let noise: Vec<u8> = (0..2_000).map(|n| mix(seed, n) as u8).collect();
    for bytes in [noise, b"[{\"specversion\":".to_vec(), vec![b'['; 10_000]] {
        let answer = reqwest::Client::new()
            .post(format!("{url}/v1/events"))
            .header("content-type", "application/cloudevents-batch+json")
            .body(bytes)
            .send()
            .await?;
        ensure!(
            answer.status().is_client_error(),
            "bytes that are no batch were answered {}",
            answer.status()
        );
    }
    Ok(())
}

async fn kill_roles(plan: Plan) -> Result<Found> {
    const ROLES: [&str; 3] = ["ingest", "features", "publisher"];
    let servers = servers!();
    let shape = Shape::default();
    let mut processes: Vec<Origin> = Vec::new();
    for role in ROLES {
        processes.push(servers.process(role, role)?);
    }
    let load = Load::start(&processes[0].url, &servers.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    let (mut recovery_s, times) = (0_f64, (plan.kills * 3 / 10).max(3));
    for n in 0..times {
        let h = mix(plan.seed, n.into());
        tokio::time::sleep(ms(50 + (h >> 8) % 900)).await;
        let at = n as usize % ROLES.len();
        processes[at].kill();
        let since = Instant::now();
        processes[at] = servers.process(ROLES[at], ROLES[at])?;
        if at == 0 {
            load.redirect(&processes[0].url);
            recovery_s = recovery_s.max(recovered(&load, since).await?);
        }
    }
    let since = Instant::now();
    load.end().await;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    Ok(Found {
        times,
        recovery_s,
        ..servers.compare().await?
    })
}

async fn kill_broker(plan: Plan) -> Result<Found> {
    let mut servers = servers!();
    let collector = servers.process("ingest", "ingest")?;
    let _features = servers.process("features", "features")?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    let (mut recovery_s, times) = (0_f64, 3);
    for n in 0..times {
        tokio::time::sleep(ms(1_000 + mix(plan.seed, n.into()) % 2_000)).await;
        servers.kafka.kill(0);
        tokio::time::sleep(ms(mix(plan.seed, 9 + u64::from(n)) % 4_000)).await;
        servers.kafka.restart(0)?;
        recovery_s = recovery_s.max(recovered(&load, Instant::now()).await?);
    }
    let since = Instant::now();
    load.end().await;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    drained(&collector).await?;
    Ok(Found {
        times,
        recovery_s,
        ..servers.compare().await?
    })
}

/// The broker is away, the collector acknowledges from its spool and is killed, then the broker comes back.
async fn broker_away(plan: Plan) -> Result<Found> {
    let mut servers = servers!();
    let mut collector = servers.process("ingest", "ingest")?;
    let _features = servers.process("features", "features")?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    tokio::time::sleep(ms(1_500)).await;
    servers.kafka.kill(0);
    tokio::time::sleep(ms(6_000)).await;
    let before = servers.ledger.read()?.len();
    recovered(&load, Instant::now()).await?;
    tokio::time::sleep(ms(2_000 + mix(plan.seed, 1) % 2_000)).await;
    let spooled = servers.ledger.read()?.len() - before;
    ensure!(spooled > 0, "nothing is taken while the broker is away");
    collector.kill();
    let since = Instant::now();
    servers.kafka.restart(0)?;
    collector = servers.process("ingest", "ingest")?;
    load.redirect(&collector.url);
    let mut recovery_s = recovered(&load, since).await?;
    load.end().await;
    drained(&collector).await?;
    slowest(&mut recovery_s, since);
    Ok(Found {
        times: 2,
        recovery_s,
        ..servers.compare().await?
    })
}

/// Waits until the collector's spool is empty.
pub async fn drained(collector: &Origin) -> Result<()> {
    let end = Instant::now() + RECOVERED;
    while collector.metric("spool_records").await != Some(0.0) {
        ensure!(Instant::now() < end, "the spool is not drained");
        tokio::time::sleep(ms(200)).await;
    }
    Ok(())
}

/// Redis forgets everything, then dies and comes back: the folds begin again at the log's beginning.
async fn redis_flushed(plan: Plan) -> Result<Found> {
    let mut servers = servers!();
    let collector = servers.process("ingest", "ingest")?;
    let mut features = servers.process("features", "features")?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    tokio::time::sleep(ms(2_000 + mix(plan.seed, 1) % 1_000)).await;
    servers.redis.kill();
    let mut recovery_s = 0_f64;
    let since = Instant::now();
    servers.redis.restart();
    recovery_s = recovery_s.max(recovered(&load, since).await?);
    tokio::time::sleep(ms(1_500)).await;

    features.kill();
    let since = Instant::now();
    let said = servers.redis.cli(&["FLUSHALL"]);
    ensure!(said.trim() == "OK", "FLUSHALL was answered {said}");
    features = servers.process("features", "features")?;
    recovery_s = recovery_s.max(recovered(&load, since).await?);
    tokio::time::sleep(ms(1_500)).await;
    load.end().await;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    let found = servers.compare().await?;
    drop(features);
    Ok(Found {
        times: 2,
        recovery_s,
        ..found
    })
}
