//! The core's port to the world, answered by Spin's interfaces and WASI.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use mediaflow_edge_core::config::VARIABLES;
use mediaflow_edge_core::{Config, Edge, Level, OriginReply, Platform, StoreError};
use spin_sdk::key_value::Store;
use spin_sdk::{variables, wasip3};

use crate::variable;

/// Bytes of an origin's answer that are read: a problem document fits, a page does not matter.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// Where the origin is when no variable says so: the default of `mediaflow serve`.
const ORIGIN_DEFAULT: &str = "http://127.0.0.1:8080";

/// What this edge is called in receipts when no variable says so.
const EDGE_ID_DEFAULT: &str = "spin";

/// What an instance keeps between requests, if it gets more than one.
pub struct Instance {
    /// The core.
    pub edge: Edge,
    origin: String,
    edge_id: String,
    store: RefCell<Option<Rc<Store>>>,
    outbox: Option<Store>,
}

/// Where served records are left for the host to send on. Spin knows no such store: there they are posted from here.
const OUTBOX: &str = "outbox";
/// The key that says what they are.
const SERVED: &str = "served";

impl Instance {
    /// Reads the variables and makes an edge with empty memory.
    ///
    /// # Errors
    /// A sentence that names the variable.
    pub async fn from_variables() -> Result<Self, String> {
        let mut values = Vec::with_capacity(VARIABLES.len());
        for name in VARIABLES {
            if let Some(value) = value(&variable(name)).await? {
                values.push((name, value));
            }
        }
        let config = Config::from_vars(|wanted| {
            let found = values.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, value)| value.clone())
        })
        .map_err(|error| {
            format!("{error}; in Spin the variable has no MEDIAFLOW_ and is lower case")
        })?;
        let origin = value("origin_url").await?;
        let origin = origin.unwrap_or_else(|| ORIGIN_DEFAULT.to_owned());
        let edge_id = value("edge_id").await?;
        Ok(Self {
            edge: Edge::new(config),
            origin: origin.trim_end_matches('/').to_owned(),
            edge_id: edge_id.unwrap_or_else(|| EDGE_ID_DEFAULT.to_owned()),
            store: RefCell::new(None),
            outbox: Store::open(OUTBOX).await.ok(),
        })
    }

    async fn store(&self) -> Result<Rc<Store>, StoreError> {
        if let Some(store) = self.store.borrow().clone() {
            return Ok(store);
        }
        let store = Store::open_default().await.map_err(failed)?;
        let store = Rc::new(store);
        *self.store.borrow_mut() = Some(store.clone());
        Ok(store)
    }
}

/// A Spin variable; an empty one counts as not set, since `spin.toml` has no other way to say so.
async fn value(name: &str) -> Result<Option<String>, String> {
    match variables::get(name).await {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(variables::Error::Undefined(_)) => Ok(None),
        Err(error) => Err(format!("variable {name} cannot be read: {error}")),
    }
}

/// The world as one request sees it.
pub struct Spin {
    instance: Rc<Instance>,
    began: Instant,
}

impl Spin {
    /// Starts the request's clock.
    pub fn new(instance: Rc<Instance>) -> Self {
        Self {
            instance,
            began: Instant::now(),
        }
    }
}

impl Platform for Spin {
    /// Spin may start a fresh instance for every request, and our host retires them after some thousands.
    fn keeps_memory(&self) -> bool {
        false
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let store = self.instance.store().await?;
        store.get(key).await.map_err(failed)
    }

    async fn cache_get(&self, _url: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Err(StoreError::Absent("cache"))
    }

    async fn cache_put(&self, _url: &str, _body: Vec<u8>, _ttl_s: u32) -> Result<(), StoreError> {
        Err(StoreError::Absent("cache"))
    }

    async fn origin_post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Result<OriginReply, StoreError> {
        let url = format!("{}{path}", self.instance.origin);
        let mut request = http::Request::post(url).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(failed)?;
        let response = spin_sdk::http::send(request).await.map_err(failed)?;
        let status = response.status().as_u16();
        let mut incoming = response.into_body();
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            if let Ok(bytes) = frame.map_err(failed)?.into_data() {
                body.extend_from_slice(&bytes);
            }
            if body.len() >= REPLY_BYTES_MAX {
                body.truncate(REPLY_BYTES_MAX);
                break;
            }
        }
        Ok(OriginReply { status, body })
    }

    fn collects(&self) -> bool {
        self.instance.outbox.is_some()
    }

    async fn hand_over(&self, record: &[u8]) -> Result<(), StoreError> {
        let outbox = self.instance.outbox.as_ref();
        let outbox = outbox.ok_or(StoreError::Absent("outbox"))?;
        outbox.set(SERVED, record).await.map_err(failed)
    }

    async fn sleep(&self, ms: u32) {
        spin_sdk::time::sleep(Duration::from_millis(ms.into())).await;
    }

    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn random(&self, out: &mut [u8]) -> Result<(), StoreError> {
        let mut filled = 0;
        while filled < out.len() {
            // The host may give fewer bytes than asked for.
            let bytes = wasip3::random::random::get_random_bytes((out.len() - filled) as u64);
            if bytes.is_empty() {
                return Err(StoreError::Absent("randomness"));
            }
            out[filled..filled + bytes.len()].copy_from_slice(&bytes);
            filled += bytes.len();
        }
        Ok(())
    }

    fn log(&self, level: Level, message: &str) {
        eprintln!("{level}: {message}");
    }

    fn edge_id(&self) -> &str {
        &self.instance.edge_id
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}
