//! Which path is what, and the only place that knows an HTTP status.

use crate::config::{Brand, Surface};
use crate::http::{Request, Response};
use crate::limits::{BODY_BYTES_MAX, PATH_BYTES_MAX, QUERY_BYTES_MAX};
use crate::platform::Platform;
use crate::problem::{Kind, Problem, echo};
use crate::{Edge, cors, events_route, feed_route, me_route, page};

/// Statuses the edge answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200.
    Ok,
    /// 202.
    Accepted,
    /// 204.
    NoContent,
    /// 303.
    SeeOther,
    /// 304.
    NotModified,
    /// 400.
    BadRequest,
    /// 403.
    Forbidden,
    /// 404.
    NotFound,
    /// 405.
    MethodNotAllowed,
    /// 413.
    TooLarge,
    /// 415.
    UnsupportedType,
    /// 503.
    Unavailable,
}

impl Status {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Ok => 200,
            Self::Accepted => 202,
            Self::NoContent => 204,
            Self::SeeOther => 303,
            Self::NotModified => 304,
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::TooLarge => 413,
            Self::UnsupportedType => 415,
            Self::Unavailable => 503,
        }
    }
}

const GET: &str = "GET, HEAD, OPTIONS";
const GET_POST: &str = "GET, HEAD, POST, OPTIONS";
const POST: &str = "POST, OPTIONS";

/// Answers a request. HEAD is GET without the body.
pub(crate) async fn dispatch<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
) -> Response {
    let head = request.method == "HEAD";
    let method = if head { "GET" } else { request.method.as_str() };
    let mut response = match route(edge, platform, request, method).await {
        Ok(response) => response,
        Err(problem) => problem.response(),
    };
    if head {
        let length = response.body.len().to_string();
        response = response.header("content-length", length);
        response.body.clear();
    }
    response
}

async fn route<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    method: &str,
) -> Result<Response, Problem> {
    check_sizes(request)?;
    let mut parts = [""; 5];
    let mut count = 0;
    for part in request.path.split('/').skip(1) {
        if count == parts.len() {
            return Err(nowhere(request));
        }
        parts[count] = part;
        count += 1;
    }
    let brands = &edge.config().brands;
    let options = |methods| Ok(cors::preflight(brands, &request.headers, methods));
    match &parts[..count] {
        ["v1", "feed", brand, surface] => {
            let (brand, surface) = find(edge, brand, surface)?;
            match method {
                "GET" => feed_route::answer(edge, platform, brand, surface, request).await,
                "OPTIONS" => options(GET),
                _ => Err(wrong_method(request, GET)),
            }
        }
        ["v1", "events"] => match method {
            "POST" => events_route::answer(edge, platform, request).await,
            "OPTIONS" => options(POST),
            _ => Err(wrong_method(request, POST)),
        },
        ["v1", "me"] => match method {
            "GET" => me_route::tell(edge, platform, request).await,
            "POST" => me_route::change(edge, platform, request).await,
            "OPTIONS" => options(GET_POST),
            _ => Err(wrong_method(request, GET_POST)),
        },
        ["healthz"] => match method {
            "GET" => Ok(Response::with_body(
                Status::Ok,
                "application/json",
                b"{\"status\":\"ok\"}".to_vec(),
            )
            .header("cache-control", "no-store")),
            _ => Err(wrong_method(request, GET)),
        },
        parts if method == "GET" => page::answer(edge, platform, request, parts).await,
        ["r" | "go" | "assets", ..] => Err(wrong_method(request, GET)),
        _ => Err(nowhere(request)),
    }
}

fn check_sizes(request: &Request) -> Result<(), Problem> {
    for (what, have, max) in [
        ("the path", request.path.len(), PATH_BYTES_MAX),
        ("the query", request.query.len(), QUERY_BYTES_MAX),
        ("the body", request.body.len(), BODY_BYTES_MAX),
    ] {
        if have > max {
            let reason = format!("is longer than {max} bytes");
            return Err(Problem::new(
                Kind::TooLarge,
                what,
                reason,
                "send less at once",
            ));
        }
    }
    if let Some(coding) = request.headers.first("content-encoding")
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(Problem::new(
            Kind::UnsupportedType,
            format!("header `Content-Encoding: {}`", echo(coding)),
            "compressed bodies are not read here",
            "send the body as it is",
        ));
    }
    Ok(())
}

/// The brand and surface of a path.
pub(crate) fn find<'a>(
    edge: &'a Edge,
    brand: &str,
    surface: &str,
) -> Result<(&'a Brand, &'a Surface), Problem> {
    let missing = |what: &str, slug: &str| {
        Problem::new(
            Kind::NotFound,
            format!("{what} {:?}", echo(slug)),
            "is not served here",
            "check the slug",
        )
    };
    let brand = edge
        .config()
        .brand(brand)
        .ok_or_else(|| missing("brand", brand))?;
    let surface = brand
        .surface(surface)
        .ok_or_else(|| missing("surface", surface))?;
    Ok((brand, surface))
}

/// There is nothing at this path.
pub(crate) fn nowhere(request: &Request) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("path {}", echo(&request.path)),
        "leads nowhere",
        "see /r/{brand} for readers and /v1/feed/{brand}/{surface} for programs",
    )
}

fn wrong_method(request: &Request, allow: &'static str) -> Problem {
    Problem::new(
        Kind::Method(allow),
        format!("method {}", echo(&request.method)),
        "is not what this path is for",
        format!("use {allow}"),
    )
}
