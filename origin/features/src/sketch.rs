//! Sketches: counts that would need a list of all names, in little memory and with a known error. From Apache
//! DataSketches; its wire format is the stored form.

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};
use datasketches::hll::{Coupon, HllSketch, HllType};
use mediaflow_shared::id::{ContentId, Pseudonym};

use crate::limits::TOP_MAP_SIZE;
use crate::pack::{self, Damaged};

/// A reader, hashed once for all sketches.
pub(crate) fn coupon(reader: Pseudonym) -> Coupon {
    Coupon::from_value(u128::from_be_bytes(reader.0))
}

/// How many different readers: HyperLogLog with 2^`LG_K` registers (Flajolet et al., 2007). Standard error
/// 1.04/√2^`LG_K`; exact while there are few. Readers are in one partition each, so estimates of partitions add up.
#[derive(Debug, Clone, Default)]
pub struct Distinct<const LG_K: u8> {
    sketch: Option<HllSketch>,
}

impl<const LG_K: u8> Distinct<LG_K> {
    pub(crate) fn insert(&mut self, reader: Coupon) {
        if self.sketch.is_none() {
            // The size is a constant the crate accepts: a test holds it.
            self.sketch = HllSketch::new(LG_K, HllType::Hll4).ok();
        }
        if let Some(s) = &mut self.sketch {
            s.update_with_coupon(reader);
        }
    }

    /// Adds the readers of another sketch.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.sketch else {
            return;
        };
        let Some(ours) = &self.sketch else {
            self.sketch = Some(theirs.clone());
            return;
        };
        let Ok(mut union) = datasketches::hll::HllUnion::new(LG_K) else {
            return;
        };
        union.update(ours);
        union.update(theirs);
        self.sketch = Some(union.to_sketch(HllType::Hll4));
    }

    /// The estimate. It depends on the registers alone, never on the order they were set in.
    #[must_use]
    pub fn estimate(&self) -> u64 {
        let estimate = self.sketch.as_ref().map(HllSketch::composite_estimate);
        estimate.map_or(0, |n| n.round() as u64)
    }

    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        match &self.sketch {
            None => pack::put(out, 0),
            Some(s) => {
                let bytes = s.serialize();
                pack::put(out, bytes.len() as u64);
                out.extend_from_slice(&bytes);
            }
        }
    }

    pub(crate) fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let n = pack::take_len(bytes, SKETCH_BYTES_MAX)?;
        if n == 0 {
            return Ok(Self::default());
        }
        let raw = pack::take_bytes(bytes, n)?;
        let sketch = HllSketch::deserialize(raw).map_err(|_| Damaged("not a sketch of readers"))?;
        if sketch.lg_config_k() != LG_K {
            return Err(Damaged("a sketch of another size"));
        }
        Ok(Self {
            sketch: Some(sketch),
        })
    }
}

/// A packed sketch is never larger; more is damage.
const SKETCH_BYTES_MAX: usize = 64 << 10;

/// Which items were read most: Misra and Gries' frequent items. Off by at most 3.5/[`TOP_MAP_SIZE`] of all reads
/// counted, and exact while there are no more than three quarters of [`TOP_MAP_SIZE`] items.
#[derive(Debug, Clone)]
pub struct Top {
    sketch: Option<FrequentItemsSketch<u64>>,
}

impl Default for Top {
    fn default() -> Self {
        // The size is a constant the crate accepts: a test holds it.
        Self {
            sketch: FrequentItemsSketch::new(TOP_MAP_SIZE).ok(),
        }
    }
}

impl Top {
    pub(crate) fn count(&mut self, item: ContentId) {
        if let Some(s) = &mut self.sketch {
            s.update(item.0);
        }
    }

    /// Adds another hour's or partition's counts.
    pub fn merge(&mut self, other: &Self) {
        if let (Some(ours), Some(theirs)) = (&mut self.sketch, &other.sketch) {
            ours.merge(theirs);
        }
    }

