//! Stage 4: fills the slots, greedily and exactly.
//!
//! Candidates wait in the order of their boosted score. For each slot: a pin, if one sits there; else the candidate
//! that a quota demands; else the one of the highest value, which is the boosted score less what repetition takes
//! ([`super::diversity`]). Repetition never adds, so what a candidate was worth for an earlier slot bounds what it is
//! worth now, and the search looks only at those whose bound is the best: the result equals a search over everyone.
//! Slots are therefore the same whatever the limit, and a cursor continues where the page before ended.

use super::diversity::Held;
use super::eligibility::{self, Ineligible, Reads};
use super::explain::{self, Reasons};
use super::explore;
use super::query::Query;
use super::rule::{self, Active};
use super::score::{Scorer, Signals};
use crate::id::ContentId;
use crate::rules::{Action, PinnedItem, Target};
use crate::served::Arm;
use crate::topics::TOPICS;
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// Slots ranked at most: offset and limit together reach no further.
pub const RANKED_MAX: usize = 200;

/// What rules and repetition added to the sum of the contributions, same unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Adjustments {
    /// Boosts and burials.
    pub boost: i32,
    /// Repeated author, topic, series: 0 or less.
    pub diversity: i32,
}

/// One place of a slate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Its number from 0, counted over all pages.
    pub slot: u16,
    /// The item.
    pub content: ContentId,
    /// Its row, `None` for a pinned item that is not in the front (its card is in [`crate::rules::Rules::pinned`]).
    pub row: Option<usize>,
    /// Final score: contributions plus adjustments. Q16 in the personal arm, the published minute in the editorial
    /// arm, ten-thousandths in the classic arm.
    pub score: i32,
    /// Part of `score` that is no contribution.
    pub adjustments: Adjustments,
    /// Probability with which this policy shows this item in this slot, in 1/65,535 (65,535 = certain).
    pub propensity: u16,
    /// Why, for the reader.
    pub reasons: Reasons,
    /// The rule that pinned it.
    pub pinned: Option<u32>,
    /// Whether chance put it here.
    pub explored: bool,
}

/// The answer to a [`Query`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slate {
    /// The slots from `request.offset` on, `request.limit` at most.
    pub slots: Vec<Slot>,
    /// Policy that was in force.
    pub arm: Arm,
    /// Rows of the front.
    pub candidates: usize,
    /// Rows that nothing removed.
    pub eligible: usize,
    /// Rows removed, by [`Ineligible::index`]; with `eligible` they add up to `candidates`.
    pub dropped: [u16; Ineligible::COUNT],
    /// Eligible rows passed over because a near-duplicate is in the slate.
    pub near_duplicates: u16,
    /// Whether there are further slots after this page.
    pub more: bool,
}

/// Buffers that a caller keeps between requests, so that ranking allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) active: Active,
    pub(super) verdicts: Vec<Option<Ineligible>>,
    pub(super) signals: Signals,
    /// Eligible rows as [`key`]s, best first up to `sorted`.
    pub(super) order: Vec<u64>,
    sorted: usize,
    /// Candidates that were looked at, by what they were worth then.
    seen: BinaryHeap<Reverse<u64>>,
    /// Candidates that do not fit this slot.
    aside: Vec<u64>,
    /// Score after boosts, by row.
    boosted: Vec<i32>,
    /// Score before boosts, by row.
    pub(super) scores: Vec<i32>,
    /// Whether a row has its slot, or is reserved for one.
    pub(super) taken: Vec<bool>,
    pub(super) held: Held,
    seats: Vec<Seat>,
    quotas: Vec<Quota>,
    /// All slots from 0, before the page is cut out.
    pub(super) slots: Vec<Slot>,
}

/// A pin that can be honoured.
#[derive(Debug, Clone, Copy)]
struct Seat {
    slot: usize,
    rule: u32,
    /// Index in the list of rules.
    index: u16,
    content: ContentId,
    row: Option<usize>,
}

/// A quota in force and how far it is filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quota {
    index: u16,
    pub(super) within: usize,
    pub(super) min: usize,
    pub(super) max: usize,
    /// Matching items in the window, pins to come included.
    pub(super) held: usize,
}

impl Quota {
    pub(super) fn target<'q>(&self, query: &Query<'q>) -> Option<&'q Target> {
        match &query.rules?.rules.get(usize::from(self.index))?.action {
            Action::Quota { target, .. } => Some(target),
            _ => None,
        }
    }
}

