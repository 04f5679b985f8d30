//! A platform in memory: a virtual clock, a store with faults, an origin that can be down.

use mediaflow_edge_core::token::{Token, cookie};
use mediaflow_edge_core::{
    Config, Deferred, Edge, Level, OriginReply, Platform, Request, Response, StoreError,
};
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::fold::normalise;
use mediaflow_shared::rules::Rules;
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::{LANES, TOPICS};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

pub const NOW_MS: i64 = 1_795_249_815_250;

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    #[default]
    None,
    /// Answers after so many milliseconds.
    SlowMs(i64),
    Failing,
    Empty,
    /// Half of the value.
    Half,
    /// One bit of the value is flipped.
    Flipped,
}

/// How the origin behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Status(u16),
    Silent,
}

pub struct Posted {
    pub path: String,
    pub body: Vec<u8>,
    pub headers: HashMap<String, String>,
}

pub struct State {
    pub now_ms: i64,
    timers: Vec<i64>,
    pub kv: HashMap<String, Vec<u8>>,
    pub kv_fault: Fault,
    pub kv_reads: Vec<String>,
    pub cache: BTreeMap<String, Vec<u8>>,
    pub origin: Origin,
    pub posted: Vec<Posted>,
    pub log: Vec<String>,
    pub forgets: bool,
    random: u64,
}

pub struct Fake(Mutex<State>);

