//! From a reader to a pseudonym: minted at consent, or linked by a publisher's login assertion.

use crate::config::{Brand, Keys};
use crate::limits::ASSERTION_TTL_S_MAX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use mediaflow_shared::id::Pseudonym;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Why a login assertion was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Not `base64url(reader id).expiry.base64url(signature)`.
    #[error("the assertion is not base64url(reader id).expiry_s.base64url(signature)")]
    Malformed,
    /// The signature is not the login key's.
    #[error("the assertion was not signed with the login key")]
    Forged,
    /// Its time is over, or it is valid for longer than an hour.
    #[error("the assertion has expired or is valid for more than an hour")]
    Expired,
}

fn hmac16(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    // An HMAC takes a key of any length: this cannot fail for 32 bytes.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 16];
    };
    for p in parts {
        mac.update(p);
    }
    let full = mac.finalize().into_bytes();
    let mut out = [0; 16];
    out.copy_from_slice(&full[..16]);
    out
}

/// `HMAC-SHA256(reader key, group 0x00 reader id)`, the first 16 bytes.
#[must_use]
pub fn pseudonym(keys: &Keys, brand: &Brand, reader_id: &[u8]) -> Pseudonym {
    Pseudonym(hmac16(
        &keys.reader,
        &[brand.group.as_bytes(), b"\0", reader_id],
    ))
}

/// Checks a login assertion and answers the pseudonym of its reader.
///
/// # Errors
/// [`LinkError`].
pub fn link(
    keys: &Keys,
    brand: &Brand,
    assertion: &str,
    now_ms: i64,
) -> Result<Pseudonym, LinkError> {
    let mut parts = assertion.trim().split('.');
    let (Some(id), Some(expiry), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(LinkError::Malformed);
    };
    let reader_id = URL_SAFE_NO_PAD
        .decode(id)
        .map_err(|_| LinkError::Malformed)?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| LinkError::Malformed)?;
    let expiry_s: i64 = expiry.parse().map_err(|_| LinkError::Malformed)?;
    if reader_id.is_empty() || reader_id.len() > 256 {
        return Err(LinkError::Malformed);
    }
    let want = hmac16(&keys.login, &[id.as_bytes(), b".", expiry.as_bytes()]);
    if !bool::from(want.as_slice().ct_eq(&signature)) {
        return Err(LinkError::Forged);
    }
    let now_s = now_ms / 1000;
    if expiry_s < now_s || expiry_s > now_s + ASSERTION_TTL_S_MAX {
        return Err(LinkError::Expired);
    }
    Ok(pseudonym(keys, brand, &reader_id))
}

/// An assertion as a publisher's site makes it; the tests' and the demonstration's twin of [`link`].
#[must_use]
pub fn assertion(login_key: &[u8; 32], reader_id: &[u8], expiry_s: i64) -> String {
    let id = URL_SAFE_NO_PAD.encode(reader_id);
    let expiry = expiry_s.to_string();
    let signature = hmac16(login_key, &[id.as_bytes(), b".", expiry.as_bytes()]);
    format!("{id}.{expiry}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{brand, keys};

    #[test]
    fn an_assertion_links_the_reader_until_it_expires() {
        let (k, b) = (keys(), brand("daily"));
        let text = assertion(&k.login, b"reader-1", 1000);
        assert_eq!(
            link(&k, &b, &text, 999_000),
            Ok(pseudonym(&k, &b, b"reader-1"))
        );
        assert_eq!(link(&k, &b, &text, 1_001_000), Err(LinkError::Expired));
        let eternal = assertion(&k.login, b"reader-1", 1_000_000);
        assert_eq!(link(&k, &b, &eternal, 0), Err(LinkError::Expired));
        let forged = assertion(&[0; 32], b"reader-1", 1000);
        assert_eq!(link(&k, &b, &forged, 0), Err(LinkError::Forged));
        for bad in ["", "a.b", "a.b.c.d", "§.1.a", "YQ.x.YQ"] {
            assert_eq!(link(&k, &b, bad, 0), Err(LinkError::Malformed), "{bad}");
        }
    }

    #[test]
    fn pseudonyms_differ_between_groups() {
        let k = keys();
        let (a, b) = (brand("daily"), brand("other"));
        assert_ne!(pseudonym(&k, &a, b"r"), pseudonym(&k, &b, b"r"));
    }
}
