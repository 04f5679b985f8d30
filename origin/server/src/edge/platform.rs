//! The core's port, natively: the blob store, a small cache in memory, the origin over HTTP.

use mediaflow_edge_core::{Level, OriginReply, Platform, StoreError};
use mediaflow_ports::BlobStore;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Whole feeds kept in memory at most; a front page has a few contexts per minute.
const CACHE_ENTRIES_MAX: usize = 4096;
/// The origin answers in milliseconds or not at all.
const ORIGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// This process as an edge.
pub struct Native {
    blobs: Arc<dyn BlobStore>,
    cache: Mutex<HashMap<String, (Instant, Vec<u8>)>>,
    client: reqwest::Client,
    origin: String,
    edge_id: String,
    started: Instant,
}

impl Native {
    /// `origin` is where events go, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(blobs: Arc<dyn BlobStore>, origin: &str, edge_id: &str) -> anyhow::Result<Self> {
        Ok(Self {
            blobs,
            cache: Mutex::new(HashMap::new()),
            client: reqwest::Client::builder()
                .timeout(ORIGIN_TIMEOUT)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            origin: origin.trim_end_matches('/').to_owned(),
            edge_id: edge_id.to_owned(),
            started: Instant::now(),
        })
    }
}

fn failed(e: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(e.to_string())
}

impl Platform for Native {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.blobs.get(key).await.map_err(failed)?;
        Ok(found.map(|b| b.value.to_vec()))
    }

    async fn cache_get(&self, url: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(cache
            .get(url)
            .filter(|(until, _)| *until > Instant::now())
            .map(|(_, body)| body.clone()))
    }

    async fn cache_put(&self, url: &str, body: Vec<u8>, ttl_s: u32) -> Result<(), StoreError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_ENTRIES_MAX {
            let now = Instant::now();
            cache.retain(|_, (until, _)| *until > now);
            if cache.len() >= CACHE_ENTRIES_MAX {
                cache.clear();
            }
        }
        cache.insert(
            url.to_owned(),
            (Instant::now() + Duration::from_secs(ttl_s.into()), body),
        );
        Ok(())
    }

    async fn origin_post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Result<OriginReply, StoreError> {
        let mut r = self
            .client
            .post(format!("{}{path}", self.origin))
            .header("content-type", content_type)
            .body(body);
        for (name, value) in headers {
            r = r.header(*name, *value);
        }
        let answer = r.send().await.map_err(|e| failed(e.without_url()))?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(|e| failed(e.without_url()))?;
        Ok(OriginReply {
            status,
            body: body.to_vec(),
        })
    }

    async fn sleep(&self, ms: u32) {
        tokio::time::sleep(Duration::from_millis(ms.into())).await;
    }

    fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn random(&self, out: &mut [u8]) -> Result<(), StoreError> {
        getrandom::fill(out).map_err(failed)
    }

    fn log(&self, level: Level, message: &str) {
        match level {
            Level::Info => tracing::info!(edge = %self.edge_id, "{message}"),
            Level::Warn => tracing::warn!(edge = %self.edge_id, "{message}"),
            Level::Error => tracing::error!(edge = %self.edge_id, "{message}"),
        }
    }

    fn edge_id(&self) -> &str {
        &self.edge_id
    }
}
