//! The core's port on Workers: KV, the cache of the data centre, the origin, time, randomness.

use std::time::Duration;

use mediaflow_edge_core::{Level, OriginReply, Platform, StoreError};
use wasm_bindgen::{JsCast, JsValue};
use worker::js_sys::{self, Uint8Array};
use worker::{
    Delay, Env, Fetch, Headers, Method, Request, RequestInit, RequestRedirect, console_error,
    console_log, console_warn,
};

use crate::border;

/// The binding of the KV namespace in `wrangler.toml`.
const NAMESPACE: &str = "MEDIAFLOW";
/// The variable with the origin's address, such as `https://origin.example`.
const ORIGIN: &str = "MEDIAFLOW_ORIGIN";
/// The variable that names this edge where the platform names no data centre.
const EDGE_ID: &str = "MEDIAFLOW_EDGE_ID";
/// Bytes of an answer of the origin that are kept: a problem document fits many times.
const REPLY_BYTES_MAX: usize = 16 * 1024;

/// Workers, as one request sees them: what belongs to one request's I/O must not reach another's.
#[derive(Debug)]
pub struct Workers {
    env: Env,
    edge_id: String,
}

impl Workers {
    /// `data_centre` is Cloudflare's code, empty elsewhere.
    pub fn new(env: Env, data_centre: &str) -> Self {
        let edge_id = if data_centre.is_empty() {
            border::variable(&env, EDGE_ID).unwrap_or_else(|| "workers".to_owned())
        } else {
            format!("cloudflare-{data_centre}")
        };
        Self { env, edge_id }
    }
}

impl Platform for Workers {
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let namespace = self
            .env
            .kv(NAMESPACE)
            .map_err(|_| StoreError::Absent("KV binding MEDIAFLOW"))?;
        namespace
            .get(key)
            .bytes()
            .await
            .map_err(|error| StoreError::Failed(error.to_string()))
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
        let request = post(&url, content_type, &body, headers).map_err(failed)?;
        let mut response = Fetch::Request(request).send().await.map_err(failed)?;
        let mut body = response.bytes().await.map_err(failed)?;
        body.truncate(REPLY_BYTES_MAX);
        Ok(OriginReply {
            status: response.status_code(),
            body,
        })
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(ms.into())).await;
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
        border::fill_random(out).map_err(|error: JsValue| StoreError::Failed(format!("{error:?}")))
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

fn post(
    url: &str,
    content_type: &str,
    body: &[u8],
    headers: &[(&str, &str)],
) -> worker::Result<Request> {
    let head = Headers::new();
    head.set("content-type", content_type)?;
    for (name, value) in headers {
        head.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(head)
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(Uint8Array::from(body).into()));
    Request::new_with_init(url, &init)
}

fn failed(error: worker::Error) -> StoreError {
    StoreError::Failed(error.to_string())
}
