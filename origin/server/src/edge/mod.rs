//! The edge in this process: the same core as the workers, over axum and the process's own blob store.
//!
//! The floor that the WASM edges are measured against, and the way to serve without any of them.

mod platform;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response as HttpResponse;
use mediaflow_edge_core::{Edge, Headers, Request, Response, http, limits};
use std::sync::Arc;

pub use platform::Native;

/// The edge's routes: every path goes to the core.
pub fn routes(edge: Arc<Edge>, platform: Arc<Native>) -> Router {
    Router::new().fallback(handle).with_state((edge, platform))
}

async fn handle(
    State((edge, platform)): State<(Arc<Edge>, Arc<Native>)>,
    request: HttpRequest,
) -> HttpResponse {
    let request = translate(request).await;
    let mut response = edge.handle(&*platform, request).await;
    for work in std::mem::take(&mut response.deferred) {
        let (edge, platform) = (Arc::clone(&edge), Arc::clone(&platform));
        tokio::spawn(async move { edge.run_deferred(&*platform, work).await });
    }
    respond(response)
}

async fn translate(request: HttpRequest) -> Request {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let wanted = http::wanted(parts.method.as_str(), &path);
    let headers: Headers = wanted
        .iter()
        .filter_map(|name| Some((*name, parts.headers.get(*name)?.to_str().ok()?.to_owned())))
        .collect();
    // A body over the limit is cut one byte after it: the core refuses it by its length.
    let body = read(body, limits::BODY_BYTES_MAX + 1).await;
    let country = parts
        .headers
        .get("cf-ipcountry")
        .and_then(|v| v.as_bytes().try_into().ok());
    Request {
        method: parts.method.as_str().to_owned(),
        path,
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
        country,
    }
}

async fn read(body: Body, bytes_max: usize) -> Vec<u8> {
    use futures_util::StreamExt as _;
    let mut out = Vec::new();
    let mut stream = body.into_data_stream();
    while let Some(Ok(chunk)) = stream.next().await {
        let room = bytes_max.saturating_sub(out.len());
        out.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if out.len() >= bytes_max {
            break;
        }
    }
    out
}

fn respond(response: Response) -> HttpResponse {
    let mut r = HttpResponse::new(Body::from(response.body));
    *r.status_mut() =
        StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            r.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    r
}
