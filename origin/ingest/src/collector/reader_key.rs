//! Pseudonyms: what is kept of a reader id.

use hmac::{Hmac, KeyInit, Mac};
use mediaflow_http::Secret;
use mediaflow_shared::id::Pseudonym;
use sha2::Sha256;
use std::fmt;

/// The key of the pseudonyms, with its first block already hashed: half the work of a short HMAC.
#[derive(Clone)]
pub struct ReaderKey(Option<Hmac<Sha256>>);

impl From<Secret> for ReaderKey {
    fn from(key: Secret) -> Self {
        // HMAC takes keys of any length, so this is always there.
        Self(Hmac::new_from_slice(key.expose()).ok())
    }
}

impl ReaderKey {
    /// HMAC-SHA256(key, group ‖ 0 ‖ reader id), its first 16 bytes.
    #[must_use]
    pub fn pseudonym(&self, group: &str, reader_id: &str) -> Pseudonym {
        let mut out = [0u8; 16];
        if let Some(mut mac) = self.0.clone() {
            mac.update(group.as_bytes());
            mac.update(&[0]);
            mac.update(reader_id.as_bytes());
            out.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        }
        Pseudonym(out)
    }
}

/// [`ReaderKey::pseudonym`] for a key that is used once.
#[must_use]
pub fn pseudonym(key: &Secret, group: &str, reader_id: &str) -> Pseudonym {
    ReaderKey::from(key.clone()).pseudonym(group, reader_id)
}

/// Nothing of the key.
impl fmt::Debug for ReaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReaderKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_the_keyed_hash_of_group_and_reader() {
        // printf 'group\0r-1' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…07
        let key = ReaderKey::from(Secret::new([7; 32]));
        assert_eq!(key.pseudonym("group", "r-1").to_string(), EXPECTED);
        assert_ne!(key.pseudonym("group", "r-1"), key.pseudonym("groupr", "-1"));
    }

    const EXPECTED: &str = "8f36f1af0e54daf730300f0fa4d385a5";
}
