//! A worker that answers 204 at once, by the same toolchain: what a request costs before ours does anything.
//! `cargo xtask bench` runs it beside the real one.
#![cfg(target_arch = "wasm32")]

use worker::{Context, Env, Result, event, web_sys};

#[event(fetch)]
async fn handle(_: web_sys::Request, _: Env, _: Context) -> Result<web_sys::Response> {
    let init = web_sys::ResponseInit::new();
    init.set_status(204);
    Ok(web_sys::Response::new_with_opt_str_and_init(None, &init)?)
}
