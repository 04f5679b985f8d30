//! Problem details for HTTP APIs (RFC 9457): which input, why, and what to do.

use crate::http::Response;
use crate::limits::{ECHO_CHARS_MAX, RETRY_AFTER_S};
use crate::routes::Status;

/// Kinds of problems; [`crate::routes`] maps them to statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Cannot be read.
    BadRequest,
    /// Not allowed from there, or not without consent.
    Forbidden,
    /// No such brand, surface, item or path.
    NotFound,
    /// Another method is meant.
    Method(&'static str),
    /// More than the limit.
    TooLarge,
    /// Another content type is meant.
    UnsupportedType,
    /// Try again.
    Unavailable,
}

impl Kind {
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::BadRequest => ("bad-request", "The request cannot be read"),
            Self::Forbidden => ("forbidden", "The request is not allowed"),
            Self::NotFound => ("not-found", "There is no such resource"),
            Self::Method(_) => ("method-not-allowed", "The method is not allowed here"),
            Self::TooLarge => ("too-large", "The request is too large"),
            Self::UnsupportedType => ("unsupported-media-type", "The content type is not read"),
            Self::Unavailable => ("unavailable", "The service cannot take this now"),
        }
    }

    const fn status(self) -> Status {
        match self {
            Self::BadRequest => Status::BadRequest,
            Self::Forbidden => Status::Forbidden,
            Self::NotFound => Status::NotFound,
            Self::Method(_) => Status::MethodNotAllowed,
            Self::TooLarge => Status::TooLarge,
            Self::UnsupportedType => Status::UnsupportedType,
            Self::Unavailable => Status::Unavailable,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub kind: Kind,
    /// Which input.
    pub input: String,
    /// What is wrong with it.
    pub reason: String,
    /// What the sender can do.
    pub remedy: String,
}

/// At most [`ECHO_CHARS_MAX`] printable characters of what a client sent.
#[must_use]
pub fn echo(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(ECHO_CHARS_MAX)
        .collect()
}

impl Problem {
    /// A problem with an input, its reason and the remedy.
    #[must_use]
    pub fn new(
        kind: Kind,
        input: impl Into<String>,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            input: input.into(),
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }

    /// The problem document.
    #[must_use]
    pub fn response(&self) -> Response {
        let (slug, title) = self.kind.names();
        let status = self.kind.status();
        let document = serde_json::json!({
            "type": format!("tag:mediaflow.org,2026:problem/{slug}"),
            "title": title,
            "status": status.code(),
            "detail": format!("{}: {}. {}", self.input, self.reason, self.remedy),
            "input": self.input,
            "reason": self.reason,
            "remedy": self.remedy,
        });
        let body = document.to_string().into_bytes();
        let response = Response::with_body(status, "application/problem+json", body)
            .header("cache-control", "no-store");
        match self.kind {
            Kind::Method(allow) => response.header("allow", allow),
            Kind::Unavailable => response.header("retry-after", RETRY_AFTER_S.to_string()),
            _ => response,
        }
    }
}
