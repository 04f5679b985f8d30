//! The core's port on Workers: KV, the cache of the data centre, the origin, time, randomness.

use std::cell::OnceCell;

use mediaflow_edge_core::{Level, OriginReply, Platform, StoreError};
use wasm_bindgen::{JsCast, JsValue};
use worker::js_sys::{self, Uint8Array};
use worker::{Env, console_error, console_log, console_warn};

use crate::border;

/// The binding of the KV namespace in `wrangler.toml`.
const NAMESPACE: &str = "MEDIAFLOW";
/// The variable with the origin's address, such as `https://origin.example`.
const ORIGIN: &str = "MEDIAFLOW_ORIGIN";
/// The variable that names this edge where the platform names no data centre.
const EDGE_ID: &str = "MEDIAFLOW_EDGE_ID";
/// Bytes of an answer of the origin that are kept: a problem document fits many times.
const REPLY_BYTES_MAX: u32 = 16 * 1024;

/// Workers, as one request sees them: what belongs to one request's I/O must not reach another's.
#[derive(Debug)]
pub struct Workers {
    env: Env,
    edge_id: String,
}

thread_local! {
    /// What this edge is called where the platform names no data centre; variables never change in an isolate.
    static NAME: OnceCell<String> = const { OnceCell::new() };
}

fn own_name(env: &Env) -> String {
    border::variable(env, EDGE_ID).unwrap_or_else(|| "workers".to_owned())
}

impl Workers {
    /// `data_centre` is Cloudflare's code, empty elsewhere.
    pub fn new(env: Env, data_centre: &str) -> Self {
        let edge_id = if data_centre.is_empty() {
            NAME.with(|name| name.get_or_init(|| own_name(&env)).clone())
        } else {
            format!("cloudflare-{data_centre}")
        };
        Self { env, edge_id }
    }
}

impl Platform for Workers {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = border::kv_get(&self.env, NAMESPACE, key).await;
        let found = found.map_err(failed)?;
        Ok(found.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
    }

    async fn cache_get(&self, url: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let found = border::cache_get(url).await;
        Ok(found.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
    }

    async fn cache_put(&self, url: &str, body: Vec<u8>, ttl_s: u32) -> Result<(), StoreError> {
        let stored = border::cache_put(url, Uint8Array::from(body.as_slice()), ttl_s).await;
        if stored.is_truthy() {
            Ok(())
        } else {
            Err(StoreError::Absent("cache"))
        }
    }

    async fn origin_post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> Result<OriginReply, StoreError> {
        let origin = border::variable(&self.env, ORIGIN)
            .ok_or(StoreError::Absent("variable MEDIAFLOW_ORIGIN"))?;
        let url = format!("{}{path}", origin.trim_end_matches('/'));
        let mut head = format!("content-type\n{content_type}");
        for (name, value) in headers {
            head.extend(["\n", name, "\n", value]);
        }
        let body = Uint8Array::from(body.as_slice());
        let answer = border::post(&url, &head, body, REPLY_BYTES_MAX).await;
        let answer = Uint8Array::new(&answer.map_err(failed)?).to_vec();
        let Some((status, body)) = answer.split_first_chunk() else {
            return Err(StoreError::Absent("answer of the origin"));
        };
        Ok(OriginReply {
            status: u16::from_le_bytes(*status),
            body: body.to_vec(),
        })
    }

    async fn sleep(&self, ms: u32) {
        border::sleep(ms).await;
    }

    fn now_ms(&self) -> i64 {
        // Milliseconds since 1970 are exact in a double for 280,000 years.
        js_sys::Date::now() as i64
    }

    /// Workers stop their clock between two reads or writes, so that nobody can measure others.
    fn elapsed_us(&self) -> u64 {
        0
    }

    fn random(&self, out: &mut [u8]) -> Result<(), StoreError> {
        border::fill_random(out).map_err(failed)
    }

    fn log(&self, level: Level, message: &str) {
        match level {
            Level::Info => console_log!("{}", message),
            Level::Warn => console_warn!("{}", message),
            Level::Error => console_error!("{}", message),
        }
    }

    fn edge_id(&self) -> &str {
        &self.edge_id
    }
}

/// What was thrown, as far as it has words.
fn failed(error: JsValue) -> StoreError {
    let words = error
        .dyn_ref::<js_sys::Error>()
        .map(|e| String::from(e.message()));
    StoreError::Failed(
        words
            .or_else(|| error.as_string())
            .unwrap_or_else(|| "it failed".to_owned()),
    )
}
