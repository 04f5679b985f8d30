//! The stored form: a version byte; the taste in bincode's format (`wincode`, variable-length integers) behind its
//! length; then the packed counters. Version 1 was the taste alone, and is read still.

use mediaflow_shared::wire::WireError;
use wincode::config::{self, Configuration};

use super::ReaderState;
use super::taste::Taste;
use crate::activity::Activity;
use crate::pack::{self, Damaged};

const VERSION: u8 = 2;
const TASTE_ALONE: u8 = 1;
const WHAT: &str = "reader state";
/// A stored state is never larger; more is damage.
const BYTES_MAX: usize = 16 << 10;

macro_rules! config {
    () => {
        Configuration::default()
            .with_varint_encoding()
            .with_preallocation_size_limit::<BYTES_MAX>()
    };
}

impl ReaderState {
    /// The state store's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Writing plain integers into memory does not fail; an empty value is refused when read.
        let taste = config::serialize(&self.taste, config!()).unwrap_or_default();
        let mut out = Vec::with_capacity(taste.len() + 256);
        out.push(VERSION);
        pack::put(&mut out, taste.len() as u64);
        out.extend_from_slice(&taste);
        pack::put(&mut out, self.version);
        self.activity.pack(&mut out);
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`]: newer, foreign, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let malformed = |why: String| WireError::Malformed { what: WHAT, why };
        let taste = |body: &[u8]| -> Result<Taste, WireError> {
            config::deserialize_exact(body, config!()).map_err(|e| malformed(e.to_string()))
        };
        match bytes.split_first() {
            None | Some((0, _)) => Err(WireError::Foreign(WHAT)),
            Some((_, body)) if body.len() > BYTES_MAX => {
                Err(malformed(format!("{} bytes", body.len())))
            }
            Some((&TASTE_ALONE, body)) => Ok(Self {
                taste: taste(body)?,
                ..Self::default()
            }),
            Some((&VERSION, mut body)) => {
                let damaged = |Damaged(why): Damaged| malformed(why.to_owned());
                let n = pack::take_len(&mut body, BYTES_MAX).map_err(damaged)?;
                let taste = taste(pack::take_bytes(&mut body, n).map_err(damaged)?)?;
                let version = pack::take(&mut body).map_err(damaged)?;
                let activity = Activity::unpack(&mut body).map_err(damaged)?;
                if !body.is_empty() {
                    return Err(malformed("bytes left over".to_owned()));
                }
                Ok(Self {
                    taste,
                    activity,
                    version,
                })
            }
            Some((&found, _)) => Err(WireError::Newer {
                what: WHAT,
                found: found.into(),
                known: VERSION.into(),
            }),
        }
    }
}
