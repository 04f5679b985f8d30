//! What the edge's own work costs: `cargo run --release -p mediaflow-edge-core --example request_bench`, or the same
//! compiled with `--target wasm32-wasip1` and run by Node, whose engine is the one of Workers. A line a figure: name,
//! nanoseconds (median of rounds).
//!
//! With a number as its argument it answers that many feeds and prints nothing: for a profiler.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that cannot go on says so by failing"
)]

use mediaflow_edge_core::config::Config;
use mediaflow_edge_core::token::Token;
use mediaflow_edge_core::{Edge, Headers, Level, OriginReply, Platform, Request, StoreError};
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::Profile;
use mediaflow_shared::profile::blob;
use mediaflow_shared::profile::fold::{Interaction, ItemView, apply};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::time::Minute;
use mediaflow_shared::topics::{LANES, TOPICS};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

const ITEMS: u64 = 500;
const NOW: Minute = Minute(29_920_000);
const ROUNDS: usize = 31;
const PER_ROUND: u32 = 100;
const WARM_UP: u32 = 5000;
/// Requests between two reports of served records, as one of an edge under load carries many.
const REPORT_EVERY: usize = 64;

/// Answers at once, from memory; the clock stands still.
struct Fake {
    front: Vec<u8>,
    rules: Vec<u8>,
    model: Vec<u8>,
}

impl Platform for Fake {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(match key.split('/').next() {
            Some("f") => Some(self.front.clone()),
            Some("r") => Some(self.rules.clone()),
            Some("m") => Some(self.model.clone()),
            _ => None,
        })
    }
    fn caches(&self) -> bool {
        false
    }
    async fn cache_get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Absent("cache"))
    }
    async fn cache_put(&self, _: &str, _: Vec<u8>, _: u32) -> Result<(), StoreError> {
        Err(StoreError::Absent("cache"))
    }
    async fn origin_post(
        &self,
        _: &str,
        _: &str,
        body: Vec<u8>,
        _: &[(&str, &str)],
    ) -> Result<OriginReply, StoreError> {
        black_box(body);
        Ok(OriginReply {
            status: 202,
            body: Vec::new(),
        })
    }
    async fn sleep(&self, _: u32) {}
    fn now_ms(&self) -> i64 {
        NOW.start().0
    }
    fn elapsed_us(&self) -> u64 {
        0
    }
    fn random(&self, out: &mut [u8]) -> Result<(), StoreError> {
        out.fill(7);
        Ok(())
    }
    fn log(&self, _: Level, message: &str) {
        println!("# {message}");
    }
    fn edge_id(&self) -> &str {
        "bench"
    }
}

/// Nothing here ever waits.
fn now<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

fn config() -> Config {
    Config::from_vars(|name| {
        let value = match name {
            "MEDIAFLOW_TOKEN_KEYS" => format!("1:{}", "05".repeat(32)),
            "MEDIAFLOW_READER_KEY" => "06".repeat(32),
            "MEDIAFLOW_EXPOSURE_KEY" => "07".repeat(16),
            "MEDIAFLOW_LOGIN_KEY" => "08".repeat(32),
            "MEDIAFLOW_EDGE_TOKEN" => "edge-secret".into(),
            "MEDIAFLOW_BRANDS" => {
                r#"[{"slug":"daily","title":"The Daily","home_url":"https://daily.example",
                "languages":["en"],"surfaces":["home"]}]"#
                    .into()
            }
            _ => return None,
        };
        Some(value)
    })
    .expect("a configuration")
}

fn spread(n: u64, k: u64) -> u8 {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(k.wrapping_mul(0xd134_2543_de82_ef95))
        .rotate_left(29)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        >> 56) as u8
}

fn content(n: u64) -> ContentId {
    ContentId::of("bench", &n.to_string())
}

fn topics(n: u64) -> [i8; TOPICS] {
    let mut t = [0; TOPICS];
    for k in 0..3 {
        t[usize::from(spread(n, 100 + k)) % TOPICS] = 120 - 30 * k as i8;
    }
    t
}

