use super::*;
use crate::fakes::{NOW_MS, Stores, raw_items, source};
use crate::webhook::sign;
use axum::body::Body;
use mediaflow_shared::content::{RawItem, Status};
use serde_json::{Value, json};
use tower::ServiceExt;

const NOW_S: i64 = NOW_MS / 1_000;

fn secret() -> Secret {
    Secret::new([3u8; 32])
}

async fn app(s: &Stores) -> Router {
    let intake = s.intake().await;
    let secrets = [("src".to_owned(), secret())].into();
    let w = Webhooks::new(
        vec![source("wordpress")],
        secrets,
        intake.clone(),
        s.state.clone(),
    );
    let ugc = Arc::new(Ugc::new(intake, s.state.clone()));
    webhook_routes(Arc::new(w)).merge(ugc_routes(
        ugc,
        Secret::new("site"),
        Secret::new("moderator"),
    ))
}

async fn send(app: &Router, path: &str, headers: &[(&str, String)], body: &[u8]) -> (u16, Value) {
    let mut r = Request::post(path);
    for (k, v) in headers {
        r = r.header(*k, v);
    }
    let response = app
        .clone()
        .oneshot(r.body(Body::from(body.to_vec())).unwrap())
        .await
        .unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn deliver(app: &Router, id: &str, at_s: i64, key: &Secret, body: &Value) -> u16 {
    let body = body.to_string();
    let headers = [
        ("x-mediaflow-signature", sign(key, at_s, body.as_bytes())),
        ("x-mediaflow-timestamp", at_s.to_string()),
        ("x-mediaflow-delivery", id.to_owned()),
    ];
    send(app, "/webhooks/src", &headers, body.as_bytes())
        .await
        .0
}

fn post(id: u32, status: &str) -> Value {
    json!({"id": id, "title": {"rendered": "T"}, "status": status, "modified_gmt": "2026-11-21T07:00:00"})
}

#[tokio::test]
async fn a_signed_delivery_is_stored_before_it_is_acknowledged() {
    let s = Stores::new();
    let app = app(&s).await;
    assert_eq!(
        deliver(&app, "d1", NOW_S, &secret(), &post(1, "publish")).await,
        202
    );
    assert_eq!(raw_items(&s).await[0].original_id, "1");
    let gone = json!({"event": "deleted", "post": {"id": 1}});
    assert_eq!(deliver(&app, "d2", NOW_S, &secret(), &gone).await, 202);
    let items = raw_items(&s).await;
    assert!(
        items.iter().any(|i| i.status == Status::Unpublished),
        "{items:?}"
    );
}

#[tokio::test]
async fn forged_replayed_stale_and_foreign_deliveries_are_refused() {
    let s = Stores::new();
    let app = app(&s).await;
    let body = post(1, "publish");
    assert_eq!(
        deliver(&app, "d1", NOW_S, &Secret::new([4u8; 32]), &body).await,
        401
    );
    assert_eq!(
        deliver(&app, "d1", NOW_S - 301, &secret(), &body).await,
        401
    );
    assert_eq!(
        deliver(&app, "d1", NOW_S + 301, &secret(), &body).await,
        401
    );
    assert_eq!(deliver(&app, "", NOW_S, &secret(), &body).await, 401);
    assert_eq!(send(&app, "/webhooks/src", &[], b"{}").await.0, 401);
    assert_eq!(send(&app, "/webhooks/other", &[], b"{}").await.0, 404);
    assert!(raw_items(&s).await.is_empty());
    assert_eq!(deliver(&app, "d1", NOW_S, &secret(), &body).await, 202);
    assert_eq!(deliver(&app, "d1", NOW_S, &secret(), &body).await, 409);
    assert_eq!(
        deliver(&app, "d2", NOW_S, &secret(), &json!({"no": "id"})).await,
        400
    );
    assert_eq!(raw_items(&s).await.len(), 1);
}

#[tokio::test]
async fn a_delivery_that_could_not_be_stored_may_come_again() {
    let s = Stores::new();
    let app = app(&s).await;
    s.log.fail_next_append();
    assert_eq!(
        deliver(&app, "d1", NOW_S, &secret(), &post(1, "publish")).await,
        503
    );
    assert_eq!(
        deliver(&app, "d1", NOW_S, &secret(), &post(1, "publish")).await,
        202
    );
    assert_eq!(raw_items(&s).await.len(), 1);
}

#[tokio::test]
async fn content_of_readers_waits_for_a_moderator() {
    let s = Stores::new();
    let app = app(&s).await;
    let bearer = |t: &str| [("authorization", format!("Bearer {t}"))];
    let story = json!({"brand": "daily", "title": "My story", "body": "text"}).to_string();
    assert_eq!(
        send(&app, "/v1/ugc", &bearer("nobody"), story.as_bytes())
            .await
            .0,
        401
    );
    let (status, answer) = send(&app, "/v1/ugc", &bearer("site"), story.as_bytes()).await;
    assert_eq!((status, answer["status"].as_str()), (202, Some("pending")));
    let path = format!(
        "/v1/ugc/{}/moderation",
        answer["content_id"].as_str().unwrap()
    );
    let approve = br#"{"verdict":"approve"}"#;
    assert_eq!(send(&app, &path, &bearer("site"), approve).await.0, 401);
    s.clock.advance(1_000);
    assert_eq!(
        send(&app, &path, &bearer("moderator"), approve).await.1["status"],
        "published"
    );
    s.clock.advance(1_000);
    let reject = br#"{"verdict":"reject"}"#;
    assert_eq!(
        send(&app, &path, &bearer("moderator"), reject).await.1["status"],
        "rejected"
    );
    let mut items: Vec<RawItem> = raw_items(&s).await;
    items.sort_by_key(|i| i.ingested_at);
    let states: Vec<_> = items.iter().map(|i| i.status).collect();
    assert_eq!(
        states,
        [Status::Pending, Status::Published, Status::Rejected]
    );
    let unknown = "/v1/ugc/00000000000000ff/moderation";
    assert_eq!(
        send(&app, unknown, &bearer("moderator"), approve).await.0,
        404
    );
    for bad in [
        r#"{"brand":"A b","title":"t","body":"b"}"#,
        r#"{"brand":"daily","title":"","body":"b"}"#,
    ] {
        assert_eq!(
            send(&app, "/v1/ugc", &bearer("site"), bad.as_bytes())
                .await
                .0,
            422,
            "{bad}"
        );
    }
}
