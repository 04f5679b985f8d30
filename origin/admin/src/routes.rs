//! HTTP: paths, statuses, preconditions, idempotency. Decisions are [`crate::store`]'s.

use crate::access::{Caller, Role};
use crate::api::{
    BrandView, Page, Pin, Preview, ReceiptQuery, Revert, Revisions, SurfaceView, Switch, TakeDown,
};
use crate::document::{ActionName, Document, DocumentError, EditorConditions, EditorRule};
use crate::receipts::{Heartbeat, Receipts};
use crate::store::{BrandChange, Store, StoreError, SurfaceChange, SurfaceState};
use crate::{AdminConfig, AdminDeps, OPENAPI, audit, limits, preview};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use mediaflow_http::{BodyLimits, Problem, auth, body};
use mediaflow_ports::PortErrorKind;
use mediaflow_shared::content::Status;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

/// Routes that `openapi.json` describes and whoever wires the crate serves: they stream what services keep.
pub const SERVED_BESIDE: &[(&str, &str)] =
    &[("get", "/admin/v1/events"), ("get", "/admin/v1/content")];

/// Every method and path of this crate; a test holds it, with [`SERVED_BESIDE`], against `openapi.json`.
pub const ROUTES: &[(&str, &str)] = &[
    ("get", "/v1/content/{id}"),
    ("post", "/v1/edges/heartbeat"),
    ("get", "/admin/v1/openapi.json"),
    ("get", "/admin/v1/topics"),
    ("get", "/admin/v1/brands"),
    ("get", "/admin/v1/brands/{brand}"),
    ("put", "/admin/v1/brands/{brand}/switch"),
    ("get", "/admin/v1/brands/{brand}/takedowns"),
    ("post", "/admin/v1/brands/{brand}/takedowns"),
    ("delete", "/admin/v1/brands/{brand}/takedowns/{id}"),
    ("post", "/admin/v1/brands/{brand}/tokens/revoke"),
    ("get", "/admin/v1/brands/{brand}/surfaces/{surface}/rules"),
    ("put", "/admin/v1/brands/{brand}/surfaces/{surface}/rules"),
    (
        "post",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/preview",
    ),
    (
        "post",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/publish",
    ),
    (
        "post",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/revert",
    ),
    (
        "get",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/revisions",
    ),
    (
        "get",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/revisions/{revision}",
    ),
    (
        "get",
        "/admin/v1/brands/{brand}/surfaces/{surface}/rules/receipt",
    ),
    ("post", "/admin/v1/brands/{brand}/surfaces/{surface}/pins"),
    (
        "delete",
        "/admin/v1/brands/{brand}/surfaces/{surface}/pins/{name}",
    ),
    ("get", "/admin/v1/audit"),
    ("get", "/admin/v1/audit/verify"),
];

struct App {
    store: Store,
    receipts: Receipts,
    deps: AdminDeps,
    config: AdminConfig,
    /// Held while a request with an idempotency key runs: of two at once the second sees the first one's answer.
    keyed: tokio::sync::Mutex<()>,
}

type Shared = State<Arc<App>>;
type Answer = Result<Response, Problem>;

/// The routes of [`ROUTES`].
pub fn admin_routes(deps: AdminDeps, config: AdminConfig) -> Router {
    let store = Store::new(deps.clone());
    let app = Arc::new(App {
        store,
        receipts: Receipts::default(),
        deps,
        config,
        keyed: tokio::sync::Mutex::new(()),
    });
    let surface = "/admin/v1/brands/{brand}/surfaces/{surface}";
    Router::new()
        .route("/v1/content/{id}", get(content))
        .route("/v1/edges/heartbeat", post(heartbeat))
        .route(
            "/admin/v1/openapi.json",
            get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI) }),
        )
        .route("/admin/v1/topics", get(topic_list))
        .route("/admin/v1/brands", get(brands))
        .route("/admin/v1/brands/{brand}", get(brand))
        .route("/admin/v1/brands/{brand}/switch", put(switch))
        .route(
            "/admin/v1/brands/{brand}/takedowns",
            get(brand).post(take_down),
        )
        .route("/admin/v1/brands/{brand}/takedowns/{id}", delete(lift))
        .route("/admin/v1/brands/{brand}/tokens/revoke", post(revoke))
        .route(&format!("{surface}/rules"), get(rules).put(save_draft))
        .route(&format!("{surface}/rules/preview"), post(show_preview))
        .route(&format!("{surface}/rules/publish"), post(publish))
        .route(&format!("{surface}/rules/revert"), post(revert))
        .route(&format!("{surface}/rules/revisions"), get(revisions))
        .route(
            &format!("{surface}/rules/revisions/{{revision}}"),
            get(revision),
        )
        .route(&format!("{surface}/rules/receipt"), get(receipt))
        .route(&format!("{surface}/pins"), post(pin))
        .route(&format!("{surface}/pins/{{name}}"), delete(unpin))
        .route("/admin/v1/audit", get(audit_page))
        .route("/admin/v1/audit/verify", get(audit_verify))
        .with_state(app)
}

