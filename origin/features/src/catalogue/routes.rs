//! The catalogue over HTTP. JSON, or a page for a browser (`Accept: text/html`).

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use mediaflow_http::Problem;
use mediaflow_http::body::JsonBody;
use mediaflow_shared::id::Pseudonym;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

use super::list::{Filter, list};
use super::preferences::preferences;
use super::read::{Answer, FeatureReader, ReadError};
use super::{ParityReport, ReplayRequest, page, parity, recompute};
use crate::declare::Entity;
use crate::limits::{BATCH_ENTITIES_MAX, PARITY_ENTITIES_MAX, REPLAY_REQUESTS_MAX};

/// Lets a caller in, or says why not. Values are about readers, so they are not for everybody.
pub type Gate = Arc<dyn Fn(&HeaderMap) -> Result<(), Problem> + Send + Sync>;
/// The pseudonym of a raw reader id within a brand; `None` for an unknown brand.
pub type Pseudonyms = Arc<dyn Fn(&str, &str) -> Option<Pseudonym> + Send + Sync>;

/// What the routes need.
#[derive(Clone)]
pub struct CatalogueDeps {
    /// Reads values.
    pub reader: Arc<FeatureReader>,
    /// Who may.
    pub gate: Gate,
    /// Raw ids become pseudonyms here and go no further.
    pub pseudonyms: Pseudonyms,
}

/// `GET /features`, `/features/{entity}/{id}`, `/features/user/{id}`, `/features/user/{id}/preferences`,
/// `POST /features/batch`, `/features/replay`, `/features/parity`.
pub fn catalogue_routes(deps: CatalogueDeps) -> Router {
    Router::new()
        .route("/features", get(catalogue))
        .route("/features/batch", post(batch))
        .route("/features/replay", post(replayed))
        .route("/features/parity", post(compared))
        .route("/features/user/{id}", get(user))
        .route("/features/user/{id}/preferences", get(user_preferences))
        .route("/features/{entity}/{id}", get(entity))
        .with_state(Arc::new(deps))
}

type Deps = State<Arc<CatalogueDeps>>;

impl From<ReadError> for Problem {
    fn from(e: ReadError) -> Self {
        match e {
            ReadError::Id { .. } | ReadError::Name(_) | ReadError::Entity(_) => {
                Self::bad_request("entity, id or name", e.to_string())
            }
            ReadError::Changing => Self::unavailable("features", 1).reason(e.to_string()),
            ReadError::Port(e) => {
                tracing::warn!(error = %e, "features cannot be read");
                Self::unavailable("state store", 1)
            }
            ReadError::Stored(e) => {
                tracing::error!(error = %e, "a stored feature state cannot be read");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "stored-state",
                    "A stored state cannot be read",
                )
                .input("state store")
                .reason(e.to_string())
                .remedy("run the release that wrote it, or rebuild the features from the log")
            }
        }
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|a| a.to_str().ok())
        .is_some_and(|a| a.contains("text/html"))
}

