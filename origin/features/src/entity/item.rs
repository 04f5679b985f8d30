//! An item: how it is met, by whom, and how far its video is watched.

use datasketches::hll::Coupon;

use super::{Audience, Stored};
use crate::limits::ITEM_READERS_LG_K;
use crate::pack::{self, Damaged};
use crate::seen::Seen;
use crate::sketch::Distinct;

/// Tenths of a video, 0 to 10.
pub(crate) const TENTHS: usize = 11;

/// The counters of an item.
#[derive(Debug, Clone, Default)]
pub struct ItemState {
    pub(crate) audience: Audience,
    /// Readers who read, viewed or played it.
    pub(crate) readers: Distinct<ITEM_READERS_LG_K>,
    /// Readers who got as far into the video.
    pub(crate) curve: [u32; TENTHS],
}

impl ItemState {
    /// Counts an event of the item. `reached`: tenths of its video that this reader never reached before, as bits.
    pub(crate) fn fold(
        &mut self,
        e: &Seen<'_>,
        reader: Option<Coupon>,
        reached: u16,
        version: u64,
        in_time: bool,
    ) {
        use mediaflow_shared::event::EventType::{Read, VideoProgress, View};
        self.audience.fold(e, version, in_time);
        if let Some(reader) = reader.filter(|_| matches!(e.kind, Read | View | VideoProgress)) {
            self.readers.insert(reader);
        }
        for (tenth, n) in self.curve.iter_mut().enumerate() {
            *n = n.saturating_add(u32::from(reached >> tenth & 1));
        }
    }

    /// Adds another partition's counters of the same item.
    pub fn merge(&mut self, other: &Self) {
        self.audience.merge(&other.audience);
        self.readers.merge(&other.readers);
        for (n, o) in self.curve.iter_mut().zip(other.curve) {
            *n = n.saturating_add(o);
        }
    }
}

impl Stored for ItemState {
    const WHAT: &'static str = "an item's counters";

    fn pack(&self, out: &mut Vec<u8>) {
        self.audience.pack(out);
        self.readers.pack(out);
        for n in self.curve {
            pack::put(out, n.into());
        }
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let mut s = Self {
            audience: Audience::unpack(bytes)?,
            readers: Distinct::unpack(bytes)?,
            curve: [0; TENTHS],
        };
        for n in &mut s.curve {
            *n = pack::take_as(bytes)?;
        }
        Ok(s)
    }
}