impl App {
    fn caller(&self, headers: &HeaderMap, brand: &str, role: Role) -> Result<Caller, Problem> {
        let caller = self.config.tokens.require(headers, brand, role)?;
        if self.config.brands.contains_key(brand) {
            Ok(caller)
        } else {
            Err(unknown_brand(brand))
        }
    }

    fn at(
        &self,
        headers: &HeaderMap,
        (brand, surface): (&str, &str),
        role: Role,
    ) -> Result<Caller, Problem> {
        let caller = self.caller(headers, brand, role)?;
        let known = self
            .config
            .brands
            .get(brand)
            .is_some_and(|s| s.iter().any(|s| s == surface));
        if known {
            Ok(caller)
        } else {
            Err(Problem::not_found(
                format!("surface `{surface}`"),
                format!("brand {brand} has no such surface"),
            )
            .remedy("GET /admin/v1/brands lists the surfaces"))
        }
    }

    /// Answers a repeated request with what the first one answered.
    async fn once<F>(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        what: &str,
        request: &[u8],
        act: F,
    ) -> Answer
    where
        F: Future<Output = Result<(StatusCode, Option<u64>, Value), Problem>>,
    {
        let Some(key) = headers.get("idempotency-key") else {
            return act.await.map(|(s, v, b)| tagged(s, v, &b));
        };
        let key = key.to_str().unwrap_or("");
        if key.is_empty() || key.len() > limits::IDEMPOTENCY_KEY_BYTES_MAX {
            return Err(Problem::bad_request(
                "header `Idempotency-Key`",
                "must have 1 to 128 printable ASCII characters",
            ));
        }
        let key = format!("{}\0{key}", caller.name);
        let _one_at_a_time = self.keyed.lock().await;
        let print = format!("{what} {:016x}", fingerprint(request));
        if let Some(stored) = self
            .store
            .remembered(&key)
            .await
            .map_err(|e| refuse(&e, None))?
        {
            let stored: Value = serde_json::from_slice(&stored).unwrap_or_default();
            if stored["request"] != print.as_str() {
                return Err(Problem::unprocessable(
                    "header `Idempotency-Key`",
                    "was used for another request",
                )
                .remedy("use a new key for a new request"));
            }
            let status = stored["status"]
                .as_u64()
                .and_then(|s| StatusCode::from_u16(s as u16).ok());
            let mut r = tagged(
                status.unwrap_or(StatusCode::OK),
                stored["version"].as_u64(),
                &stored["body"],
            );
            r.headers_mut()
                .insert("idempotency-replayed", HeaderValue::from_static("true"));
            return Ok(r);
        }
        let (status, version, body) = act.await?;
        let stored =
            json!({"request": print, "status": status.as_u16(), "version": version, "body": body});
        self.store
            .remember(&key, stored.to_string().into_bytes())
            .await
            .map_err(|e| refuse(&e, None))?;
        Ok(tagged(status, version, &body))
    }

    fn view(&self, brand: &str, surface: &str, state: SurfaceState) -> Value {
        let receipt_url = format!(
            "/admin/v1/brands/{brand}/surfaces/{surface}/rules/receipt?revision={}",
            state.revision
        );
        to_json(&SurfaceView {
            brand: brand.to_owned(),
            surface: surface.to_owned(),
            state,
            receipt_url,
        })
    }

