//! Properties of whole slates, over random cases of [`crate::testing`].

use super::query::Query;
use super::slate::pinned_item;
use super::*;
use crate::front::Front;
use crate::front::build::{Head, Item, encode};
use crate::id::ContentId;
use crate::model::{Exploration, Model};
use crate::profile::{Affinity, Profile, Read};
use crate::rules::{Action, PinnedItem, Rule, Rules, Target, Window};
use crate::served::{Arm, Request};
use crate::testing::{Opened, case};
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};
use std::collections::BTreeMap;

fn each(seeds: core::ops::Range<u64>, mut check: impl FnMut(u64, &Opened, &Slate, &Scratch)) {
    let (mut scratch, mut slate) = (Scratch::default(), Slate::default());
    for seed in seeds {
        let o = case(seed).open().expect("a front");
        rank_into(&o.query(), &mut scratch, &mut slate);
        check(seed, &o, &slate, &scratch);
    }
}

#[test]
fn every_candidate_is_in_the_slate_or_dropped_or_ranked_out_and_none_twice() {
    each(0..6000, |seed, o, slate, _| {
        let q = o.query();
        let mut ids: Vec<ContentId> = slate.slots.iter().map(|s| s.content).collect();
        ids.sort_unstable();
        let n = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), n, "{seed}: an item twice");
        assert!(n <= usize::from(q.request.limit), "{seed}: limit");
        let dropped: usize = slate.dropped.iter().map(|d| usize::from(*d)).sum();
        assert_eq!(slate.candidates, q.front.len());
        assert_eq!(slate.eligible + dropped, slate.candidates, "{seed}");
    });
    // Ask for everything, and account for each row by name.
    each(0..300, |seed, o, _, _| {
        let mut o = o.clone();
        (o.request.offset, o.request.limit) = (0, 200);
        let slate = rank(&o.query(), &mut Scratch::default());
        for row in 0..o.front.len() {
            let content = o.front.content(row);
            let served = slate.slots.iter().any(|s| s.content == content);
            match o.why(content) {
                WhyNot::Served { slot, .. } => {
                    assert!(served, "{seed}");
                    assert_eq!(slate.slots[usize::from(slot)].content, content);
                }
                WhyNot::NotACandidate => panic!("{seed}: row {row} is a candidate"),
                WhyNot::RankedOut { rank, of, .. } => {
                    // With room for all, only a quota's maximum keeps a candidate out.
                    assert!(!served && rank <= of, "{seed}");
                    let quotas = |r: &Rule| matches!(r.action, Action::Quota { max: Some(_), .. });
                    let rules = o.rules.as_ref().expect("rules");
                    assert!(rules.0.rules.iter().any(quotas), "{seed}: row {row}");
                }
                WhyNot::Dropped(_) | WhyNot::NearDuplicate { .. } => assert!(!served, "{seed}"),
            }
        }
    });
}

#[test]
fn contributions_and_adjustments_add_up_to_the_score() {
    each(0..4000, |seed, o, slate, _| {
        let q = o.query();
        for slot in &slate.slots {
            let Some(row) = slot.row else { continue };
            let c = contributions(&q, row);
            let a = slot.adjustments;
            assert_eq!(c.sum() + a.boost + a.diversity, slot.score, "{seed}");
            assert!(a.diversity <= 0, "{seed}");
        }
    });
}

/// The items of a front again, so that a test can change them.
fn items_of(f: &Front) -> Vec<Item> {
    let lanes = |column: &[u8], row| {
        let mut out = [0i8; LANES];
        for (o, b) in out.iter_mut().zip(Front::lane_row(column, row)) {
            *o = *b as i8;
        }
        out
    };
    (0..f.len())
        .map(|row| {
            let mut topics = [0; TOPICS];
            topics.copy_from_slice(&lanes(f.topics(), row)[..TOPICS]);
            Item {
                content: f.content(row),
                topics,
                learned: f
                    .has_learned()
                    .then(|| Box::new((lanes(f.v(), row), lanes(f.p(), row)))),
                published: f.published(row),
                embargo: f.embargo(row),
                expires: f.expires(row),
                author: f.author(row),
                series: f.series(row),
                neighbours: f.neighbours(row).map(|(r, w)| (f.content(r), w)).collect(),
                active_min: Some(u32::from(f.active(row))).filter(|a| *a != u32::from(u16::MAX)),
                dup: f.dup(row),
                clicks15: f.clicks15(row),
                clicks60: f.clicks60(row),
                decay_fast: f.decay_fast(row),
                decay_slow: f.decay_slow(row),
                quality: f.quality(row),
                flags: f.item_flags(row),
                minutes: f.minutes(row),
                main_topic: Some(f.main_topic(row)),
                card: f.card(row).to_owned(),
                ..Item::default()
            }
        })
        .collect()
}

