//! What became of events, as metrics: by envelope, outcome and kind of reason. All label values are closed sets.

use mediaflow_http::Metrics;
use mediaflow_http::metrics::{HistogramVec, IntCounter, IntCounterVec};
use std::collections::HashMap;

use super::Report;
use super::check::Refusal;
use super::envelope::Envelope;

/// Kinds of reasons, by words that refusals of that kind use.
const REASONS: [(&str, &[&str]); 7] = [
    ("brand", &["brand"]),
    ("unknown_type", &["is not known", "none of"]),
    ("missing", &["missing", "neither", "has no", "is empty"]),
    ("time", &["time"]),
    ("too_long", &["longer than", "above", "allowed are"]),
    (
        "shape",
        &[
            "JSON",
            "object",
            "columns",
            "values",
            "wrong type",
            "specversion",
        ],
    ),
    (
        "value",
        &[
            "number",
            "negative",
            "not a",
            "is no",
            "hexadecimal",
            "hex",
            "topics",
        ],
    ),
];

/// The kind of a refusal.
fn reason(r: &Refusal) -> &'static str {
    let found = REASONS
        .iter()
        .find(|(_, words)| words.iter().any(|w| r.reason.contains(w)));
    found.map_or("other", |(name, _)| name)
}

struct Outcomes {
    accepted: IntCounter,
    duplicate: IntCounter,
    rejected: IntCounter,
    ignored: IntCounter,
    reasons: HashMap<&'static str, IntCounter>,
}

pub(super) struct Counters {
    outcomes: HashMap<Envelope, Outcomes>,
    pub served: IntCounter,
    pub overload: IntCounter,
    pub rungs: IntCounterVec,
    pub front_age_s: HistogramVec,
}

impl Counters {
    pub(super) fn of(metrics: &Metrics) -> Self {
        let events = metrics.counter(
            "ingest_events_total",
            "Events received by envelope and outcome.",
            &["envelope", "outcome"],
        );
        let rejected = metrics.counter(
            "ingest_rejected_total",
            "Events refused by envelope and kind of reason.",
            &["envelope", "reason"],
        );
        let served = metrics.counter(
            "ingest_served_total",
            "Served records received by outcome.",
            &["outcome"],
        );
        let refused = metrics.counter(
            "ingest_overload_total",
            "Requests asked to come again, since too many bytes were held.",
            &[],
        );
        let outcome = |e: Envelope| {
            let of = |o| events.with_label_values(&[e.name(), o]);
            let kinds = REASONS.iter().map(|(k, _)| *k).chain(["other"]);
            let reasons = kinds.map(|k| (k, rejected.with_label_values(&[e.name(), k])));
            let outcomes = Outcomes {
                accepted: of("accepted"),
                duplicate: of("duplicate"),
                rejected: of("rejected"),
                ignored: of("ignored"),
                reasons: reasons.collect(),
            };
            (e, outcomes)
        };
        let all = Envelope::FOREIGN.into_iter().chain([Envelope::CloudEvents]);
        Self {
            outcomes: all.map(outcome).collect(),
            served: served.with_label_values(&["accepted"]),
            overload: refused.with_label_values::<&str>(&[]),
            rungs: metrics.counter(
                "feeds_served_total",
                "Feeds that edges say they served, by brand and rung of the ladder.",
                &["brand", "rung"],
            ),
            front_age_s: metrics.histogram_ages(
                "feed_front_age_seconds",
                "Age of the front in a served feed.",
                &["brand"],
            ),
        }
    }

    pub(super) fn count(&self, envelope: Envelope, r: &Report) {
        let Some(o) = self.outcomes.get(&envelope) else {
            return;
        };
        o.accepted.inc_by(r.accepted as u64);
        o.duplicate.inc_by(r.duplicates as u64);
        o.rejected.inc_by(r.rejected.len() as u64);
        o.ignored.inc_by(r.ignored as u64);
        for x in &r.rejected {
            if let Some(c) = o.reasons.get(reason(&x.refusal)) {
                c.inc();
            }
        }
    }
}