    async fn change(
        &self,
        headers: &HeaderMap,
        (brand, surface): (&str, &str),
        (caller, against): (&Caller, Option<u64>),
        request: &[u8],
        change: SurfaceChange,
        sent: Option<Value>,
    ) -> Answer {
        let what = format!("{brand}/{surface}/{}", change.describe().0);
        let act = async {
            let state = self
                .store
                .change(&caller.name, (brand, surface), against, &change)
                .await
                .map_err(|e| refuse(&e, sent.clone()))?;
            Ok((
                StatusCode::OK,
                Some(state.version),
                self.view(brand, surface, state),
            ))
        };
        self.once(headers, caller, &what, request, act).await
    }

    async fn change_brand(
        &self,
        headers: &HeaderMap,
        brand: &str,
        role: Role,
        change: BrandChange,
    ) -> Answer {
        let caller = self.caller(headers, brand, role)?;
        let surfaces = &self.config.brands[brand];
        let state = self
            .store
            .change_brand(&caller.name, brand, surfaces, &change)
            .await
            .map_err(|e| refuse(&e, None))?;
        let view = BrandView {
            brand: brand.to_owned(),
            surfaces: surfaces.clone(),
            state,
        };
        Ok(tagged(StatusCode::OK, None, &to_json(&view)))
    }
}

fn fingerprint(bytes: &[u8]) -> u64 {
    use sha2::{Digest, Sha256};
    let d = Sha256::digest(bytes);
    d[..8].iter().fold(0, |a, b| (a << 8) | u64::from(*b))
}

fn to_json<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

fn tagged(status: StatusCode, version: Option<u64>, body: &Value) -> Response {
    let mut r = (status, axum::Json(body)).into_response();
    if let Some(v) = version.and_then(|v| HeaderValue::from_str(&etag(v)).ok()) {
        r.headers_mut().insert(header::ETAG, v);
    }
    r.headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    r
}

fn etag(version: u64) -> String {
    format!("\"v{version}\"")
}

/// The version named by `If-Match`; `*` and absence mean "whatever there is" where `needed` is false.
fn if_match(headers: &HeaderMap, needed: bool) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return if needed {
            Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "A precondition is required",
            )
            .input("header `If-Match`")
            .reason("is missing, so another editor's change could be lost")
            .remedy("GET the rules and send their ETag as If-Match"))
        } else {
            Ok(None)
        };
    };
    let text = value.to_str().unwrap_or("");
    let version = text
        .trim()
        .strip_prefix("\"v")
        .and_then(|t| t.strip_suffix('"'))
        .and_then(|t| t.parse().ok());
    match version {
        Some(v) => Ok(Some(v)),
        None if text.trim() == "*" && !needed => Ok(None),
        None => Err(Problem::bad_request(
            "header `If-Match`",
            "is not an ETag of this API, such as \"v3\"",
        )
        .remedy("GET the rules and send their ETag as If-Match")),
    }
}

fn unknown_brand(brand: &str) -> Problem {
    Problem::not_found(format!("brand `{brand}`"), "no such brand is configured")
        .remedy("GET /admin/v1/brands lists the brands")
}

fn refuse(e: &StoreError, sent: Option<Value>) -> Problem {
    match e {
        StoreError::Stale { current, against } => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "stale",
            "Another change came first",
        )
        .input("header `If-Match`")
        .reason(format!(
            "the surface is at version {}, your change was made against {against}",
            current.version
        ))
        .remedy("compare `current` with `yours`, merge, and send it again with the new ETag")
        .with("current", to_json(current))
        .with("yours", sent.unwrap_or(Value::Null))
        .with("etag", etag(current.version)),
        StoreError::Document(DocumentError {
            field,
            reason,
            remedy,
        }) => Problem::unprocessable(format!("field `{field}`"), reason.clone()).remedy(*remedy),
        StoreError::NoRevision(n) => {
            Problem::not_found(format!("revision {n}"), "does not exist on this surface")
                .remedy("GET …/rules/revisions lists them")
        }
        StoreError::NoDraft => Problem::conflict("draft", "there is none")
            .remedy("PUT …/rules saves a draft, then publish it"),
        StoreError::Limit(why) => Problem::conflict("takedowns", why.clone()),
        StoreError::Port(p) if p.is_retryable() => Problem::unavailable("the state store", 1),
        StoreError::Port(p) if p.kind() == PortErrorKind::Conflict => {
            Problem::conflict("surface", p.to_string())
        }
        StoreError::Port(p) => {
            tracing::error!(error = %p, "the state store failed");
            Problem::internal()
        }
    }
}

