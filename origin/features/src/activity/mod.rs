//! What a reader did: counters since the beginning and in tiles, where and on what, traits, sessions. The state behind
//! the features of readers and sessions; the profile blob has its own ([`crate::reader`]).
//!
//! Everything here adds up in any order. Bounded: at most about 950 bytes packed.

mod session;
mod sessions;

use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;

pub(crate) use session::{SessionState, max, set, sum};
pub use sessions::SessionRule;
pub(crate) use sessions::Sessions;

use crate::items::ItemFacts;
use crate::limits::{BRANDS_MET_MAX, COUNTRIES_MET_MAX, WATCHED_MAX};
use crate::pack::{self, Damaged};
use crate::seen::Seen;
use crate::tally::{Kinds, Latest, Recent, Sums};
use crate::tiles::Tiles;

/// What a reader's tiles count.
pub(crate) mod tile {
    pub const IMPRESSIONS: usize = 0;
    pub const CLICKS: usize = 1;
    pub const READS: usize = 2;
    pub const DWELL_S: usize = 3;
    /// Ads shown.
    pub const ADS: usize = 4;
    pub const COUNT: usize = 5;
}

/// Sums since the beginning.
pub(crate) mod total {
    pub const DWELL_S: usize = 0;
    pub const DWELT: usize = 1;
    pub const RATINGS: usize = 2;
    pub const ENGAGED: usize = 3;
    pub const ENGAGEMENT: usize = 4;
    pub const REVENUE: usize = 5;
    pub const COMPLETED: usize = 6;
    pub const PLAYED: usize = 7;
    pub const COUNT: usize = 8;
}

/// Kinds of event whose last time is kept.
const LAST_OF: [EventType; 4] = [
    EventType::Read,
    EventType::Click,
    EventType::AdClick,
    EventType::Conversion,
];

/// A trait's place in [`Activity::traits`].
pub(crate) mod told {
    pub const AGE_GROUP: usize = 0;
    pub const COUNTRY: usize = 1;
    pub const SUBSCRIPTION: usize = 2;
    pub const JOINED_DAY: usize = 3;
    pub const LANGUAGE: usize = 4;
    pub const COUNT: usize = 5;
}

/// What a reader did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Activity {
    /// First and last event, seconds since the epoch; 0 = none.
    pub first_s: u32,
    pub last_s: u32,
    pub kinds: Kinds,
    pub totals: Sums<i64, { total::COUNT }>,
    last_of: [u32; LAST_OF.len()],
    /// Topics of items read.
    pub topics: u64,
    pub devices: Sums<u32, 5>,
    pub referrers: Sums<u32, 7>,
    pub countries: Recent<COUNTRIES_MET_MAX>,
    pub brands: Recent<BRANDS_MET_MAX>,
    pub traits: [Latest; told::COUNT],
    pub tiles: Tiles<u32, { tile::COUNT }>,
    pub sessions: Sessions,
    /// Videos watched last: low half of the item, second, deciles reached as bits.
    watched: Vec<(u32, u32, u16)>,
}

/// Kinds that are more than having been shown something.
const ENGAGING: &[EventType] = &[
    EventType::Click,
    EventType::Read,
    EventType::Like,
    EventType::Rating,
    EventType::Share,
    EventType::Comment,
    EventType::Signup,
];

