//! What this edge owes the origin: events to be retried, served records, heartbeats. Bounded, in memory.
//!
//! A batch of events leaves the queue only after the origin took it: a flush that its platform ends half-way loses
//! nothing, and a batch sent twice is counted once, since (source, id) deduplicates at the origin.

pub mod own;
mod queue;
mod report;

pub use queue::{Batch, Full, Queue};
pub use report::{Heartbeats, ServedQueue, pack};

use crate::config::Config;
use crate::limits::{
    EVENTS_DEADLINE_MS, FLUSH_BATCHES_MAX, REPORT_DEADLINE_MS, RETRY_PAUSE_MS, RETRY_TRIES,
    SERVED_BATCH_MAX, SERVED_LINGER_MS,
};
use crate::platform::{Level, OriginReply, Platform, StoreError, within};

/// What became of a batch that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The origin holds it.
    Taken,
    /// The origin refused it for good; sending it again would not help.
    Refused(u16),
    /// The origin could not be reached, or asks to try again.
    Later(String),
}

/// Everything owed.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Events.
    pub events: Queue,
    /// Served records.
    pub served: ServedQueue,
    /// Heartbeats.
    pub beats: Heartbeats,
}

fn judge(answer: Result<OriginReply, StoreError>) -> Sent {
    match answer {
        Ok(r) if r.is_ok() => Sent::Taken,
        // 401, 403, 404: the edge or the origin is misconfigured, not the events.
        Ok(r) if matches!(r.status, 400 | 409 | 413 | 415 | 422) => Sent::Refused(r.status),
        Ok(r) => Sent::Later(format!("the origin answered {}", r.status)),
        Err(e) => Sent::Later(e.to_string()),
    }
}

impl Outbox {
    /// Sends one batch, once.
    pub async fn send<P: Platform>(&self, platform: &P, config: &Config, batch: &Batch) -> Sent {
        let bearer = format!("Bearer {}", config.keys.edge_token);
        let mut headers: Vec<(&str, &str)> = vec![("authorization", &bearer)];
        if !batch.agent.is_empty() {
            headers.push(("x-reader-user-agent", &batch.agent));
        }
        if !batch.traceparent.is_empty() {
            headers.push(("traceparent", &batch.traceparent));
        }
        judge(
            within(
                platform,
                EVENTS_DEADLINE_MS,
                platform.origin_post(
                    "/v1/events",
                    "application/cloudevents-batch+json",
                    batch.body.clone(),
                    &headers,
                ),
            )
            .await,
        )
    }

    /// Sends what waits, oldest first, until the origin fails a batch [`RETRY_TRIES`] times.
    pub async fn flush<P: Platform>(&self, platform: &P, config: &Config) {
        if !self.events.claim(platform.now_ms()) {
            return;
        }
        let mut failed = false;
        for _ in 0..FLUSH_BATCHES_MAX {
            let Some((number, batch)) = self.events.oldest(platform.now_ms()) else {
                break;
            };
            let mut outcome = self.send(platform, config, &batch).await;
            for attempt in 1..RETRY_TRIES {
                if !matches!(outcome, Sent::Later(_)) {
                    break;
                }
                platform.sleep(pause_ms(platform, attempt)).await;
                outcome = self.send(platform, config, &batch).await;
            }
            match outcome {
                Sent::Taken => self.events.done(number),
                Sent::Refused(status) => {
                    self.events.done(number);
                    let line = format!("the origin refused a batch of events for good: {status}");
                    platform.log(Level::Error, &line);
                }
                Sent::Later(why) => {
                    let line = format!("events wait for the origin: {why}");
                    platform.log(Level::Warn, &line);
                    failed = true;
                    break;
                }
            }
        }
        self.events.release(platform.now_ms(), failed);
    }

    /// Sends the served records that wait; more come in while it lingers, so that one POST carries many.
    pub async fn report<P: Platform>(&self, platform: &P, config: &Config) {
        if !self.served.claim(platform.now_ms()) {
            return;
        }
        if platform.collects() && self.hand_over(platform).await {
            return;
        }
        let bearer = format!("Bearer {}", config.keys.edge_token);
        platform.sleep(SERVED_LINGER_MS).await;
        loop {
            let records = self.served.take(SERVED_BATCH_MAX, platform.now_ms());
            if records.is_empty() {
                return;
            }
            let answer = within(
                platform,
                REPORT_DEADLINE_MS,
                platform.origin_post(
                    "/v1/served",
                    "application/msgpack",
                    pack(&records),
                    &[("authorization", &bearer)],
                ),
            )
            .await;
            match judge(answer) {
                Sent::Taken => {}
                Sent::Refused(status) => {
                    let line = format!("the origin refused served records: {status}");
                    platform.log(Level::Error, &line);
                }
                Sent::Later(why) => {
                    let lost = self.served.put_back(records);
                    let line = format!("served records wait for the origin ({lost} lost): {why}");
                    platform.log(Level::Warn, &line);
                    self.served.release(platform.now_ms());
                    return;
                }
            }
        }
    }

    /// Hands over the served records that wait; answers whether all were taken.
    async fn hand_over<P: Platform>(&self, platform: &P) -> bool {
        loop {
            let records = self.served.take(SERVED_BATCH_MAX, platform.now_ms());
            if records.is_empty() {
                return true;
            }
            for (at, record) in records.iter().enumerate() {
                if let Err(e) = platform.hand_over(record).await {
                    let lost = self.served.put_back(records[at..].to_vec());
                    let line = format!("served records are sent from here ({lost} lost): {e}");
                    platform.log(Level::Warn, &line);
                    return false;
                }
            }
        }
    }
}

fn pause_ms<P: Platform>(platform: &P, attempt: u32) -> u32 {
    let base = RETRY_PAUSE_MS << attempt.min(5);
    let mut random = [0u8; 2];
    // Without randomness the pause is the middle one.
    let jitter = match platform.random(&mut random) {
        Ok(()) => u32::from(u16::from_le_bytes(random)) * base / 65_536,
        Err(_) => base / 2,
    };
    base / 2 + jitter
}
