//! A brand: its counters, how many readers it reached by day, what was read most by hour. Three views, so that an
//! event rewrites a day and an hour, not a month.

use mediaflow_shared::time::Timestamp;

use super::{Audience, Stored};
use crate::declare::Window;
use crate::limits::REACH_LG_K;
use crate::pack::{self, Damaged};
use crate::seen::Seen;
use crate::sketch::{Distinct, Top};

/// Distinct readers of a day.
pub type Reach = Distinct<REACH_LG_K>;

/// The counters of a brand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrandCounts {
    pub(crate) audience: Audience,
    pub(crate) revenue_micros: i64,
}

impl BrandCounts {
    pub(crate) fn fold(&mut self, e: &Seen<'_>, version: u64, in_time: bool) {
        self.audience.fold(e, version, in_time);
        self.revenue_micros = self.revenue_micros.wrapping_add(e.more.revenue_micros);
    }

    /// Adds another partition's counters of the same brand.
    pub fn merge(&mut self, other: &Self) {
        self.audience.merge(&other.audience);
        self.revenue_micros = self.revenue_micros.wrapping_add(other.revenue_micros);
    }
}

impl Stored for BrandCounts {
    const WHAT: &'static str = "a brand's counters";

    fn pack(&self, out: &mut Vec<u8>) {
        self.audience.pack(out);
        pack::put(out, pack::zigzag(self.revenue_micros));
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        Ok(Self {
            audience: Audience::unpack(bytes)?,
            revenue_micros: pack::unzigzag(pack::take(bytes)?),
        })
    }
}

impl Stored for Reach {
    const WHAT: &'static str = "distinct readers";

    fn pack(&self, out: &mut Vec<u8>) {
        Self::pack(self, out);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        Self::unpack(bytes)
    }
}

/// All that is known of a brand, over all partitions.
#[derive(Debug, Clone, Default)]
pub struct BrandState {
    /// Its counters.
    pub counts: BrandCounts,
    /// Distinct readers by day since the epoch: one sketch per day and partition.
    pub days: Vec<(u32, Reach)>,
    /// Items most read by hour since the epoch: one sketch per hour and partition.
    pub hours: Vec<(u32, Top)>,
}

impl BrandState {
    /// Adds another partition's part of the same brand.
    pub fn merge(&mut self, other: Self) {
        self.counts.merge(&other.counts);
        self.days.extend(other.days);
        self.hours.extend(other.hours);
    }

    /// Distinct readers in a window of whole days. Readers of several days count once.
    pub(crate) fn readers(&self, window: Window, now: Timestamp) -> u64 {
        let today = now.minute().0 / 1440;
        let oldest = today.saturating_sub(window.days().saturating_sub(1));
        let mut all = Reach::default();
        for (day, readers) in &self.days {
            if (oldest..=today).contains(day) {
                all.merge(readers);
            }
        }
        all.estimate()
    }

    /// Items most read in the last `hours`, the running one among them.
    pub(crate) fn top(&self, hours: u32, now: Timestamp) -> Top {
        let this = now.minute().0 / 60;
        let oldest = this.saturating_sub(hours);
        let mut all = Top::default();
        for (hour, top) in &self.hours {
            if (oldest..=this).contains(hour) {
                all.merge(top);
            }
        }
        all
    }
}
