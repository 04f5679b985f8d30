//! Stage 6: why an item is there, in words for readers; why one is not, for editors; contributions that add up.

use super::eligibility::{self, Ineligible};
use super::query::Query;
use super::score::{
    ACTIVE, CONTEXT, LEARNED, LENGTH, NEAR, POPULAR, RECENCY, Scorer, Signals, TERM_NAMES, TERMS,
    TOPIC,
};
use super::slate::{Adjustments, Scratch, Slate, Slot, key, pinned_item, rank_into, unkey};
use crate::id::ContentId;
use crate::model::Q16;
use crate::profile::Length;
use crate::rules::Rules;
use crate::served::Arm;
use crate::topics;

/// Reasons shown with an item at most.
pub const REASONS_MAX: usize = 2;
/// A contribution below a two-hundredth is no reason.
const REASON_MIN: i32 = Q16 / 200;

/// Why an item is in a reader's feed, as a reader understands it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The reader reads about this topic.
    Topic(u8),
    /// Near what the reader has been reading (learned vector).
    Similar,
    /// Readers of what was just read went on to it.
    Neighbours,
    /// Many clicks lately.
    Popular,
    /// Published within a day.
    New,
    /// A length this reader prefers.
    Length(Length),
    /// Pinned by the rule at this index of [`Rules::rules`].
    Editors(u16),
    /// Put here by chance, to learn from.
    Different,
    /// Of the section asked for.
    Section(u8),
    /// About the reader's country.
    Country,
    /// Newest first: the editorial order.
    Latest,
    /// Nothing speaks for it but its place in this page.
    More,
}

impl Reason {
    /// Stable name in APIs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Topic(_) => "topic",
            Self::Similar => "similar",
            Self::Neighbours => "neighbours",
            Self::Popular => "popular",
            Self::New => "new",
            Self::Length(Length::Short) => "short_read",
            Self::Length(Length::Long) => "long_read",
            Self::Length(Length::Medium | Length::Unknown) => "right_length",
            Self::Editors(_) => "editors",
            Self::Different => "different",
            Self::Section(_) => "section",
            Self::Country => "country",
            Self::Latest => "latest",
            Self::More => "more",
        }
    }

    /// The sentence before a name, and the name: both together are what the reader sees.
    #[must_use]
    pub fn words(self, rules: Option<&Rules>) -> (&'static str, &str) {
        let label = |t: u8| topics::topic(t).map_or("this", |t| t.label);
        match self {
            Self::Topic(t) => ("Because you read about ", label(t)),
            Self::Similar => ("Similar to what you have been reading", ""),
            Self::Neighbours => ("Readers of what you just read went on to this", ""),
            Self::Popular => ("Popular now", ""),
            Self::New => ("New", ""),
            Self::Length(Length::Short) => ("A short read, as you prefer", ""),
            Self::Length(Length::Long) => ("A long read, as you prefer", ""),
            Self::Length(Length::Medium | Length::Unknown) => ("As long as you prefer", ""),
            Self::Editors(index) => {
                let label = rules
                    .and_then(|r| r.rules.get(usize::from(index)))
                    .map_or("", |r| r.label.as_str());
                if label.is_empty() {
                    ("Picked by the editors", "")
                } else {
                    ("Picked by the editors: ", label)
                }
            }
            Self::Different => ("Something different", ""),
            Self::Section(t) => ("From ", label(t)),
            Self::Country => ("In your country", ""),
            Self::Latest => ("Latest", ""),
            Self::More => ("More from this page", ""),
        }
    }

    /// The sentence as a string.
    #[must_use]
    pub fn text(self, rules: Option<&Rules>) -> String {
        let (sentence, name) = self.words(rules);
        format!("{sentence}{name}")
    }
}

/// At most [`REASONS_MAX`] reasons, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons([Option<Reason>; REASONS_MAX]);

impl Reasons {
    /// The reasons.
    pub fn iter(&self) -> impl Iterator<Item = Reason> + '_ {
        self.0.iter().flatten().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    pub(super) fn pinned(rule_index: u16) -> Self {
        Self([Some(Reason::Editors(rule_index)), None])
    }

    fn push(&mut self, reason: Reason) {
        if let Some(free) = self.0.iter_mut().find(|r| r.is_none()) {
            *free = Some(reason);
        }
    }
}

/// The reasons of a slot: pins and exploration speak for themselves, else the largest positive contributions.
pub(super) fn reasons(
    query: &Query<'_>,
    scorer: &Scorer<'_>,
    signals: &Signals,
    slot: &Slot,
) -> Reasons {
    let (Some(row), None) = (slot.row, slot.pinned) else {
        return slot.reasons;
    };
    let mut out = Reasons::default();
    if slot.explored {
        out.push(Reason::Different);
    }
    match query.arm() {
        Arm::Editorial => out.push(Reason::Latest),
        Arm::Classic => {
            let (t, w) = (scorer.terms(signals, row), scorer.classic());
            let (topic, recency) = (w.alpha * t.topic, w.beta * t.recency);
            let about = || scorer.strongest_topic(row).map(Reason::Topic);
            let first = (topic >= recency).then(about).flatten();
            if let Some(r) = first.or_else(|| scorer.is_new(row).then_some(Reason::New)) {
                out.push(r);
            }
        }
        Arm::Personal => strongest(query, scorer, signals, row, &mut out),
    }
    if out.is_empty() {
        out.push(Reason::More);
    }
    out
}

