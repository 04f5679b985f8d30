//! Problem details for HTTP APIs (RFC 9457).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;

use crate::limits::ECHO_CHARS_MAX;

/// A refusal: what was wrong with which input, and what to do about it.
///
/// On the wire `application/problem+json` with `type`, `title`, `status`, `detail` of RFC 9457 and
/// the extension members `input`, `reason`, `remedy`. `type` is a `tag:` URI (RFC 4151) that names
/// the kind of problem and is stable; `title` is the same for every problem of that type.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inner>);

// Boxed, so that `Result<T, Problem>` stays small on the way without an error.
#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
    input: String,
    reason: String,
    remedy: String,
    members: Map<String, Value>,
    headers: HeaderMap,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: String,
    input: &'a str,
    reason: &'a str,
    remedy: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of the type `slug` (`[a-z-]+`, stable). Fill in [`Problem::input`],
    /// [`Problem::reason`] and [`Problem::remedy`].
    #[must_use]
    pub fn new(status: StatusCode, slug: &'static str, title: &'static str) -> Self {
        Self(Box::new(Inner {
            status,
            slug,
            title,
            input: String::new(),
            reason: String::new(),
            remedy: String::new(),
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// Names what was refused: a header, a field, a path segment. Cut after 80 characters.
    #[must_use]
    pub fn input(mut self, input: impl AsRef<str>) -> Self {
        self.0.input = input.as_ref().chars().take(ECHO_CHARS_MAX).collect();
        self
    }

    /// Says why.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// Says what the caller can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = remedy.into();
        self
    }

    /// Adds an extension member. Members of the standard cannot be replaced.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        let taken = [
            "type", "title", "status", "detail", "input", "reason", "remedy",
        ];
        if !taken.contains(&member) {
            self.0.members.insert(member.to_owned(), value.into());
        }
        self
    }

    /// Adds a response header such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The status it answers with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable name of its type.
    #[must_use]
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// 400: the input cannot be read or does not hold what it must.
    #[must_use]
    pub fn bad_request(input: impl AsRef<str>, reason: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad-request",
            "The request cannot be read",
        )
        .input(input)
        .reason(reason)
        .remedy("correct the request and send it again")
    }

    /// 401: no credentials, or wrong ones. The reason never says which part was wrong.
    #[must_use]
    pub fn unauthorized(input: impl AsRef<str>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "The caller is not known",
        )
        .input(input)
        .reason("credentials are absent or not accepted")
        .remedy("send `Authorization: Bearer <token>` with a valid token")
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: known, but not allowed.
    #[must_use]
    pub fn forbidden(input: impl AsRef<str>, reason: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "The caller may not do this",
        )
        .input(input)
        .reason(reason)
        .remedy("use a token whose role covers this")
    }

    /// 404: nothing is there.
    #[must_use]
    pub fn not_found(input: impl AsRef<str>, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Nothing is here")
            .input(input)
            .reason(reason)
            .remedy("check the path")
    }

    /// 409: at odds with what is stored.
    #[must_use]
    pub fn conflict(input: impl AsRef<str>, reason: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "conflict",
            "The request conflicts with what is stored",
        )
        .input(input)
        .reason(reason)
        .remedy("read the current state and decide anew")
    }

    /// 413: over a limit of `max_bytes`.
    #[must_use]
    pub fn too_large(input: impl AsRef<str>, max_bytes: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
        )
        .input(input)
        .reason(format!("it holds more than {max_bytes} bytes"))
        .remedy("send smaller batches")
        .with("max_bytes", max_bytes)
    }

    /// 415: a media type or encoding this route does not read.
    #[must_use]
    pub fn unsupported_media_type(input: impl AsRef<str>, remedy: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            "The body's type is not read here",
        )
        .input(input)
        .reason("the type or encoding is not supported")
        .remedy(remedy)
    }

    /// 422: readable, but a value is not acceptable.
    #[must_use]
    pub fn unprocessable(input: impl AsRef<str>, reason: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "unprocessable",
            "A value is not acceptable",
        )
        .input(input)
        .reason(reason)
        .remedy("correct the value and send it again")
    }

    /// 503: something beneath does not answer; the caller should retry after `retry_after_s`.
    #[must_use]
    pub fn unavailable(input: impl AsRef<str>, retry_after_s: u32) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "Not available for the moment",
        )
        .input(input)
        .reason("a store beneath does not answer; nothing was kept of this request")
        .remedy(format!("send the same request again in {retry_after_s} s"))
        .header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// 500: a defect of ours. Says nothing about the inside.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A defect in the service",
        )
        .input("request")
        .reason("the service failed while answering")
        .remedy("retry; if it persists, report the `x-request-id` of this answer")
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self.document()).unwrap_or(Value::Null)
    }

    fn document(&self) -> Document<'_> {
        Document {
            kind: format!("tag:mediaflow.org,2026:problem/{}", self.0.slug),
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: self.to_string(),
            input: &self.0.input,
            reason: &self.0.reason,
            remedy: &self.0.remedy,
            members: &self.0.members,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.0.input, self.0.reason, self.0.remedy)
    }
}

impl std::error::Error for Problem {}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = (self.0.status, body).into_response();
        response.headers_mut().extend(self.0.headers);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_input_reason_and_remedy() {
        let v = Problem::bad_request("field `brand`", "is missing")
            .remedy("add it")
            .with("index", 3)
            .with("status", 200)
            .to_json();
        assert_eq!(v["type"], "tag:mediaflow.org,2026:problem/bad-request");
        assert_eq!(v["status"], 400);
        assert_eq!(v["input"], "field `brand`");
        assert_eq!(v["reason"], "is missing");
        assert_eq!(v["remedy"], "add it");
        assert_eq!(v["detail"], "field `brand`: is missing; add it");
        assert_eq!(v["index"], 3);
    }

    #[test]
    fn foreign_input_is_cut() {
        let v = Problem::not_found("x".repeat(5_000), "no").to_json();
        assert_eq!(v["input"].as_str().unwrap().len(), ECHO_CHARS_MAX);
    }

    #[test]
    fn the_response_has_type_and_headers() {
        let r = Problem::unavailable("log", 2).into_response();
        assert_eq!(r.status(), 503);
        assert_eq!(r.headers()["content-type"], "application/problem+json");
        assert_eq!(r.headers()["retry-after"], "2");
        assert_eq!(
            Problem::unauthorized("x").into_response().headers()["www-authenticate"],
            "Bearer"
        );
    }
}
