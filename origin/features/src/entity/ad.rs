//! An ad: shown, clicked, converted, and what that was worth.

use datasketches::hll::Coupon;
use mediaflow_shared::event::EventType;

use super::Stored;
use super::audience::{Audience, split};
use crate::limits::{AD_BYTES_MAX, ITEM_READERS_LG_K};
use crate::pack::{self, Damaged};
use crate::seen::{Ad, Seen};
use crate::sketch::Distinct;
use crate::tiles::Tiles;

/// What an ad's tiles count.
pub(crate) mod tile {
    pub const IMPRESSIONS: usize = 0;
    pub const CLICKS: usize = 1;
    pub const CONVERSIONS: usize = 2;
    pub const REVENUE: usize = 3;
    pub const COUNT: usize = 4;
}

/// The counters of an ad.
#[derive(Debug, Clone, Default)]
pub struct AdState {
    /// The ad's id, and its campaign's where known.
    pub(crate) id: String,
    pub(crate) campaign: String,
    /// When met and how often by kind, devices and countries; its tiles are not used.
    pub(crate) audience: Audience,
    pub(crate) revenue_micros: i64,
    /// Second of the last click and conversion.
    pub(crate) clicked_s: u32,
    pub(crate) converted_s: u32,
    /// Readers it was shown to.
    pub(crate) readers: Distinct<ITEM_READERS_LG_K>,
    pub(crate) tiles: Tiles<i64, { tile::COUNT }>,
}

impl AdState {
    /// The ad's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn fold(
        &mut self,
        e: &Seen<'_>,
        ad: &Ad<'_>,
        reader: Option<Coupon>,
        version: u64,
        in_time: bool,
    ) {
        use EventType::{AdClick, AdImpression, Conversion};
        if self.id.is_empty() {
            self.id = ad.id.to_string();
        }
        // Of two campaigns the greater name, so that the order of events does not matter.
        if *ad.campaign > *self.campaign {
            self.campaign = ad.campaign.to_string();
        }
        self.audience.met(e, version);
        let is = |kind| i64::from(e.kind == kind);
        let counts = [
            is(AdImpression),
            is(AdClick),
            is(Conversion),
            e.more.revenue_micros,
        ];
        self.revenue_micros = self.revenue_micros.wrapping_add(e.more.revenue_micros);
        match e.kind {
            AdImpression => {
                if let Some(reader) = reader {
                    self.readers.insert(reader);
                }
            }
            AdClick => self.clicked_s = self.clicked_s.max(e.at_s()),
            _ => self.converted_s = self.converted_s.max(e.at_s()),
        }
        let a = &mut self.audience;
        split(
            &mut a.devices,
            &mut a.countries,
            e,
            u32::from(e.kind == AdImpression),
            u32::from(e.kind == AdClick),
        );
        if in_time {
            self.tiles.add(e.at, &counts);
        }
    }

    /// Adds another partition's counters of the same ad.
    pub fn merge(&mut self, other: &Self) {
        if self.id.is_empty() {
            self.id.clone_from(&other.id);
        }
        if other.campaign > self.campaign {
            self.campaign.clone_from(&other.campaign);
        }
        self.audience.merge(&other.audience);
        self.revenue_micros = self.revenue_micros.wrapping_add(other.revenue_micros);
        self.clicked_s = self.clicked_s.max(other.clicked_s);
        self.converted_s = self.converted_s.max(other.converted_s);
        self.readers.merge(&other.readers);
        self.tiles.merge(&other.tiles);
    }
}

impl Stored for AdState {
    const WHAT: &'static str = "an ad's counters";

    fn pack(&self, out: &mut Vec<u8>) {
        for text in [&self.id, &self.campaign] {
            pack::put(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        self.audience.pack(out);
        pack::put(out, pack::zigzag(self.revenue_micros));
        pack::put(out, self.clicked_s.into());
        pack::put(out, self.converted_s.into());
        self.readers.pack(out);
        self.tiles.pack(out);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let text = |bytes: &mut &[u8]| {
            let n = pack::take_len(bytes, AD_BYTES_MAX)?;
            let raw = pack::take_bytes(bytes, n)?;
            let text = std::str::from_utf8(raw).map_err(|_| Damaged("text is not UTF-8"))?;
            Ok(text.to_owned())
        };
        Ok(Self {
            id: text(bytes)?,
            campaign: text(bytes)?,
            audience: Audience::unpack(bytes)?,
            revenue_micros: pack::unzigzag(pack::take(bytes)?),
            clicked_s: pack::take_as(bytes)?,
            converted_s: pack::take_as(bytes)?,
            readers: Distinct::unpack(bytes)?,
            tiles: Tiles::unpack(bytes)?,
        })
    }
}
