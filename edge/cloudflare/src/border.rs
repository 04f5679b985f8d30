//! The Rust side of `border.js`: each function is one crossing.

use wasm_bindgen::prelude::*;
use worker::js_sys::Uint8Array;
use worker::{Env, wasm_bindgen_futures, web_sys};

#[wasm_bindgen(module = "/src/border.js")]
extern "C" {
    /// Method, URL, country and data centre, a line each.
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

    /// A `Uint8Array`, or undefined. Never rejects.
    #[wasm_bindgen(js_name = cacheGet)]
    pub async fn cache_get(url: &str) -> JsValue;

    /// Whether it was stored. Never rejects.
    #[wasm_bindgen(js_name = cachePut)]
    pub async fn cache_put(url: &str, body: Uint8Array, ttl_s: u32) -> JsValue;

    /// Fills `out`, at most 65,536 bytes, as the Web Crypto API demands.
    #[wasm_bindgen(catch, js_name = fillRandom)]
    pub fn fill_random(out: &mut [u8]) -> Result<(), JsValue>;
}
