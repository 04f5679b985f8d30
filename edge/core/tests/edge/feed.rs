//! Feeds: paging, validators, caching, contexts, CORS, why.

use crate::world::{NOW_MS, World, front, get, ids, item_id, rung, text, with};
use mediaflow_edge_core::compose::replay;
use mediaflow_shared::front::Front;
use mediaflow_shared::model::Model;
use mediaflow_shared::rules::{Action, Conditions, Rule, Rules, Target, Window};
use mediaflow_shared::served::{Exposure, Served};
use mediaflow_shared::time::{Minute, Timestamp};
use std::collections::HashSet;
use xxhash_rust::xxh3::xxh3_64;

fn now() -> Minute {
    Timestamp(NOW_MS).minute()
}

fn pin(slot: u16, n: usize) -> Rule {
    Rule {
        id: 9,
        action: Action::Pin {
            content: item_id(n),
            slot,
        },
        windows: vec![Window {
            from: Minute(0),
            until: Minute(u32::MAX),
        }],
        when: Conditions::default(),
        label: String::new(),
    }
}

fn rules(revision: u32, rules: Vec<Rule>) -> Vec<u8> {
    Rules {
        revision,
        published_at: Timestamp(NOW_MS + i64::from(revision)),
        rules,
        ..Rules::default()
    }
    .encode()
}

/// Served records that the origin was sent.
fn served(w: &World) -> Vec<Served> {
    let mut out = Vec::new();
    for body in w.posts("/v1/served") {
        let mut at = 3;
        while at < body.len() {
            let n = u32::from_be_bytes(body[at + 1..at + 5].try_into().unwrap()) as usize;
            out.push(Served::decode(&body[at + 5..at + 5 + n]).unwrap());
            at += 5 + n;
        }
    }
    out
}

#[test]
fn a_feed_is_json_feed_with_its_inputs_in_headers() {
    let mut w = World::new();
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!(r.first("content-type"), Some("application/feed+json"));
    assert_eq!(v["version"], "https://jsonfeed.org/version/1.1");
    assert_eq!(v["items"].as_array().unwrap().len(), 30);
    assert_eq!(
        (rung(&r), r.first("mediaflow-consent")),
        ("2", Some("none"))
    );
    assert_eq!(r.first("mediaflow-front-age"), Some("135"));
    assert!(r.first("mediaflow-rules-age").unwrap().starts_with("0."));
    assert!(r.first("server-timing").unwrap().contains("rank;dur="));
    assert_eq!(r.first("cache-control"), Some("public, max-age=2"));
    assert_eq!(
        v["_mediaflow"]["feed_id"].as_str(),
        r.first("mediaflow-feed-id")
    );
    let key = &w.edge.config().keys.exposure;
    let x = v["items"][0]["_mediaflow"]["exposure"].as_str().unwrap();
    let e = Exposure::open(x, key, now()).unwrap();
    assert_eq!(e.content.to_string(), ids(&v)[0]);
}

#[test]
fn pages_follow_each_other_without_a_gap_or_a_repetition() {
    let mut w = World::new();
    let mut url = "/v1/feed/daily/home?limit=25".to_owned();
    let mut seen = Vec::new();
    let whole = ids(&w.feed("/v1/feed/daily/home?limit=60").1);
    loop {
        let (_, v) = w.feed(&url);
        seen.extend(ids(&v));
        // A minute later the ranking clock of the first page still holds.
        w.pass(61_000);
        match v["next_url"].as_str() {
            Some(next) => {
                url = next.strip_prefix("http://edge.example").unwrap().to_owned();
            }
            None => break,
        }
    }
    assert_eq!(seen.len(), 60);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 60);
    // Slots do not depend on the page, but for the one that explores.
    let same = seen.iter().zip(&whole).filter(|(a, b)| a == b).count();
    assert!(same >= 55, "{same}");
}

#[test]
fn an_unchanged_feed_is_not_sent_again() {
    let mut w = World::new();
    let (r, _) = w.feed("/v1/feed/daily/home");
    let etag = r.first("etag").unwrap().to_owned();
    let again = w.send(with(get("/v1/feed/daily/home"), "if-none-match", &etag));
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.first("etag"), Some(etag.as_str()));
    let other = w.send(with(
        get("/v1/feed/daily/home?limit=5"),
        "if-none-match",
        &etag,
    ));
    assert_eq!(other.status, 200);
    w.pass(60_000);
    let later = w.send(with(get("/v1/feed/daily/home"), "if-none-match", &etag));
    assert_eq!(later.status, 200);
}

