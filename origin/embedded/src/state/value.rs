//! A stored value: version u8 = 1 | expires_ms i64 big-endian, `i64::MAX` = never | bytes.

use bytes::{Buf, Bytes};
use mediaflow_ports::PortResult;

use crate::fault;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 9;

pub(super) struct Stored {
    pub expires_ms: Option<i64>,
    value: Bytes,
}

impl Stored {
    /// The value, unless it has expired.
    pub fn live(self, now_ms: i64) -> Option<Bytes> {
        self.expires_ms
            .is_none_or(|at| now_ms < at)
            .then_some(self.value)
    }
}

pub(super) fn encode(value: &[u8], expires_ms: Option<i64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + value.len());
    out.push(VERSION);
    out.extend_from_slice(&expires_ms.unwrap_or(i64::MAX).to_be_bytes());
    out.extend_from_slice(value);
    out
}

pub(super) fn decode(mut stored: Bytes) -> PortResult<Stored> {
    if stored.len() < HEAD_BYTES || stored[0] != VERSION {
        return Err(fault::corrupt("a state value"));
    }
    stored.advance(1);
    let expires_ms = Some(stored.get_i64()).filter(|at| *at != i64::MAX);
    Ok(Stored {
        expires_ms,
        value: stored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lives_until_its_expiry() {
        let stored = |at| decode(encode(b"v", at).into()).unwrap();
        assert_eq!(stored(None).live(i64::MAX), Some(Bytes::from("v")));
        assert_eq!(stored(Some(10)).live(9), Some(Bytes::from("v")));
        assert_eq!(stored(Some(10)).live(10), None);
    }

    #[test]
    fn foreign_bytes_are_corrupt() {
        assert!(decode(Bytes::from_static(b"\x01short")).is_err());
        assert!(decode(Bytes::from_static(b"\x02foreign version")).is_err());
    }
}
