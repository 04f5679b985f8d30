//! The reader's profile: what is known about a reader, small enough to travel in a cookie.
//!
//! [`blob`] is the wire form (at most [`blob::BLOB_BYTES_MAX`] bytes); [`fold`] is how an interaction changes a
//! profile, the same at the edge and at the origin; [`words`] says what is held. Absent sections cost nothing.

pub mod blob;
pub mod fold;
pub mod words;

use crate::time::Minute;
use crate::topics::{LANES, TOPICS};

/// Reads remembered at most.
pub const READS_MAX: usize = 16;
/// Mutes remembered at most.
pub const MUTES_MAX: usize = 8;
/// Advertisement caps remembered at most.
pub const AD_CAPS_MAX: usize = 4;

/// A list of at most `N` small values without an allocation.
#[derive(Debug, Clone, Copy)]
pub struct Short<T, const N: usize> {
    items: [T; N],
    len: u8,
}

impl<T: Copy + Default + PartialEq, const N: usize> PartialEq for Short<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Copy + Default + Eq, const N: usize> Eq for Short<T, N> {}

impl<T: Copy + Default, const N: usize> Default for Short<T, N> {
    fn default() -> Self {
        Self {
            items: [T::default(); N],
            len: 0,
        }
    }
}

impl<T: Copy + Default, const N: usize> Short<T, N> {
    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.items[..usize::from(self.len).min(N)]
    }

    /// The values, to be changed in place.
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        let n = usize::from(self.len).min(N);
        &mut self.items[..n]
    }

    /// Appends; a full list drops the value and answers `false`.
    pub fn push(&mut self, value: T) -> bool {
        let n = usize::from(self.len);
        if n >= N {
            return false;
        }
        self.items[n] = value;
        self.len += 1;
        true
    }

    /// Puts a value first; a full list forgets its last.
    pub fn push_front(&mut self, value: T) {
        let n = usize::from(self.len).min(N - 1);
        self.items.copy_within(0..n, 1);
        self.items[0] = value;
        self.len = (n + 1) as u8;
    }

    /// Keeps the values for which `keep` holds, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut n = 0;
        for i in 0..usize::from(self.len).min(N) {
            if keep(&self.items[i]) {
                self.items[n] = self.items[i];
                n += 1;
            }
        }
        self.len = n as u8;
    }

    /// Drops all but the first `n`.
    pub fn truncate(&mut self, n: usize) {
        self.len = self.len.min(u8::try_from(n).unwrap_or(u8::MAX));
    }
}

/// One remembered read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Read {
    /// Low 32 bits of the content id.
    pub short: u32,
    /// Age class relative to the profile's `as_of`: see [`age_class`].
    pub age: u8,
}

/// A topic or author the reader does not want.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mute {
    /// Placeholder of an empty place; never stored.
    #[default]
    None,
    /// Topic number.
    Topic(u8),
    /// Low 24 bits of the author's name hash (3 bytes keep a mute at 4).
    Author(u32),
}

/// How often an advertisement was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AdCap {
    /// Low 16 bits of the campaign's hash.
    pub campaign: u16,
    /// Times shown today.
    pub shown: u8,
}

/// Preferred article length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Length {
    /// Not known yet.
    #[default]
    Unknown = 0,
    /// Under 3 minutes.
    Short = 1,
    /// 3 to 8 minutes.
    Medium = 2,
    /// Over 8 minutes.
    Long = 3,
}

impl Length {
    /// The class of a reading time.
    #[must_use]
    pub const fn of_minutes(reading_time_min: u8) -> Self {
        match reading_time_min {
            0..=2 => Self::Short,
            3..=8 => Self::Medium,
            _ => Self::Long,
        }
    }
}

/// Topic affinities: a direction (`lanes`, L2 norm 127) and how much evidence stands behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Affinity {
    /// One lane a topic, the rest zero.
    pub lanes: [i8; LANES],
    /// Confidence in Q16: `n / (n + 5)` after n reads, 65535 at most.
    pub confidence: u16,
}

/// The learned reader vector: `lane × scale` in Q8 is the real coordinate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// Coordinates in the basis of the model epoch.
    pub lanes: [i8; LANES],
    /// Q8.
    pub scale: u16,
}

/// Habits of a reader (S0-13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Habits {
    /// Mean session, minutes; 0 when unknown.
    pub session_min: u8,
    /// Items read in the current session.
    pub session_depth: u8,
    /// Preferred length.
    pub length: Length,
    /// Bit h set: active in hour h (UTC).
    pub hours: u32,
    /// Interactions per impression in 1/255.
    pub engagement: u8,
    /// Segment number, 0 = none.
    pub segment: u8,
    /// Churn risk band 0–15, 0 = unknown.
    pub churn: u8,
    /// Conversion band 0–15, 0 = unknown.
    pub conversion: u8,
}

/// A decoded profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// Model epoch of the learned vector.
    pub epoch: u16,
    /// When it was last changed.
    pub as_of: Minute,
    /// Topic affinities, when there is evidence.
    pub affinity: Option<Affinity>,
    /// Learned vector, when a model was trained.
    pub learned: Option<Learned>,
    /// Newest first.
    pub reads: Short<Read, READS_MAX>,
    /// Habits, when known.
    pub habits: Option<Habits>,
    /// Advertisement caps.
    pub ad_caps: Short<AdCap, AD_CAPS_MAX>,
    /// What the reader muted.
    pub mutes: Short<Mute, MUTES_MAX>,
    /// Version of the consent text agreed to; 0 = none.
    pub consent: u8,
    /// Day since the epoch on which the profile is to be forgotten.
    pub expires_day: u16,
}

impl Profile {
    /// Whether the item with this short id was read.
    #[must_use]
    pub fn has_read(&self, short: u32) -> bool {
        self.reads.as_slice().iter().any(|r| r.short == short)
    }

    /// The strongest positive affinities, strongest first: (topic, lane).
    #[must_use]
    pub fn top_topics(&self, n: usize) -> Vec<(u8, i8)> {
        let Some(a) = &self.affinity else {
            return Vec::new();
        };
        let mut v: Vec<(u8, i8)> = (0..TOPICS)
            .filter(|&i| a.lanes[i] > 0)
            .map(|i| (i as u8, a.lanes[i]))
            .collect();
        v.sort_by_key(|&(i, w)| (core::cmp::Reverse(w), i));
        v.truncate(n);
        v
    }
}

/// A profile older than this counts as stale (rung 1), in minutes: a week.
pub const STALE_MIN: u32 = 7 * 24 * 60;

/// Weight of personal scorers for a profile that may be outdated, Q16: from 7/8 at once to 3/8 after a week, a quarter
/// at least. Even a profile that was just changed is not fully believed while storage cannot confirm it.
#[must_use]
pub fn faded(age_min: u32) -> u32 {
    const ONE: u32 = 1 << 16;
    let lost = u64::from(ONE / 2) * u64::from(age_min) / u64::from(STALE_MIN);
    let start = u64::from(ONE - ONE / 8);
    start.saturating_sub(lost).max(u64::from(ONE / 4)) as u32
}

/// Age classes: 0 = under 1 h, then doubling up to 255 = forgotten. Class c covers ages below `2^c` hours.
#[must_use]
pub const fn age_class(age_min: u32) -> u8 {
    let hours = age_min / 60;
    (32 - hours.leading_zeros()) as u8
}
