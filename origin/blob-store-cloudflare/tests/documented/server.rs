//! Workers KV's REST API as documented: envelopes, error codes, limits, and trouble on demand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine;
use mediaflow_ports::{Clock, ManualClock};
use serde::Deserialize;
use serde_json::{Value, json};

pub const TOKEN: &str = "right-token";

/// Trouble for the next call.
pub enum Fault {
    Throttle {
        retry_after_s: Option<u64>,
    },
    Status(u16),
    /// A 200 whose envelope says otherwise.
    NotSuccessful,
    /// These keys are not written and reported so.
    Partial(Vec<String>),
    /// The connection ends within the answer.
    Cut,
}

pub struct Call {
    pub keys: Vec<String>,
}

struct Stored {
    value: Vec<u8>,
    expires_s: Option<i64>,
    metadata: Option<Value>,
}

#[derive(Default)]
struct World {
    stored: BTreeMap<String, Stored>,
    script: VecDeque<Fault>,
    partial: Vec<String>,
    calls: Vec<Call>,
    written: HashMap<String, Instant>,
    violations: Vec<String>,
    slow: Option<(String, Duration)>,
}

#[derive(Clone)]
pub struct Server {
    pub base: String,
    pub clock: Arc<ManualClock>,
    world: Arc<Mutex<World>>,
}

impl Server {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            base: format!("http://{}/client/v4", listener.local_addr().unwrap()),
            clock: Arc::new(ManualClock::at(1_800_000_000_000)),
            world: Arc::default(),
        };
        let namespace = Router::new()
            .route("/bulk", put(bulk_write))
            .route("/bulk/delete", post(bulk_delete))
            .route("/values/{key}", get(value))
            .route("/metadata/{key}", get(metadata))
            .route("/keys", get(keys))
            .layer(middleware::from_fn_with_state(server.clone(), gate))
            .layer(DefaultBodyLimit::disable())
            .with_state(server.clone());
        let app = Router::new().nest(
            "/client/v4/accounts/acc1/storage/kv/namespaces/{ns}",
            namespace,
        );
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        server
    }

    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.world.lock().unwrap().script.extend(faults);
    }

    /// Calls that write keys with this prefix take their time.
    pub fn slow_down(&self, prefix: &str, pause: Duration) {
        self.world.lock().unwrap().slow = Some((prefix.to_owned(), pause));
    }

    pub fn calls(&self) -> Vec<Call> {
        let world = self.world.lock().unwrap();
        world
            .calls
            .iter()
            .map(|call| Call {
                keys: call.keys.clone(),
            })
            .collect()
    }

    pub fn violations(&self) -> Vec<String> {
        self.world.lock().unwrap().violations.clone()
    }

    fn now_s(&self) -> i64 {
        self.clock.now_ms() / 1_000
    }

    /// One write per key and second, as documented under limits.
    fn note_writes(&self, keys: &[String]) {
        let mut world = self.world.lock().unwrap();
        for key in keys {
            if let Some(before) = world.written.insert(key.clone(), Instant::now())
                && before.elapsed() < Duration::from_millis(990)
            {
                world
                    .violations
                    .push(format!("{key} was written twice within a second"));
            }
        }
        if let Some(call) = world.calls.last_mut() {
            call.keys = keys.to_vec();
        }
    }
}

