//! Event time from clocks that are wrong.
//!
//! A sender that tells when it sent (`senttime`) tells how wrong its clock is: what it calls "sent" is what we call
//! "received". `time` moves by the difference (Segment's rule: received − (sent − original)). What is then still
//! impossible is clamped. The time as it came stays in `rawtime` whenever it was changed.

use mediaflow_shared::event::Event;
use mediaflow_shared::time::Timestamp;

use crate::limits::{CLOCK_TOLERANCE_MS, FUTURE_SKEW_MS, PAST_SKEW_MS};

/// Settles `time`, `rawtime` and `receivedtime`. An authenticated sender may deliver the past (an import, a spool); nobody
/// may deliver the future.
pub(crate) fn settle(e: &mut Event, trusted: bool, received: Timestamp) {
    e.receivedtime = Some(received);
    let Some(raw) = e.time else {
        e.time = Some(received);
        return;
    };
    let time = clamp(correct(raw, e.senttime, received), trusted, received);
    if time != raw && e.rawtime.is_none() {
        e.rawtime = Some(raw);
    }
    e.time = Some(time);
}

fn correct(raw: Timestamp, sent: Option<Timestamp>, received: Timestamp) -> Timestamp {
    let Some(sent) = sent else { return raw };
    let ahead = sent.0.saturating_sub(received.0);
    // Less than this is the way here, not the clock.
    if ahead.unsigned_abs() <= CLOCK_TOLERANCE_MS.unsigned_abs() {
        return raw;
    }
    // An event cannot have happened after it was sent; such a pair of times says nothing about the clock.
    if raw.0 > sent.0.saturating_add(CLOCK_TOLERANCE_MS) {
        return raw;
    }
    Timestamp(raw.0.saturating_sub(ahead))
}

fn clamp(t: Timestamp, trusted: bool, received: Timestamp) -> Timestamp {
    let future = t.0 > received.0 + FUTURE_SKEW_MS;
    let past = !trusted && t.0 < received.0 - PAST_SKEW_MS;
    if future || past { received } else { t }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_795_248_000_000;

    fn settled(time: i64, sent: Option<i64>, trusted: bool) -> (i64, Option<i64>) {
        let mut e: Event = serde_json::from_str(
            r#"{"specversion":"1.0","id":"1","source":"s","type":"org.mediaflow.view.v1","data":{}}"#,
        )
        .unwrap();
        e.time = Some(Timestamp(time));
        e.senttime = sent.map(Timestamp);
        settle(&mut e, trusted, Timestamp(NOW));
        (e.time.unwrap().0, e.rawtime.map(|t| t.0))
    }

    #[test]
    fn a_clock_a_day_off_is_corrected_and_its_raw_time_kept() {
        let day = 24 * HOUR;
        // Happened an hour before it was sent, by a clock a day ahead, or a day behind.
        for skew in [day, -day] {
            assert_eq!(
                settled(NOW + skew - HOUR, Some(NOW + skew), false),
                (NOW - HOUR, Some(NOW + skew - HOUR))
            );
        }
    }

    #[test]
    fn a_right_clock_is_left_alone() {
        assert_eq!(
            settled(NOW - HOUR, Some(NOW - 800), false),
            (NOW - HOUR, None)
        );
        assert_eq!(settled(NOW - HOUR, None, false), (NOW - HOUR, None));
    }

    #[test]
    fn the_impossible_is_clamped_whatever_was_sent() {
        let year = 365 * 24 * HOUR;
        assert_eq!(settled(NOW + year, None, true), (NOW, Some(NOW + year)));
        assert_eq!(settled(NOW - year, None, false), (NOW, Some(NOW - year)));
        assert_eq!(settled(NOW - year, None, true), (NOW - year, None));
        // Sent before it happened: the pair is not believed.
        assert_eq!(settled(NOW, Some(NOW - year), false), (NOW, None));
        assert_eq!(
            settled(i64::MAX, Some(i64::MIN), false),
            (NOW, Some(i64::MAX))
        );
        assert_eq!(settled(i64::MIN + 1, Some(i64::MAX), false).0, NOW);
    }
}
