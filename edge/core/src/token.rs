//! The sealed token: the hot copy of a reader's profile, travelling in the reader's own cookie.
//!
//! ```text
//! 0  version  u8
//! 1  key id   u8
//! 2  nonce    24 B
//! 26 XChaCha20-Poly1305 of the payload, with purpose, version, key id and brand as associated data
//! payload: version u8 · brand u32 · consent u8 · issued minute u32 · seen ms i64 · asked ms i64
//!          · slow profile: as-of minute u32, hash u32 · mutes changed minute u32 · pseudonym 16 B
//!          · sessions u16 · session began ms i64 · items in it u8
//!          · reads: count u8 × (content id u64 · minute u32 · what u8) · blob: length u16, bytes
//! ```
//! base64url without padding, 613 characters at most. Little-endian. Never minted without consent.

pub mod cookie;
pub mod reader;

use crate::config::{Brand, Keys, TokenKey};
use crate::limits::{SESSION_GAP_MS, TOKEN_CHARS_MAX, TOKEN_READS_MAX, TOKEN_TTL_MIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::blob::BLOB_BYTES_MAX;
use mediaflow_shared::profile::fold::Interaction;
use mediaflow_shared::time::{Minute, Timestamp};
use thiserror::Error;

const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"mediaflow reader token";
const NONCE: usize = 24;
const HEADER: usize = 2 + NONCE;

/// Why a token was treated as none. The text goes into the header `MediaFlow-Token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not base64url of the layout.
    #[error("malformed")]
    Malformed,
    /// Written by a newer release.
    #[error("newer-version")]
    Newer,
    /// Sealed with a key that is not configured (any more).
    #[error("unknown-key")]
    UnknownKey,
    /// Changed, or sealed for another brand or purpose.
    #[error("not-authentic")]
    NotAuthentic,
    /// Older than consent holds.
    #[error("expired")]
    Expired,
    /// Minted before the revocation epoch of the rules.
    #[error("revoked")]
    Revoked,
    /// Consent to an older text.
    #[error("consent-outdated")]
    Consent,
}

/// One of the last interactions, in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenRead {
    /// The item.
    pub content: ContentId,
    /// When.
    pub minute: Minute,
    /// What the reader did.
    pub what: Interaction,
}

/// An opened token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Version of the consent text agreed to.
    pub consent: u8,
    /// When it was minted.
    pub issued: Minute,
    /// Last activity, in steps of [`crate::limits::SEEN_STEP_MS`].
    pub seen_ms: i64,
    /// When the slow profile was last asked for; 0 = never.
    pub asked_ms: i64,
    /// `as_of` of the slow profile last adopted; 0 = none was.
    pub slow_as_of: Minute,
    /// Hash of that slow profile's bytes.
    pub slow_hash: u32,
    /// When the reader last changed their mutes here.
    pub mutes_at: Minute,
    /// The reader.
    pub reader: Pseudonym,
    /// Sessions so far.
    pub sessions: u16,
    /// When the current session began.
    pub session_ms: i64,
    /// Items read in it.
    pub session_items: u8,
    /// Newest first.
    pub reads: Vec<TokenRead>,
    /// Profile blob; empty = not known yet.
    pub blob: Vec<u8>,
}

impl Token {
    /// A new token without a profile.
    #[must_use]
    pub fn mint(reader: Pseudonym, consent: u8, now_ms: i64) -> Self {
        Self {
            consent,
            issued: Timestamp(now_ms).minute(),
            seen_ms: now_ms,
            asked_ms: 0,
            slow_as_of: Minute(0),
            slow_hash: 0,
            mutes_at: Minute(0),
            reader,
            sessions: 1,
            session_ms: now_ms,
            session_items: 0,
            reads: Vec::new(),
            blob: Vec::new(),
        }
    }

    /// Remembers an interaction in full; the oldest is forgotten.
    pub fn remember(&mut self, read: TokenRead) {
        self.reads
            .retain(|r| r.content != read.content || r.what != read.what);
        self.reads.insert(0, read);
        self.reads.truncate(TOKEN_READS_MAX);
        self.session_items = self.session_items.saturating_add(1);
    }

    /// Moves "last seen" and counts sessions.
    pub fn touch(&mut self, now_ms: i64) {
        if now_ms - self.seen_ms > SESSION_GAP_MS {
            self.sessions = self.sessions.saturating_add(1);
            self.session_ms = now_ms;
            self.session_items = 0;
        }
        self.seen_ms = self.seen_ms.max(now_ms);
    }

