//! Counters, gauges and histograms in Prometheus' text format.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub use prometheus::{Histogram, IntCounter, IntGauge};

/// Seconds from 1 ms to 10 s: what HTTP handlers and commits take.
const LATENCY_BUCKETS_S: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone)]
enum Family {
    Counter(IntCounterVec),
    Gauge(IntGaugeVec),
    Histogram(HistogramVec),
}

#[derive(Default)]
struct Inner {
    registry: Registry,
    families: Mutex<HashMap<String, Family>>,
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
        let make = || {
            let opts = HistogramOpts::new(name, help).buckets(LATENCY_BUCKETS_S.to_vec());
            HistogramVec::new(opts, labels).map(Family::Histogram)
        };
        match self.family(name, make) {
            Family::Histogram(v) => v,
            _ => panic!("metric {name} is registered as another kind"),
        }
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
        m.histogram_s("h_s", "h", &[])
            .with_label_values::<&str>(&[])
            .observe(0.02);
        let text = m.render();
        assert!(text.contains("x_total{k=\"a\"} 2"), "{text}");
        assert!(text.contains("g 7"), "{text}");
        assert!(text.contains("h_s_bucket{le=\"0.025\"} 1"), "{text}");
    }
}
