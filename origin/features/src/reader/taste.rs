//! A reader's taste and habits: the full-precision state behind a profile blob, and how an event changes it.
//!
//! Affinities are kept in i32 relative to the newest half-life (a forward decay, see
//! [`mediaflow_shared::signals`]), so that late events count as if they had come in order. What the edge folds into
//! the reader's token with [`mediaflow_shared::profile::fold`] comes out the same: same reads, same mutes, the same
//! direction of taste; a test holds it.

use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::{AD_CAPS_MAX, Length, Mute, Profile, READS_MAX, fold};
use mediaflow_shared::signals::HalfLife;
use mediaflow_shared::time::Minute;
use mediaflow_shared::topics::TOPICS;
use wincode::{SchemaRead, SchemaWrite};

use crate::items::ItemFacts;
use crate::limits::{CLOSED_MIN, IMPRESSIONS_HALVE, SESSION_GAP_MIN, SESSIONS_MEAN};
use crate::seen::{Seen, slug_hash};

/// Version of the consent text that a consent event without one agrees to.
const CONSENT: u8 = 1;
/// What one active moment adds to the histograms of hours and lengths: room for four halvings.
const MOMENT: u16 = 16;

/// The state behind one reader's blob. Bounded: about 600 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, SchemaRead, SchemaWrite)]
pub(crate) struct Taste {
    /// Last change of what the profile says, minutes.
    pub(super) as_of_min: u32,
    /// Day the reader was last heard of, by our clock.
    pub(super) heard_day: u32,
    pub(super) consent: u8,
    /// Half-lives since the epoch to which `lanes`, `evidence`, `hours` and `lengths` relate.
    pub(super) era: u32,
    /// Σ weight × topic vector, Q10.
    pub(super) lanes: Vec<i32>,
    /// Σ |weight|, Q10.
    pub(super) evidence: u32,
    /// Newest first: low half of the content id, minute.
    pub(super) reads: Vec<(u32, u32)>,
    pub(super) last_read: Option<LastRead>,
    pub(super) session: Session,
    pub(super) impressions: u32,
    pub(super) interactions: u32,
    /// The item last clicked: its read is the same interaction.
    pub(super) clicked: u32,
    /// Short, medium, long.
    pub(super) lengths: [u16; 3],
    pub(super) hours: [u16; 24],
    /// (1, topic) or (2, author), newest first.
    pub(super) mutes: Vec<(u8, u32)>,
    pub(super) likes: u32,
    pub(super) less: u32,
    /// Campaign, times clicked on `ads_day`.
    pub(super) ads: Vec<(u16, u8)>,
    pub(super) ads_day: u32,
    /// Hash of the blob last handed to the publisher; 0 = none.
    pub(super) published: u64,
    pub(super) closed: Option<Closed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(super) struct LastRead {
    pub(super) content: u64,
    pub(super) brand: u32,
    pub(super) min: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, SchemaRead, SchemaWrite)]
pub(super) struct Session {
    pub(super) start_min: u32,
    pub(super) last_min: u32,
    pub(super) depth: u8,
    /// Sessions that ended.
    pub(super) ended: u32,
    /// Their mean length in 1/256 minutes.
    pub(super) mean_min_q8: u32,
}

/// What is left of a reader who withdrew consent or had the profile forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub(super) struct Closed {
    pub(super) at_ms: i64,
    /// Opens again with a new consent only.
    pub(super) withdrawn: bool,
}

/// What a fold means beyond the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Effect {
    /// The reader went on from this item of the same brand to the event's.
    pub came_from: Option<ContentId>,
    /// The profile is to be deleted everywhere.
    pub forget: bool,
    /// The event is from before the reader left: nothing is to be made of it.
    pub ignored: bool,
    /// Tenths of the item's video that the reader reached for the first time, as bits.
    pub reached: u16,
    /// The profile says something else now, or is to be kept for another day. What was only shown or clicked changes
    /// counters that are handed on with the next of these.
    pub told: bool,
}

impl Taste {
    /// See [`crate::cache::Warm`].
    pub(super) fn warm(&self) -> u64 {
        let lanes = self.lanes.iter().step_by(16).map(|l| l.cast_unsigned());
        let pieces = lanes.chain(self.reads.iter().step_by(8).map(|r| r.1));
        pieces.map(u64::from).sum::<u64>() ^ u64::from(self.as_of_min) ^ self.published
    }