impl Activity {
    /// Applies one event; answers which tenths of its video the reader reached for the first time, as bits.
    pub fn fold(
        &mut self,
        e: &Seen<'_>,
        item: Option<&ItemFacts>,
        rule: &SessionRule,
        in_time: bool,
    ) -> u16 {
        use EventType::{AdImpression, Click, Consent, Identify, Impression};
        let (at, m) = (e.at_s(), &e.more);
        if let Some(t) = &m.traits {
            let told = [
                t.age_group,
                t.country.into(),
                t.subscription,
                t.joined_day,
                t.language.into(),
            ];
            for (known, value) in self.traits.iter_mut().zip(told).filter(|t| t.1 != 0) {
                known.tell(Latest { at_s: at, value });
            }
        }
        if matches!(e.kind, Consent | Identify) {
            // The reader did nothing: a setting was told.
            return 0;
        }
        self.first_s = if self.first_s == 0 {
            at
        } else {
            self.first_s.min(at)
        };
        self.last_s = self.last_s.max(at);
        self.kinds.add(e.kind as usize, 1);
        self.total(e);
        if let Some(i) = LAST_OF.iter().position(|k| *k == e.kind) {
            self.last_of[i] = self.last_of[i].max(at);
        }
        if let Some(device) = m.device {
            self.devices.add(device.into(), 1);
        }
        if let Some(referrer) = m.referrer {
            self.referrers.add(referrer.into(), 1);
        }
        if m.country != 0 {
            self.countries.meet(m.country.into(), at, 1);
        }
        self.brands.meet(crate::seen::slug_hash(&e.brand), at, 1);
        let topics = item.filter(|_| e.is_read()).map_or(0, topics_of);
        self.topics |= topics;
        let reached = match (e.content, m.percent) {
            (Some(content), Some(percent)) => self.watch(content, at, percent),
            _ => 0,
        };
        if in_time {
            let counts = [
                u32::from(e.kind == Impression),
                u32::from(e.kind == Click),
                u32::from(e.is_read()),
                m.dwell_s.unwrap_or(0),
                u32::from(e.kind == AdImpression),
            ];
            if counts != [0; tile::COUNT] {
                // Windows of minutes are read of impressions, clicks and reads alone.
                let fine = [counts[0], counts[1], counts[2], 0, 0];
                self.tiles.add_finely(e.at, &fine, &counts);
            }
            self.sessions.add(rule, e, topics);
        }
        reached
    }

    fn total(&mut self, e: &Seen<'_>) {
        let m = &e.more;
        if let Some(s) = m.dwell_s {
            self.totals.add(total::DWELL_S, s.into());
            self.totals.add(total::DWELT, 1);
        }
        if let Some(r) = m.rating {
            self.totals.add(total::RATINGS, r.into());
        }
        if let Some(n) = m.engagement {
            self.totals.add(total::ENGAGED, 1);
            self.totals.add(total::ENGAGEMENT, n.into());
        }
        self.totals.add(total::REVENUE, m.revenue_micros);
        self.totals.add(total::PLAYED, e.played.into());
    }

    /// Notes how far a video was watched. Bits of the tenths that are new.
    fn watch(&mut self, content: ContentId, at: u32, percent: u8) -> u16 {
        let reached: u16 = (1 << (u16::from(percent.min(100)) / 10 + 1)) - 1;
        let short = content.short();
        if let Some(w) = self.watched.iter_mut().find(|w| w.0 == short) {
            let new = reached & !w.2;
            w.1 = w.1.max(at);
            w.2 |= reached;
            self.totals.add(total::COMPLETED, i64::from(new >> 10 & 1));
            return new;
        }
        self.watched.push((short, at, reached));
        self.watched.sort_unstable();
        if self.watched.len() > WATCHED_MAX {
            let oldest = self
                .watched
                .iter()
                .enumerate()
                .min_by_key(|(_, w)| (w.1, w.0));
            if let Some((oldest, _)) = oldest {
                self.watched.remove(oldest);
            }
        }
        self.totals
            .add(total::COMPLETED, i64::from(reached >> 10 & 1));
        reached
    }

    /// See [`crate::cache::Warm`].
    pub fn warm(&self) -> u64 {
        let inline = [
            self.first_s,
            self.kinds.0[0],
            self.devices.0[0],
            self.traits[0].at_s,
            self.watched.first().map_or(0, |w| w.0),
        ];
        inline.into_iter().map(u64::from).sum::<u64>()
            ^ self.totals.0[0].cast_unsigned()
            ^ self.countries.warm()
            ^ self.brands.warm()
            ^ self.tiles.warm()
            ^ self.sessions.warm()
    }

