//! The stored form: a version byte, then the state in bincode's format (`wincode`, variable-length integers).

use mediaflow_shared::wire::WireError;
use wincode::config::{self, Configuration};

use super::ReaderState;

const VERSION: u8 = 1;
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
        let mut out = vec![VERSION];
        // Writing plain integers into memory does not fail; an empty value is refused when read.
        out.extend(config::serialize(self, config!()).unwrap_or_default());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`WireError`]: newer, foreign, or damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let malformed = |why: String| WireError::Malformed { what: WHAT, why };
        match bytes.split_first() {
            None | Some((0, _)) => Err(WireError::Foreign(WHAT)),
            Some((&VERSION, body)) if body.len() <= BYTES_MAX => {
                config::deserialize_exact(body, config!()).map_err(|e| malformed(e.to_string()))
            }
            Some((&VERSION, body)) => Err(malformed(format!("{} bytes", body.len()))),
            Some((&found, _)) => Err(WireError::Newer {
                what: WHAT,
                found: found.into(),
                known: VERSION.into(),
            }),
        }
    }
}
