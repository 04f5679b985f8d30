//! Event time of a partition: how far it got, and which events are late.
//!
//! The watermark follows the newest event at a distance: whoever is behind it is late, and counted all the same while
//! within the allowed lateness; later still, it enters no window. It depends on the events of the partition, their
//! order in the log and the rule alone, so a replay draws the line at the same events.

use mediaflow_shared::time::Timestamp;

use crate::limits::{LATE_MS, LATENESS_MS};

/// Version of the stored form.
const VERSION: u8 = 1;

/// How an event stands to the watermark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    InTime,
    /// Behind the watermark, but state that it changes still lives.
    Late,
    /// Too late for windows and sessions.
    TooLate,
}

/// When an event is late, and when too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateRule {
    /// How far the watermark is behind the newest event.
    pub late_ms: i64,
    /// How far behind the watermark an event still enters windows and sessions.
    pub lateness_ms: i64,
}

impl Default for LateRule {
    /// Five minutes, as clocks and retries go; two days, a weekend offline.
    fn default() -> Self {
        Self {
            late_ms: LATE_MS,
            lateness_ms: LATENESS_MS,
        }
    }
}

/// Event time of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EventClock {
    newest_ms: i64,
}

impl EventClock {
    /// Takes the next event's time in and answers how it stands.
    pub fn tick(&mut self, at: Timestamp, rule: &LateRule) -> Standing {
        let behind = self.watermark(rule).0.saturating_sub(at.0);
        self.newest_ms = self.newest_ms.max(at.0);
        match behind {
            ..=0 => Standing::InTime,
            late if late <= rule.lateness_ms => Standing::Late,
            _ => Standing::TooLate,
        }
    }

    /// The newest event met.
    pub fn newest(&self) -> Timestamp {
        Timestamp(self.newest_ms)
    }

    /// Events before this are late.
    pub fn watermark(&self, rule: &LateRule) -> Timestamp {
        Timestamp(self.newest_ms.saturating_sub(rule.late_ms))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.newest_ms.to_le_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote; anything else is a clock that stands at the beginning.
    pub fn decode(bytes: &[u8]) -> Self {
        let body = match bytes.split_first() {
            Some((&VERSION, body)) => body.try_into().ok(),
            _ => None,
        };
        Self {
            newest_ms: body.map_or(0, i64::from_le_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_days_late_is_late_and_more_is_too_late() {
        let now = 1_795_248_000_000;
        let shorter = LateRule {
            late_ms: 0,
            lateness_ms: 60_000,
        };
        for rule in [LateRule::default(), shorter] {
            let mut c = EventClock::default();
            assert_eq!(c.tick(Timestamp(now), &rule), Standing::InTime);
            let (late, too_late) = (rule.late_ms, rule.late_ms + rule.lateness_ms);
            for (ago, standing) in [
                (late, Standing::InTime),
                (late + 1, Standing::Late),
                (too_late, Standing::Late),
                (too_late + 1, Standing::TooLate),
            ] {
                assert_eq!(c.tick(Timestamp(now - ago), &rule), standing, "{ago}");
            }
            assert_eq!(EventClock::decode(&c.encode()), c);
            assert_eq!(c.newest(), Timestamp(now));
        }
    }
}
