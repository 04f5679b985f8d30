//! The Rust side of `border.js`: each function is one crossing.

use wasm_bindgen::prelude::*;
use worker::js_sys::Uint8Array;
use worker::{Env, wasm_bindgen_futures, web_sys};

#[wasm_bindgen(module = "/src/border.js")]
extern "C" {
    /// Names the headers, a line each, whose values come with every description from now on.
    #[wasm_bindgen(js_name = describeWith)]
    pub fn describe_with(names: &str);

    /// Method, URL, country, data centre, and the values of the headers named before, a line each.
    pub fn describe(request: &web_sys::Request) -> String;

    /// Values of the headers named a line each, a line each.
    #[wasm_bindgen(js_name = headerValues)]
    pub fn header_values(request: &web_sys::Request, names: &str) -> String;

    /// The body as a `Uint8Array`, at most `bytes_max` + 1 bytes of it.
    #[wasm_bindgen(catch, js_name = readBody)]
    pub async fn read_body(request: &web_sys::Request, bytes_max: u32) -> Result<JsValue, JsValue>;

    /// A response; `head` is name and value in turn, a line each.
    pub fn respond(status: u16, head: &str, body: &[u8]) -> web_sys::Response;

    /// A variable or secret.
    pub fn variable(env: &Env, name: &str) -> Option<String>;

    /// A value of a KV namespace as a `Uint8Array`, or undefined.
    #[wasm_bindgen(catch, js_name = kvGet)]
    pub async fn kv_get(env: &Env, namespace: &str, key: &str) -> Result<JsValue, JsValue>;

    /// Posts; `head` is name and value in turn, a line each. The answer is a `Uint8Array`: the status in two bytes, low
    /// first, and at most `bytes_max` bytes of the body.
    #[wasm_bindgen(catch)]
    pub async fn post(
        url: &str,
        head: &str,
        body: Uint8Array,
        bytes_max: u32,
    ) -> Result<JsValue, JsValue>;

    /// A `Uint8Array`, or undefined. Never rejects.
    #[wasm_bindgen(js_name = cacheGet)]
    pub async fn cache_get(url: &str) -> JsValue;

    /// Whether it was stored. Never rejects.
    #[wasm_bindgen(js_name = cachePut)]
    pub async fn cache_put(url: &str, body: Uint8Array, ttl_s: u32) -> JsValue;

    /// Resolves after so many milliseconds. Not the crate's own timer, which wakes only the first task that polled it.
    pub async fn sleep(ms: u32);

    /// Fills `out`, at most 65,536 bytes, as the Web Crypto API demands.
    #[wasm_bindgen(catch, js_name = fillRandom)]
    pub fn fill_random(out: &mut [u8]) -> Result<(), JsValue>;
}
