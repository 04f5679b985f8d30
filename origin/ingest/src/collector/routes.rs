//! `POST /v1/events` and `POST /v1/served`; other envelopes are in `sources`.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use mediaflow_http::body::{BodyLimits, read_bytes, utf8};
use mediaflow_http::{Problem, auth};
use mediaflow_ports::PortErrorKind;
use mediaflow_ports::fault::Point;
use std::sync::Arc;

use super::{Caller, Collector, Facts, Report, overload, sources};
use crate::error::IngestError;

/// Where an edge tells us the reader's user agent (its own is the edge's).
const READER_AGENT: &str = "x-reader-user-agent";
/// What a sender should wait when the log does not answer, seconds.
const RETRY_AFTER_S: u32 = 2;
/// What a sender should wait when log and spool are full, seconds: an outage of minutes.
const RETRY_AFTER_FULL_S: u32 = 30;

/// The collector's routes.
///
/// `POST /v1/events`: one CloudEvent (`application/cloudevents+json`, `application/json`,
/// `text/plain` of sendBeacon) or an array (`application/cloudevents-batch+json` or any of these),
/// at most 1 MB and 1,000 events, gzip allowed. 202 with
/// `{accepted, duplicates, rejected: [{index, reason, remedy}]}` once durable; 400 when all are bad.
///
/// `POST /v1/events/{envelope}` and the paths that other senders know: see [`sources`].
///
/// `POST /v1/served`: served records in MessagePack, with the edge's bearer token. 202 once durable.
pub fn routes(collector: Arc<Collector>) -> Router {
    Router::new()
        .route("/v1/events", post(events))
        .route("/v1/served", post(served))
        .merge(sources::routes())
        .with_state(collector)
}

async fn events(State(c): State<Arc<Collector>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    check_type(&parts.headers)?;
    let _held = overload::hold(&c, &parts.headers)?;
    let bytes = read_bytes(&parts.headers, body, BodyLimits::default()).await?;
    let text = utf8(&bytes)?;
    let caller = caller(&c, &parts);
    let report = c.collect(text, caller).await.map_err(problem)?;
    Point::Answering.pass();
    answer(report)
}

/// 202, or 400 when nothing of the body was of use.
pub(super) fn answer(report: Report) -> Result<Response, Problem> {
    let used = report.accepted + report.duplicates + report.ignored + report.items;
    if let (0, Some(first)) = (used, report.rejected.first()) {
        let rejected = serde_json::to_value(&report.rejected).unwrap_or_default();
        return Err(
            Problem::bad_request("every event of the body", first.refusal.reason.clone())
                .remedy(first.refusal.remedy.clone())
                .with("rejected", rejected),
        );
    }
    Ok((StatusCode::ACCEPTED, axum::Json(report)).into_response())
}

async fn served(State(c): State<Arc<Collector>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    auth::require_bearer(&parts.headers, &c.config.edge_token)?;
    let _held = overload::hold(&c, &parts.headers)?;
    let bytes = read_bytes(&parts.headers, body, BodyLimits::default()).await?;
    let accepted = c.take_served(bytes.into()).await.map_err(problem)?;
    let answer = serde_json::json!({ "accepted": accepted });
    Ok((StatusCode::ACCEPTED, axum::Json(answer)).into_response())
}

/// Binary-mode CloudEvents and forms would be misread as JSON, so they are refused by name.
fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let value = value.to_str().unwrap_or("");
    let kind = value
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let read = [
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/json",
        "text/plain",
    ];
    if read.contains(&kind.as_str()) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(
        format!("header `Content-Type: {kind}`"),
        format!("send one of {}", read.join(", ")),
    ))
}

fn caller(c: &Collector, parts: &Parts) -> Caller {
    let edge = auth::has_bearer(&parts.headers, &c.config.edge_token);
    let text = |name| parts.headers.get(name).and_then(|v| v.to_str().ok());
    let (agent, address) = match text(READER_AGENT) {
        Some(agent) if edge => (Some(agent), None),
        // An edge that forwards no agent has already judged it (`data.bot`).
        None if edge => (None, None),
        _ => (
            text(header::USER_AGENT.as_str()),
            sources::address(c, parts),
        ),
    };
    let facts = c.config.collect.facts(agent, address);
    Caller {
        edge,
        bot: facts.bot,
        facts: (facts != Facts::default()).then(|| Arc::new(facts)),
        ..Caller::default()
    }
}

pub(super) fn problem(e: IngestError) -> Problem {
    match e {
        IngestError::Malformed {
            input,
            reason,
            remedy,
        } => Problem::bad_request(input, reason).remedy(remedy),
        IngestError::Port(e) if e.kind() == PortErrorKind::Full => {
            Problem::unavailable("event log and spool, which are full", RETRY_AFTER_FULL_S)
        }
        other => {
            tracing::error!(error = %other, "events were not stored; the sender is asked to retry");
            Problem::unavailable("event log", RETRY_AFTER_S)
        }
    }
}
