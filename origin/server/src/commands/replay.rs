//! `mediaflow replay`: the same bytes again.

use super::Origin;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::io::Write as _;

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The feed's id: `_mediaflow.feed_id` of a feed, or its header `MediaFlow-Feed-Id`
    feed_id: String,
    #[command(flatten)]
    origin: Origin,
}

/// Runs `replay`: the feed on standard output, the verdict on standard error.
pub async fn run(a: ReplayArguments) -> Result<()> {
    let client = reqwest::Client::new();
    let path = format!("/admin/v1/replay/{}", a.feed_id);
    let answer = a
        .origin
        .send(a.origin.request(&client, reqwest::Method::GET, &path))
        .await?;
    let verdict = answer
        .headers()
        .get("mediaflow-replay")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
        .to_owned();
    let body = answer
        .bytes()
        .await
        .context("the answer broke off; try again")?;
    std::io::stdout().write_all(&body)?;
    println!();
    match verdict.as_str() {
        "identical" => {
            eprintln!("identical: {} bytes, the same as were served", body.len());
            Ok(())
        }
        other => bail!("the replay {other} from what was served: report this feed id"),
    }
}
