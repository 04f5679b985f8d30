//! The outbox: what instances leave to be sent on, gathered into few posts.
//!
//! ```text
//! guest: key-value store `outbox`, set("served", record) ─► queue here ─► POST {origin}/v1/served, many records each
//! ```
//!
//! An instance alone would post nearly every record by itself, which costs more than the feed it is about. What is taken
//! here is held in memory, as it would be in the guest: bounded, the oldest lost first, and counted. Nothing here reads a
//! record. A component that finds no store of this name posts by itself, as it does in Spin.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use wasmtime_wasi_http::WasiBody;

use crate::limits::{
    OUTBOUND_FIRST_BYTE_TIMEOUT, OUTBOX_BATCH_MAX, OUTBOX_LINGER, OUTBOX_PAUSE,
    OUTBOX_RECORD_BYTES_MAX, OUTBOX_WAITING_MAX,
};
use crate::outbound::Outbound;
use crate::variables::Variables;

/// Label of the store that stands for it.
pub const LABEL: &str = "outbox";
/// The only key: the kind of record.
pub const SERVED: &str = "served";

/// Why a record was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// There is nobody who reads this kind.
    #[error("the outbox takes records under the key {SERVED:?}, not {0:?}")]
    Kind(String),
    /// It is too large to be one.
    #[error("a record of {0} bytes is refused: at most {OUTBOX_RECORD_BYTES_MAX} are taken")]
    Large(usize),
}

/// Where records wait, shared by every instance.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    url: String,
    bearer: String,
    outbound: Outbound,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Vec<u8>>,
    lost: u64,
}

impl Outbox {
    /// An outbox towards the component's own origin, by the component's own token; `None` when its variables name
    /// none, or when it may not reach it.
    pub fn new(variables: &Variables, outbound: &Outbound) -> Option<Self> {
        let origin = variables.known("origin_url")?;
        let token = variables.known("edge_token")?;
        let url = format!("{}/v1/served", origin.trim_end_matches('/'));
        outbound.reaches(&url.parse().ok()?).then(|| {
            Self(Arc::new(Shared {
                waiting: Mutex::default(),
                arrived: Notify::new(),
                url,
                bearer: format!("Bearer {token}"),
                outbound: outbound.clone(),
            }))
        })
    }

    /// Takes a record over. Never waits.
    ///
    /// # Errors
    /// [`OutboxError`]: it is none.
    pub fn add(&self, kind: &str, record: Vec<u8>) -> Result<(), OutboxError> {
        if kind != SERVED {
            return Err(OutboxError::Kind(kind.to_owned()));
        }
        if record.len() > OUTBOX_RECORD_BYTES_MAX {
            return Err(OutboxError::Large(record.len()));
        }
        let mut waiting = self.lock();
        if waiting.records.len() >= OUTBOX_WAITING_MAX {
            waiting.records.pop_front();
            waiting.lost += 1;
        }
        waiting.records.push_back(record);
        let first = waiting.records.len() == 1;
        drop(waiting);
        if first {
            self.0.arrived.notify_one();
        }
        Ok(())
    }