fn strongest(
    query: &Query<'_>,
    scorer: &Scorer<'_>,
    signals: &Signals,
    row: usize,
    out: &mut Reasons,
) {
    let c = scorer.contributions(signals, row);
    let popular = c[POPULAR].iter().sum::<i32>() + c[ACTIVE];
    // The context term is one feature; the stronger of its halves names it.
    let context = &query.request.context;
    let of_section = usize::from(context.section) < topics::TOPICS
        && query.front.main_topic(row) == context.section;
    let mut grounds = [
        (c[TOPIC], 0u8),
        (c[LEARNED], 1),
        (c[NEAR], 2),
        (popular, 3),
        (c[RECENCY], 4),
        (c[LENGTH], 5),
        (c[CONTEXT], 6),
    ];
    // Insertion sort of seven pairs, largest first; equal ones keep their order.
    grounds.sort_by_key(|(value, _)| core::cmp::Reverse(*value));
    for (value, ground) in grounds {
        if value < REASON_MIN {
            break;
        }
        let reason = match ground {
            0 => scorer.strongest_topic(row).map(Reason::Topic),
            1 => Some(Reason::Similar),
            2 => Some(Reason::Neighbours),
            3 => Some(Reason::Popular),
            4 => scorer.is_new(row).then_some(Reason::New),
            5 => Some(Reason::Length(Length::of_minutes(query.front.minutes(row)))),
            _ if of_section => Some(Reason::Section(context.section)),
            _ => Some(Reason::Country),
        };
        if let Some(reason) = reason {
            out.push(reason);
        }
        if out.0[REASONS_MAX - 1].is_some() {
            break;
        }
    }
}

/// The score of one row, taken apart: the values and both adjustments add up to the final score exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contributions {
    values: [i32; TERMS],
    names: &'static [&'static str],
    /// Parts of one in a value: 65,536 in the personal arm, 1 in the editorial, 10,000 in the classic one.
    pub unit: u32,
}

impl Contributions {
    /// Name and value of each term.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, i32)> + '_ {
        self.names.iter().copied().zip(self.values)
    }

    /// The score before adjustments.
    #[must_use]
    pub fn sum(&self) -> i32 {
        self.values.iter().sum()
    }
}

/// The contributions of a row of `query.front`; zeros for a row outside.
#[must_use]
pub fn contributions(query: &Query<'_>, row: usize) -> Contributions {
    let mut signals = Signals::default();
    let mut reads = eligibility::Reads::of(query);
    reads.find(query.front);
    signals.prepare(query, &reads);
    contributions_of(query, &Scorer::of(query), &signals, row)
}

fn contributions_of(
    query: &Query<'_>,
    scorer: &Scorer<'_>,
    signals: &Signals,
    row: usize,
) -> Contributions {
    let mut values = [0; TERMS];
    let inside = row < query.front.len();
    let (names, unit): (&'static [_], u32) = match query.arm() {
        Arm::Personal => (&TERM_NAMES, Q16 as u32),
        Arm::Editorial => (&["published"], 1),
        Arm::Classic => (
            &["topic", "recency", "engagement"],
            crate::classic::UNITS as u32,
        ),
    };
    if inside {
        match query.arm() {
            Arm::Personal => values = scorer.contributions(signals, row),
            Arm::Editorial => values[0] = scorer.score(signals, row),
            Arm::Classic => {
                let (t, w) = (scorer.terms(signals, row), scorer.classic());
                values[0] = crate::classic::units(w.alpha * t.topic);
                values[1] = crate::classic::units(w.beta * t.recency);
                // The last term takes the rounding, so that the sum is the rounded score.
                values[2] = t.units(w) - values[0] - values[1];
            }
        }
    }
    Contributions {
        values,
        names,
        unit,
    }
}

/// Contributions of many rows of one query, prepared once.
pub struct Breakdown<'a> {
    query: Query<'a>,
    scorer: Scorer<'a>,
    signals: Signals,
}

impl<'a> Breakdown<'a> {
    /// Prepares a query.
    #[must_use]
    pub fn of(query: &Query<'a>) -> Self {
        let mut signals = Signals::default();
        let mut reads = eligibility::Reads::of(query);
        reads.find(query.front);
        signals.prepare(query, &reads);
        Self {
            query: *query,
            scorer: Scorer::of(query),
            signals,
        }
    }

