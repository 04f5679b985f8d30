//! Which adapter serves a port: one URI each, such as `embedded:var/log` or `redis://host`.

use std::fmt;
use std::str::FromStr;

use crate::{PortError, PortErrorKind};

/// What an adapter says about itself at start-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// One line without secrets.
    pub line: String,
    /// Log it as a warning: right for a first try, to be reconsidered before production.
    pub warn: bool,
}

/// A parsed adapter URI. `Display` leaves out user names and passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct PortUri {
    scheme: String,
    rest: String,
}

impl PortUri {
    /// The adapter, lower-case: `embedded`, `redis`, `cloudflare`, …
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What follows the scheme, without the slashes: a path, or host and path with any secrets.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The URI as it was written, secrets included: for a client library, never for a log.
    #[must_use]
    pub fn to_secret_string(&self) -> String {
        if self.scheme == "embedded" {
            format!("embedded:{}", self.rest)
        } else {
            format!("{}://{}", self.scheme, self.rest)
        }
    }

    /// The error for an adapter that this binary lacks: names the port, the URI and the feature.
    #[must_use]
    pub fn not_built_in(&self, port: &str, feature: &str) -> PortError {
        PortError::new(
            PortErrorKind::NotBuiltIn,
            format!(
                "{port} = \"{self}\": the adapter `{}` is not built into this binary; \
                 build with `--features {feature}` or use an `embedded:` path",
                self.scheme
            ),
        )
    }

    /// The error for a scheme no adapter of this port has.
    #[must_use]
    pub fn unknown_adapter(&self, port: &str, known: &[&str]) -> PortError {
        PortError::new(
            PortErrorKind::Invalid,
            format!(
                "{port} = \"{self}\": no adapter is called `{}`; use one of {}",
                self.scheme,
                known.join(", ")
            ),
        )
    }
}

impl FromStr for PortUri {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        let invalid = |why: &str| {
            let shown = redact(text);
            PortError::new(
                PortErrorKind::Invalid,
                format!(
                    "adapter uri \"{shown}\" {why}; write it like `embedded:var/log` or `redis://host:6379`"
                ),
            )
        };
        let (scheme, rest) = text
            .split_once(':')
            .ok_or_else(|| invalid("has no scheme"))?;
        let well_formed = !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-'));
        if !well_formed {
            return Err(invalid("has a malformed scheme"));
        }
        let scheme = scheme.to_ascii_lowercase();
        let rest = match (scheme.as_str(), rest.strip_prefix("//")) {
            // `embedded:///abs` and `embedded:/abs` are both the absolute path.
            ("embedded", Some(path)) => path,
            ("embedded", None) => rest,
            (_, Some(authority)) => authority,
            (_, None) => return Err(invalid("lacks `//` after its scheme")),
        };
        if rest.is_empty() {
            return Err(invalid("names no place"));
        }
        Ok(Self {
            scheme,
            rest: rest.to_owned(),
        })
    }
}

impl fmt::Display for PortUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.to_secret_string()))
    }
}

impl fmt::Debug for PortUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortUri({self})")
    }
}

/// Drops `user:password@` from the authority, and the query, which may hold a key.
fn redact(uri: &str) -> String {
    let bare = uri.split(['?', '#']).next().unwrap_or(uri);
    match bare.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}{path}")
        }
        None => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PortUri {
        text.parse().unwrap()
    }

    #[test]
    fn schemes_choose_adapters() {
        assert_eq!(parse("embedded:var/log").rest(), "var/log");
        assert_eq!(parse("embedded:/abs/log").rest(), "/abs/log");
        assert_eq!(parse("embedded:///abs/log").rest(), "/abs/log");
        assert_eq!(parse("REDIS://h:1/0").scheme(), "redis");
        assert_eq!(parse("cloudflare://acc/ns").rest(), "acc/ns");
    }

    #[test]
    fn malformed_uris_are_refused_with_an_example() {
        for bad in [
            "",
            "var/log",
            "redis:host",
            "embedded:",
            "redis://",
            "a b://x",
            "://x",
        ] {
            let error = bad.parse::<PortUri>().unwrap_err();
            assert_eq!(error.kind(), PortErrorKind::Invalid, "{bad}");
            assert!(error.to_string().contains("embedded:var/log"), "{error}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let uri = parse("redis://user:hunter2@host:6379/0?token=hunter2");
        assert_eq!(uri.to_string(), "redis://host:6379/0");
        assert!(!format!("{uri:?}").contains("hunter2"));
        assert!(uri.to_secret_string().contains("hunter2"));
        let error = parse("kafka://u:hunter2@h")
            .not_built_in("event_log", "kafka")
            .to_string();
        assert!(
            !error.contains("hunter2") && error.contains("--features kafka"),
            "{error}"
        );
    }
}
