//! Which sites may call the edge from a browser: the brand's own, with credentials.

use crate::config::Brand;
use crate::http::{Headers, Response};
use crate::problem::{Kind, Problem, echo};
use crate::routes::Status;

const EXPOSED: &str = "ETag, Server-Timing, MediaFlow-Rung, MediaFlow-Profile-Age, MediaFlow-Front-Age, \
                       MediaFlow-Rules-Age, MediaFlow-Consent, MediaFlow-Feed-Id, MediaFlow-Token";

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// This edge's own pages.
    Here,
    /// One of the brand's sites.
    Site,
    /// No browser said.
    Unsaid,
    /// Somewhere else.
    Elsewhere,
}

/// Judges `Origin` and `Sec-Fetch-Site`.
#[must_use]
pub fn from(brand: &Brand, headers: &Headers) -> From {
    match (headers.first("origin"), headers.first("sec-fetch-site")) {
        (Some(origin), site) => {
            if brand.origins.iter().any(|o| o == origin) {
                return From::Site;
            }
            let host = headers
                .first("x-forwarded-host")
                .or_else(|| headers.first("host"));
            let own = origin.split_once("://").map(|(_, h)| h);
            if site == Some("same-origin") || (own.is_some() && own == host) {
                From::Here
            } else {
                From::Elsewhere
            }
        }
        (None, Some("same-origin" | "none")) => From::Here,
        (None, Some(_)) => From::Elsewhere,
        (None, None) => From::Unsaid,
    }
}

/// Refuses what another site's page sends in a reader's name.
///
/// # Errors
/// A [`Problem`]; `form` also refuses senders that say nothing, since every browser does for a form.
pub fn refuse_foreign(brand: &Brand, headers: &Headers, form: bool) -> Result<(), Problem> {
    match from(brand, headers) {
        From::Here | From::Site => Ok(()),
        From::Unsaid if !form => Ok(()),
        _ => Err(Problem::new(
            Kind::Forbidden,
            format!(
                "header `Origin: {}`",
                echo(headers.first("origin").unwrap_or("(none)"))
            ),
            "the request comes from another site",
            "send it from a page of this edge or of the brand's configured origins",
        )),
    }
}

/// Lets the brand's sites read a response.
#[must_use]
pub fn allow(response: Response, brand: &Brand, headers: &Headers) -> Response {
    match headers.first("origin") {
        Some(origin) if brand.origins.iter().any(|o| o == origin) => response
            .header("access-control-allow-origin", origin)
            .header("access-control-allow-credentials", "true")
            .header("access-control-expose-headers", EXPOSED),
        _ => response,
    }
}

/// Answers OPTIONS, a preflight or not. Without a brand (events of several brands in one batch) any configured origin
/// is allowed: what it may do is decided by the request itself.
#[must_use]
pub fn preflight(brands: &[Brand], headers: &Headers, methods: &'static str) -> Response {
    let mut r = Response::new(Status::NoContent)
        .header("allow", methods)
        .header("vary", "Origin");
    if let Some(origin) = headers.first("origin")
        && let Some(brand) = brands
            .iter()
            .find(|b| b.origins.iter().any(|o| o == origin))
    {
        r = allow(r, brand, headers)
            .header("access-control-allow-methods", methods)
            .header("access-control-allow-headers", "Content-Type, Traceparent")
            .header("access-control-max-age", "600");
    }
    r
}
