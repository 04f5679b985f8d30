//! The frame around every value in KV storage: magic, version, schema hash, length, checksum.
//!
//! ```text
//! 0  magic      4 bytes   b"MFFR" front, b"MFRU" rules, b"MFMO" model
//! 4  version    u16 LE
//! 6  reserved   u16 LE    zero
//! 8  schema     u32 LE    hash of the layout's description
//! 12 length     u32 LE    bytes of payload
//! 16 checksum   u64 LE    XXH3-64 of the payload; also the value's version in feed ids
//! 24 payload
//! ```

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 24;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// First four bytes.
    pub magic: [u8; 4],
    /// Newest version this reader knows.
    pub version: u16,
    /// Description of the layout; its hash must match.
    pub schema: &'static str,
}

/// Why bytes from a store or a reader were refused. The edge steps down a rung on any of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// Fewer bytes than the layout needs.
    #[error("{what} is truncated: {have} bytes, needs {need}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// Another kind of value.
    #[error("not a {0}: foreign magic bytes")]
    Foreign(&'static str),
    /// Written by a newer release.
    #[error(
        "{what} has version {found}, this release reads up to {known}: deploy the newer edge first"
    )]
    Newer {
        /// What was being read.
        what: &'static str,
        /// Version found.
        found: u16,
        /// Newest version known.
        known: u16,
    },
    /// Same version, different layout.
    #[error("{0} has another schema hash: built from another layout")]
    Schema(&'static str),
    /// Bits changed on the way.
    #[error("{0} fails its checksum")]
    Checksum(&'static str),
    /// The payload contradicts itself.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// The contradiction.
        why: String,
    },
}

/// Hash of a layout's description.
#[must_use]
pub fn schema_hash(schema: &str) -> u32 {
    xxh3_64(schema.as_bytes()) as u32
}

impl Frame {
    /// A header for `payload`, followed by it.
    #[must_use]
    pub fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&schema_hash(self.schema).to_le_bytes());
        out.extend_from_slice(
            &u32::try_from(payload.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(&xxh3_64(payload).to_le_bytes());
        out.extend_from_slice(payload);
        out
    }

    /// The payload and its checksum.
    ///
    /// # Errors
    /// [`WireError`] naming what is wrong with the frame.
    pub fn open<'a>(
        &self,
        what: &'static str,
        bytes: &'a [u8],
    ) -> Result<(&'a [u8], u64), WireError> {
        let have = bytes.len();
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(WireError::Truncated {
                what,
                need: HEADER_BYTES,
                have,
            });
        };
        if head[..4] != self.magic {
            return Err(WireError::Foreign(what));
        }
        let found = u16::from_le_bytes([head[4], head[5]]);
        if found > self.version {
            return Err(WireError::Newer {
                what,
                found,
                known: self.version,
            });
        }
        if found != self.version || u32_at(head, 8) != schema_hash(self.schema) {
            return Err(WireError::Schema(what));
        }
        let need = u32_at(head, 12) as usize;
        if payload.len() != need {
            return Err(WireError::Truncated {
                what,
                need: need.saturating_add(HEADER_BYTES),
                have,
            });
        }
        let checksum = u64_at(head, 16);
        if xxh3_64(payload) != checksum {
            return Err(WireError::Checksum(what));
        }
        Ok((payload, checksum))
    }
}

/// Reads MessagePack through one self-describing tree.
///
/// The MessagePack decoder is compiled again for every type it meets, which is a fifth of the worker's bundle; this way
/// it is there once. Rules and models are read when they change, not per request.
///
/// # Errors
/// The decoder's message.
pub fn unpack<T: serde::de::DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    let tree: serde_json::Value = rmp_serde::from_slice(payload).map_err(|e| e.to_string())?;
    serde_json::from_value(tree).map_err(|e| e.to_string())
}

/// Little-endian `u16` at a byte offset, 0 outside the slice.
#[must_use]
#[inline]
pub fn u16_at(b: &[u8], at: usize) -> u16 {
    b.get(at..)
        .and_then(|s| s.first_chunk::<2>())
        .map_or(0, |c| u16::from_le_bytes(*c))
}

/// Little-endian `u32` at a byte offset, 0 outside the slice.
#[must_use]
#[inline]
pub fn u32_at(b: &[u8], at: usize) -> u32 {
    b.get(at..)
        .and_then(|s| s.first_chunk::<4>())
        .map_or(0, |c| u32::from_le_bytes(*c))
}

/// Little-endian `u64` at a byte offset, 0 outside the slice.
#[must_use]
#[inline]
pub fn u64_at(b: &[u8], at: usize) -> u64 {
    b.get(at..)
        .and_then(|s| s.first_chunk::<8>())
        .map_or(0, |c| u64::from_le_bytes(*c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: Frame = Frame {
        magic: *b"TEST",
        version: 2,
        schema: "a:u8",
    };

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let sealed = F.seal(b"payload");
        assert_eq!(F.open("test", &sealed).unwrap().0, b"payload");
        for cut in 0..sealed.len() {
            assert!(F.open("test", &sealed[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // The two reserved bytes are not read.
            if !(6..8).contains(&(bit / 8)) {
                assert!(F.open("test", &bad).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let newer = Frame { version: 3, ..F }.seal(b"x");
        assert_eq!(
            F.open("test", &newer),
            Err(WireError::Newer {
                what: "test",
                found: 3,
                known: 2
            })
        );
    }
}
