//! Who may do what: hashed tokens, a role per brand.

use mediaflow_http::{Problem, auth};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// What a token holder may do on a brand; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads everything, previews.
    Viewer,
    /// Drafts, publishes, pins.
    Editor,
    /// Reverts, takes down, kill switch.
    Chief,
    /// Lifts takedowns, revokes readers' tokens.
    Admin,
}

impl Role {
    /// Its name in configuration and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Chief => "chief",
            Self::Admin => "admin",
        }
    }

    fn parse(s: &str) -> Option<Self> {
        [Self::Viewer, Self::Editor, Self::Chief, Self::Admin]
            .into_iter()
            .find(|r| r.name() == s)
    }
}

/// Why `MEDIAFLOW_ADMIN_TOKENS` was refused.
#[derive(Debug, PartialEq, Eq, Error)]
#[error(
    "MEDIAFLOW_ADMIN_TOKENS entry {entry}: {why}; write `name:brand=role+brand=role:sha256 of the token in hex`, entries separated by `,`"
)]
pub struct TokensError {
    entry: usize,
    why: &'static str,
}

#[derive(Debug, Clone)]
struct Holder {
    name: String,
    grants: Vec<(String, Role)>,
    token_sha256: [u8; 32],
}

/// Everybody who may call the API. Holds hashes, never tokens.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Holder>);

/// A caller that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// As the audit names them.
    pub name: String,
    /// On the brand in question.
    pub role: Role,
}

impl Tokens {
    /// Reads `anna:daily=editor+planet=viewer:<sha256 hex>,root:*=admin:<sha256 hex>`: nothing a shell would take apart.
    ///
    /// # Errors
    /// [`TokensError`] naming the entry, never the token.
    pub fn parse(text: &str) -> Result<Self, TokensError> {
        let mut holders = Vec::new();
        for (i, entry) in text
            .split(',')
            .map(str::trim)
            .filter(|e| !e.is_empty())
            .enumerate()
        {
            let fail = |why| TokensError { entry: i + 1, why };
            let mut parts = entry.split(':').map(str::trim);
            let (Some(name), Some(grants), Some(hash), None) =
                (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                return Err(fail("has not three fields"));
            };
            let grants = grants
                .split('+')
                .map(|g| {
                    let (brand, role) = g.trim().split_once('=')?;
                    Some((brand.to_owned(), Role::parse(role)?))
                })
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| fail("has a grant that is not brand=viewer|editor|chief|admin"))?;
            let token_sha256 =
                hex32(hash).ok_or_else(|| fail("has a hash that is not 64 hex digits"))?;
            if name.is_empty() {
                return Err(fail("has no name"));
            }
            holders.push(Holder {
                name: name.to_owned(),
                grants,
                token_sha256,
            });
        }
        Ok(Self(holders))
    }

    /// The entry for a token, as `MEDIAFLOW_ADMIN_TOKENS` takes it.
    #[must_use]
    pub fn entry(name: &str, grants: &str, token: &str) -> String {
        let hex: String = Sha256::digest(token.as_bytes())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        format!("{name}:{grants}:{hex}")
    }

    /// The caller behind the request's bearer token, if it may act as `needed` on `brand`.
    ///
    /// # Errors
    /// 401 without a known token, 403 when its role on the brand is too low.
    pub fn require(
        &self,
        headers: &axum::http::HeaderMap,
        brand: &str,
        needed: Role,
    ) -> Result<Caller, Problem> {
        let unknown = || Problem::unauthorized("header `Authorization`");
        let token = auth::bearer(headers).ok_or_else(unknown)?;
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // Hashes of unknown tokens are not chosen by the caller, so an early end tells nothing.
        let holder = self
            .0
            .iter()
            .find(|h| h.token_sha256 == given)
            .ok_or_else(unknown)?;
        let role = holder
            .grants
            .iter()
            .filter(|(b, _)| b == brand || b == "*")
            .map(|(_, r)| *r)
            .max();
        match role {
            Some(role) if role >= needed => Ok(Caller {
                name: holder.name.clone(),
                role,
            }),
            Some(role) => Err(Problem::forbidden(
                format!("token of {}", holder.name),
                format!(
                    "its role on brand {brand} is {}, this needs {}",
                    role.name(),
                    needed.name()
                ),
            )),
            None => Err(Problem::forbidden(
                format!("token of {}", holder.name),
                format!("it has no role on brand {brand}"),
            )),
        }
    }
}

fn hex32(s: &str) -> Option<[u8; 32]> {
    if s.len() != 64 || !s.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (i, o) in out.iter_mut().enumerate() {
        *o = u8::from_str_radix(&s[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderMap, HeaderValue, header};

    fn with(token: &str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(
            header::AUTHORIZATION,
            HeaderValue::from_str(&format!("Bearer {token}")).unwrap(),
        );
        h
    }

    #[test]
    fn roles_hold_per_brand() {
        let text = [
            Tokens::entry("anna", "daily=editor+planet=viewer", "t1"),
            Tokens::entry("root", "*=admin", "t2"),
        ];
        let t = Tokens::parse(&text.join(",")).unwrap();
        assert_eq!(
            t.require(&with("t1"), "daily", Role::Editor).unwrap().name,
            "anna"
        );
        assert_eq!(
            t.require(&with("t1"), "planet", Role::Editor)
                .unwrap_err()
                .status(),
            403
        );
        assert_eq!(
            t.require(&with("t1"), "other", Role::Viewer)
                .unwrap_err()
                .status(),
            403
        );
        assert_eq!(
            t.require(&with("t2"), "other", Role::Admin).unwrap().role,
            Role::Admin
        );
        assert_eq!(
            t.require(&with("t3"), "daily", Role::Viewer)
                .unwrap_err()
                .status(),
            401
        );
        assert_eq!(
            t.require(&HeaderMap::new(), "daily", Role::Viewer)
                .unwrap_err()
                .status(),
            401
        );
    }

    #[test]
    fn malformed_entries_are_named_without_the_hash() {
        for bad in [
            "anna",
            "anna:daily=editor:zz",
            "anna:daily=king:00",
            ":daily=editor:00",
        ] {
            let e = Tokens::parse(bad).unwrap_err().to_string();
            assert!(e.contains("entry 1") && !e.contains("zz,"), "{e}");
        }
        assert!(Tokens::parse("").unwrap().0.is_empty());
    }
}