async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    raw: Body,
) -> Result<(T, Vec<u8>), Problem> {
    let bytes = body::read_bytes(headers, raw, BodyLimits::default()).await?;
    let parsed = body::json(body::utf8(&bytes)?)?;
    Ok((parsed, bytes))
}

async fn content(State(app): Shared, Path(id): Path<String>) -> Answer {
    let id = ContentId::parse(&id).map_err(|e| Problem::bad_request("path `id`", e.to_string()))?;
    let none = || Problem::not_found(format!("content {id}"), "no such item is known");
    let c = app
        .store
        .content(id)
        .await
        .map_err(|e| refuse(&e, None))?
        .ok_or_else(none)?;
    let down = c.status == Status::Takedown
        || app
            .store
            .brand(&c.brand)
            .await
            .map_err(|e| refuse(&e, None))?
            .takedowns
            .contains_key(&id);
    if down {
        return Err(Problem::new(
            StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
            "taken-down",
            "The item was taken down",
        )
        .input(format!("content {id}"))
        .reason("it was removed for legal reasons")
        .remedy("do not show it"));
    }
    let live = c.status == Status::Published
        && c.embargo_until
            .is_none_or(|e| e.0 <= app.deps.clock.now_ms());
    if !live {
        return Err(none());
    }
    Ok((
        [(header::CACHE_CONTROL, "public, max-age=30")],
        axum::Json(to_json(&c)),
    )
        .into_response())
}

