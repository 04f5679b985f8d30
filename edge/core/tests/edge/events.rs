//! Events: effective through the token at once, held by the origin or retried, never lost after a 202.

use crate::world::{Origin, World, event, get, ids, item_id, post, rung, text, with};
use mediaflow_edge_core::limits::{BODY_BYTES_MAX, RETRY_BATCHES_MAX};
use serde_json::{Value, json};

#[test]
fn a_reading_changes_the_very_next_feed_through_the_token_alone() {
    let mut w = World::new();
    w.consent();
    let (_, before) = w.feed("/v1/feed/daily/home?limit=10");
    let _ = w.reads();
    // Two science stories are read; the reader has told nothing else.
    for n in [2, 5] {
        assert_eq!(w.read(n).status, 202);
    }
    let (r, after) = w.feed("/v1/feed/daily/home?limit=10");
    assert_eq!(rung(&r), "0");
    assert_eq!(w.reads(), Vec::<String>::new(), "no read of the store");
    assert_ne!(ids(&before), ids(&after));
    for n in [2, 5] {
        assert!(
            !ids(&after).contains(&item_id(n).to_string()),
            "already read"
        );
    }
    let science = |v: &Value| {
        let wanted: Vec<String> = (0..60)
            .filter(|n| n % 3 == 2)
            .map(|n| item_id(n).to_string())
            .collect();
        ids(v).iter().filter(|i| wanted.contains(i)).count()
    };
    assert!(
        science(&after) > science(&before),
        "{} {}",
        science(&before),
        science(&after)
    );
    let reasons = after["items"][0]["_mediaflow"]["reasons"].to_string();
    assert!(reasons.contains("Science"), "{reasons}");
}

#[test]
fn the_origin_gets_the_tokens_reader_and_never_the_clients() {
    let mut w = World::new();
    w.consent();
    let mut e = event("read", item_id(1));
    e["readerid"] = json!("mallory");
    e["data"]["reader"] = json!("00000000000000000000000000000bad");
    e["data"]["trainable"] = json!(true);
    let mut request = post("/v1/events", "application/json", e.to_string());
    request.country = Some(*b"DE");
    request
        .headers
        .add("user-agent", "Mozilla/5.0 (iPhone) Mobile");
    assert_eq!(w.send(request).status, 202);
    let sent = w.events().pop().unwrap();
    assert_eq!(sent["data"]["reader"], w.token().reader.to_string());
    assert!(sent.get("readerid").is_none() && sent["data"].get("trainable").is_none());
    assert_eq!(
        (&sent["data"]["country"], &sent["data"]["device"]),
        (&json!("DE"), &json!("mobile"))
    );
    assert!(sent["time"].is_string());
    let s = w.fake.state();
    let post = s.posted.iter().rfind(|p| p.path == "/v1/events").unwrap();
    assert_eq!(post.headers["authorization"], "Bearer edge-secret");
    assert!(post.headers["x-reader-user-agent"].contains("iPhone"));
}

#[test]
fn without_consent_or_with_gpc_there_is_no_reader_and_no_cookie() {
    let mut w = World::new();
    let r = w.read(1);
    assert_eq!((r.status, r.first("set-cookie")), (202, None));
    assert!(w.events()[0]["data"].get("reader").is_none());
    w.consent();
    let before = w.cookies.clone();
    let body = event("read", item_id(2)).to_string();
    let r = w.send(with(post("/v1/events", "text/plain", body), "sec-gpc", "1"));
    assert_eq!((r.status, r.first("set-cookie")), (202, None));
    assert!(w.events().last().unwrap()["data"].get("reader").is_none());
    assert_eq!(before, w.cookies);
    let r = w.send(with(get("/v1/feed/daily/home"), "sec-gpc", "1"));
    assert_eq!((rung(&r), r.first("mediaflow-consent")), ("2", Some("gpc")));
}

#[test]
fn batches_and_beacons_are_read_and_one_bad_event_takes_nothing_with_it() {
    let mut w = World::new();
    let batch = json!([
        event("impression", item_id(1)),
        "not an event",
        {"specversion": "1.0", "id": "x", "source": "s", "type": "unknown", "data": {"brand": "daily"}},
        {"specversion": "1.0", "id": "y", "source": "s", "type": "org.mediaflow.view.v1", "data": {"brand": "nope"}},
        event("click", item_id(2)),
    ]);
    let r = w.post(
        "/v1/events",
        "application/cloudevents-batch+json",
        batch.to_string(),
    );
    assert_eq!(r.status, 202);
    let v: Value = serde_json::from_slice(&r.body).unwrap();
    assert_eq!(
        (v["accepted"].as_u64(), v["queued"].as_bool()),
        (Some(3), Some(false))
    );
    let refused: Vec<u64> = v["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["index"].as_u64().unwrap())
        .collect();
    assert_eq!(refused, [1, 3]);
    assert_eq!(
        w.events().len(),
        3,
        "what the contract does not know is the origin's to judge"
    );
}

#[test]
fn bad_bodies_are_problems() {
    let mut w = World::new();
    let many: Vec<Value> = (0..201).map(|n| event("view", item_id(n))).collect();
    let deep = "[".repeat(5000);
    let cases: [(&str, Vec<u8>, u16); 8] = [
        ("application/json", b"{".to_vec(), 400),
        ("application/json", vec![b'"', 0xff, b'"'], 400),
        ("application/json", b"[]".to_vec(), 400),
        ("application/json", deep.into_bytes(), 400),
        ("application/json", vec![b' '; BODY_BYTES_MAX + 1], 413),
        ("application/json", serde_json::to_vec(&many).unwrap(), 413),
        ("application/xml", b"<a/>".to_vec(), 415),
        (
            "application/json",
            br#"{"data":{"brand":"nope"}}"#.to_vec(),
            400,
        ),
    ];
    for (kind, body, status) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        let r = w.post("/v1/events", kind, body);
        assert_eq!(r.status, status, "{shown}: {}", text(&r));
        for member in ["\"input\"", "\"reason\"", "\"remedy\""] {
            assert!(text(&r).contains(member), "{shown}");
        }
    }
    let gzip = with(
        post("/v1/events", "application/json", "x"),
        "content-encoding",
        "gzip",
    );
    assert_eq!(w.send(gzip).status, 415);
    assert!(w.events().is_empty());
}