#[test]
fn a_score_does_not_depend_on_the_other_candidates() {
    each(0..1500, |seed, o, _, _| {
        let items = items_of(&o.front);
        let keep = seed as usize % items.len();
        let reads = o
            .profile
            .map_or(Vec::new(), |p| p.reads.as_slice().to_vec());
        let head = Head {
            built: o.front.built(),
            epoch: o.front.epoch(),
            v_scale: o.front.v_scale(),
            ..Head::default()
        };
        let front = |items: Vec<Item>| Front::parse(encode(&head, items).unwrap()).unwrap();
        let whole = front(items.clone());
        // Read items speak as reads, not as candidates; everyone else goes.
        let few: Vec<Item> = items
            .iter()
            .enumerate()
            .filter(|(i, it)| {
                *i == keep || reads.iter().any(|r: &Read| r.short == it.content.short())
            })
            .map(|(_, it)| it.clone())
            .collect();
        let few = front(few);
        let score = |f: &Front| {
            let q = Query {
                front: f,
                ..o.query()
            };
            contributions(&q, f.row(items[keep].content).unwrap())
        };
        let (a, b) = (score(&whole), score(&few));
        assert_eq!(a.sum(), b.sum(), "{seed}");
        assert!(a.iter().eq(b.iter()), "{seed}");
    });
}

#[test]
fn the_slate_is_what_a_search_over_everyone_would_choose() {
    // Without quotas and exploration: each slot has the highest value of all that may stand there.
    each(0..2000, |seed, o, _, _| {
        let mut o = o.clone();
        o.model.explore.epsilon = 0;
        o.rules = None;
        o.request.arm = Arm::Personal;
        (o.request.offset, o.request.limit) = (0, 40);
        let q = o.query();
        let mut scratch = Scratch::default();
        let slate = rank(&q, &mut scratch);
        let mut left: Vec<usize> = (0..o.front.len())
            .filter(|r| scratch.verdicts[*r].is_none())
            .collect();
        let mut held = diversity::Held::default();
        held.clear(&q.model.diversity);
        for slot in &slate.slots {
            let best = left
                .iter()
                .filter(|r| !held.has_dup(o.front.dup(**r)))
                .map(|&r| {
                    let score = scratch.scores[r];
                    (
                        score + held.delta(&o.front, r, score),
                        core::cmp::Reverse(r),
                    )
                })
                .max()
                .expect("a candidate");
            let row = slot.row.expect("a row");
            assert_eq!((slot.score, row), (best.0, best.1.0), "{seed}");
            held.add(
                o.front.author(row),
                o.front.main_topic(row),
                o.front.series(row),
            );
            held.add_dup(o.front.dup(row));
            left.retain(|r| *r != row);
        }
    });
}

#[test]
fn pages_continue_each_other() {
    each(0..1500, |seed, o, _, _| {
        let mut o = o.clone();
        let mut all = Vec::new();
        let mut scratch = Scratch::default();
        // The exploration slot lies on the first page.
        o.model.explore.slot %= 10;
        for page in 0..8 {
            (o.request.offset, o.request.limit) = (page * 10, 10);
            let slate = rank(&o.query(), &mut scratch);
            for (i, s) in slate.slots.iter().enumerate() {
                assert_eq!(usize::from(s.slot), usize::from(page) * 10 + i);
            }
            assert_eq!(slate.more, {
                (o.request.offset, o.request.limit) = (page * 10 + 10, 10);
                !rank(&o.query(), &mut scratch).slots.is_empty()
            });
            all.extend(slate.slots.iter().map(|s| s.content));
        }
        (o.request.offset, o.request.limit) = (0, 80);
        let whole = rank(&o.query(), &mut scratch);
        let whole: Vec<_> = whole.slots.iter().map(|s| s.content).collect();
        assert_eq!(all, whole, "{seed}");
    });
}

