//! Every rung, every fault of the store: always a feed, never a 5xx; pins and takedowns always hold.

use crate::world::{Fault, NOW_MS, World, front, ids, item_id, rung};
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::rules::{Action, Conditions, PinnedItem, Rule, Rules, Window};
use mediaflow_shared::time::{Minute, Timestamp};

const FAULTS: [Fault; 5] = [
    Fault::SlowMs(250),
    Fault::Failing,
    Fault::Empty,
    Fault::Half,
    Fault::Flipped,
];

/// Item 1 is taken down; an item that is in no front is pinned to the top.
fn strict_rules(now: Minute) -> Vec<u8> {
    let pinned = item_id(777);
    Rules {
        revision: 3,
        published_at: Timestamp(NOW_MS),
        takedowns: vec![item_id(1)],
        rules: vec![Rule {
            id: 1,
            action: Action::Pin {
                content: pinned,
                slot: 0,
            },
            windows: vec![Window {
                from: Minute(0),
                until: Minute(u32::MAX),
            }],
            when: Conditions::default(),
            label: "Election".into(),
        }],
        pinned: vec![PinnedItem {
            content: pinned,
            card: format!("\"id\":\"{pinned}\",\"title\":\"Pinned\",\"content_text\":\"\""),
            published: Minute(now.0 - 5),
            embargo: Minute(0),
            expires: Minute(0),
            topic: 0,
            author: 7,
        }],
        ..Rules::default()
    }
    .encode()
}

fn world() -> World {
    let w = World::new();
    w.put("r/daily/home", strict_rules(Timestamp(NOW_MS).minute()));
    w
}

fn strict(v: &serde_json::Value) {
    assert_eq!(ids(v)[0], item_id(777).to_string(), "the pin holds");
    assert!(
        !ids(v).contains(&item_id(1).to_string()),
        "the takedown holds"
    );
}

#[test]
fn rung_0_is_a_fresh_profile_from_the_token_without_a_read() {
    let mut w = world();
    w.consent();
    let _ = w.get("/v1/feed/daily/home");
    let _ = w.reads();
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!(
        (rung(&r), r.first("mediaflow-consent")),
        ("0", Some("given"))
    );
    assert_eq!(r.first("cache-control"), Some("private, no-store"));
    assert!(r.first("mediaflow-profile-age").is_some());
    assert_eq!(w.reads(), Vec::<String>::new());
    strict(&v);
}

#[test]
fn rung_1_is_a_profile_that_the_store_could_not_confirm() {
    for fault in FAULTS {
        let mut w = world();
        w.consent();
        let _ = w.read(0);
        let _ = w.get("/v1/feed/daily/home");
        let reader = w.token().reader;
        let slow = Profile {
            as_of: Timestamp(NOW_MS).minute(),
            ..Profile::default()
        };
        w.put(&format!("u/{reader}"), blob::encode(&slow));
        // Away for 40 seconds: another device may have been used.
        w.pass(40_000);
        w.fault(fault);
        let began_ms = w.fake.state().now_ms;
        let r = w.ask(crate::world::get("/v1/feed/daily/home"));
        assert_eq!(rung(&r), "1", "{fault:?}");
        assert!(
            w.fake.state().now_ms - began_ms <= 200,
            "{fault:?}: within the deadlines"
        );
        strict(&serde_json::from_slice(&r.body).unwrap());
        // The store recovers, and the next request asks again.
        w.fault(Fault::None);
        w.pass(1500);
        let (r, _) = w.feed("/v1/feed/daily/home");
        assert_eq!(rung(&r), "0", "{fault:?}");
    }
}

#[test]
fn rung_2_is_context_and_popularity() {
    let mut w = world();
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "2");
    strict(&v);
}

#[test]
fn rung_3_is_the_last_good_front_from_memory_or_the_edge_cache() {
    for fault in FAULTS {
        let mut w = world();
        let good = ids(&w.feed("/v1/feed/daily/home").1);
        w.fault(fault);
        w.pass(120_000);
        let (r, v) = w.feed("/v1/feed/daily/home");
        assert_eq!(rung(&r), "3", "{fault:?}: from memory");
        strict(&v);
        // A new isolate with the store still down finds both values in the edge cache.
        w.restart_edge();
        let (r, v) = w.feed("/v1/feed/daily/home");
        assert_eq!(rung(&r), "3", "{fault:?}: from the edge cache");
        assert_eq!(ids(&v).len(), good.len());
        assert_eq!(r.first("mediaflow-rules-age"), Some("unknown"));
        assert_eq!(r.first("cache-control"), Some("no-store"));
        strict(&v);
    }
}