    /// Sends what waits until `stop` resolves, then what is left.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            if self.lock().records.is_empty() {
                tokio::select! {
                    () = self.0.arrived.notified() => {}
                    () = &mut stop => break,
                }
            }
            // More come in meanwhile, so that one post carries many.
            tokio::select! {
                () = sleep(OUTBOX_LINGER) => {}
                () = &mut stop => break,
            }
            if !self.flush().await {
                tokio::select! {
                    () = sleep(OUTBOX_PAUSE) => {}
                    () = &mut stop => break,
                }
            }
        }
        self.flush().await;
    }

    /// Sends everything that waits; answers whether the origin took it, or refused it for good.
    pub async fn flush(&self) -> bool {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return true;
            }
            match self.post(pack(&batch)).await {
                Ok(status) if status < 300 => {}
                // The edge or the origin is misconfigured, or the records are not understood: again is no better.
                Ok(status @ (400 | 409 | 413 | 415 | 422)) => {
                    tracing::error!(status, "the origin refused served records");
                }
                Ok(status) => {
                    let lost = self.put_back(batch);
                    tracing::warn!(status, lost, "served records wait for the origin");
                    return false;
                }
                Err(reason) => {
                    let lost = self.put_back(batch);
                    tracing::warn!(reason, lost, "served records wait for the origin");
                    return false;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let waiting = &self.0.waiting;
        waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Vec<u8>> {
        let mut waiting = self.lock();
        let n = waiting.records.len().min(OUTBOX_BATCH_MAX);
        waiting.records.drain(..n).collect()
    }

    /// Puts a batch back to the front as far as there is room; answers how many records were lost until now.
    fn put_back(&self, batch: Vec<Vec<u8>>) -> u64 {
        let mut waiting = self.lock();
        let room = OUTBOX_WAITING_MAX.saturating_sub(waiting.records.len());
        let lost = batch.len().saturating_sub(room);
        waiting.lost += lost as u64;
        for record in batch.into_iter().skip(lost).rev() {
            waiting.records.push_front(record);
        }
        waiting.lost
    }

    async fn post(&self, body: Vec<u8>) -> Result<u16, String> {
        let shared = &self.0;
        let body: WasiBody = Full::new(Bytes::from(body))
            .map_err(|never| match never {})
            .boxed_unsync();
        let request = http::Request::post(&shared.url)
            .header(CONTENT_TYPE, "application/msgpack")
            .header(AUTHORIZATION, &shared.bearer)
            .body(body)
            .map_err(|error| error.to_string())?;
        let sent = shared
            .outbound
            .clone()
            .send(request, OUTBOUND_FIRST_BYTE_TIMEOUT);
        let response = sent.await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        // Read to its end, so that the connection can be used again.
        let _ = timeout(Duration::from_secs(1), response.into_body().collect()).await;
        Ok(status)
    }
}

/// A MessagePack array of binaries, as `POST /v1/served` reads it.
fn pack(records: &[Vec<u8>]) -> Vec<u8> {
    let bytes: usize = records.iter().map(|record| record.len() + 5).sum();
    let mut out = Vec::with_capacity(bytes + 3);
    // At most `OUTBOX_BATCH_MAX`, which fits 16 bits; a record fits 32.
    out.push(0xdc);
    out.extend_from_slice(&(records.len() as u16).to_be_bytes());
    for record in records {
        out.push(0xc6);
        out.extend_from_slice(&(record.len() as u32).to_be_bytes());
        out.extend_from_slice(record);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn outbox() -> Outbox {
        let variables = [("origin_url", "http://127.0.0.1:9/"), ("edge_token", "t")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables = Variables::new(HashMap::from(variables));
        let outbound = Outbound::new(vec!["http://127.0.0.1:9".parse().unwrap()]);
        Outbox::new(&variables, &outbound).unwrap()
    }

    #[tokio::test]
    async fn there_is_none_without_an_origin_that_may_be_reached() {
        let none = Variables::new(HashMap::new());
        assert!(Outbox::new(&none, &Outbound::new(Vec::new())).is_none());
        let outbox = outbox();
        assert_eq!(outbox.0.url, "http://127.0.0.1:9/v1/served");
    }

    #[tokio::test]
    async fn records_that_cannot_be_sent_stay_in_their_order_and_are_bounded() {
        let outbox = outbox();
        assert!(outbox.add("else", Vec::new()).is_err());
        assert!(
            outbox
                .add(SERVED, vec![0; OUTBOX_RECORD_BYTES_MAX + 1])
                .is_err()
        );
        for n in 0..OUTBOX_WAITING_MAX + 2 {
            outbox.add(SERVED, n.to_be_bytes().to_vec()).unwrap();
        }
        assert!(!outbox.flush().await, "nobody listens there");
        let waiting = outbox.lock();
        assert_eq!(
            (waiting.records.len(), waiting.lost),
            (OUTBOX_WAITING_MAX, 2)
        );
        assert_eq!(waiting.records[0], 2_usize.to_be_bytes());
        assert_eq!(waiting.records[1], 3_usize.to_be_bytes());
    }

    #[test]
    fn records_are_packed_as_an_array_of_binaries() {
        let packed = pack(&[vec![7, 8], vec![9]]);
        assert_eq!(
            packed,
            [0xdc, 0, 2, 0xc6, 0, 0, 0, 2, 7, 8, 0xc6, 0, 0, 0, 1, 9]
        );
    }
}
