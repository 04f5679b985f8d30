//! What editors decided, resolved for one request: which rules are in force, and what they match.
//!
//! A rule is in force when one of its windows holds the minute (no windows = always) and every condition holds
//! (an empty list = everyone). Precedence: takedown > hide > pin > quota > boost. Two pins on one slot: the newer
//! rule (higher id) keeps it, the other moves to the next free slot. An item with two pins follows the newer one.

use super::query::Query;
use crate::front::Front;
use crate::model::Q16;
use crate::profile::Profile;
use crate::rules::{Action, Conditions, PinnedItem, Rule, Target};
use crate::served::Arm;
use crate::topics::TOPICS;

/// Strongest combined boost: ten times the score, the most one rule may ask for.
const BOOST_MAX: i64 = 10 * Q16 as i64;
/// How many of a reader's strongest topics a condition looks at.
const TOP_TOPICS: usize = 3;

/// Numbers of the rules in force, by what they do, each in the order of the list.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) pins: Vec<u16>,
    /// Hides of a single item, as (row, rule id): found once instead of compared with every row.
    hidden_rows: Vec<(u16, u32)>,
    hides: Vec<u16>,
    boosts: Vec<u16>,
    pub(super) quotas: Vec<u16>,
}

/// Whether a front's row is what a target names.
pub(super) fn matches(front: &Front, row: usize, target: &Target) -> bool {
    match *target {
        Target::Content(c) => front.content(row) == c,
        Target::Author(a) => a != 0 && front.author(row) == a,
        Target::Topic(t) => usize::from(t) < TOPICS && front.main_topic(row) == t,
        Target::Series(s) => s != 0 && front.series(row) == s,
        Target::Kind(k) => front.kind(row) == k,
    }
}

/// The same for a pinned item outside the front, whose series and kind are not known.
pub(super) fn matches_pin(item: &PinnedItem, target: &Target) -> bool {
    match *target {
        Target::Content(c) => item.content == c,
        Target::Author(a) => a != 0 && item.author == a,
        Target::Topic(t) => usize::from(t) < TOPICS && item.topic == t,
        Target::Series(_) | Target::Kind(_) => false,
    }
}

/// The reader's strongest topics as a bit set, without an allocation.
fn strongest(profile: &Profile) -> u64 {
    let Some(a) = &profile.affinity else {
        return 0;
    };
    let mut set = 0u64;
    for _ in 0..TOP_TOPICS {
        let best = (0..TOPICS)
            .filter(|&t| a.lanes[t] > 0 && set & (1 << t) == 0)
            // Of equals the lowest number, as in `Profile::top_topics`.
            .max_by_key(|&t| (a.lanes[t], core::cmp::Reverse(t)));
        let Some(t) = best else { break };
        set |= 1 << t;
    }
    set
}

fn holds(query: &Query<'_>, when: &Conditions) -> bool {
    let c = &query.request.context;
    let segment = || {
        query
            .reader()
            .and_then(|p| p.habits)
            .map_or(0, |h| h.segment)
    };
    (when.countries.is_empty() || when.countries.contains(&c.country))
        && (when.devices.is_empty() || when.devices.contains(&(c.device as u8)))
        && (when.segments.is_empty() || when.segments.contains(&segment()))
        && (when.topics.is_empty()
            || query.reader().is_some_and(|p| {
                let top = strongest(p);
                when.topics
                    .iter()
                    .any(|&t| usize::from(t) < TOPICS && top & (1 << t) != 0)
            }))
}

fn in_force(query: &Query<'_>, rule: &Rule) -> bool {
    let now = query.minute;
    let open =
        rule.windows.is_empty() || rule.windows.iter().any(|w| w.from <= now && now < w.until);
    open && holds(query, &rule.when)
}

