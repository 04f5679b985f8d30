//! What the fault suite may ask of a process, by variables that nobody else sets: to end or stop itself at a named point,
//! and to run by a clock that is wrong. Each says so as a warning.
//!
//! `MEDIAFLOW_FAULT_AT=POINT:N[:stop]`: SIGABRT, or SIGSTOP, the Nth time [`Point`] is passed.
//! `MEDIAFLOW_FAULT_CLOCK=MS,MS,…/EVERY_MS`: the wall clock is off by each of these in turn.

use anyhow::{Context, Result, bail, ensure};
use mediaflow_ports::fault::{Point, arm};
use mediaflow_ports::{Clock, SystemClock};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const AT: &str = "MEDIAFLOW_FAULT_AT";
const CLOCK: &str = "MEDIAFLOW_FAULT_CLOCK";

/// Arms what the environment asks for.
///
/// # Errors
/// A point that there is not, naming those that there are.
pub fn start() -> Result<()> {
    let Ok(text) = std::env::var(AT) else {
        return Ok(());
    };
    let (point, times, act) = parse_at(&text).with_context(|| format!("{AT} = {text}"))?;
    ensure!(arm(point, times, act), "{AT} was read before");
    tracing::warn!("{AT} = {text}: this process will end or stop itself; unset it");
    Ok(())
}

/// The machine's clock, or the wrong one that the environment asks for.
///
/// # Errors
/// Text that is no such clock.
pub fn clock() -> Result<Arc<dyn Clock>> {
    let Ok(text) = std::env::var(CLOCK) else {
        return Ok(Arc::new(SystemClock));
    };
    let clock = Stepping::parse(&text).with_context(|| format!("{CLOCK} = {text}"))?;
    tracing::warn!("{CLOCK} = {text}: this process runs by a wrong clock; unset it");
    Ok(Arc::new(clock))
}

fn parse_at(text: &str) -> Result<(Point, u64, fn())> {
    let (name, rest) = text.split_once(':').context("is not POINT:N")?;
    let Some(point) = Point::ALL.into_iter().find(|p| p.name() == name) else {
        let names: Vec<_> = Point::ALL.iter().map(|p| p.name()).collect();
        bail!("{name} is none of {}", names.join(", "));
    };
    let (times, act): (&str, fn()) = match rest.split_once(':') {
        None => (rest, end),
        Some((times, "stop")) => (times, stop),
        Some((_, other)) => bail!("{other} is not stop"),
    };
    let times = times.parse().context("N is not a number")?;
    ensure!(times > 0, "N is counted from 1");
    Ok((point, times, act))
}

/// As abrupt as SIGKILL: nothing is unwound, flushed or dropped.
fn end() {
    std::process::abort();
}

/// Returns when somebody sends SIGCONT.
fn stop() {
    let id = std::process::id().to_string();
    // A stop that fails is seen by the suite, which waits for it.
    let _ = Command::new("kill").args(["-STOP", &id]).status();
}

/// Off by one amount after the other, for the same time each, and again from the first.
struct Stepping {
    offsets_ms: Vec<i64>,
    every: Duration,
    begun: Instant,
}

impl Stepping {
    fn parse(text: &str) -> Result<Self> {
        let (offsets, every_ms) = text.split_once('/').context("is not MS,MS,…/EVERY_MS")?;
        let offsets_ms: Result<Vec<i64>, _> = offsets.split(',').map(str::parse).collect();
        let every_ms: u64 = every_ms.parse().context("EVERY_MS is not a number")?;
        ensure!(every_ms > 0, "EVERY_MS is at least 1");
        Ok(Self {
            offsets_ms: offsets_ms.context("an offset is not a number")?,
            every: Duration::from_millis(every_ms),
            begun: Instant::now(),
        })
    }

    fn offset_ms(&self, passed: Duration) -> i64 {
        let turns = passed.as_millis() / self.every.as_millis();
        self.offsets_ms[(turns % self.offsets_ms.len() as u128) as usize]
    }
}

impl Clock for Stepping {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.offset_ms(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_and_a_wrong_one_is_told_the_right_ones() {
        let (point, times, _) = parse_at("folded:3:stop").unwrap();
        assert_eq!((point, times), (Point::Folded, 3));
        let e = parse_at("nowhere:1").unwrap_err().to_string();
        assert!(e.contains("nowhere") && e.contains("spool-drained"), "{e}");
        for bad in ["folded", "folded:0", "folded:x", "folded:1:jump"] {
            assert!(parse_at(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_clock_steps_and_begins_again() {
        let c = Stepping::parse("0,86400000,-86400000/500").unwrap();
        let at = |ms| c.offset_ms(Duration::from_millis(ms));
        assert_eq!((at(0), at(499), at(500)), (0, 0, 86_400_000));
        assert_eq!((at(1_000), at(1_500)), (-86_400_000, 0));
        assert!(Stepping::parse("0,1").is_err() && Stepping::parse("x/5").is_err());
        assert!(Stepping::parse("0/0").is_err());
    }
}
