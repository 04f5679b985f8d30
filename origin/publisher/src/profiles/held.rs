//! A reader's blob in the state store: as edges have it, or as it waits.

use bytes::Bytes;

/// What edges have, by pseudonym.
pub const VIEW_SENT: &str = "publisher.sent";
/// What waits, by pseudonym.
pub const VIEW_PARKED: &str = "publisher.parked";
/// What is left of a brand's budget, by slug: writes (f64) and time (i64), little-endian.
pub const VIEW_BUDGET: &str = "publisher.budget";

const VERSION: u8 = 1;
/// Brands remembered of a reader: those last visited.
const BRANDS_MAX: usize = 4;

/// A blob, when it was written or began to wait, and the brands it matters to, the last visited first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Held {
    pub at_ms: i64,
    pub brands: Vec<String>,
    pub blob: Bytes,
}

impl Held {
    /// Puts brands in front of those known already.
    pub fn visited(&mut self, brands: impl IntoIterator<Item = String>) {
        let mut all: Vec<String> = brands.into_iter().collect();
        all.append(&mut self.brands);
        for b in all {
            if self.brands.len() < BRANDS_MAX && !self.brands.contains(&b) {
                self.brands.push(b);
            }
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.blob.len());
        out.push(VERSION);
        out.extend_from_slice(&self.at_ms.to_le_bytes());
        out.push(self.brands.len().min(BRANDS_MAX) as u8);
        for b in self.brands.iter().take(BRANDS_MAX) {
            // Slugs have at most 32 bytes.
            out.push(b.len() as u8);
            out.extend_from_slice(b.as_bytes());
        }
        out.extend_from_slice(&self.blob);
        out
    }

    /// `None` for bytes of another version, or cut off.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, rest) = bytes.split_first()? else {
            return None;
        };
        let (at, rest) = rest.split_first_chunk::<8>()?;
        let (&n, mut rest) = rest.split_first()?;
        let mut brands = Vec::new();
        for _ in 0..n {
            let (&len, after) = rest.split_first()?;
            let (slug, after) = after.split_at_checked(usize::from(len))?;
            brands.push(std::str::from_utf8(slug).ok()?.to_owned());
            rest = after;
        }
        Some(Self {
            at_ms: i64::from_le_bytes(*at),
            brands,
            blob: Bytes::copy_from_slice(rest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_visited_brand_comes_first_and_a_few_are_kept() {
        let mut h = Held::default();
        for b in ["a", "b", "c", "a", "d", "e"] {
            h.visited([b.to_owned()]);
        }
        assert_eq!(h.brands, ["e", "d", "a", "c"]);
    }

    proptest! {
        #[test]
        fn what_is_held_reads_back_and_other_bytes_do_not_panic(
            at_ms in any::<i64>(), brands in prop::collection::vec("[a-z0-9-]{1,32}", 0..4),
            blob in prop::collection::vec(any::<u8>(), 0..300), junk in prop::collection::vec(any::<u8>(), 0..60)
        ) {
            let held = Held { at_ms, brands, blob: blob.into() };
            prop_assert_eq!(Held::decode(&held.encode()), Some(held));
            let _ = Held::decode(&junk);
        }
    }
}