#[test]
fn rules_hold_in_every_slate() {
    each(0..8000, |seed, o, slate, scratch| {
        let q = o.query();
        let Some(rules) = q.rules else { return };
        for s in &slate.slots {
            assert!(!rules.takedowns.contains(&s.content), "{seed}: a takedown");
            let (embargo, expires) = match s.row {
                Some(r) => (o.front.embargo(r), o.front.expires(r)),
                None => pinned_item(&q, s.content)
                    .map(|p| (p.embargo, p.expires))
                    .unwrap(),
            };
            assert!(embargo <= q.minute, "{seed}: under embargo");
            assert!(expires.0 == 0 || expires > q.minute, "{seed}: expired");
            if let Some(row) = s.row {
                assert_eq!(scratch.active.hidden(&q, row), None, "{seed}: hidden");
                assert!(
                    s.pinned.is_some() || scratch.verdicts[row].is_none(),
                    "{seed}"
                );
            }
        }
        maxima_hold(seed, &q, scratch);
    });
}

fn maxima_hold(seed: u64, q: &Query<'_>, scratch: &Scratch) {
    for &i in &scratch.active.quotas {
        let rule = &q.rules.unwrap().rules[usize::from(i)];
        let Action::Quota {
            target,
            within,
            max: Some(max),
            ..
        } = &rule.action
        else {
            continue;
        };
        let window = scratch.slots.iter().take(usize::from(*within));
        let (pinned, free): (Vec<&Slot>, Vec<&Slot>) = window
            .filter(|s| s.row.is_some_and(|r| rule::matches(q.front, r, target)))
            .partition(|s| s.pinned.is_some());
        // A pin outranks a quota: pins alone may exceed it.
        assert!(
            free.is_empty() || free.len() + pinned.len() <= usize::from(*max),
            "{seed}: rule {}",
            rule.id
        );
    }
}

const NOW: Minute = Minute(30_000_000);

/// Items 1 to n: item i was published i hours ago, so that without a reader lower ids come first.
fn plain(n: u64, change: impl Fn(u64, &mut Item)) -> Front {
    let items = (1..=n)
        .map(|i| {
            let mut item = Item {
                content: ContentId(i),
                published: Minute(NOW.0 - 60 * i as u32),
                card: format!("\"id\":\"{}\"", ContentId(i)),
                ..Item::default()
            };
            change(i, &mut item);
            item
        })
        .collect();
    let head = Head {
        built: NOW,
        ..Head::default()
    };
    Front::parse(encode(&head, items).unwrap()).unwrap()
}

fn no_chance() -> Model {
    Model {
        explore: Exploration {
            slot: 0,
            epsilon: 0,
            pool: 0,
        },
        ..Model::default()
    }
}

fn rule(id: u32, action: Action) -> Rule {
    Rule {
        id,
        action,
        windows: Vec::new(),
        when: crate::rules::Conditions::default(),
        label: String::new(),
    }
}

fn pin(id: u32, content: u64, slot: u16) -> Rule {
    rule(
        id,
        Action::Pin {
            content: ContentId(content),
            slot,
        },
    )
}

fn request(limit: u16) -> Request {
    Request {
        limit,
        personal: 65_536,
        ..Request::default()
    }
}

fn ids(front: &Front, rules: &Rules, profile: Option<&Profile>, limit: u16) -> Vec<u64> {
    let (model, request) = (no_chance(), request(limit));
    let q = Query {
        profile,
        front,
        rules: Some(rules),
        model: &model,
        minute: NOW,
        request: &request,
    };
    let slate = rank(&q, &mut Scratch::default());
    slate.slots.iter().map(|s| s.content.0).collect()
}

