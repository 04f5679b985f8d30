//! What was served: the exposure id of an item, the feed id, and the served record that makes a feed replayable.

use crate::id::{ContentId, Pseudonym};
use crate::time::{Minute, Timestamp};
use crate::wire::{u16_at, u32_at, u64_at};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use core::hash::Hasher as _;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;
use thiserror::Error;

/// Version of [`Served`].
pub const SERVED_VERSION: u16 = 1;
/// How long an exposure may be cited, in minutes.
pub const EXPOSURE_TTL_MIN: u32 = 48 * 60;

/// Device classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Device {
    /// Not told.
    #[default]
    Other = 0,
    /// Phone.
    Mobile = 1,
    /// Desktop or laptop.
    Desktop = 2,
    /// Tablet.
    Tablet = 3,
    /// Television.
    Tv = 4,
}

/// Which policy ordered the slate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Arm {
    /// The default ranker.
    #[default]
    Personal = 0,
    /// Newest first, with pins and hides.
    Editorial = 1,
    /// The classic three-term score (S0-15).
    Classic = 2,
}

/// What a request brings besides the reader: everything here is part of the feed's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Context {
    /// Device class.
    pub device: Device,
    /// ISO 3166-1 alpha-2 as big-endian letters, 0 = unknown.
    pub country: u16,
    /// Topic number of the section asked for, or [`crate::topics::TOPICS`].
    pub section: u8,
    /// ISO 639-1 as big-endian letters, 0 = any.
    pub language: u16,
}

impl Default for Context {
    /// Nothing known: no section either, which is not topic 0.
    fn default() -> Self {
        Self {
            device: Device::Other,
            country: 0,
            section: crate::topics::TOPICS as u8,
            language: 0,
        }
    }
}

/// The request as ranking sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Request {
    /// Items wanted.
    pub limit: u16,
    /// Items to pass over (cursor).
    pub offset: u16,
    /// Where and on what.
    pub context: Context,
    /// Seed of the exploration slot.
    pub seed: u64,
    /// Policy.
    pub arm: Arm,
    /// Whether contributions are written.
    pub explain: bool,
    /// Weight of personal scorers, Q16: below 65,536 for a stale profile (rung 1).
    pub personal: u32,
}

/// Names every input of a feed: the same id means the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FeedId {
    /// Ranking clock.
    pub minute: Minute,
    /// Version of the front.
    pub front: u64,
    /// Version of the rules.
    pub rules: u64,
    /// Model id.
    pub model: u32,
    /// Hash of the profile blob, 0 = none.
    pub profile: u64,
    /// Hash of brand, surface and [`Request`].
    pub request: u64,
}

/// Why an id given by a client was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ServedError {
    /// Not the text form of a feed id.
    #[error("feed id is not 54 characters of base64url: copy it from `_mediaflow.feed_id`")]
    FeedId,
    /// Not the text form of an exposure id.
    #[error("exposure id is malformed")]
    Exposure,
    /// Signed by another key, or changed.
    #[error("exposure id has a wrong signature")]
    Forged,
    /// Too old.
    #[error("exposure id has expired")]
    Expired,
}

impl FeedId {
    /// Text form: 54 characters of base64url.
    #[must_use]
    pub fn text(&self) -> String {
        let mut b = [0u8; 40];
        b[..4].copy_from_slice(&self.minute.0.to_le_bytes());
        b[4..12].copy_from_slice(&self.front.to_le_bytes());
        b[12..20].copy_from_slice(&self.rules.to_le_bytes());
        b[20..24].copy_from_slice(&self.model.to_le_bytes());
        b[24..32].copy_from_slice(&self.profile.to_le_bytes());
        b[32..].copy_from_slice(&self.request.to_le_bytes());
        URL_SAFE_NO_PAD.encode(b)
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`ServedError::FeedId`].
    pub fn parse(text: &str) -> Result<Self, ServedError> {
        let b = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| ServedError::FeedId)?;
        if b.len() != 40 {
            return Err(ServedError::FeedId);
        }
        Ok(Self {
            minute: Minute(u32_at(&b, 0)),
            front: u64_at(&b, 4),
            rules: u64_at(&b, 12),
            model: u32_at(&b, 20),
            profile: u64_at(&b, 24),
            request: u64_at(&b, 32),
        })
    }

    /// Low half of a hash over the whole id: ties an exposure to its feed.
    #[must_use]
    pub fn short(&self) -> u32 {
        xxhash_rust::xxh3::xxh3_64(self.text().as_bytes()) as u32
    }
}

/// One served item, as events cite it: 27 bytes, signed with SipHash-2-4, 36 characters of base64url.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    /// The item.
    pub content: ContentId,
    /// Slot from 0.
    pub slot: u8,
    /// Propensity in 1/65,535.
    pub propensity: u16,
    /// Last minute in which it may be cited.
    pub expires: Minute,
    /// [`FeedId::short`] of the feed.
    pub feed: u32,
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn tag(key: &[u8; 16], body: &[u8]) -> [u8; 8] {
    let mut h = SipHasher24::new_with_key(key);
    h.write(body);
    h.finish().to_le_bytes()
}

impl Exposure {
    const BODY: usize = 19;
    const CHARS: usize = (Self::BODY + 8) / 3 * 4;

    /// Signs and writes the text form.
    #[must_use]
    pub fn seal(&self, key: &[u8; 16]) -> String {
        self.sealed(key).iter().copied().map(char::from).collect()
    }

