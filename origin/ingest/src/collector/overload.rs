//! Bounded memory: a body is read only once there is room for all of it.

use axum::http::{HeaderMap, header};
use mediaflow_http::Problem;
use mediaflow_http::limits::{BODY_BYTES_MAX, EXPANDED_BYTES_MAX};
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

use super::Collector;

/// What a sender should wait for room, seconds: bodies are held for milliseconds.
const RETRY_AFTER_S: u32 = 1;

/// Room for this request's body until dropped.
pub(super) fn hold(c: &Collector, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Problem> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<usize>().ok())
        .unwrap_or(BODY_BYTES_MAX)
        .min(BODY_BYTES_MAX);
    let expanded = EXPANDED_BYTES_MAX / BODY_BYTES_MAX;
    let bytes = if headers.contains_key(header::CONTENT_ENCODING) {
        length.saturating_mul(expanded)
    } else {
        length
    };
    // One body always fits, whatever the limit says.
    let bytes = bytes.min(c.config.collect.inflight_bytes_max);
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    Arc::clone(&c.inflight)
        .try_acquire_many_owned(permits)
        .map_err(|_| {
            c.counters.overload.inc();
            Problem::unavailable(
                "collector, which holds as many bytes as it may",
                RETRY_AFTER_S,
            )
        })
}
