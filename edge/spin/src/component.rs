//! The exported handler: WASI's request in, the core's answer out, then the work that was put off.

use std::cell::RefCell;
use std::rc::Rc;

use mediaflow_edge_core::{Deferred, Headers, Platform, Request, Response, limits};
use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields, Method};
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::{self, wit_future, wit_stream};

use crate::platform::{Instance, Spin};

/// Bytes asked for per read of a request body.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static INSTANCE: RefCell<Option<Rc<Instance>>> = const { RefCell::new(None) };
}

struct Component;

spin_sdk::wasip3::http::service::export!(Component with_types_in spin_sdk::wasip3);

impl Guest for Component {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        let instance = instance().await?;
        let spin = Spin::new(instance.clone());
        let request = inward(request).await?;
        let mut response = instance.edge.handle(&spin, request).await;
        let deferred = std::mem::take(&mut response.deferred);
        let response = outward(response)?;
        for work in deferred {
            let spin = Spin::new(instance.clone());
            if work == Deferred::Served && spin.collects() {
                // Handed over within microseconds; a task would cost more.
                instance.edge.run_deferred(&spin, work).await;
                continue;
            }
            let instance = instance.clone();
            wasip3::spawn(async move { instance.edge.run_deferred(&spin, work).await });
        }
        Ok(response)
    }
}

/// The long-lived part, made by the instance's first request. A configuration that cannot be read
/// is tried again by the next one, and answered by the host.
async fn instance() -> Result<Rc<Instance>, ErrorCode> {
    if let Some(instance) = INSTANCE.with_borrow(Clone::clone) {
        return Ok(instance);
    }
    let made = Instance::from_variables().await;
    let instance = Rc::new(made.map_err(|reason| ErrorCode::InternalError(Some(reason)))?);
    INSTANCE.set(Some(instance.clone()));
    Ok(instance)
}

async fn inward(request: types::Request) -> Result<Request, ErrorCode> {
    let method = method_name(request.get_method());
    let target = request.get_path_with_query().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut headers = Headers::default();
    for (name, value) in request.get_headers().copy_all() {
        if let Ok(value) = String::from_utf8(value) {
            headers.add(&name, value);
        }
    }
    // WASI carries the host outside the headers.
    if let (None, Some(authority)) = (headers.first("host"), request.get_authority()) {
        headers.add("host", authority);
    }
    let body = match method.as_str() {
        "GET" | "HEAD" => Vec::new(),
        _ => body(request).await?,
    };
    Ok(Request {
        method,
        path,
        query,
        headers,
        body,
        country: None,
    })
}

fn method_name(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}

/// The body up to one byte more than the core accepts, so that it can tell "too much".
async fn body(request: types::Request) -> Result<Vec<u8>, ErrorCode> {
    let (_consumed, consumed) = wit_future::new(|| Ok(()));
    let (mut stream, trailers) = types::Request::consume_body(request, consumed);
    let mut body = Vec::new();
    while body.len() <= limits::BODY_BYTES_MAX {
        let (result, mut chunk) = stream.read(Vec::with_capacity(READ_BYTES)).await;
        body.append(&mut chunk);
        if !matches!(result, StreamResult::Complete(_)) {
            // The end of the stream; the trailers tell whether it was the end of the body.
            trailers.await?;
            break;
        }
    }
    body.truncate(limits::BODY_BYTES_MAX + 1);
    Ok(body)
}

fn outward(response: Response) -> Result<types::Response, ErrorCode> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::with_capacity(response.headers.len() + 1);
    for (name, value) in response.headers {
        headers.push((name.to_owned(), value.into_bytes()));
    }
    if !response.body.is_empty() {
        // With its length known, the host need not send it in chunks.
        let length = response.body.len().to_string();
        headers.push(("content-length".to_owned(), length.into_bytes()));
    }
    let headers = Fields::from_list(&headers)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    let contents = (!response.body.is_empty()).then(|| {
        let (mut writer, contents) = wit_stream::new();
        wasip3::spawn(async move {
            // What is left over was not wanted: the reader has gone.
            let _ = writer.write_all(response.body).await;
        });
        contents
    });
    // Dropped unwritten, the future says what it was made with: no trailers, no error.
    drop(trailers_writer);
    let (outgoing, _sent) = types::Response::new(headers, contents, trailers);
    outgoing
        .set_status_code(response.status)
        .map_err(|()| ErrorCode::InternalError(Some("status out of range".to_owned())))?;
    Ok(outgoing)
}