#[test]
fn a_pin_takes_its_slot_and_the_newer_of_two_wins() {
    let front = plain(9, |_, _| {});
    let mut rules = Rules {
        rules: vec![pin(1, 9, 0), pin(2, 8, 0), pin(3, 7, 3)],
        ..Rules::default()
    };
    assert_eq!(ids(&front, &rules, None, 6), [8, 9, 1, 7, 2, 3]);
    // The same item pinned twice follows the newer rule.
    rules.rules = vec![pin(1, 9, 0), pin(2, 9, 2)];
    assert_eq!(ids(&front, &rules, None, 4), [1, 2, 9, 3]);
    // Fewer candidates than the slot asks for: the pin closes up.
    rules.rules = vec![pin(1, 1, 50)];
    assert_eq!(ids(&front, &rules, None, 20).last(), Some(&1));
}

#[test]
fn a_pin_overrides_reads_age_and_mutes_but_not_hides_and_takedowns() {
    let front = plain(5, |i, item| {
        if i == 5 {
            item.published = Minute(NOW.0 - 60 * 24 * 90);
            item.author = 77;
        }
    });
    let mut profile = Profile::default();
    profile.reads.push(Read { short: 5, age: 0 });
    profile.mutes.push(crate::profile::Mute::Author(77));
    let mut rules = Rules {
        rules: vec![pin(1, 5, 1)],
        ..Rules::default()
    };
    assert_eq!(ids(&front, &rules, Some(&profile), 3), [1, 5, 2]);
    rules
        .rules
        .push(rule(2, Action::Hide(Target::Content(ContentId(5)))));
    assert_eq!(ids(&front, &rules, Some(&profile), 3), [1, 2, 3]);
    rules.rules.pop();
    rules.takedowns = vec![ContentId(5)];
    assert_eq!(ids(&front, &rules, Some(&profile), 3), [1, 2, 3]);
}

#[test]
fn a_pinned_item_outside_the_front_is_shown_from_its_card() {
    let front = plain(3, |_, _| {});
    let rules = Rules {
        rules: vec![pin(1, 99, 0)],
        pinned: vec![PinnedItem {
            content: ContentId(99),
            card: "\"id\":\"99\"".into(),
            published: Minute(1),
            embargo: Minute(0),
            expires: Minute(0),
            topic: 0,
            author: 0,
        }],
        ..Rules::default()
    };
    assert_eq!(ids(&front, &rules, None, 2), [99, 1]);
    let taken = Rules {
        takedowns: vec![ContentId(99)],
        ..rules.clone()
    };
    assert_eq!(ids(&front, &taken, None, 2), [1, 2]);
    let without_card = Rules {
        pinned: Vec::new(),
        ..rules
    };
    assert_eq!(ids(&front, &without_card, None, 2), [1, 2]);
}

#[test]
fn a_window_opens_and_closes_to_the_minute() {
    let front = plain(3, |_, _| {});
    let mut r = pin(1, 3, 0);
    for (from, until, first) in [(0, 1, 3), (1, 2, 1), (-5, 0, 1)] {
        let at = |d: i32| Minute(NOW.0.saturating_add_signed(d));
        r.windows = vec![Window {
            from: at(from),
            until: at(until),
        }];
        let rules = Rules {
            rules: vec![r.clone()],
            ..Rules::default()
        };
        assert_eq!(ids(&front, &rules, None, 1), [first], "{from} to {until}");
    }
}

#[test]
fn quotas_bound_both_ways() {
    let topic = |i: u64| if i <= 6 { 1 } else { 2 };
    let front = plain(12, |i, item| item.main_topic = Some(topic(i)));
    let quota = |min, max| {
        let action = Action::Quota {
            target: Target::Topic(2),
            within: 4,
            min,
            max,
        };
        Rules {
            rules: vec![rule(1, action)],
            ..Rules::default()
        }
    };
    let count = |rules: &Rules| {
        let first = ids(&front, rules, None, 4);
        first.iter().filter(|i| topic(**i) == 2).count()
    };
    assert!(count(&Rules::default()) <= 1);
    assert_eq!(count(&quota(3, None)), 3);
    assert_eq!(count(&quota(0, Some(0))), 0);
    // More than there are: as far as there are candidates, and nobody is lost.
    let mut all = ids(&front, &quota(9, None), None, 12);
    all.sort_unstable();
    assert_eq!(all, (1..=12).collect::<Vec<_>>());
}