    /// Adds another part of the same reader's doings.
    pub fn merge(&mut self, other: &Self, rule: &SessionRule) {
        self.first_s = match (self.first_s, other.first_s) {
            (0, n) | (n, 0) => n,
            (a, b) => a.min(b),
        };
        self.last_s = self.last_s.max(other.last_s);
        self.kinds.merge(&other.kinds);
        self.totals.merge(&other.totals);
        for (a, b) in self.last_of.iter_mut().zip(other.last_of) {
            *a = (*a).max(b);
        }
        self.topics |= other.topics;
        self.devices.merge(&other.devices);
        self.referrers.merge(&other.referrers);
        self.countries.merge(&other.countries);
        self.brands.merge(&other.brands);
        for (a, b) in self.traits.iter_mut().zip(other.traits) {
            a.tell(b);
        }
        self.tiles.merge(&other.tiles);
        self.sessions.merge(rule, &other.sessions);
        for &(short, at, reached) in &other.watched {
            match self.watched.iter_mut().find(|w| w.0 == short) {
                Some(w) => (w.1, w.2) = (w.1.max(at), w.2 | reached),
                None => self.watched.push((short, at, reached)),
            }
        }
        self.watched
            .sort_unstable_by_key(|w| (std::cmp::Reverse(w.1), w.0));
        self.watched.truncate(WATCHED_MAX);
        self.watched.sort_unstable();
    }

    /// Second of the last event of a kind in [`LAST_OF`]; 0 when there was none.
    pub fn last_of(&self, kind: EventType) -> u32 {
        let at = LAST_OF.iter().position(|k| *k == kind);
        at.map_or(0, |i| self.last_of[i])
    }

    /// Events that are more than having been shown something.
    pub fn engaging(&self) -> u64 {
        self.kinds.all_of(ENGAGING)
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.first_s.into());
        pack::put(out, u64::from(self.last_s.saturating_sub(self.first_s)));
        self.kinds.pack(out);
        self.totals.pack(out);
        for last in self.last_of {
            // 0 for never, else how long before the last event, and one.
            let ago = u64::from(self.last_s.saturating_sub(last)) + 1;
            pack::put(out, if last == 0 { 0 } else { ago });
        }
        pack::put(out, self.topics);
        self.devices.pack(out);
        self.referrers.pack(out);
        self.countries.pack(out);
        self.brands.pack(out);
        for t in &self.traits {
            t.pack(out);
        }
        self.tiles.pack(out);
        self.sessions.pack(out);
        pack::put(out, self.watched.len() as u64);
        for &(short, at, reached) in &self.watched {
            out.extend_from_slice(&short.to_le_bytes());
            pack::put(out, u64::from(self.last_s.saturating_sub(at)));
            pack::put(out, reached.into());
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let first_s: u32 = pack::take_as(bytes)?;
        let length: u32 = pack::take_as(bytes)?;
        let out_of_range = || Damaged("time out of range");
        let last_s = first_s.checked_add(length).ok_or_else(out_of_range)?;
        let mut a = Self {
            first_s,
            last_s,
            kinds: Kinds::unpack(bytes)?,
            totals: Sums::unpack(bytes)?,
            ..Self::default()
        };
        for last in &mut a.last_of {
            *last = match pack::take(bytes)?.checked_sub(1) {
                None => 0,
                Some(ago) => {
                    let ago = u32::try_from(ago).map_err(|_| out_of_range())?;
                    last_s.checked_sub(ago).ok_or_else(out_of_range)?
                }
            };
        }
        a.topics = pack::take(bytes)?;
        a.devices = Sums::unpack(bytes)?;
        a.referrers = Sums::unpack(bytes)?;
        a.countries = Recent::unpack(bytes)?;
        a.brands = Recent::unpack(bytes)?;
        for t in &mut a.traits {
            *t = Latest::unpack(bytes)?;
        }
        a.tiles = Tiles::unpack(bytes)?;
        a.sessions = Sessions::unpack(bytes)?;
        for _ in 0..pack::take_len(bytes, WATCHED_MAX)? {
            let short = pack::take_bytes(bytes, 4)?;
            let short = short.try_into().map(u32::from_le_bytes);
            let ago: u32 = pack::take_as(bytes)?;
            let at = last_s.checked_sub(ago).ok_or_else(out_of_range)?;
            let reached = pack::take_as(bytes)?;
            let short = short.map_err(|_| Damaged("ends within an item"))?;
            a.watched.push((short, at, reached));
        }
        Ok(a)
    }
}

/// The topics an item is about, as bits: those within half of its strongest.
fn topics_of(item: &ItemFacts) -> u64 {
    let top = item.topics.iter().copied().max().unwrap_or(0);
    if top <= 0 {
        return 0;
    }
    let strong = |t: &i8| i16::from(*t) * 2 >= i16::from(top);
    let bits = item.topics.iter().enumerate().filter(|(_, t)| strong(t));
    bits.fold(0, |bits, (i, _)| bits | 1 << i)
}
