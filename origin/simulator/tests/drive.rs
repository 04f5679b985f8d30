//! The driver against a small edge that learns from clicks: it finds a lift where there is one and none where there
//! is none, keeps cookies apart, cites exposures and counts what fails.

#![expect(clippy::unwrap_used, reason = "a failed request is a failed test")]

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use mediaflow_shared::event::{Event, EventType};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_simulator::brands::brand_index;
use mediaflow_simulator::world::{DAY_MS, Item};
use mediaflow_simulator::{Clock, DriveConfig, Report, SimulatorError, Until, World, drive};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

const DAY: u32 = 20_778;
const SEED: u64 = 11;

#[derive(Default)]
struct Seen {
    /// Reads by reader and topic.
    taste: HashMap<String, HashMap<u8, f64>>,
    readers: usize,
    kinds: BTreeMap<String, usize>,
    without_exposure: usize,
    event_ids: Vec<String>,
    editorial_feeds: usize,
}

struct Edge {
    world: World,
    topics: HashMap<ContentId, u8>,
    learns: bool,
    fails: bool,
    seen: Mutex<Seen>,
}

fn now() -> Timestamp {
    Timestamp(i64::from(DAY) * DAY_MS + 20 * 3_600_000)
}

/// Who it is to a brand: a token is one brand's.
fn reader(headers: &HeaderMap, brand: &str) -> Option<String> {
    let cookies = headers.get("cookie")?.to_str().ok()?;
    let name = format!("__Host-mf_{brand}=");
    cookies
        .split("; ")
        .find_map(|c| c.strip_prefix(&name))
        .map(str::to_owned)
}

async fn me(State(e): State<Arc<Edge>>, Json(body): Json<serde_json::Value>) -> Response {
    assert_eq!(body["action"], "consent_on");
    let brand = body["brand"].as_str().unwrap();
    assert!(brand_index(brand).is_some());
    let mut seen = e.seen.lock().unwrap();
    seen.readers += 1;
    let cookie = format!(
        "__Host-mf_{brand}=r{}; Path=/; Secure; HttpOnly; Max-Age=999",
        seen.readers
    );
    ([("set-cookie", cookie)], "{}").into_response()
}