#[test]
fn boosts_lift_and_burials_sink_also_below_zero() {
    let front = plain(3, |i, item| item.quality = if i == 2 { 0 } else { 128 });
    let mut model = no_chance();
    // Every score negative: only quality counts, and item 2 is the worst.
    model.weights = crate::model::Weights {
        quality: 65_536,
        recency: -65_536,
        topic: 0,
        learned: 0,
        neighbours: 0,
        clicks15: 0,
        clicks60: 0,
        decay_fast: 0,
        decay_slow: 0,
        active: 0,
        length: 0,
        hour: 0,
        context: 0,
    };
    let request = request(3);
    let scores = |action: Option<Action>| {
        let rules = Rules {
            rules: action.into_iter().map(|a| rule(1, a)).collect(),
            ..Rules::default()
        };
        let q = Query {
            profile: None,
            front: &front,
            rules: Some(&rules),
            model: &model,
            minute: NOW,
            request: &request,
        };
        let slate = rank(&q, &mut Scratch::default());
        let slot = slate.slots.iter().find(|s| s.content == ContentId(2));
        slot.unwrap().score
    };
    let target = || Target::Content(ContentId(2));
    let plain = scores(None);
    assert!(plain < 0);
    let boosted = scores(Some(Action::Boost {
        target: target(),
        percent: 150,
    }));
    let buried = scores(Some(Action::Bury {
        target: target(),
        percent: 50,
    }));
    assert!(
        buried < plain && plain < boosted,
        "{buried} {plain} {boosted}"
    );
}

#[test]
fn the_kill_switch_shows_newest_first_and_looks_at_no_reader() {
    let front = plain(6, |_, _| {});
    let mut profile = Profile::default();
    profile.reads.push(Read { short: 1, age: 0 });
    let rules = Rules {
        editorial_only: true,
        rules: vec![pin(1, 6, 1)],
        ..Rules::default()
    };
    assert_eq!(ids(&front, &rules, Some(&profile), 6), [1, 6, 2, 3, 4, 5]);
}

#[test]
fn of_near_duplicates_only_the_first_is_shown() {
    let front = plain(5, |i, item| item.dup = u16::from(i == 1 || i == 3));
    assert_eq!(ids(&front, &Rules::default(), None, 9), [1, 2, 4, 5]);
    // A pin reserves its cluster, wherever it stands.
    let rules = Rules {
        rules: vec![pin(1, 3, 2)],
        ..Rules::default()
    };
    assert_eq!(ids(&front, &rules, None, 9), [2, 4, 3, 5]);
    let (model, request) = (no_chance(), request(9));
    let q = Query {
        profile: None,
        front: &front,
        rules: None,
        model: &model,
        minute: NOW,
        request: &request,
    };
    assert_eq!(
        explain(&q, ContentId(3)),
        WhyNot::NearDuplicate { of: ContentId(1) }
    );
    assert_eq!(explain(&q, ContentId(8)), WhyNot::NotACandidate);
    assert_eq!(rank(&q, &mut Scratch::default()).near_duplicates, 1);
}

#[test]
fn readers_get_their_topic_first_and_are_told_so() {
    let front = plain(8, |i, item| {
        let t = if i == 7 { 48 } else { 0 };
        item.topics[t] = 127;
        item.main_topic = Some(t as u8);
    });
    let mut lanes = [0; LANES];
    lanes[48] = 127;
    let profile = Profile {
        affinity: Some(Affinity {
            lanes,
            confidence: 60_000,
        }),
        ..Profile::default()
    };
    let (model, request) = (no_chance(), request(3));
    let q = Query {
        profile: Some(&profile),
        front: &front,
        rules: None,
        model: &model,
        minute: NOW,
        request: &request,
    };
    let slate = rank(&q, &mut Scratch::default());
    assert_eq!(slate.slots[0].content, ContentId(7));
    let why: Vec<String> = slate.slots[0]
        .reasons
        .iter()
        .map(|r| r.text(None))
        .collect();
    assert_eq!(why, ["Because you read about Football", "New"]);
    // A stale profile counts less, one without weight not at all.
    let request = Request {
        personal: 0,
        ..request
    };
    let q = Query {
        request: &request,
        ..q
    };
    assert_eq!(
        rank(&q, &mut Scratch::default()).slots[0].content,
        ContentId(1)
    );
}

