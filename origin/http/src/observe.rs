//! One log line, one id and two metrics per request, without personal data.

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument;

use crate::limits::REQUEST_ID_BYTES_MAX;
use crate::{Metrics, Problem, trace};

/// The header by which a request can be found in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps a finished router: request id (a caller's own is kept when it is 1 to 64 of
/// `[A-Za-z0-9._-]`), a structured log line with method, route pattern, status and duration, the
/// metrics `mediaflow_http_requests_total` and `mediaflow_http_request_seconds`, problem documents for unknown paths and
/// methods, and a 500 problem for a handler that panics.
///
/// Logged is the route's pattern, never the path, the query, a header or an address.
pub fn observe(router: Router, metrics: &Metrics) -> Router {
    let requests = metrics.counter(
        "http_requests_total",
        "Requests by method, route pattern and status.",
        &["method", "route", "status"],
    );
    let seconds = metrics.histogram_s(
        "http_request_seconds",
        "Seconds until the response began.",
        &["route"],
    );
    let ids = std::sync::Arc::new(Ids::new());
    let layer = middleware::from_fn(move |request: Request, next: Next| {
        let (requests, seconds, ids) = (requests.clone(), seconds.clone(), ids.clone());
        async move {
            let started = Instant::now();
            let method = method_label(request.method());
            let route = request
                .extensions()
                .get::<MatchedPath>()
                .map_or_else(|| "unmatched".to_owned(), |p| p.as_str().to_owned());
            let id = callers_id(&request).unwrap_or_else(|| ids.next());
            // What a scraper or a supervisor asks is nobody's trace.
            let traced = match route.as_str() {
                "/metrics" | "/healthz" | "/readyz" => None,
                _ => {
                    let sent = request.headers().get(trace::TRACEPARENT);
                    let sent = sent.map(HeaderValue::as_bytes);
                    trace::request(|| format!("{method} {route}"), sent)
                }
            };
            let parent = traced.as_ref().map(trace::Request::parent);
            let span = tracing::info_span!("request", id = %id.to_str().unwrap_or(""));
            let mut response = AssertUnwindSafe(trace::within(
                parent,
                next.run(request).instrument(span.clone()),
            ))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Problem::internal().into_response());
            let status = response.status();
            if let Some(traced) = traced {
                traced.end(status.as_u16());
            }
            let took = started.elapsed();
            requests
                .with_label_values(&[method, route.as_str(), status.as_str()])
                .inc();
            seconds
                .with_label_values(&[route.as_str()])
                .observe(took.as_secs_f64());
            let duration_ms = took.as_secs_f64() * 1_000.0;
            span.in_scope(|| {
                if status.is_server_error() {
                    tracing::warn!(
                        method,
                        route,
                        status = status.as_u16(),
                        duration_ms,
                        "request"
                    );
                } else {
                    tracing::debug!(
                        method,
                        route,
                        status = status.as_u16(),
                        duration_ms,
                        "request"
                    );
                }
            });
            response.headers_mut().insert(REQUEST_ID, id);
            response
        }
    });
    router
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(layer)
}

/// Wraps the router of a native edge: the histogram `mediaflow_feed_seconds` by rung of what carries a rung, and
/// `mediaflow_edge_responses_total` by status. No id and no log line: an edge answers more often than anything else.
pub fn observe_edge(router: Router, metrics: &Metrics) -> Router {
    let seconds = metrics.histogram_s(
        "feed_seconds",
        "Seconds until the native edge answered with a feed, by rung of the ladder.",
        &["rung"],
    );
    let seconds = RUNGS.map(|rung| seconds.with_label_values(&[rung]));
    let responses = metrics.counter(
        "edge_responses_total",
        "Responses of the native edge by status.",
        &["status"],
    );
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let (seconds, responses) = (seconds.clone(), responses.clone());
        async move {
            let started = Instant::now();
            let response = next.run(request).await;
            let status = response.status();
            responses.with_label_values(&[status.as_str()]).inc();
            let rung = response.headers().get(RUNG).map(HeaderValue::as_bytes);
            let rung = RUNGS.iter().position(|r| Some(r.as_bytes()) == rung);
            if let Some(seconds) = rung.and_then(|rung| seconds.get(rung)) {
                seconds.observe(started.elapsed().as_secs_f64());
            }
            response
        }
    }))
}

/// The header by which an edge tells the rung it served.
const RUNG: HeaderName = HeaderName::from_static("mediaflow-rung");
const RUNGS: [&str; 5] = ["0", "1", "2", "3", "4"];

/// A closed set: a client can invent methods, and each label value costs memory for good.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

async fn not_found() -> Response {
    Problem::not_found("path", "no route has this path").into_response()
}

async fn wrong_method() -> Response {
    Problem::new(
        axum::http::StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "The path has no such method",
    )
    .input("method")
    .reason("this path does not answer it")
    .remedy("use one of the methods in the header `Allow`")
    .into_response()
}

fn callers_id(request: &Request) -> Option<HeaderValue> {
    let value = request.headers().get(&REQUEST_ID)?;
    let ok = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
        && value
            .as_bytes()
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    ok.then(|| value.clone())
}

/// Ids that are unique enough to find a line in a log: a random start per process, then counted.
struct Ids {
    start: u64,
    count: AtomicU64,
}

impl Ids {
    fn new() -> Self {
        // Without randomness ids of two processes may meet, which only makes a log harder to read.
        let start = getrandom::u64().unwrap_or(0);
        Self {
            start,
            count: AtomicU64::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        let n = self
            .start
            .wrapping_add(self.count.fetch_add(1, Ordering::Relaxed));
        HeaderValue::from_str(&format!("{n:016x}"))
            .unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    fn app(m: &Metrics) -> Router {
        let r = Router::new()
            .route("/a/{id}", get(|| async { "a" }))
            .route("/boom", get(|| async { panic!("defect") as &'static str }));
        observe(r, m)
    }

    async fn send(app: &Router, req: axum::http::request::Builder) -> Response {
        app.clone()
            .oneshot(req.body(Body::empty()).unwrap())
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn metrics_show_patterns_not_paths() {
        let m = Metrics::new();
        let app = app(&m);
        let r = send(&app, Request::get("/a/alice?token=x")).await;
        assert_eq!(r.status(), 200);
        let text = m.render();
        assert!(text.contains("route=\"/a/{id}\""), "{text}");
        assert!(!text.contains("alice"));
    }

    #[tokio::test]
    async fn ids_are_kept_when_harmless_and_replaced_otherwise() {
        let app = app(&Metrics::new());
        let r = send(&app, Request::get("/a/1").header("x-request-id", "abc-1")).await;
        assert_eq!(r.headers()["x-request-id"], "abc-1");
        let r = send(&app, Request::get("/a/1").header("x-request-id", "a b")).await;
        assert_eq!(r.headers()["x-request-id"].len(), 16);
    }

    #[tokio::test]
    async fn unknown_paths_methods_and_panics_are_problems() {
        let app = app(&Metrics::new());
        for (req, status) in [
            (Request::get("/nowhere"), 404),
            (Request::delete("/a/1"), 405),
            (Request::get("/boom"), 500),
        ] {
            let r = send(&app, req).await;
            assert_eq!(r.status(), status);
            assert_eq!(r.headers()["content-type"], "application/problem+json");
        }
    }
}