    /// The same as [`contributions`].
    #[must_use]
    pub fn row(&self, row: usize) -> Contributions {
        contributions_of(&self.query, &self.scorer, &self.signals, row)
    }

    /// The classic terms of a row, before weighting.
    #[must_use]
    pub fn classic(&self, row: usize) -> crate::classic::Terms {
        self.scorer.terms(&self.signals, row)
    }
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// It is in the slate, at this slot (counted over all pages).
    Served {
        /// From 0.
        slot: u16,
        /// The rule that pinned it.
        pinned: Option<u32>,
        /// Whether chance put it there.
        explored: bool,
        /// Final score.
        score: i32,
    },
    /// Removed before scoring.
    Dropped(Ineligible),
    /// A near-duplicate of an item in the slate.
    NearDuplicate {
        /// That item.
        of: ContentId,
    },
    /// Ranked, but not among the slots asked for.
    RankedOut {
        /// Its place among all eligible items by boosted score, from 1.
        rank: u32,
        /// Eligible items.
        of: u32,
        /// Its boosted score.
        score: i32,
        /// The final score of the last item that made it.
        last: i32,
    },
    /// Neither in the front nor pinned.
    NotACandidate,
}

impl WhyNot {
    /// The stage that decided: `slate`, `eligibility`, `diversity`, `ranking`, `retrieval`.
    #[must_use]
    pub const fn stage(&self) -> &'static str {
        match self {
            Self::Served { .. } => "slate",
            Self::Dropped(_) => "eligibility",
            Self::NearDuplicate { .. } => "diversity",
            Self::RankedOut { .. } => "ranking",
            Self::NotACandidate => "retrieval",
        }
    }

    /// Stable name in APIs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Served { .. } => "served",
            Self::Dropped(why) => why.code(),
            Self::NearDuplicate { .. } => "near_duplicate",
            Self::RankedOut { .. } => "ranked_out",
            Self::NotACandidate => "not_a_candidate",
        }
    }

    /// A sentence for editors.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Served {
                slot,
                pinned: Some(rule),
                ..
            } => format!("It is in slot {slot}, pinned by rule {rule}"),
            Self::Served {
                slot,
                explored: true,
                ..
            } => format!("It is in slot {slot}, drawn by exploration"),
            Self::Served { slot, .. } => format!("It is in slot {slot}"),
            Self::Dropped(Ineligible::HiddenByEditor(rule)) => format!("Hidden by rule {rule}"),
            Self::Dropped(why) => why.text().to_owned(),
            Self::NearDuplicate { of } => format!("It nearly repeats {of}, which is in the slate"),
            Self::RankedOut { rank, of, .. } => {
                format!("It ranked {rank} of {of}, after the last slot asked for")
            }
            Self::NotACandidate => "It is not a candidate of this front".to_owned(),
        }
    }
}

/// What became of `content` in the slate of this query (slots 0 to offset + limit).
#[must_use]
pub fn explain(query: &Query<'_>, content: ContentId) -> WhyNot {
    let mut scratch = Scratch::default();
    let mut slate = Slate::default();
    rank_into(query, &mut scratch, &mut slate);
    let until = usize::from(query.request.offset) + usize::from(query.request.limit);
    let slots = &scratch.slots[..scratch.slots.len().min(until)];
    if let Some(s) = slots.iter().find(|s| s.content == content) {
        return WhyNot::Served {
            slot: s.slot,
            pinned: s.pinned,
            explored: s.explored,
            score: s.score,
        };
    }
    let Some(row) = query.front.row(content) else {
        return match pinned_item(query, content) {
            Some(item) => eligibility::barred_pin(query, &scratch.active, item)
                .map_or(WhyNot::NotACandidate, WhyNot::Dropped),
            None => WhyNot::NotACandidate,
        };
    };
    if let Some(why) = scratch.verdicts.get(row).copied().flatten() {
        return WhyNot::Dropped(why);
    }
    let dup = query.front.dup(row);
    let twin = slots
        .iter()
        .find(|s| dup != 0 && s.row.is_some_and(|r| query.front.dup(r) == dup));
    if let Some(s) = twin.filter(|_| query.arm() == Arm::Personal) {
        return WhyNot::NearDuplicate { of: s.content };
    }
    let score = scratch.scores.get(row).copied().unwrap_or(0);
    let score = score.saturating_add(scratch.active.boost(query, row, score));
    let own = key(score, row);
    let better = scratch.order.iter().filter(|k| **k < own);
    debug_assert!(better.clone().all(|k| unkey(*k).0 >= score));
    WhyNot::RankedOut {
        rank: better.count() as u32 + 1,
        of: scratch.order.len() as u32,
        score,
        last: slots.last().map_or(0, |s| s.score),
    }
}

/// Whether contributions and adjustments give the final score of a slot.
#[must_use]
pub fn adds_up(sum: i32, adjustments: &Adjustments, score: i32) -> bool {
    sum + adjustments.boost + adjustments.diversity == score
}
