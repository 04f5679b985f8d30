//! The states of what readers meet: items, ads, brands. Each partition counts for itself; whoever reads them adds the
//! partitions up with `merge`.

mod ad;
mod audience;
mod brand;
mod item;

pub use ad::AdState;
pub use brand::{BrandCounts, BrandState, Reach};
pub use item::ItemState;

pub(crate) use ad::tile as ad_tile;
pub(crate) use audience::{Audience, tile};

use mediaflow_shared::time::Timestamp;
use mediaflow_shared::wire::WireError;

use crate::cache::Warm;
use crate::pack::Damaged;
use crate::sketch::Top;

/// A state as it is stored: a version byte, then its packed parts.
pub(crate) trait Stored: Sized + Default {
    /// As errors name it.
    const WHAT: &'static str;
    /// Raised when the packed form changes.
    const VERSION: u8 = 1;

    fn pack(&self, out: &mut Vec<u8>);
    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged>;

    /// Appends the stored form.
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(Self::VERSION);
        self.pack(out);
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.encode_into(&mut out);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let malformed = |Damaged(why): Damaged| WireError::Malformed {
            what: Self::WHAT,
            why: why.to_owned(),
        };
        match bytes.split_first() {
            Some((v, mut body)) if *v == Self::VERSION => {
                let state = Self::unpack(&mut body).map_err(malformed)?;
                match body {
                    [] => Ok(state),
                    _ => Err(malformed(Damaged("bytes left over"))),
                }
            }
            None | Some((0, _)) => Err(WireError::Foreign(Self::WHAT)),
            Some((v, _)) => Err(WireError::Newer {
                what: Self::WHAT,
                found: (*v).into(),
                known: Self::VERSION.into(),
            }),
        }
    }
}

impl Warm for ItemState {
    fn warm(&self) -> u64 {
        self.audience.tiles.warm()
    }
}
impl Warm for AdState {}
impl Warm for BrandCounts {}
impl Warm for Reach {}
impl Warm for Top {}

impl Stored for Top {
    const WHAT: &'static str = "items most read";

    fn pack(&self, out: &mut Vec<u8>) {
        Self::pack(self, out);
    }

    fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        Self::unpack(bytes)
    }
}

macro_rules! stored_publicly {
    ($($state:ty),+) => {$(
        impl $state {
            /// The state store's value.
            #[must_use]
            pub fn encode(&self) -> Vec<u8> {
                Stored::encode(self)
            }

            /// Reads what [`Self::encode`] wrote.
            ///
            /// # Errors
            /// [`WireError`]: newer, foreign, or damaged.
            pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
                Stored::decode(bytes)
            }
        }
    )+};
}
stored_publicly!(ItemState, AdState, BrandCounts, Reach, Top);

macro_rules! versioned {
    ($($state:ty),+) => {$(
        impl $state {
            /// Offset in the partition of the last event counted, and one; over merged partitions their sum.
            #[must_use]
            pub const fn version(&self) -> u64 {
                self.audience.version
            }

            /// The same without its version: equal for equal events, wherever in a log they were.
            #[must_use]
            pub fn unversioned(mut self) -> Self {
                self.audience.version = 0;
                self
            }

            /// The last event, as event time.
            #[must_use]
            pub fn last_event(&self) -> Option<Timestamp> {
                let last = self.audience.last_s;
                (last != 0).then(|| Timestamp::from_s(last.into()))
            }
        }
    )+};
}
versioned!(ItemState, AdState, BrandCounts);
