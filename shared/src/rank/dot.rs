//! Dot products of one 64-lane int8 vector with every row of a column, by SIMD, with a scalar twin.
//!
//! WebAssembly uses simd128, x86-64 the SSE2 that every such processor has (choosing by run-time detection would
//! make the result depend on where it ran only in speed, but costs a branch and a second copy of the code).
//! Anything else, and a WebAssembly build without simd128, uses [`scalar`]. All give the same integers: a sum of
//! 64 products of two int8 is below 2^21.

use crate::topics::LANES;

/// Fills `out` with one dot product per complete row of `column` (`rows × 64` bytes, each an i8).
pub fn dots(query: &[i8; LANES], column: &[u8], out: &mut Vec<i32>) {
    out.clear();
    out.reserve(column.len() / LANES);
    simd(query, column.as_chunks::<LANES>().0, out);
}

/// The same by plain arithmetic: the reference of the tests, and the fallback.
pub fn scalar(query: &[i8; LANES], column: &[u8], out: &mut Vec<i32>) {
    out.clear();
    out.extend(column.as_chunks::<LANES>().0.iter().map(|r| one(query, r)));
}

/// One row.
#[must_use]
pub fn one(query: &[i8; LANES], row: &[u8; LANES]) -> i32 {
    query
        .iter()
        .zip(row)
        .map(|(&a, &b)| i32::from(a) * i32::from(b as i8))
        .sum()
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
fn simd(query: &[i8; LANES], rows: &[[u8; LANES]], out: &mut Vec<i32>) {
    use core::arch::wasm32::{
        i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, i32x4_add, i32x4_dot_i16x8,
        i32x4_extract_lane, i32x4_splat, v128,
    };
    let mut q = [i32x4_splat(0); 8];
    for (k, pair) in q.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let v = load(&query.map(|x| x as u8), k);
        *pair = [i16x8_extend_low_i8x16(v), i16x8_extend_high_i8x16(v)];
    }
    out.extend(rows.iter().map(|row| {
        let mut sum: [v128; 2] = [i32x4_splat(0); 2];
        for k in 0..4 {
            let v = load(row, k);
            sum[0] = i32x4_add(sum[0], i32x4_dot_i16x8(q[2 * k], i16x8_extend_low_i8x16(v)));
            sum[1] = i32x4_add(
                sum[1],
                i32x4_dot_i16x8(q[2 * k + 1], i16x8_extend_high_i8x16(v)),
            );
        }
        let s = i32x4_add(sum[0], sum[1]);
        i32x4_extract_lane::<0>(s)
            + i32x4_extract_lane::<1>(s)
            + i32x4_extract_lane::<2>(s)
            + i32x4_extract_lane::<3>(s)
    }));
}

/// The `k`-th 16 of 64 bytes.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[inline(always)]
#[expect(unsafe_code, reason = "a vector load has no safe form on this target")]
fn load(row: &[u8; LANES], k: usize) -> core::arch::wasm32::v128 {
    let part: &[u8; 16] = &row.as_chunks::<16>().0[k];
    // SAFETY: `part` is 16 readable bytes, and the load asks for no alignment.
    unsafe { core::arch::wasm32::v128_load(part.as_ptr().cast()) }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[expect(
    unsafe_code,
    reason = "SSE2 functions are unsafe to call even where SSE2 is always there"
)]
fn simd(query: &[i8; LANES], rows: &[[u8; LANES]], out: &mut Vec<i32>) {
    // SAFETY: this is compiled only when the whole build has SSE2.
    unsafe { sse2(query, rows, out) }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[target_feature(enable = "sse2")]
fn sse2(query: &[i8; LANES], rows: &[[u8; LANES]], out: &mut Vec<i32>) {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_madd_epi16, _mm_setzero_si128,
        _mm_shuffle_epi32, _mm_srai_epi16, _mm_unpackhi_epi8, _mm_unpacklo_epi8,
    };
    // SSE2 has no sign extension: a byte above itself, shifted down, is one.
    let low = |v: __m128i| _mm_srai_epi16::<8>(_mm_unpacklo_epi8(v, v));
    let high = |v: __m128i| _mm_srai_epi16::<8>(_mm_unpackhi_epi8(v, v));
    let mut q = [_mm_setzero_si128(); 8];
    for (k, pair) in q.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let v = load(&query.map(|x| x as u8), k);
        *pair = [low(v), high(v)];
    }
    out.extend(rows.iter().map(|row| {
        let mut sum = [_mm_setzero_si128(); 2];
        for k in 0..4 {
            let v = load(row, k);
            sum[0] = _mm_add_epi32(sum[0], _mm_madd_epi16(q[2 * k], low(v)));
            sum[1] = _mm_add_epi32(sum[1], _mm_madd_epi16(q[2 * k + 1], high(v)));
        }
        let s = _mm_add_epi32(sum[0], sum[1]);
        let s = _mm_add_epi32(s, _mm_shuffle_epi32::<0b01_00_11_10>(s));
        let s = _mm_add_epi32(s, _mm_shuffle_epi32::<0b10_11_00_01>(s));
        _mm_cvtsi128_si32(s)
    }));
}

/// The `k`-th 16 of 64 bytes.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[target_feature(enable = "sse2")]
#[inline]
#[expect(unsafe_code, reason = "a vector load has no safe form on this target")]
fn load(row: &[u8; LANES], k: usize) -> core::arch::x86_64::__m128i {
    let part: &[u8; 16] = &row.as_chunks::<16>().0[k];
    // SAFETY: `part` is 16 readable bytes, and the unaligned load asks for no alignment.
    unsafe { core::arch::x86_64::_mm_loadu_si128(part.as_ptr().cast()) }
}

#[cfg(not(any(
    all(target_arch = "wasm32", target_feature = "simd128"),
    all(target_arch = "x86_64", target_feature = "sse2")
)))]
fn simd(query: &[i8; LANES], rows: &[[u8; LANES]], out: &mut Vec<i32>) {
    out.extend(rows.iter().map(|r| one(query, r)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn simd_and_scalar_give_the_same_integers(
            q in prop::collection::vec(any::<i8>(), LANES),
            column in prop::collection::vec(any::<u8>(), 0..20 * LANES),
        ) {
            let q: [i8; LANES] = q.try_into().unwrap();
            let (mut a, mut b) = (vec![9], Vec::new());
            dots(&q, &column, &mut a);
            scalar(&q, &column, &mut b);
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn the_extremes_do_not_overflow() {
        let mut out = Vec::new();
        dots(&[-128; LANES], &[0x80; LANES], &mut out);
        assert_eq!(out, [64 * 128 * 128]);
        dots(&[127; LANES], &[0x80; LANES], &mut out);
        assert_eq!(out, [-64 * 128 * 127]);
    }
}
