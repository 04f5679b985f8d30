//! How soon an event shows in the online value of its item, while others come at a rate.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Load;
use super::origin::Origin;
use crate::bench::{Figure, Must};
use crate::up::http::send;
use crate::workspace::Workspace;

const RATE_S: f64 = 20_000.0;
const PROBES: u64 = 200;
/// Between two looks at a value.
const LOOK: Duration = Duration::from_millis(4);
/// A value that is not there by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
const LOAD_S: f64 = 90.0;
/// Caches and tables have their size by then.
const WARM: Duration = Duration::from_secs(5);

/// Clicks of items that nothing else names, each asked for until it counts.
pub fn measure(workspace: &Workspace) -> Result<Vec<Figure>> {
    let origin = Origin::start(workspace, "fresh", None, &[])?;
    let load = Load {
        rate: RATE_S,
        seconds: LOAD_S,
        seed: 5,
        ..Load::default()
    };
    let to = origin.address;
    let (told, waits) = thread::scope(|scope| {
        let loading = scope.spawn(|| load.run(workspace, to));
        thread::sleep(WARM);
        let waits: Result<Vec<f64>> = (0..PROBES)
            .map(|n| {
                if loading.is_finished() {
                    bail!("the load of {LOAD_S} s was over after {n} of {PROBES} probes");
                }
                wait_s(&origin, n)
            })
            .collect();
        let told = loading.join().ok().context("the load ended early")?;
        anyhow::Ok((told?, waits?))
    })?;
    let folder = origin.folder.clone();
    drop(origin);
    fs::remove_dir_all(&folder)?;
    let mut waits = waits;
    waits.sort_by(f64::total_cmp);
    let at = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)];
    Ok(vec![
        Figure::new(
            format!("while events come at {RATE_S:.0}/s (rate reached)"),
            told.number("rate")?,
            "1/s",
            Must::AtLeast(RATE_S * 0.98),
        ),
        Figure::new(
            format!("event to online value, from before its request: p50 of {PROBES}"),
            at(50),
            "s",
            Must::Nothing,
        ),
        Figure::new("the same: p99", at(99), "s", Must::AtMost(1.0)),
    ])
}

/// Seconds from the click of an item to its value.
fn wait_s(origin: &Origin, n: u64) -> Result<f64> {
    let item = format!("{:016x}", 0xf4e5_0000_0000_0000 | n);
    let event = serde_json::json!([{
        "specversion": "1.0",
        "id": format!("fresh-{n}"),
        "source": "https://daily.example/fresh",
        "type": "org.mediaflow.click.v1",
        "readerid": format!("fresh-{n}"),
        "data": {"brand": "daily", "content_id": item},
    }]);
    let begun = Instant::now();
    let json = [("content-type", "application/json")];
    let body = event.to_string();
    send(origin.address, "POST", "/v1/events", &json, body.as_bytes())?
        .expect("the collector", &[202])?;
    let path = format!("/features/content/{item}?names=clicks_total");
    let token = format!("Bearer {}", origin.token);
    loop {
        let answer = send(
            origin.address,
            "GET",
            &path,
            &[("authorization", &token)],
            b"",
        )?;
        if answer.status == 200
            && answer.json()?["features"]["clicks_total"]["value"].as_f64() == Some(1.0)
        {
            return Ok(begun.elapsed().as_secs_f64());
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "{path} says after {} s: {} {}",
                PATIENCE.as_secs(),
                answer.status,
                answer.text()
            );
        }
        thread::sleep(LOOK);
    }
}