impl Fake {
    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn until(&self, at_ms: i64) {
        self.state().timers.push(at_ms);
        std::future::poll_fn(|_| {
            if self.state().now_ms >= at_ms {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Runs a future; when nothing is ready, time passes.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            if let Poll::Ready(v) = work.as_mut().poll(&mut cx) {
                return v;
            }
            let mut s = self.state();
            let now = s.now_ms;
            let next = s.timers.iter().copied().filter(|t| *t > now).min();
            s.now_ms = next.expect("something to wait for");
        }
        panic!("a future that never ends");
    }
}

impl Platform for Fake {
    fn keeps_memory(&self) -> bool {
        !self.state().forgets
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (fault, value, at_ms) = {
            let mut s = self.state();
            s.kv_reads.push(key.to_owned());
            let fault = s.kv_fault;
            let wait = if let Fault::SlowMs(ms) = fault { ms } else { 1 };
            (fault, s.kv.get(key).cloned(), s.now_ms + wait)
        };
        self.until(at_ms).await;
        match fault {
            Fault::None | Fault::SlowMs(_) => Ok(value),
            Fault::Failing => Err(StoreError::Failed("the store is down".into())),
            Fault::Empty => Ok(value.map(|_| Vec::new())),
            Fault::Half => Ok(value.map(|v| v[..v.len() / 2].to_vec())),
            Fault::Flipped => Ok(value.map(|mut v| {
                let at = v.len() / 2;
                if let Some(byte) = v.get_mut(at) {
                    *byte ^= 4;
                }
                v
            })),
        }
    }

    async fn cache_get(&self, url: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().cache.get(url).cloned())
    }

    async fn cache_put(&self, url: &str, body: Vec<u8>, _: u32) -> Result<(), StoreError> {
        self.state().cache.insert(url.to_owned(), body);
        Ok(())
    }

    async fn origin_post(
        &self,
        path: &str,
        _: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Result<OriginReply, StoreError> {
        let origin = {
            let mut s = self.state();
            s.posted.push(Posted {
                path: path.to_owned(),
                body,
                headers: headers
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            });
            s.origin
        };
        match origin {
            Origin::Status(status) => Ok(OriginReply {
                status,
                body: Vec::new(),
            }),
            Origin::Silent => {
                self.until(i64::MAX).await;
                Ok(OriginReply::default())
            }
        }
    }

    async fn sleep(&self, ms: u32) {
        let at_ms = self.state().now_ms + i64::from(ms);
        self.until(at_ms).await;
    }

    fn now_ms(&self) -> i64 {
        self.state().now_ms
    }

    fn elapsed_us(&self) -> u64 {
        0
    }

    fn random(&self, out: &mut [u8]) -> Result<(), StoreError> {
        let mut s = self.state();
        for byte in out {
            s.random = s
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            *byte = (s.random >> 33) as u8;
        }
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        self.state().log.push(format!("{level} {message}"));
    }

    fn edge_id(&self) -> &str {
        "test-1"
    }
}

/// An edge with its platform, and a browser's cookies.
pub struct World {
    pub edge: Edge,
    pub fake: Fake,
    pub cookies: BTreeMap<String, String>,
}

pub fn config() -> Config {
    Config::from_vars(|name| {
        let value = match name {
            "MEDIAFLOW_TOKEN_KEYS" => format!("1:{}", "05".repeat(32)),
            "MEDIAFLOW_READER_KEY" => "06".repeat(32),
            "MEDIAFLOW_EXPOSURE_KEY" => "07".repeat(16),
            "MEDIAFLOW_LOGIN_KEY" => "08".repeat(32),
            "MEDIAFLOW_EDGE_TOKEN" => "edge-secret".into(),
            "MEDIAFLOW_SECURE_COOKIES" => "off".into(),
            "MEDIAFLOW_PUBLIC_URL" => "http://edge.example".into(),
            "MEDIAFLOW_BRANDS" => r#"[
                {"slug":"daily","title":"The Daily","home_url":"https://daily.example","languages":["en"],
                 "surfaces":["home","sport"],"origins":["https://daily.example"],
                 "default_feed":[{"title":"Built in","url":"https://daily.example/built-in"}]},
                {"slug":"other","title":"The Other","surfaces":["home"]}]"#
                .into(),
            _ => return None,
        };
        Some(value)
    })
    .unwrap()
}

pub fn item_id(n: usize) -> ContentId {
    ContentId::of("cms", &n.to_string())
}

/// A front of `n` items: every third about sport, the others about politics and science.
pub fn front(brand: &str, surface: &str, n: usize, built: Minute) -> Vec<u8> {
    let items = (0..n)
        .map(|i| {
            let topic = [47usize, 0, 27][i % 3];
            let mut lanes = [0i64; LANES];
            lanes[topic] = 100;
            lanes[(topic + 1) % TOPICS] = 20;
            let mut topics = [0i8; TOPICS];
            topics.copy_from_slice(&normalise(&lanes)[..TOPICS]);
            let id = item_id(i);
            Item {
                content: id,
                topics,
                published: Minute(built.0 - 30 - i as u32),
                author: 100 + i as u32,
                minutes: 4,
                main_topic: Some(topic as u8),
                card: format!(
                    "\"id\":\"{id}\",\"url\":\"https://daily.example/{i}\",\"title\":\"Story {i} <b>&\",\
                     \"content_text\":\"\",\"date_published\":\"{}\",\"summary\":\"About {i}\",\
                     \"authors\":[{{\"name\":\"Ann {i}\"}}]",
                    Minute(built.0 - 30).start()
                ),
                ..Item::default()
            }
        })
        .collect();
    let head = Head {
        brand,
        surface,
        built,
        ..Head::default()
    };
    encode(&head, items).unwrap()
}

impl World {
    /// Fronts and rules in the store.
    pub fn new() -> Self {
        let w = Self::empty();
        {
            let mut s = w.fake.state();
            let built = Minute(Timestamp(NOW_MS).minute().0 - 2);
            for (brand, surface) in [("daily", "home"), ("daily", "sport"), ("other", "home")] {
                s.kv.insert(
                    format!("f/{brand}/{surface}"),
                    front(brand, surface, 60, built),
                );
                let rules = Rules {
                    revision: 1,
                    published_at: Timestamp(NOW_MS - 1000),
                    ..Rules::default()
                };
                s.kv.insert(format!("r/{brand}/{surface}"), rules.encode());
            }
        }
        w
    }

    /// Nothing in the store.
    pub fn empty() -> Self {
        Self {
            edge: Edge::new(config()),
            fake: Fake(Mutex::new(State {
                now_ms: NOW_MS,
                timers: Vec::new(),
                kv: HashMap::new(),
                kv_fault: Fault::None,
                kv_reads: Vec::new(),
                cache: BTreeMap::new(),
                origin: Origin::Status(202),
                posted: Vec::new(),
                log: Vec::new(),
                forgets: false,
                random: 1,
            })),
            cookies: BTreeMap::new(),
        }
    }

    /// Another device: the same store, nothing in memory, no cookies.
    pub fn restart_edge(&mut self) {
        self.edge = Edge::new(config());
    }

    pub fn pass(&self, ms: i64) {
        self.fake.state().now_ms += ms;
    }

    pub fn fault(&self, fault: Fault) {
        self.fake.state().kv_fault = fault;
    }

