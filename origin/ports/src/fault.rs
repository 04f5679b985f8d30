//! Named points at which a test may end this process: between two steps that must not be told apart afterwards.
//!
//! A point costs one relaxed load until the binary arms one ([`arm`]), which it does for nobody but the fault suite.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Between two steps of the path of data, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// A batch is checked and claimed; nothing of it is in the log.
    Claimed,
    /// The embedded log wrote a group; it is not synced.
    LogWritten,
    /// A partition's part of a batch is in the log; the others may not be, and nobody was told.
    Appended,
    /// All of a batch is durable; the sender has no answer yet.
    Answering,
    /// Records are parked on disk; the sender has no answer yet.
    SpoolParked,
    /// A partition's part of a spooled batch is in the log; nothing notes it.
    SpoolDrained,
    /// It is noted that a spooled batch is in the log; its records are still on disk.
    SpoolNoted,
    /// Events are folded in memory; nothing is committed.
    Folded,
    /// States, offset and outbox are committed; the worker does not know.
    Committed,
    /// Blobs are taken from the outbox and judged; none is written.
    ProfilesJudged,
    /// Blobs are with the edges; that they are is not noted.
    ProfilesWritten,
    /// It is noted which blobs edges have; the outbox still holds them.
    ProfilesNoted,
}

impl Point {
    /// Every point.
    pub const ALL: [Self; 12] = [
        Self::Claimed,
        Self::LogWritten,
        Self::Appended,
        Self::Answering,
        Self::SpoolParked,
        Self::SpoolDrained,
        Self::SpoolNoted,
        Self::Folded,
        Self::Committed,
        Self::ProfilesJudged,
        Self::ProfilesWritten,
        Self::ProfilesNoted,
    ];

    /// Its name on command lines and in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::LogWritten => "log-written",
            Self::Appended => "appended",
            Self::Answering => "answering",
            Self::SpoolParked => "spool-parked",
            Self::SpoolDrained => "spool-drained",
            Self::SpoolNoted => "spool-noted",
            Self::Folded => "folded",
            Self::Committed => "committed",
            Self::ProfilesJudged => "profiles-judged",
            Self::ProfilesWritten => "profiles-written",
            Self::ProfilesNoted => "profiles-noted",
        }
    }

    /// Says that the process is here. Does not return where a test armed this point to end the process.
    #[inline]
    pub fn pass(self) {
        if ARMED.load(Ordering::Relaxed) {
            self.pass_armed();
        }
    }

    #[cold]
    fn pass_armed(self) {
        if let Some(aim) = AIM.get().filter(|aim| aim.point == self)
            && aim.left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            (aim.act)();
        }
    }
}

struct Aim {
    point: Point,
    /// Times it will still be passed, this one included; below zero it wraps and is never one again.
    left: AtomicU64,
    act: fn(),
}

static ARMED: AtomicBool = AtomicBool::new(false);
static AIM: OnceLock<Aim> = OnceLock::new();

/// Calls `act` when `point` is passed for the `times`-th time, counted from 1. One aim a process: answers whether this is
/// the first.
pub fn arm(point: Point, times: u64, act: fn()) -> bool {
    let left = AtomicU64::new(times);
    let first = AIM.set(Aim { point, left, act }).is_ok();
    ARMED.store(true, Ordering::Relaxed);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_acts_at_the_time_it_was_armed_for_and_no_other_does() {
        static ACTED: AtomicU64 = AtomicU64::new(0);
        Point::Folded.pass();
        let act = || {
            ACTED.fetch_add(1, Ordering::SeqCst);
        };
        assert!(arm(Point::Folded, 2, act) && !arm(Point::Claimed, 1, act));
        Point::Claimed.pass();
        Point::Folded.pass();
        assert_eq!(ACTED.load(Ordering::SeqCst), 0);
        for _ in 0..3 {
            Point::Folded.pass();
        }
        assert_eq!(ACTED.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::BTreeSet<_> = Point::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
