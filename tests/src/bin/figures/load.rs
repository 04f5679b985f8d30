//! A load of a fixed rate: latencies at a part of saturation, which a closed loop cannot show.
//!
//! Requests are due at even intervals, whatever the answers do. A request that is due while its connection still
//! waits for an answer counts from when it was due, so a stall is seen by every request that it delays.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes read from a connection at once: a feed fits.
const READ_BYTES: usize = 64 * 1024;

/// What to send, and how often.
pub struct Load {
    /// Where to.
    pub addr: SocketAddr,
    /// With its query.
    pub path: String,
    /// `Cookie`, or empty.
    pub cookie: String,
    /// Requests a second over all connections.
    pub rate: f64,
    /// Connections, each with one request under way at most.
    pub connections: u32,
    /// How long.
    pub seconds: f64,
}

/// Prints `{requests, rate, p50_ms, p99_ms, max_ms, failed}`; `rate` is what was reached.
pub async fn run(load: Load) -> Result<()> {
    ensure!(
        load.rate > 0.0 && load.connections > 0,
        "a rate and connections above zero are needed"
    );
    let cookie = if load.cookie.is_empty() {
        String::new()
    } else {
        format!("cookie: {}\r\n", load.cookie)
    };
    let request = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\n{cookie}\r\n",
        load.path, load.addr
    );
    let begun = Instant::now();
    let step = Duration::from_secs_f64(f64::from(load.connections) / load.rate);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..load.connections {
        let first = begun + Duration::from_secs_f64(f64::from(n) / load.rate);
        let end = begun + Duration::from_secs_f64(load.seconds);
        tasks.spawn(connection(load.addr, request.clone(), first, step, end));
    }
    let (mut ms, mut failed) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (times, bad) = done??;
        ms.extend(times);
        failed += bad;
    }
    ensure!(!ms.is_empty(), "no request was answered");
    let rate = ms.len() as f64 / begun.elapsed().as_secs_f64();
    ms.sort_by(f64::total_cmp);
    let at = |part: f64| ms[((ms.len() - 1) as f64 * part) as usize];
    println!(
        "{}",
        serde_json::json!({
            "requests": ms.len(), "rate": rate, "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "failed": failed,
        })
    );
    Ok(())
}

/// Latencies in ms, and how many answers were not 200.
async fn connection(
    addr: SocketAddr,
    request: String,
    first: Instant,
    step: Duration,
    end: Instant,
) -> Result<(Vec<f64>, u64)> {
    let mut stream = TcpStream::connect(addr)
        .await
        .context("the edge cannot be reached")?;
    stream.set_nodelay(true)?;
    let (mut ms, mut failed) = (Vec::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    let mut due = first;
    while due < end {
        let idle = due > Instant::now();
        if idle {
            tokio::time::sleep_until(due.into()).await;
        }
        // The timer's own lateness is ours; a busy connection's is the server's.
        let from = if idle { Instant::now() } else { due };
        stream.write_all(request.as_bytes()).await?;
        if answer(&mut stream, &mut buffer).await? != 200 {
            failed += 1;
        }
        ms.push(from.elapsed().as_secs_f64() * 1000.0);
        due += step;
    }
    Ok((ms, failed))
}

/// Reads one answer to its end; answers its status.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<u16> {
    let mut filled = 0;
    loop {
        let n = stream.read(&mut buffer[filled..]).await?;
        if n == 0 {
            bail!("the edge closed a connection, or its answer is over {READ_BYTES} bytes");
        }
        filled += n;
        let got = &buffer[..filled];
        let Some(head_end) = find(got, b"\r\n\r\n") else {
            continue;
        };
        let head = core::str::from_utf8(&got[..head_end]).context("the head is not text")?;
        let status = head
            .get(9..12)
            .and_then(|s| s.parse().ok())
            .context("no status line")?;
        let body = &got[head_end + 4..];
        let mut lines = head.split("\r\n").skip(1).filter_map(|l| l.split_once(':'));
        let length = lines
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim().parse::<usize>());
        let whole = match length {
            Some(length) => body.len() >= length?,
            // Only answers without a body or chunked ones have no length; the last chunk is empty.
            None => status == 204 || status == 304 || body.ends_with(b"0\r\n\r\n"),
        };
        if whole {
            return Ok(status);
        }
    }
}

fn find(in_bytes: &[u8], what: &[u8]) -> Option<usize> {
    in_bytes.windows(what.len()).position(|w| w == what)
}