impl Active {
    /// Finds the rules in force. Boosts and quotas belong to the personal arm only.
    pub(super) fn resolve(&mut self, query: &Query<'_>) {
        self.pins.clear();
        self.hidden_rows.clear();
        self.hides.clear();
        self.boosts.clear();
        self.quotas.clear();
        let personal = query.arm() == Arm::Personal;
        let rules = query.rules.map_or(&[][..], |r| r.rules.as_slice());
        for (i, rule) in rules.iter().enumerate().take(usize::from(u16::MAX)) {
            if !in_force(query, rule) {
                continue;
            }
            let i = i as u16;
            match &rule.action {
                Action::Pin { .. } => self.pins.push(i),
                Action::Hide(Target::Content(c)) => {
                    // Kept in `hides` too: a pinned item outside the front has no row.
                    self.hides.push(i);
                    if let Some(row) = query.front.row(*c) {
                        self.hidden_rows.push((row as u16, rule.id));
                    }
                }
                Action::Hide(_) => self.hides.push(i),
                Action::Bury { .. } | Action::Boost { .. } if personal => self.boosts.push(i),
                Action::Quota { .. } if personal => self.quotas.push(i),
                Action::Bury { .. } | Action::Boost { .. } | Action::Quota { .. } => {}
            }
        }
        // Newer rules first; the list's order decides between equal ids.
        self.pins
            .sort_by_key(|&i| (core::cmp::Reverse(rules[usize::from(i)].id), i));
        self.hidden_rows.sort_unstable();
    }

    /// The rule that hides a row.
    #[inline]
    pub(super) fn hidden(&self, query: &Query<'_>, row: usize) -> Option<u32> {
        if self.hides.is_empty() {
            return None;
        }
        let at = self
            .hidden_rows
            .partition_point(|(r, _)| usize::from(*r) < row);
        self.hidden_rows
            .get(at)
            .filter(|(r, _)| usize::from(*r) == row)
            .map(|(_, id)| *id)
            .or_else(|| {
                self.hides(query)
                    .filter(|(_, t)| !matches!(t, Target::Content(_)))
                    .find(|(_, t)| matches(query.front, row, t))
                    .map(|(id, _)| id)
            })
    }

    /// The rule that hides a pinned item outside the front.
    pub(super) fn hidden_pin(&self, query: &Query<'_>, item: &PinnedItem) -> Option<u32> {
        self.hides(query)
            .find(|(_, t)| matches_pin(item, t))
            .map(|(id, _)| id)
    }

    fn hides<'q>(&self, query: &Query<'q>) -> impl Iterator<Item = (u32, &'q Target)> {
        let rules = query.rules.map_or(&[][..], |r| r.rules.as_slice());
        self.hides
            .iter()
            .filter_map(move |&i| match rules.get(usize::from(i)) {
                Some(Rule {
                    id,
                    action: Action::Hide(t),
                    ..
                }) => Some((*id, t)),
                _ => None,
            })
    }

    /// What boosts and burials add to a score: `|score| × (factor − 1)`, so that a boost always lifts and a burial
    /// always sinks, also below zero. Several rules multiply, up to [`BOOST_MAX`].
    #[inline]
    pub(super) fn boost(&self, query: &Query<'_>, row: usize, score: i32) -> i32 {
        if self.boosts.is_empty() {
            return 0;
        }
        let rules = query.rules.map_or(&[][..], |r| r.rules.as_slice());
        let mut factor = i64::from(Q16);
        for &i in &self.boosts {
            let (target, percent) = match rules.get(usize::from(i)).map(|r| &r.action) {
                Some(Action::Boost { target, percent }) => (target, (*percent).clamp(100, 1000)),
                Some(Action::Bury { target, percent }) => (target, (*percent).min(100)),
                _ => continue,
            };
            if matches(query.front, row, target) {
                factor = (factor * i64::from(percent) / 100).min(BOOST_MAX);
            }
        }
        let delta = (i64::from(score.unsigned_abs()) * (factor - i64::from(Q16))) >> 16;
        delta.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
    }
}
