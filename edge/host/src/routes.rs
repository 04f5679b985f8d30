//! Every HTTP answer that the host itself gives. All other answers, `/healthz` too, are the
//! component's.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::{ExpirationError, InstantiationError};

use crate::limits::{INSTANCE_WALL_MAX, RETRY_AFTER_S};
use crate::turns::Turn;

/// Why the component's answer is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Too many requests are inside already.
    Busy,
    /// The guest used up its CPU and was stopped.
    OutOfCpu,
    /// No answer within the wall clock.
    Late,
    /// The guest trapped or broke the protocol.
    Failed,
}

impl Missing {
    /// Tells the causes of `error` apart.
    pub fn from_error(error: &wasmtime::Error, out_of_cpu: bool, late: bool) -> Self {
        if error.is::<InstantiationError<Turn>>() {
            Self::Busy
        } else if out_of_cpu {
            Self::OutOfCpu
        } else if late || error.is::<ExpirationError>() {
            Self::Late
        } else {
            Self::Failed
        }
    }
}

/// The answer in the component's stead: a problem document (RFC 9457) that is never cached.
pub fn instead(missing: Missing) -> Response<WasiBody> {
    let (status, detail) = match missing {
        Missing::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests are being answered; try again shortly".to_owned(),
        ),
        Missing::OutOfCpu => (
            StatusCode::SERVICE_UNAVAILABLE,
            "this request used up its computing time and was stopped".to_owned(),
        ),
        Missing::Late => (
            StatusCode::GATEWAY_TIMEOUT,
            format!("no answer within {} s", INSTANCE_WALL_MAX.as_secs()),
        ),
        Missing::Failed => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the component failed on this request; the reason is in the host's log".to_owned(),
        ),
    };
    let document = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let body = Full::new(Bytes::from(document.to_string()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_host_says_when_to_come_back() {
        let response = instead(Missing::Busy);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(document["status"], 503);
    }

    #[test]
    fn a_trap_is_neither_late_nor_out_of_cpu() {
        let error = wasmtime::format_err!("unreachable");
        assert_eq!(Missing::from_error(&error, false, false), Missing::Failed);
        assert_eq!(Missing::from_error(&error, true, false), Missing::OutOfCpu);
        assert_eq!(Missing::from_error(&error, false, true), Missing::Late);
    }
}