#[test]
fn while_the_origin_is_down_events_wait_and_then_arrive_in_order() {
    for down in [Origin::Silent, Origin::Status(503), Origin::Status(401)] {
        let mut w = World::new();
        w.fake.state().origin = down;
        let began_ms = w.fake.state().now_ms;
        let r = w.ask(post(
            "/v1/events",
            "text/plain",
            event("read", item_id(0)).to_string(),
        ));
        assert_eq!(r.status, 202);
        assert!(text(&r).contains("\"queued\":true"));
        assert!(
            w.fake.state().now_ms - began_ms <= 1100,
            "a reader waits a second at most"
        );
        w.finish(r.deferred);
        for n in 1..5 {
            let body = event("read", item_id(n)).to_string();
            assert_eq!(w.send(post("/v1/events", "text/plain", body)).status, 202);
        }
        assert_eq!(w.edge.events_waiting(), 5);
        {
            let mut s = w.fake.state();
            s.origin = Origin::Status(202);
            s.posted.clear();
        }
        // Any later request carries the queue along.
        w.pass(5000);
        let _ = w.get("/v1/feed/daily/home");
        assert_eq!(w.edge.events_waiting(), 0);
        let arrived: Vec<String> = w
            .events()
            .iter()
            .map(|e| e["data"]["content_id"].as_str().unwrap().to_owned())
            .collect();
        let all: Vec<String> = (0..5).map(|n| item_id(n).to_string()).collect();
        assert_eq!(arrived, all);
    }
}

#[test]
fn a_full_queue_says_so_instead_of_promising() {
    let mut w = World::new();
    w.consent();
    w.fake.state().origin = Origin::Status(503);
    for n in 0..RETRY_BATCHES_MAX + 5 {
        let body = event("view", item_id(n)).to_string();
        let r = w.ask(post("/v1/events", "text/plain", body));
        if r.status == 503 {
            assert!(n > 1000);
            assert!(r.first("retry-after").is_some() && r.first("set-cookie").is_none());
            return;
        }
        assert_eq!(r.status, 202);
    }
    panic!("the queue has no end");
}

#[test]
fn a_batch_that_the_origin_refuses_for_good_is_not_retried() {
    let mut w = World::new();
    w.fake.state().origin = Origin::Status(400);
    assert_eq!(w.read(1).status, 400);
    assert_eq!(w.edge.events_waiting(), 0);
}

#[test]
fn another_sites_page_cannot_send_events_in_a_readers_name() {
    let mut w = World::new();
    w.consent();
    let body = || event("hide", item_id(1)).to_string();
    let evil = with(
        post("/v1/events", "text/plain", body()),
        "origin",
        "https://evil.example",
    );
    assert_eq!(w.send(evil).status, 403);
    let site = with(
        post("/v1/events", "text/plain", body()),
        "origin",
        "https://daily.example",
    );
    let r = w.send(site);
    assert_eq!(
        (r.status, r.first("access-control-allow-origin")),
        (202, Some("https://daily.example"))
    );
    let here = with(
        post("/v1/events", "text/plain", body()),
        "origin",
        "http://edge.example",
    );
    assert_eq!(w.send(with(here, "host", "edge.example")).status, 202);
}

#[test]
fn clocks_that_cannot_be_right_are_corrected() {
    let mut w = World::new();
    for (time, kept) in [
        ("2026-11-21T08:00:00Z", true),
        ("2036-01-01T00:00:00Z", false),
        ("1999-01-01T00:00:00Z", false),
    ] {
        let mut e = event("view", item_id(1));
        e["time"] = json!(time);
        let _ = w.post("/v1/events", "application/json", e.to_string());
        let sent = w.events().pop().unwrap();
        assert_eq!(sent["time"] == time, kept, "{time}");
    }
}

#[test]
fn consent_and_reset_cannot_be_sent_as_events() {
    let mut w = World::new();
    let mut e = event("reset", item_id(1));
    assert_eq!(
        w.post("/v1/events", "text/plain", e.to_string()).status,
        400
    );
    e = event("consent", item_id(1));
    e["data"]["consent"] = json!(false);
    assert_eq!(
        w.post("/v1/events", "text/plain", e.to_string()).status,
        400
    );
}

#[test]
fn a_queue_does_not_hold_back_events_once_the_origin_answers_again() {
    let mut w = World::new();
    w.fake.state().origin = Origin::Status(503);
    assert_eq!(w.read(0).status, 202);
    assert_eq!(w.edge.events_waiting(), 1);
    w.fake.state().origin = Origin::Status(202);
    w.pass(5000);
    let body = event("read", item_id(1)).to_string();
    let r = w.ask(post("/v1/events", "text/plain", body));
    assert!(text(&r).contains("\"queued\":false"), "{}", text(&r));
}

#[test]
fn an_edge_whose_memory_ends_with_the_request_promises_nothing() {
    let mut w = World::new();
    w.fake.state().forgets = true;
    assert_eq!(w.read(0).status, 202);
    w.fake.state().origin = Origin::Silent;
    let r = w.read(1);
    assert_eq!((r.status, r.first("retry-after")), (503, Some("5")));
    assert_eq!(w.edge.events_waiting(), 0);
}
