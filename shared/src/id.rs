//! Identifiers: content ids, slugs, pseudonyms, and the stable hashes behind them.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Longest brand, surface or source slug, in bytes: it travels in keys, URLs and cookies.
pub const SLUG_BYTES_MAX: usize = 32;

/// Why an identifier was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    /// Not 16 lower-case hexadecimal digits.
    #[error("content id {0:?} is not 16 lower-case hexadecimal digits")]
    Content(String),
    /// Not 32 lower-case hexadecimal digits.
    #[error("pseudonym is not 32 lower-case hexadecimal digits")]
    Pseudonym,
    /// Not `[a-z0-9-]{1,32}`.
    #[error("slug {0:?} is not 1 to 32 of a-z, 0-9 and '-'")]
    Slug(String),
}

/// A content item: the first 64 bits of SHA-256 of `source:original_id` (S0-05), written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ContentId(pub u64);

impl ContentId {
    /// The id of `original_id` as `source` knows it.
    #[must_use]
    pub fn of(source: &str, original_id: &str) -> Self {
        let mut h = Sha256::new();
        h.update(source.as_bytes());
        h.update(b":");
        h.update(original_id.as_bytes());
        let d = h.finalize();
        let mut first = [0u8; 8];
        first.copy_from_slice(&d[..8]);
        Self(u64::from_be_bytes(first))
    }

    /// Reads 16 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`IdError::Content`] for anything else.
    pub fn parse(s: &str) -> Result<Self, IdError> {
        let ok = s.len() == 16
            && s.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let err = || IdError::Content(s.chars().take(40).collect());
        if !ok {
            return Err(err());
        }
        u64::from_str_radix(s, 16).map(Self).map_err(|_| err())
    }

    /// The 4 bytes by which a profile remembers a read.
    #[must_use]
    pub const fn short(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for ContentId {
    // Thirty of these are in every served record: formatting machinery would cost more than the digits.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let digits = hex::<16>(&self.0.to_be_bytes());
        s.serialize_str(core::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for ContentId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(crate::text::Parsed::new(
            "16 hexadecimal digits",
            Self::parse,
        ))
    }
}

/// A reader as everything behind ingest knows them: 16 bytes of a keyed HMAC, written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pseudonym(pub [u8; 16]);

impl Pseudonym {
    /// Reads 32 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`IdError::Pseudonym`] for anything else (the text itself is not repeated: it may be personal).
    pub fn parse(s: &str) -> Result<Self, IdError> {
        if s.len() != 32
            || s.bytes()
                .any(|b| !(b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return Err(IdError::Pseudonym);
        }
        let half = |part: &str| u64::from_str_radix(part, 16).map_err(|_| IdError::Pseudonym);
        let (high, low) = (half(&s[..16])?, half(&s[16..])?);
        Ok(Self(
            (u128::from(high) << 64 | u128::from(low)).to_be_bytes(),
        ))
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&hex::<32>(&self.0)).unwrap_or_default())
    }
}

/// Shows four digits only: enough to tell two readers apart in a debugger, too little to look one up.
impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let digits = hex::<32>(&self.0);
        s.serialize_str(core::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Pseudonym {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(crate::text::Parsed::new(
            "32 hexadecimal digits",
            Self::parse,
        ))
    }
}

/// Lower-case hexadecimal digits, two a byte.
fn hex<const N: usize>(bytes: &[u8]) -> [u8; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [b'0'; N];
    for (two, b) in out.chunks_exact_mut(2).zip(bytes) {
        two.copy_from_slice(&[DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    }
    out
}

/// Checks a brand, surface or source slug: `[a-z0-9-]{1,32}`.
///
/// # Errors
/// [`IdError::Slug`] with at most 40 characters of the input.
pub fn check_slug(s: &str) -> Result<&str, IdError> {
    let fits = (1..=SLUG_BYTES_MAX).contains(&s.len());
    if fits
        && s.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        Ok(s)
    } else {
        Err(IdError::Slug(s.chars().take(40).collect()))
    }
}

/// A 32-bit name hash (XXH3, low half): authors, series, brands, sections in columns. Never zero, so that
/// zero can mean "none". Case and surrounding white space do not matter.
#[must_use]
pub fn name_hash(name: &str) -> u32 {
    let h = xxh3_64(name.trim().to_lowercase().as_bytes()) as u32;
    if h == 0 { 1 } else { h }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_id_is_the_first_16_hex_of_sha256() {
        // printf 'wp:42' | sha256sum
        assert_eq!(ContentId::of("wp", "42").to_string().len(), 16);
        let id = ContentId::of("wp", "42");
        assert_eq!(ContentId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn foreign_ids_are_refused() {
        for bad in [
            "",
            "00",
            "ABCDEF0123456789",
            "0123456789abcdeg",
            "0123456789abcdef0",
        ] {
            assert!(ContentId::parse(bad).is_err(), "{bad}");
        }
        assert!(check_slug("Daily Planet").is_err());
        assert!(check_slug(&"a".repeat(33)).is_err());
        assert_eq!(check_slug("daily-planet"), Ok("daily-planet"));
    }

    #[test]
    fn debug_of_a_pseudonym_does_not_show_it() {
        let p = Pseudonym([0xab; 16]);
        assert!(!format!("{p:?}").contains(&p.to_string()[..8]));
    }
}
