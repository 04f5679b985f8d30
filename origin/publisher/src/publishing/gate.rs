//! The gate: would the reader's new blob show on a front page?
//!
//! Both blobs rank the same front with the same rules, model, clock and seed, through [`mediaflow_shared::rank`], as an
//! edge would, fading an old profile as an edge does; the exploration slot is switched off, since chance is no news. [`distance`] says how far the two lists
//! are apart. Pure: no state but buffers.

use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::{Model, Q16};
use mediaflow_shared::profile::{Habits, Profile, STALE_MIN, faded};
use mediaflow_shared::rank::{Query, Scratch, Slate, rank_into};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::Request;
use mediaflow_shared::time::Minute;
use std::sync::Arc;

/// What an edge ranks one surface with.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The candidates.
    pub front: Arc<Front>,
    /// The editors' decisions, once published.
    pub rules: Option<Arc<Rules>>,
    /// The brand's weights.
    pub model: Model,
}

/// What a new blob would change on a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Change {
    /// [`distance`] of the top k, 0 to 65,536. 0: the same items in the same places.
    pub distance: u32,
    /// An item that edges would still show in the top k was read since.
    pub read_shown: bool,
}

impl Change {
    /// The larger of both.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            distance: self.distance.max(other.distance),
            read_shown: self.read_shown || other.read_shown,
        }
    }
}

/// Buffers for ranking.
#[derive(Debug, Default)]
pub struct Gate {
    scratch: Scratch,
    slate: Slate,
    before: Vec<ContentId>,
    after: Vec<ContentId>,
    distances: u64,
    compared: u64,
}

impl Gate {
    /// The first `n` items of a surface for a reader into `out`.
    pub fn top(
        &mut self,
        stage: &Stage,
        profile: Option<&Profile>,
        now: Minute,
        n: u16,
        out: &mut Vec<ContentId>,
    ) {
        let mut model = stage.model;
        model.explore.epsilon = 0;
        let request = Request {
            limit: n,
            personal: profile.map_or(Q16.unsigned_abs(), |p| weight(p, now)),
            ..Request::default()
        };
        let query = Query {
            profile,
            front: &stage.front,
            rules: stage.rules.as_deref(),
            model: &model,
            minute: now,
            request: &request,
        };
        rank_into(&query, &mut self.scratch, &mut self.slate);
        out.clear();
        out.extend(self.slate.slots.iter().map(|s| s.content));
    }

    /// What writing `new` in place of `published` would change in the first `k` places of a surface.
    pub fn change(
        &mut self,
        stage: &Stage,
        published: Option<&Profile>,
        new: &Profile,
        now: Minute,
        k: u16,
    ) -> Change {
        self.compared += 1;
        if published.is_some_and(|p| alike(p, new) && weight(p, now) == weight(new, now)) {
            return Change::default();
        }
        let (mut before, mut after) = (
            std::mem::take(&mut self.before),
            std::mem::take(&mut self.after),
        );
        self.top(stage, published, now, k, &mut before);
        self.top(stage, Some(new), now, k, &mut after);
        let known = |short: u32| published.is_some_and(|p| p.has_read(short));
        let shown = |short: u32| before.iter().any(|c| c.short() == short);
        let reads = new.reads.as_slice();
        let read_shown = reads.iter().any(|r| !known(r.short) && shown(r.short));
        let change = Change {
            distance: distance(&before, &after),
            read_shown,
        };
        (self.before, self.after) = (before, after);
        self.distances += u64::from(change.distance);
        change
    }

    /// Sum of the distances of everything compared so far, and how many that were.
    #[must_use]
    pub fn seen(&self) -> (u64, u64) {
        (self.distances, self.compared)
    }
}

/// What edges make of a profile's age.
fn weight(profile: &Profile, now: Minute) -> u32 {
    match now.since(profile.as_of) {
        age_min if age_min < STALE_MIN => Q16.unsigned_abs(),
        age_min => faded(age_min),
    }
}

/// Whether two profiles rank everything alike on any front, for what they say to the ranking is the same: most
/// changes of a blob are counts that no scorer reads.
#[must_use]
pub fn alike(a: &Profile, b: &Profile) -> bool {
    // What a scorer, an eligibility check or a rule's condition may look at stays; a property test holds it.
    let heart = |p: &Profile| Profile {
        as_of: Minute(0),
        expires_day: 0,
        consent: 0,
        ad_caps: Default::default(),
        habits: p.habits.map(|h| Habits {
            session_min: 0,
            session_depth: 0,
            engagement: 0,
            churn: 0,
            conversion: 0,
            ..h
        }),
        reads: {
            let mut reads = p.reads;
            reads.as_mut_slice().iter_mut().for_each(|r| r.age = 0);
            reads
        },
        ..*p
    };
    heart(a) == heart(b)
}

/// How far two rankings are apart: one less their average overlap, 0 (identical) to 65,536 (nothing shared).
///
/// At each depth d the share of items that the first d places of both have in common, averaged over the depths
/// (R. Fagin, R. Kumar, D. Sivakumar, "Comparing top k lists", SODA 2003; W. Webber et al., "A similarity measure for
/// indefinite rankings", TOIS 2010): what happens in the first places counts most. Lists that differ never get 0.
#[must_use]
pub fn distance(a: &[ContentId], b: &[ContentId]) -> u32 {
    if a == b {
        return 0;
    }
    let depth = a.len().max(b.len());
    let (mut shared, mut missing) = (0u64, 0u64);
    for d in 0..depth {
        let (x, y) = (a.get(d), b.get(d));
        if x.is_some() && x == y {
            shared += 1;
        } else {
            let held = |of: Option<&ContentId>, by: &[ContentId]| {
                of.is_some_and(|c| by[..d.min(by.len())].contains(c))
            };
            shared += u64::from(held(x, b)) + u64::from(held(y, a));
        }
        let places = d as u64 + 1;
        missing += (places - shared) * 65_536 / places;
    }
    u32::try_from(missing / depth as u64)
        .unwrap_or(65_536)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(list: &[u64]) -> Vec<ContentId> {
        list.iter().map(|i| ContentId(*i)).collect()
    }

    #[test]
    fn the_distance_weighs_the_first_places_most() {
        let base = ids(&[1, 2, 3, 4]);
        assert_eq!(distance(&base, &base), 0);
        assert_eq!(distance(&base, &ids(&[5, 6, 7, 8])), 65_536);
        let (front, back) = (ids(&[2, 1, 3, 4]), ids(&[1, 2, 4, 3]));
        // (1 + 0 + 0 + 0) / 4 and (0 + 0 + 1/3 + 0) / 4.
        assert_eq!(distance(&base, &front), 16_384);
        assert_eq!(distance(&base, &back), 65_536 / 3 / 4);
        assert_eq!(distance(&base, &[]), 65_536);
        assert_eq!(distance(&[], &[]), 0);
    }

    proptest! {
        #[test]
        fn only_equal_lists_are_at_distance_zero(
            a in prop::collection::hash_set(0u64..12, 0..8), b in prop::collection::hash_set(0u64..12, 0..8)
        ) {
            let a: Vec<_> = a.into_iter().map(ContentId).collect();
            let b: Vec<_> = b.into_iter().map(ContentId).collect();
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert!(distance(&a, &b) <= 65_536);
        }
    }
}
