//! Recency, frequency, monetary value (S3-06): a score from 1 to 5 each, by fixed steps, so that a reader's score does
//! not change because others' did.

use mediaflow_shared::event::EventType;

use super::reader::reader;
use super::{Ask, DAY_S, FeatureDefinition, Value, ValueType, Window};
use crate::activity::{tile, total};
use crate::reader::ReaderState;

const ANY: &[EventType] = &EventType::ALL;

/// Days since the last event up to which the score is 5, 4, 3, 2.
const RECENCY_DAYS: [i64; 4] = [1, 3, 7, 21];
/// Active days of the last 30 from which the score is 5, 4, 3, 2.
const FREQUENCY_DAYS: [i64; 4] = [15, 8, 4, 2];
/// Minutes read in the last 30 days from which the score is 5, 4, 3, 2: what a publisher earns by.
const MONETARY_MIN: [i64; 4] = [240, 90, 30, 5];
/// Revenue since the beginning, in whole currency units, from which the score is 5, 4, 3, 2.
const MONETARY_UNITS: [i64; 4] = [100, 30, 10, 1];

fn recency(r: &ReaderState, ask: &Ask<'_>) -> i64 {
    let days = (ask.now.0 / 1000 - i64::from(r.activity.last_s)) / DAY_S;
    step(RECENCY_DAYS.iter().position(|d| days <= *d))
}

fn frequency(r: &ReaderState, ask: &Ask<'_>) -> i64 {
    let days = i64::from(r.activity.tiles.active_days(Window::D30, ask.now));
    step(FREQUENCY_DAYS.iter().position(|d| days >= *d))
}

fn monetary(r: &ReaderState, ask: &Ask<'_>) -> i64 {
    let read_s = r.activity.tiles.sums(Window::D30, ask.now)[tile::DWELL_S];
    let minutes = i64::from(read_s / 60);
    let units = r.activity.totals.0[total::REVENUE] / 1_000_000;
    let read = step(MONETARY_MIN.iter().position(|m| minutes >= *m));
    read.max(step(MONETARY_UNITS.iter().position(|u| units >= *u)))
}

fn step(place: Option<usize>) -> i64 {
    place.map_or(1, |i| 5 - i as i64)
}

/// Names of the usual segments, by recency and by the better of the other two.
fn segment(r: i64, fm: i64) -> &'static str {
    match (r, fm) {
        (4.., 4..) => "champion",
        (3.., 3..) => "loyal",
        (4.., 2) => "promising",
        (4.., _) => "new",
        (2, 3..) => "at risk",
        (3, _) => "needs attention",
        (1, 4..) => "cannot lose",
        (2, _) => "hibernating",
        _ => "lost",
    }
}

fn if_known(r: &ReaderState, value: impl FnOnce() -> Value) -> Value {
    if r.activity.last_s == 0 {
        return Value::Missing;
    }
    value()
}

pub(super) fn every(all: &mut Vec<FeatureDefinition>) {
    use ValueType::{Count, Label};
    let score =
        |name, what, value| reader(name, Count, ANY, what, value).default_to(Value::Missing);
    all.extend([
        score("rfm_recency", "Recency, 1 to 5", |r, ask| {
            if_known(r, || Value::Int(recency(r, ask)))
        }),
        score(
            "rfm_frequency",
            "Frequency, 1 to 5: active days of the last 30",
            |r, ask| if_known(r, || Value::Int(frequency(r, ask))),
        ),
        score(
            "rfm_monetary",
            "Monetary value, 1 to 5: minutes read in 30 days, or revenue",
            |r, ask| if_known(r, || Value::Int(monetary(r, ask))),
        ),
        score(
            "rfm_score",
            "The three scores as digits, such as 543",
            |r, ask| {
                if_known(r, || {
                    Value::Int(recency(r, ask) * 100 + frequency(r, ask) * 10 + monetary(r, ask))
                })
            },
        ),
        reader(
            "rfm_segment",
            Label,
            ANY,
            "The segment of the three scores",
            |r, ask| {
                if_known(r, || {
                    let rest = frequency(r, ask).max(monetary(r, ask));
                    Value::Label(segment(recency(r, ask), rest).to_owned())
                })
            },
        ),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_scores_has_a_segment() {
        assert_eq!(segment(5, 5), "champion");
        assert_eq!(segment(5, 1), "new");
        assert_eq!(segment(2, 4), "at risk");
        assert_eq!(segment(1, 5), "cannot lose");
        assert_eq!(segment(1, 1), "lost");
    }
}
