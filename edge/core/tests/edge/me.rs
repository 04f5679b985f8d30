//! The reader's say: consent, reset, less, mute; and tokens that are refused.

use crate::world::{Fault, NOW_MS, Origin, World, get, ids, item_id, post, rung, text, with};
use mediaflow_edge_core::Edge;
use mediaflow_edge_core::config::TokenKey;
use mediaflow_edge_core::limits::TOKEN_TTL_MIN;
use mediaflow_shared::rules::Rules;
use mediaflow_shared::time::{Minute, Timestamp};
use serde_json::Value;

fn about(w: &mut World) -> Value {
    serde_json::from_slice(&w.get("/v1/me?brand=daily").body).unwrap()
}

#[test]
fn nothing_is_minted_before_consent_and_everything_goes_when_it_is_withdrawn() {
    let mut w = World::new();
    let _ = w.get("/v1/feed/daily/home");
    let _ = w.get("/r/daily");
    assert!(w.cookies.is_empty());
    assert_eq!(about(&mut w)["consent"], "none");
    w.consent();
    assert_eq!(about(&mut w)["consent"], "given");
    let reader = w.token().reader.to_string();
    assert_eq!(w.events()[0]["type"], "org.mediaflow.consent.v1");
    let r = w.me(r#"{"action":"consent_off"}"#);
    assert_eq!(r.status, 200);
    let left: Vec<&str> = w.cookies.keys().map(String::as_str).collect();
    assert_eq!(left, ["mf_no_daily"], "only the answer is kept");
    assert!(
        !text(&w.get("/r/daily")).contains("Yes, remember"),
        "not asked again"
    );
    assert!(
        text(&w.get("/r/daily/me")).contains("Yes, remember"),
        "but can change their mind"
    );
    assert_eq!(w.me(r#"{"action":"link","assertion":"a.1.b"}"#).status, 403);
    let last = w.events().pop().unwrap();
    assert_eq!(
        (&last["data"]["reader"], &last["data"]["consent"]),
        (&reader.into(), &false.into())
    );
    let (r, _) = w.feed("/v1/feed/daily/home");
    assert_eq!(
        (rung(&r), r.first("mediaflow-consent")),
        ("2", Some("none"))
    );
}

#[test]
fn reset_forgets_and_the_origin_learns_it_even_when_it_is_down() {
    let mut w = World::new();
    w.consent();
    let _ = w.read(1);
    w.fake.state().origin = Origin::Status(503);
    assert_eq!(w.me(r#"{"action":"reset"}"#).status, 200);
    assert!(w.cookies.is_empty());
    w.fake.state().origin = Origin::Status(202);
    w.pass(3000);
    let _ = w.get("/healthz");
    assert_eq!(w.events().pop().unwrap()["type"], "org.mediaflow.reset.v1");
}

#[test]
fn less_and_mutes_are_effective_on_the_next_feed() {
    let mut w = World::new();
    w.consent();
    let (_, v) = w.feed("/v1/feed/daily/home");
    let first = ids(&v)[0].clone();
    assert_eq!(
        w.me(&format!("{{\"action\":\"less\",\"content\":\"{first}\"}}"))
            .status,
        200
    );
    let (_, v) = w.feed("/v1/feed/daily/home");
    assert!(!ids(&v).contains(&first));
    let sport = || {
        (0..60)
            .filter(|n| n % 3 == 0)
            .map(|n| item_id(n).to_string())
    };
    assert!(ids(&v).iter().any(|i| sport().any(|s| s == *i)));
    assert_eq!(w.me(r#"{"action":"mute","topic":"sport"}"#).status, 200);
    let _ = w.reads();
    let (_, v) = w.feed("/v1/feed/daily/home?limit=60");
    assert!(w.reads().is_empty());
    assert!(
        !ids(&v).iter().any(|i| sport().any(|s| s == *i)),
        "sport is muted"
    );
    let told = about(&mut w);
    assert_eq!(told["mutes"][0]["label"], "Sport");
    assert_eq!(told["last_reads"][0]["what"], "less of this");
    assert_eq!(w.me(r#"{"action":"unmute","topic":"sport"}"#).status, 200);
    let (_, v) = w.feed("/v1/feed/daily/home?limit=60");
    assert!(ids(&v).iter().any(|i| sport().any(|s| s == *i)));
}

#[test]
fn what_is_held_is_told_in_words() {
    let mut w = World::new();
    w.consent();
    for n in [0, 3, 6, 9, 12, 15] {
        let _ = w.read(n);
    }
    let told = about(&mut w);
    assert_eq!(told["topics"][0]["label"], "Sport");
    assert_eq!(told["topics"][0]["strength"], "strong interest");
    assert_eq!(told["last_reads"].as_array().unwrap().len(), 5);
    assert_eq!(told["last_reads"][0]["title"], "Story 15 <b>&");
    assert_eq!(told["reads_remembered"], 6);
    assert!(told["not_held"].as_array().unwrap().len() > 3);
    assert!(w.cookies["mf_daily"].len() <= 1536);
}

#[test]
fn without_consent_nothing_can_be_remembered() {
    let mut w = World::new();
    let r = w.me(r#"{"action":"mute","topic":"sport"}"#);
    assert_eq!(r.status, 403);
    assert!(text(&r).contains("consent_on"));
    let gpc = post(
        "/v1/me?brand=daily",
        "application/json",
        r#"{"action":"consent_on"}"#,
    );
    let r = w.send(with(gpc, "sec-gpc", "1"));
    assert_eq!((r.status, r.first("set-cookie")), (403, None));
}

#[test]
fn bad_actions_are_problems() {
    let mut w = World::new();
    w.consent();
    for (body, status) in [
        (r#"{"action":"fly"}"#, 400),
        (r#"{"action":"less","content":"x"}"#, 400),
        (r#"{"action":"mute","topic":"nope"}"#, 400),
        (r#"{"action":"link"}"#, 400),
        ("[]", 400),
        ("{", 400),
    ] {
        assert_eq!(w.me(body).status, status, "{body}");
    }
    assert_eq!(
        w.post("/v1/me", "application/json", r#"{"action":"reset"}"#)
            .status,
        400
    );
    assert_eq!(
        w.post(
            "/v1/me?brand=x",
            "application/json",
            r#"{"action":"reset"}"#
        )
        .status,
        404
    );
    assert_eq!(
        w.post("/v1/me?brand=daily", "text/plain", r#"{"action":"reset"}"#)
            .status,
        415
    );
}

#[test]
fn a_form_from_another_site_is_refused() {
    let mut w = World::new();
    let form = || {
        post(
            "/v1/me?brand=daily",
            "application/x-www-form-urlencoded",
            "do=consent_on&back=%2Fr%2Fdaily",
        )
    };
    assert_eq!(
        w.send(form()).status,
        403,
        "every browser says where a form comes from"
    );
    assert_eq!(
        w.send(with(form(), "origin", "https://evil.example"))
            .status,
        403
    );
    assert_eq!(
        w.send(with(form(), "sec-fetch-site", "cross-site")).status,
        403
    );
    assert_eq!(w.send(with(form(), "origin", "null")).status, 403);
    assert!(w.cookies.is_empty());
    let own = with(
        with(form(), "origin", "http://edge.example"),
        "host",
        "edge.example",
    );
    let r = w.send(own);
    assert_eq!((r.status, r.first("location")), (303, Some("/r/daily")));
    assert_eq!(w.cookies.len(), 1);
    let json = post(
        "/v1/me?brand=daily",
        "application/json",
        r#"{"action":"reset"}"#,
    );
    assert_eq!(
        w.send(with(json, "origin", "https://evil.example")).status,
        403
    );
}

/// A feed with the browser's token, which must count as none for this reason.
fn refused(w: &mut World, reason: &str) {
    let r = w.ask(get("/v1/feed/daily/home"));
    assert_eq!((r.status, rung(&r)), (200, "2"), "{reason}");
    let said = r.first("mediaflow-token").unwrap();
    assert_eq!(said, format!("refused; reason={reason}"));
    assert_eq!(r.first("mediaflow-consent"), Some("none"));
    assert_eq!(r.first("cache-control"), Some("private, no-store"));
    assert!(w.cookies.is_empty(), "a useless cookie is cleared");
}

#[test]
fn tampered_foreign_expired_and_revoked_tokens_count_as_none() {
    let mut w = World::new();
    w.consent();
    let good = w.cookies.clone();
    let name = "mf_daily";
    let mut tampered = good[name].clone().into_bytes();
    let at = tampered.len() - 5;
    tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
    w.cookies
        .insert(name.into(), String::from_utf8(tampered).unwrap());
    refused(&mut w, "not-authentic");
    w.cookies.insert(name.into(), "garbage".into());
    refused(&mut w, "malformed");

    let r = w.post(
        "/v1/me?brand=other",
        "application/json",
        r#"{"action":"consent_on"}"#,
    );
    assert_eq!(r.status, 200);
    let other = w.cookies.remove("mf_other").unwrap();
    w.cookies.insert(name.into(), other);
    refused(&mut w, "not-authentic");

    w.cookies = good.clone();
    let mut old = w.token();
    old.issued = Minute(old.issued.0 - TOKEN_TTL_MIN);
    w.set_token(&old);
    refused(&mut w, "expired");

    w.cookies = good.clone();
    let mut newer = w.edge.config().clone();
    newer.consent_version = 2;
    w.edge = Edge::new(newer);
    refused(&mut w, "consent-outdated");
    w.restart_edge();

    w.cookies = good;
    let rules = Rules {
        revision: 2,
        published_at: Timestamp(NOW_MS + 1),
        tokens_valid_from: Minute(Timestamp(NOW_MS).minute().0 + 5),
        ..Rules::default()
    };
    w.put("r/daily/home", rules.encode());
    w.restart_edge();
    refused(&mut w, "revoked");
}

#[test]
fn keys_rotate_without_losing_a_reader() {
    let mut w = World::new();
    w.consent();
    let _ = w.read(1);
    let reader = w.token().reader;
    let mut rotated = w.edge.config().clone();
    rotated.keys.tokens.insert(
        0,
        TokenKey {
            kid: 2,
            key: [9; 32],
        },
    );
    w.edge = Edge::new(rotated.clone());
    let (r, _) = w.feed("/v1/feed/daily/home");
    assert_eq!(rung(&r), "0");
    let _ = w.read(2);
    assert_eq!(w.token().reader, reader);
    rotated.keys.tokens.truncate(1);
    w.edge = Edge::new(rotated.clone());
    assert_eq!(w.token().reader, reader, "sealed again with the new key");
    rotated.keys.tokens[0].kid = 3;
    w.edge = Edge::new(rotated);
    refused(&mut w, "unknown-key");
}

#[test]
fn a_token_is_sealed_again_only_when_it_changed() {
    let mut w = World::new();
    w.consent();
    let r = w.get("/v1/feed/daily/home");
    assert_eq!(r.first("set-cookie"), None);
    w.pass(11_000);
    assert!(
        w.get("/v1/feed/daily/home").first("set-cookie").is_some(),
        "seen moves in steps"
    );
    assert_eq!(w.get("/v1/feed/daily/home").first("set-cookie"), None);
}

#[test]
fn a_slow_profile_is_adopted_once_and_its_mutes_are_those_changed_last() {
    let mut w = World::new();
    w.consent();
    let reader = w.token().reader;
    let minute = Timestamp(NOW_MS).minute();
    let mut slow = mediaflow_shared::profile::Profile {
        as_of: Minute(minute.0 + 1),
        ..Default::default()
    };
    mediaflow_shared::profile::fold::mute(&mut slow, mediaflow_shared::profile::Mute::Topic(0));
    w.put(
        &format!("u/{reader}"),
        mediaflow_shared::profile::blob::encode(&slow),
    );
    let _ = w.get("/v1/feed/daily/home");
    assert_eq!(
        about(&mut w)["mutes"].as_array().unwrap().len(),
        0,
        "not asked yet"
    );
    w.pass(121_000);
    let _ = w.get("/v1/feed/daily/home");
    assert_eq!(about(&mut w)["mutes"][0]["value"], "politics");
    // A mute changed here outlives the slow profile that does not know it yet.
    let _ = w.me(r#"{"action":"unmute","topic":"politics"}"#);
    w.pass(40_000);
    let _ = w.get("/v1/feed/daily/home");
    assert_eq!(about(&mut w)["mutes"].as_array().unwrap().len(), 0);
}

#[test]
fn the_store_failing_does_not_break_me() {
    for fault in [Fault::Failing, Fault::SlowMs(250), Fault::Half] {
        let mut w = World::new();
        w.consent();
        w.restart_edge();
        w.fault(fault);
        w.pass(40_000);
        assert_eq!(about(&mut w)["consent"], "given", "{fault:?}");
        assert_eq!(w.me(r#"{"action":"mute","topic":"sport"}"#).status, 200);
    }
}

#[test]
fn where_memory_does_not_last_a_withdrawal_waits_for_the_origin() {
    let mut w = World::new();
    w.fake.state().forgets = true;
    w.consent();
    w.fake.state().origin = Origin::Silent;
    let r = w.me(r#"{"action":"consent_off"}"#);
    assert_eq!((r.status, w.cookies.len()), (503, 1), "nothing was changed");
    w.fake.state().origin = Origin::Status(202);
    w.pass(2000);
    assert_eq!(w.me(r#"{"action":"consent_off"}"#).status, 200);
    assert_eq!(w.events().pop().unwrap()["data"]["consent"], false);
}
