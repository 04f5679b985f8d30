//! One reader's changed blob: write it, let it wait, or is it there already?

use mediaflow_shared::profile::Profile;
use mediaflow_shared::time::Timestamp;

use super::gate::{Change, Gate, Stage};
use super::{Policy, PublishSettings};
use crate::limits::{EXPIRY_RENEW_D, KEY_WRITE_EVERY_MS};

/// What edges have of a reader.
#[derive(Debug, Clone, Copy, Default)]
pub struct Published<'a> {
    /// The blob; empty = none.
    pub blob: &'a [u8],
    /// The blob decoded; `None` = none, or not readable.
    pub profile: Option<&'a Profile>,
    /// When it was written.
    pub written_ms: Option<i64>,
}

/// What the reader's blob is now.
#[derive(Debug, Clone, Copy)]
pub struct Latest<'a> {
    /// The blob.
    pub blob: &'a [u8],
    /// The blob decoded; `None` = not readable.
    pub profile: Option<&'a Profile>,
    /// Since when edges lack something of it.
    pub since_ms: i64,
}

/// Why a write is wanted or not, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The policy does not ask for more than a changed blob.
    Policy,
    /// Places of some surface would change.
    Places,
    /// An item of the top k was read.
    ReadShown,
    /// The reader muted or unmuted something, or agreed to another text.
    Decision,
    /// The published blob is about to expire, or speaks of a basis no longer in force.
    Renewal,
    /// The change waited for the longest allowed age.
    Age,
    /// There is no front to rank with.
    NoFront,
    /// There was no time to rank.
    Hurry,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Policy,
        Self::Places,
        Self::ReadShown,
        Self::Decision,
        Self::Renewal,
        Self::Age,
        Self::NoFront,
        Self::Hurry,
    ];

    /// Its name in metrics and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Places => "places",
            Self::ReadShown => "read_shown",
            Self::Decision => "decision",
            Self::Renewal => "renewal",
            Self::Age => "age",
            Self::NoFront => "no_front",
            Self::Hurry => "hurry",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Edges have it.
    Same,
    /// Write it as soon as it can be paid for. `change` is 0 to 65,536.
    Write {
        /// What it would change.
        change: u32,
        /// Why.
        why: Why,
    },
    /// Look at it again then.
    Wait {
        /// When.
        until_ms: i64,
    },
}

/// Decides by the policy of a brand. `stages` are the surfaces of the brands the reader visits; with none, whatever
/// changed is written.
pub fn decide(
    settings: &PublishSettings,
    stages: &[Stage],
    published: Published<'_>,
    latest: Latest<'_>,
    now_ms: i64,
    gate: &mut Gate,
) -> Verdict {
    if published.blob == latest.blob && settings.policy != Policy::PerEvent {
        return Verdict::Same;
    }
    let verdict = wanted(settings, stages, published, latest, now_ms, gate);
    // A key takes one write a second: what comes sooner is written together.
    let earliest = published
        .written_ms
        .map_or(i64::MIN, |w| w.saturating_add(KEY_WRITE_EVERY_MS));
    match verdict {
        Verdict::Write { .. } if now_ms < earliest => Verdict::Wait { until_ms: earliest },
        other => other,
    }
}

fn wanted(
    settings: &PublishSettings,
    stages: &[Stage],
    published: Published<'_>,
    latest: Latest<'_>,
    now_ms: i64,
    gate: &mut Gate,
) -> Verdict {
    let write = |change, why| Verdict::Write { change, why };
    const FULL: u32 = 65_536;
    match settings.policy {
        Policy::PerEvent | Policy::OnChange => return write(FULL, Why::Policy),
        Policy::Every => {
            let pause_ms = i64::from(settings.every_min) * 60_000;
            let due = published
                .written_ms
                .map_or(now_ms, |w| w.saturating_add(pause_ms));
            return if now_ms >= due {
                write(FULL, Why::Policy)
            } else {
                Verdict::Wait { until_ms: due }
            };
        }
        Policy::RankGated => {}
    }
    let Some(new) = latest.profile else {
        return write(FULL, Why::Policy);
    };
    if let Some(why) = due_anyway(published, new, now_ms) {
        return write(FULL, why);
    }
    if stages.is_empty() {
        return write(FULL, Why::NoFront);
    }
    let now = Timestamp(now_ms).minute();
    let mut change = Change::default();
    for stage in stages {
        change = change.max(gate.change(stage, published.profile, new, now, settings.top_k));
    }
    if change.read_shown {
        return write(change.distance.max(1), Why::ReadShown);
    }
    if u64::from(change.distance) * 1000 > u64::from(settings.tolerance_milli) << 16 {
        let settled_ms = latest
            .since_ms
            .saturating_add(i64::from(settings.settle_min) * 60_000);
        return if now_ms >= settled_ms {
            write(change.distance, Why::Places)
        } else {
            Verdict::Wait {
                until_ms: settled_ms,
            }
        };
    }
    let age_out = latest.since_ms.saturating_add(settings.age_ms_max());
    if now_ms >= age_out {
        return write(change.distance, Why::Age);
    }
    Verdict::Wait {
        until_ms: age_out.min(now_ms.saturating_add(settings.recheck_ms())),
    }
}

