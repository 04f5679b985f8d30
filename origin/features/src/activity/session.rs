//! One session: some eighty bytes from which more than fifty metrics are read, while it is open and after.

use crate::pack::{self, Damaged};
use crate::seen::Seen;
use crate::tally::{Kinds, Sets, Sums};

/// Sums of a session.
pub(crate) mod sum {
    pub const DWELL_S: usize = 0;
    pub const DWELT: usize = 1;
    pub const SLOTS: usize = 2;
    pub const SLOT_SUM: usize = 3;
    pub const FROM_FEED: usize = 4;
    pub const TRAINABLE: usize = 5;
    pub const RATINGS: usize = 6;
    pub const ENGAGED: usize = 7;
    pub const ENGAGEMENT: usize = 8;
    pub const OUTLIERS: usize = 9;
    pub const PLAYED: usize = 10;
    pub const COMPLETED: usize = 11;
    /// Events with dwell of at least [`crate::limits::LONG_READ_S`].
    pub const LONG: usize = 12;
    pub const COUNT: usize = 13;
}

/// Maxima of a session.
pub(crate) mod max {
    pub const DWELL_S: usize = 0;
    pub const SLOT: usize = 1;
    pub const PERCENT: usize = 2;
    pub const POSITION_S: usize = 3;
    pub const ENGAGEMENT: usize = 4;
    pub const RATING: usize = 5;
    pub const COUNT: usize = 6;
}

/// Sets of a session.
pub(crate) mod set {
    /// Items read or viewed.
    pub const ITEMS: usize = 0;
    pub const TOPICS: usize = 1;
    pub const BRANDS: usize = 2;
    pub const SURFACES: usize = 3;
    pub const DEVICES: usize = 4;
    pub const REFERRERS: usize = 5;
    pub const ADS: usize = 6;
    /// Five-minute stretches since the start of the day.
    pub const COUNT: usize = 7;
}

/// A session, or a part of one: parts add up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SessionState {
    /// First and last event, seconds since the epoch.
    pub start_s: u32,
    pub last_s: u32,
    pub kinds: Kinds,
    pub sums: Sums<u32, { sum::COUNT }>,
    pub tops: [u32; max::COUNT],
    pub sets: Sets<{ set::COUNT }>,
    pub revenue_micros: i64,
    /// Second, item and referrer + 1 of the first event that named an item.
    pub entry: Option<(u32, u64, u8)>,
    /// Second and item of the last event that named an item.
    pub exit: Option<(u32, u64)>,
    /// Of the first event that told it: second, device + 1, country.
    pub context: Option<(u32, u8, u16)>,
}

impl SessionState {
    /// The part that is one event, with the topics of its item.
    pub fn of(e: &Seen<'_>, topics: u64) -> Self {
        let mut s = Self {
            start_s: e.at_s(),
            last_s: e.at_s(),
            ..Self::default()
        };
        s.add(e, topics);
        s
    }

    /// See [`crate::cache::Warm`].
    pub fn warm(&self) -> u64 {
        self.sets.0[0]
            ^ self.revenue_micros.cast_unsigned()
            ^ u64::from(self.start_s ^ self.tops[0])
    }

    /// Adds an event that belongs to it.
    pub fn add(&mut self, e: &Seen<'_>, topics: u64) {
        let (at, m) = (e.at_s(), &e.more);
        self.start_s = self.start_s.min(at);
        self.last_s = self.last_s.max(at);
        self.kinds.add(e.kind as usize, 1);
        if let Some(s) = m.dwell_s {
            self.sums.add(sum::DWELL_S, s);
            self.sums.add(sum::DWELT, 1);
            self.sums
                .add(sum::LONG, u32::from(s >= crate::limits::LONG_READ_S));
            self.top(max::DWELL_S, s);
        }
        if let Some(slot) = m.slot {
            self.sums.add(sum::SLOTS, 1);
            self.sums.add(sum::SLOT_SUM, slot.into());
            self.top(max::SLOT, slot.into());
        }
        if let Some(percent) = m.percent {
            self.sums.add(sum::PLAYED, u32::from(e.played));
            self.sums.add(
                sum::COMPLETED,
                u32::from(percent >= crate::limits::COMPLETED_PERCENT),
            );
            self.top(max::PERCENT, percent.into());
            self.top(max::POSITION_S, m.position_s);
        }
        if let Some(rating) = m.rating {
            self.sums.add(sum::RATINGS, rating.into());
            self.top(max::RATING, rating.into());
        }
        if let Some(engagement) = m.engagement {
            self.sums.add(sum::ENGAGED, 1);
            self.sums.add(sum::ENGAGEMENT, engagement);
            self.top(max::ENGAGEMENT, engagement);
        }
        self.sums.add(sum::FROM_FEED, m.from_feed.into());
        self.sums.add(sum::TRAINABLE, m.trainable.into());
        self.sums.add(sum::OUTLIERS, m.outliers.into());
        self.revenue_micros = self.revenue_micros.wrapping_add(m.revenue_micros);
        self.join_sets(e, topics);
    }

