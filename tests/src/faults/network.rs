//! Networks between the product's processes and their servers.

use super::cases::{drained, ms, recovered};
use super::load::{Load, Shape};
use super::proxy::{Network, Proxy};
use super::servers::{Differently, Servers};
use super::stand::slowest;
use super::{Found, Plan, mix};
use anyhow::Result;
use std::time::Instant;

/// Every network in every way, for some seconds each: less than a client waits for an answer, and more.
pub async fn cut_network(plan: Plan) -> Result<Found> {
    const WAYS: [Network; 3] = [Network::Cut, Network::Stalls, Network::LosesAnswers];
    let proxies = [
        Proxy::bind().await?,
        Proxy::bind().await?,
        Proxy::bind().await?,
    ];
    let [collector_to_log, features_to_log, features_to_state] = &proxies;
    let ports = [collector_to_log.port, features_to_log.port];
    let servers = match Servers::behind(&ports)? {
        Ok(servers) => servers,
        Err(skipped) => return Ok(skipped),
    };
    for (proxy, port) in proxies.iter().zip(servers.kafka.behind()) {
        proxy.lead(*port);
    }
    features_to_state.lead(servers.redis.port);
    let start = |name, differently: Differently| {
        let started = servers.try_process(name, name, &differently)?;
        started.map_err(anyhow::Error::msg)
    };
    let collector = start(
        "ingest",
        Differently {
            kafka: Some(collector_to_log.port),
            ..Differently::default()
        },
    )?;
    let _features = start(
        "features",
        Differently {
            kafka: Some(features_to_log.port),
            redis: Some(features_to_state.port),
            ..Differently::default()
        },
    )?;
    let load = Load::start(&collector.url, &servers.ledger, plan.seed, Shape::default());
    recovered(&load, Instant::now()).await?;
    servers.reached().await?;
    let (mut recovery_s, mut times) = (0_f64, 0_u32);
    for (n, way) in WAYS.iter().enumerate() {
        for (m, proxy) in proxies.iter().enumerate() {
            // Redis is given five seconds to answer, a broker's acknowledgement five: one of three is longer.
            let h = mix(plan.seed, (n * 3 + m) as u64);
            let away = ms(1_000 + h % 2_000 + if n == m { 6_000 } else { 0 });
            proxy.becomes(*way);
            tokio::time::sleep(away).await;
            proxy.becomes(Network::Passes);
            times += 1;
            let since = Instant::now();
            if m == 0 {
                recovery_s = recovery_s.max(recovered(&load, since).await?);
            } else {
                servers.reached().await?;
                slowest(&mut recovery_s, since);
            }
            tokio::time::sleep(ms(500)).await;
        }
    }
    // A cut that is no longer than a connection.
    for n in 0..20 {
        let proxy = &proxies[n % 3];
        proxy.becomes(Network::Cut);
        tokio::time::sleep(ms(5)).await;
        proxy.becomes(Network::Passes);
        times += 1;
        tokio::time::sleep(ms(100 + mix(plan.seed, 50 + n as u64) % 300)).await;
    }
    let since = Instant::now();
    recovered(&load, since).await?;
    load.end().await;
    drained(&collector).await?;
    servers.folded().await?;
    slowest(&mut recovery_s, since);
    Ok(Found {
        times,
        recovery_s,
        ..servers.compare().await?
    })
}
