//! The table of a plan.

use anyhow::Result;
use mediaflow_publisher::plan::{Row, Tally};
use serde_json::json;
use std::io::Write as _;

/// Prints rows as a table, or as objects a line with a last one about the traffic.
pub fn print(tally: &Tally, as_json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let base = tally
        .rows
        .iter()
        .find(|r| r.policy == "on_change")
        .map(|r| r.writes);
    if as_json {
        for row in &tally.rows {
            let mut object = serde_json::to_value(row)?;
            object["saved_against_on_change"] = json!(saved(row, base));
            writeln!(out, "{object}")?;
        }
        let Tally {
            events,
            readers,
            requests,
            by_known_devices,
            readers_on_several,
            days,
            ..
        } = tally;
        let traffic = json!({
            "events": events, "readers": readers, "readers_on_several_devices": readers_on_several,
            "requests": requests, "requests_by_known_devices": by_known_devices, "days": days,
        });
        writeln!(out, "{}", json!({ "traffic": traffic }))?;
        return Ok(());
    }
    writeln!(
        out,
        "{} events of {} readers ({} on several devices) in {:.1} days, {} requests ({} by devices met before)",
        tally.events,
        tally.readers,
        tally.readers_on_several,
        tally.days,
        tally.requests,
        tally.by_known_devices
    )?;
    writeln!(
        out,
        "{:<27} {:>10} {:>8} {:>11} {:>10} {:>11} {:>11} | {:>9} {:>9} | {:>9} {:>9}",
        "policy",
        "writes",
        "saved",
        "dollars",
        "$/day",
        "stale mean",
        "stale p95",
        "as served",
        "p95",
        "elsewhere",
        "p95"
    )?;
    for r in &tally.rows {
        let saved = saved(r, base).map_or_else(String::new, |s| format!("{:.1} %", s * 100.0));
        writeln!(
            out,
            "{:<27} {:>10} {:>8} {:>11.6} {:>10.6} {:>11} {:>11} | {:>7.3} % {:>7.3} % | {:>7.3} % {:>7.3} %",
            r.policy,
            r.writes,
            saved,
            r.dollars,
            r.dollars_per_day,
            time(r.staleness_s_mean),
            time(r.staleness_s_p95),
            r.regret_served_mean * 100.0,
            r.regret_served_p95 * 100.0,
            r.regret_elsewhere_mean * 100.0,
            r.regret_elsewhere_p95 * 100.0
        )?;
    }
    for r in tally.rows.iter().filter(|r| r.why.len() > 1) {
        let why: Vec<String> = r.why.iter().map(|(w, n)| format!("{w} {n}")).collect();
        writeln!(
            out,
            "{}: {}; {} waiting at the end",
            r.policy,
            why.join(", "),
            r.waiting
        )?;
    }
    Ok(())
}

fn saved(row: &Row, base: Option<u64>) -> Option<f64> {
    base.filter(|b| *b > 0)
        .map(|b| 1.0 - row.writes as f64 / b as f64)
}

fn time(s: f64) -> String {
    match s {
        s if s < 100.0 => format!("{s:.1} s"),
        s if s < 6000.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