fn refusal(status: u16, code: i64, message: &str) -> Response {
    let body = json!({
        "success": false, "errors": [{"code": code, "message": message}], "messages": [],
        "result": null,
    });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn success(result: Value) -> Response {
    Json(json!({"success": true, "errors": [], "messages": [], "result": result})).into_response()
}

/// Authorization, the namespace, and scripted trouble come before everything else.
async fn gate(
    State(server): State<Server>,
    Path(path): Path<HashMap<String, String>>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let fault = {
        let mut world = server.world.lock().unwrap();
        world.calls.push(Call { keys: Vec::new() });
        world.script.pop_front()
    };
    if headers
        .get("authorization")
        .is_none_or(|v| v != &format!("Bearer {TOKEN}"))
    {
        return refusal(401, 10_000, "Authentication error");
    }
    if path["ns"] != "ns1" {
        return refusal(404, 10_013, "namespace not found");
    }
    match fault {
        None => next.run(request).await,
        Some(Fault::Partial(keys)) => {
            server.world.lock().unwrap().partial = keys;
            next.run(request).await
        }
        Some(Fault::Status(status)) => refusal(status, 10_001, "service temporarily unavailable"),
        Some(Fault::NotSuccessful) => refusal(200, 10_001, "please try again"),
        Some(Fault::Throttle { retry_after_s }) => {
            let mut response =
                refusal(429, 971, "Please wait and consider throttling your request");
            if let Some(seconds) = retry_after_s {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            response
        }
        Some(Fault::Cut) => {
            let broken = futures_util::stream::iter([
                Ok(Bytes::from_static(b"{\"success\"")),
                Err(std::io::Error::other("cut")),
            ]);
            Response::new(Body::from_stream(broken))
        }
    }
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    value: String,
    #[serde(default)]
    base64: bool,
    expiration_ttl: Option<i64>,
    metadata: Option<Value>,
}

async fn bulk_write(State(server): State<Server>, body: Bytes) -> Response {
    if body.len() > 100_000_000 {
        return refusal(413, 10_012, "request too large");
    }
    let Ok(pairs) = serde_json::from_slice::<Vec<Pair>>(&body) else {
        return refusal(400, 10_012, "could not parse the body");
    };
    if pairs.is_empty() || pairs.len() > 10_000 {
        return refusal(400, 10_012, "between 1 and 10000 pairs");
    }
    let mut decoded = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let value = match pair.base64 {
            true => base64::engine::general_purpose::STANDARD
                .decode(&pair.value)
                .unwrap(),
            false => pair.value.into_bytes(),
        };
        let metadata_bytes = pair.metadata.as_ref().map_or(0, |m| m.to_string().len());
        let bad = pair.key.is_empty()
            || pair.key.len() > 512
            || matches!(pair.key.as_str(), "." | "..")
            || value.len() > 25 * 1024 * 1024
            || metadata_bytes > 1_024
            || pair.expiration_ttl.is_some_and(|ttl| ttl < 60);
        if bad {
            server
                .world
                .lock()
                .unwrap()
                .violations
                .push(format!("bad pair {}", pair.key));
            return refusal(400, 10_033, "invalid pair");
        }
        decoded.push((pair.key, value, pair.expiration_ttl, pair.metadata));
    }
    let names: Vec<String> = decoded.iter().map(|(key, ..)| key.clone()).collect();
    server.note_writes(&names);
    let slow = server.world.lock().unwrap().slow.clone();
    if let Some((prefix, pause)) = slow
        && names.iter().any(|name| name.starts_with(&prefix))
    {
        tokio::time::sleep(pause).await;
    }
    let now_s = server.now_s();
    let mut world = server.world.lock().unwrap();
    let unsuccessful = std::mem::take(&mut world.partial);
    for (key, value, ttl_s, metadata) in decoded {
        if !unsuccessful.contains(&key) {
            let expires_s = ttl_s.map(|ttl| now_s + ttl);
            world.stored.insert(
                key,
                Stored {
                    value,
                    expires_s,
                    metadata,
                },
            );
        }
    }
    let count = names.len() - unsuccessful.len();
    success(json!({"successful_key_count": count, "unsuccessful_keys": unsuccessful}))
}

async fn bulk_delete(State(server): State<Server>, Json(names): Json<Vec<String>>) -> Response {
    if names.is_empty() || names.len() > 10_000 {
        return refusal(400, 10_012, "between 1 and 10000 keys");
    }
    server.note_writes(&names);
    let mut world = server.world.lock().unwrap();
    for name in &names {
        world.stored.remove(name);
    }
    success(json!({"successful_key_count": names.len(), "unsuccessful_keys": []}))
}

async fn value(
    State(server): State<Server>,
    Path(path): Path<HashMap<String, String>>,
) -> Response {
    let now_s = server.now_s();
    let world = server.world.lock().unwrap();
    let live = world
        .stored
        .get(&path["key"])
        .filter(|s| s.expires_s.is_none_or(|at| now_s < at));
    let Some(stored) = live else {
        return refusal(404, 10_009, "get: 'key not found'");
    };
    let mut response = stored.value.clone().into_response();
    if let Some(at) = stored.expires_s {
        response.headers_mut().insert("expiration", at.into());
    }
    response
}

async fn metadata(
    State(server): State<Server>,
    Path(path): Path<HashMap<String, String>>,
) -> Response {
    let world = server.world.lock().unwrap();
    match world.stored.get(&path["key"]) {
        Some(stored) => success(stored.metadata.clone().unwrap_or_default()),
        None => refusal(404, 10_009, "metadata: 'key not found'"),
    }
}

async fn keys(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let limit: usize = text("limit").parse().unwrap_or(1_000);
    if !(10..=1_000).contains(&limit) {
        return refusal(400, 10_021, "limit must be between 10 and 1000");
    }
    let (prefix, cursor, now_s) = (text("prefix"), text("cursor"), server.now_s());
    let world = server.world.lock().unwrap();
    let mut found = world.stored.iter().filter(|(key, stored)| {
        key.starts_with(&prefix)
            && (cursor.is_empty() || **key > cursor)
            && stored.expires_s.is_none_or(|at| now_s < at)
    });
    let page: Vec<_> = found.by_ref().take(limit).collect();
    let next = match found.next() {
        Some(_) => page.last().map_or("", |(key, _)| key.as_str()),
        None => "",
    };
    let result: Vec<Value> = page
        .iter()
        .map(|(key, stored)| {
            let mut entry = json!({"name": key});
            if let Some(at) = stored.expires_s {
                entry["expiration"] = at.into();
            }
            if let Some(metadata) = &stored.metadata {
                entry["metadata"] = metadata.clone();
            }
            entry
        })
        .collect();
    let info = json!({"count": result.len(), "cursor": next});
    Json(json!({
        "success": true, "errors": [], "messages": [], "result": result, "result_info": info,
    }))
    .into_response()
}