#[test]
fn shared_feeds_are_kept_per_context_and_versions() {
    let mut w = World::new();
    let mut bodies = HashSet::new();
    let mut request = get("/v1/feed/daily/home");
    bodies.insert(w.send(request.clone()).body);
    bodies.insert(w.send(request.clone()).body);
    assert_eq!(bodies.len(), 1);
    assert_eq!(served(&w).len(), 1, "a shared feed is recorded once");
    request.country = Some(*b"de");
    bodies.insert(w.send(request.clone()).body);
    bodies.insert(
        w.send(with(request, "user-agent", "Mozilla/5.0 (iPhone) Mobile"))
            .body,
    );
    bodies.insert(w.get("/v1/feed/daily/home?section=sport").body);
    assert_eq!(bodies.len(), 4, "every context has its own");
    w.put("r/daily/home", rules(2, vec![pin(0, 42)]));
    w.pass(600);
    let _ = w.get("/v1/feed/daily/home");
    bodies.insert(w.get("/v1/feed/daily/home").body);
    assert_eq!(
        bodies.len(),
        5,
        "a new version of the rules is another feed"
    );
    assert_eq!(served(&w).len(), 5);
}

#[test]
fn a_pin_shows_on_the_request_after_the_soft_time_to_live() {
    let mut w = World::new();
    let before = ids(&w.feed("/v1/feed/daily/home").1);
    assert_ne!(before[0], item_id(59).to_string());
    w.put("r/daily/home", rules(2, vec![pin(0, 59)]));
    // A reader a second keeps asking: the first after 500 ms refreshes, the next one sees it.
    w.pass(501);
    let _ = w.feed("/v1/feed/daily/home");
    let (_, after) = w.feed("/v1/feed/daily/home");
    assert_eq!(ids(&after)[0], item_id(59).to_string());
    assert_eq!(after["items"][0]["_mediaflow"]["pinned"], true);
    // A lone reader after a quiet hour waits for the store, and sees the newest at once.
    w.put("r/daily/home", rules(3, vec![pin(0, 58)]));
    w.pass(3_600_000);
    let (_, later) = w.feed("/v1/feed/daily/home");
    assert_eq!(ids(&later)[0], item_id(58).to_string());
    let beat: serde_json::Value =
        serde_json::from_slice(w.posts("/v1/edges/heartbeat").last().unwrap()).unwrap();
    assert_eq!(beat["edge"], "test-1");
    assert_eq!(beat["surfaces"][0]["revision"], 3);
}

#[test]
fn an_older_version_from_a_replica_behind_does_not_replace_a_newer_one() {
    let mut w = World::new();
    w.put("r/daily/home", rules(5, vec![pin(0, 59)]));
    let _ = w.feed("/v1/feed/daily/home");
    w.put("r/daily/home", rules(4, vec![]));
    for _ in 0..3 {
        w.pass(2000);
        let (_, v) = w.feed("/v1/feed/daily/home");
        assert_eq!(ids(&v)[0], item_id(59).to_string());
    }
}

#[test]
fn warm_memory_needs_no_reads_and_one_request_refreshes_for_all() {
    let mut w = World::new();
    let _ = w.get("/v1/feed/daily/home");
    assert_eq!(w.reads().len(), 3);
    let _ = w.get("/v1/feed/daily/home");
    assert!(w.reads().is_empty());
    w.pass(700);
    let (a, b) = (
        w.ask(get("/v1/feed/daily/home")),
        w.ask(get("/v1/feed/daily/home")),
    );
    assert!(w.reads().is_empty(), "readers do not wait for a refresh");
    w.finish(a.deferred);
    w.finish(b.deferred);
    assert_eq!(w.reads(), ["r/daily/home"]);
}

