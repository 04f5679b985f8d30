//! Stage 2: the scorers. A candidate's score depends on the query and its own row, never on another candidate.
//!
//! A feature is Q15 (32,767 = 1.0), a weight Q16, a contribution `weight × feature >> 15`: Q16 again. The score is
//! the sum of the contributions, exactly. Weights of personal terms are first scaled by `request.personal`, so that
//! a stale profile counts less. `docs/ranking.md` has the formulas.

use super::eligibility::Reads;
use super::query::Query;
use crate::classic;
use crate::front::{Front, Walk};
use crate::model::{Q16, Weights};
use crate::profile::Length;
use crate::served::Arm;
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};

/// Terms of the default score.
pub const TERMS: usize = 13;

/// Names of the terms, in order; stable in APIs.
pub const TERM_NAMES: [&str; TERMS] = [
    "topic",
    "learned",
    "neighbours",
    "clicks15",
    "clicks60",
    "decay_fast",
    "decay_slow",
    "recency",
    "active",
    "quality",
    "length",
    "hour",
    "context",
];

/// Terms that know the reader: their weight is scaled by `request.personal`.
const PERSONAL: [bool; TERMS] = [
    true, true, true, false, false, false, false, false, false, false, true, true, false,
];

pub(super) const TOPIC: usize = 0;
pub(super) const LEARNED: usize = 1;
pub(super) const NEAR: usize = 2;
pub(super) const POPULAR: core::ops::RangeInclusive<usize> = 3..=6;
pub(super) const RECENCY: usize = 7;
pub(super) const ACTIVE: usize = 8;
pub(super) const LENGTH: usize = 10;
pub(super) const CONTEXT: usize = 12;

/// One in Q15.
const ONE: i32 = 32_767;
/// A weight beyond ±64 says nothing more; the limit keeps every sum and every tenfold boost within i32.
const WEIGHT_MAX: i64 = 64 * Q16 as i64;
/// Feature of an item of the section that was asked for: eight times a country match, so that a section page is one.
const SECTION: i32 = 8 * ONE;
/// Minutes after the last click in which an item counts as active, linearly less.
const ACTIVE_MIN: u32 = 60;
/// Largest age in the table of 0.95^hours: beyond it the value is 0 in Q15.
const HOURS_MAX: usize = 400;

/// 0.95^h in Q15, rounded, from Q62 arithmetic at compile time.
const HOURLY: [u16; HOURS_MAX + 1] = {
    let mut table = [0; HOURS_MAX + 1];
    let mut power: u128 = 1 << 62;
    let mut h = 0;
    while h <= HOURS_MAX {
        table[h] = ((power * ONE as u128 + (1 << 61)) >> 62) as u16;
        power = power * 95 / 100;
        h += 1;
    }
    table
};

/// 0.95^hours in Q15 for an age in minutes, linear between whole hours (at most 11/32,767 above the curve).
#[must_use]
pub fn recency(age_min: u32) -> i32 {
    let h = (age_min / 60) as usize;
    let at = |h: usize| HOURLY.get(h).map_or(0, |v| i32::from(*v));
    let (here, next) = (at(h), at(h + 1));
    here - (here - next) * (age_min % 60) as i32 / 60
}

/// How much a read counts for its neighbours, newest first: 256 × 0.8^k.
const READ_WEIGHTS: [u32; crate::profile::READS_MAX] = [
    256, 205, 164, 131, 105, 84, 67, 54, 43, 34, 27, 22, 18, 14, 11, 9,
];

/// Per-request buffers of the dot products and neighbours, by row.
#[derive(Debug, Default)]
pub(super) struct Signals {
    topic: Vec<i32>,
    learned: Vec<i32>,
    near: Vec<u32>,
}

impl Signals {
    /// Computes what is cheaper for all rows at once.
    pub(super) fn prepare(&mut self, query: &Query<'_>, reads: &Reads) {
        let f = query.front;
        self.topic.clear();
        self.learned.clear();
        self.near.clear();
        if query.arm() == Arm::Editorial {
            return;
        }
        let Some(p) = query.reader() else { return };
        if let Some(a) = &p.affinity {
            super::dot::dots(&a.lanes, f.topics(), &mut self.topic);
        }
        if query.arm() == Arm::Classic {
            return;
        }
        if let Some(l) = &p.learned
            && epochs_match(query)
        {
            super::dot::dots(&l.lanes, f.v(), &mut self.learned);
        }
        if f.has_neighbours() && reads.rows.iter().any(Option::is_some) {
            self.near.resize(f.len(), 0);
            for (row, weight) in reads.rows.iter().zip(READ_WEIGHTS) {
                let Some(row) = row else { continue };
                for (to, strength) in f.neighbours(usize::from(*row)) {
                    if let Some(sum) = self.near.get_mut(to) {
                        *sum += weight * u32::from(strength);
                    }
                }
            }
        }
    }

