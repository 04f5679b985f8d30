//! What the simulator expects of an edge: the one place to change when the edge's HTTP interface does.
//!
//! - `POST /v1/me` `{"action":"consent_on","brand":…}` answers with the token as a cookie.
//! - `GET /v1/feed/{brand}/{surface}?limit=` answers JSON Feed 1.1; `arm=editorial` asks for newest first, the baseline
//!   of the click-through report. Each item has `_mediaflow.exposure`, the feed `_mediaflow.feed_id`.
//! - `POST /v1/events` takes a batch (`application/cloudevents-batch+json`) and answers 202.
//!
//! The country travels as `cf-ipcountry`, as a CDN would add it.
//!
//! The cookie jar is our own: browsers keep `__Host-` cookies for https only, tests run over http.

use crate::error::SimulatorError;
use crate::limits::HTTP_TIMEOUT_S;
use crate::readers::Reader;
use mediaflow_shared::event::Event;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Which feed a session sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// As the edge ranks it for this reader.
    Personalized,
    /// Newest first (`arm=editorial`).
    Editorial,
}

/// What was asked of the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `GET /v1/feed/…`
    Feed,
    /// `POST /v1/events`
    Events,
    /// `POST /v1/me`
    Me,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 3] = [Self::Feed, Self::Events, Self::Me];

    /// Name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Events => "events",
            Self::Me => "me",
        }
    }
}

/// One answer: `status` 0 when there was none.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// HTTP status.
    pub status: u16,
    /// Time to the last byte.
    pub latency_ms: f64,
    /// What was read, when the status was 2xx and the body as expected.
    pub value: Option<T>,
}

/// One item of a feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedItem {
    /// Content id.
    pub id: ContentId,
    /// Signed exposure id, to be cited by events.
    pub exposure: Option<String>,
    /// Slot from 0.
    pub slot: u16,
    /// First publication, when the feed says it.
    pub published: Option<Timestamp>,
    /// Tags, when the feed has them.
    pub tags: Vec<String>,
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    /// Names the versions it was made from.
    pub feed_id: Option<String>,
    /// Items in order.
    pub items: Vec<FeedItem>,
}

/// Cookies of one reader: name to value, no expiry but deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jar(BTreeMap<String, String>);

