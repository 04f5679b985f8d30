//! A reader's sessions: where one ends and the next begins.
//!
//! Events closer than the gap belong together, unless midnight or the cap is between them. The newest session, and the
//! one before it while a late event could still join the two, are kept whole; older ones of the last two days as
//! spans, which late events may widen or join; what is older is only counted. So the number and length of sessions do
//! not depend on the order of events up to the allowed lateness, and the metrics of a session not on disorder up to
//! the gap. (The cap cuts where it is first reached: for sessions that long, order may matter.)

use super::session::SessionState;
use crate::limits::{LATENESS_S, SPANS_MAX};
use crate::pack::{self, Damaged};
use crate::seen::Seen;

/// Where sessions are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRule {
    /// A session ends after so many seconds without an event.
    pub gap_s: u32,
    /// A session is never longer than this, seconds.
    pub cap_s: u32,
    /// Whether it ends at midnight: minutes that clocks there are ahead of UTC.
    pub midnight_utc_offset_min: Option<i16>,
}

impl Default for SessionRule {
    /// Half an hour as everyone counts (GA4, Segment, Snowplow), twelve hours as Adobe caps, no midnight rule.
    fn default() -> Self {
        Self {
            gap_s: 30 * 60,
            cap_s: 12 * 3600,
            midnight_utc_offset_min: None,
        }
    }
}

impl SessionRule {
    fn day(&self, at_s: u32) -> i64 {
        let Some(offset_min) = self.midnight_utc_offset_min else {
            return 0;
        };
        (i64::from(at_s) + i64::from(offset_min) * 60).div_euclid(86_400)
    }

    /// Whether two stretches of time are of one session.
    fn joins(&self, a: (u32, u32), b: (u32, u32)) -> bool {
        let (first, last) = (a.0.min(b.0), a.1.max(b.1));
        let between = a.0.max(b.0).saturating_sub(a.1.min(b.1));
        between <= self.gap_s && last - first <= self.cap_s && self.day(first) == self.day(last)
    }
}

/// A reader's sessions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sessions {
    /// One or two, ascending.
    whole: Vec<SessionState>,
    /// First and last second, ascending; all before `whole`.
    spans: Vec<(u32, u32)>,
    /// Sessions before the spans, and how long they were together.
    ended: u32,
    ended_s: u64,
    /// Last second of those: what is older is counted already.
    floor_s: u32,
}

impl Sessions {
    /// Takes an event in.
    pub fn add(&mut self, rule: &SessionRule, e: &Seen<'_>, topics: u64) {
        let at = e.at_s();
        // The usual case: the newest session goes on.
        if let Some(s) = self.whole.last_mut()
            && at >= s.start_s
            && rule.joins((s.start_s, s.last_s), (at, at))
        {
            s.add(e, topics);
            if self.whole.len() > 1 || !self.spans.is_empty() {
                self.settle(rule);
            }
            return;
        }
        self.place(rule, SessionState::of(e, topics));
    }

    /// See [`crate::cache::Warm`].
    pub fn warm(&self) -> u64 {
        let whole = self.whole.iter().map(SessionState::warm);
        whole.fold(0, u64::wrapping_add) ^ self.spans.first().map_or(0, |s| s.0.into())
    }

    /// Adds another part of the same reader's sessions.
    pub fn merge(&mut self, rule: &SessionRule, other: &Self) {
        self.ended = self.ended.saturating_add(other.ended);
        self.ended_s = self.ended_s.saturating_add(other.ended_s);
        self.floor_s = self.floor_s.max(other.floor_s);
        for s in &other.whole {
            self.place(rule, s.clone());
        }
        for span in &other.spans {
            self.place_span(rule, *span);
        }
        self.settle(rule);
    }

    fn place(&mut self, rule: &SessionRule, mut s: SessionState) {
        if s.last_s <= self.floor_s {
            return;
        }
        let mut whole = false;
        while let Some(i) = self
            .whole
            .iter()
            .position(|w| rule.joins((w.start_s, w.last_s), (s.start_s, s.last_s)))
        {
            s.merge(&self.whole.remove(i));
            whole = true;
        }
        let mut joined = false;
        while let Some(i) = self
            .spans
            .iter()
            .position(|w| rule.joins(*w, (s.start_s, s.last_s)))
        {
            let (start, last) = self.spans.remove(i);
            (s.start_s, s.last_s) = (s.start_s.min(start), s.last_s.max(last));
            joined = true;
        }
        if joined && !whole {
            // Older than what is kept whole: its metrics are gone.
            self.insert_span((s.start_s, s.last_s));
        } else {
            let place = self.whole.partition_point(|w| w.start_s < s.start_s);
            self.whole.insert(place, s);
        }
        self.settle(rule);
    }