    pub fn put(&self, key: &str, value: Vec<u8>) {
        self.fake.state().kv.insert(key.to_owned(), value);
    }

    /// Keys read since the last call.
    pub fn reads(&self) -> Vec<String> {
        std::mem::take(&mut self.fake.state().kv_reads)
    }

    pub fn posts(&self, path: &str) -> Vec<Vec<u8>> {
        let s = self.fake.state();
        s.posted
            .iter()
            .filter(|p| p.path == path)
            .map(|p| p.body.clone())
            .collect()
    }

    /// All events the origin was sent.
    pub fn events(&self) -> Vec<Value> {
        self.posts("/v1/events")
            .iter()
            .flat_map(|b| serde_json::from_slice::<Vec<Value>>(b).unwrap())
            .collect()
    }

    /// Sends a request with the cookies, without the work that follows.
    pub fn ask(&mut self, request: Request) -> Response {
        let mut request = request;
        if !self.cookies.is_empty() && request.headers.first("cookie").is_none() {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            request.headers.add("cookie", pairs.join("; "));
        }
        let response = self.fake.run(self.edge.handle(&self.fake, request));
        for (name, value) in &response.headers {
            if *name == "set-cookie" {
                let (pair, rest) = value.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                if rest.contains("Max-Age=0;") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        response
    }

    pub fn finish(&self, deferred: Vec<Deferred>) {
        for d in deferred {
            self.fake.run(self.edge.run_deferred(&self.fake, d));
        }
    }

    /// Sends a request and does what follows.
    pub fn send(&mut self, request: Request) -> Response {
        let mut response = self.ask(request);
        let deferred = std::mem::take(&mut response.deferred);
        self.finish(deferred);
        response
    }

    pub fn get(&mut self, url: &str) -> Response {
        self.send(get(url))
    }

    pub fn feed(&mut self, url: &str) -> (Response, Value) {
        let r = self.get(url);
        assert_eq!(r.status, 200, "{}", text(&r));
        let v = serde_json::from_slice(&r.body).unwrap();
        (r, v)
    }

    pub fn post(&mut self, url: &str, kind: &str, body: impl Into<Vec<u8>>) -> Response {
        self.send(post(url, kind, body))
    }

    pub fn me(&mut self, body: &str) -> Response {
        self.post("/v1/me?brand=daily", "application/json", body)
    }

    pub fn consent(&mut self) {
        let r = self.me(r#"{"action":"consent_on"}"#);
        assert_eq!(r.status, 200, "{}", text(&r));
    }

    pub fn read(&mut self, n: usize) -> Response {
        let event = event("read", item_id(n));
        self.post("/v1/events", "text/plain", event.to_string())
    }

    /// The opened token of the browser.
    pub fn token(&self) -> Token {
        let c = self.edge.config();
        let b = c.brand("daily").unwrap();
        Token::open(&self.cookies[&cookie::name(c, b)], &c.keys, b).unwrap()
    }

    pub fn set_token(&mut self, token: &Token) {
        let c = self.edge.config();
        let b = c.brand("daily").unwrap();
        let text = token.seal(&c.keys, b, [1; 24]).unwrap();
        self.cookies.insert(cookie::name(c, b), text);
    }
}

pub fn event(kind: &str, content: ContentId) -> Value {
    serde_json::json!({
        "specversion": "1.0", "id": format!("e-{kind}-{content}"), "source": "https://daily.example/web",
        "type": format!("org.mediaflow.{kind}.v1"), "data": {"brand": "daily", "content_id": content}
    })
}

pub fn get(url: &str) -> Request {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    Request {
        method: "GET".into(),
        path: path.into(),
        query: query.into(),
        ..Request::default()
    }
}

pub fn post(url: &str, kind: &str, body: impl Into<Vec<u8>>) -> Request {
    let mut r = get(url);
    r.method = "POST".into();
    r.headers.add("content-type", kind);
    r.body = body.into();
    r
}

pub fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.add(name, value);
    request
}

pub fn text(r: &Response) -> String {
    String::from_utf8_lossy(&r.body).into_owned()
}

pub fn ids(feed: &Value) -> Vec<String> {
    feed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["id"].as_str().unwrap().to_owned())
        .collect()
}

pub fn rung(r: &Response) -> &str {
    r.first("mediaflow-rung").unwrap()
}
