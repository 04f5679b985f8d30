//! One reader: the taste behind the profile blob ([`taste`]) and the counters behind the features
//! ([`crate::activity`]), in one value, so that an event writes once.

mod blob;
mod codec;
mod taste;

use mediaflow_shared::event::EventType;
use mediaflow_shared::profile::{Length, Profile};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics::{self, LANES};

pub(crate) use taste::Effect;

use crate::activity::{Activity, SessionRule};
use crate::declare::Value;
use crate::items::ItemFacts;
use crate::limits::PEOPLE_MET_MAX;
use crate::seen::Seen;
use crate::tally::Recent;
use taste::Taste;

/// The state of one reader. Bounded: at most 1.5 KB stored, a few hundred bytes for most; 100 bytes more where content
/// names a cast.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReaderState {
    taste: Taste,
    pub(crate) activity: Activity,
    /// People in what was read, watched or liked.
    pub(crate) people: Recent<PEOPLE_MET_MAX>,
    /// Offset of the last event folded, and one.
    version: u64,
}

/// What a fold of a reader needs beside the event.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Circumstances {
    pub rule: SessionRule,
    /// The event is not too late for windows and sessions.
    pub in_time: bool,
    /// Offset of the event, and one.
    pub version: u64,
}

impl ReaderState {
    /// Applies one event of this reader.
    pub(crate) fn fold(
        &mut self,
        e: &Seen<'_>,
        item: Option<&ItemFacts>,
        c: &Circumstances,
    ) -> Effect {
        self.version = self.version.max(c.version);
        let mut effect = self.taste.fold(e, item);
        if effect.forget {
            self.activity = Activity::default();
            self.people = Recent::default();
        } else if !effect.ignored {
            if e.is_read() || e.kind == EventType::Like {
                let cast = item.iter().flat_map(|i| i.cast).filter(|p| *p != 0);
                cast.for_each(|person| self.people.meet(person, e.at_s(), 1));
            }
            effect.reached = self.activity.fold(e, item, &c.rule, c.in_time);
        }
        effect
    }

    /// See [`crate::cache::Warm`].
    pub(crate) fn warm(&self) -> u64 {
        self.taste.warm() ^ self.activity.warm() ^ self.version
    }

    /// Adds the counters of another part of the same reader's events. The taste stays this one's: it follows the order
    /// of events, and all events of a reader are in one partition.
    pub fn merge(&mut self, other: &Self, rule: &SessionRule) {
        self.activity.merge(&other.activity, rule);
        self.people.merge(&other.people);
        self.version = self.version.max(other.version);
    }

    /// The profile as it is published; `None` after a withdrawal or reset.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        self.taste.profile()
    }

    /// The blob, when it differs from the one last handed on; remembers it as handed on.
    pub(crate) fn changed_blob(&mut self) -> Option<Vec<u8>> {
        self.taste.changed_blob()
    }

    /// When the remains of a closed profile may go, milliseconds since the epoch.
    pub(crate) fn closed_until_ms(&self) -> Option<i64> {
        self.taste.closed_until_ms()
    }

    /// Offset in the partition of the last event folded, and one: what the values are as of.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The same without its version: equal for equal events, wherever in a log they were.
    #[must_use]
    pub fn unversioned(mut self) -> Self {
        self.version = 0;
        self
    }

    /// Forgets which blob was handed to the publisher: a matter of commits, not of events.
    pub fn forget_published(&mut self) {
        self.taste.published = 0;
    }

    /// The last event, as event time.
    #[must_use]
    pub fn last_event(&self) -> Option<Timestamp> {
        let last = self.activity.last_s;
        (last != 0).then(|| Timestamp::from_s(last.into()))
    }

    /// The items read last: low half of the id in hex, milliseconds since the epoch.
    pub(crate) fn last_reads(&self, n: usize) -> Vec<(String, i64)> {
        let mut reads = self.taste.reads.clone();
        reads.sort_by_key(|r| (std::cmp::Reverse(r.1), r.0));
        let row = |(short, min): (u32, u32)| (format!("{short:08x}"), i64::from(min) * 60_000);
        reads.into_iter().take(n).map(row).collect()
    }

    /// Topics and the leaning towards them, strongest first, as the blob says.
    pub(crate) fn affinity(&self) -> Vec<(String, i64)> {
        let affinity = self.profile().and_then(|p| p.affinity);
        let lanes = affinity.map(|a| a.lanes).unwrap_or([0; LANES]);
        let leaning = lanes.iter().enumerate().filter(|(_, l)| **l != 0);
        let named = leaning.filter_map(|(i, l)| {
            let topic = topics::topic(u8::try_from(i).ok()?)?;
            Some((topic.slug.to_owned(), i64::from(*l)))
        });
        let mut rows: Vec<(String, i64)> = named.collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        rows
    }

    pub(crate) fn preferred_length(&self) -> Option<&'static str> {
        match self.profile()?.habits?.length {
            Length::Unknown => None,
            Length::Short => Some("short"),
            Length::Medium => Some("medium"),
            Length::Long => Some("long"),
        }
    }

    /// Hours of the day, UTC, that the blob calls active.
    pub(crate) fn active_hours(&self) -> Vec<(String, i64)> {
        let hours = self.profile().and_then(|p| p.habits).map_or(0, |h| h.hours);
        let active = (0..24).filter(|h| hours >> h & 1 == 1);
        active.map(|h| (format!("{h:02}"), 1)).collect()
    }

    /// Interactions per impression in 1/255, as the blob says.
    pub(crate) fn engagement(&self) -> Option<u8> {
        Some(self.profile()?.habits?.engagement)
    }

    pub(crate) fn confidence(&self, now: Timestamp) -> Value {
        self.taste.confidence(now)
    }
}

#[cfg(test)]
mod tests;
