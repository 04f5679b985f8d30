//! Asking a source over HTTP, within limits, with errors that say what to do.

use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use std::time::Duration;
use url::Url;

use crate::error::{IngestError, IngestResult};
use crate::limits::{FETCH_BYTES_MAX, FETCH_TIMEOUT_S};
use crate::source::SourceConfig;

/// Says who asks, so that a publisher's operators find us in their logs.
const AGENT: &str = concat!("MediaFlow/", env!("CARGO_PKG_VERSION"), " (content ingest)");

/// A client for one source. Cheap to clone.
#[derive(Clone)]
pub struct Fetch {
    client: Client,
    source: String,
    authorization: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Fetched {
    /// 200, or 304 when the caller sent validators.
    pub status: StatusCode,
    /// Response headers.
    pub headers: HeaderMap,
    /// Body, at most 32 MB.
    pub body: Vec<u8>,
}

impl Fetch {
    /// A client for `source` that sends `authorization` where given.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(source: &SourceConfig, authorization: Option<String>) -> IngestResult<Self> {
        let client = Client::builder()
            .user_agent(AGENT)
            .timeout(Duration::from_secs(FETCH_TIMEOUT_S))
            .build()
            .map_err(|e| IngestError::config("HTTP client", e.to_string()))?;
        Ok(Self {
            client,
            source: source.slug.clone(),
            authorization,
        })
    }

    /// Gets `url`. `accept` names the wanted type, `validators` are conditional headers.
    ///
    /// # Errors
    /// [`IngestError::Fetch`] unless the answer is 200 or 304.
    pub async fn get(
        &self,
        url: &Url,
        accept: &str,
        validators: HeaderMap,
    ) -> IngestResult<Fetched> {
        let mut request = self
            .client
            .get(url.clone())
            .header("accept", accept)
            .headers(validators);
        if let Some(a) = &self.authorization {
            request = request.header(AUTHORIZATION, a);
        }
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status != StatusCode::OK && status != StatusCode::NOT_MODIFIED {
            return Err(self.refused(status, response.headers()));
        }
        let headers = response.headers().clone();
        let body = self.body(response).await?;
        Ok(Fetched {
            status,
            headers,
            body,
        })
    }

    async fn body(&self, response: Response) -> IngestResult<Vec<u8>> {
        let mut body = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| self.unreachable(&e))?;
            if body.len() + chunk.len() > FETCH_BYTES_MAX {
                return Err(self.error(
                    format!("its answer is larger than {FETCH_BYTES_MAX} bytes"),
                    "ask the CMS for smaller pages",
                    None,
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, e: &reqwest::Error) -> IngestError {
        let what = match () {
            () if e.is_timeout() => "did not answer in time",
            () if e.is_connect() => "cannot be reached",
            () => "broke the connection off",
        };
        // The error of the client may name the URL with its query, so only the innermost cause is kept.
        let mut cause: &dyn std::error::Error = e;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        self.error(
            format!("{what} ({cause})"),
            "check base_url and that the CMS is up",
            None,
        )
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap) -> IngestError {
        let retry_after_s = headers
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.trim().parse().ok());
        let remedy = match status.as_u16() {
            401 | 403 => "check the variable named by authorization_env",
            404 | 410 => "check base_url: nothing is there",
            429 | 503 => "it asks for patience; raise poll_interval_s if this goes on",
            _ => "look at the CMS's own log",
        };
        self.error(format!("answered {status}"), remedy, retry_after_s)
    }

    /// An error of this source.
    pub(crate) fn error(
        &self,
        reason: impl Into<String>,
        remedy: impl Into<String>,
        retry_after_s: Option<u64>,
    ) -> IngestError {
        IngestError::Fetch {
            source_slug: self.source.clone(),
            reason: reason.into(),
            remedy: remedy.into(),
            retry_after_s,
        }
    }

    /// Parses a JSON answer.
    ///
    /// # Errors
    /// [`IngestError::Fetch`] saying that it is no JSON.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, body: &[u8]) -> IngestResult<T> {
        serde_json::from_slice(body).map_err(|e| {
            self.error(
                format!("its answer is not the JSON we expect ({e})"),
                "check base_url; a page of HTML in its place often is a login or an error page",
                None,
            )
        })
    }
}