    /// Seconds until the token expires.
    #[must_use]
    pub fn ttl_s(&self, now: Minute) -> u32 {
        TOKEN_TTL_MIN.saturating_sub(now.since(self.issued)) * 60
    }

    /// Checks what only rules and configuration know.
    ///
    /// # Errors
    /// [`TokenError::Expired`], [`TokenError::Revoked`] or [`TokenError::Consent`].
    pub fn check(&self, now: Minute, valid_from: Minute, consent: u8) -> Result<(), TokenError> {
        if now.since(self.issued) >= TOKEN_TTL_MIN {
            Err(TokenError::Expired)
        } else if self.issued < valid_from {
            Err(TokenError::Revoked)
        } else if self.consent < consent {
            Err(TokenError::Consent)
        } else {
            Ok(())
        }
    }

    /// The text form, sealed with the first key. `nonce` must be random.
    #[must_use]
    pub fn seal(&self, keys: &Keys, brand: &Brand, nonce: [u8; NONCE]) -> Option<String> {
        let key = keys.tokens.first()?;
        let mut b = Vec::with_capacity(460);
        b.extend_from_slice(&[VERSION, key.kid]);
        b.extend_from_slice(&nonce);
        self.write(brand.hash, &mut b);
        let tag = cipher(key)
            .encrypt_inout_detached(
                &XNonce::from(nonce),
                &associated(key.kid, brand),
                b.get_mut(HEADER..)?.into(),
            )
            .ok()?;
        b.extend_from_slice(&tag);
        Some(URL_SAFE_NO_PAD.encode(&b))
    }

    /// Opens the text form. What rules know is checked by [`Token::check`].
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(text: &str, keys: &Keys, brand: &Brand) -> Result<Self, TokenError> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(TokenError::Malformed);
        }
        let mut b = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| TokenError::Malformed)?;
        let (version, kid) = match b.get(..2) {
            Some(&[v, k]) => (v, k),
            _ => return Err(TokenError::Malformed),
        };
        if version != VERSION {
            return Err(if version > VERSION {
                TokenError::Newer
            } else {
                TokenError::Malformed
            });
        }
        let key = keys
            .tokens
            .iter()
            .find(|k| k.kid == kid)
            .ok_or(TokenError::UnknownKey)?;
        let nonce: [u8; NONCE] = b
            .get(2..HEADER)
            .and_then(|n| n.try_into().ok())
            .ok_or(TokenError::Malformed)?;
        let mut sealed = b.split_off(HEADER);
        cipher(key)
            .decrypt_in_place(&XNonce::from(nonce), &associated(kid, brand), &mut sealed)
            .map_err(|_| TokenError::NotAuthentic)?;
        Self::read(brand.hash, &sealed).ok_or(TokenError::Malformed)
    }

    fn write(&self, brand: u32, b: &mut Vec<u8>) {
        b.push(VERSION);
        b.extend_from_slice(&brand.to_le_bytes());
        b.push(self.consent);
        b.extend_from_slice(&self.issued.0.to_le_bytes());
        b.extend_from_slice(&self.seen_ms.to_le_bytes());
        b.extend_from_slice(&self.asked_ms.to_le_bytes());
        b.extend_from_slice(&self.slow_as_of.0.to_le_bytes());
        b.extend_from_slice(&self.slow_hash.to_le_bytes());
        b.extend_from_slice(&self.mutes_at.0.to_le_bytes());
        b.extend_from_slice(&self.reader.0);
        b.extend_from_slice(&self.sessions.to_le_bytes());
        b.extend_from_slice(&self.session_ms.to_le_bytes());
        b.push(self.session_items);
        let reads = &self.reads[..self.reads.len().min(TOKEN_READS_MAX)];
        b.push(reads.len() as u8);
        for r in reads {
            b.extend_from_slice(&r.content.0.to_le_bytes());
            b.extend_from_slice(&r.minute.0.to_le_bytes());
            b.push(match r.what {
                Interaction::Read => 0,
                Interaction::Like => 1,
                Interaction::Less => 2,
            });
        }
        let blob = &self.blob[..self.blob.len().min(BLOB_BYTES_MAX)];
        b.extend_from_slice(&(blob.len() as u16).to_le_bytes());
        b.extend_from_slice(blob);
    }

    fn read(brand: u32, payload: &[u8]) -> Option<Self> {
        let mut c = Cursor(payload);
        if c.byte()? != VERSION || c.u32()? != brand {
            return None;
        }
        let mut token = Self {
            consent: c.byte()?,
            issued: Minute(c.u32()?),
            seen_ms: c.i64()?,
            asked_ms: c.i64()?,
            slow_as_of: Minute(c.u32()?),
            slow_hash: c.u32()?,
            mutes_at: Minute(c.u32()?),
            reader: Pseudonym(c.take()?),
            sessions: u16::from_le_bytes(c.take()?),
            session_ms: c.i64()?,
            session_items: c.byte()?,
            reads: Vec::new(),
            blob: Vec::new(),
        };
        for _ in 0..usize::from(c.byte()?).min(TOKEN_READS_MAX) {
            token.reads.push(TokenRead {
                content: ContentId(u64::from_le_bytes(c.take()?)),
                minute: Minute(c.u32()?),
                what: match c.byte()? {
                    0 => Interaction::Read,
                    1 => Interaction::Like,
                    2 => Interaction::Less,
                    _ => return None,
                },
            });
        }
        let length = usize::from(u16::from_le_bytes(c.take()?));
        if length != c.0.len() || length > BLOB_BYTES_MAX {
            return None;
        }
        token.blob = c.0.to_vec();
        Some(token)
    }
}