    fn at(list: &[i32], row: usize) -> i64 {
        list.get(row).copied().map_or(0, i64::from)
    }
}

/// The learned lanes of reader, front and model speak of one basis; a model of epoch 0 was trained for none.
fn epochs_match(query: &Query<'_>) -> bool {
    let (f, m) = (query.front, query.model);
    f.has_learned()
        && query.reader().is_some_and(|p| p.epoch == f.epoch())
        && (m.epoch == 0 || m.epoch == f.epoch())
}

/// The scorer of one query.
pub(super) struct Scorer<'a> {
    query: Query<'a>,
    arm: Arm,
    columns: Walk<'a>,
    weights: [i64; TERMS],
    classic: classic::Weights,
    rate: f64,
    confidence: i64,
    learned_scale: i64,
    /// Feature by class of length: how it fits the preferred one, and how much it loses at this hour.
    fits: [i32; 4],
    off_hour: [i32; 4],
    since_built: u32,
}

fn weight_list(w: &Weights) -> [i32; TERMS] {
    [
        w.topic,
        w.learned,
        w.neighbours,
        w.clicks15,
        w.clicks60,
        w.decay_fast,
        w.decay_slow,
        w.recency,
        w.active,
        w.quality,
        w.length,
        w.hour,
        w.context,
    ]
}

impl<'a> Scorer<'a> {
    pub(super) fn of(query: &Query<'a>) -> Self {
        let reader = query.reader();
        let habits = reader.and_then(|p| p.habits).unwrap_or_default();
        let personal = i64::from(query.request.personal.min(Q16 as u32));
        let mut weights = weight_list(&query.model.weights).map(i64::from);
        for (w, knows_reader) in weights.iter_mut().zip(PERSONAL) {
            *w = (*w).clamp(-WEIGHT_MAX, WEIGHT_MAX);
            if knows_reader {
                *w = (*w * personal) >> 16;
            }
        }
        let scale = reader.and_then(|p| p.learned).map_or(0, |l| l.scale);
        Self {
            query: *query,
            arm: query.arm(),
            columns: query.front.walk(),
            weights,
            classic: query.model.classic.into(),
            rate: f64::from(habits.engagement) / 255.0,
            confidence: reader
                .and_then(|p| p.affinity)
                .map_or(0, |a| i64::from(a.confidence)),
            learned_scale: i64::from(scale) * i64::from(query.front.v_scale()),
            fits: CLASSES.map(|c| fit(habits.length, c)),
            off_hour: if habits.hours != 0 && (habits.hours >> query.minute.hour_utc()) & 1 == 0 {
                OFF_HOUR
            } else {
                [0; 4]
            },
            since_built: query.minute.since(query.front.built()),
        }
    }

    fn age_min(&self, row: usize) -> u32 {
        self.query.minute.since(self.query.front.published(row))
    }

    /// All features of a row, Q15. The row must be inside.
    #[inline(always)]
    fn features(&self, signals: &Signals, row: usize) -> [i32; TERMS] {
        let f = &self.columns;
        let column = |v: u8| (i32::from(v) * 32_896) >> 8;
        // 133,142 / 65,536 is 32,767 / 127²: a cosine in Q15.
        let cosine = (Signals::at(&signals.topic, row).clamp(-16_129, 16_129) * 133_142) >> 16;
        let learned = (Signals::at(&signals.learned, row) * self.learned_scale) >> 1;
        // 32,897 / 65,536 is 32,767 / (256 × 255): the newest read's strongest neighbour is 1.0.
        let near = signals
            .near
            .get(row)
            .map_or(0, |n| (u64::from(*n) * 32_897) >> 16);
        let minutes = f.minutes[row];
        let published = Minute(u32::from_le_bytes(f.published[row]));
        let class = Length::of_minutes(minutes) as usize;
        let known = i32::from(minutes != 0);
        [
            ((cosine * self.confidence) >> 16) as i32,
            learned.clamp(i64::from(-ONE), i64::from(ONE)) as i32,
            near.min(ONE as u64) as i32,
            column(f.clicks15[row]),
            column(f.clicks60[row]),
            column(f.decay_fast[row]),
            column(f.decay_slow[row]),
            recency(self.query.minute.since(published)),
            self.active(u16::from_le_bytes(f.active[row])),
            ((i32::from(f.quality[row]) - 128) * 256).max(-ONE),
            known * self.fits[class],
            known * self.off_hour[class],
            self.context(u16::from_le_bytes(f.country[row]), f.topic[row]),
        ]
    }

