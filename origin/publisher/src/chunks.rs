//! Content-defined chunks: fronts of one surface differ little from minute to minute, so the archive keeps each piece
//! once.
//!
//! Boundaries depend on the bytes around them alone (gear hashing: W. Xia et al., "FastCDC", USENIX ATC 2016), so an
//! item more in the middle moves what follows without changing its chunks.

/// Chunks are at least this long: shorter ones cost more in keys than they save.
const BYTES_MIN: usize = 1 << 10;
/// And at most this long, whatever the bytes.
const BYTES_MAX: usize = 16 << 10;
/// Twelve bits of the hash must be zero at a boundary: 4 KB beyond the minimum on average.
const MASK: u64 = 0xfff0_0000_0000_0000;

const GEAR: [u64; 256] = gear();

/// 256 random-looking words (SplitMix64). Part of nothing stored: other words only share fewer chunks.
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let (mut seed, mut i) = (0u64, 0);
    while i < table.len() {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[i] = z ^ (z >> 31);
        i += 1;
    }
    table
}

/// The chunks of `bytes`, in order; together they are `bytes`.
pub(crate) fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while !bytes.is_empty() {
        let (chunk, rest) = bytes.split_at(first_cut(bytes));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

fn first_cut(bytes: &[u8]) -> usize {
    let mut hash = 0u64;
    let end = bytes.len().min(BYTES_MAX);
    for (i, b) in bytes[..end].iter().enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*b)]);
        if i + 1 >= BYTES_MIN && hash & MASK == 0 {
            return i + 1;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn noise(n: usize) -> Vec<u8> {
        let mut x = 1u64;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (x >> 56) as u8
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn an_insertion_leaves_most_chunks_alone() {
        let before = noise(400_000);
        let mut after = before.clone();
        after.splice(100_000..100_000, *b"one item more");
        let known: HashSet<&[u8]> = split(&before).into_iter().collect();
        let new: usize = split(&after)
            .iter()
            .filter(|c| !known.contains(*c))
            .map(|c| c.len())
            .sum();
        assert!(new < 40_000, "{new} of 400,000 bytes are new");
    }

    proptest! {
        #[test]
        fn nothing_is_lost(n in 0usize..60_000, constant: bool) {
            let bytes = if constant { vec![7; n] } else { noise(n) };
            let chunks = split(&bytes);
            prop_assert_eq!(&chunks.concat(), &bytes);
            prop_assert!(chunks.iter().all(|c| !c.is_empty() && c.len() <= BYTES_MAX));
        }
    }
}
