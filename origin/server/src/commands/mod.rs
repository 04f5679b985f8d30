//! Commands that talk to a running origin or edge, and those that need neither.

pub mod dlq;
pub mod features;
pub mod feed;
pub mod import;
pub mod keys;
pub mod publish;
pub mod replay;
pub mod simulate;
pub mod top;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

/// Where the origin is and who asks.
#[derive(Debug, Clone, Args)]
pub struct Origin {
    /// Address of the running origin
    #[arg(
        long,
        default_value = "http://127.0.0.1:8080",
        env = "MEDIAFLOW_ORIGIN"
    )]
    pub origin: String,
    /// Admin token of an admin or chief (never printed)
    #[arg(long, env = "MEDIAFLOW_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

impl Origin {
    /// A request with the token.
    pub fn request(
        &self,
        client: &reqwest::Client,
        method: reqwest::Method,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.origin.trim_end_matches('/'));
        let r = client.request(method, url);
        match &self.token {
            Some(t) => r.bearer_auth(t),
            None => r,
        }
    }

    /// Sends, and turns a problem document into an error that keeps its reason and remedy.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        let answer = request.send().await.with_context(|| {
            format!(
                "no answer from {}; is `mediaflow serve` running there?",
                self.origin
            )
        })?;
        refuse(answer).await
    }
}

/// An error for anything but 2xx and 3xx, in the words of the problem document.
pub async fn refuse(answer: reqwest::Response) -> Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() || status.is_redirection() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let problem: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    match problem["detail"].as_str() {
        Some(detail) => bail!("{status}: {detail}"),
        None => bail!("{status}: {}", text.chars().take(200).collect::<String>()),
    }
}

/// The first lines of an article of a terminal table: at most `width` characters.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut s: String = text.chars().take(width.saturating_sub(1)).collect();
    s.push('…');
    s
}
