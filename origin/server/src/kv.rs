//! The blob store as a KV namespace over HTTP, in the words workerd speaks to an external one.
//!
//! `GET /<percent-encoded key>?urlencoded=true` → 200 and the bytes (header `CF-KV-Metadata` where there is metadata),
//! 404 for none · `GET /?prefix=&cursor=&key_count_limit=` → a page of keys · `POST /bulk/get`. Read only: what edges
//! read is written by the publisher alone. No authentication, so it listens on loopback only.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use mediaflow_http::Problem;
use mediaflow_ports::{BlobStore, PortError};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

const METADATA: HeaderName = HeaderName::from_static("cf-kv-metadata");
/// Keys of one page at most, as Workers KV has it.
const PAGE_MAX: usize = 1000;
/// Keys of one bulk read at most, as Workers KV has it.
const BULK_MAX: usize = 100;

/// The namespace's routes.
pub fn routes(blobs: Arc<dyn BlobStore>) -> Router {
    Router::new()
        .route("/", get(list))
        .route("/bulk/get", post(bulk))
        .fallback(value)
        .with_state(blobs)
}

#[derive(Deserialize)]
struct Page {
    prefix: Option<String>,
    cursor: Option<String>,
    key_count_limit: Option<usize>,
}

fn failed(e: &PortError) -> Problem {
    tracing::warn!(error = %e, "the blob store failed");
    Problem::unavailable("the blob store", 1)
}

async fn value(
    State(blobs): State<Arc<dyn BlobStore>>,
    method: Method,
    uri: Uri,
) -> Result<Response, Problem> {
    if method != Method::GET {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "read-only",
            "This namespace is read only",
        )
        .input(format!("method {method}"))
        .reason("only the publisher writes what edges read")
        .remedy("use GET"));
    }
    let raw = uri.path().trim_start_matches('/');
    let key = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| Problem::bad_request("path", "is not percent-encoded UTF-8"))?;
    match blobs.get(&key).await.map_err(|e| failed(&e))? {
        None => Ok(StatusCode::NOT_FOUND.into_response()),
        Some(blob) => {
            let mut r = (StatusCode::OK, blob.value).into_response();
            r.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
            if let Some(m) = blob.metadata.and_then(|m| HeaderValue::from_str(&m).ok()) {
                r.headers_mut().insert(METADATA, m);
            }
            Ok(r)
        }
    }
}

async fn list(
    State(blobs): State<Arc<dyn BlobStore>>,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let limit = page.key_count_limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let cursor = page.cursor.as_deref().filter(|c| !c.is_empty());
    let found = blobs
        .list(page.prefix.as_deref().unwrap_or(""), cursor, limit)
        .await
        .map_err(|e| failed(&e))?;
    let keys: Vec<Value> = found
        .entries
        .iter()
        .map(|e| {
            let metadata: Option<Value> = e
                .metadata
                .as_deref()
                .and_then(|m| serde_json::from_str(m).ok());
            json!({"name": e.key, "expiration": e.expires_s, "metadata": metadata})
        })
        .collect();
    let complete = found.next.is_none();
    Ok(
        axum::Json(json!({"keys": keys, "list_complete": complete, "cursor": found.next}))
            .into_response(),
    )
}

#[derive(Deserialize)]
struct Bulk {
    keys: Vec<String>,
}

async fn bulk(State(blobs): State<Arc<dyn BlobStore>>, body: Bytes) -> Result<Response, Problem> {
    let ask: Bulk = serde_json::from_slice(&body)
        .map_err(|e| Problem::bad_request("body", e.to_string()).remedy("send {\"keys\":[…]}"))?;
    if ask.keys.len() > BULK_MAX {
        return Err(Problem::bad_request(
            "field `keys`",
            format!("more than {BULK_MAX} keys"),
        ));
    }
    let mut out = serde_json::Map::new();
    for key in ask.keys {
        let blob = blobs.get(&key).await.map_err(|e| failed(&e))?;
        // Bulk reads are text by contract; binary values are not offered this way.
        let text = blob.and_then(|b| String::from_utf8(b.value.to_vec()).ok());
        out.insert(key, text.map_or(Value::Null, Value::String));
    }
    Ok(axum::Json(Value::Object(out)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use mediaflow_ports::{Blob, Lane};
    use tower::ServiceExt;

    async fn ask(app: &Router, uri: &str) -> (StatusCode, Vec<u8>) {
        let r = app
            .clone()
            .oneshot(Request::get(uri).body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = r.status();
        (
            status,
            to_bytes(r.into_body(), 1 << 20).await.unwrap().to_vec(),
        )
    }

    #[tokio::test]
    async fn values_are_read_by_percent_encoded_key_and_listed_by_prefix() {
        let dir = tempfile::tempdir().unwrap();
        let db = mediaflow_embedded::Embedded::open(dir.path()).unwrap();
        let blobs = vec![
            Blob::new("f/daily/home", vec![0u8, 255, 1]),
            Blob::new("r/daily/home", "rules"),
        ];
        db.blobs().put_many(Lane::Fronts, blobs).await.unwrap();
        let app = routes(db.blobs());
        assert_eq!(
            ask(&app, "/f%2Fdaily%2Fhome?urlencoded=true").await,
            (StatusCode::OK, vec![0, 255, 1])
        );
        assert_eq!(
            ask(&app, "/f%2Fdaily%2Fnone?urlencoded=true").await.0,
            StatusCode::NOT_FOUND
        );
        let (_, page) = ask(&app, "/?prefix=f/").await;
        let page: Value = serde_json::from_slice(&page).unwrap();
        assert_eq!(page["keys"][0]["name"], "f/daily/home");
        assert_eq!(page["list_complete"], true);
        assert_eq!(ask(&app, "/%ff").await.0, StatusCode::BAD_REQUEST);
    }
}