/// What must not wait for a change of rank.
fn due_anyway(published: Published<'_>, new: &Profile, now_ms: i64) -> Option<Why> {
    let Some(old) = published.profile else {
        // What edges have cannot be read: anything is better.
        let unreadable = (!published.blob.is_empty()).then_some(Why::Renewal);
        let muted = !new.mutes.as_slice().is_empty();
        return unreadable.or(muted.then_some(Why::Decision));
    };
    if old.mutes != new.mutes || old.consent != new.consent {
        return Some(Why::Decision);
    }
    let today = Timestamp(now_ms).minute().0 / 1440;
    let expiring =
        u32::from(old.expires_day) <= today + EXPIRY_RENEW_D && new.expires_day > old.expires_day;
    (expiring || old.epoch != new.epoch).then_some(Why::Renewal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publishing::gate::alike;
    use mediaflow_shared::front::Front;
    use mediaflow_shared::front::build::{Head, Item, encode};
    use mediaflow_shared::id::ContentId;
    use mediaflow_shared::model::Model;
    use mediaflow_shared::profile::fold::{self, Interaction, ItemView};
    use mediaflow_shared::profile::{Habits, Mute, blob};
    use mediaflow_shared::time::Minute;
    use mediaflow_shared::topics::LANES;
    use proptest::prelude::*;
    use std::sync::Arc;

    const NOW_MS: i64 = 1_795_248_000_000;

    fn topics_of(id: u64) -> [i8; LANES] {
        let mut t = [0; LANES];
        t[(id % 7) as usize] = 127;
        t
    }

    fn stage() -> Stage {
        let now = Timestamp(NOW_MS).minute();
        let item = |id: u64| Item {
            content: ContentId(id),
            topics: std::array::from_fn(|i| topics_of(id)[i]),
            published: Minute(now.0 - 37 * id as u32),
            clicks60: (id * 31 % 60) as u8,
            neighbours: vec![
                (ContentId(id % 40 + 1), 200),
                (ContentId(id * 3 % 40 + 1), 90),
            ],
            minutes: (id % 12) as u8,
            main_topic: Some((id % 7) as u8),
            author: id as u32 % 9,
            ..Item::default()
        };
        let head = Head {
            brand: "daily",
            surface: "home",
            built: now,
            ..Head::default()
        };
        let bytes = encode(&head, (1..=40).map(item).collect()).unwrap();
        Stage {
            front: Arc::new(Front::parse(bytes).unwrap()),
            rules: None,
            model: Model::default(),
        }
    }

    /// What a reader did: an item up to 60 (of which the front has 40), and how.
    fn folded(mut p: Profile, acts: &[(u64, u8)]) -> Profile {
        for (id, what) in acts {
            let view = ItemView {
                short: *id as u32,
                topics: &topics_of(*id),
                read_vector: None,
                epoch: 0,
                reading_time_min: (*id % 12) as u8,
            };
            let now = Timestamp(NOW_MS).minute();
            match what {
                0..=5 => fold::apply(&mut p, &view, Interaction::Read, now),
                6 => fold::apply(&mut p, &view, Interaction::Like, now),
                7 => fold::apply(&mut p, &view, Interaction::Less, now),
                8 => fold::mute(&mut p, Mute::Topic((*id % 7) as u8)),
                _ => {
                    let h = p.habits.unwrap_or_default();
                    p.habits = Some(Habits {
                        engagement: *id as u8,
                        session_min: *id as u8,
                        ..h
                    });
                }
            }
        }
        p
    }

    fn judge(
        s: &PublishSettings,
        stages: &[Stage],
        old: Option<&Profile>,
        new: &Profile,
        now_ms: i64,
    ) -> Verdict {
        let (a, b) = (old.map(blob::encode).unwrap_or_default(), blob::encode(new));
        let published = Published {
            blob: &a,
            profile: old,
            written_ms: old.map(|_| NOW_MS - 60_000),
        };
        let latest = Latest {
            blob: &b,
            profile: Some(new),
            since_ms: NOW_MS,
        };
        decide(s, stages, published, latest, now_ms, &mut Gate::default())
    }

    proptest! {
        #[test]
        fn a_write_that_waits_hides_no_change_of_the_top_k(
            before in prop::collection::vec((1u64..60, 0u8..12), 0..20),
            after in prop::collection::vec((1u64..60, 0u8..12), 1..4),
            k in 1u16..20,
        ) {
            let stages = [stage()];
            let old = (!before.is_empty()).then(|| folded(Profile::default(), &before));
            let new = folded(old.unwrap_or_default(), &after);
            let s = PublishSettings { top_k: k, settle_min: 0, ..PublishSettings::default() };
            let slow = PublishSettings { settle_min: 10, ..s.clone() };
            let delayed = judge(&slow, &stages, old.as_ref(), &new, NOW_MS);
            let verdict = judge(&s, &stages, old.as_ref(), &new, NOW_MS);
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let (mut gate, now) = (Gate::default(), Timestamp(NOW_MS).minute());
            gate.top(&stages[0], old.as_ref(), now, k, &mut a);
            gate.top(&stages[0], Some(&new), now, k, &mut b);
            match verdict {
                Verdict::Wait { until_ms } => {
                    prop_assert_eq!(a, b);
                    prop_assert!(until_ms > NOW_MS && until_ms <= NOW_MS + s.recheck_ms());
                }
                Verdict::Write { why: Why::Places, .. } => {
                    prop_assert_ne!(a, b);
                    prop_assert_eq!(delayed, Verdict::Wait { until_ms: NOW_MS + 600_000 });
                }
                Verdict::Write { why, .. } => prop_assert!(matches!(why, Why::ReadShown | Why::Decision), "{why:?}"),
                Verdict::Same => prop_assert_eq!(old, Some(new)),
            }
        }

        #[test]
        fn profiles_that_are_alike_rank_alike(
            acts in prop::collection::vec((1u64..60, 0u8..8), 0..20),
            counts in any::<(u8, u8, u8, u8, u8, u16)>(),
        ) {
            let p = folded(Profile::default(), &acts);
            let mut q = p;
            q.habits = p.habits.map(|h| Habits {
                session_min: counts.0, session_depth: counts.1, engagement: counts.2,
                churn: counts.3 & 15, conversion: counts.4 & 15, ..h
            });
            q.expires_day = counts.5;
            prop_assert!(alike(&p, &q));
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let (stage, now) = (stage(), Timestamp(NOW_MS).minute());
            Gate::default().top(&stage, Some(&p), now, 40, &mut a);
            Gate::default().top(&stage, Some(&q), now, 40, &mut b);
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn tolerance_never_keeps_a_read_item_on_the_other_device() {
        let stages = [stage()];
        let mut top = Vec::new();
        let old = folded(Profile::default(), &[(50, 0)]);
        Gate::default().top(
            &stages[0],
            Some(&old),
            Timestamp(NOW_MS).minute(),
            10,
            &mut top,
        );
        let new = folded(old, &[(top[9].0, 0)]);
        let s = PublishSettings {
            tolerance_milli: 1000,
            ..PublishSettings::default()
        };
        let verdict = judge(&s, &stages, Some(&old), &new, NOW_MS);
        assert!(
            matches!(
                verdict,
                Verdict::Write {
                    why: Why::ReadShown,
                    ..
                }
            ),
            "{verdict:?}"
        );
    }

    #[test]
    fn every_policy_keeps_its_word() {
        let old = folded(Profile::default(), &[(50, 0)]);
        let new = folded(old, &[(51, 9)]);
        let with = |policy| PublishSettings {
            policy,
            ..PublishSettings::default()
        };
        let at = |policy, now_ms| judge(&with(policy), &[stage()], Some(&old), &new, now_ms);
        let policy = Verdict::Write {
            change: 65_536,
            why: Why::Policy,
        };
        assert_eq!(at(Policy::OnChange, NOW_MS), policy);
        assert_eq!(
            at(Policy::Every, NOW_MS),
            Verdict::Wait {
                until_ms: NOW_MS + 14 * 60_000
            }
        );
        assert_eq!(at(Policy::Every, NOW_MS + 14 * 60_000), policy);
        assert_eq!(
            judge(&with(Policy::PerEvent), &[], Some(&old), &old, NOW_MS),
            policy
        );
        assert_eq!(
            judge(&with(Policy::OnChange), &[], Some(&old), &old, NOW_MS),
            Verdict::Same
        );
        // A second after the last write a key takes the next one.
        let soon = NOW_MS - 59_500;
        assert_eq!(
            at(Policy::OnChange, soon),
            Verdict::Wait {
                until_ms: NOW_MS - 59_000
            }
        );
        let no_front = judge(&with(Policy::RankGated), &[], Some(&old), &new, NOW_MS);
        assert!(matches!(
            no_front,
            Verdict::Write {
                why: Why::NoFront,
                ..
            }
        ));
        let aged = at(
            Policy::RankGated,
            NOW_MS + with(Policy::RankGated).age_ms_max(),
        );
        assert!(matches!(aged, Verdict::Write { .. }), "{aged:?}");
    }
}