    #[inline(always)]
    fn active(&self, active: u16) -> i32 {
        if active == u16::MAX {
            return 0;
        }
        let ago = u32::from(active).saturating_add(self.since_built);
        (ONE as u32 * ACTIVE_MIN.saturating_sub(ago) / ACTIVE_MIN) as i32
    }

    #[inline(always)]
    fn context(&self, country: u16, topic: u8) -> i32 {
        let c = &self.query.request.context;
        let here = c.country != 0 && country == c.country;
        let section = usize::from(c.section) < TOPICS && topic == c.section;
        i32::from(here) * ONE + i32::from(section) * SECTION
    }

    /// The contributions of a row, which must be inside; see [`Self::score`] for the unit.
    #[inline(always)]
    pub(super) fn contributions(&self, signals: &Signals, row: usize) -> [i32; TERMS] {
        let features = self.features(signals, row);
        let mut out = [0; TERMS];
        for ((o, w), x) in out.iter_mut().zip(self.weights).zip(features) {
            *o = ((w * i64::from(x)) >> 15) as i32;
        }
        out
    }

    /// The score of a row: Q16 in the personal arm, the published minute in the editorial one, ten-thousandths in
    /// the classic one.
    #[inline]
    pub(super) fn score(&self, signals: &Signals, row: usize) -> i32 {
        match self.arm {
            Arm::Personal => self.contributions(signals, row).iter().sum(),
            Arm::Editorial => newest(self.query.front.published(row)),
            Arm::Classic => self.terms(signals, row).units(&self.classic),
        }
    }

    /// The terms of the classic score.
    pub(super) fn terms(&self, signals: &Signals, row: usize) -> classic::Terms {
        let topics = Front::lane_row(self.query.front.topics(), row);
        let affinity = self.query.reader().and_then(|p| p.affinity);
        classic::Terms {
            topic: affinity.map_or(0.0, |a| {
                let dot = Signals::at(&signals.topic, row) as i32;
                classic::cosine_lanes(&a.lanes, topics, dot)
            }),
            recency: classic::recency(self.age_min(row)),
            engagement: classic::engagement(self.rate),
        }
    }

    /// The weights of the classic score.
    pub(super) fn classic(&self) -> &classic::Weights {
        &self.classic
    }

    /// Age of a row in minutes, and the topic that the reader's affinity owes most to.
    pub(super) fn strongest_topic(&self, row: usize) -> Option<u8> {
        let a = self.query.reader()?.affinity?;
        let topics: &[u8; LANES] = Front::lane_row(self.query.front.topics(), row).first_chunk()?;
        (0..TOPICS)
            .map(|t| (i32::from(a.lanes[t]) * i32::from(topics[t] as i8), t))
            .filter(|(product, _)| *product > 0)
            .max_by_key(|(product, t)| (*product, core::cmp::Reverse(*t)))
            .map(|(_, t)| t as u8)
    }

    /// Whether a row was published within a day.
    pub(super) fn is_new(&self, row: usize) -> bool {
        self.age_min(row) < 24 * 60
    }
}

/// The published minute as a score.
pub(super) fn newest(published: Minute) -> i32 {
    i32::try_from(published.0).unwrap_or(i32::MAX)
}

/// The classes of length in the order of their numbers.
const CLASSES: [Length; 4] = [Length::Unknown, Length::Short, Length::Medium, Length::Long];

/// At an hour in which the reader is usually away, long reads lose 1, medium ones ¼.
const OFF_HOUR: [i32; 4] = [0, 0, -ONE / 4, -ONE];

/// The preferred length: 1 when it fits, −½ for the opposite end, 0 between, or when either is unknown.
fn fit(preferred: Length, class: Length) -> i32 {
    match (preferred, class) {
        (Length::Unknown, _) | (_, Length::Unknown) => 0,
        (p, l) if p == l => ONE,
        (Length::Short, Length::Long) | (Length::Long, Length::Short) => -ONE / 2,
        _ => 0,
    }
}