#[test]
fn rung_4_is_the_built_in_default_and_pins_hold_there_too() {
    for fault in FAULTS {
        let mut w = World::new();
        w.fault(fault);
        let (r, v) = w.feed("/v1/feed/daily/home");
        assert_eq!(rung(&r), "4", "{fault:?}");
        assert_eq!(v["items"][0]["title"], "Built in");
        let (r, v) = w.feed("/v1/feed/other/home");
        assert_eq!(
            (rung(&r), ids(&v).len()),
            ("4", 0),
            "nothing configured, still a feed"
        );
    }
    let mut w = world();
    w.fake.state().kv.remove("f/daily/home");
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "4");
    assert_eq!(ids(&v)[0], item_id(777).to_string());
    assert_eq!(v["items"][1]["title"], "Built in");
}

#[test]
fn a_failing_store_is_not_asked_by_every_request() {
    let mut w = world();
    w.fault(Fault::Failing);
    let _ = w.get("/v1/feed/daily/home");
    assert_eq!(w.reads().len(), 3);
    for _ in 0..20 {
        let _ = w.get("/v1/feed/daily/home");
    }
    assert!(w.reads().is_empty());
    w.fault(Fault::None);
    w.pass(1100);
    let (r, _) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "2", "it recovers by itself");
}

#[test]
fn a_linked_reader_gets_the_slow_profile_and_reads_made_since() {
    let mut w = world();
    w.consent();
    let minute = Timestamp(w.fake.state().now_ms).minute();
    let mut slow = Profile {
        as_of: Minute(minute.0 - 10),
        ..Profile::default()
    };
    for n in [3, 6, 9] {
        let f = mediaflow_shared::front::Front::parse(front("daily", "home", 60, minute)).unwrap();
        mediaflow_edge_core::visitor::interact(
            &mut slow,
            &f,
            item_id(n),
            mediaflow_shared::profile::fold::Interaction::Read,
            Minute(minute.0 - 10),
        );
    }
    let config = crate::world::config();
    let brand = config.brand("daily").unwrap();
    let linked = mediaflow_edge_core::token::reader::pseudonym(&config.keys, brand, b"reader-7");
    w.put(&format!("u/{linked}"), blob::encode(&slow));
    let assertion = mediaflow_edge_core::token::reader::assertion(
        &config.keys.login,
        b"reader-7",
        NOW_MS / 1000 + 60,
    );
    let r = w.me(&format!(
        "{{\"action\":\"link\",\"assertion\":\"{assertion}\"}}"
    ));
    assert_eq!(r.status, 200);
    assert_eq!(w.token().reader, linked);
    let _ = w.read(12);
    let _ = w.reads();
    let (r, v) = w.feed("/v1/feed/daily/home?limit=60");
    assert_eq!(rung(&r), "0");
    assert_eq!(w.reads().iter().filter(|k| k.starts_with("u/")).count(), 1);
    for n in [3, 6, 9, 12] {
        assert!(!ids(&v).contains(&item_id(n).to_string()), "{n} was read");
    }
    // From now on the token knows.
    let _ = w.feed("/v1/feed/daily/home");
    assert!(w.reads().iter().all(|k| !k.starts_with("u/")));
    let forged = w.me("{\"action\":\"link\",\"assertion\":\"YQ.1.YQ\"}");
    assert_eq!(forged.status, 403);
}

#[test]
fn corrupt_rules_at_a_cold_edge_do_not_break_the_feed() {
    let mut w = world();
    w.put("r/daily/home", b"MFRUgarbage".to_vec());
    w.put("m/daily", vec![0xff; 40]);
    let (r, _) = w.feed("/v1/feed/daily/home");
    assert_eq!((rung(&r), r.first("mediaflow-rules-age")), ("2", None));
    assert!(
        w.fake
            .state()
            .log
            .iter()
            .any(|l| l.contains("r/daily/home"))
    );
}
