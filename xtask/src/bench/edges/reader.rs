//! One reader who agreed to be known and read five stories.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::start::{Edge, FEED, Stand};
use crate::up::http::{Answer, send};

/// The reader's cookie, as it is after a first feed: nothing is left to be asked of storage.
pub fn cookie(edge: &Edge, stand: &Stand) -> Result<String> {
    let json = ("content-type", "application/json");
    let consent = json!({ "action": "consent_on", "brand": "daily" }).to_string();
    let answer = send(
        edge.address,
        "POST",
        "/v1/me?brand=daily",
        &[json],
        consent.as_bytes(),
    )?
    .expect("consent", &[200, 204])?;
    let cookie = set(&answer).context("consent was given, but no cookie was set")?;
    let events: Vec<_> = stand
        .ids
        .iter()
        .take(5)
        .enumerate()
        .map(|(n, id)| {
            json!({
                "specversion": "1.0",
                "id": format!("bench-{n}"),
                "source": "/bench",
                "type": "org.mediaflow.read.v1",
                "data": { "brand": "daily", "surface": "home", "content_id": id, "dwell_s": 60 },
            })
        })
        .collect();
    let batch = json!(events).to_string();
    let kind = ("content-type", "application/cloudevents-batch+json");
    let answer = send(
        edge.address,
        "POST",
        "/v1/events",
        &[kind, ("cookie", &cookie)],
        batch.as_bytes(),
    )?
    .expect("the reads", &[202])?;
    let cookie = set(&answer).unwrap_or(cookie);
    let feed =
        send(edge.address, "GET", FEED, &[("cookie", &cookie)], b"")?.expect("the feed", &[200])?;
    let rung = feed.header("mediaflow-rung").unwrap_or_default();
    ensure!(
        rung == "0",
        "{}: a reader with a token gets rung {rung}: {}",
        edge.name,
        feed.text()
    );
    let body = feed.json()?;
    let candidates = &body["_mediaflow"]["candidates"];
    ensure!(
        *candidates == json!(super::start::ITEMS),
        "{}: {candidates} candidates were ranked",
        edge.name
    );
    Ok(set(&feed).unwrap_or(cookie))
}

/// `name=value` of the cookie that an answer sets.
pub fn set(answer: &Answer) -> Option<String> {
    let cookie = answer.header("set-cookie")?;
    cookie.split(';').next().map(str::to_owned)
}