async fn heartbeat(State(app): Shared, headers: HeaderMap, raw: Body) -> Answer {
    auth::require_bearer(&headers, &app.config.edge_token)?;
    let (beat, _) = read::<Heartbeat>(&headers, raw).await?;
    app.receipts.hear(&beat, app.deps.clock.now_ms())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn topic_list() -> Response {
    let list: Vec<Value> = topics::TABLE
        .iter()
        .map(|t| json!({"slug": t.slug, "label": t.label, "iptc": t.iptc}))
        .collect();
    axum::Json(json!({ "topics": list })).into_response()
}

async fn brands(State(app): Shared, headers: HeaderMap) -> Answer {
    let mut seen = Vec::new();
    let mut refusal = Problem::unauthorized("header `Authorization`");
    for (brand, surfaces) in &app.config.brands {
        match app.config.tokens.require(&headers, brand, Role::Viewer) {
            Ok(c) => {
                seen.push(json!({"brand": brand, "surfaces": surfaces, "role": c.role.name()}))
            }
            Err(p) => refusal = p,
        }
    }
    if seen.is_empty() {
        Err(refusal)
    } else {
        Ok(tagged(StatusCode::OK, None, &json!({ "brands": seen })))
    }
}

async fn brand(State(app): Shared, Path(brand): Path<String>, headers: HeaderMap) -> Answer {
    app.caller(&headers, &brand, Role::Viewer)?;
    let state = app
        .store
        .brand(&brand)
        .await
        .map_err(|e| refuse(&e, None))?;
    let surfaces = app.config.brands[&brand].clone();
    Ok(tagged(
        StatusCode::OK,
        None,
        &to_json(&BrandView {
            brand,
            surfaces,
            state,
        }),
    ))
}

async fn switch(
    State(app): Shared,
    Path(brand): Path<String>,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    app.caller(&headers, &brand, Role::Chief)?;
    let (s, _) = read::<Switch>(&headers, raw).await?;
    app.change_brand(
        &headers,
        &brand,
        Role::Chief,
        BrandChange::EditorialOnly(s.editorial_only),
    )
    .await
}

async fn take_down(
    State(app): Shared,
    Path(brand): Path<String>,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    app.caller(&headers, &brand, Role::Chief)?;
    let (t, _) = read::<TakeDown>(&headers, raw).await?;
    if t.reason.trim().is_empty() {
        return Err(
            Problem::unprocessable("field `reason`", "is empty").remedy("say why, for the audit")
        );
    }
    app.change_brand(
        &headers,
        &brand,
        Role::Chief,
        BrandChange::TakeDown(t.content_id, t.reason),
    )
    .await
}

async fn lift(
    State(app): Shared,
    Path((brand, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    app.caller(&headers, &brand, Role::Admin)?;
    let id = ContentId::parse(&id).map_err(|e| Problem::bad_request("path `id`", e.to_string()))?;
    app.change_brand(&headers, &brand, Role::Admin, BrandChange::Lift(id))
        .await
}

async fn revoke(State(app): Shared, Path(brand): Path<String>, headers: HeaderMap) -> Answer {
    app.change_brand(&headers, &brand, Role::Admin, BrandChange::RevokeTokens)
        .await
}

type SurfacePath = Path<(String, String)>;

async fn rules(State(app): Shared, Path((b, s)): SurfacePath, headers: HeaderMap) -> Answer {
    app.at(&headers, (&b, &s), Role::Viewer)?;
    let state = app
        .store
        .surface(&b, &s)
        .await
        .map_err(|e| refuse(&e, None))?;
    Ok(tagged(
        StatusCode::OK,
        Some(state.version),
        &app.view(&b, &s, state),
    ))
}

async fn save_draft(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    let caller = app.at(&headers, (&b, &s), Role::Editor)?;
    let against = if_match(&headers, true)?;
    let (document, bytes) = read::<Document>(&headers, raw).await?;
    let sent = Some(to_json(&document));
    app.change(
        &headers,
        (&b, &s),
        (&caller, against),
        &bytes,
        SurfaceChange::Draft(document),
        sent,
    )
    .await
}

async fn publish(State(app): Shared, Path((b, s)): SurfacePath, headers: HeaderMap) -> Answer {
    let caller = app.at(&headers, (&b, &s), Role::Editor)?;
    let against = if_match(&headers, true)?;
    app.change(
        &headers,
        (&b, &s),
        (&caller, against),
        b"",
        SurfaceChange::Publish,
        None,
    )
    .await
}

async fn revert(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    let caller = app.at(&headers, (&b, &s), Role::Chief)?;
    let against = if_match(&headers, true)?;
    let (r, bytes) = read::<Revert>(&headers, raw).await?;
    app.change(
        &headers,
        (&b, &s),
        (&caller, against),
        &bytes,
        SurfaceChange::Revert(r.revision),
        None,
    )
    .await
}

async fn pin(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    let caller = app.at(&headers, (&b, &s), Role::Editor)?;
    let against = if_match(&headers, false)?;
    let (p, bytes) = read::<Pin>(&headers, raw).await?;
    let in_ttl = |m: u32| Timestamp(app.deps.clock.now_ms() + i64::from(m) * 60_000);
    let expires_at = p.expires_at.or(p.ttl_min.map(in_ttl));
    if expires_at.is_none() {
        return Err(
            Problem::unprocessable("field `expires_at`", "is required for pins")
                .remedy("send expires_at (RFC 3339) or ttl_min, at most 35 days ahead"),
        );
    }
    let known = app
        .store
        .content(p.content_id)
        .await
        .map_err(|e| refuse(&e, None))?;
    if known.is_none_or(|c| c.brand != b) {
        return Err(Problem::unprocessable(
            "field `content_id`",
            format!("brand {b} has no item {}", p.content_id),
        )
        .remedy("take the id from the feed or from GET /v1/content/{id}"));
    }
    let rule = EditorRule {
        name: p
            .name
            .unwrap_or_else(|| format!("Pinned by {}", caller.name)),
        action: ActionName::Pin,
        content_id: Some(p.content_id),
        slot: Some(p.slot),
        target: None,
        percent: None,
        within: None,
        min: None,
        max: None,
        starts_at: None,
        expires_at,
        schedule: None,
        conditions: EditorConditions::default(),
    };
    let add = SurfaceChange::Add(Document { rules: vec![rule] });
    app.change(&headers, (&b, &s), (&caller, against), &bytes, add, None)
        .await
}

async fn unpin(
    State(app): Shared,
    Path((b, s, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    let caller = app.at(&headers, (&b, &s), Role::Editor)?;
    let against = if_match(&headers, false)?;
    let state = app
        .store
        .surface(&b, &s)
        .await
        .map_err(|e| refuse(&e, None))?;
    let there = state
        .published
        .rules
        .iter()
        .any(|r| r.name == name && r.action == ActionName::Pin);
    if !there {
        return Err(Problem::not_found(
            format!("pin `{name}`"),
            "no published pin has this name",
        ));
    }
    app.change(
        &headers,
        (&b, &s),
        (&caller, against),
        name.as_bytes(),
        SurfaceChange::Remove(name.clone()),
        None,
    )
    .await
}

async fn show_preview(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    headers: HeaderMap,
    raw: Body,
) -> Answer {
    app.at(&headers, (&b, &s), Role::Viewer)?;
    let (ask, _) = read::<Preview>(&headers, raw).await?;
    let answer = preview::preview(
        &app.store,
        &*app.deps.blobs,
        (&b, &s),
        ask,
        Timestamp(app.deps.clock.now_ms()),
    )
    .await
    .map_err(|e| match e {
        preview::PreviewError::Store(e) => refuse(&e, None),
        preview::PreviewError::Field {
            field,
            reason,
            remedy,
        } => Problem::unprocessable(format!("field `{field}`"), reason).remedy(remedy),
        preview::PreviewError::NoFront => {
            Problem::conflict("front", "none is published for this surface yet")
                .remedy("wait for the publisher's first front, at most a minute")
        }
    })?;
    Ok(tagged(StatusCode::OK, None, &to_json(&answer)))
}

fn page_limit(limit: Option<usize>) -> usize {
    limit.unwrap_or(50).clamp(1, limits::PAGE_MAX)
}

async fn revisions(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    Query(p): Query<Page>,
    headers: HeaderMap,
) -> Answer {
    app.at(&headers, (&b, &s), Role::Viewer)?;
    let limit = page_limit(p.limit);
    let after = u32::try_from(p.after).unwrap_or(u32::MAX);
    let revisions = app
        .store
        .revisions(&b, &s, after, limit)
        .await
        .map_err(|e| refuse(&e, None))?;
    let next = revisions
        .last()
        .filter(|_| revisions.len() == limit)
        .map(|r| r.revision);
    Ok(tagged(
        StatusCode::OK,
        None,
        &to_json(&Revisions { revisions, next }),
    ))
}

async fn revision(
    State(app): Shared,
    Path((b, s, n)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Answer {
    app.at(&headers, (&b, &s), Role::Viewer)?;
    let n = n
        .parse()
        .map_err(|_| Problem::bad_request("path `revision`", "is not a number"))?;
    let r = app
        .store
        .revision(&b, &s, n)
        .await
        .map_err(|e| refuse(&e, None))?;
    Ok(tagged(StatusCode::OK, None, &to_json(&r)))
}

async fn receipt(
    State(app): Shared,
    Path((b, s)): SurfacePath,
    Query(q): Query<ReceiptQuery>,
    headers: HeaderMap,
) -> Answer {
    app.at(&headers, (&b, &s), Role::Viewer)?;
    let state = app
        .store
        .surface(&b, &s)
        .await
        .map_err(|e| refuse(&e, None))?;
    let revision = q.revision.unwrap_or(state.revision);
    let published_at = if revision == state.revision {
        state.published_at
    } else {
        app.store
            .revision(&b, &s, revision)
            .await
            .map_err(|e| refuse(&e, None))?
            .published_at
    };
    let receipt = app
        .receipts
        .receipt(&b, &s, revision, published_at, app.deps.clock.now_ms());
    Ok(tagged(StatusCode::OK, None, &to_json(&receipt)))
}

async fn audit_page(State(app): Shared, Query(p): Query<Page>, headers: HeaderMap) -> Answer {
    let brand = p.brand.as_deref().unwrap_or("*");
    app.config.tokens.require(&headers, brand, Role::Viewer)?;
    let limit = page_limit(p.limit);
    let all = audit::page(&*app.deps.state, p.after, limit)
        .await
        .map_err(|e| refuse(&e.into(), None))?;
    let next = all.last().filter(|_| all.len() == limit).map(|e| e.seq);
    let entries: Vec<_> = all
        .into_iter()
        .filter(|e| brand == "*" || e.brand == brand)
        .collect();
    Ok(tagged(
        StatusCode::OK,
        None,
        &json!({"entries": to_json(&entries), "next": next}),
    ))
}

async fn audit_verify(State(app): Shared, headers: HeaderMap) -> Answer {
    app.config.tokens.require(&headers, "*", Role::Viewer)?;
    let verdict = audit::verify(&*app.deps.state)
        .await
        .map_err(|e| refuse(&e.into(), None))?;
    Ok(tagged(StatusCode::OK, None, &to_json(&verdict)))
}
