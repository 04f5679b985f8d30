//! Webhooks reach the origin signed, once for each change, as the clock runs.

#![expect(clippy::unwrap_used, reason = "a failed request is a failed test")]

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use mediaflow_shared::time::Timestamp;
use mediaflow_simulator::brands::{BRANDS, Wire};
use mediaflow_simulator::config::webhook_secrets;
use mediaflow_simulator::webhook::sign;
use mediaflow_simulator::world::{Change, DAY_MS};
use mediaflow_simulator::{Clock, Webhooks, World, serve};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DAY: u32 = 20_778;

type Got = Arc<Mutex<Vec<(String, String, serde_json::Value)>>>;

async fn take(
    State(got): State<Got>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |n: &str| headers[n].to_str().unwrap().to_owned();
    let text = std::str::from_utf8(&body).unwrap();
    let sent_s: i64 = header("x-mediaflow-timestamp").parse().unwrap();
    let secret = &webhook_secrets(3)[&source];
    assert_eq!(header("x-mediaflow-signature"), sign(secret, sent_s, text));
    let real_s = Clock::real().now().0 / 1000;
    assert!(
        (real_s - sent_s).abs() < 60,
        "signed with the real time, whatever the simulated one"
    );
    got.lock().unwrap().push((
        source,
        header("x-mediaflow-delivery"),
        serde_json::from_str(text).unwrap(),
    ));
    StatusCode::ACCEPTED
}

#[tokio::test]
async fn every_change_of_a_wordpress_item_is_delivered_once() {
    let got = Got::default();
    let app = Router::new()
        .route("/webhooks/{source}", post(take))
        .with_state(Arc::clone(&got));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin_url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let mut world = World::days(5, DAY, 1);
    let noon = Timestamp(i64::from(DAY) * DAY_MS + DAY_MS / 2);
    let later = Timestamp(noon.0 + 10 * 60_000);
    let first = world
        .items
        .iter_mut()
        .find(|i| i.brand().wire == Wire::Wordpress && i.published > noon && i.published < later)
        .unwrap();
    first.changes = vec![(Timestamp(first.published.0 + 1), Change::Withdrawn)];
    let withdrawn = first.number;
    let due: usize = world
        .items
        .iter()
        .filter(|i| i.brand().wire == Wire::Wordpress)
        .map(|i| {
            std::iter::once(i.published)
                .chain(i.changes.iter().map(|c| c.0))
                .filter(|t| *t > noon && *t <= later)
                .count()
        })
        .sum();
    let (clock, hand) = Clock::by_hand(noon);
    let webhooks = Webhooks {
        origin_url,
        secrets: webhook_secrets(3),
    };
    let cms = serve(world, ([127, 0, 0, 1], 0).into(), clock, Some(webhooks))
        .await
        .unwrap();
    // The sender reads the clock once when it starts: let it, before time moves.
    tokio::time::sleep(Duration::from_millis(100)).await;
    hand.store(later.0, Ordering::SeqCst);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if got.lock().unwrap().len() >= due {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let got = got.lock().unwrap();
    assert!(due > 3 && got.len() == due, "{} of {due}", got.len());
    assert_eq!(
        got.iter().map(|g| &g.1).collect::<BTreeSet<_>>().len(),
        due,
        "delivery ids are unique"
    );
    let known: BTreeSet<_> = BRANDS
        .iter()
        .filter(|b| b.wire == Wire::Wordpress)
        .map(|b| b.source)
        .collect();
    assert!(got.iter().all(|g| known.contains(g.0.as_str())));
    let states: Vec<_> = got
        .iter()
        .filter(|g| g.2["id"] == withdrawn)
        .map(|g| g.2["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["publish", "draft"]);
    drop(cms);
    server.abort();
}
