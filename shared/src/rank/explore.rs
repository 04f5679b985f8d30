//! Stage 5: the exploration slot, and the propensity of every slot.
//!
//! The greedy slate is the base. With probability ε one of the next `pool` items after the exploration slot is drawn
//! uniformly and moved up into it; the items it passes move one place down. Pinned slots keep their item and are
//! passed over. Since only the order of one base slate changes, the probability of every (slot, item) is known in
//! closed form. With P drawable items, of which `b` stand at or behind slot k:
//!
//! ```text
//! exploration slot   base item 1 − ε           · drawn item ε / P
//! slot k behind it   base item 1 − ε·b / P     · base item of the slot before it ε·b / P
//! ```
//! An item whose move would break a quota is not drawable. Draws are SplitMix64 of the request's seed (Steele, Lea
//! and Flood, OOPSLA 2014).

use super::query::Query;
use super::rule;
use super::slate::{Quota, RANKED_MAX, Slot};
use crate::model::Q16;
use crate::served::Arm;

/// Items drawn from at most, whatever a model asks for.
pub const POOL_MAX: usize = 64;

/// One step of SplitMix64.
#[must_use]
pub fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The slot, ε and pool of this query, when it explores at all.
fn plan(query: &Query<'_>) -> Option<(usize, u64, usize)> {
    let e = &query.model.explore;
    let (slot, pool) = (usize::from(e.slot), usize::from(e.pool).min(POOL_MAX));
    let epsilon = u64::from(e.epsilon).min(Q16 as u64);
    let explores = query.arm() == Arm::Personal && epsilon > 0 && pool > 0 && slot < RANKED_MAX;
    explores.then_some((slot, epsilon, pool))
}

/// How many slots the base slate needs so that `until` slots can be served.
pub(super) fn reach(query: &Query<'_>, until: usize, pins: usize) -> usize {
    match plan(query) {
        Some((slot, _, pool)) if slot < until => until.max(slot + 1 + pool + pins).min(RANKED_MAX),
        _ => until,
    }
}

/// Draws, moves the drawn item up, and writes the propensities.
pub(super) fn apply(query: &Query<'_>, slots: &mut [Slot], quotas: &[Quota]) {
    let Some((from, epsilon, pool)) = plan(query) else {
        return;
    };
    // Places an exploration may touch, in order: the first unpinned slot from `from` on, and those behind it.
    let mut places = [0usize; POOL_MAX + 1];
    let mut n = 0;
    for (i, s) in slots.iter().enumerate().skip(from) {
        if s.pinned.is_none() && n <= pool {
            places[n] = i;
            n += 1;
        }
    }
    // A pinned exploration slot is not moved to its neighbour: the editors' slot stays as it is.
    if n < 2 || places[0] != from {
        return;
    }
    let places = &places[..n];
    let mut drawable = [false; POOL_MAX + 1];
    let mut count = 0u64;
    for (j, d) in drawable.iter_mut().enumerate().take(n).skip(1) {
        *d = keeps_quotas(query, slots, quotas, places, j);
        count += u64::from(*d);
    }
    if count == 0 {
        return;
    }
    let mut state = query.request.seed;
    let explores = splitmix64(&mut state) >> 48 < epsilon;
    // Multiply and shift: the bias of 64 out of 2^32 is below what a propensity can express.
    let nth = ((splitmix64(&mut state) >> 32) * count) >> 32;
    let drawn = (1..n)
        .filter(|&j| drawable[j])
        .nth(nth as usize)
        .filter(|_| explores);

    // Drawable items at or behind place k.
    let mut behind = count;
    for k in 0..n {
        if k >= 2 && drawable[k - 1] {
            behind -= 1;
        }
        let moved = drawn.is_some_and(|j| k <= j);
        let part = match (k, moved) {
            (0, true) => epsilon,
            (_, true) => epsilon * behind,
            (_, false) => Q16 as u64 * count - epsilon * behind,
        };
        slots[places[k]].propensity = share(part, Q16 as u64 * count);
    }
    if let Some(j) = drawn {
        move_up(slots, &places[..=j]);
    }
}

/// `part / whole` in 1/65,535, rounded; what can happen is never 0.
fn share(part: u64, whole: u64) -> u16 {
    let one = u64::from(u16::MAX);
    let rounded = (part * one + whole / 2) / whole;
    rounded.clamp(u64::from(part > 0), one) as u16
}

/// Moves the item of the last place to the first, and the others one place down. Places keep their number and
/// their propensity.
fn move_up(slots: &mut [Slot], places: &[usize]) {
    let (Some(&first), Some(&last)) = (places.first(), places.last()) else {
        return;
    };
    let mut carried = slots[last];
    carried.explored = true;
    for &p in places {
        let here = slots[p];
        slots[p] = Slot {
            slot: here.slot,
            propensity: here.propensity,
            ..carried
        };
        carried = here;
    }
    debug_assert!(slots[first].explored);
}

/// Whether every quota still holds when the item of place `j` moves to the first place.
fn keeps_quotas(
    query: &Query<'_>,
    slots: &[Slot],
    quotas: &[Quota],
    places: &[usize],
    j: usize,
) -> bool {
    quotas.iter().all(|q| {
        if places[0] >= q.within || places[j] < q.within {
            return true;
        }
        let is = |place: usize| {
            let row = slots[place].row;
            row.is_some_and(|row| {
                q.target(query)
                    .is_some_and(|t| rule::matches(query.front, row, t))
            })
        };
        // The last of the places inside the window is pushed out of it.
        let pushed_out = places.iter().rev().find(|p| **p < q.within);
        let after =
            q.held + usize::from(is(places[j])) - usize::from(pushed_out.is_some_and(|p| is(*p)));
        after <= q.max.max(q.held) && after >= q.min.min(q.held)
    })
}
