//! A Workers KV namespace over HTTP, in the protocol that workerd speaks to one: the key is one
//! percent-encoded path segment, 404 means there is none.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{StoreError, encoded};
use crate::limits::{KEYS_LISTED_MAX, STORE_TIMEOUT, VALUE_BYTES_MAX};

/// Keys per page of a listing, the most Workers KV gives.
const KEYS_PER_PAGE: usize = 1000;

/// A namespace served over HTTP.
#[derive(Debug, Clone)]
pub struct Namespace {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Namespace {
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
        let refused = |reason: String| StoreError::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|e| refused(format!("{e}")))?;
        if uri.query().is_some() {
            return Err(refused("a query string does not belong here".to_owned()));
        }
        // It would neither be sent nor stay out of the log.
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(StoreError::Url {
                url: "http://…@…".to_owned(),
                reason: "a user or password does not belong here".to_owned(),
            });
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(STORE_TIMEOUT));
        connector.set_nodelay(true);
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            client: Client::builder(TokioExecutor::new()).build(connector),
        })
    }

    pub(super) async fn read(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let response = self.send(Method::GET, key, Bytes::new()).await?;
        match response.status() {
            StatusCode::OK => body(response).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(unexpected(status, "reading", key)),
        }
    }

    pub(super) async fn write(&self, key: &str, value: Bytes) -> Result<(), StoreError> {
        let response = self.send(Method::PUT, key, value).await?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(unexpected(status, "writing", key)),
        }
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let response = self.send(Method::DELETE, key, Bytes::new()).await?;
        match response.status() {
            status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
            status => Err(unexpected(status, "deleting", key)),
        }
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let mut keys = Vec::new();
        let mut cursor = String::new();
        loop {
            let after = match cursor.as_str() {
                "" => String::new(),
                cursor => format!("&cursor={}", encoded(cursor)),
            };
            let url = format!("{}/?key_count_limit={KEYS_PER_PAGE}{after}", self.base);
            let response = self.request(Method::GET, &url, Bytes::new()).await?;
            if response.status() != StatusCode::OK {
                return Err(unexpected(response.status(), "listing", ""));
            }
            let page: serde_json::Value = serde_json::from_slice(&body(response).await?)
                .map_err(|e| StoreError::Failed(format!("listing is not JSON: {e}")))?;
            let names = page["keys"].as_array().into_iter().flatten();
            keys.extend(names.filter_map(|key| key["name"].as_str().map(str::to_owned)));
            match page["cursor"].as_str() {
                Some(next)
                    if page["list_complete"] == false
                        && !next.is_empty()
                        && keys.len() < KEYS_LISTED_MAX =>
                {
                    next.clone_into(&mut cursor);
                }
                _ => break,
            }
        }
        keys.truncate(KEYS_LISTED_MAX);
        Ok(keys)
    }

    async fn send(
        &self,
        method: Method,
        key: &str,
        value: Bytes,
    ) -> Result<Response<Incoming>, StoreError> {
        let url = format!("{}/{}?urlencoded=true", self.base, encoded(key));
        self.request(method, &url, value).await
    }

    async fn request(
        &self,
        method: Method,
        url: &str,
        value: Bytes,
    ) -> Result<Response<Incoming>, StoreError> {
        let request = Request::builder()
            .method(method)
            .uri(url)
            .body(Full::new(value))
            .map_err(|e| StoreError::Failed(format!("{url}: {e}")))?;
        self.client
            .request(request)
            .await
            .map_err(|e| StoreError::Failed(format!("{self}: {}", causes(&e))))
    }
}

/// An error with its causes, since hyper's own message stops at "client error (Connect)".
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

async fn body(response: Response<Incoming>) -> Result<Bytes, StoreError> {
    Limited::new(response.into_body(), VALUE_BYTES_MAX)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|e| StoreError::Failed(format!("body: {e}")))
}

fn unexpected(status: StatusCode, doing: &str, key: &str) -> StoreError {
    StoreError::Failed(format!("{doing} {key:?} answered {status}"))
}

impl std::fmt::Display for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let error = Namespace::new("http://me:hush@origin/kv").unwrap_err();
        assert!(!error.to_string().contains("hush"), "{error}");
    }
}