async fn catalogue(
    State(deps): Deps,
    headers: HeaderMap,
    Query(mut filter): Query<Filter>,
) -> Result<Response, Problem> {
    // A form sends what was left empty, too.
    for f in [
        &mut filter.q,
        &mut filter.entity,
        &mut filter.owner,
        &mut filter.tier,
        &mut filter.fed_by,
        &mut filter.read_by,
    ] {
        *f = f.take().filter(|v| !v.trim().is_empty());
    }
    if let Some(e) = &filter.entity
        && !Entity::ALL.iter().any(|known| known.slug() == e)
    {
        return Err(ReadError::Entity(e.clone()).into());
    }
    let outside = deps.reader.outside().await.map_err(ReadError::Port)?;
    let found = list(&filter, &outside);
    if wants_page(&headers) {
        return Ok(Html(page::catalogue(&filter, &found)).into_response());
    }
    Ok(axum::Json(json!({"total": found.len(), "features": found})).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    /// Comma-separated; absent: all.
    names: Option<String>,
    /// For raw ids.
    brand: Option<String>,
}

fn split(names: Option<&str>) -> Vec<String> {
    let names = names.unwrap_or_default().split(',');
    let names = names.map(str::trim).filter(|n| !n.is_empty());
    names.map(str::to_owned).collect()
}

fn shown(answer: &Answer, headers: &HeaderMap) -> Response {
    if wants_page(headers) {
        return Html(page::entity(answer)).into_response();
    }
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response()
}

async fn entity(
    State(deps): Deps,
    headers: HeaderMap,
    Path((entity, id)): Path<(String, String)>,
    Query(query): Query<Names>,
) -> Result<Response, Problem> {
    (deps.gate)(&headers)?;
    let names = split(query.names.as_deref());
    let answer = deps.reader.read(&entity, &id, &names).await?;
    Ok(shown(&answer, &headers))
}

fn pseudonym(deps: &CatalogueDeps, id: &str, brand: Option<&str>) -> Result<String, Problem> {
    let brand = brand.ok_or_else(|| {
        Problem::bad_request(
            "query `brand`",
            "is missing: readers are known within brands",
        )
    })?;
    let found = (deps.pseudonyms)(brand, id)
        .ok_or_else(|| Problem::bad_request("query `brand`", "is not a configured brand"))?;
    Ok(found.to_string())
}

async fn user(
    State(deps): Deps,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<Names>,
) -> Result<Response, Problem> {
    (deps.gate)(&headers)?;
    let reader = pseudonym(&deps, &id, query.brand.as_deref())?;
    let names = split(query.names.as_deref());
    let answer = deps.reader.read("reader", &reader, &names).await?;
    Ok(shown(&answer, &headers))
}

async fn user_preferences(
    State(deps): Deps,
    headers: HeaderMap,
    Path(id): Path<String>,
    Query(query): Query<Names>,
) -> Result<Response, Problem> {
    (deps.gate)(&headers)?;
    let reader = pseudonym(&deps, &id, query.brand.as_deref())?;
    let found = preferences(&deps.reader, &reader).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(found)).into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    entities: Vec<Wanted>,
    #[serde(default)]
    names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    entity: String,
    id: String,
}

async fn batch(
    State(deps): Deps,
    headers: HeaderMap,
    JsonBody(batch): JsonBody<Batch>,
) -> Result<Response, Problem> {
    (deps.gate)(&headers)?;
    if batch.entities.len() > BATCH_ENTITIES_MAX {
        return Err(Problem::bad_request(
            "entities",
            format!("holds more than {BATCH_ENTITIES_MAX}; ask in several batches"),
        ));
    }
    let mut found = Vec::with_capacity(batch.entities.len());
    for wanted in &batch.entities {
        let answer = deps
            .reader
            .read(&wanted.entity, &wanted.id, &batch.names)
            .await?;
        found.push(answer);
    }
    Ok((
        [(header::CACHE_CONTROL, "no-store")],
        axum::Json(json!({"entities": found})),
    )
        .into_response())
}

async fn replayed(
    State(deps): Deps,
    headers: HeaderMap,
    JsonBody(requests): JsonBody<Vec<ReplayRequest>>,
) -> Result<Response, Problem> {
    (deps.gate)(&headers)?;
    if requests.is_empty() || requests.len() > REPLAY_REQUESTS_MAX {
        return Err(Problem::bad_request(
            "requests",
            format!("are {}; send 1 to {REPLAY_REQUESTS_MAX}", requests.len()),
        ));
    }
    let rows = recompute::rows(&deps.reader, requests).await?;
    Ok(axum::Json(json!({"rows": rows})).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Compare {
    /// Entities compared at most, of each kind.
    entities: Option<usize>,
}

async fn compared(
    State(deps): Deps,
    headers: HeaderMap,
    JsonBody(compare): JsonBody<Compare>,
) -> Result<axum::Json<ParityReport>, Problem> {
    (deps.gate)(&headers)?;
    let most = compare.entities.unwrap_or(PARITY_ENTITIES_MAX);
    if !(1..=PARITY_ENTITIES_MAX).contains(&most) {
        return Err(Problem::bad_request(
            "entities",
            format!("is {most}; ask for 1 to {PARITY_ENTITIES_MAX}"),
        ));
    }
    Ok(axum::Json(parity::compare(&deps.reader, most).await?))
}