    fn join_sets(&mut self, e: &Seen<'_>, topics: u64) {
        let (at, m) = (e.at_s(), &e.more);
        if let Some(content) = e.content {
            self.sets.insert(set::ITEMS, (content.0 >> 58) as u32);
            let entry = Some((at, content.0, m.referrer.map_or(0, |r| r + 1)));
            self.entry = earlier(self.entry, entry);
            self.exit = self.exit.max(Some((at, content.0)));
        }
        self.sets.0[set::TOPICS] |= topics;
        self.sets
            .insert(set::BRANDS, crate::seen::slug_hash(&e.brand));
        if m.surface != 0 {
            self.sets.insert(set::SURFACES, m.surface);
        }
        if let Some(device) = m.device {
            self.sets.insert(set::DEVICES, device.into());
        }
        if let Some(referrer) = m.referrer {
            self.sets.insert(set::REFERRERS, referrer.into());
        }
        if let Some(ad) = &m.ad {
            self.sets.insert(set::ADS, (ad.key >> 58) as u32);
        }
        if m.device.is_some() || m.country != 0 {
            let context = (at, m.device.map_or(0, |d| d + 1), m.country);
            self.context = earlier(self.context, Some(context));
        }
    }

    fn top(&mut self, which: usize, n: u32) {
        self.tops[which] = self.tops[which].max(n);
    }

    /// Adds another part of the same session.
    pub fn merge(&mut self, other: &Self) {
        self.start_s = self.start_s.min(other.start_s);
        self.last_s = self.last_s.max(other.last_s);
        self.kinds.merge(&other.kinds);
        self.sums.merge(&other.sums);
        for (top, n) in self.tops.iter_mut().zip(other.tops) {
            *top = (*top).max(n);
        }
        self.sets.merge(&other.sets);
        self.revenue_micros = self.revenue_micros.wrapping_add(other.revenue_micros);
        self.entry = earlier(self.entry, other.entry);
        self.exit = self.exit.max(other.exit);
        self.context = earlier(self.context, other.context);
    }

    pub fn seconds(&self) -> u32 {
        self.last_s.saturating_sub(self.start_s)
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.start_s.into());
        pack::put(out, u64::from(self.last_s.saturating_sub(self.start_s)));
        self.kinds.pack(out);
        self.sums.pack(out);
        for n in self.tops {
            pack::put(out, n.into());
        }
        self.sets.pack(out);
        pack::put(out, pack::zigzag(self.revenue_micros));
        let after = |s: u32| u64::from(s.saturating_sub(self.start_s));
        out.push(
            u8::from(self.entry.is_some())
                | u8::from(self.exit.is_some()) << 1
                | u8::from(self.context.is_some()) << 2,
        );
        if let Some((at, content, referrer)) = self.entry {
            pack::put(out, after(at));
            out.extend_from_slice(&content.to_le_bytes());
            out.push(referrer);
        }
        if let Some((at, content)) = self.exit {
            pack::put(out, after(at));
            out.extend_from_slice(&content.to_le_bytes());
        }
        if let Some((at, device, country)) = self.context {
            pack::put(out, after(at));
            out.push(device);
            pack::put(out, country.into());
        }
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let start_s: u32 = pack::take_as(bytes)?;
        let later = |bytes: &mut &[u8]| {
            let after: u32 = pack::take_as(bytes)?;
            start_s
                .checked_add(after)
                .ok_or(Damaged("time out of range"))
        };
        let mut s = Self {
            start_s,
            last_s: later(bytes)?,
            kinds: Kinds::unpack(bytes)?,
            sums: Sums::unpack(bytes)?,
            ..Self::default()
        };
        for n in &mut s.tops {
            *n = pack::take_as(bytes)?;
        }
        s.sets = Sets::unpack(bytes)?;
        s.revenue_micros = pack::unzigzag(pack::take(bytes)?);
        let content = |bytes: &mut &[u8]| {
            let raw = pack::take_bytes(bytes, 8)?;
            raw.try_into()
                .map(u64::from_le_bytes)
                .map_err(|_| Damaged("ends within an item"))
        };
        let has = pack::take_bytes(bytes, 1)?[0];
        if has & 1 != 0 {
            s.entry = Some((
                later(bytes)?,
                content(bytes)?,
                pack::take_bytes(bytes, 1)?[0],
            ));
        }
        if has & 2 != 0 {
            s.exit = Some((later(bytes)?, content(bytes)?));
        }
        if has & 4 != 0 {
            let at = later(bytes)?;
            let device = pack::take_bytes(bytes, 1)?[0];
            s.context = Some((at, device, pack::take_as(bytes)?));
        }
        Ok(s)
    }
}

/// The earlier of two that may be absent.
fn earlier<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