fn cipher(key: &TokenKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&key.key.into())
}

fn associated(kid: u8, brand: &Brand) -> [u8; PURPOSE.len() + 6] {
    let mut a = [0; PURPOSE.len() + 6];
    a[..PURPOSE.len()].copy_from_slice(PURPOSE);
    a[PURPOSE.len()] = VERSION;
    a[PURPOSE.len() + 1] = kid;
    a[PURPOSE.len() + 2..].copy_from_slice(&brand.hash.to_le_bytes());
    a
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|b| b[0])
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{brand, keys};

    const NOW: i64 = 1_795_249_815_250;

    fn full() -> Token {
        let mut t = Token::mint(Pseudonym([9; 16]), 1, NOW);
        for i in 0..7 {
            t.remember(TokenRead {
                content: ContentId(i),
                minute: Minute(5),
                what: Interaction::Read,
            });
        }
        t.blob = vec![7; BLOB_BYTES_MAX];
        t
    }

    #[test]
    fn a_full_token_opens_again_and_stays_small() {
        let (k, b) = (keys(), brand("daily"));
        let text = full().seal(&k, &b, [3; 24]).unwrap();
        assert!(text.len() <= 620, "{}", text.len());
        let back = Token::open(&text, &k, &b).unwrap();
        assert_eq!(back, full());
        assert_eq!(back.reads.len(), TOKEN_READS_MAX);
    }

    #[test]
    fn a_changed_foreign_or_truncated_token_is_refused() {
        let (k, b) = (keys(), brand("daily"));
        let text = full().seal(&k, &b, [3; 24]).unwrap();
        assert_eq!(
            Token::open(&text, &k, &brand("other")),
            Err(TokenError::NotAuthentic)
        );
        let raw = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..raw.len() * 8 {
            let mut bad = raw.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Token::open(&URL_SAFE_NO_PAD.encode(&bad), &k, &b).is_err(),
                "bit {bit}"
            );
        }
        for cut in 0..raw.len() {
            assert!(Token::open(&URL_SAFE_NO_PAD.encode(&raw[..cut]), &k, &b).is_err());
        }
        assert_eq!(Token::open("§", &k, &b), Err(TokenError::Malformed));
        let mut newer = raw;
        newer[0] = 2;
        assert_eq!(
            Token::open(&URL_SAFE_NO_PAD.encode(&newer), &k, &b),
            Err(TokenError::Newer)
        );
    }

    #[test]
    fn keys_rotate_the_first_seals_and_all_open() {
        let (mut k, b) = (keys(), brand("daily"));
        let old = full().seal(&k, &b, [3; 24]).unwrap();
        k.tokens.insert(
            0,
            TokenKey {
                kid: 9,
                key: [1; 32],
            },
        );
        assert!(Token::open(&old, &k, &b).is_ok());
        let new = full().seal(&k, &b, [4; 24]).unwrap();
        k.tokens.remove(0);
        assert_eq!(Token::open(&new, &k, &b), Err(TokenError::UnknownKey));
    }

    #[test]
    fn it_expires_and_can_be_revoked() {
        let t = full();
        let at = |d: u32| Minute(t.issued.0 + d);
        assert_eq!(t.check(at(1), Minute(0), 1), Ok(()));
        assert_eq!(
            t.check(at(TOKEN_TTL_MIN), Minute(0), 1),
            Err(TokenError::Expired)
        );
        assert_eq!(t.check(at(1), at(1), 1), Err(TokenError::Revoked));
        assert_eq!(t.check(at(1), at(0), 2), Err(TokenError::Consent));
    }
}