/// Sorts ascending into the order of a slate: higher score first, then lower row, which is the lower content id.
#[inline]
pub(super) fn key(score: i32, row: usize) -> u64 {
    let descending = !(score as u32 ^ 0x8000_0000);
    (u64::from(descending) << 32) | row as u64
}

/// The score and row of a [`key`].
#[inline]
pub(super) fn unkey(key: u64) -> (i32, usize) {
    (
        (!((key >> 32) as u32) ^ 0x8000_0000) as i32,
        key as u32 as usize,
    )
}

/// Ranks into a new slate; see [`rank_into`].
#[must_use]
pub fn rank(query: &Query<'_>, scratch: &mut Scratch) -> Slate {
    let mut slate = Slate::default();
    rank_into(query, scratch, &mut slate);
    slate
}

/// Ranks a query. Total: any decoded inputs give a slate, possibly an empty one.
pub fn rank_into(query: &Query<'_>, s: &mut Scratch, slate: &mut Slate) {
    let request = query.request;
    let (from, until) = page(query);
    judge(query, s, slate);
    let scorer = Scorer::of(query);
    order(query, s, &scorer);
    seat_pins(query, s);
    let reach = explore::reach(query, until, s.seats.len());
    fill(query, s, &scorer, reach + 1);
    slate.near_duplicates = near_duplicates(query, s);
    explore::apply(query, &mut s.slots, &s.quotas);
    slate.more = s.slots.len() > until && until < RANKED_MAX;
    slate.slots.clear();
    slate
        .slots
        .extend(s.slots.iter().take(until).skip(from).copied());
    for slot in &mut slate.slots {
        slot.reasons = explain::reasons(query, &scorer, &s.signals, slot);
    }
    debug_assert!(slate.slots.len() <= usize::from(request.limit));
}

/// First slot of the page and first slot after it.
fn page(query: &Query<'_>) -> (usize, usize) {
    let from = usize::from(query.request.offset).min(RANKED_MAX);
    let until = (from + usize::from(query.request.limit)).min(RANKED_MAX);
    (from, until)
}

fn judge(query: &Query<'_>, s: &mut Scratch, slate: &mut Slate) {
    s.active.resolve(query);
    let mut reads = Reads::of(query);
    eligibility::filter(query, &s.active, &mut reads, &mut s.verdicts);
    s.signals.prepare(query, &reads);
    slate.arm = query.arm();
    slate.candidates = s.verdicts.len();
    slate.dropped = [0; Ineligible::COUNT];
    for why in s.verdicts.iter().flatten() {
        slate.dropped[why.index()] += 1;
    }
    let dropped: usize = slate.dropped.iter().map(|n| usize::from(*n)).sum();
    slate.eligible = slate.candidates - dropped;
}

fn order(query: &Query<'_>, s: &mut Scratch, scorer: &Scorer<'_>) {
    s.order.clear();
    s.scores.clear();
    s.scores.resize(query.front.len(), 0);
    s.boosted.clear();
    s.boosted.resize(query.front.len(), 0);
    for (row, verdict) in s.verdicts.iter().enumerate() {
        if verdict.is_some() {
            continue;
        }
        let score = scorer.score(&s.signals, row);
        s.scores[row] = score;
        let boosted = score.saturating_add(s.active.boost(query, row, score));
        s.boosted[row] = boosted;
        s.order.push(key(boosted, row));
    }
    s.sorted = 0;
    s.seen.clear();
}

/// Sorts so many more of the waiting candidates; answers whether there were any.
fn sort_more(order: &mut [u64], sorted: &mut usize, more: usize) -> bool {
    let rest = &mut order[*sorted..];
    if rest.is_empty() {
        return false;
    }
    let more = more.min(rest.len());
    if more < rest.len() {
        rest.select_nth_unstable(more);
    }
    rest[..more].sort_unstable();
    *sorted += more;
    true
}