async fn feed(
    State(e): State<Arc<Edge>>,
    Path((brand, surface)): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if e.fails {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    assert_eq!(surface, "home");
    let editorial = query.get("arm").is_some_and(|a| a == "editorial");
    let mut seen = e.seen.lock().unwrap();
    seen.editorial_feeds += usize::from(editorial);
    let taste = reader(&headers, &brand)
        .and_then(|r| seen.taste.get(&r).cloned())
        .unwrap_or_default();
    let index = brand_index(&brand).unwrap();
    let live = e
        .world
        .items
        .iter()
        .filter(|i| i.brand == index && i.state(now()).is_some_and(|s| s.live));
    let mut live: Vec<&Item> = live.collect();
    live.sort_by_key(|i| std::cmp::Reverse(i.published));
    if !editorial && e.learns {
        let score = |i: &Item| taste.get(&i.story.primary).copied().unwrap_or_default();
        live.truncate(100);
        live.sort_by(|a, b| score(b).total_cmp(&score(a)));
    }
    let limit: usize = query["limit"].parse().unwrap();
    let items: Vec<_> = live
        .iter()
        .take(limit)
        .enumerate()
        .map(|(slot, i)| {
            let id = i.content_id().to_string();
            json!({"id": id, "title": i.title, "date_published": i.published.to_string(),
            "_mediaflow": {"exposure": format!("x-{id}"), "slot": slot}})
        })
        .collect();
    Json(json!({"version": "https://jsonfeed.org/version/1.1", "_mediaflow": {"feed_id": "f"}, "items": items}))
        .into_response()
}

async fn events(State(e): State<Arc<Edge>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(
        headers["content-type"],
        "application/cloudevents-batch+json"
    );
    let mut seen = e.seen.lock().unwrap();
    for event in serde_json::from_slice::<Vec<Event>>(&body).unwrap() {
        *seen.kinds.entry(format!("{:?}", event.kind)).or_default() += 1;
        assert!(
            event.readerid.is_none() && event.data.reader.is_none(),
            "the edge says who it is"
        );
        if event.kind != EventType::Mute {
            let expected = format!("x-{}", event.data.content_id.unwrap());
            seen.without_exposure += usize::from(event.data.exposure.as_deref() != Some(&expected));
        }
        seen.event_ids
            .push(format!("{} {}", event.source, event.id));
        let who = reader(&headers, &event.data.brand);
        if let (Some(w), EventType::Read, Some(id)) = (&who, event.kind, event.data.content_id) {
            let topic = e.topics[&id];
            *seen
                .taste
                .entry(w.clone())
                .or_default()
                .entry(topic)
                .or_default() += 1.0;
        }
    }
    StatusCode::ACCEPTED
}

async fn run(learns: bool, fails: bool) -> (Report, Arc<Edge>) {
    let world = World::days(SEED, DAY - 1, 2);
    let topics = world
        .items
        .iter()
        .map(|i| (i.content_id(), i.story.primary))
        .collect();
    let edge = Arc::new(Edge {
        world,
        topics,
        learns,
        fails,
        seen: Mutex::default(),
    });
    let app = Router::new()
        .route("/v1/me", post(me))
        .route("/v1/feed/{brand}/{surface}", get(feed))
        .route("/v1/events", post(events))
        .with_state(Arc::clone(&edge));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let config = DriveConfig {
        readers: 60,
        until: Until::Sessions(if fails { 40 } else { 1500 }),
        warmup_sessions: if fails { 0 } else { 300 },
        // One at a time: then the order of sessions, and every number, is the same on every run.
        at_once: 1,
        clock: Clock::by_hand(now()).0,
        ..DriveConfig::new(&url, SEED)
    };
    let calls = Arc::new(Mutex::new(0u64));
    let counter = Arc::clone(&calls);
    let report = drive(config, move |p| {
        *counter.lock().unwrap() = p.sessions.max(1)
    })
    .await
    .unwrap();
    assert!(*calls.lock().unwrap() > 0);
    server.abort();
    (report, edge)
}

#[tokio::test]
async fn an_edge_that_learns_is_found_to_be_better() {
    let (report, edge) = run(true, false).await;
    let l = report.lift.unwrap();
    println!("{report}");
    assert!(l.low > 1.0 && l.ratio < 6.0, "{report}");
    assert_eq!(report.sessions[0] + report.sessions[1], 1200);
    assert!(
        report.sessions[0].abs_diff(600) < 80,
        "a fair coin: {:?}",
        report.sessions
    );
    assert!(report.failures.is_empty(), "{report}");
    assert!(
        report.to_string().contains("95 % interval")
            && report.json()["lift"]["ratio"].as_f64() == Some(l.ratio)
    );
    let seen = edge.seen.lock().unwrap();
    assert!(
        (36..=60 * 3).contains(&seen.readers),
        "{} consents, one for a reader and brand",
        seen.readers
    );
    assert_eq!(seen.without_exposure, 0);
    assert!(seen.editorial_feeds > 0);
    let mut ids = seen.event_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.len(),
        seen.event_ids.len(),
        "every event has its own id"
    );
    assert_eq!(report.events as usize, seen.event_ids.len());
    for kind in ["Impression", "Click", "Read", "Like"] {
        assert!(seen.kinds.contains_key(kind), "{kind} of {:?}", seen.kinds);
    }
    assert_eq!(seen.kinds["Click"], seen.kinds["Read"]);
}

#[tokio::test]
async fn an_edge_that_learns_nothing_is_found_to_be_no_better() {
    let (report, _) = run(false, false).await;
    let l = report.lift.unwrap();
    assert!(l.low < 1.0 && l.high > 1.0, "{report}");
}

#[tokio::test]
async fn failures_are_counted_and_no_rate_is_invented() {
    let (report, _) = run(true, true).await;
    assert_eq!(report.lift, None);
    let feeds: u64 = report
        .failures
        .iter()
        .filter(|((c, s), _)| c.name() == "feed" && *s == 503)
        .map(|f| f.1)
        .sum();
    assert_eq!(feeds, 40);
    let nowhere = DriveConfig {
        brands: vec!["no-such-brand".into()],
        ..DriveConfig::new("http://127.0.0.1:9", 1)
    };
    assert!(matches!(
        drive(nowhere, |_| ()).await,
        Err(SimulatorError::Empty { .. })
    ));
}
