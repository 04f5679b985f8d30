//! Near-duplicate clusters by SimHash: locality-sensitive hashing over four bands of 16 bits.
//!
//! Two hashes that differ in at most three bits agree in at least one of four bands (G. S. Manku, A. Jain, A. Das
//! Sarma, "Detecting near-duplicates for web crawling", WWW 2007), so only items that share a band are compared.

use mediaflow_shared::id::ContentId;
use std::collections::HashMap;

use crate::limits::{BAND_COMPARED_MAX, DUPLICATE_BITS_MAX};

/// Numbers the clusters of two and more from 1 on, in the order of their smallest content ids; 0 = none.
/// Hash 0 stands for "no text" and is like nothing.
pub(crate) fn clusters(items: &[(ContentId, u64)]) -> Vec<u16> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by_key(|&i| items[i].0);
    let mut parent: Vec<usize> = (0..items.len()).collect();
    let mut bands: HashMap<(u32, u16), Vec<usize>> = HashMap::new();
    for &i in order.iter().filter(|&&i| items[i].1 != 0) {
        for band in 0..4 {
            let bucket = bands
                .entry((band, (items[i].1 >> (16 * band)) as u16))
                .or_default();
            for &j in bucket.iter().rev().take(BAND_COMPARED_MAX) {
                if (items[i].1 ^ items[j].1).count_ones() <= DUPLICATE_BITS_MAX {
                    let (a, b) = (root(&mut parent, i), root(&mut parent, j));
                    parent[a] = b;
                }
            }
            bucket.push(i);
        }
    }
    let roots: Vec<usize> = (0..items.len()).map(|i| root(&mut parent, i)).collect();
    let mut size = vec![0usize; items.len()];
    roots.iter().for_each(|&r| size[r] += 1);
    let mut number = vec![0u16; items.len()];
    let mut next = 0;
    for &i in &order {
        let r = roots[i];
        if size[r] > 1 && number[r] == 0 {
            next += 1;
            number[r] = next;
        }
    }
    roots.iter().map(|&r| number[r]).collect()
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(hashes: &[u64]) -> Vec<(ContentId, u64)> {
        hashes
            .iter()
            .enumerate()
            .map(|(i, h)| (ContentId(i as u64), *h))
            .collect()
    }

    #[test]
    fn three_bits_apart_is_the_same_story() {
        let base = 0x0123_4567_89ab_cdef;
        let near = base ^ (1 << 63 | 1 << 20 | 1);
        let far = base ^ 0b1111;
        assert_eq!(clusters(&ids(&[base, near, far, 0, 0])), [1, 1, 0, 0, 0]);
        assert!(clusters(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_close_pair_is_found_and_order_does_not_matter(
            bases in prop::collection::vec(1u64.., 1..12), flips in prop::collection::vec((any::<prop::sample::Index>(), 0u32..64, 0u32..64, 0u32..64), 0..20)
        ) {
            let mut hashes = bases.clone();
            for (i, a, b, c) in flips { hashes.push(i.get(&bases) ^ (1 << a | 1 << b | 1 << c)); }
            let items = ids(&hashes);
            let number = clusters(&items);
            for i in 0..items.len() {
                for j in 0..i {
                    if hashes[i] != 0 && hashes[j] != 0 && (hashes[i] ^ hashes[j]).count_ones() <= DUPLICATE_BITS_MAX {
                        prop_assert!(number[i] != 0 && number[i] == number[j]);
                    }
                }
            }
            let mut turned = items.clone();
            turned.reverse();
            let mut again = clusters(&turned);
            again.reverse();
            prop_assert_eq!(again, number);
        }
    }
}
