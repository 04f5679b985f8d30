//! The edge on Cloudflare Workers: translates, and decides nothing.
//!
//! ```text
//! fetch ─► border (one string in) ─► edge-core over platform ─► border (one response out)
//!                                          └─► after the response: waitUntil(deferred work)
//! ```
//!
//! Isolate memory may vanish between any two requests (an eviction, or the rebuilding of the
//! instance after a panic), so what it holds fills lazily. Nothing here reads a clock, a store or
//! a header that the core did not ask for, and nothing of one request's I/O outlives it.
#![cfg(target_arch = "wasm32")]

mod border;
mod platform;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::{Context as Task, Poll, Waker};

use mediaflow_edge_core::routes::Status;
use mediaflow_edge_core::{Config, ConfigError, Edge, Headers, Request, Response, http, limits};
use wasm_bindgen::prelude::*;
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen_futures::future_to_promise;
use worker::{Context, Env, console_error, web_sys, worker_sys};

use crate::platform::Workers;

thread_local! {
    /// The edge of this isolate, once its configuration was read.
    static EDGE: RefCell<Option<Rc<Edge>>> = const { RefCell::new(None) };
}

/// The worker's `fetch`: a response, or a promise of one.
///
/// A warm feed waits for nothing, so it is answered here and now: without a promise, without a task of the executor and
/// without a turn of the microtask queue, which together cost as much as ranking. What does have to wait goes on as a
/// task from where it stands.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, context: worker_sys::Context) -> JsValue {
    let mut work = Box::pin(handle(request, env, Context::new(context)));
    // Whatever is waited for asks for its waker again when the executor polls it.
    match work.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(response) => response.into(),
        Poll::Pending => {
            future_to_promise(AssertUnwindSafe(async move { Ok(work.await.into()) })).into()
        }
    }
}

async fn handle(request: web_sys::Request, env: Env, context: Context) -> web_sys::Response {
    let edge = match edge(&env) {
        Ok(edge) => edge,
        Err(error) => return misconfigured(&error),
    };
    let description = border::describe(&request);
    let (request, data_centre) = translate(&request, &description).await;
    let platform = Workers::new(env, data_centre);
    let mut response = edge.handle(&platform, request).await;
    let deferred = std::mem::take(&mut response.deferred);
    if !deferred.is_empty() {
        context.wait_until(async move {
            for work in deferred {
                edge.run_deferred(&platform, work).await;
            }
        });
    }
    respond(&response)
}

/// The isolate's edge. A configuration that cannot be read is tried again by the next request.
fn edge(env: &Env) -> Result<Rc<Edge>, ConfigError> {
    EDGE.with_borrow_mut(|slot| {
        if let Some(edge) = slot {
            return Ok(Rc::clone(edge));
        }
        let config = Config::from_vars(|name| border::variable(env, name))?;
        border::describe_with(&described().join("\n"));
        Ok(Rc::clone(slot.insert(Rc::new(Edge::new(config)))))
    })
}

/// The core's request, and the code of the data centre, empty outside Cloudflare's network.
async fn translate<'a>(request: &web_sys::Request, description: &'a str) -> (Request, &'a str) {
    let mut lines = description.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (method, url, country, data_centre) = (line(), line(), line(), line());
    let (path, query) = path_and_query(url);
    let names = http::wanted(method, path);
    let headers = if names == described() {
        named(names, lines)
    } else {
        let values = border::header_values(request, &names.join("\n"));
        named(names, values.split('\n'))
    };
    let body = match method {
        "GET" | "HEAD" | "OPTIONS" => Vec::new(),
        _ => match border::read_body(request, limits::BODY_BYTES_MAX as u32).await {
            Ok(body) => Uint8Array::new(&body).to_vec(),
            // The client went away or broke its own framing: the core refuses an empty body.
            Err(_) => Vec::new(),
        },
    };
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body,
        country: country.as_bytes().try_into().ok(),
    };
    (request, data_centre)
}

/// The headers that come with every description: those of a feed.
fn described() -> &'static [&'static str] {
    http::wanted("GET", "/v1/feed/")
}

fn named<'v>(names: &[&str], values: impl Iterator<Item = &'v str>) -> Headers {
    let pairs = names.iter().zip(values);
    pairs.filter(|(_, value)| !value.is_empty()).collect()
}

/// `/path` and `query` of a URL as the runtime serializes it: always with a host and a path.
fn path_and_query(url: &str) -> (&str, &str) {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let path_at = url[after_scheme..]
        .find('/')
        .map_or(url.len(), |at| after_scheme + at);
    let rest = url[path_at..].split('#').next().unwrap_or_default();
    rest.split_once('?').unwrap_or((rest, ""))
}

fn respond(response: &Response) -> web_sys::Response {
    let mut head = String::with_capacity(512);
    for (name, value) in &response.headers {
        if !head.is_empty() {
            head.push('\n');
        }
        head.push_str(name);
        head.push('\n');
        head.push_str(value);
    }
    border::respond(response.status, &head, &response.body)
}

/// Nothing can be served without keys; the message names the variable, never its value.
fn misconfigured(error: &ConfigError) -> web_sys::Response {
    console_error!("the edge is not configured: {}", error);
    let body = format!(
        "{{\"type\":\"about:blank\",\"title\":\"the edge is not configured\",\"status\":{},\
         \"detail\":\"{}\"}}",
        Status::Unavailable.code(),
        error.to_string().escape_default()
    );
    respond(&Response::with_body(
        Status::Unavailable,
        "application/problem+json",
        body.into_bytes(),
    ))
}