/// Gives every pin that can be honoured a slot of its own, newest rule first.
fn seat_pins(query: &Query<'_>, s: &mut Scratch) {
    s.seats.clear();
    s.taken.clear();
    s.taken.resize(query.front.len(), false);
    s.held.clear(&query.model.diversity);
    let Some(rules) = query.rules else { return };
    for &index in &s.active.pins {
        let Some(rule) = rules.rules.get(usize::from(index)) else {
            continue;
        };
        let Action::Pin { content, slot } = rule.action else {
            continue;
        };
        let row = query.front.row(content);
        let barred = match row {
            Some(row) => eligibility::barred(query, &s.active, row),
            None => match pinned_item(query, content) {
                Some(item) => eligibility::barred_pin(query, &s.active, item),
                // Neither the front nor the rules have a card to show.
                None => continue,
            },
        };
        if barred.is_some() || s.seats.iter().any(|p| p.content == content) {
            continue;
        }
        let Some(slot) =
            (usize::from(slot)..RANKED_MAX).find(|n| s.seats.iter().all(|p| p.slot != *n))
        else {
            continue;
        };
        if let Some(row) = row {
            s.taken[row] = true;
            s.held.add_dup(query.front.dup(row));
        }
        s.seats.push(Seat {
            slot,
            rule: rule.id,
            index,
            content,
            row,
        });
    }
    s.seats.sort_unstable_by_key(|p| p.slot);
}

/// The card of a pinned item outside the front.
pub(crate) fn pinned_item<'q>(query: &Query<'q>, content: ContentId) -> Option<&'q PinnedItem> {
    let pinned = &query.rules?.pinned;
    let at = pinned.binary_search_by_key(&content, |p| p.content).ok()?;
    pinned.get(at)
}

fn start_quotas(query: &Query<'_>, s: &mut Scratch) {
    s.quotas.clear();
    let Some(rules) = query.rules else { return };
    for &index in &s.active.quotas {
        let Some(Action::Quota {
            target,
            within,
            min,
            max,
        }) = rules.rules.get(usize::from(index)).map(|r| &r.action)
        else {
            continue;
        };
        let within = usize::from(*within).min(RANKED_MAX);
        let held = s
            .seats
            .iter()
            .filter(|p| p.slot < within && seat_matches(query, p, target))
            .count();
        s.quotas.push(Quota {
            index,
            within,
            min: usize::from(*min),
            max: max.map_or(usize::MAX, usize::from),
            held,
        });
    }
}

fn seat_matches(query: &Query<'_>, seat: &Seat, target: &Target) -> bool {
    match seat.row {
        Some(row) => rule::matches(query.front, row, target),
        None => {
            pinned_item(query, seat.content).is_some_and(|item| rule::matches_pin(item, target))
        }
    }
}

/// Fills up to `reach` slots.
fn fill(query: &Query<'_>, s: &mut Scratch, scorer: &Scorer<'_>, reach: usize) {
    start_quotas(query, s);
    s.slots.clear();
    let mut next_seat = 0;
    let mut first = 0;
    while s.slots.len() < reach.min(RANKED_MAX) {
        let slot = s.slots.len();
        let seat = s.seats.get(next_seat).copied();
        if let Some(seat) = seat.filter(|p| p.slot <= slot) {
            next_seat += 1;
            place_pin(query, s, scorer, seat);
            continue;
        }
        if let Some((value, row)) = pick(query, s, &mut first, slot, next_seat) {
            place(query, s, value, row);
            continue;
        }
        // Nothing else may be shown: the remaining pins close up.
        let Some(seat) = seat else { break };
        next_seat += 1;
        place_pin(query, s, scorer, seat);
    }
}

/// The most valuable candidate for this slot, and its value.
fn pick(
    query: &Query<'_>,
    s: &mut Scratch,
    first: &mut usize,
    slot: usize,
    next_seat: usize,
) -> Option<(i32, usize)> {
    let demanded = |q: &Quota| {
        let pinned = s.seats[next_seat..]
            .iter()
            .filter(|p| p.slot < q.within)
            .count();
        let free = q.within.saturating_sub(slot).saturating_sub(pinned);
        slot < q.within && q.held < q.min && q.min - q.held >= free
    };
    let forced = s.quotas.iter().any(demanded);
    if forced {
        let demands: Vec<usize> = (0..s.quotas.len())
            .filter(|&i| demanded(&s.quotas[i]))
            .collect();
        // All demands at once if one item serves them all, else those of the older rules first.
        for n in (1..=demands.len()).rev() {
            let best = search(query, s, first, slot, &demands[..n]);
            if best.is_some() {
                return best;
            }
        }
    }
    search(query, s, first, slot, &[])
}

