//! A chunk: the records of one append call, or of several that were synced together, as one stored value.
//!
//! ```text
//! version u8 = 1 | appended_ms i64 | bytes_before u64 | count u32 | record …
//! record: key_len u32 | value_len u32 | headers u16 | (name_len u16 | value_len u32 | name | value) … | key | value
//! ```
//! Big-endian. `bytes_before` counts the chunk bytes ever stored in the partition before this
//! one, so the size of any span is a subtraction and no counter row is needed.

use bytes::{Buf, Bytes};
use mediaflow_ports::{PortError, PortErrorKind, PortResult, Record};

use crate::fault;
use crate::limits::APPEND_BYTES_MAX;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 8 + 8 + 4;

/// Head of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub appended_ms: i64,
    pub bytes_before: u64,
    pub count: u32,
}

/// Encodes everything but time and position, which [`stamp`] fills in when the chunk is written.
pub(super) fn encode(records: &[Record]) -> PortResult<Vec<u8>> {
    let framing = |r: &Record| 10 + r.headers.len() * 6 + r.size_bytes();
    let bytes = HEAD_BYTES + records.iter().map(framing).sum::<usize>();
    if bytes > APPEND_BYTES_MAX {
        return Err(PortError::too_large("an append", bytes, APPEND_BYTES_MAX));
    }
    let mut out = Vec::with_capacity(bytes);
    out.push(VERSION);
    out.extend_from_slice(&[0; 16]);
    // Every length fits its field: the whole is below 32 MiB, and names are checked below.
    out.extend_from_slice(&(records.len() as u32).to_be_bytes());
    for record in records {
        out.extend_from_slice(&(record.key.len() as u32).to_be_bytes());
        out.extend_from_slice(&(record.value.len() as u32).to_be_bytes());
        let headers = u16::try_from(record.headers.len()).map_err(|_| too_many_headers())?;
        out.extend_from_slice(&headers.to_be_bytes());
        for (name, value) in &record.headers {
            let name_len = u16::try_from(name.len()).map_err(|_| too_many_headers())?;
            out.extend_from_slice(&name_len.to_be_bytes());
            out.extend_from_slice(&(value.len() as u32).to_be_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&record.key);
        out.extend_from_slice(&record.value);
    }
    Ok(out)
}

/// Joins encoded chunks to one that holds the records of all, in their order.
pub(super) fn join(chunks: &[Vec<u8>], count: u64) -> Vec<u8> {
    let bytes = chunks.iter().map(|c| c.len() - HEAD_BYTES).sum::<usize>();
    let mut out = Vec::with_capacity(HEAD_BYTES + bytes);
    out.push(VERSION);
    out.extend_from_slice(&[0; 16]);
    // Callers join at most `CHUNK_BYTES_MAX`, which holds fewer records than a u32 counts.
    out.extend_from_slice(&(count as u32).to_be_bytes());
    for chunk in chunks {
        out.extend_from_slice(&chunk[HEAD_BYTES..]);
    }
    out
}

/// Fills in when and where the chunk is stored.
pub(super) fn stamp(chunk: &mut [u8], appended_ms: i64, bytes_before: u64) {
    chunk[1..9].copy_from_slice(&appended_ms.to_be_bytes());
    chunk[9..17].copy_from_slice(&bytes_before.to_be_bytes());
}

/// Reads the head and leaves `chunk` at the first record.
pub(super) fn head(chunk: &mut Bytes) -> PortResult<Head> {
    if chunk.len() < HEAD_BYTES || chunk[0] != VERSION {
        return Err(fault::corrupt("a log chunk"));
    }
    chunk.advance(1);
    Ok(Head {
        appended_ms: chunk.get_i64(),
        bytes_before: chunk.get_u64(),
        count: chunk.get_u32(),
    })
}

/// Reads the next record; its parts share the chunk's memory.
pub(super) fn record(chunk: &mut Bytes) -> PortResult<Record> {
    let key_len = read_u32(chunk)?;
    let value_len = read_u32(chunk)?;
    let header_count = read_u16(chunk)?;
    // A damaged count must not reserve memory.
    let mut headers = Vec::with_capacity(usize::from(header_count).min(8));
    for _ in 0..header_count {
        let name_len = usize::from(read_u16(chunk)?);
        let value_len = read_u32(chunk)?;
        let name = String::from_utf8(take(chunk, name_len)?.to_vec())
            .map_err(|_| fault::corrupt("a log header"))?;
        headers.push((name, take(chunk, value_len)?));
    }
    Ok(Record {
        key: take(chunk, key_len)?,
        value: take(chunk, value_len)?,
        headers,
    })
}

fn read_u32(chunk: &mut Bytes) -> PortResult<usize> {
    Ok(chunk
        .try_get_u32()
        .map_err(|_| fault::corrupt("a log record"))? as usize)
}

fn read_u16(chunk: &mut Bytes) -> PortResult<u16> {
    chunk
        .try_get_u16()
        .map_err(|_| fault::corrupt("a log record"))
}

fn take(chunk: &mut Bytes, len: usize) -> PortResult<Bytes> {
    if chunk.len() < len {
        return Err(fault::corrupt("a log record"));
    }
    Ok(chunk.split_to(len))
}

fn too_many_headers() -> PortError {
    PortError::new(
        PortErrorKind::TooLarge,
        "a record has more than 65,535 headers or a header name is longer; shorten them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Record> {
        vec![
            Record::new("k", "value")
                .with_header("a", "1")
                .with_header("a", ""),
            Record::default(),
            Record::new(vec![0, 255], vec![7; 300]),
        ]
    }

    #[test]
    fn chunks_round_trip() {
        let mut bytes = encode(&sample()).unwrap();
        stamp(&mut bytes, -5, 99);
        let mut chunk = Bytes::from(bytes);
        let head = head(&mut chunk).unwrap();
        assert_eq!(
            head,
            Head {
                appended_ms: -5,
                bytes_before: 99,
                count: 3
            }
        );
        let read: Vec<_> = (0..3).map(|_| record(&mut chunk).unwrap()).collect();
        assert_eq!(read, sample());
        assert!(chunk.is_empty());
    }

    #[test]
    fn joined_chunks_hold_the_records_of_all() {
        let one = encode(&sample()).unwrap();
        let mut joined = Bytes::from(join(&[one.clone(), one], 6));
        assert_eq!(head(&mut joined).unwrap().count, 6);
        let read: Vec<_> = (0..6).map(|_| record(&mut joined).unwrap()).collect();
        assert_eq!(read, [sample(), sample()].concat());
        assert!(joined.is_empty());
    }

    #[test]
    fn every_truncation_is_an_error_and_never_a_panic() {
        let bytes = encode(&sample()).unwrap();
        for len in 0..bytes.len() {
            let mut chunk = Bytes::copy_from_slice(&bytes[..len]);
            let whole = head(&mut chunk).and_then(|h| {
                (0..h.count)
                    .map(|_| record(&mut chunk))
                    .collect::<PortResult<Vec<_>>>()
            });
            assert!(whole.is_err(), "{len}");
        }
    }
}
