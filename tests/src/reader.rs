//! Somebody with a browser: cookies kept, consent given, feeds read, events sent.

use crate::{Origin, until};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use mediaflow_shared::event::Event;
use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// A browser in front of an edge.
#[derive(Debug, Clone)]
pub struct Reader {
    /// With a cookie jar.
    pub client: Client,
    edge: String,
}

/// An answer of the feed route.
#[derive(Debug)]
pub struct Feed {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The document; null when it is none.
    pub body: Value,
}

impl Feed {
    /// The items, in order.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        self.body["items"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let id = |i: &Value| i["id"].as_str().unwrap_or("").to_owned();
        self.items().iter().map(id).collect()
    }

    /// The header `MediaFlow-Rung`.
    #[must_use]
    pub fn rung(&self) -> &str {
        self.header("mediaflow-rung")
    }

    /// A header, empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|v| v.to_str().ok()).unwrap_or("")
    }
}

impl Reader {
    /// Somebody new.
    #[must_use]
    pub fn new(origin: &Origin) -> Self {
        Self::at(&origin.edge)
    }

    /// Somebody new at an edge of this address.
    #[must_use]
    pub fn at(edge: &str) -> Self {
        let client = Client::builder().cookie_store(true).build().unwrap();
        let edge = edge.to_owned();
        Self { client, edge }
    }

    /// The same browser at another edge: cookies know hosts, not ports.
    #[must_use]
    pub fn moved(&self, origin: &Origin) -> Self {
        let edge = origin.edge.clone();
        Self {
            client: self.client.clone(),
            edge,
        }
    }

    /// The feed of brand `daily`, surface `home`.
    pub async fn feed(&self, query: &str) -> Feed {
        self.feed_at("daily/home", query).await
    }

    /// The feed of another surface.
    pub async fn feed_at(&self, place: &str, query: &str) -> Feed {
        let url = format!("{}/v1/feed/{place}?{query}", self.edge);
        let r = self.client.get(url).send().await.unwrap();
        let (status, headers) = (r.status(), r.headers().clone());
        let body = r.json().await.unwrap_or(Value::Null);
        Feed {
            status,
            headers,
            body,
        }
    }

    /// The ids of the whole feed, page after page.
    pub async fn all_ids(&self) -> Vec<String> {
        let mut ids = Vec::new();
        let mut url = format!("{}/v1/feed/daily/home?limit=100", self.edge);
        loop {
            let r = self.client.get(&url).send().await.unwrap();
            assert_eq!(r.status(), StatusCode::OK);
            let body: Value = r.json().await.unwrap();
            let page = body["items"].as_array().cloned().unwrap_or_default();
            ids.extend(
                page.iter()
                    .filter_map(|i| i["id"].as_str().map(str::to_owned)),
            );
            let Some(next) = body["next_url"].as_str() else {
                return ids;
            };
            url = if next.starts_with('/') {
                format!("{}{next}", self.edge)
            } else {
                next.to_owned()
            };
        }
    }

    /// Waits for a feed of at least so many items.
    pub async fn filled(&self, least: usize) -> Feed {
        until("a full feed", Duration::from_secs(30), || async {
            let f = self.feed("limit=100").await;
            (f.items().len() >= least).then_some(f)
        })
        .await
    }

    /// `POST /v1/me`.
    pub async fn me(&self, action: Value) -> Response {
        let url = format!("{}/v1/me?brand=daily", self.edge);
        self.client.post(url).json(&action).send().await.unwrap()
    }

    /// Agrees to be known.
    pub async fn consent(&self) {
        let r = self
            .me(json!({"action": "consent_on", "brand": "daily"}))
            .await;
        let status = r.status();
        assert!(
            status.is_success(),
            "{status} {}",
            r.text().await.unwrap_or_default()
        );
    }

    /// Logs in: this device shows the profile of `reader_id` from now on.
    pub async fn link(&self, reader_id: &str) {
        let assertion = login(reader_id);
        let r = self
            .me(json!({"action": "link", "brand": "daily", "assertion": assertion}))
            .await;
        let status = r.status();
        assert!(
            status.is_success(),
            "{status} {}",
            r.text().await.unwrap_or_default()
        );
    }

    /// Sends events to the edge, which must take them.
    pub async fn send(&self, events: &[Event]) -> Value {
        let url = format!("{}/v1/events", self.edge);
        let r = self.client.post(url).json(events).send().await.unwrap();
        let status = r.status();
        let body = r.text().await.unwrap_or_default();
        assert_eq!(status, StatusCode::ACCEPTED, "{body}");
        serde_json::from_str(&body).unwrap_or(Value::Null)
    }
}

/// What a publisher's login signs: base64url(id) "." expiry "." base64url(HMAC-SHA256[..16]).
#[must_use]
pub fn login(reader_id: &str) -> String {
    let expiry_s = crate::now_ms() / 1000 + 600;
    let said = format!("{}.{expiry_s}", URL_SAFE_NO_PAD.encode(reader_id));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&[0x44; 32]).expect("any length");
    mac.update(said.as_bytes());
    let tag = mac.finalize().into_bytes();
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(&tag[..16]))
}
