//! Clients that send events until told to stop, and send again what was not acknowledged.

use super::ledger::Ledger;
use super::mix;
use crate::event;
use mediaflow_shared::event::{Event, EventType};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Items that events are about.
const ITEMS: u64 = 24;
const READERS: u64 = 40;
/// New events of a batch; as many of the one before come along.
const BATCH: u64 = 20;
/// As [`BATCH`], of large ones: some 200 KB with those that come along.
const BATCH_LARGE: u64 = 200;
const KINDS: [EventType; 4] = [
    EventType::Click,
    EventType::Read,
    EventType::Impression,
    EventType::Share,
];
/// Between two batches of a client: faults are to be met, not the machine's limits.
const PAUSE: Duration = Duration::from_millis(15);
/// As [`PAUSE`], where a fault takes a minute.
const PAUSE_GENTLE: Duration = Duration::from_millis(120);
const TIMEOUT: Duration = Duration::from_secs(20);
/// Clients without one count as robots, whose events are not folded.
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const DAY_MS: i64 = 86_400_000;

/// What an event is about, from its id alone: the recount needs nothing else.
pub fn about(id: &str) -> (ContentId, EventType) {
    let h = id.bytes().fold(7, |h, b| mix(h, b.into()));
    let kind = KINDS[(h >> 8) as usize % KINDS.len()];
    (ContentId(0x7000_0000 + h % ITEMS), kind)
}

/// What a load is like beyond the plain one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// Every batch is sent three times, its events in another order each time.
    pub shuffled: bool,
    /// Poison in every batch: it is rejected and the rest is not.
    pub poison: bool,
    /// Two of three events are one reader's.
    pub hot: bool,
    /// Event times up to a day off, ahead, behind and stepping back.
    pub skewed: bool,
    /// Longer pauses between batches.
    pub gentle: bool,
    /// Batches of ten times as many events.
    pub large: bool,
}

/// When acknowledgements came, milliseconds since the load began.
struct Times {
    begun: Instant,
    last_ms: AtomicU64,
    longest_ms: AtomicU64,
}

impl Times {
    fn acknowledged(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0);
        let last = self.last_ms.swap(now, Ordering::Relaxed);
        // Before the first one there was no fault.
        if last > 0 {
            self.longest_ms
                .fetch_max(now.saturating_sub(last), Ordering::Relaxed);
        }
    }
}

/// Running clients.
pub struct Load {
    url: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    times: Arc<Times>,
    refused: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

/// One of them.
struct Client {
    url: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    times: Arc<Times>,
    refused: Arc<AtomicU64>,
    ledger: Ledger,
    http: reqwest::Client,
    shape: Shape,
}

impl Load {
    /// Starts two clients.
    pub fn start(url: &str, ledger: &Ledger, seed: u64, shape: Shape) -> Self {
        let url = Arc::new(Mutex::new(url.to_owned()));
        let stop = Arc::new(AtomicBool::new(false));
        let refused = Arc::<AtomicU64>::default();
        let times = Arc::new(Times {
            begun: Instant::now(),
            last_ms: AtomicU64::new(0),
            longest_ms: AtomicU64::new(0),
        });
        let clients = (0..2)
            .map(|lane| {
                let http = reqwest::Client::builder()
                    .user_agent(AGENT)
                    .timeout(TIMEOUT)
                    .build();
                let client = Client {
                    url: url.clone(),
                    stop: stop.clone(),
                    times: times.clone(),
                    refused: refused.clone(),
                    ledger: ledger.clone(),
                    http: http.expect("a client needs nothing"),
                    shape,
                };
                tokio::spawn(client.run(lane, seed))
            })
            .collect();
        Self {
            url,
            stop,
            times,
            refused,
            clients,
        }
    }

    /// From now on to this collector.
    pub fn redirect(&self, url: &str) {
        url.clone_into(&mut self.url.lock().expect("no client panics"));
    }

