//! Processes that end themselves at named points: between two steps that must not be told apart afterwards.

use super::cases::{RECOVERED, drained, ms, recovered, servers};
use super::load::{Load, Shape};
use super::servers::{Differently, Servers};
use super::stand::{Stand, slowest};
use super::{Found, Plan, mix};
use crate::Origin;
use anyhow::{Context, Result, ensure};
use mediaflow_ports::fault::Point;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Instant;

/// Those that an origin on the embedded stores passes.
const EMBEDDED: [Point; 9] = [
    Point::Claimed,
    Point::LogWritten,
    Point::Appended,
    Point::Answering,
    Point::Folded,
    Point::Committed,
    Point::ProfilesJudged,
    Point::ProfilesWritten,
    Point::ProfilesNoted,
];
/// Those that processes on Kafka and Redis pass, and the role that does.
const ROLES: [(Point, usize); 8] = [
    (Point::Claimed, 0),
    (Point::Folded, 1),
    (Point::ProfilesJudged, 2),
    (Point::Appended, 0),
    (Point::Committed, 1),
    (Point::ProfilesWritten, 2),
    (Point::Answering, 0),
    (Point::ProfilesNoted, 2),
];
const NAMES: [&str; 3] = ["ingest", "features", "publisher"];
/// SIGABRT, by which a process ends itself.
const ABORTED: i32 = 6;

/// Passing it for the first time up to the twelfth.
fn aim(point: Point, h: u64) -> String {
    format!("{}:{}", point.name(), 1 + h % 12)
}

/// Waits until it ends itself.
async fn ended(origin: &mut Origin, point: Point) -> Result<()> {
    let end = Instant::now() + RECOVERED;
    let status = loop {
        if let Some(status) = origin.ended() {
            break status;
        }
        ensure!(
            Instant::now() < end,
            "point {} was not passed in {RECOVERED:?}",
            point.name()
        );
        tokio::time::sleep(ms(5)).await;
    };
    ensure!(
        status.signal() == Some(ABORTED),
        "at {} it ended with {status}: {}",
        point.name(),
        origin.log()
    );
    Ok(())
}

pub async fn kill_points(plan: Plan) -> Result<Found> {
    let mut stand = Stand::start(None)?;
    let shape = Shape::default();
    let load = Load::start(&stand.url(), &stand.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    let mut times = 0_u32;
    for round in 0..(plan.kills / 20).max(1) {
        for point in EMBEDDED {
            let h = mix(plan.seed, u64::from(times + round));
            stand.kill();
            stand.setup.variables = vec![("MEDIAFLOW_FAULT_AT", aim(point, h))];
            // One that ends before it listens did what was asked too.
            if let Ok(mut origin) = stand.setup.try_start(&stand.dir) {
                load.redirect(&origin.url);
                ended(&mut origin, point).await?;
            }
            times += 1;
        }
    }
    stand.setup.variables.clear();
    let since = Instant::now();
    stand.restart();
    load.redirect(&stand.url());
    recovered(&load, since).await?;
    let recovery_s = load.longest_gap_s();
    load.end().await;
    Ok(Found {
        times,
        recovery_s,
        ..stand.compare().await?
    })
}

/// A process that will end itself.
fn doomed(servers: &Servers, role: usize, aim: String) -> Result<Option<Origin>> {
    let differently = Differently {
        fault_at: Some(aim),
        ..Differently::default()
    };
    let started = servers.try_process(NAMES[role], NAMES[role], &differently)?;
    // One that ends before it listens did what was asked too.
    Ok(started.ok())
}

pub async fn kill_points_roles(plan: Plan) -> Result<Found> {
    let mut servers = servers!();
    let mut processes: Vec<Option<Origin>> = Vec::new();
    for role in NAMES {
        processes.push(Some(servers.process(role, role)?));
    }
    let url = |p: &Option<Origin>| p.as_ref().map_or_else(String::new, |o| o.url.clone());
    let shape = Shape {
        gentle: true,
        ..Shape::default()
    };
    let load = Load::start(&url(&processes[0]), &servers.ledger, plan.seed, shape);
    recovered(&load, Instant::now()).await?;
    servers.reached().await?;
    let (mut recovery_s, mut times) = (0_f64, 0_u32);
    for round in 0..(plan.kills / 50).max(1) {
        for (point, role) in ROLES {
            let h = mix(plan.seed, u64::from(times + round));
            processes[role] = None;
            if let Some(mut process) = doomed(&servers, role, aim(point, h))? {
                if role == 0 {
                    load.redirect(&process.url);
                }
                ended(&mut process, point).await?;
            }
            times += 1;
            let since = Instant::now();
            processes[role] = Some(servers.process(NAMES[role], NAMES[role])?);
            match role {
                0 => {
                    load.redirect(&url(&processes[0]));
                    recovered(&load, since).await?;
                }
                1 => servers.reached().await?,
                _ => {}
            }
            slowest(&mut recovery_s, since);
        }
        times += spool(&mut servers, &mut processes[0], &load, plan, round).await?;
    }
    load.end().await;
    let collector = processes[0].as_ref().context("started above")?;
    drained(collector).await?;
    Ok(Found {
        times,
        recovery_s,
        ..servers.compare().await?
    })
}

/// The collector ends itself while it parks, half-way through draining, and between draining and forgetting.
async fn spool(
    servers: &mut Servers,
    collector: &mut Option<Origin>,
    load: &Load,
    plan: Plan,
    round: u32,
) -> Result<u32> {
    let h = mix(plan.seed, 1_000 + u64::from(round));
    *collector = None;
    let parking = format!("{}:{}", Point::SpoolParked.name(), 3 + h % 12);
    let mut parking = doomed(servers, 0, parking)?.context("there is nothing to park yet")?;
    load.redirect(&parking.url);
    recovered(load, Instant::now()).await?;
    servers.kafka.kill(0);
    ended(&mut parking, Point::SpoolParked).await?;
    servers.kafka.restart(0)?;
    let mut times = 1;
    for (point, nth) in [
        (Point::SpoolDrained, 1),
        (Point::SpoolDrained, 2),
        (Point::SpoolNoted, 1),
    ] {
        if let Some(mut draining) = doomed(servers, 0, format!("{}:{nth}", point.name()))? {
            load.redirect(&draining.url);
            ended(&mut draining, point).await?;
        }
        times += 1;
    }
    let back = servers.process(NAMES[0], NAMES[0])?;
    load.redirect(&back.url);
    recovered(load, Instant::now()).await?;
    *collector = Some(back);
    Ok(times)
}
