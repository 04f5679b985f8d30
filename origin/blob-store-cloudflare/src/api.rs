//! Calls to the REST API: authorization, time limits, retries with backoff and jitter.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mediaflow_ports::{PortError, PortErrorKind, PortResult};

use crate::limits::{ANSWER_BYTES_MAX, BACKOFF_MAX, CALL_TIMEOUT, RETRY_AFTER_MAX, TRIES_MAX};
use crate::wire::Envelope;
use crate::{CloudflareConfig, TOKEN_VARIABLE};

/// Cloudflare's error code of a 404 that is not about a key.
const NAMESPACE_NOT_FOUND: i64 = 10_013;

pub(crate) struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    config: CloudflareConfig,
}

/// A 200.
pub(crate) struct Answer {
    pub body: Bytes,
    /// The header `Expiration` of a value.
    pub expires_s: Option<i64>,
}

impl Api {
    pub fn new(config: CloudflareConfig) -> PortResult<Self> {
        // The provider is named here, so that no process-wide default is needed or changed.
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())
            .map_err(|e| {
                let message = "the machine's certificates cannot be read; install ca-certificates";
                PortError::new(PortErrorKind::Unavailable, message).with_source(e)
            })?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            config,
        })
    }

    /// Account and namespace, for messages.
    pub fn place(&self) -> String {
        format!(
            "cloudflare://{}/{}",
            self.config.account, self.config.namespace
        )
    }

    /// A call that must succeed, retried while that makes sense.
    pub async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> PortResult<Bytes> {
        match self.retried(&method, path, body).await? {
            Some(answer) => Ok(answer.body),
            None => Err(self.error(
                PortErrorKind::NotFound,
                "the namespace does not exist; check both ids of the uri",
            )),
        }
    }

    /// A read; `None` when the key does not exist.
    pub async fn read(&self, path: &str) -> PortResult<Option<Answer>> {
        self.retried(&Method::GET, path, None).await
    }

    /// A pause before the try after `tried`: exponential, a random half of it taken off.
    pub async fn pause(&self, tried: u32) {
        let longest = self
            .config
            .backoff_first
            .saturating_mul(1 << (tried - 1).min(16));
        let longest_ms = longest.min(BACKOFF_MAX).as_millis() as u64;
        let jitter_ms = (self.config.random)() % (longest_ms / 2 + 1);
        tokio::time::sleep(Duration::from_millis(longest_ms - jitter_ms)).await;
    }

    async fn retried(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> PortResult<Option<Answer>> {
        let mut tried = 1;
        loop {
            let error = match self.once(method, path, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if tried == TRIES_MAX || !error.is_retryable() {
                return Err(error);
            }
            tracing::warn!(%error, tried, "trying cloudflare again");
            match error.kind() {
                PortErrorKind::Throttled { retry_after_s } if retry_after_s > 0 => {
                    let asked = Duration::from_secs(retry_after_s);
                    if asked > RETRY_AFTER_MAX {
                        return Err(error);
                    }
                    tokio::time::sleep(asked).await;
                }
                _ => self.pause(tried).await,
            }
            tried += 1;
        }
    }

    async fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<Bytes>,
    ) -> PortResult<Option<Answer>> {
        let CloudflareConfig {
            account,
            namespace,
            token,
            api_base,
            ..
        } = &self.config;
        let uri = format!("{api_base}/accounts/{account}/storage/kv/namespaces/{namespace}/{path}");
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|e| {
                let message = "the api base url is malformed; write it like https://host/path";
                self.error(PortErrorKind::Invalid, message).with_source(e)
            })?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|e| {
                let message = "cannot be reached; check the network, then retry";
                self.error(PortErrorKind::Unavailable, message)
                    .with_source(e)
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|e| {
                    let message = "the connection was cut within an answer; retry";
                    self.error(PortErrorKind::Unavailable, message)
                        .with_source(e)
                })?;
            self.judge(path, &head, body.to_bytes())
        };
        tokio::time::timeout(CALL_TIMEOUT, exchange)
            .await
            .map_err(|_| {
                let message = format!("no answer within {} s; retry", CALL_TIMEOUT.as_secs());
                self.error(PortErrorKind::Unavailable, &message)
            })?
    }

    fn judge(
        &self,
        path: &str,
        head: &http::response::Parts,
        body: Bytes,
    ) -> PortResult<Option<Answer>> {
        let number = |name: &str| {
            head.headers
                .get(name)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.trim().parse().ok())
        };
        let notice = || {
            let envelope: Envelope<serde::de::IgnoredAny> = serde_json::from_slice(&body).ok()?;
            envelope.errors.into_iter().next()
        };
        let code = || notice().map(|n| n.code);
        let why = || {
            notice().map_or_else(
                || head.status.to_string(),
                |n| format!("{} ({}: {})", head.status, n.code, n.message),
            )
        };
        let refuse = |kind, remedy: &str| Err(self.error(kind, &format!("{}; {remedy}", why())));
        match head.status {
            StatusCode::OK => {
                // A value comes bare; everything else in an envelope.
                let failed = !path.starts_with("values/")
                    && serde_json::from_slice::<Envelope<serde::de::IgnoredAny>>(&body)
                        .is_ok_and(|envelope| !envelope.success);
                if failed {
                    return refuse(PortErrorKind::Unavailable, "retry");
                }
                Ok(Some(Answer {
                    body,
                    expires_s: number("expiration"),
                }))
            }
            StatusCode::NOT_FOUND if code() == Some(NAMESPACE_NOT_FOUND) => {
                refuse(PortErrorKind::NotFound, "check both ids of the uri")
            }
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refuse(
                PortErrorKind::Unauthorized,
                &format!("set {TOKEN_VARIABLE} to a token with Workers KV Storage Write"),
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                let retry_after_s = number(RETRY_AFTER.as_str()).map_or(0, i64::unsigned_abs);
                refuse(
                    PortErrorKind::Throttled { retry_after_s },
                    "slow down, then retry",
                )
            }
            StatusCode::PAYLOAD_TOO_LARGE => refuse(PortErrorKind::TooLarge, "send less at once"),
            status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                refuse(PortErrorKind::Unavailable, "retry")
            }
            _ => refuse(
                PortErrorKind::Invalid,
                "cloudflare does not take this request",
            ),
        }
    }

    fn error(&self, kind: PortErrorKind, message: &str) -> PortError {
        PortError::new(kind, format!("{}: {message}", self.place()))
    }
}

/// The same refusal for another key.
pub(crate) fn same(error: &PortError) -> PortError {
    PortError::new(error.kind(), error.to_string())
}
