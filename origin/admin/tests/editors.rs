//! Editors at work against the real router and the embedded stores.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode};
use mediaflow_admin::{
    AdminConfig, AdminDeps, OPENAPI, ROUTES, SERVED_BESIDE, Tokens, admin_routes,
};
use mediaflow_embedded::Embedded;
use mediaflow_http::Secret;
use mediaflow_ports::{Commit, ManualClock, StateStore};
use mediaflow_shared::content::{CONTENT_VERSION, Content, Kind, Metadata, Nlp, SourceCms, Status};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::rules::{Action, Rules};
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tower::ServiceExt;

const RULES: &str = "/admin/v1/brands/daily/surfaces/home/rules";
const NOW_MS: i64 = 1_795_248_000_000;

struct Desk {
    app: Router,
    state: Arc<dyn StateStore>,
    log: Arc<dyn mediaflow_ports::EventLog>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn article(id: u64) -> Content {
    Content {
        version: CONTENT_VERSION,
        content_id: ContentId(id),
        title: format!("Story {id}"),
        body: "Text.".into(),
        summary: "Text.".into(),
        source_cms: SourceCms::Wordpress,
        source: "wp-daily".into(),
        original_id: id.to_string(),
        brand: "daily".into(),
        author: "Ada".into(),
        published_at: Timestamp(NOW_MS - 3_600_000),
        updated_at: Timestamp(NOW_MS - 3_600_000),
        embargo_until: None,
        expires_at: None,
        categories: vec!["news".into()],
        tags: vec![],
        cast: vec![],
        media_assets: vec![],
        url: "https://daily.example/1".into(),
        series: None,
        kind: Kind::Article,
        status: Status::Published,
        metadata: Metadata {
            word_count: 1,
            reading_time_min: 0,
            language: "en".into(),
            ingested_at: Timestamp(NOW_MS),
        },
        nlp: Nlp {
            topics: vec![],
            entities: vec![],
            sentiment: 0.0,
            readability: 6,
            language: "en".into(),
            embedding_id: "e".into(),
            simhash: ContentId(1),
        },
    }
}

async fn desk() -> Desk {
    let dir = tempfile::tempdir().unwrap();
    let db = Embedded::open(dir.path().join("db")).unwrap();
    let (state, log) = (db.state(), db.log());
    for topic in ["content.raw", "rules.audit"] {
        log.ensure_topic(topic, 1).await.unwrap();
    }
    for id in [1, 2] {
        let value = serde_json::to_vec(&article(id)).unwrap();
        state
            .commit(Commit::new().put("content", id.to_be_bytes().to_vec(), value))
            .await
            .unwrap();
    }
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let deps = AdminDeps {
        state: state.clone(),
        blobs: db.blobs(),
        log: log.clone(),
        clock: clock.clone(),
    };
    let tokens = [
        Tokens::entry("vera", "daily=viewer", "t-viewer"),
        Tokens::entry("edda", "daily=editor", "t-editor"),
        Tokens::entry("carl", "daily=chief", "t-chief"),
        Tokens::entry("root", "*=admin", "t-admin"),
    ];
    let config = AdminConfig {
        brands: BTreeMap::from([("daily".into(), vec!["home".into(), "sport".into()])]),
        tokens: Tokens::parse(&tokens.join(",")).unwrap(),
        edge_token: Secret::new("edge"),
    };
    Desk {
        app: admin_routes(deps, config),
        state,
        log,
        clock,
        _dir: dir,
    }
}

impl Desk {
    async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Response<Body> {
        let mut r = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"));
        for (k, v) in headers {
            r = r.header(*k, *v);
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            Body::from(body.to_string())
        };
        self.app
            .clone()
            .oneshot(r.body(body).unwrap())
            .await
            .unwrap()
    }

