//! Counters, gauges and histograms in Prometheus' text format.
//!
//! One rule for names: every family begins with `mediaflow_` (added here where the caller left it out), counters end in
//! `_total`, units are base units and last (`_seconds`, `_bytes`). Only `process_*`, which Prometheus itself names, goes
//! without. What a service keeps as plain atomics is copied when somebody asks ([`Metrics::on_scrape`]): nothing runs
//! between two scrapes.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, Opts, Registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec,
};

/// What every family of ours begins with.
pub const PREFIX: &str = "mediaflow_";

/// Seconds from 1 ms to 10 s: what HTTP handlers and commits take.
const LATENCY_BUCKETS_S: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Ages from 1 s to two days: what fronts and profiles reach before they are too old to serve.
const AGE_BUCKETS_S: [f64; 11] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0, 172_800.0,
];

#[derive(Clone)]
enum Family {
    Counter(IntCounterVec),
    Gauge(IntGaugeVec),
    Amount(CounterVec),
    Level(GaugeVec),
    Histogram(HistogramVec),
}

type Hook = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Inner {
    registry: Registry,
    families: Mutex<HashMap<String, Family>>,
    hooks: Mutex<Vec<Hook>>,
}

/// The metrics of a process. Clones share one registry; asking twice for a name gives the same
/// family. Label values come from closed sets (routes, slugs of sources): never ids or user input.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A family of counters, such as `ingest_events_total` by `outcome`.
    ///
    /// # Panics
    /// When the name or a label is not a valid metric name, or the name is taken by another kind
    /// or other labels: a defect of the program, seen at start-up.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let name = &full(name);
        let make = || IntCounterVec::new(Opts::new(name, help), labels).map(Family::Counter);
        match self.family(name, make) {
            Family::Counter(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
    }

    /// A family of gauges.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let name = &full(name);
        let make = || IntGaugeVec::new(Opts::new(name, help), labels).map(Family::Gauge);
        match self.family(name, make) {
            Family::Gauge(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
    }

    /// A family of histograms over seconds, 1 ms to 10 s.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn histogram_s(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram(name, help, labels, &LATENCY_BUCKETS_S)
    }

    /// A family of histograms over ages in seconds, one second to two days.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn histogram_ages(&self, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
        self.histogram(name, help, labels, &AGE_BUCKETS_S)
    }

    fn histogram(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let name = &full(name);
        let make = || {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            HistogramVec::new(opts, labels).map(Family::Histogram)
        };
        match self.family(name, make) {
            Family::Histogram(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
    }

    /// A family of counters of amounts that are not whole, such as dollars.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn amount(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        let name = &full(name);
        let make = || CounterVec::new(Opts::new(name, help), labels).map(Family::Amount);
        match self.family(name, make) {
            Family::Amount(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
    }

    /// A family of gauges of values that are not whole, such as seconds.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn level(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let name = &full(name);
        let make = || GaugeVec::new(Opts::new(name, help), labels).map(Family::Level);
        match self.family(name, make) {
            Family::Level(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
    }

    /// Runs `copy` before every scrape. It copies numbers from elsewhere into metrics; it must not wait.
    pub fn on_scrape(&self, copy: impl Fn() + Send + Sync + 'static) {
        self.0
            .hooks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Box::new(copy));
    }

    fn family(&self, name: &str, make: impl FnOnce() -> prometheus::Result<Family>) -> Family {
        let mut families = self
            .0
            .families
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(f) = families.get(name) {
            return f.clone();
        }
        let made = make().unwrap_or_else(|e| panic!("metric {name}: {e}"));
        let collector: Box<dyn Collector> = match &made {
            Family::Counter(v) => Box::new(v.clone()),
            Family::Gauge(v) => Box::new(v.clone()),
            Family::Amount(v) => Box::new(v.clone()),
            Family::Level(v) => Box::new(v.clone()),
            Family::Histogram(v) => Box::new(v.clone()),
        };
        if let Err(e) = self.0.registry.register(collector) {
            panic!("metric {name}: {e}");
        }
        families.insert(name.to_owned(), made.clone());
        made
    }

    /// All metrics in Prometheus' text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        for copy in self
            .0
            .hooks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .iter()
        {
            copy();
        }
        let mut out = String::new();
        // Encoding into a string cannot fail but for inconsistent families, which `family` rules out.
        if let Err(e) =
            prometheus::TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut out)
        {
            tracing::error!(error = %e, "metrics cannot be encoded");
        }
        out
    }

    /// `GET /metrics`.
    pub fn routes(&self) -> Router {
        let metrics = self.clone();
        let answer = move || {
            let text = metrics.render();
            std::future::ready(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
        };
        Router::new().route("/metrics", get(answer))
    }
}

/// Raises a counter to a total that is counted elsewhere; a total that fell (a restart of what counts) changes nothing.
pub fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

/// A gauge's value of a number that may be too large for it.
#[must_use]
pub fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn full(name: &str) -> String {
    if name.starts_with(PREFIX) || name.starts_with("process_") {
        name.to_owned()
    } else {
        format!("{PREFIX}{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_is_the_same_family() {
        let m = Metrics::new();
        m.counter("x_total", "x", &["k"])
            .with_label_values(&["a"])
            .inc();
        m.clone()
            .counter("x_total", "x", &["k"])
            .with_label_values(&["a"])
            .inc();
        m.gauge("g", "g", &[]).with_label_values::<&str>(&[]).set(7);
        m.histogram_s("mediaflow_h_seconds", "h", &[])
            .with_label_values::<&str>(&[])
            .observe(0.02);
        let text = m.render();
        assert!(text.contains("\nmediaflow_x_total{k=\"a\"} 2"), "{text}");
        assert!(text.contains("\nmediaflow_g 7"), "{text}");
        assert!(
            text.contains("\nmediaflow_h_seconds_bucket{le=\"0.025\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn what_is_counted_elsewhere_is_copied_when_asked_for() {
        let m = Metrics::new();
        let source = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(3));
        let (counter, counted) = (
            m.counter("y_total", "y", &[])
                .with_label_values::<&str>(&[]),
            source.clone(),
        );
        m.on_scrape(move || raise(&counter, counted.load(std::sync::atomic::Ordering::Relaxed)));
        assert!(m.render().contains("mediaflow_y_total 3"));
        source.store(5, std::sync::atomic::Ordering::Relaxed);
        assert!(m.render().contains("mediaflow_y_total 5"));
    }
}