#[test]
fn why_and_why_not_are_answered() {
    let mut w = World::new();
    let hide = Rule {
        id: 4,
        action: Action::Hide(Target::Content(item_id(3))),
        windows: vec![],
        when: Conditions::default(),
        label: "off".into(),
    };
    w.put("r/daily/home", rules(2, vec![hide]));
    let ask = |w: &mut World, n| -> serde_json::Value {
        let r = w.get(&format!("/v1/feed/daily/home?limit=5&why={}", item_id(n)));
        serde_json::from_slice(&r.body).unwrap()
    };
    assert_eq!(ask(&mut w, 3)["stage"], "eligibility");
    assert_eq!(ask(&mut w, 3)["rule"], 4);
    assert_eq!(ask(&mut w, 999)["stage"], "retrieval");
    let codes: HashSet<String> = (0..60)
        .map(|n| ask(&mut w, n)["code"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        codes.contains("served") && codes.contains("ranked_out"),
        "{codes:?}"
    );
    let (_, v) = w.feed("/v1/feed/daily/home?explain=1");
    assert!(v["items"][0]["_mediaflow"]["contributions"].is_object());
}

#[test]
fn the_editorial_arm_is_newest_first() {
    let mut w = World::new();
    let (_, v) = w.feed("/v1/feed/daily/home?arm=editorial&limit=3");
    let newest: Vec<String> = (0..3).map(|n| item_id(n).to_string()).collect();
    assert_eq!(ids(&v), newest);
    assert_eq!(v["_mediaflow"]["arm"], "editorial");
}

#[test]
fn a_served_record_replays_to_the_same_bytes() {
    let mut w = World::new();
    w.consent();
    let _ = w.read(0);
    for url in [
        "/v1/feed/daily/home?limit=7",
        "/v1/feed/daily/home?explain=1&lang=en",
    ] {
        let body = w.get(url).body;
        let record = served(&w).pop().unwrap();
        assert_eq!(record.body_hash, xxh3_64(&body));
        assert_eq!(record.reader, Some(w.token().reader));
        let s = w.fake.state();
        let front = Front::parse(s.kv["f/daily/home"].clone()).unwrap();
        let (rules, version) = Rules::decode(&s.kv["r/daily/home"]).unwrap();
        let rules = Some((&rules, version));
        let again = replay(w.edge.config(), &record, &front, rules, &Model::default());
        assert_eq!(again.unwrap(), body);
        let foreign = replay(w.edge.config(), &record, &front, None, &Model::default());
        assert!(foreign.is_err(), "other versions are refused");
    }
}

#[test]
fn unknown_brands_surfaces_and_parameters_are_problems() {
    let mut w = World::new();
    for url in [
        "/v1/feed/nope/home",
        "/v1/feed/daily/nope",
        "/v1/feed/other/sport",
    ] {
        let r = w.get(url);
        assert_eq!(r.status, 404);
        assert!(text(&r).contains("\"remedy\""));
    }
    for url in [
        "limit=0",
        "cursor=x",
        "arm=x",
        "why=x",
        "section=x",
        "lang=xyz",
    ] {
        let r = w.get(&format!("/v1/feed/daily/home?{url}"));
        assert_eq!(r.status, 400, "{url}");
        assert!(text(&r).contains(url), "{}", text(&r));
    }
    let long = w.get(&format!("/v1/feed/daily/home?x={}", "a".repeat(3000)));
    assert_eq!(long.status, 413);
}

#[test]
fn methods_are_head_get_and_options() {
    let mut w = World::new();
    let full = w.get("/v1/feed/daily/home");
    let mut head = get("/v1/feed/daily/home");
    head.method = "HEAD".into();
    let head = w.send(head);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.first("content-length"),
        Some(full.body.len().to_string().as_str())
    );
    let mut delete = get("/v1/feed/daily/home");
    delete.method = "DELETE".into();
    let delete = w.send(delete);
    assert_eq!(
        (delete.status, delete.first("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    let mut options = with(
        get("/v1/feed/daily/home"),
        "origin",
        "https://daily.example",
    );
    options.method = "OPTIONS".into();
    let options = w.send(options);
    assert_eq!(options.status, 204);
    assert_eq!(
        options.first("access-control-allow-origin"),
        Some("https://daily.example")
    );
}

#[test]
fn only_the_brands_sites_may_read_with_credentials() {
    let mut w = World::new();
    let ours = w.send(with(
        get("/v1/feed/daily/home"),
        "origin",
        "https://daily.example",
    ));
    assert_eq!(
        ours.first("access-control-allow-origin"),
        Some("https://daily.example")
    );
    assert_eq!(ours.first("access-control-allow-credentials"), Some("true"));
    let evil = w.send(with(
        get("/v1/feed/daily/home"),
        "origin",
        "https://evil.example",
    ));
    assert_eq!(evil.first("access-control-allow-origin"), None);
    let other = w.send(with(
        get("/v1/feed/other/home"),
        "origin",
        "https://daily.example",
    ));
    assert_eq!(other.first("access-control-allow-origin"), None);
}

#[test]
fn a_new_brands_first_front_shows_at_once() {
    let mut w = World::new();
    w.fake.state().kv.remove("f/daily/home");
    let (r, _) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "4");
    w.put("f/daily/home", front("daily", "home", 9, now()));
    w.pass(501);
    let _ = w.feed("/v1/feed/daily/home");
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!((rung(&r), ids(&v).len()), ("2", 9));
}

#[test]
fn a_front_of_another_brand_in_the_wrong_place_is_refused() {
    let mut w = World::new();
    w.put("f/daily/home", front("other", "home", 5, now()));
    let (r, v) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "4");
    assert_eq!(v["items"][0]["title"], "Built in");
}
