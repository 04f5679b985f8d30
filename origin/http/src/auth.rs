//! Who is calling: bearer tokens, compared in constant time.

use axum::http::{HeaderMap, header};
use std::fmt;
use subtle::ConstantTimeEq;

use crate::Problem;

/// A secret that is never shown: no `Display`, a `Debug` without content.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps secret bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for a MAC or a comparison.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether `other` is the same secret. Takes the same time wherever the two differ; only
    /// their lengths show. An empty secret equals nothing.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        !self.0.is_empty() && bool::from(self.0.ct_eq(other))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The token of `Authorization: Bearer <token>`; the scheme's case does not matter.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whether the caller presents `expected`.
#[must_use]
pub fn has_bearer(headers: &HeaderMap, expected: &Secret) -> bool {
    bearer(headers).is_some_and(|token| expected.matches(token.as_bytes()))
}

/// Refuses a caller who does not present `expected`.
///
/// # Errors
/// 401, the same for an absent and for a wrong token.
pub fn require_bearer(headers: &HeaderMap, expected: &Secret) -> Result<(), Problem> {
    if has_bearer(headers, expected) {
        Ok(())
    } else {
        Err(Problem::unauthorized("header `Authorization`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(value: &'static str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        h
    }

    #[test]
    fn only_the_exact_token_passes() {
        let secret = Secret::new("s3cret");
        assert!(has_bearer(&with("Bearer s3cret"), &secret));
        assert!(has_bearer(&with("bearer s3cret"), &secret));
        for bad in [
            "Bearer s3cre",
            "Bearer s3crets",
            "Basic s3cret",
            "Bearer",
            "Bearer ",
            "s3cret",
        ] {
            assert!(require_bearer(&with(bad), &secret).is_err(), "{bad}");
        }
        assert!(!has_bearer(&HeaderMap::new(), &secret));
    }

    #[test]
    fn an_empty_secret_lets_nobody_in() {
        assert!(!Secret::new("").matches(b""));
    }

    #[test]
    fn debug_does_not_show_the_secret() {
        assert_eq!(format!("{:?}", Secret::new("s3cret")), "Secret(…)");
    }
}
