//! From the state of a reader to the profile that is published.

use mediaflow_shared::profile::blob::encode;
use mediaflow_shared::profile::fold::normalise;
use mediaflow_shared::profile::{
    AdCap, Affinity, Habits, Length, MUTES_MAX, Mute, Profile, Read, Short, age_class,
};
use mediaflow_shared::signals::HalfLife;
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::{LANES, TOPICS};
use xxhash_rust::xxh3::xxh3_64;

use super::taste::Taste;
use crate::declare::Value;
use crate::limits::PROFILE_KEEP_D;

impl Taste {
    /// The profile as it is published; `None` after a withdrawal or reset.
    pub(super) fn profile(&self) -> Option<Profile> {
        if self.closed.is_some() || self.consent == 0 {
            return None;
        }
        let as_of = Minute(self.as_of_min);
        let mut p = Profile {
            as_of,
            affinity: self.affinity(as_of),
            habits: Some(self.habits()),
            mutes: self.mutes(),
            consent: self.consent,
            expires_day: u16::try_from(self.heard_day.saturating_add(PROFILE_KEEP_D))
                .unwrap_or(u16::MAX),
            ..Profile::default()
        };
        for &(short, min) in &self.reads {
            let age = age_class(as_of.since(Minute(min)));
            p.reads.push(Read { short, age });
        }
        for &(campaign, shown) in &self.ads {
            p.ad_caps.push(AdCap { campaign, shown });
        }
        Some(p)
    }

    /// The blob, when it differs from the one last handed on; remembers it as handed on.
    pub(super) fn changed_blob(&mut self) -> Option<Vec<u8>> {
        let bytes = encode(&self.profile()?);
        // Zero means "none yet".
        let hash = xxh3_64(&bytes).max(1);
        (std::mem::replace(&mut self.published, hash) != hash).then_some(bytes)
    }

    /// n / (n + 5) of the decayed reads, in millionths.
    pub(super) fn confidence(&self, now: Timestamp) -> Value {
        let n = self.evidence_q10(now.minute());
        Value::ratio(n, n + 5 * 1024)
    }

    /// Decayed reads as of `at`, Q10.
    fn evidence_q10(&self, at: Minute) -> u64 {
        let (era, now_q24) = HalfLife::D14.weight(at);
        let halvings = era.saturating_sub(self.era);
        let evidence = u64::from(self.evidence).checked_shr(halvings).unwrap_or(0);
        (evidence << 24) / now_q24
    }

    fn affinity(&self, as_of: Minute) -> Option<Affinity> {
        if self.lanes.iter().all(|&l| l == 0) {
            return None;
        }
        let mut sum = [0; LANES];
        for (s, lane) in sum.iter_mut().zip(&self.lanes).take(TOPICS) {
            *s = i64::from(*lane);
        }
        let n = self.evidence_q10(as_of);
        Some(Affinity {
            lanes: normalise(&sum),
            confidence: (65_536 * n / (n + 5 * 1024)).min(65_535) as u16,
        })
    }

    fn habits(&self) -> Habits {
        let s = &self.session;
        let session_min = if s.ended == 0 {
            s.last_min.saturating_sub(s.start_min)
        } else {
            s.mean_min_q8.div_ceil(256)
        };
        let total: u32 = self.hours.iter().map(|&n| u32::from(n)).sum();
        let active = |&h: &usize| {
            let n = u32::from(self.hours[h]);
            // At least half of what an even day would give.
            n > 0 && n * 48 >= total
        };
        Habits {
            session_min: session_min.min(255) as u8,
            session_depth: s.depth,
            length: self.length(),
            hours: (0..24).filter(active).fold(0, |bits, h| bits | 1 << h),
            engagement: self.engagement(),
            ..Habits::default()
        }
    }

    fn length(&self) -> Length {
        let classes = [Length::Short, Length::Medium, Length::Long];
        self.lengths
            .iter()
            .zip(classes)
            .filter(|(n, _)| **n > 0)
            .max_by_key(|(n, _)| **n)
            .map_or(Length::Unknown, |(_, class)| class)
    }

    /// Interactions per impression in 1/255, pulled towards a tenth while there is little to go by.
    fn engagement(&self) -> u8 {
        let (shown, acted) = (
            self.impressions.min(100_000),
            self.interactions.min(100_000),
        );
        if shown + acted == 0 {
            return 0;
        }
        let rate = 255 * (acted + 2) / (shown + 20);
        rate.min(255) as u8
    }

    pub(super) fn mutes(&self) -> Short<Mute, MUTES_MAX> {
        let mut mutes = Short::default();
        for &(kind, value) in &self.mutes {
            mutes.push(match kind {
                1 => Mute::Topic(value as u8),
                _ => Mute::Author(value),
            });
        }
        mutes
    }
}