    /// Applies one event of this reader.
    pub(super) fn fold(&mut self, e: &Seen<'_>, item: Option<&ItemFacts>) -> Effect {
        if self.is_closed_to(e) {
            return Effect {
                ignored: true,
                ..Effect::default()
            };
        }
        let withdrawn = e.kind == EventType::Consent && e.consent == Some(false);
        if withdrawn || e.kind == EventType::Reset {
            *self = Self {
                closed: Some(Closed {
                    at_ms: e.at.0,
                    withdrawn,
                }),
                ..Self::default()
            };
            return Effect {
                forget: true,
                ..Effect::default()
            };
        }
        self.closed = None;
        self.consent = self.consent.max(CONSENT);
        let day = e.received.minute().0 / 1440;
        let first_of_day = day > self.heard_day;
        self.heard_day = self.heard_day.max(day);
        self.meet(e.at.minute());
        self.count(e);
        let effect = self.profile_event(e, item);
        Effect {
            told: effect.told || first_of_day,
            ..effect
        }
    }

    /// Whether the event is from before the reader left, or the reader has not come back.
    fn is_closed_to(&self, e: &Seen<'_>) -> bool {
        let Some(c) = self.closed else {
            return false;
        };
        let over =
            e.at.minute()
                .since(mediaflow_shared::time::Timestamp(c.at_ms).minute());
        let back = e.kind == EventType::Consent && e.consent == Some(true);
        over <= CLOSED_MIN && (e.at.0 <= c.at_ms || (c.withdrawn && !back))
    }

    /// When the remains of a closed profile may go, milliseconds since the epoch.
    pub(super) fn closed_until_ms(&self) -> Option<i64> {
        self.closed
            .map(|c| c.at_ms.saturating_add(i64::from(CLOSED_MIN) * 60_000))
    }

    /// Opens or goes on with a session.
    fn meet(&mut self, at: Minute) {
        let s = &mut self.session;
        if s.last_min == 0 {
            (s.start_min, s.last_min) = (at.0, at.0);
        } else if at.0 > s.last_min.saturating_add(SESSION_GAP_MIN) {
            s.ended = s.ended.saturating_add(1);
            let length_q8 = i64::from(s.last_min.saturating_sub(s.start_min).min(1440)) * 256;
            let mean = i64::from(s.mean_min_q8);
            let step = (length_q8 - mean) / i64::from(s.ended.min(SESSIONS_MEAN));
            s.mean_min_q8 = u32::try_from(mean + step).unwrap_or(0);
            (s.start_min, s.last_min, s.depth) = (at.0, at.0, 0);
        } else {
            s.last_min = s.last_min.max(at.0);
            // A late event may show that the session began earlier, but not join it to another.
            if at.0 < s.start_min && s.start_min - at.0 <= SESSION_GAP_MIN {
                s.start_min = at.0;
            }
        }
    }

    /// Engagement and active hours.
    fn count(&mut self, e: &Seen<'_>) {
        let short = e.content.map_or(0, ContentId::short);
        match e.kind {
            EventType::Impression => {
                self.impressions = self.impressions.saturating_add(1);
                if self.impressions >= IMPRESSIONS_HALVE {
                    self.impressions /= 2;
                    self.interactions /= 2;
                }
                return;
            }
            EventType::Click => {
                self.clicked = short;
                self.interactions = self.interactions.saturating_add(1);
            }
            EventType::Read | EventType::Like if self.clicked != short || short == 0 => {
                self.interactions = self.interactions.saturating_add(1);
            }
            EventType::Consent => return,
            _ => {}
        }
        let moment = self.moment(e.at.minute());
        let hour = usize::from(e.at.minute().hour_utc());
        self.hours[hour] = self.hours[hour].saturating_add(moment);
    }

    /// Moves to the half-life of `at` and answers what one moment of then is worth in it.
    fn moment(&mut self, at: Minute) -> u16 {
        let (era, _) = HalfLife::D14.weight(at);
        self.turn_to(era);
        MOMENT.checked_shr(self.era - era).unwrap_or(0)
    }

    /// Halves the sums for every half-life up to `era`.
    fn turn_to(&mut self, era: u32) {
        let Some(gone) = era.checked_sub(self.era).filter(|g| *g > 0) else {
            return;
        };
        self.era = era;
        let halve = |v: u16| v.checked_shr(gone).unwrap_or(0);
        self.hours = self.hours.map(halve);
        self.lengths = self.lengths.map(halve);
        self.evidence = self.evidence.checked_shr(gone).unwrap_or(0);
        for lane in &mut self.lanes {
            // Division rounds towards zero on both sides: likes and dislikes fade alike.
            *lane = 2i32.checked_pow(gone).map_or(0, |d| *lane / d);
        }
    }

