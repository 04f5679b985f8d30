//! Servers of which there are three.

use super::cases::{RECOVERED, drained, ms, recovered};
use super::load::{Load, Shape};
use super::servers::Servers;
use super::stand::slowest;
use super::{Found, Plan, mix};
use anyhow::{Result, ensure};
use mediaflow_test_servers::redis::RedisCluster;
use std::time::Instant;

/// Each of three brokers is killed and comes back, in turn.
pub async fn one_of_three_brokers(plan: Plan) -> Result<Found> {
    let mut servers = match Servers::replicated()? {
        Ok(servers) => servers,
        Err(skipped) => return Ok(skipped),
    };
    let collector = servers.process("ingest", "ingest")?;
    let _features = servers.process("features", "features")?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    servers.reached().await?;
    let mut recovery_s = 0_f64;
    for n in 0..3 {
        tokio::time::sleep(ms(1_000 + mix(plan.seed, n as u64) % 1_000)).await;
        servers.kafka.kill(n);
        let since = Instant::now();
        recovered(&load, since).await?;
        // With two of three everything goes on, the folds included.
        servers.reached().await?;
        slowest(&mut recovery_s, since);
        servers.kafka.restart(n)?;
        // Until it has caught up, the next one to die would be one of two.
        tokio::time::sleep(ms(5_000)).await;
        recovered(&load, Instant::now()).await?;
    }
    let since = Instant::now();
    load.end().await;
    drained(&collector).await?;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    Ok(Found {
        times: 3,
        recovery_s,
        ..servers.compare().await?
    })
}

/// Each node of a cluster is killed and comes back, in turn; meanwhile the cluster refuses.
pub async fn redis_cluster(plan: Plan) -> Result<Found> {
    let mut servers = match Servers::start()? {
        Ok(servers) => servers,
        Err(skipped) => return Ok(skipped),
    };
    servers.cluster = Some(RedisCluster::start());
    let collector = servers.process("ingest", "ingest")?;
    let _features = servers.process("features", "features")?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    servers.reached().await?;
    let mut recovery_s = 0_f64;
    for n in 0..3 {
        tokio::time::sleep(ms(500 + mix(plan.seed, n as u64) % 1_000)).await;
        let nodes = &mut servers.cluster.as_mut().expect("set above").nodes;
        nodes[n].kill();
        tokio::time::sleep(ms(1_000 + mix(plan.seed, 9 + n as u64) % 3_000)).await;
        nodes[n].restart();
        let since = Instant::now();
        while !nodes
            .iter()
            .all(|node| node.cli(&["cluster", "info"]).contains("cluster_state:ok"))
        {
            ensure!(
                since.elapsed() < RECOVERED,
                "the cluster does not come back"
            );
            tokio::time::sleep(ms(50)).await;
        }
        servers.reached().await?;
        slowest(&mut recovery_s, since);
        recovered(&load, Instant::now()).await?;
    }
    let since = Instant::now();
    load.end().await;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    Ok(Found {
        times: 3,
        recovery_s,
        ..servers.compare().await?
    })
}
