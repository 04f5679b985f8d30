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
const KINDS: [EventType; 4] = [
    EventType::Click,
    EventType::View,
    EventType::Impression,
    EventType::Share,
];
/// Between two batches of a client: faults are to be met, not the machine's limits.
const PAUSE: Duration = Duration::from_millis(15);
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
}

/// Running clients.
pub struct Load {
    url: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    begun: Instant,
    /// Of the last acknowledgement, milliseconds since `begun`.
    last_ms: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts two clients.
    pub fn start(url: &str, ledger: &Ledger, seed: u64, shape: Shape) -> Self {
        let url = Arc::new(Mutex::new(url.to_owned()));
        let stop = Arc::new(AtomicBool::new(false));
        let (last_ms, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let begun = Instant::now();
        let clients = (0..2)
            .map(|lane| {
                let (url, stop, ledger) = (url.clone(), stop.clone(), ledger.clone());
                let (last_ms, refused) = (last_ms.clone(), refused.clone());
                let http = reqwest::Client::builder()
                    .user_agent(AGENT)
                    .timeout(TIMEOUT)
                    .build();
                let http = http.expect("a client needs nothing");
                tokio::spawn(async move {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let ids: Vec<String> = ((n * BATCH).saturating_sub(BATCH)..(n + 1) * BATCH)
                            .map(|i| format!("{seed}-{lane}-{i}"))
                            .collect();
                        let times = if shape.shuffled { 3 } else { 1 };
                        for turn in 0..times {
                            let body = body(&ids, mix(seed, n * 8 + turn), shape);
                            loop {
                                let to = url.lock().expect("no client panics").clone();
                                match post(&http, &to, body.clone()).await {
                                    Some(answer) => {
                                        let bad = answer["rejected"].as_array().map(Vec::len);
                                        assert_eq!(
                                            bad,
                                            Some(usize::from(shape.poison)),
                                            "{answer}"
                                        );
                                        break;
                                    }
                                    None if stop.load(Ordering::Relaxed) => return,
                                    None => {
                                        refused.fetch_add(1, Ordering::Relaxed);
                                        tokio::time::sleep(Duration::from_millis(50)).await;
                                    }
                                }
                            }
                            ledger.note(&ids);
                            let now = begun.elapsed().as_millis();
                            last_ms.store(u64::try_from(now).unwrap_or(0), Ordering::Relaxed);
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                })
            })
            .collect();
        Self {
            url,
            stop,
            begun,
            last_ms,
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

    /// Waits for an acknowledgement given after `since`; seconds from then. `None` after `limit`.
    pub async fn acknowledged_after(&self, since: Instant, limit: Duration) -> Option<f64> {
        let since_ms = since.duration_since(self.begun).as_millis();
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if u128::from(self.last_ms.load(Ordering::Relaxed)) > since_ms {
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
