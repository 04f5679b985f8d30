//! What items and brands have in common: who met them, with what, where, when.

use mediaflow_shared::event::EventType;

use crate::pack::{self, Damaged};
use crate::seen::Seen;
use crate::tally::{Kinds, Split, Sums};
use crate::tiles::Tiles;

/// What the tiles of items and brands count.
pub(crate) mod tile {
    pub const IMPRESSIONS: usize = 0;
    pub const CLICKS: usize = 1;
    pub const READS: usize = 2;
    pub const VIEWS: usize = 3;
    pub const DWELL_S: usize = 4;
    pub const COUNT: usize = 5;
}

/// Shared counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Audience {
    /// First and last event, seconds since the epoch; 0 = none.
    pub first_s: u32,
    pub last_s: u32,
    /// Offset of the last event counted, and one: the version of the state.
    pub version: u64,
    pub kinds: Kinds,
    /// Seconds spent, and events that told them.
    pub dwell: Sums<i64, 2>,
    /// Shown and acted on, by device.
    pub devices: Split,
    /// Shown and acted on, by country.
    pub countries: Split,
    pub tiles: Tiles<u32, { tile::COUNT }>,
}

impl Audience {
    pub fn fold(&mut self, e: &Seen<'_>, version: u64, in_time: bool) {
        use EventType::{Click, Impression, View};
        let m = &e.more;
        self.met(e, version);
        if let Some(s) = m.dwell_s {
            self.dwell.merge(&Sums([s.into(), 1]));
        }
        let (shown, acted) = (
            u32::from(e.kind == Impression),
            u32::from(e.kind == Click || e.is_read()),
        );
        if shown + acted > 0 {
            split(&mut self.devices, &mut self.countries, e, shown, acted);
        }
        let counts = [
            shown,
            u32::from(e.kind == Click),
            u32::from(e.is_read()),
            u32::from(e.kind == View),
            m.dwell_s.unwrap_or(0),
        ];
        if in_time && counts != [0; tile::COUNT] {
            self.tiles.add(e.at, &counts);
        }
    }

    /// Counts an event without looking into it.
    pub fn met(&mut self, e: &Seen<'_>, version: u64) {
        let at = e.at_s();
        self.first_s = if self.first_s == 0 {
            at
        } else {
            self.first_s.min(at)
        };
        self.last_s = self.last_s.max(at);
        self.version = self.version.max(version);
        self.kinds.add(e.kind as usize, 1);
    }

    pub fn merge(&mut self, other: &Self) {
        self.first_s = match (self.first_s, other.first_s) {
            (0, n) | (n, 0) => n,
            (a, b) => a.min(b),
        };
        self.last_s = self.last_s.max(other.last_s);
        // Offsets of different partitions cannot be compared; their sum grows with each of them.
        self.version = self.version.saturating_add(other.version);
        self.kinds.merge(&other.kinds);
        self.dwell.merge(&other.dwell);
        self.devices.merge(&other.devices);
        self.countries.merge(&other.countries);
        self.tiles.merge(&other.tiles);
    }

    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::put(out, self.first_s.into());
        pack::put(out, self.last_s.saturating_sub(self.first_s).into());
        pack::put(out, self.version);
        self.kinds.pack(out);
        self.dwell.pack(out);
        self.devices.pack(out);
        self.countries.pack(out);
        self.tiles.pack(out);
    }

    pub fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let first_s: u32 = pack::take_as(bytes)?;
        let length: u32 = pack::take_as(bytes)?;
        Ok(Self {
            first_s,
            last_s: first_s
                .checked_add(length)
                .ok_or(Damaged("time out of range"))?,
            version: pack::take(bytes)?,
            kinds: Sums::unpack(bytes)?,
            dwell: Sums::unpack(bytes)?,
            devices: Split::unpack(bytes)?,
            countries: Split::unpack(bytes)?,
            tiles: Tiles::unpack(bytes)?,
        })
    }
}

/// Counts by device and country, where they are known.
pub(super) fn split(
    devices: &mut Split,
    countries: &mut Split,
    e: &Seen<'_>,
    shown: u32,
    acted: u32,
) {
    if let Some(device) = e.more.device {
        devices.add(device.into(), shown, acted);
    }
    if e.more.country != 0 {
        countries.add(e.more.country, shown, acted);
    }
}
