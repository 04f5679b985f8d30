//! Small numbers in few bytes: LEB128, signed ones in zigzag. For the sparse tables that make up most of a state.

/// Why packed bytes cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub &'static str);

/// Bytes of the largest number.
const NUMBER_MAX: usize = 10;

/// Numbers that are put together before they go into the vector.
const ROW: usize = 8;

/// Appends `n`. Most are small.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, n: u64) {
    if n < 0x80 {
        out.push(n as u8);
    } else if n < 0x4000 {
        out.extend_from_slice(&[n as u8 | 0x80, (n >> 7) as u8]);
    } else {
        put_all(out, [n]);
    }
}

/// Appends each of `numbers`, several in one go: the bookkeeping of a vector costs more than a small number.
pub(crate) fn put_all(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) {
    let mut row = [0; ROW * NUMBER_MAX];
    let mut at = 0;
    for mut n in numbers {
        if at > (ROW - 1) * NUMBER_MAX {
            out.extend_from_slice(&row[..at]);
            at = 0;
        }
        while n >= 0x80 {
            row[at] = n as u8 | 0x80;
            at += 1;
            n >>= 7;
        }
        row[at] = n as u8;
        at += 1;
    }
    out.extend_from_slice(&row[..at]);
}

/// Takes a number off the front.
pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let (mut n, mut shift) = (0u64, 0u32);
    loop {
        let Some((&b, rest)) = bytes.split_first() else {
            return Err(Damaged("ends within a number"));
        };
        *bytes = rest;
        if shift == 63 && b > 1 {
            return Err(Damaged("number over 64 bits"));
        }
        n |= u64::from(b & 0x7f) << shift;
        if b < 0x80 {
            return Ok(n);
        }
        shift += 7;
        if shift > 63 {
            return Err(Damaged("number over 64 bits"));
        }
    }
}

/// Takes a number that must fit `T` off the front.
pub(crate) fn take_as<T: TryFrom<u64>>(bytes: &mut &[u8]) -> Result<T, Damaged> {
    T::try_from(take(bytes)?).map_err(|_| Damaged("number too large"))
}

/// Takes a count of at most `max` off the front.
pub(crate) fn take_len(bytes: &mut &[u8], max: usize) -> Result<usize, Damaged> {
    let n: usize = take_as(bytes)?;
    if n > max {
        return Err(Damaged("more entries than a state holds"));
    }
    Ok(n)
}

/// Takes `n` bytes off the front.
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8], n: usize) -> Result<&'a [u8], Damaged> {
    let (head, rest) = bytes
        .split_at_checked(n)
        .ok_or(Damaged("ends within a text"))?;
    *bytes = rest;
    Ok(head)
}

/// Signed to unsigned with small magnitudes small.
pub(crate) const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// Back from [`zigzag`].
pub(crate) const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(n in any::<u64>(), i in any::<i64>()) {
            let mut out = Vec::new();
            put(&mut out, n);
            put(&mut out, zigzag(i));
            put_all(&mut out, [n; 20]);
            let mut rest = &out[..];
            prop_assert_eq!(take(&mut rest), Ok(n));
            prop_assert_eq!(take(&mut rest).map(unzigzag), Ok(i));
            for _ in 0..20 {
                prop_assert_eq!(take(&mut rest), Ok(n));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
            let _ = take(&mut &bytes[..]);
        }
    }
}
