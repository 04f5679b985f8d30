//! Served records from the edges: checked, then appended as they came.

use bytes::Bytes;
use mediaflow_ports::Record;
use mediaflow_shared::served::Served;

use super::{Collector, TOPIC_SERVED};
use crate::append::append_by_key;
use crate::error::{IngestError, IngestResult};
use crate::limits::SERVED_BATCH_MAX;

/// Rungs of the ladder as labels; a number beyond counts as the last.
const RUNGS: [&str; 5] = ["0", "1", "2", "3", "4"];

impl Collector {
    /// Takes served records in: one MessagePack record, or an array of binary values each holding
    /// one. All or nothing; answers how many. Keyed by feed id, so that `replay` finds a record by
    /// its partition.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] naming the first record that does not decode;
    /// [`IngestError::Port`] when the log refused.
    pub async fn take_served(&self, body: Bytes) -> IngestResult<usize> {
        let parts = frames(&body)?;
        let mut records = Vec::with_capacity(parts.len());
        let mut told = Vec::with_capacity(parts.len());
        for (i, part) in parts.into_iter().enumerate() {
            let served = Served::decode(&part).map_err(|why| {
                IngestError::malformed(
                    format!("served record {i}"),
                    why,
                    "send records as this version of `shared` encodes them",
                )
            })?;
            told.push((served.brand, served.rung, served.front_age_s));
            records.push(Record::new(served.feed_id.into_bytes(), part));
        }
        let n = records.len();
        append_by_key(self.log.as_ref(), TOPIC_SERVED, records).await?;
        self.counters.served.inc_by(n as u64);
        for (brand, rung, front_age_s) in told {
            // Brands are a closed set in every real configuration; an edge's word alone makes no new label.
            let known = self.config.brands.contains_key(&brand);
            let brand = if known { brand.as_str() } else { "other" };
            let rung = RUNGS[usize::from(rung).min(RUNGS.len() - 1)];
            let labels = [brand, rung];
            self.counters.rungs.with_label_values(&labels).inc();
            self.counters
                .front_age_s
                .with_label_values(&[brand])
                .observe(f64::from(front_age_s));
        }
        Ok(n)
    }
}

/// Takes an array of MessagePack `bin` apart; anything else is one record.
fn frames(body: &Bytes) -> IngestResult<Vec<Bytes>> {
    let bad = |why: &str| IngestError::malformed("served batch", why, "send an array of binaries");
    let be = |from: usize, n: usize| {
        body.get(from..from + n)
            .map(|b| b.iter().fold(0usize, |a, x| (a << 8) | usize::from(*x)))
            .ok_or_else(|| bad("ends too early"))
    };
    let (count, mut at) = match body.first() {
        None => return Err(bad("is empty")),
        Some(b @ 0x90..=0x9f) => (usize::from(b & 0x0f), 1),
        Some(0xdc) => (be(1, 2)?, 3),
        Some(_) => return Ok(vec![body.clone()]),
    };
    // A single record that is itself an array does not begin with a binary.
    if !matches!(body.get(at), Some(0xc4..=0xc6)) {
        return Ok(vec![body.clone()]);
    }
    if count > SERVED_BATCH_MAX {
        return Err(bad("holds more than 1,000 records"));
    }
    let mut parts = Vec::with_capacity(count);
    for _ in 0..count {
        let width = match body.get(at) {
            Some(0xc4) => 1,
            Some(0xc5) => 2,
            Some(0xc6) => 4,
            _ => return Err(bad("holds something else than binaries")),
        };
        let len = be(at + 1, width)?;
        at += 1 + width;
        let end = at.checked_add(len).filter(|e| *e <= body.len());
        let end = end.ok_or_else(|| bad("ends too early"))?;
        parts.push(body.slice(at..end));
        at = end;
    }
    if at == body.len() {
        Ok(parts)
    } else {
        Err(bad("has bytes after its end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart() {
        let one = Bytes::from_static(&[0x81, 1, 2]);
        assert_eq!(frames(&one).unwrap(), vec![one.clone()]);
        let two = Bytes::from_static(&[0x92, 0xc4, 2, 7, 8, 0xc5, 0, 1, 9]);
        assert_eq!(frames(&two).unwrap(), vec![&[7u8, 8][..], &[9][..]]);
        for bad in [
            &[][..],
            &[0x92, 0xc4, 2, 7],
            &[0x91, 0xc4, 1, 7, 7],
            &[0x92, 0xc4, 1, 7, 0xa0],
        ] {
            assert!(frames(&Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken_apart_or_refused(b in proptest::collection::vec(0u8..=255, 0..64)) {
            let _ = frames(&Bytes::from(b));
        }
    }
}