impl Jar {
    /// Takes in a `Set-Cookie` value; `Max-Age=0` or an empty value deletes.
    pub fn take(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';');
        let Some((name, value)) = parts.next().and_then(|p| p.split_once('=')) else {
            return;
        };
        let gone = parts.any(|p| p.trim().eq_ignore_ascii_case("max-age=0"));
        if gone || value.trim().is_empty() {
            self.0.remove(name.trim());
        } else {
            self.0
                .insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    /// The `Cookie` header, or `None` when empty.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// The edge as a reader's device reaches it. Cheap to clone; connections are shared.
#[derive(Debug, Clone)]
pub struct EdgeClient {
    http: reqwest::Client,
    base: String,
}

/// User agent of a device class.
#[must_use]
pub fn user_agent(device: &str) -> &'static str {
    match device {
        "mobile" => {
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36"
        }
        "tablet" => {
            "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
        }
        "tv" => {
            "Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/8.0 TV Safari/537.36"
        }
        _ => "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    }
}

impl EdgeClient {
    /// A client of the edge at `base` (`http://127.0.0.1:8081`).
    ///
    /// # Errors
    /// [`SimulatorError::Url`] when it is not an http URL, [`SimulatorError::Http`] when no client can be made.
    pub fn new(base: &str) -> Result<Self, SimulatorError> {
        let base = base.trim_end_matches('/').to_owned();
        if !url::Url::parse(&base).is_ok_and(|u| u.scheme() == "http" && u.has_host()) {
            return Err(SimulatorError::Url { url: base });
        }
        let built = reqwest::Client::builder()
            .timeout(Duration::from_secs(HTTP_TIMEOUT_S))
            .no_proxy()
            .build();
        let http = built.map_err(|source| SimulatorError::Http {
            url: base.clone(),
            source,
        })?;
        Ok(Self { http, base })
    }

    async fn call(
        &self,
        request: reqwest::RequestBuilder,
        reader: &Reader,
        jar: &mut Jar,
    ) -> Answer<Vec<u8>> {
        let mut request = request
            .header("user-agent", user_agent(reader.device))
            .header("cf-ipcountry", reader.country);
        if reader.device == "mobile" {
            request = request.header("sec-ch-ua-mobile", "?1");
        }
        if let Some(cookie) = jar.header() {
            request = request.header("cookie", cookie);
        }
        let begun = Instant::now();
        let done = async {
            let response = request.send().await?;
            let status = response.status();
            for c in response.headers().get_all("set-cookie") {
                jar.take(c.to_str().unwrap_or_default());
            }
            let body = response.bytes().await?;
            Ok::<_, reqwest::Error>((status, body.to_vec()))
        };
        let result = done.await;
        let latency_ms = begun.elapsed().as_secs_f64() * 1000.0;
        match result {
            Ok((status, body)) => Answer {
                status: status.as_u16(),
                latency_ms,
                value: status.is_success().then_some(body),
            },
            Err(_) => Answer {
                status: 0,
                latency_ms,
                value: None,
            },
        }
    }

    /// Gives consent: the token comes as a cookie.
    pub async fn consent_on(&self, brand: &str, reader: &Reader, jar: &mut Jar) -> Answer<()> {
        let body = json!({"action": "consent_on", "brand": brand});
        let request = self.http.post(format!("{}/v1/me", self.base)).json(&body);
        let a = self.call(request, reader, jar).await;
        Answer {
            status: a.status,
            latency_ms: a.latency_ms,
            value: a.value.map(|_| ()),
        }
    }

    /// Asks for a feed.
    pub async fn feed(
        &self,
        (brand, surface): (&str, &str),
        arm: Arm,
        limit: usize,
        reader: &Reader,
        jar: &mut Jar,
    ) -> Answer<Feed> {
        let arm = if arm == Arm::Editorial {
            "&arm=editorial"
        } else {
            ""
        };
        let url = format!("{}/v1/feed/{brand}/{surface}?limit={limit}{arm}", self.base);
        let a = self.call(self.http.get(url), reader, jar).await;
        let value = a
            .value
            .and_then(|body| serde_json::from_slice(&body).ok())
            .as_ref()
            .and_then(read_feed);
        Answer {
            status: a.status,
            latency_ms: a.latency_ms,
            value,
        }
    }

    /// Sends events.
    pub async fn events(&self, batch: &[Event], reader: &Reader, jar: &mut Jar) -> Answer<()> {
        // Events of ours always serialise; an empty body would be refused and counted.
        let body = serde_json::to_vec(batch).unwrap_or_default();
        let request = self
            .http
            .post(format!("{}/v1/events", self.base))
            .header("content-type", "application/cloudevents-batch+json")
            .body(body);
        let a = self.call(request, reader, jar).await;
        Answer {
            status: a.status,
            latency_ms: a.latency_ms,
            value: a.value.map(|_| ()),
        }
    }
}

/// Reads a JSON Feed; `None` when it is none. Items without a content id (the feed of last resort) are left out.
fn read_feed(v: &Value) -> Option<Feed> {
    let items = v["items"].as_array()?;
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let item = |(slot, i): (usize, &Value)| {
        let m = &i["_mediaflow"];
        let id = m["content_id"].as_str().or_else(|| i["id"].as_str())?;
        Some(FeedItem {
            id: ContentId::parse(id).ok()?,
            exposure: text(&m["exposure"]),
            slot: m["slot"]
                .as_u64()
                .and_then(|s| s.try_into().ok())
                .unwrap_or(slot as u16),
            published: i["date_published"]
                .as_str()
                .and_then(|t| Timestamp::parse(t).ok()),
            tags: i["tags"]
                .as_array()
                .map(|t| t.iter().filter_map(text).collect())
                .unwrap_or_default(),
        })
    };
    Some(Feed {
        feed_id: text(&v["_mediaflow"]["feed_id"]),
        items: items.iter().enumerate().filter_map(item).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jar_keeps_replaces_and_deletes() {
        let mut jar = Jar::default();
        jar.take("__Host-mf=abc; Path=/; Secure; HttpOnly; Max-Age=100");
        jar.take("b=2");
        assert_eq!(jar.header().as_deref(), Some("__Host-mf=abc; b=2"));
        jar.take("__Host-mf=def");
        jar.take("b=; Max-Age=0");
        assert_eq!(jar.header().as_deref(), Some("__Host-mf=def"));
    }

    #[test]
    fn a_feed_is_read_with_its_exposures() {
        let v = json!({"_mediaflow": {"feed_id": "f1"}, "items": [
            {"id": "00000000000000ff", "tags": ["Film"], "date_published": "2026-11-21T08:00:00Z",
             "_mediaflow": {"exposure": "x", "slot": 4}},
            {"id": "https://not-ours.example/"}]});
        let feed = read_feed(&v).unwrap();
        assert_eq!((feed.feed_id.as_deref(), feed.items.len()), (Some("f1"), 1));
        assert_eq!(
            (feed.items[0].slot, feed.items[0].exposure.as_deref()),
            (4, Some("x"))
        );
        assert!(EdgeClient::new("ftp://x").is_err());
    }
}