#[test]
fn propensities_are_the_frequencies_over_seeds() {
    const SEEDS: u64 = 40_000;
    let front = plain(30, |i, item| item.main_topic = Some((i % 2) as u8));
    let model = Model {
        explore: Exploration {
            slot: 2,
            epsilon: 26_214,
            pool: 6,
        },
        ..Model::default()
    };
    // A pin among the places, and a quota that forbids some of the draws.
    let quota = Action::Quota {
        target: Target::Topic(1),
        within: 6,
        min: 0,
        max: Some(2),
    };
    let rules = Rules {
        rules: vec![pin(1, 29, 4), rule(2, quota)],
        ..Rules::default()
    };
    let mut request = request(10);
    let (mut scratch, mut slate) = (Scratch::default(), Slate::default());
    let mut seen: BTreeMap<(u16, u64), (u64, u16)> = BTreeMap::new();
    for seed in 0..SEEDS {
        request.seed = seed;
        let q = Query {
            profile: None,
            front: &front,
            rules: Some(&rules),
            model: &model,
            minute: NOW,
            request: &request,
        };
        rank_into(&q, &mut scratch, &mut slate);
        maxima_hold(seed, &q, &scratch);
        assert_eq!(slate.slots[4].content, ContentId(29), "the pin stays");
        for s in &slate.slots {
            let entry = seen
                .entry((s.slot, s.content.0))
                .or_insert((0, s.propensity));
            assert_eq!(entry.1, s.propensity, "one probability per slot and item");
            entry.0 += 1;
        }
    }
    let mut drawn = 0;
    for ((slot, item), (n, propensity)) in &seen {
        let p = f64::from(*propensity) / 65_535.0;
        let sd = (SEEDS as f64 * p * (1.0 - p)).sqrt();
        let off = (*n as f64 - SEEDS as f64 * p).abs();
        // Five standard deviations over some 20 cells: wrong once in a hundred thousand runs, were it random.
        assert!(
            off <= 5.0 * sd + 1.0,
            "slot {slot} item {item}: {n} for {p}"
        );
        drawn += u32::from(*slot == 2);
    }
    assert!((3..=6).contains(&drawn), "the quota forbids some: {drawn}");
    for slot in 0..10 {
        let sum: u32 = seen
            .iter()
            .filter(|((s, _), _)| *s == slot)
            .map(|(_, (_, p))| u32::from(*p))
            .sum();
        assert!(sum.abs_diff(65_535) <= 8, "slot {slot} adds up to {sum}");
    }
}

#[test]
fn the_classic_arm_orders_as_the_classic_response() {
    each(0..1500, |seed, o, _, _| {
        let mut o = o.clone();
        o.rules = None;
        (o.request.arm, o.request.offset, o.request.limit) = (Arm::Classic, 0, 100);
        let q = o.query();
        let mut scratch = Scratch::default();
        let slate = rank(&q, &mut scratch);
        let b = explain::Breakdown::of(&q);
        let articles: Vec<_> = (0..o.front.len())
            .filter(|r| scratch.verdicts[*r].is_none())
            .map(|r| (o.front.content(r), b.classic(r)))
            .collect();
        let lines = crate::classic::response(&o.model.classic.into(), &articles);
        let want: Vec<_> = lines.iter().map(|l| l.content).collect();
        let got: Vec<_> = slate.slots.iter().map(|s| s.content).collect();
        assert_eq!(got, want, "{seed}");
        for (slot, line) in slate.slots.iter().zip(&lines) {
            assert!((f64::from(slot.score) / 10_000.0 - line.score).abs() < 1e-9);
        }
    });
}

#[test]
fn recency_follows_its_curve() {
    for age_min in 0..30_000 {
        let want = 32_767.0 * 0.95f64.powf(f64::from(age_min) / 60.0);
        let got = f64::from(score::recency(age_min));
        assert!((got - want).abs() < 12.0, "{age_min}: {got} for {want}");
    }
    assert_eq!(score::recency(0), 32_767);
    assert_eq!(score::recency(u32::MAX), 0);
}

#[test]
fn reasons_are_there_for_every_slot() {
    each(0..2000, |seed, _, slate, _| {
        for s in &slate.slots {
            assert!((1..=2).contains(&s.reasons.iter().count()), "{seed}");
        }
    });
}
