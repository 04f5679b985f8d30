//! Input that no honest sender sends, against real processes: refused by name, and never in the way of a feed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use flate2::Compression;
use flate2::write::GzEncoder;
use mediaflow_edge_core::Config;
use mediaflow_edge_core::limits::TOKEN_TTL_MIN;
use mediaflow_edge_core::token::Token;
use mediaflow_http::Secret;
use mediaflow_ingest::webhook::{DELIVERY, SIGNATURE, TIMESTAMP, sign};
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::Pseudonym;
use mediaflow_tests::{
    EDITOR, Origin, Reader, SECOND_EDITOR, Setup, TOKEN, content_id, event, now_ms, raw_item,
    secrets, stories, until, words,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};

const OTHER_BRAND: &str = r#"
[[brand]]
slug = "other"
title = "The Other"
surfaces = ["home"]
"#;

/// A 4xx problem document that names input, reason and remedy.
async fn problem(what: &str, r: Response) -> (StatusCode, Value) {
    let status = r.status();
    let kind = r.headers().get("content-type").cloned();
    let text = r.text().await.unwrap();
    assert!(status.is_client_error(), "{what}: {status} {text}");
    assert_eq!(
        kind.unwrap(),
        "application/problem+json",
        "{what}: {status} {text}"
    );
    let v: Value = serde_json::from_str(&text).unwrap();
    for field in ["input", "reason", "remedy", "title", "type"] {
        assert!(
            v[field].as_str().is_some_and(|t| !t.is_empty()),
            "{what}: no {field} in {text}"
        );
    }
    assert_eq!(v["status"], status.as_u16(), "{what}");
    (status, v)
}

/// 64 MiB of spaces in 64 KB.
fn gzip_bomb() -> Vec<u8> {
    let mut z = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![b' '; 1 << 20];
    for _ in 0..64 {
        z.write_all(&block).unwrap();
    }
    z.finish().unwrap()
}

fn signed(request: RequestBuilder, at_s: i64, delivery: &str, body: &[u8]) -> RequestBuilder {
    request
        .header(SIGNATURE, sign(&webhook_secret(), at_s, body))
        .header(TIMESTAMP, at_s.to_string())
        .header(DELIVERY, delivery)
        .body(body.to_vec())
}

fn webhook_secret() -> Secret {
    Secret::new([0x55; 32])
}