    /// Requests that were not acknowledged.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The longest time between two acknowledgements so far, seconds.
    pub fn longest_gap_s(&self) -> f64 {
        self.times.longest_ms.load(Ordering::Relaxed) as f64 / 1_000.0
    }

    /// Waits for an acknowledgement given after `since`; seconds from then. `None` after `limit`.
    pub async fn acknowledged_after(&self, since: Instant, limit: Duration) -> Option<f64> {
        let since_ms = since.duration_since(self.times.begun).as_millis();
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if u128::from(self.times.last_ms.load(Ordering::Relaxed)) > since_ms {
                return Some(since.elapsed().as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// Ends the clients.
    ///
    /// # Panics
    /// When a client met an answer that it should not have.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for c in self.clients {
            if let Err(e) = c.await {
                std::panic::resume_unwind(e.into_panic());
            }
        }
    }
}

impl Client {
    async fn run(self, lane: u64, seed: u64) {
        let batch = if self.shape.large { BATCH_LARGE } else { BATCH };
        for n in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let ids: Vec<String> = ((n * batch).saturating_sub(batch)..(n + 1) * batch)
                .map(|i| format!("{seed}-{lane}-{i}"))
                .collect();
            let times = if self.shape.shuffled { 3 } else { 1 };
            for turn in 0..times {
                if !self.deliver(&ids, mix(seed, n * 8 + turn)).await {
                    return;
                }
            }
            let pause = if self.shape.gentle {
                PAUSE_GENTLE
            } else {
                PAUSE
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Sends until it is acknowledged and notes it; `false` when told to stop before.
    async fn deliver(&self, ids: &[String], turn: u64) -> bool {
        let body = body(ids, turn, self.shape);
        loop {
            let to = self.url.lock().expect("no client panics").clone();
            match post(&self.http, &to, body.clone()).await {
                Some(answer) => {
                    let bad = answer["rejected"].as_array().map(Vec::len);
                    assert_eq!(bad, Some(usize::from(self.shape.poison)), "{answer}");
                    break;
                }
                None if self.stop.load(Ordering::Relaxed) => return false,
                None => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        self.ledger.note(ids);
        self.times.acknowledged();
        true
    }
}

fn body(ids: &[String], turn: u64, shape: Shape) -> String {
    let mut all: Vec<Value> = ids
        .iter()
        .map(|id| serde_json::to_value(one(id, shape)).expect("an event is JSON"))
        .collect();
    if shape.poison {
        let mut bad = all[0].clone();
        let kind = ["org.mediaflow.stare.v1", "", "\u{0}", "read"][turn as usize % 4];
        bad["type"] = kind.into();
        bad["id"] = format!("poison-{turn}").into();
        all.push(bad);
    }
    if shape.shuffled {
        all.sort_by_key(|e| {
            let id = e["id"].as_str().unwrap_or("");
            id.bytes().fold(turn, |h, b| mix(h, b.into()))
        });
    }
    Value::from(all).to_string()
}

fn one(id: &str, shape: Shape) -> Event {
    let (content, kind) = about(id);
    let h = id.bytes().fold(99, |h, b| mix(h, b.into()));
    let reader = if shape.hot && h % 3 > 0 {
        "hot".to_owned()
    } else {
        format!("reader-{}", h % READERS)
    };
    let mut e = event(id, kind, content, Some(&reader));
    if shape.skewed {
        let now = e.time.map_or(0, |t| t.0);
        // The same for the same id, or a repetition would be another event.
        let off = [-DAY_MS, DAY_MS, 0, -3_600_000, 3_600_000][(h >> 16) as usize % 5];
        e.time = Some(Timestamp(now - now % 60_000 + off));
    }
    e
}

async fn post(http: &reqwest::Client, url: &str, body: String) -> Option<Value> {
    let sent = http
        .post(format!("{url}/v1/events"))
        .header("content-type", "application/cloudevents-batch+json")
        .body(body)
        .send()
        .await
        .ok()?;
    if !sent.status().is_success() {
        return None;
    }
    sent.json().await.ok()
}