    fn place_span(&mut self, rule: &SessionRule, mut span: (u32, u32)) {
        if span.1 <= self.floor_s {
            return;
        }
        while let Some(i) = self.spans.iter().position(|w| rule.joins(*w, span)) {
            let (start, last) = self.spans.remove(i);
            span = (span.0.min(start), span.1.max(last));
        }
        let touched = self
            .whole
            .iter_mut()
            .find(|w| rule.joins((w.start_s, w.last_s), span));
        match touched {
            Some(w) => (w.start_s, w.last_s) = (w.start_s.min(span.0), w.last_s.max(span.1)),
            None => self.insert_span(span),
        }
    }

    fn insert_span(&mut self, span: (u32, u32)) {
        let place = self.spans.partition_point(|s| *s < span);
        self.spans.insert(place, span);
    }

    /// Keeps whole what a late event may still join, and as spans what one may still reach.
    fn settle(&mut self, rule: &SessionRule) {
        // An event late by no more than the gap cannot reach what is two gaps before the newest.
        let far = rule.gap_s.saturating_mul(2);
        let newest = self.whole.last().map_or(0, |w| w.last_s);
        while self.whole.len() > 2
            || (self.whole.len() == 2 && newest - self.whole[0].last_s.min(newest) > far)
        {
            let s = self.whole.remove(0);
            self.insert_span((s.start_s, s.last_s));
        }
        let reach = newest.saturating_sub(LATENESS_S).saturating_sub(rule.gap_s);
        while let Some(&(start, last)) = self.spans.first() {
            if self.spans.len() <= SPANS_MAX && last >= reach {
                break;
            }
            self.spans.remove(0);
            self.ended = self.ended.saturating_add(1);
            self.ended_s += u64::from(last - start);
            self.floor_s = self.floor_s.max(last);
        }
    }

    /// The newest session.
    pub fn newest(&self) -> Option<&SessionState> {
        self.whole.last()
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        let known = (self.spans.len() + self.whole.len()) as u32;
        self.ended.saturating_add(known)
    }

    /// How long they were together.
    pub fn seconds(&self) -> u64 {
        let spans = self.spans.iter().map(|s| u64::from(s.1 - s.0));
        let whole = self.whole.iter().map(|s| u64::from(s.seconds()));
        self.ended_s + spans.sum::<u64>() + whole.sum::<u64>()
    }

    /// The longest of the last two days.
    pub fn longest_s(&self) -> u32 {
        let spans = self.spans.iter().map(|s| s.1 - s.0);
        let whole = self.whole.iter().map(SessionState::seconds);
        spans.chain(whole).max().unwrap_or(0)
    }