/// The best candidate that fits, taken out of those that wait.
///
/// A value only falls while the slate fills, so what a candidate was worth when it was last looked at bounds what it
/// is worth now: only the one with the best bound is looked at, again and again, until its value is its bound.
fn search(
    query: &Query<'_>,
    s: &mut Scratch,
    first: &mut usize,
    slot: usize,
    demands: &[usize],
) -> Option<(i32, usize)> {
    let f = query.front;
    let plain = query.arm() != Arm::Personal;
    s.aside.clear();
    let best = loop {
        if *first >= s.sorted {
            // A first portion that is enough for most slates, then ever larger ones.
            let more = (s.sorted * 2).max(64);
            sort_more(&mut s.order, &mut s.sorted, more);
        }
        let unseen = s.order[..s.sorted].get(*first).copied();
        let bound = match (unseen, s.seen.peek()) {
            (Some(k), Some(Reverse(seen))) if *seen < k => *seen,
            (Some(k), _) => {
                *first += 1;
                k
            }
            (None, Some(Reverse(seen))) => *seen,
            (None, None) => break None,
        };
        if unseen != Some(bound) {
            s.seen.pop();
        }
        let (_, row) = unkey(bound);
        // Neither a pin nor the duplicate of a shown item ever comes back.
        if s.taken[row] || (!plain && s.held.has_dup(f.dup(row))) {
            continue;
        }
        if !fits(query, &s.quotas, slot, row, demands) {
            s.aside.push(bound);
            continue;
        }
        let boosted = s.boosted[row];
        let value = if plain {
            boosted
        } else {
            boosted.saturating_add(s.held.delta(f, row, boosted))
        };
        let k = key(value, row);
        if k == bound {
            break Some((value, row));
        }
        s.seen.push(Reverse(k));
    };
    s.seen.extend(s.aside.drain(..).map(Reverse));
    best
}

/// Whether no quota is exceeded and every demand is served.
fn fits(query: &Query<'_>, quotas: &[Quota], slot: usize, row: usize, demands: &[usize]) -> bool {
    quotas.iter().enumerate().all(|(i, q)| {
        let limits = slot < q.within && q.held >= q.max;
        let demanded = demands.contains(&i);
        if !limits && !demanded {
            return true;
        }
        let is = q
            .target(query)
            .is_some_and(|t| rule::matches(query.front, row, t));
        (!limits || !is) && (!demanded || is)
    })
}

fn place(query: &Query<'_>, s: &mut Scratch, value: i32, row: usize) {
    let f = query.front;
    let slot = s.slots.len();
    for i in 0..s.quotas.len() {
        let q = s.quotas[i];
        if slot < q.within && q.target(query).is_some_and(|t| rule::matches(f, row, t)) {
            s.quotas[i].held += 1;
        }
    }
    s.taken[row] = true;
    let score = s.scores[row];
    let boost = s.active.boost(query, row, score);
    s.slots.push(Slot {
        slot: slot as u16,
        content: f.content(row),
        row: Some(row),
        score: value,
        adjustments: Adjustments {
            boost,
            diversity: value.saturating_sub(score.saturating_add(boost)),
        },
        propensity: u16::MAX,
        reasons: Reasons::default(),
        pinned: None,
        explored: false,
    });
    s.held.add(f.author(row), f.main_topic(row), f.series(row));
    s.held.add_dup(f.dup(row));
}

fn place_pin(query: &Query<'_>, s: &mut Scratch, scorer: &Scorer<'_>, seat: Seat) {
    let f = query.front;
    let score = match seat.row {
        Some(row) => scorer.score(&s.signals, row),
        None if query.arm() == Arm::Editorial => {
            pinned_item(query, seat.content).map_or(0, |p| super::score::newest(p.published))
        }
        None => 0,
    };
    match (seat.row, pinned_item(query, seat.content)) {
        (Some(row), _) => s.held.add(f.author(row), f.main_topic(row), f.series(row)),
        (None, Some(p)) => s.held.add(p.author, p.topic, 0),
        (None, None) => s.held.add(0, TOPICS as u8, 0),
    }
    s.slots.push(Slot {
        slot: s.slots.len() as u16,
        content: seat.content,
        row: seat.row,
        score,
        adjustments: Adjustments::default(),
        propensity: u16::MAX,
        reasons: Reasons::pinned(seat.index),
        pinned: Some(seat.rule),
        explored: false,
    });
}

fn near_duplicates(query: &Query<'_>, s: &Scratch) -> u16 {
    if !s.held.any_dup() || query.arm() != Arm::Personal {
        return 0;
    }
    let passed_over = |k: &&u64| {
        let (_, row) = unkey(**k);
        !s.taken[row] && s.held.has_dup(query.front.dup(row))
    };
    s.order.iter().filter(passed_over).count() as u16
}
