//! The content systems as seen over HTTP: what each would answer, from pure data.
//!
//! Each module renders one system's wire format and applies its query parameters: [`wordpress`] (REST API v2),
//! [`drupal`] (JSON:API) and [`custom`] (three house formats). They get a [`Shelf`], the items of one source at an
//! instant, and give a [`Reply`]; [`crate::serve`] puts it on the wire. They never touch a clock or a socket.

pub mod custom;
pub mod drupal;
pub mod wordpress;

use crate::world::{Item, State};
use mediaflow_shared::time::Timestamp;

/// The items of one source that exist at an instant.
#[derive(Debug)]
pub struct Shelf<'a> {
    /// Where the source answers, without a final slash: `http://127.0.0.1:4711/wp-harbor`.
    pub base: &'a str,
    /// Where the server answers: pictures are below it.
    pub root: &'a str,
    /// Whether the caller showed credentials: then withdrawn items are visible, as in the real systems.
    pub trusted: bool,
    /// Items with what they are now, in order of publication.
    pub items: Vec<(&'a Item, State)>,
}

/// An answer of a content system.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl Reply {
    fn json(status: u16, kind: &str, body: &serde_json::Value) -> Self {
        Self {
            status,
            headers: vec![("content-type", kind.to_owned())],
            body: body.to_string(),
        }
    }
}

/// Query parameters in order of appearance, decoded.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string (`a=1&b=%5B`).
    #[must_use]
    pub fn parse(query: &str) -> Self {
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The last value of a parameter.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_str())
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// A whole number, `default` when absent, `Err` with the text when it is none.
    ///
    /// # Errors
    /// The text that is not a number.
    pub fn number(&self, name: &str, default: usize) -> Result<usize, String> {
        self.one(name)
            .map_or(Ok(default), |v| v.parse().map_err(|_| v.to_owned()))
    }
}

/// Escapes text for HTML.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// `2026-11-21T08:00:00`, without a zone.
fn naive(at: Timestamp) -> String {
    Timestamp(at.0 - at.0.rem_euclid(1000))
        .to_string()
        .trim_end_matches('Z')
        .to_owned()
}

/// `2026-11-21T08:00:00+00:00`, as PHP's `DATE_ATOM` writes it.
fn atom(at: Timestamp) -> String {
    format!("{}+00:00", naive(at))
}
