//! Routes of content: `POST /webhooks/{source}`, `POST /v1/ugc`, `POST /v1/ugc/{id}/moderation`.

use axum::Router;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use mediaflow_http::body::{BodyLimits, check_depth, read_bytes, utf8};
use mediaflow_http::{JsonBody, Problem, Secret, auth};
use mediaflow_shared::id::ContentId;
use serde::Deserialize;
use std::sync::Arc;

use crate::error::IngestError;
use crate::ugc::{Submission, Ugc, UgcError, Verdict};
use crate::webhook::{WebhookError, Webhooks};

/// A CMS pushes one post; with its media as base64 some are large.
const WEBHOOK_LIMITS: BodyLimits = BodyLimits {
    wire_bytes_max: 8 << 20,
    expanded_bytes_max: 16 << 20,
};
/// What a sender should wait when a store does not answer, seconds.
const RETRY_AFTER_S: u32 = 2;

/// `POST /webhooks/{source}`: 202 with `{new, duplicates}` once durable; 401 forged, 409 replayed.
pub fn webhook_routes(webhooks: Arc<Webhooks>) -> Router {
    Router::new()
        .route("/webhooks/{source}", post(webhook))
        .with_state(webhooks)
}

struct UgcState {
    ugc: Arc<Ugc>,
    submit: Secret,
    moderate: Secret,
}

/// `POST /v1/ugc` (bearer `submit`): 202 with `{content_id, status: "pending"}`.
/// `POST /v1/ugc/{content_id}/moderation` (bearer `moderate`) with `{verdict: "approve" | "reject"}`: 200.
pub fn ugc_routes(ugc: Arc<Ugc>, submit: Secret, moderate: Secret) -> Router {
    Router::new()
        .route("/v1/ugc", post(submission))
        .route("/v1/ugc/{content_id}/moderation", post(moderation))
        .with_state(Arc::new(UgcState {
            ugc,
            submit,
            moderate,
        }))
}

async fn webhook(
    State(w): State<Arc<Webhooks>>,
    Path(source): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = read_bytes(&parts.headers, body, WEBHOOK_LIMITS).await?;
    let headers: HeaderMap = parts.headers;
    check_depth(utf8(&bytes)?)?;
    let taken = w
        .take(&source, &headers, &bytes)
        .await
        .map_err(webhook_problem)?;
    let answer = serde_json::json!({ "new": taken.new, "duplicates": taken.duplicates });
    Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
}

fn webhook_problem(e: WebhookError) -> Problem {
    match e {
        WebhookError::Unknown => Problem::not_found("path segment `source`", e.to_string())
            .remedy("use the slug of a source that has a webhook secret"),
        WebhookError::Forged(why) => Problem::new(
            StatusCode::UNAUTHORIZED,
            "forged-delivery",
            "The delivery is not accepted",
        )
        .input("delivery headers")
        .reason(why)
        .remedy(
            "sign timestamp, a dot and the body with this source's secret, and send it at once",
        ),
        WebhookError::Replayed => Problem::conflict("header `X-MediaFlow-Delivery`", e.to_string())
            .remedy("nothing needs to be done; give each new delivery an id of its own"),
        WebhookError::Malformed(why) => {
            Problem::bad_request("body", why).remedy("send what the source's kind describes")
        }
        WebhookError::Ingest(e) => stored(e),
    }
}

fn stored(e: IngestError) -> Problem {
    match e {
        IngestError::Malformed {
            input,
            reason,
            remedy,
        } => Problem::unprocessable(input, reason).remedy(remedy),
        other => {
            tracing::error!(error = %other, "content was not stored; the sender is asked to retry");
            Problem::unavailable("content store", RETRY_AFTER_S)
        }
    }
}

async fn submission(
    State(s): State<Arc<UgcState>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    auth::require_bearer(&headers, &s.submit)?;
    let JsonBody(submission) = body::<Submission>(request).await?;
    let random = getrandom::u64().map_err(|_| Problem::unavailable("randomness", RETRY_AFTER_S))?;
    let id = s
        .ugc
        .submit(submission, random)
        .await
        .map_err(ugc_problem)?;
    let answer = serde_json::json!({ "content_id": id, "status": "pending" });
    Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
}

#[derive(Deserialize)]
struct Moderation {
    verdict: Verdict,
}

async fn moderation(
    State(s): State<Arc<UgcState>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    auth::require_bearer(&headers, &s.moderate)?;
    let id = ContentId::parse(&id)
        .map_err(|e| Problem::bad_request("path segment `content_id`", e.to_string()))?;
    let JsonBody(m) = body::<Moderation>(request).await?;
    let status = s.ugc.moderate(id, m.verdict).await.map_err(ugc_problem)?;
    Ok(axum::Json(serde_json::json!({ "content_id": id, "status": status })).into_response())
}

/// After the token was checked: strangers must not make us read bodies.
async fn body<T: serde::de::DeserializeOwned>(request: Request) -> Result<JsonBody<T>, Problem> {
    JsonBody::from_request(request, &()).await
}

fn ugc_problem(e: UgcError) -> Problem {
    match e {
        UgcError::Field { field, reason } => {
            Problem::unprocessable(format!("field `{field}`"), reason)
        }
        UgcError::Unknown(_) => Problem::not_found("path segment `content_id`", e.to_string())
            .remedy("use the content_id that POST /v1/ugc answered"),
        UgcError::Ingest(e) => stored(e),
    }
}

#[cfg(test)]
mod tests;
