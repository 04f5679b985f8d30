//! `mediaflow feed`: a reader's feed in the terminal, with why.

use super::{cut, refuse};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

/// Arguments of `feed`.
#[derive(Debug, Args)]
pub struct FeedArguments {
    /// Brand slug
    brand: String,
    /// Surface slug
    #[arg(default_value = "home")]
    surface: String,
    /// Address of an edge
    #[arg(long, default_value = "http://127.0.0.1:8081", env = "MEDIAFLOW_EDGE")]
    edge: String,
    /// Items
    #[arg(long, default_value_t = 20)]
    limit: u16,
    /// A reader's cookie, as the edge set it (name=value)
    #[arg(long, env = "MEDIAFLOW_COOKIE", hide_env_values = true)]
    cookie: Option<String>,
    /// Why is this content id not there?
    #[arg(long)]
    why: Option<String>,
    /// `personal`, `editorial` or `classic`
    #[arg(long, default_value = "personal")]
    arm: String,
    /// The feed as it came, not a table
    #[arg(long)]
    json: bool,
}

/// Runs `feed`.
pub async fn run(a: FeedArguments) -> Result<()> {
    let mut url = format!(
        "{}/v1/feed/{}/{}?limit={}&explain=1&arm={}",
        a.edge.trim_end_matches('/'),
        a.brand,
        a.surface,
        a.limit,
        a.arm
    );
    if let Some(id) = &a.why {
        url.push_str(&format!("&why={id}"));
    }
    let mut request = reqwest::Client::new().get(&url);
    if let Some(cookie) = &a.cookie {
        request = request.header("cookie", cookie);
    }
    let answer = request
        .send()
        .await
        .with_context(|| format!("no answer from {}; is an edge running there?", a.edge))?;
    let answer = refuse(answer).await?;
    let header = |name: &str| {
        answer
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    let (rung, consent) = (header("mediaflow-rung"), header("mediaflow-consent"));
    let body = answer.text().await?;
    if a.json || a.why.is_some() {
        println!("{body}");
        return Ok(());
    }
    let feed: Value =
        serde_json::from_str(&body).context("the edge answered something that is not a feed")?;
    println!(
        "{}  ·  rung {rung}  ·  consent {consent}",
        feed["title"].as_str().unwrap_or("")
    );
    println!(
        "feed {}",
        feed["_mediaflow"]["feed_id"].as_str().unwrap_or("-")
    );
    for (slot, item) in feed["items"].as_array().into_iter().flatten().enumerate() {
        let ours = &item["_mediaflow"];
        let score = ours["score"]
            .as_str()
            .map_or_else(|| ours["score"].to_string(), str::to_owned);
        let why: Vec<&str> = ours["reasons"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|r| r["text"].as_str())
            .collect();
        println!(
            "{slot:>3}  {score:>8}  {:<62}  {}",
            cut(item["title"].as_str().unwrap_or(""), 62),
            why.join("; ")
        );
    }
    Ok(())
}
