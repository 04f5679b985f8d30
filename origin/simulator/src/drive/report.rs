//! Counting sessions, and the report at the end.

use super::session::Outcome;
use crate::client::{Arm, Call};
use crate::estimate::{Lift, Unit, lift, percentile};
use crate::limits::LATENCIES_MAX;
use crate::readers::Reader;
use std::collections::BTreeMap;
use std::fmt;

/// Where a drive stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Sessions finished.
    pub sessions: u64,
    /// Feeds answered with 2xx.
    pub feeds: u64,
    /// Events sent.
    pub events: u64,
    /// Answers other than 2xx, and none at all.
    pub failures: u64,
    /// Seconds since the start.
    pub elapsed_s: f64,
}

/// Latency of one kind of call, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latency {
    /// Which call.
    pub call: Call,
    /// Calls answered.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

/// What a drive found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Sessions counted: personalized, editorial.
    pub sessions: [u64; 2],
    /// Impressions: personalized, editorial.
    pub shown: [u64; 2],
    /// Clicks: personalized, editorial.
    pub clicks: [u64; 2],
    /// Events sent, warm-up included.
    pub events: u64,
    /// Personalized over editorial among readers who gave consent.
    pub lift: Option<Lift>,
    /// The same among all readers: those without consent get no profile in either arm.
    pub lift_all: Option<Lift>,
    /// Latency by call, warm-up included.
    pub latency: Vec<Latency>,
    /// Answers other than 2xx by call and status (0: no answer), warm-up included.
    pub failures: BTreeMap<(Call, u16), u64>,
}

/// Running counts.
#[derive(Debug)]
pub(super) struct Tally {
    units: Vec<(bool, Unit)>,
    report: Report,
    latencies_ms: BTreeMap<Call, Vec<f64>>,
    answered: BTreeMap<Call, u64>,
    sessions: u64,
}

impl Tally {
    pub(super) fn new(readers: usize) -> Self {
        Self {
            units: vec![(false, Unit::default()); readers],
            report: Report {
                sessions: [0; 2],
                shown: [0; 2],
                clicks: [0; 2],
                events: 0,
                lift: None,
                lift_all: None,
                latency: Vec::new(),
                failures: BTreeMap::new(),
            },
            latencies_ms: BTreeMap::new(),
            answered: BTreeMap::new(),
            sessions: 0,
        }
    }

    pub(super) fn add(&mut self, who: usize, reader: &Reader, o: Outcome, counted: bool) {
        self.sessions += 1;
        self.report.events += o.events;
        for (call, status, ms) in o.calls {
            if (200..300).contains(&status) {
                *self.answered.entry(call).or_default() += 1;
                let all = self.latencies_ms.entry(call).or_default();
                if all.len() < LATENCIES_MAX {
                    all.push(ms);
                }
            } else {
                *self.report.failures.entry((call, status)).or_default() += 1;
            }
        }
        if !counted {
            return;
        }
        let arm = usize::from(o.arm == Arm::Editorial);
        self.report.sessions[arm] += 1;
        self.report.shown[arm] += o.shown;
        self.report.clicks[arm] += o.clicks;
        let (consents, u) = &mut self.units[who];
        *consents = reader.consents;
        let (shown, clicks) = match o.arm {
            Arm::Personalized => (&mut u.shown, &mut u.clicks),
            Arm::Editorial => (&mut u.base_shown, &mut u.base_clicks),
        };
        *shown += o.shown as f64;
        *clicks += o.clicks as f64;
    }

    pub(super) fn progress(&self, elapsed_s: f64) -> Progress {
        Progress {
            sessions: self.sessions,
            feeds: self.answered.get(&Call::Feed).copied().unwrap_or_default(),
            events: self.report.events,
            failures: self.report.failures.values().sum(),
            elapsed_s,
        }
    }

    pub(super) fn report(&self) -> Report {
        // Readers who never came say nothing about either arm.
        let came = |u: &Unit| u.shown + u.base_shown > 0.0;
        let all: Vec<Unit> = self.units.iter().map(|u| u.1).filter(came).collect();
        let consenting: Vec<Unit> = self
            .units
            .iter()
            .filter(|u| u.0)
            .map(|u| u.1)
            .filter(came)
            .collect();
        let latency = self.latencies_ms.iter().map(|(call, ms)| {
            let mut sorted = ms.clone();
            sorted.sort_by(f64::total_cmp);
            Latency {
                call: *call,
                count: self.answered.get(call).copied().unwrap_or_default(),
                p50_ms: percentile(&sorted, 0.5),
                p95_ms: percentile(&sorted, 0.95),
                p99_ms: percentile(&sorted, 0.99),
            }
        });
        Report {
            lift: lift(&consenting),
            lift_all: lift(&all),
            latency: latency.collect(),
            ..self.report.clone()
        }
    }
}

impl Report {
    /// The report as one JSON object, for `--json`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let one = |l: &Lift| serde_json::json!({"ctr": l.ctr, "editorial_ctr": l.base_ctr, "ratio": l.ratio, "low": l.low, "high": l.high});
        let latency: serde_json::Map<_, _> = self.latency.iter()
            .map(|l| {
                let v = serde_json::json!({"count": l.count, "p50_ms": l.p50_ms, "p95_ms": l.p95_ms, "p99_ms": l.p99_ms});
                (l.call.name().to_owned(), v)
            })
            .collect();
        let failures: serde_json::Map<_, _> = self
            .failures
            .iter()
            .map(|((c, s), n)| (format!("{} {s}", c.name()), (*n).into()))
            .collect();
        serde_json::json!({
            "sessions": {"personalized": self.sessions[0], "editorial": self.sessions[1]},
            "impressions": {"personalized": self.shown[0], "editorial": self.shown[1]},
            "clicks": {"personalized": self.clicks[0], "editorial": self.clicks[1]},
            "events": self.events,
            "lift": self.lift.as_ref().map(one),
            "lift_all_readers": self.lift_all.as_ref().map(one),
            "latency": latency,
            "failures": failures,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<14}{:>10}{:>13}{:>9}{:>9}",
            "arm", "sessions", "impressions", "clicks", "CTR"
        )?;
        for (i, name) in ["personalized", "editorial"].iter().enumerate() {
            let rate = 100.0 * self.clicks[i] as f64 / (self.shown[i] as f64).max(1.0);
            writeln!(
                f,
                "{name:<14}{:>10}{:>13}{:>9}{rate:>8.2}%",
                self.sessions[i], self.shown[i], self.clicks[i]
            )?;
        }
        for (who, l) in [
            ("readers with consent", &self.lift),
            ("all readers", &self.lift_all),
        ] {
            match l {
                Some(l) => writeln!(
                    f,
                    "CTR personalized / editorial, {who}: {:.2} (95 % interval {:.2} to {:.2})",
                    l.ratio, l.low, l.high
                )?,
                None => writeln!(
                    f,
                    "CTR personalized / editorial, {who}: too few clicks to say"
                )?,
            }
        }
        for l in &self.latency {
            let name = l.call.name();
            writeln!(
                f,
                "{name:<8}{:>8} answers, p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms",
                l.count, l.p50_ms, l.p95_ms, l.p99_ms
            )?;
        }
        for ((call, status), n) in &self.failures {
            let what = if *status == 0 {
                String::from("no answer")
            } else {
                format!("status {status}")
            };
            writeln!(f, "{:<8}{n:>8} times {what}", call.name())?;
        }
        write!(f, "{} events sent", self.events)
    }
}
