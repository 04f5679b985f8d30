//! Event time of a partition: how far it got, and which events are late.
//!
//! The watermark follows the newest event by [`LATE_MS`]: whoever is behind it is late, and counted all the same while
//! it is within [`LATENESS_MS`]; later still, it enters no window. It depends on the events of the partition and their
//! order in the log alone, so a replay draws the line at the same events.

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

/// Event time of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EventClock {
    newest_ms: i64,
}

impl EventClock {
    /// Takes the next event's time in and answers how it stands.
    pub fn tick(&mut self, at: Timestamp) -> Standing {
        let behind = self.watermark().0.saturating_sub(at.0);
        self.newest_ms = self.newest_ms.max(at.0);
        match behind {
            ..=0 => Standing::InTime,
            1..=LATENESS_MS => Standing::Late,
            _ => Standing::TooLate,
        }
    }

    /// The newest event met.
    pub fn newest(&self) -> Timestamp {
        Timestamp(self.newest_ms)
    }

    /// Events before this are late.
    pub fn watermark(&self) -> Timestamp {
        Timestamp(self.newest_ms.saturating_sub(LATE_MS))
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
        let mut c = EventClock::default();
        assert_eq!(c.tick(Timestamp(now)), Standing::InTime);
        for (ago, standing) in [
            (LATE_MS, Standing::InTime),
            (LATE_MS + 1, Standing::Late),
            (LATE_MS + LATENESS_MS, Standing::Late),
            (LATE_MS + LATENESS_MS + 1, Standing::TooLate),
        ] {
            assert_eq!(c.tick(Timestamp(now - ago)), standing, "{ago}");
        }
        assert_eq!(EventClock::decode(&c.encode()), c);
        assert_eq!(c.newest(), Timestamp(now));
    }
}