    async fn json(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> (StatusCode, Value) {
        let r = self.send(token, method, path, headers, body).await;
        let status = r.status();
        let bytes = to_bytes(r.into_body(), 1 << 20).await.unwrap();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }

    async fn outbox(&self) -> Vec<(String, Rules)> {
        let all = self.state.outbox_read("rules.publish", 100).await.unwrap();
        all.iter()
            .map(|r| {
                (
                    String::from_utf8(r.key.to_vec()).unwrap(),
                    Rules::decode(&r.value).unwrap().0,
                )
            })
            .collect()
    }
}

fn hide_sport(name: &str) -> Value {
    json!({"rules": [{"name": name, "action": "hide", "target": {"topic": "sport"}}]})
}

#[tokio::test]
async fn a_draft_changes_nothing_until_it_is_published() {
    let d = desk().await;
    let (s, v) = d
        .json(
            "t-editor",
            "PUT",
            RULES,
            &[("if-match", "\"v0\"")],
            hide_sport("no sport"),
        )
        .await;
    assert_eq!(
        (s, v["version"].as_u64(), v["revision"].as_u64()),
        (StatusCode::OK, Some(1), Some(0))
    );
    assert!(d.outbox().await.is_empty());
    let (s, v) = d
        .json(
            "t-editor",
            "POST",
            &format!("{RULES}/publish"),
            &[("if-match", "\"v1\"")],
            Value::Null,
        )
        .await;
    assert_eq!((s, v["revision"].as_u64()), (StatusCode::OK, Some(1)));
    let out = d.outbox().await;
    assert_eq!(out[0].0, "daily/home");
    assert!(matches!(out[0].1.rules[0].action, Action::Hide(_)));
    let (s, v) = d
        .json(
            "t-chief",
            "POST",
            &format!("{RULES}/revert"),
            &[("if-match", "\"v2\"")],
            json!({"revision": 1}),
        )
        .await;
    assert_eq!((s, v["revision"].as_u64()), (StatusCode::OK, Some(2)));
}

#[tokio::test]
async fn of_two_editors_at_once_one_gets_412_with_both_versions_and_the_audit_shows_both() {
    let d = desk().await;
    let headers = [("if-match", "\"v0\"")];
    let (a, b) = tokio::join!(
        d.json("t-editor", "PUT", RULES, &headers, hide_sport("from edda")),
        d.json("t-chief", "PUT", RULES, &headers, hide_sport("from carl")),
    );
    let (won, lost) = if a.0 == StatusCode::OK {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(
        (won.0, lost.0),
        (StatusCode::OK, StatusCode::PRECONDITION_FAILED)
    );
    assert_eq!(lost.1["current"]["draft"], won.1["draft"]);
    assert!(
        lost.1["yours"]["rules"][0]["name"]
            .as_str()
            .unwrap()
            .starts_with("from ")
    );
    assert_eq!(lost.1["etag"], "\"v1\"");
    let (_, audit) = d
        .json(
            "t-viewer",
            "GET",
            "/admin/v1/audit?brand=daily",
            &[],
            Value::Null,
        )
        .await;
    let outcomes: Vec<_> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["done", "refused"]);
    let (_, verdict) = d
        .json("t-admin", "GET", "/admin/v1/audit/verify", &[], Value::Null)
        .await;
    assert_eq!(verdict, json!({"entries": 2, "broken_at": null}));
}

#[tokio::test]
async fn an_altered_audit_entry_breaks_the_chain() {
    let d = desk().await;
    for i in 0..3 {
        let tag = format!("\"v{i}\"");
        d.json(
            "t-editor",
            "PUT",
            RULES,
            &[("if-match", &tag)],
            hide_sport("x"),
        )
        .await;
    }
    let key = 2u64.to_be_bytes();
    let mut entry: Value =
        serde_json::from_slice(&d.state.get("admin.audit", &key).await.unwrap().unwrap()).unwrap();
    entry["actor"] = json!("somebody else");
    d.state
        .commit(Commit::new().put("admin.audit", key.to_vec(), entry.to_string().into_bytes()))
        .await
        .unwrap();
    let (_, verdict) = d
        .json("t-admin", "GET", "/admin/v1/audit/verify", &[], Value::Null)
        .await;
    assert_eq!(verdict["broken_at"], 2);
}

#[tokio::test]
async fn a_pin_is_published_at_once_with_its_end_and_can_be_removed_by_name() {
    let d = desk().await;
    let path = "/admin/v1/brands/daily/surfaces/home/pins";
    let body = json!({"content_id": "0000000000000001", "ttl_min": 60, "name": "Lead"});
    let (s, v) = d
        .json(
            "t-editor",
            "POST",
            path,
            &[("idempotency-key", "k1")],
            body.clone(),
        )
        .await;
    assert_eq!(
        (s, v["revision"].as_u64()),
        (StatusCode::OK, Some(1)),
        "{v}"
    );
    let out = d.outbox().await;
    assert!(matches!(
        out[0].1.rules[0].action,
        Action::Pin {
            content: ContentId(1),
            slot: 0
        }
    ));
    assert_eq!(
        out[0].1.rules[0].windows[0].until.start().0,
        NOW_MS + 3_600_000
    );
    // The same request again answers the same and does nothing.
    let r = d
        .send(
            "t-editor",
            "POST",
            path,
            &[("idempotency-key", "k1")],
            body.clone(),
        )
        .await;
    assert_eq!(r.headers()["idempotency-replayed"], "true");
    assert_eq!(d.outbox().await.len(), 1);
    let (s, _) = d
        .json(
            "t-editor",
            "POST",
            path,
            &[("idempotency-key", "k1")],
            json!({"content_id": "0000000000000002", "ttl_min": 5}),
        )
        .await;
    assert_eq!(s, StatusCode::UNPROCESSABLE_ENTITY);
    let (s, v) = d
        .json(
            "t-editor",
            "DELETE",
            &format!("{path}/Lead"),
            &[],
            Value::Null,
        )
        .await;
    assert_eq!(
        (s, v["published"]["rules"].as_array().unwrap().len()),
        (StatusCode::OK, 0)
    );
}

#[tokio::test]
async fn bad_pins_are_refused_with_field_reason_and_remedy() {
    let d = desk().await;
    let path = "/admin/v1/brands/daily/surfaces/home/pins";
    for (body, input) in [
        (
            json!({"content_id": "0000000000000001"}),
            "field `expires_at`",
        ),
        (
            json!({"content_id": "00000000000000aa", "ttl_min": 5}),
            "field `content_id`",
        ),
        (
            json!({"content_id": "0000000000000001", "ttl_min": 5, "slot": 100}),
            "field `rules[0].slot`",
        ),
    ] {
        let (s, v) = d.json("t-editor", "POST", path, &[], body).await;
        assert_eq!(s, StatusCode::UNPROCESSABLE_ENTITY, "{v}");
        assert_eq!(v["input"], input);
        assert!(!v["remedy"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_takedown_reaches_every_surface_the_log_and_the_site() {
    let d = desk().await;
    let down = json!({"content_id": "0000000000000001", "reason": "court order 7"});
    let (s, _) = d
        .json(
            "t-editor",
            "POST",
            "/admin/v1/brands/daily/takedowns",
            &[],
            down.clone(),
        )
        .await;
    assert_eq!(s, StatusCode::FORBIDDEN);
    let (s, _) = d
        .json(
            "t-chief",
            "POST",
            "/admin/v1/brands/daily/takedowns",
            &[],
            down,
        )
        .await;
    assert_eq!(s, StatusCode::OK);
    let out = d.outbox().await;
    assert_eq!(
        out.iter().map(|o| o.0.as_str()).collect::<Vec<_>>(),
        ["daily/home", "daily/sport"]
    );
    assert!(out.iter().all(|o| o.1.takedowns == [ContentId(1)]));
    let raw = d.log.read("content.raw", 0, 0, 10, 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&raw[0].record.value).contains("\"takedown\":true"));
    let (s, _) = d
        .json("", "GET", "/v1/content/0000000000000001", &[], Value::Null)
        .await;
    assert_eq!(s, StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS);
    let (s, v) = d
        .json("", "GET", "/v1/content/0000000000000002", &[], Value::Null)
        .await;
    assert_eq!((s, v["title"].as_str()), (StatusCode::OK, Some("Story 2")));
    // A later pin of the item is published, but the takedown travels with it and outranks it.
    let pin = json!({"content_id": "0000000000000001", "ttl_min": 5});
    d.json(
        "t-editor",
        "POST",
        "/admin/v1/brands/daily/surfaces/home/pins",
        &[],
        pin,
    )
    .await;
    assert_eq!(d.outbox().await.last().unwrap().1.takedowns, [ContentId(1)]);
}

#[tokio::test]
async fn the_kill_switch_and_token_revocation_reach_every_surface() {
    let d = desk().await;
    let (s, _) = d
        .json(
            "t-chief",
            "PUT",
            "/admin/v1/brands/daily/switch",
            &[],
            json!({"editorial_only": true}),
        )
        .await;
    assert_eq!(s, StatusCode::OK);
    assert!(d.outbox().await.iter().all(|o| o.1.editorial_only));
    let (s, _) = d
        .json(
            "t-chief",
            "POST",
            "/admin/v1/brands/daily/tokens/revoke",
            &[],
            Value::Null,
        )
        .await;
    assert_eq!(s, StatusCode::FORBIDDEN);
    d.json(
        "t-admin",
        "POST",
        "/admin/v1/brands/daily/tokens/revoke",
        &[],
        Value::Null,
    )
    .await;
    assert!(d.outbox().await.last().unwrap().1.tokens_valid_from > Timestamp(NOW_MS).minute());
}

#[tokio::test]
async fn a_receipt_shows_when_edges_serve_the_revision() {
    let d = desk().await;
    let pin = json!({"content_id": "0000000000000001", "ttl_min": 5});
    let (_, v) = d
        .json(
            "t-editor",
            "POST",
            "/admin/v1/brands/daily/surfaces/home/pins",
            &[],
            pin,
        )
        .await;
    let url = v["receipt_url"].as_str().unwrap().to_owned();
    let (_, v) = d.json("t-viewer", "GET", &url, &[], Value::Null).await;
    assert_eq!(v["reached"], 0);
    d.clock.advance(700);
    let since = Timestamp(NOW_MS + 600).to_string();
    let beat = json!({"edge": "ams1", "surfaces": [{"brand": "daily", "surface": "home", "revision": 1, "since": since}]});
    let (s, _) = d
        .json("wrong", "POST", "/v1/edges/heartbeat", &[], beat.clone())
        .await;
    assert_eq!(s, StatusCode::UNAUTHORIZED);
    let (s, _) = d
        .json("edge", "POST", "/v1/edges/heartbeat", &[], beat)
        .await;
    assert_eq!(s, StatusCode::NO_CONTENT);
    let (_, v) = d.json("t-viewer", "GET", &url, &[], Value::Null).await;
    assert_eq!(
        (v["reached"].as_u64(), v["propagation_ms"].as_i64()),
        (Some(1), Some(600)),
        "{v}"
    );
}

#[tokio::test]
async fn preconditions_and_places_are_checked() {
    let d = desk().await;
    let (s, _) = d.json("t-editor", "PUT", RULES, &[], hide_sport("x")).await;
    assert_eq!(s, StatusCode::PRECONDITION_REQUIRED);
    let (s, _) = d
        .json(
            "t-editor",
            "PUT",
            RULES,
            &[("if-match", "W/\"x\"")],
            hide_sport("x"),
        )
        .await;
    assert_eq!(s, StatusCode::BAD_REQUEST);
    let (s, _) = d
        .json(
            "t-editor",
            "GET",
            "/admin/v1/brands/daily/surfaces/none/rules",
            &[],
            Value::Null,
        )
        .await;
    assert_eq!(s, StatusCode::NOT_FOUND);
    let (s, _) = d
        .json(
            "t-admin",
            "GET",
            "/admin/v1/brands/none/surfaces/home/rules",
            &[],
            Value::Null,
        )
        .await;
    assert_eq!(s, StatusCode::NOT_FOUND);
    let (s, v) = d
        .json(
            "t-editor",
            "PUT",
            RULES,
            &[("if-match", "\"v0\"")],
            json!({"rules": [{"nome": 1}]}),
        )
        .await;
    assert_eq!(s, StatusCode::BAD_REQUEST, "{v}");
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_routed() {
    let api: Value = serde_json::from_str(OPENAPI).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, ops) in api["paths"].as_object().unwrap() {
        for method in ops.as_object().unwrap().keys() {
            described.push((method.clone(), path.clone()));
        }
    }
    let beside = |m: &str, p: &str| SERVED_BESIDE.contains(&(m, p));
    let all = described.len();
    described.retain(|(m, p)| !beside(m, p));
    assert_eq!(all - described.len(), SERVED_BESIDE.len());
    described.sort();
    let mut routed: Vec<(String, String)> = ROUTES
        .iter()
        .map(|(m, p)| ((*m).to_owned(), (*p).to_owned()))
        .collect();
    routed.sort();
    assert_eq!(described, routed);
    let d = desk().await;
    for (method, path) in routed {
        let path = path
            .replace("{brand}", "daily")
            .replace("{surface}", "home")
            .replace("{id}", "0000000000000002");
        let path = path.replace("{revision}", "1").replace("{name}", "x");
        let r = d
            .send("t-admin", &method.to_uppercase(), &path, &[], Value::Null)
            .await;
        assert_ne!(
            r.status(),
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
        if r.status() == StatusCode::NOT_FOUND {
            assert_eq!(
                r.headers()["content-type"],
                "application/problem+json",
                "{method} {path}"
            );
        }
    }
    let text = OPENAPI;
    for (i, _) in text.match_indices("#/components/schemas/") {
        let name: String = text[i + 21..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .collect();
        assert!(api["components"]["schemas"][&name].is_object(), "{name}");
    }
}