    /// The `n` items read most and how often, at least; most first, equals by id.
    #[must_use]
    pub fn items(&self, n: usize) -> Vec<(ContentId, u64)> {
        let Some(s) = &self.sketch else {
            return Vec::new();
        };
        let rows = s.frequent_items_with_threshold(ErrorType::NoFalseNegatives, 0);
        let mut rows: Vec<_> = rows
            .iter()
            .map(|r| (ContentId(*r.item()), r.estimate()))
            .collect();
        rows.sort_by_key(|r| (std::cmp::Reverse(r.1), r.0));
        rows.truncate(n);
        rows
    }

    pub(crate) fn pack(&self, out: &mut Vec<u8>) {
        if let Some(s) = &self.sketch {
            out.extend_from_slice(&s.serialize());
        }
    }

    pub(crate) fn unpack(bytes: &mut &[u8]) -> Result<Self, Damaged> {
        let raw = std::mem::take(bytes);
        let sketch =
            FrequentItemsSketch::deserialize(raw).map_err(|_| Damaged("not a sketch of items"))?;
        if sketch.max_map_size() != TOP_MAP_SIZE {
            return Err(Damaged("a sketch of another size"));
        }
        Ok(Self {
            sketch: Some(sketch),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(n: u64) -> Coupon {
        coupon(Pseudonym(
            (u128::from(n) * 0x9e37_79b9_7f4a_7c15).to_be_bytes(),
        ))
    }

    #[test]
    fn readers_are_estimated_within_the_stated_error_in_any_order() {
        for n in [1u64, 30, 1_000, 50_000] {
            let (mut up, mut down) = (Distinct::<12>::default(), Distinct::<12>::default());
            for i in 0..n {
                up.insert(reader(i));
                down.insert(reader(n - 1 - i));
                down.insert(reader(i / 2));
            }
            assert_eq!(up.estimate(), down.estimate());
            let off = up.estimate().abs_diff(n) as f64 / n as f64;
            assert!(off <= 3.0 * 1.04 / 64.0, "{n}: {}", up.estimate());
            let (mut packed, mut half) = (Vec::new(), Distinct::<12>::default());
            up.pack(&mut packed);
            let mut rest = &packed[..];
            let again = Distinct::<12>::unpack(&mut rest).unwrap();
            assert_eq!((again.estimate(), rest.len()), (up.estimate(), 0));
            (0..n / 2).for_each(|i| half.insert(reader(i)));
            half.merge(&again);
            assert_eq!(half.estimate(), up.estimate());
        }
    }

    #[test]
    fn the_most_read_items_are_found_within_the_stated_error() {
        let mut top = Top::default();
        let mut total = 0;
        // Item i is read 3,000/(i+1) times, interleaved.
        for round in 0..3_000u64 {
            for i in 0..2_000u64 {
                if round < 3_000 / (i + 1) {
                    top.count(ContentId(i));
                    total += 1;
                }
            }
        }
        let error = total as f64 * 3.5 / TOP_MAP_SIZE as f64;
        for (rank, (item, n)) in top.items(5).into_iter().enumerate() {
            assert_eq!(item.0, rank as u64);
            assert!(n.abs_diff(3_000 / (rank as u64 + 1)) as f64 <= error);
        }
        let mut packed = Vec::new();
        top.pack(&mut packed);
        assert_eq!(
            Top::unpack(&mut &packed[..]).unwrap().items(9),
            top.items(9)
        );
    }

    #[test]
    fn damage_is_refused() {
        let mut d = Distinct::<9>::default();
        d.insert(reader(1));
        let mut packed = Vec::new();
        d.pack(&mut packed);
        assert!(Distinct::<12>::unpack(&mut &packed[..]).is_err());
        for cut in 1..packed.len() {
            assert!(Distinct::<9>::unpack(&mut &packed[..cut]).is_err());
        }
        assert!(Top::unpack(&mut &b"no sketch"[..]).is_err());
    }
}
