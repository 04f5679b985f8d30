//! Plans of a few readers: which figure a device moves, and what does not matter.

use super::*;
use crate::publishing::Policy;
use mediaflow_shared::profile::Read;

const MINUTE_MS: i64 = 60_000;
const START_MS: i64 = 20_773 * 86_400_000;

fn policy(policy: Policy) -> Candidate {
    Candidate {
        name: policy.name().to_owned(),
        settings: PublishSettings {
            policy,
            ..PublishSettings::default()
        },
    }
}

/// Two readers, who read one of 40 items every ten minutes in turn; the device of the n-th event is `device(n)`.
fn steps(device: impl Fn(u64) -> Option<u64>) -> Vec<Step> {
    let mut profiles = [Profile::default(); 2];
    let step = |n: u64| {
        let content = ContentId(0x1000 + n * 7 % 40);
        let at = Timestamp(START_MS + n.cast_signed() * 10 * MINUTE_MS);
        let profile = &mut profiles[(n % 2) as usize];
        profile.as_of = at.minute();
        profile.reads.retain(|r| r.short != content.short());
        profile.reads.push_front(Read {
            short: content.short(),
            age: 0,
        });
        Step {
            at,
            brand: "daily".to_owned(),
            reader: Some(Pseudonym([(n % 2) as u8; 16])),
            content: Some(content),
            click: true,
            blob: Some(Bytes::from(blob::encode(profile))),
            device: device(n),
            noted: true,
            ..Step::default()
        }
    };
    (0..300).map(step).collect()
}

fn plan(candidates: Vec<Candidate>, steps: &[Step]) -> Tally {
    let settings = PlanSettings {
        publisher: PublisherSettings {
            brands: Vec::new(),
            rebuild_every_s: 60,
            publish: PublishSettings::default(),
        },
        candidates,
        sample_every: 1,
        devices: DeviceSettings {
            idle_ms: 30_000,
            asked_ms_max: 300_000,
            reads_max: 5,
        },
        invent_items: true,
    };
    let mut plan = Plan::new(settings, []);
    for s in steps {
        plan.step(s);
    }
    plan.finish()
}

/// More than an hour between writes: storage is behind.
fn seldom() -> Candidate {
    let mut seldom = policy(Policy::Every);
    seldom.settings.every_min = 70;
    seldom
}

#[test]
fn a_readers_only_device_has_no_regret_however_late_storage_is() {
    let tally = plan(vec![seldom()], &steps(|_| Some(7)));
    let row = &tally.rows[0];
    assert!(row.regret_elsewhere_mean > 0.01, "{row:?}");
    assert!(row.regret_served_mean < f64::EPSILON, "{row:?}");
    assert_eq!(tally.readers_on_several, 0);
    assert_eq!(tally.requests, tally.by_known_devices);
}

#[test]
fn devices_in_turn_are_between_the_only_one_and_an_unknown_one() {
    // Each reader's events: three on one device, three on the other.
    let tally = plan(vec![seldom()], &steps(|n| Some(n / 6 % 2)));
    let row = &tally.rows[0];
    assert!(row.regret_served_mean > 0.0, "{row:?}");
    assert!(
        row.regret_served_mean < row.regret_elsewhere_mean,
        "{row:?}"
    );
    assert_eq!(tally.readers_on_several, 2);
}

#[test]
fn without_a_device_every_request_is_by_another() {
    let tally = plan(vec![seldom()], &steps(|_| None));
    let row = &tally.rows[0];
    assert!(row.regret_served_mean > 0.01, "{row:?}");
    assert!((row.regret_served_mean - row.regret_elsewhere_mean).abs() < f64::EPSILON);
    assert_eq!(tally.by_known_devices, 0);
}

#[test]
fn a_policy_is_the_same_whichever_are_priced_beside_it() {
    let steps = steps(|n| Some(n / 6 % 2));
    let alone = plan(vec![policy(Policy::RankGated)], &steps);
    let beside = plan(
        vec![
            seldom(),
            policy(Policy::PerEvent),
            policy(Policy::RankGated),
        ],
        &steps,
    );
    assert_eq!(alone.rows[0], beside.rows[2]);
}