fn item(n: u64) -> Item {
    let id = content(n);
    let lanes = |k: u64| std::array::from_fn::<i8, LANES, _>(|l| spread(n, k + l as u64) as i8 / 2);
    Item {
        content: id,
        topics: topics(n),
        learned: Some(Box::new((lanes(300), lanes(400)))),
        published: Minute(NOW.0 - 7 * n as u32),
        author: 1 + u32::from(spread(n, 1)) % 60,
        neighbours: (1..=20)
            .map(|k| (content((n + k * 17) % ITEMS), (255 - k * 10) as u8))
            .collect(),
        active_min: Some(u32::from(spread(n, 2))),
        language: Some(*b"en"),
        clicks15: spread(n, 3) / 3,
        clicks60: spread(n, 3) / 2,
        decay_fast: spread(n, 3) / 2,
        decay_slow: spread(n, 4) / 2,
        quality: spread(n, 5),
        minutes: spread(n, 6) % 12,
        main_topic: Some(spread(n, 100) % TOPICS as u8),
        card: format!(
            "\"id\":\"{id}\",\"url\":\"https://daily.example/2026/11/21/the-slug-of-a-story-{n}\",\
             \"title\":\"A headline of the usual length, about something that happened\",\"content_text\":\"\",\
             \"summary\":\"Two sentences that tell what the story is about. The second one says why it matters \
             to somebody who reads only this far.\",\"image\":\"https://daily.example/media/2026/11/{n}-1200x675.jpg\",\
             \"date_published\":\"2026-11-21T12:00:00Z\",\"authors\":[{{\"name\":\"An Author\"}}],\
             \"tags\":[\"politics\",\"economy\"],\"language\":\"en\""
        ),
        ..Item::default()
    }
}

fn platform() -> Fake {
    let head = Head {
        brand: "daily",
        surface: "home",
        built: NOW,
        epoch: 1,
        v_scale: 256,
        p_scale: 256,
    };
    Fake {
        front: encode(&head, (0..ITEMS).map(item).collect()).expect("a front"),
        rules: Rules {
            revision: 1,
            ..Rules::default()
        }
        .encode(),
        model: Model {
            epoch: 1,
            ..Model::default()
        }
        .encode(),
    }
}

/// A reader's cookie: a profile folded from twenty reads, asked for just now, with five reads in full.
fn cookie(config: &Config) -> String {
    let mut profile = Profile {
        as_of: NOW,
        consent: 1,
        ..Profile::default()
    };
    for n in 0..20 {
        let view = ItemView {
            short: content(n * 9).short(),
            topics: &topics(n * 9),
            read_vector: Some((&[9; LANES], 256)),
            epoch: 1,
            reading_time_min: 5,
        };
        apply(&mut profile, &view, Interaction::Read, NOW);
    }
    let at_ms = NOW.start().0;
    let mut token = Token::mint(Pseudonym([3; 16]), config.consent_version, at_ms);
    token.asked_ms = at_ms;
    for n in 0..5 {
        token.remember(mediaflow_edge_core::token::TokenRead {
            content: content(n * 9),
            minute: NOW,
            what: Interaction::Read,
        });
    }
    token.blob = blob::encode(&profile);
    token
        .seal(&config.keys, config.brand("daily").unwrap(), [9; 24])
        .expect("a key")
}

/// Nanoseconds of one call: median over rounds.
fn time_ns(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..PER_ROUND {
                work();
            }
            start.elapsed().as_nanos() as f64 / f64::from(PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn main() {
    let config = config();
    let brand = config.brand("daily").unwrap().clone();
    let cookie = cookie(&config);
    let fake = platform();
    let edge = Edge::new(config.clone());
    let request = |cookie: Option<&str>| {
        let mut headers = Headers::default();
        headers.add("user-agent", "Mozilla/5.0 (X11; Linux x86_64)");
        if let Some(c) = cookie {
            headers.add("cookie", format!("__Host-mf_daily={c}"));
        }
        Request {
            method: "GET".into(),
            path: "/v1/feed/daily/home".into(),
            headers,
            ..Request::default()
        }
    };
    let mut answered = 0;
    let mut feed = |cookie: Option<&str>| {
        let response = now(edge.handle(&fake, request(cookie)));
        answered += 1;
        if answered % REPORT_EVERY == 0 {
            for work in response.deferred {
                now(edge.run_deferred(&fake, work));
            }
        }
        (response.status, response.headers, response.body)
    };
    let (status, headers, body) = feed(Some(&cookie));
    assert_eq!(status, 200);
    assert!(
        headers.contains(&("mediaflow-rung", "0".into())),
        "{headers:?}"
    );
    if let Some(feeds) = std::env::args().nth(1) {
        for _ in 0..feeds.parse::<u32>().expect("a number of feeds") {
            black_box(feed(Some(&cookie)));
        }
        return;
    }
    // An engine compiles what is hot a second time, and an edge is hot.
    for _ in 0..WARM_UP {
        black_box(feed(Some(&cookie)));
    }
    println!("# cookie {} B, feed {} B", cookie.len(), body.len());
    let open = time_ns(|| {
        let token = Token::open(black_box(&cookie), &config.keys, &brand).unwrap();
        black_box(blob::decode(&token.blob).unwrap());
    });
    println!("open_and_decode {open:.0}");
    println!(
        "feed_personal {:.0}",
        time_ns(|| drop(black_box(feed(Some(&cookie)))))
    );
    println!("feed_shared {:.0}", time_ns(|| drop(black_box(feed(None)))));
}
