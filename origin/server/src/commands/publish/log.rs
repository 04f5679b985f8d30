//! The traffic of a running origin: its log and its articles, as the operators' routes stream them.

use super::Origin;
use super::traffic::{Replay, articles_in, bar};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf as _, Bytes};
use mediaflow_publisher::plan::{PlanSettings, Tally};
use mediaflow_shared::time::Timestamp;
use reqwest::{Client, Method, Response};
use std::io::{BufRead as _, BufReader, Read};
use tokio::sync::mpsc;

/// Pieces of an answer read ahead: the network goes on while events are folded.
const AHEAD: usize = 16;

/// A time on the command line: a span back from `now`, or RFC 3339.
pub fn moment(name: &str, text: &str, now: Timestamp) -> Result<Timestamp> {
    let minutes = |unit: char| match unit {
        'm' => Some(1),
        'h' => Some(60),
        'd' => Some(24 * 60),
        _ => None,
    };
    let mut digits = text.chars();
    let per = digits.next_back().and_then(minutes);
    let span = per.zip(digits.as_str().parse::<u32>().ok());
    if let Some((per, n)) = span {
        return Ok(Timestamp(now.0 - i64::from(n) * per * 60_000));
    }
    Timestamp::parse(text).map_err(|e| {
        anyhow::anyhow!("{name} {text}: {e}; give a span such as 90m, 24h or 7d, or a time such as 2026-11-21T08:00:00Z")
    })
}

/// Prices policies on what the log took from `since` until before `until`.
pub async fn from_origin(
    mut settings: PlanSettings,
    origin: &Origin,
    since: Timestamp,
    until: Timestamp,
) -> Result<Tally> {
    ensure!(
        since < until,
        "--since {since} is not before --until {until}; name an earlier --since"
    );
    let client = Client::new();
    let ask = async |path: &str| {
        let request = origin.request(&client, Method::GET, path);
        origin.send(request).await
    };
    let articles = ask("/admin/v1/content").await?;
    let of = origin.origin.clone();
    let articles = reading(articles, move |body| {
        articles_in(body, &format!("the articles of {of}"))
    })
    .await?;
    // A brand whose content system is not connected has events all the same.
    settings.invent_items = articles.is_empty();
    eprintln!("{} articles", articles.len());
    let events = ask(&format!("/admin/v1/events?since={since}&until={until}")).await?;
    let records = events.headers().get("mediaflow-records");
    let records = records.and_then(|r| r.to_str().ok()?.parse().ok());
    let tally = reading(events, move |body| {
        let mut replay = Replay::new(settings, articles)?;
        let bar = bar(records.unwrap_or(0), "events");
        for line in body.lines() {
            replay.take_line(&line.context("the events broke off; try again")?)?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        anyhow::Ok(replay.finish())
    })
    .await?;
    if tally.events == 0 {
        bail!(
            "{} took no events from {since} to {until}; name an earlier --since",
            origin.origin
        );
    }
    Ok(tally)
}

/// Lets code that blocks read an answer while it arrives.
async fn reading<T: Send + 'static>(
    mut answer: Response,
    read: impl FnOnce(BufReader<Pieces>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, pieces) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        read(BufReader::new(Pieces {
            pieces,
            rest: Bytes::new(),
        }))
    });
    while let Some(piece) = answer.chunk().await.transpose() {
        let broken = piece.is_err();
        // Nobody listens once the reader has failed, which says why itself.
        if sender.send(piece).await.is_err() || broken {
            break;
        }
    }
    drop(sender);
    reader.await?
}

/// An answer's pieces, as bytes to be read.
struct Pieces {
    pieces: mpsc::Receiver<reqwest::Result<Bytes>>,
    rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.pieces.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece.map_err(std::io::Error::other)?,
            }
        }
        let n = self.rest.len().min(buf.len());
        self.rest.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_span_back_or_a_time() {
        let now = Timestamp::parse("2026-11-21T08:00:00Z").unwrap();
        for (text, then) in [
            ("90m", "2026-11-21T06:30:00Z"),
            ("24h", "2026-11-20T08:00:00Z"),
            ("7d", "2026-11-14T08:00:00Z"),
            ("0m", "2026-11-21T08:00:00Z"),
            ("2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ] {
            let found = moment("--since", text, now).unwrap();
            assert_eq!(found, Timestamp::parse(then).unwrap(), "{text}");
        }
        for text in ["", "h", "5x", "-5h", "yesterday", "5", "4294967296d"] {
            let said = moment("--since", text, now).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--since {text}: ")), "{said}");
            assert!(said.contains("give a span such as"), "{said}");
        }
    }

    #[test]
    fn pieces_are_read_whole_and_a_broken_answer_is_no_end() {
        let (sender, pieces) = mpsc::channel(4);
        for piece in ["a\nb", "", "b\n"] {
            sender.try_send(Ok(Bytes::from(piece))).unwrap();
        }
        drop(sender);
        let rest = Bytes::new();
        let lines = BufReader::new(Pieces { pieces, rest }).lines();
        assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["a", "bb"]);
    }
}
