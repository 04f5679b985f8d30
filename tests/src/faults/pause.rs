//! Writers that stop and wake when they were replaced.

use super::cases::{RECOVERED, ms, recovered, servers};
use super::load::{Load, Shape};
use super::servers::{Differently, Servers};
use super::stand::slowest;
use super::{Found, Plan, mix};
use crate::Origin;
use anyhow::{Result, ensure};
use mediaflow_ports::fault::Point;
use std::time::{Duration, Instant};

/// Partitions that are shared among the processes.
const PARTITIONS: f64 = 4.0;

/// One of two writers is stopped at any moment, for long; then stopped with folded events in hand, just before the commit.
pub async fn pause_features(plan: Plan) -> Result<Found> {
    let servers = servers!();
    let collector = servers.process("ingest", "ingest,publisher")?;
    let mut paused = servers.process("features-1", "features")?;
    let other = servers.process("features-2", "features")?;
    let shape = Shape {
        gentle: true,
        ..Shape::default()
    };
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    shared(&paused, &other).await?;
    tokio::time::sleep(ms(1_000 + mix(plan.seed, 1) % 1_000)).await;
    paused.signal("STOP")?;
    let since = Instant::now();
    holds(&other, PARTITIONS).await?;
    servers.reached().await?;
    let mut recovery_s = since.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(plan.pause_s).saturating_sub(since.elapsed())).await;
    paused.signal("CONT")?;
    shared(&paused, &other).await?;

    let mut refused = 0.0;
    let mut times = 1;
    for n in 0..2 {
        paused.kill();
        let at = 5 + mix(plan.seed, n) % 20;
        let differently = Differently {
            fault_at: Some(format!("{}:{at}:stop", Point::Folded.name())),
            ..Differently::default()
        };
        let started = servers.try_process("features-1", "features", &differently)?;
        paused = started.map_err(anyhow::Error::msg)?;
        let end = Instant::now() + RECOVERED;
        while !paused.is_stopped() {
            ensure!(Instant::now() < end, "it never stopped before a commit");
            tokio::time::sleep(ms(5)).await;
        }
        times += 1;
        let since = Instant::now();
        holds(&other, PARTITIONS).await?;
        servers.reached().await?;
        slowest(&mut recovery_s, since);
        paused.signal("CONT")?;
        // It goes on with the commit it had in hand, of a partition that is another's by now.
        let end = Instant::now() + RECOVERED;
        while paused.metric("features_fenced_total").await.unwrap_or(0.0) < 1.0 {
            ensure!(
                Instant::now() < end,
                "a writer that was replaced was not refused"
            );
            tokio::time::sleep(ms(50)).await;
        }
        refused += paused.metric("features_fenced_total").await.unwrap_or(0.0);
    }
    eprintln!("pause-features: {refused} commits of replaced writers were refused");
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

/// Waits until a process folds so many partitions.
async fn holds(process: &Origin, partitions: f64) -> Result<()> {
    let end = Instant::now() + RECOVERED;
    while process.metric("features_partitions").await != Some(partitions) {
        ensure!(
            Instant::now() < end,
            "a process does not get to fold {partitions} partitions"
        );
        tokio::time::sleep(ms(50)).await;
    }
    Ok(())
}

/// Waits until both fold some.
async fn shared(one: &Origin, other: &Origin) -> Result<()> {
    let end = Instant::now() + RECOVERED;
    loop {
        let count = |n: Option<f64>| n.unwrap_or(0.0);
        let (a, b) = (
            count(one.metric("features_partitions").await),
            count(other.metric("features_partitions").await),
        );
        if a > 0.0 && b > 0.0 && a + b == PARTITIONS {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{a} and {b} partitions are folded");
        tokio::time::sleep(ms(50)).await;
    }
}
