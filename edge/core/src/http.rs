//! Requests and responses as the core sees them, and what the adapters translate from and to.

use crate::routes::Status;

/// Request headers the core reads. [`Headers::add`] drops all others, so nothing else can leak or cost.
pub const READ: [&str; 18] = [
    "accept",
    "access-control-request-method",
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "host",
    "if-none-match",
    "origin",
    "referer",
    "sec-ch-ua-mobile",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-gpc",
    "traceparent",
    "user-agent",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// The headers worth fetching for a request: each lookup crosses a border on some platforms.
#[must_use]
pub fn wanted(method: &str, path: &str) -> &'static [&'static str] {
    match (method, path.starts_with("/v1/feed/")) {
        ("GET" | "HEAD", true) => &[
            "cookie",
            "sec-gpc",
            "if-none-match",
            "origin",
            "sec-ch-ua-mobile",
            "user-agent",
        ],
        _ => &READ,
    }
}

/// Request headers: a handful, looked up by scanning.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(&'static str, String)>);

impl Headers {
    /// Keeps a header if the core reads it. `name` in any case.
    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        if let Some(known) = READ.iter().find(|k| k.eq_ignore_ascii_case(name)) {
            self.0.push((known, value.into()));
        }
    }

    /// All values; `name` in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, _)| *k == name)
            .map(|(_, v)| v.as_str())
    }

    /// The first value; `name` in lower case.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| *k == name)
            .map(|(_, v)| v.as_str())
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut h = Self::default();
        for (name, value) in pairs {
            h.add(name.as_ref(), value);
        }
        h
    }
}

/// One request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// Path without the query, still percent-encoded.
    pub path: String,
    /// Query without `?`, still percent-encoded.
    pub query: String,
    /// See [`wanted`].
    pub headers: Headers,
    /// Whole body; an adapter stops reading after [`crate::limits::BODY_BYTES_MAX`] + 1 bytes.
    pub body: Vec<u8>,
    /// ISO 3166-1 alpha-2 of the client when the platform knows it.
    pub country: Option<[u8; 2]>,
}

/// One response, with the work to be done after it was sent.
#[derive(Debug, Default)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty for HEAD.
    pub body: Vec<u8>,
    /// To be given to [`crate::Edge::run_deferred`] one by one or at once, after the response, in any order.
    pub deferred: Vec<crate::Deferred>,
}

impl Response {
    /// An empty response.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self {
            status: status.code(),
            ..Self::default()
        }
    }

    /// A response with a body of a type.
    #[must_use]
    pub fn with_body(status: Status, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            status: status.code(),
            headers: vec![("content-type", content_type.to_owned())],
            body,
            deferred: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The first header of this name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(k, _)| *k == name)
            .map(|(_, v)| v.as_str())
    }
}
