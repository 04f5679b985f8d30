//! SimHash (Charikar 2002) over shingles of three words: texts that differ in few words differ in few
//! bits.

use mediaflow_shared::id::ContentId;
use xxhash_rust::xxh3::Xxh3;

const SHINGLE_WORDS: usize = 3;

/// The 64-bit SimHash of title and body; 0 for no words.
pub(super) fn of(title: &[String], body: &[String]) -> ContentId {
    let words: Vec<&str> = title.iter().chain(body).map(String::as_str).collect();
    if words.is_empty() {
        return ContentId(0);
    }
    let mut votes = [0i32; 64];
    for shingle in words.windows(SHINGLE_WORDS.min(words.len())) {
        let mut h = Xxh3::new();
        for w in shingle {
            h.update(w.as_bytes());
            h.update(&[0]);
        }
        let h = h.digest();
        for (bit, vote) in votes.iter_mut().enumerate() {
            *vote += if h >> bit & 1 == 1 { 1 } else { -1 };
        }
    }
    let bits = votes.iter().enumerate().filter(|(_, v)| **v > 0);
    ContentId(bits.fold(0, |hash, (bit, _)| hash | 1 << bit))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::lower;
    use super::*;

    fn distance(a: &str, b: &str) -> u32 {
        let h = |t: &str| of(&[], &lower(t, 9_999)).0;
        (h(a) ^ h(b)).count_ones()
    }

    #[test]
    fn near_duplicates_are_near_and_others_far() {
        let base: String = (0..200).map(|i| format!("word{} ", i * 7 % 101)).collect();
        let edited = base.replacen("word7 ", "other ", 1) + "end";
        let other: String = (0..200).map(|i| format!("term{} ", i * 5 % 97)).collect();
        assert!(
            distance(&base, &edited) <= 10,
            "{}",
            distance(&base, &edited)
        );
        assert!(distance(&base, &other) >= 20, "{}", distance(&base, &other));
        assert_eq!(of(&[], &[]), ContentId(0));
    }
}