    /// [`Self::seal`] without a string of its own: a feed has one for each of its items.
    pub(crate) fn sealed(&self, key: &[u8; 16]) -> [u8; Self::CHARS] {
        let mut b = [0u8; Self::BODY + 8];
        b[..8].copy_from_slice(&self.content.0.to_le_bytes());
        b[8] = self.slot;
        b[9..11].copy_from_slice(&self.propensity.to_le_bytes());
        b[11..15].copy_from_slice(&self.expires.0.to_le_bytes());
        b[15..19].copy_from_slice(&self.feed.to_le_bytes());
        let t = tag(key, &b[..Self::BODY]);
        b[Self::BODY..].copy_from_slice(&t);
        // A whole number of groups, so that there is no padding and no rest.
        let mut out = [0; Self::CHARS];
        for (four, three) in out.chunks_exact_mut(4).zip(b.chunks_exact(3)) {
            let n = u32::from_be_bytes([0, three[0], three[1], three[2]]);
            for (i, c) in four.iter_mut().enumerate() {
                *c = BASE64URL[(n >> (18 - 6 * i) & 63) as usize];
            }
        }
        out
    }

    /// Reads the text form if `key` signed it and it has not expired at `now`.
    ///
    /// # Errors
    /// [`ServedError`]: malformed, forged, expired.
    pub fn open(text: &str, key: &[u8; 16], now: Minute) -> Result<Self, ServedError> {
        let b = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| ServedError::Exposure)?;
        if b.len() != Self::BODY + 8 {
            return Err(ServedError::Exposure);
        }
        let want = tag(key, &b[..Self::BODY]);
        // Every byte is compared whatever the first difference.
        if b[Self::BODY..]
            .iter()
            .zip(want)
            .fold(0, |d, (x, y)| d | (x ^ y))
            != 0
        {
            return Err(ServedError::Forged);
        }
        let e = Self {
            content: ContentId(u64_at(&b, 0)),
            slot: b[8],
            propensity: u16_at(&b, 9),
            expires: Minute(u32_at(&b, 11)),
            feed: u32_at(&b, 15),
        };
        if e.expires < now {
            Err(ServedError::Expired)
        } else {
            Ok(e)
        }
    }
}

/// One slot of a served slate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedSlot {
    /// The item.
    pub content: ContentId,
    /// Final score, Q16.
    pub score: i32,
    /// Propensity in 1/65,535.
    pub propensity: u16,
}

/// Everything needed to serve the same bytes again, and to learn from them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// [`SERVED_VERSION`].
    pub version: u16,
    /// Text form of the [`FeedId`].
    pub feed_id: String,
    /// When.
    pub at: Timestamp,
    /// Which edge.
    pub edge: String,
    /// Brand slug.
    pub brand: String,
    /// Surface slug.
    pub surface: String,
    /// Rung of the ladder, 0 to 4.
    pub rung: u8,
    /// Version of the front.
    pub front: u64,
    /// Version of the rules; 0 = none were readable.
    pub rules: u64,
    /// Revision of the rules.
    pub revision: u32,
    /// Model id.
    pub model: u32,
    /// Ranking clock.
    pub minute: Minute,
    /// Profile blob as ranked, empty without one.
    #[serde(with = "serde_bytes")]
    pub profile: Vec<u8>,
    /// The reader, with consent.
    pub reader: Option<Pseudonym>,
    /// The request.
    pub request: Request,
    /// The slate.
    pub slots: Vec<ServedSlot>,
    /// Age of the profile in seconds, absent without one.
    pub profile_age_s: Option<u32>,
    /// Age of the front in seconds.
    pub front_age_s: u32,
    /// XXH3-64 of the body that was sent.
    pub body_hash: u64,
}

impl Served {
    /// MessagePack with names.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // What a slot takes with its names, and what everything else takes with a full profile.
        let mut out = Vec::with_capacity(896 + 64 * self.slots.len());
        if rmp_serde::encode::write_named(&mut out, self).is_err() {
            out.clear();
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// The decoder's message.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let s: Self = rmp_serde::from_slice(bytes).map_err(|e| e.to_string())?;
        if s.version > SERVED_VERSION {
            return Err(format!(
                "served record has version {}, this release reads {SERVED_VERSION}",
                s.version
            ));
        }
        Ok(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 16] = [7; 16];

    #[test]
    fn an_exposure_is_opened_by_its_key_until_it_expires() {
        let e = Exposure {
            content: ContentId(42),
            slot: 3,
            propensity: 65_535,
            expires: Minute(100),
            feed: 9,
        };
        let text = e.seal(&KEY);
        assert_eq!(text.len(), 36);
        assert_eq!(Exposure::open(&text, &KEY, Minute(100)), Ok(e));
        assert_eq!(
            Exposure::open(&text, &KEY, Minute(101)),
            Err(ServedError::Expired)
        );
        assert_eq!(
            Exposure::open(&text, &[8; 16], Minute(0)),
            Err(ServedError::Forged)
        );
        assert_eq!(
            Exposure::open("", &KEY, Minute(0)),
            Err(ServedError::Exposure)
        );
        let mut forged = text.into_bytes();
        forged[5] = if forged[5] == b'A' { b'B' } else { b'A' };
        assert_eq!(
            Exposure::open(core::str::from_utf8(&forged).unwrap(), &KEY, Minute(0)),
            Err(ServedError::Forged)
        );
    }

    #[test]
    fn a_feed_id_round_trips_as_text() {
        let id = FeedId {
            minute: Minute(1),
            front: 2,
            rules: 3,
            model: 4,
            profile: 5,
            request: 6,
        };
        assert_eq!(FeedId::parse(&id.text()), Ok(id));
        assert!(FeedId::parse("nonsense").is_err());
    }
}