    fn profile_event(&mut self, e: &Seen<'_>, item: Option<&ItemFacts>) -> Effect {
        let at = e.at.minute();
        let mut effect = Effect::default();
        let what = match e.kind {
            _ if e.is_read() => Some(fold::Interaction::Read),
            EventType::Like => Some(fold::Interaction::Like),
            EventType::Hide => Some(fold::Interaction::Less),
            _ => None,
        };
        if let (Some(what), Some(content)) = (what, e.content) {
            self.interact(content, item.copied().unwrap_or_default(), what, at);
            if what == fold::Interaction::Read {
                effect.came_from = self.follow(content, &e.brand, at);
            }
        }
        match (e.kind, e.content) {
            (EventType::Mute, _) => self.with_mutes(|p| fold::mute(p, e.mute)),
            (EventType::Unmute, _) => self.with_mutes(|p| fold::unmute(p, e.mute)),
            (EventType::AdClick, Some(ad)) => self.ad(ad, at),
            (EventType::Consent, _) => {}
            _ if what.is_some() => {}
            _ => return effect,
        }
        self.as_of_min = self.as_of_min.max(at.0);
        effect.told = true;
        effect
    }

    /// The same as [`fold::apply`], in full precision.
    fn interact(
        &mut self,
        content: ContentId,
        item: ItemFacts,
        what: fold::Interaction,
        at: Minute,
    ) {
        let short = content.short();
        let known = self.reads.iter().any(|r| r.0 == short);
        let weight = match what {
            fold::Interaction::Read if known => 0,
            fold::Interaction::Read => 1,
            fold::Interaction::Like => 2,
            fold::Interaction::Less => -2,
        };
        self.lean(&item.topics, weight, at);
        let before = self.reads.iter().find(|r| r.0 == short).map(|r| r.1);
        let at_min = before.map_or(at.0, |b| b.max(at.0));
        self.reads.retain(|r| r.0 != short);
        let place = self.reads.partition_point(|r| r.1 > at_min);
        self.reads.insert(place, (short, at_min));
        self.reads.truncate(READS_MAX);
        match what {
            fold::Interaction::Less => self.less = self.less.saturating_add(1),
            fold::Interaction::Like => self.likes = self.likes.saturating_add(1),
            fold::Interaction::Read => {}
        }
        if weight > 0 {
            self.session.depth = self.session.depth.saturating_add(1);
            if item.reading_time_min > 0 {
                let moment = self.moment(at);
                let class = match Length::of_minutes(item.reading_time_min) {
                    Length::Unknown | Length::Short => 0,
                    Length::Medium => 1,
                    Length::Long => 2,
                };
                self.lengths[class] = self.lengths[class].saturating_add(moment);
            }
        }
    }

    /// Adds `weight` × `topics` as of `at`.
    fn lean(&mut self, topics: &[i8; TOPICS], weight: i32, at: Minute) {
        if weight == 0 {
            return;
        }
        let (era, now_q24) = HalfLife::D14.weight(at);
        self.turn_to(era);
        // Q24 to Q10: a lane holds over 4,000 strong reads of one topic within a half-life, then saturates.
        let now_q10 = (now_q24 >> 14).checked_shr(self.era - era).unwrap_or(0) as i32;
        self.lanes.resize(TOPICS, 0);
        for (lane, t) in self.lanes.iter_mut().zip(topics) {
            *lane = lane.saturating_add(i32::from(*t) * weight * now_q10);
        }
        let evidence = weight.unsigned_abs() * now_q10.unsigned_abs();
        self.evidence = self.evidence.saturating_add(evidence);
    }

    /// Remembers `next` as the last read and answers the one before it, when that was in the same session and brand.
    fn follow(&mut self, next: ContentId, brand: &str, at: Minute) -> Option<ContentId> {
        let brand = slug_hash(brand);
        let last = self.last_read.filter(|l| at.0 >= l.min || l.min == 0);
        if self.last_read.is_some() && last.is_none() {
            return None;
        }
        self.last_read = Some(LastRead {
            content: next.0,
            brand,
            min: at.0,
        });
        last.filter(|l| l.brand == brand && l.content != next.0)
            .filter(|l| at.0 - l.min <= SESSION_GAP_MIN)
            .map(|l| ContentId(l.content))
    }

    fn with_mutes(&mut self, change: impl FnOnce(&mut Profile)) {
        let mut p = Profile {
            mutes: self.mutes(),
            ..Profile::default()
        };
        change(&mut p);
        let pair = |m: &Mute| match *m {
            Mute::None => None,
            Mute::Topic(t) => Some((1, u32::from(t))),
            Mute::Author(a) => Some((2, a)),
        };
        self.mutes = p.mutes.as_slice().iter().filter_map(pair).collect();
    }

    /// Events name no campaign, so the ad itself stands for it.
    fn ad(&mut self, ad: ContentId, at: Minute) {
        let day = at.0 / 1440;
        if day > self.ads_day {
            self.ads.clear();
            self.ads_day = day;
        }
        let campaign = ad.0 as u16;
        match self.ads.iter_mut().find(|a| a.0 == campaign) {
            Some(a) => a.1 = a.1.saturating_add(1),
            None => {
                self.ads.truncate(AD_CAPS_MAX - 1);
                self.ads.insert(0, (campaign, 1));
            }
        }
    }
}
