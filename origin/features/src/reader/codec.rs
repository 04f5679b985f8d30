//! The stored form: a version byte; the taste in bincode's format (`wincode`, variable-length integers) behind its
//! length; then the packed counters; then, in version 3, the people met. Version 1 was the taste alone, version 2 has no
//! people and is what is written of a reader who met none; both are read.

use mediaflow_shared::wire::WireError;
use wincode::config::{self, Configuration};

use super::ReaderState;
use super::taste::Taste;
use crate::activity::Activity;
use crate::pack::{self, Damaged};
use crate::tally::Recent;

const VERSION: u8 = 3;
const NO_PEOPLE: u8 = 2;
const TASTE_ALONE: u8 = 1;
const WHAT: &str = "reader state";
/// A stored state is never larger; more is damage.
const BYTES_MAX: usize = 16 << 10;
/// Two bytes of LEB128.
const TASTE_BYTES_MAX: usize = (1 << 14) - 1;

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
        let mut out = Vec::with_capacity(1024);
        self.encode_into(&mut out);
        out
    }

    /// Appends [`Self::encode`].
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        let people = self.people.len() > 0;
        out.push(if people { VERSION } else { NO_PEOPLE });
        // The length goes before what it measures, in the two bytes that any length of a taste fits.
        let length_at = out.len();
        out.extend_from_slice(&[0x80, 0]);
        let written = config::serialize_into(&mut *out, &self.taste, config!());
        let length = out.len() - length_at - 2;
        // Writing plain integers into memory does not fail; half a taste is refused when read.
        if written.is_ok() && length <= TASTE_BYTES_MAX {
            out[length_at] = length as u8 | 0x80;
            out[length_at + 1] = (length >> 7) as u8;
        }
        pack::put(out, self.version);
        self.activity.pack(out);
        if people {
            self.people.pack(out);
        }
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
            Some((found @ &(VERSION | NO_PEOPLE), mut body)) => {
                let damaged = |Damaged(why): Damaged| malformed(why.to_owned());
                let n = pack::take_len(&mut body, BYTES_MAX).map_err(damaged)?;
                let taste = taste(pack::take_bytes(&mut body, n).map_err(damaged)?)?;
                let version = pack::take(&mut body).map_err(damaged)?;
                let activity = Activity::unpack(&mut body).map_err(damaged)?;
                let people = match *found {
                    VERSION => Recent::unpack(&mut body).map_err(damaged)?,
                    _ => Recent::default(),
                };
                if !body.is_empty() {
                    return Err(malformed("bytes left over".to_owned()));
                }
                Ok(Self {
                    taste,
                    activity,
                    people,
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
