//! Keys of the views whose values are a partition's part: all begin with the partition, u32 big-endian.

use crate::cache::Map;
use crate::limits::BRANDS_MAX;
use crate::seen::slug_hash;

/// Of an item or ad.
#[must_use]
pub fn number(partition: u32, id: u64) -> Vec<u8> {
    [&partition.to_be_bytes()[..], &id.to_be_bytes()].concat()
}

/// Of a brand.
#[must_use]
pub fn brand(partition: u32, slug: &str) -> Vec<u8> {
    [&partition.to_be_bytes()[..], slug.as_bytes()].concat()
}

/// What the keys of a brand's days or hours begin with.
#[must_use]
pub fn brand_times(partition: u32, slug: &str) -> Vec<u8> {
    [&partition.to_be_bytes()[..], slug.as_bytes(), &[0]].concat()
}

/// Of a brand's day or hour.
#[must_use]
pub fn brand_at(partition: u32, slug: &str, at: u32) -> Vec<u8> {
    let mut key = brand_times(partition, slug);
    key.extend_from_slice(&at.to_be_bytes());
    key
}

/// The day or hour of a [`brand_at`].
#[must_use]
pub fn time_of(key: &[u8]) -> Option<u32> {
    key.last_chunk::<4>().map(|at| u32::from_be_bytes(*at))
}

/// Brands by number, in the order they were met.
#[derive(Debug, Default)]
pub(crate) struct Brands {
    slugs: Vec<String>,
    by_hash: Map<u32, u16>,
}

impl Brands {
    /// The number of a brand; `None` when there are too many. Slugs of one hash count as one brand: among a thousand,
    /// that happens once in eight thousand houses.
    pub fn place(&mut self, slug: &str) -> Option<u16> {
        let hash = slug_hash(slug);
        if let Some(at) = self.by_hash.get(&hash) {
            return Some(*at);
        }
        let at = u16::try_from(self.slugs.len()).ok()?;
        if usize::from(at) >= BRANDS_MAX {
            return None;
        }
        self.slugs.push(slug.to_owned());
        self.by_hash.insert(hash, at);
        Some(at)
    }

    pub fn slug(&self, brand: u16) -> &str {
        &self.slugs[usize::from(brand)]
    }

    pub fn find(&self, slug: &str) -> Option<u16> {
        self.by_hash.get(&slug_hash(slug)).copied()
    }
}
