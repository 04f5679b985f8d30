//! One keep-alive connection: write a request, read its answer, count.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ledger::Ledger;
use super::template::{Population, Template};
use super::{Run, Seen};

/// Answers are short: counts, and reasons only where something is refused.
const ANSWER_BYTES: usize = 64 * 1024;
/// After a 503: shorter than its Retry-After, since this is a load.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Connection {
    stream: TcpStream,
    template: Template,
    population: Arc<Population>,
    ledger: Option<Arc<Ledger>>,
    buffer: Vec<u8>,
}

struct Answer {
    status: u16,
    accepted: u64,
    duplicates: u64,
}

impl Connection {
    pub async fn open(
        addr: SocketAddr,
        template: Template,
        population: Arc<Population>,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .context("the collector cannot be reached")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            template,
            population,
            ledger,
            buffer: vec![0; ANSWER_BYTES],
        })
    }

    pub async fn run(mut self, run: Arc<Run>, number: usize) -> Result<Seen> {
        let a = &run.arguments;
        let requests_s = a.rate / a.batch as f64;
        let open = a.rate > 0.0;
        let step = if open {
            Duration::from_secs_f64(a.connections as f64 / requests_s)
        } else {
            Duration::ZERO
        };
        let mut due = run.begun;
        if open {
            due += Duration::from_secs_f64(number as f64 / requests_s);
        }
        let mut seen = Seen::default();
        while !open || due < run.end || a.count > 0 {
            let Some(first) = run.take() else { break };
            let idle = open && due > Instant::now();
            if idle {
                tokio::time::sleep_until(due.into()).await;
            }
            // The timer's own lateness is ours; a busy connection's is the server's.
            let from = if open && !idle { due } else { Instant::now() };
            self.template.fill(&self.population, first);
            self.send(&mut seen).await?;
            seen.ms.push(from.elapsed().as_secs_f32() * 1000.0);
            if let Some(ledger) = &self.ledger {
                ledger.add(&self.template)?;
            }
            due += step;
        }
        Ok(seen)
    }

    /// Sends the request until it is acknowledged.
    async fn send(&mut self, seen: &mut Seen) -> Result<()> {
        loop {
            self.stream.write_all(self.template.request()).await?;
            let answer = self.answer().await?;
            match answer.status {
                202 => {
                    let all = self.template.events() as u64;
                    seen.acknowledged += answer.accepted;
                    seen.duplicates += answer.duplicates;
                    seen.rejected += all - (answer.accepted + answer.duplicates).min(all);
                    return Ok(());
                }
                503 => {
                    seen.refused += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                status => bail!(
                    "the collector answered {status}: {}",
                    String::from_utf8_lossy(&self.buffer[..400])
                ),
            }
        }
    }

    async fn answer(&mut self) -> Result<Answer> {
        let mut filled = 0;
        loop {
            let n = self.stream.read(&mut self.buffer[filled..]).await?;
            ensure!(n > 0, "the collector closed a connection");
            filled += n;
            let got = &self.buffer[..filled];
            let Some(head_end) = find(got, b"\r\n\r\n") else {
                continue;
            };
            let head = core::str::from_utf8(&got[..head_end]).context("the head is not text")?;
            let status = head.get(9..12).and_then(|s| s.parse().ok());
            let status = status.context("no status line")?;
            let length = head
                .split("\r\n")
                .filter_map(|l| l.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .context("the answer has no length")?;
            let body = &got[head_end + 4..];
            if body.len() >= length {
                return Ok(Answer {
                    status,
                    accepted: number(body, b"\"accepted\":"),
                    duplicates: number(body, b"\"duplicates\":"),
                });
            }
        }
    }
}

fn number(body: &[u8], name: &[u8]) -> u64 {
    let from = find(body, name).map_or(body.len(), |at| at + name.len());
    body[from..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |n, b| n * 10 + u64::from(b - b'0'))
}

fn find(in_bytes: &[u8], what: &[u8]) -> Option<usize> {
    in_bytes.windows(what.len()).position(|w| w == what)
}