    /// Sessions of the last two days.
    pub fn recent(&self) -> u32 {
        (self.spans.len() + self.whole.len()) as u32
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.whole.len() as u64);
        for s in &self.whole {
            s.pack(out);
        }
        for n in [self.ended.into(), self.ended_s, self.floor_s.into()] {
            pack::put(out, n);
        }
        pack::put(out, self.spans.len() as u64);
        let mut after = self.floor_s;
        for &(start, last) in &self.spans {
            // A span may begin before the floor, when joining had it reach back.
            pack::put(out, pack::zigzag(i64::from(start) - i64::from(after)));
            pack::put(out, (last - start).into());
            after = last;
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let mut all = Self::default();
        for _ in 0..pack::take_len(bytes, 2)? {
            all.whole.push(SessionState::unpack(bytes)?);
        }
        all.ended = pack::take_as(bytes)?;
        all.ended_s = pack::take(bytes)?;
        all.floor_s = pack::take_as(bytes)?;
        let mut after = all.floor_s;
        for _ in 0..pack::take_len(bytes, SPANS_MAX)? {
            let out_of_range = || Damaged("time out of range");
            let gone = pack::unzigzag(pack::take(bytes)?);
            let start = i64::from(after)
                .checked_add(gone)
                .and_then(|s| u32::try_from(s).ok())
                .ok_or_else(out_of_range)?;
            let length: u32 = pack::take_as(bytes)?;
            let last = start.checked_add(length).ok_or_else(out_of_range)?;
            all.spans.push((start, last));
            after = last;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::tests::at;
    use proptest::prelude::*;

    const START_S: u32 = 1_795_219_200;

    fn fold(rule: &SessionRule, times: &[u32]) -> Sessions {
        let mut all = Sessions::default();
        for t in times {
            all.add(rule, &at(START_S + t), 0);
        }
        all
    }

    #[test]
    fn a_gap_midnight_and_the_cap_end_a_session() {
        let rule = SessionRule::default();
        assert_eq!(fold(&rule, &[0, 1800, 3600]).count(), 1);
        let two = fold(&rule, &[0, 1800, 3601]);
        assert_eq!((two.count(), two.seconds()), (2, 1800));
        // START_S is midnight in UTC: 01:00 in Vienna.
        let midnight = |offset| SessionRule {
            midnight_utc_offset_min: Some(offset),
            ..rule
        };
        let around = [86_400 - 60, 86_400 + 60];
        assert_eq!(fold(&rule, &around).count(), 1);
        assert_eq!(fold(&midnight(0), &around).count(), 2);
        assert_eq!(fold(&midnight(60), &around).count(), 1);
        let day: Vec<u32> = (0..80).map(|n| n * 600).collect();
        assert_eq!(fold(&rule, &day).count(), 2, "thirteen hours on end");
    }

    #[test]
    fn a_late_event_joins_two_sessions() {
        let rule = SessionRule::default();
        let mut all = fold(&rule, &[0, 60, 3000, 3060]);
        assert_eq!(all.count(), 2);
        all.add(&rule, &at(START_S + 1500), 0);
        assert_eq!((all.count(), all.seconds()), (1, 3060));
        assert_eq!(all.newest().unwrap().kinds.total(), 5);
    }

    fn straight_and_back(
        rule: &SessionRule,
        times: &[u32],
        order: &[usize],
    ) -> (Sessions, Sessions) {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let shuffled: Vec<u32> = order.iter().map(|i| times[*i]).collect();
        (fold(rule, &sorted), fold(rule, &shuffled))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn number_and_length_do_not_depend_on_the_order_of_two_days(
            (times, order) in prop::collection::vec(0u32..172_800, 1..22).prop_flat_map(|t| {
                let order = Just((0..t.len()).collect::<Vec<_>>()).prop_shuffle();
                (Just(t), order)
            }),
            midnight in any::<bool>(),
        ) {
            let rule = SessionRule {
                cap_s: u32::MAX,
                midnight_utc_offset_min: midnight.then_some(60),
                ..SessionRule::default()
            };
            let (a, b) = straight_and_back(&rule, &times, &order);
            prop_assert_eq!((a.count(), a.seconds()), (b.count(), b.seconds()));
        }

        #[test]
        fn disorder_up_to_the_gap_changes_nothing(
            mut times in prop::collection::vec((0u32..172_800, 0u32..1800), 1..80)
        ) {
            let rule = SessionRule { cap_s: u32::MAX, ..SessionRule::default() };
            let mut sorted: Vec<u32> = times.iter().map(|t| t.0).collect();
            sorted.sort_unstable();
            // Each arrives up to a gap later than it happened.
            times.sort_by_key(|t| t.0 + t.1);
            let arrived: Vec<u32> = times.iter().map(|t| t.0).collect();
            prop_assert_eq!(fold(&rule, &sorted), fold(&rule, &arrived));
        }

        #[test]
        fn what_was_packed_comes_back(times in prop::collection::vec(0u32..900_000, 0..60)) {
            let all = fold(&SessionRule::default(), &times);
            let mut out = Vec::new();
            all.pack(&mut out);
            let mut rest = &out[..];
            prop_assert_eq!(Sessions::unpack(&mut rest), Ok(all));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
            if let Ok(mut s) = Sessions::unpack(&mut &bytes[..]) {
                s.add(&SessionRule::default(), &at(START_S), 0);
            }
        }
    }
}