/// An origin that takes WordPress' deliveries.
fn with_webhooks(dir: &std::path::Path) -> Setup {
    let source = "[[source]]\nslug = \"wp-daily\"\nbrand = \"daily\"\nkind = \"wordpress\"\n";
    std::fs::write(dir.join("sources.toml"), source).unwrap();
    Setup::default().head("sources = \"sources.toml\"")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_cannot_be_read_are_problems_on_every_door() {
    let dir = tempfile::tempdir().unwrap();
    let origin = with_webhooks(dir.path()).start(dir.path());
    let client = Client::new();
    let rules = "/admin/v1/brands/daily/surfaces/home/rules";
    let post = |url: String| {
        client
            .post(url)
            .bearer_auth(TOKEN)
            .header("content-type", "application/json")
    };
    let doors = [
        ("events", format!("{}/v1/events", origin.url), 1 << 20),
        (
            "import",
            format!("{}/admin/v1/import/content", origin.url),
            16 << 20,
        ),
        (
            "takedown",
            format!("{}/admin/v1/brands/daily/takedowns", origin.url),
            1 << 20,
        ),
        (
            "rules preview",
            format!("{}{rules}/preview", origin.url),
            1 << 20,
        ),
        (
            "webhook",
            format!("{}/webhooks/wp-daily", origin.url),
            8 << 20,
        ),
        ("edge events", format!("{}/v1/events", origin.edge), 1 << 18),
        (
            "edge me",
            format!("{}/v1/me?brand=daily", origin.edge),
            1 << 18,
        ),
    ];
    let bomb = gzip_bomb();
    for (door, url, max) in doors {
        let edge = door.starts_with("edge");
        let large = post(url.clone()).body(vec![b' '; max + 1]).send().await;
        let (status, _) = problem(&format!("{door}, oversized"), large.unwrap()).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{door}");

        for (shape, body) in [
            ("deeply nested list", b"[".repeat(100_000)),
            ("deeply nested object", b"{\"a\":".repeat(20_000)),
            ("not UTF-8", b"{\"id\":\"\xff\xfe\"}".to_vec()),
            ("half JSON", b"{\"id\":".to_vec()),
        ] {
            let sent = post(url.clone()).body(body).send().await.unwrap();
            let what = format!("{door}, {shape}");
            let (status, _) = problem(&what, sent).await;
            // Nobody without a signature learns what is wrong with a delivery's content.
            let hidden = door == "webhook" && status == StatusCode::UNAUTHORIZED;
            assert!(hidden || status == StatusCode::BAD_REQUEST, "{what}");
        }

        let begun = Instant::now();
        let sent = post(url.clone()).header("content-encoding", "gzip");
        let sent = sent.body(bomb.clone()).send().await.unwrap();
        let (status, _) = problem(&format!("{door}, gzip bomb"), sent).await;
        let refused = if edge {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        } else {
            StatusCode::PAYLOAD_TOO_LARGE
        };
        assert_eq!(status, refused, "{door}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{door}");
        let sent = post(url).header("content-encoding", "gzip");
        let sent = sent.body("this is not gzip").send().await.unwrap();
        problem(&format!("{door}, broken gzip"), sent).await;
    }
    assert!(origin.resident_bytes() < 512 << 20);
    let health = client.get(format!("{}/healthz", origin.url)).send().await;
    assert_eq!(health.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_brands_and_surfaces_are_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let client = Client::new();
    for path in [
        "/v1/feed/nobody/home",
        "/v1/feed/daily/nowhere",
        "/v1/feed/daily",
        "/v1/me?brand=nobody",
        "/r/nobody",
        "/v1/feed/..%2f..%2fetc/home",
    ] {
        let r = client.get(format!("{}{path}", origin.edge)).send().await;
        let (status, _) = problem(path, r.unwrap()).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in [
        "/admin/v1/brands/nobody",
        "/admin/v1/brands/daily/surfaces/nowhere/rules",
        "/v1/content/00000000000000aa",
    ] {
        let r = client.get(format!("{}{path}", origin.url));
        let r = r.bearer_auth(TOKEN).send().await.unwrap();
        let (status, _) = problem(path, r).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
    }
    // Whoever may not see a brand does not learn which brands there are.
    let r = client.get(format!("{}/admin/v1/brands/nobody", origin.url));
    let (status, _) = problem("no token", r.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

/// The edge's configuration as the harness starts it, to seal tokens that it would not.
fn edge_config(keys: &str) -> Config {
    let brands = json!([
        {"slug": "daily", "title": "The Daily", "surfaces": ["home"]},
        {"slug": "other", "title": "The Other", "surfaces": ["home"]},
    ])
    .to_string();
    Config::from_vars(|name| match name {
        "MEDIAFLOW_BRANDS" => Some(brands.clone()),
        "MEDIAFLOW_TOKEN_KEYS" => Some(keys.to_owned()),
        _ => secrets()
            .into_iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v),
    })
    .unwrap()
}

fn sealed(config: &Config, brand: &str, minted_ms: i64) -> String {
    let token = Token::mint(Pseudonym([7; 16]), 1, minted_ms);
    let brand = config.brand(brand).unwrap();
    token.seal(&config.keys, brand, [3; 24]).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_does_not_hold_counts_as_none_and_the_feed_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::default();
    setup.config.push_str(OTHER_BRAND);
    let origin = setup.start(dir.path());
    origin.import(&stories("t", 12)).await;
    Reader::new(&origin).filled(12).await;

    let ours = format!("1:{}", "11".repeat(32));
    let config = edge_config(&ours);
    let good = sealed(&config, "daily", now_ms());
    let mut tampered = good.clone().into_bytes();
    let at = tampered.len() / 2;
    tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
    let ago = i64::from(TOKEN_TTL_MIN + 1) * 60_000;
    let cases = [
        (
            "tampered",
            "not-authentic",
            String::from_utf8(tampered).unwrap(),
        ),
        (
            "cut off",
            "not-authentic",
            good[..good.len() / 4 * 4 - 8].to_owned(),
        ),
        ("no token", "malformed", "not+base64url".to_owned()),
        (
            "of a newer release",
            "newer-version",
            format!("_{}", &good[1..]),
        ),
        (
            "of another brand",
            "not-authentic",
            sealed(&config, "other", now_ms()),
        ),
        (
            "expired",
            "expired",
            sealed(&config, "daily", now_ms() - ago),
        ),
        (
            "of an unknown key",
            "unknown-key",
            sealed(
                &edge_config(&format!("9:{}", "99".repeat(32))),
                "daily",
                now_ms(),
            ),
        ),
        (
            "of a key with a known id",
            "not-authentic",
            sealed(
                &edge_config(&format!("1:{}", "99".repeat(32))),
                "daily",
                now_ms(),
            ),
        ),
    ];
    let client = Client::new();
    let ask = async |token: &str| {
        client
            .get(format!("{}/v1/feed/daily/home", origin.edge))
            .header("cookie", format!("mf_daily={token}"))
            .send()
            .await
            .unwrap()
    };
    let r = ask(&good).await;
    assert_eq!(r.headers()["mediaflow-rung"], "0", "the good one is good");
    for (what, reason, token) in &cases {
        let r = ask(token).await;
        refused(what, reason, r).await;
        // Events come in too, of nobody.
        let e = event(
            &format!("by {what}"),
            EventType::View,
            content_id("t-1"),
            None,
        );
        let r = client
            .post(format!("{}/v1/events", origin.edge))
            .header("cookie", format!("mf_daily={token}"))
            .json(&e)
            .send()
            .await
            .unwrap();
        assert_eq!(r.status(), StatusCode::ACCEPTED, "{what}");
    }

    // Revoked: an admin may, an editor may not; the cookie stops counting within seconds.
    let path = "/admin/v1/brands/daily/tokens/revoke";
    let (status, _) = origin.admin(EDITOR, Method::POST, path, Value::Null).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, answer) = origin.admin(TOKEN, Method::POST, path, Value::Null).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let r = until("the revocation", Duration::from_secs(5), || async {
        let r = ask(&good).await;
        r.headers().contains_key("mediaflow-token").then_some(r)
    })
    .await;
    refused("revoked", "revoked", r).await;
    // It does not touch another brand's readers.
    let other = sealed(&config, "other", now_ms());
    let r = client
        .get(format!("{}/v1/feed/other/home", origin.edge))
        .header("cookie", format!("mf_other={other}"))
        .send()
        .await
        .unwrap();
    assert!(!r.headers().contains_key("mediaflow-token"));
}

async fn refused(what: &str, reason: &str, r: Response) {
    assert_eq!(r.status(), StatusCode::OK, "{what}");
    let header = |name: &str| r.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("mediaflow-rung"), header("mediaflow-token")),
        ("2".into(), format!("refused; reason={reason}")),
        "{what}"
    );
    let cookie = header("set-cookie");
    assert!(
        cookie.starts_with("mf_daily=;"),
        "{what}: a useless cookie is cleared: {cookie}"
    );
    let feed: Value = r.json().await.unwrap();
    assert_eq!(feed["items"].as_array().unwrap().len(), 12, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_and_replayed_deliveries_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let setup = with_webhooks(dir.path());
    let mut origin = setup.start(dir.path());
    let client = Client::new();
    let to =
        |origin: &Origin, source: &str| client.post(format!("{}/webhooks/{source}", origin.url));
    let body = json!({"event": "published", "post": {
        "id": 77, "status": "publish", "type": "post", "date_gmt": "2026-11-20T10:00:00",
        "modified_gmt": "2026-11-20T10:00:00", "title": {"rendered": "Pushed"},
        "content": {"rendered": "<p>By the content system.</p>"}, "link": "https://daily.example/77",
    }})
    .to_string()
    .into_bytes();
    let mut altered = body.clone();
    let at = altered.iter().position(|b| *b == b'7').unwrap();
    altered[at] = b'8';
    let now_s = now_ms() / 1000;
    let other = Secret::new([0x56; 32]);
    let headers = |r: RequestBuilder, signature: String, at_s: i64| {
        r.header(SIGNATURE, signature)
            .header(TIMESTAMP, at_s.to_string())
            .header(DELIVERY, "forged")
    };
    let ours = sign(&webhook_secret(), now_s, &body);
    let forged = [
        ("unsigned", to(&origin, "wp-daily").body(body.clone())),
        (
            "signed with another secret",
            headers(to(&origin, "wp-daily"), sign(&other, now_s, &body), now_s).body(body.clone()),
        ),
        (
            "altered",
            headers(to(&origin, "wp-daily"), ours.clone(), now_s).body(altered),
        ),
        (
            "with another time",
            headers(to(&origin, "wp-daily"), ours.clone(), now_s + 1).body(body.clone()),
        ),
        (
            "old",
            signed(to(&origin, "wp-daily"), now_s - 600, "old", &body),
        ),
        (
            "of the future",
            signed(to(&origin, "wp-daily"), now_s + 600, "future", &body),
        ),
    ];
    for (what, request) in forged {
        let (status, _) = problem(what, request.send().await.unwrap()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
    }
    let r = signed(to(&origin, "nobody"), now_s, "x", &body);
    let (status, _) = problem("unknown source", r.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let id = content_id("77");
    let path = format!("/v1/content/{id}");
    let (status, _) = origin.admin(TOKEN, Method::GET, &path, Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "nothing forged came in");

    let good = |origin: &Origin| signed(to(origin, "wp-daily"), now_s, "delivery-1", &body);
    let r = good(&origin).send().await.unwrap();
    assert_eq!(
        r.status(),
        StatusCode::ACCEPTED,
        "{}",
        r.text().await.unwrap()
    );
    let (status, _) = problem("replayed", good(&origin).send().await.unwrap()).await;
    assert_eq!(status, StatusCode::CONFLICT);
    origin.kill();
    let origin = setup.start(dir.path());
    let again = good(&origin).send().await.unwrap();
    let (status, _) = problem("replayed after a crash", again).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let title = until("the article", Duration::from_secs(10), || async {
        let (_, a) = origin.admin(TOKEN, Method::GET, &path, Value::Null).await;
        a["title"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(title, "Pushed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_editors_at_once_one_saves_and_the_audit_shows_both() {
    let dir = tempfile::tempdir().unwrap();
    let origin = Origin::start(dir.path());
    let client = Client::new();
    let save = async |token: &str, name: &str| {
        let url = format!("{}/admin/v1/brands/daily/surfaces/home/rules", origin.url);
        let rules =
            json!({"rules": [{"name": name, "action": "hide", "target": {"topic": "sport"}}]});
        let r = client
            .put(url)
            .bearer_auth(token)
            .header("if-match", "\"v0\"")
            .json(&rules)
            .send()
            .await
            .unwrap();
        let status = r.status();
        (status, r.json::<Value>().await.unwrap())
    };
    let (a, b) = tokio::join!(save(EDITOR, "from edda"), save(SECOND_EDITOR, "from emil"));
    let (won, lost) = if a.0 == StatusCode::OK {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(
        (won.0, lost.0),
        (StatusCode::OK, StatusCode::PRECONDITION_FAILED),
        "{} {}",
        won.1,
        lost.1
    );
    assert_eq!(lost.1["current"]["draft"], won.1["draft"], "what is there");
    assert_ne!(
        lost.1["yours"], lost.1["current"]["draft"],
        "and what was sent"
    );
    let (_, audit) = origin
        .admin(
            EDITOR,
            Method::GET,
            "/admin/v1/audit?brand=daily",
            Value::Null,
        )
        .await;
    let mut shown: Vec<(&str, &str)> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["actor"].as_str().unwrap(), e["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(shown[0].1, "done");
    assert_eq!(shown[1].1, "refused");
    shown.sort_unstable();
    assert_eq!((shown[0].0, shown[1].0), ("edda", "emil"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pin_never_brings_back_what_was_taken_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = Origin::start(dir.path());
    origin.import(&stories("p", 12)).await;
    let reader = Reader::new(&origin);
    reader.filled(12).await;
    let gone = content_id("p-3");
    let down = json!({"content_id": gone, "reason": "court order"});
    let path = "/admin/v1/brands/daily/takedowns";
    let (status, answer) = origin.admin(TOKEN, Method::POST, path, down).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    until("the takedown", Duration::from_secs(5), || async {
        (!reader
            .feed("limit=100")
            .await
            .ids()
            .contains(&gone.to_string()))
        .then_some(())
    })
    .await;

    // Whatever the answer, the item stays away: on both surfaces, for new readers, after a new version and a restart.
    let pins = "/admin/v1/brands/daily/surfaces/home/pins";
    let pin = |id, name: &str| json!({"content_id": id, "slot": 0, "ttl_min": 60, "name": name});
    let (status, answer) = origin
        .admin(EDITOR, Method::POST, pins, pin(gone, "gone"))
        .await;
    assert!(
        status == StatusCode::OK || status.is_client_error(),
        "{status} {answer}"
    );
    let lead = content_id("p-5");
    let (status, answer) = origin
        .admin(EDITOR, Method::POST, pins, pin(lead, "lead"))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let mut newer = raw_item("p-3", "Headline 3, again", &words(3), 1);
    newer["modified"] = (now_ms() / 1000).into();
    origin.import(&[newer]).await;
    let stays_away = async |origin: &Origin| {
        let reader = Reader::new(origin);
        let end = Instant::now() + Duration::from_secs(4);
        let mut seen_lead = false;
        while Instant::now() < end {
            for place in ["daily/home", "daily/sport"] {
                let f = reader.feed_at(place, "limit=100").await;
                assert_eq!(f.status, StatusCode::OK);
                assert!(!f.ids().contains(&gone.to_string()), "{place}: it is back");
                seen_lead |= f.ids().contains(&lead.to_string());
            }
            let page = format!("{}/r/daily/{gone}", origin.edge);
            let page = reader.client.get(page).send().await.unwrap();
            assert!(page.status().is_client_error(), "its page is back");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(seen_lead, "the other pin shows: rules arrived");
    };
    stays_away(&origin).await;
    origin.kill();
    let origin = Origin::start(dir.path());
    stays_away(&origin).await;
}
