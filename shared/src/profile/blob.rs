//! Profile blob v1: at most 256 bytes, every byte in the ledger of `docs/blob.md`.
//!
//! ```text
//! header    10 B  version u8 · schema u8 · sections u16 · epoch u16 · as_of minute u32
//! affinity  52 B  50 × i8 · confidence u16                      section bit 0
//! learned   66 B  64 × i8 · scale u16                            section bit 1
//! reads    ≤81 B  count u8 · n × (short id u32 · age class u8)    section bit 2
//! habits     9 B  session_min · depth · length · hours 3 B · engagement · segment · churn+conversion   bit 3
//! ad caps  ≤13 B  count u8 · n × (campaign u16 · shown u8)        section bit 4
//! mutes    ≤33 B  count u8 · n × (kind u8 · value 3 B)            section bit 5
//! trailer    7 B  consent u8 · expires day u16 · checksum u32
//! ```
//! The sections together could reach 271 bytes; a profile that full forgets its oldest reads, never a mute.
//! All integers are little-endian. The checksum is the low half of XXH3-64 of all bytes before it.

use super::{
    AD_CAPS_MAX, AdCap, Affinity, Habits, Learned, Length, MUTES_MAX, Mute, Profile, READS_MAX,
    Read,
};
use crate::time::Minute;
use crate::topics::{LANES, TOPICS};
use crate::wire::{WireError, schema_hash, u16_at, u32_at};
use xxhash_rust::xxh3::xxh3_64;

/// Hard limit of a blob.
pub const BLOB_BYTES_MAX: usize = 256;
/// Version written and newest version read.
pub const BLOB_VERSION: u8 = 1;

const SCHEMA: &str =
    "profile.v1 header10 affinity52 learned66 reads5 habits9 adcaps3 mutes4 trailer7";
const HEADER: usize = 10;
const TRAILER: usize = 7;
const WHAT: &str = "profile blob";

const AFFINITY: u16 = 1;
const LEARNED: u16 = 1 << 1;
const READS: u16 = 1 << 2;
const HABITS: u16 = 1 << 3;
const AD_CAPS: u16 = 1 << 4;
const MUTES: u16 = 1 << 5;
const KNOWN: u16 = (1 << 6) - 1;

fn schema_byte() -> u8 {
    schema_hash(SCHEMA) as u8
}

fn malformed(why: impl Into<String>) -> WireError {
    WireError::Malformed {
        what: WHAT,
        why: why.into(),
    }
}

/// Writes a profile; the result never exceeds [`BLOB_BYTES_MAX`].
#[must_use]
pub fn encode(p: &Profile) -> Vec<u8> {
    let habits = p.habits.filter(|h| *h != Habits::default());
    let mutes = p.mutes.as_slice();
    let caps = p.ad_caps.as_slice();
    let mut sections = 0;
    let mut fixed = HEADER + TRAILER;
    for (bit, present, bytes) in [
        (AFFINITY, p.affinity.is_some(), TOPICS + 2),
        (LEARNED, p.learned.is_some(), LANES + 2),
        (HABITS, habits.is_some(), 9),
        (AD_CAPS, !caps.is_empty(), 1 + 3 * caps.len()),
        (MUTES, !mutes.is_empty(), 1 + 4 * mutes.len()),
    ] {
        if present {
            sections |= bit;
            fixed += bytes;
        }
    }
    let room = (BLOB_BYTES_MAX - fixed).saturating_sub(1) / 5;
    let reads = &p.reads.as_slice()[..p.reads.as_slice().len().min(room)];
    if !reads.is_empty() {
        sections |= READS;
    }

    let mut out = Vec::with_capacity(BLOB_BYTES_MAX);
    out.push(BLOB_VERSION);
    out.push(schema_byte());
    out.extend_from_slice(&sections.to_le_bytes());
    out.extend_from_slice(&p.epoch.to_le_bytes());
    out.extend_from_slice(&p.as_of.0.to_le_bytes());
    if let Some(a) = &p.affinity {
        out.extend(a.lanes[..TOPICS].iter().map(|&v| v as u8));
        out.extend_from_slice(&a.confidence.to_le_bytes());
    }
    if let Some(l) = &p.learned {
        out.extend(l.lanes.iter().map(|&v| v as u8));
        out.extend_from_slice(&l.scale.to_le_bytes());
    }
    if !reads.is_empty() {
        out.push(reads.len() as u8);
        for r in reads {
            out.extend_from_slice(&r.short.to_le_bytes());
            out.push(r.age);
        }
    }
    if let Some(h) = &habits {
        let hours = h.hours.to_le_bytes();
        out.extend_from_slice(&[
            h.session_min,
            h.session_depth,
            h.length as u8,
            hours[0],
            hours[1],
            hours[2],
        ]);
        out.extend_from_slice(&[
            h.engagement,
            h.segment,
            (h.churn.min(15) << 4) | h.conversion.min(15),
        ]);
    }
    if !caps.is_empty() {
        out.push(caps.len() as u8);
        for c in caps {
            out.extend_from_slice(&c.campaign.to_le_bytes());
            out.push(c.shown);
        }
    }
    if !mutes.is_empty() {
        out.push(mutes.len() as u8);
        for m in mutes {
            let (kind, value) = match *m {
                Mute::None => (0, 0),
                Mute::Topic(t) => (1, u32::from(t)),
                Mute::Author(a) => (2, a),
            };
            let v = value.to_le_bytes();
            out.extend_from_slice(&[kind, v[0], v[1], v[2]]);
        }
    }
    out.push(p.consent);
    out.extend_from_slice(&p.expires_day.to_le_bytes());
    let sum = xxh3_64(&out) as u32;
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

struct Cursor<'a> {
    rest: &'a [u8],
    have: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(WireError::Truncated {
            what: WHAT,
            need: self.have - self.rest.len() + n,
            have: self.have,
        })?;
        self.rest = tail;
        Ok(head)
    }

    fn lanes<const N: usize>(&mut self) -> Result<([i8; LANES], u16), WireError> {
        let b = self.take(N + 2)?;
        let mut lanes = [0i8; LANES];
        for (lane, v) in lanes.iter_mut().zip(&b[..N]) {
            // −128 has no positive twin; nothing of ours writes it.
            *lane = (*v as i8).max(-127);
        }
        Ok((lanes, u16_at(b, N)))
    }

    fn list(&mut self, name: &str, max: usize, each: usize) -> Result<&'a [u8], WireError> {
        let n = usize::from(self.take(1)?[0]);
        if n == 0 || n > max {
            return Err(malformed(format!("{n} {name}, 1 to {max} allowed")));
        }
        self.take(n * each)
    }
}

/// Reads a blob written by [`encode`] of this or an older release.
///
/// # Errors
/// [`WireError`]: truncated, newer, foreign schema, failed checksum, or contradicting itself.
pub fn decode(bytes: &[u8]) -> Result<Profile, WireError> {
    let have = bytes.len();
    if have < HEADER + TRAILER {
        return Err(WireError::Truncated {
            what: WHAT,
            need: HEADER + TRAILER,
            have,
        });
    }
    if have > BLOB_BYTES_MAX {
        return Err(malformed(format!(
            "{have} bytes, at most {BLOB_BYTES_MAX} allowed"
        )));
    }
    match bytes[0] {
        0 => return Err(WireError::Foreign(WHAT)),
        BLOB_VERSION => {}
        v => {
            return Err(WireError::Newer {
                what: WHAT,
                found: v.into(),
                known: BLOB_VERSION.into(),
            });
        }
    }
    let (body, sum) = bytes.split_at(have - 4);
    if xxh3_64(body) as u32 != u32_at(sum, 0) {
        return Err(WireError::Checksum(WHAT));
    }
    if bytes[1] != schema_byte() {
        return Err(WireError::Schema(WHAT));
    }
    let sections = u16_at(body, 2);
    if sections & !KNOWN != 0 {
        return Err(malformed("unknown section"));
    }
    let mut p = Profile {
        epoch: u16_at(body, 4),
        as_of: Minute(u32_at(body, 6)),
        ..Profile::default()
    };
    let mut c = Cursor {
        rest: &body[HEADER..],
        have,
    };
    if sections & AFFINITY != 0 {
        let (lanes, confidence) = c.lanes::<TOPICS>()?;
        p.affinity = Some(Affinity { lanes, confidence });
    }
    if sections & LEARNED != 0 {
        let (lanes, scale) = c.lanes::<LANES>()?;
        p.learned = Some(Learned { lanes, scale });
    }
    if sections & READS != 0 {
        for r in c.list("reads", READS_MAX, 5)?.chunks_exact(5) {
            p.reads.push(Read {
                short: u32_at(r, 0),
                age: r[4],
            });
        }
    }
    if sections & HABITS != 0 {
        let b = c.take(9)?;
        p.habits = Some(Habits {
            session_min: b[0],
            session_depth: b[1],
            length: match b[2] {
                0 => Length::Unknown,
                1 => Length::Short,
                2 => Length::Medium,
                3 => Length::Long,
                n => return Err(malformed(format!("length class {n}"))),
            },
            hours: u32_at(&[b[3], b[4], b[5], 0], 0),
            engagement: b[6],
            segment: b[7],
            churn: b[8] >> 4,
            conversion: b[8] & 15,
        });
    }
    if sections & AD_CAPS != 0 {
        for r in c.list("ad caps", AD_CAPS_MAX, 3)?.chunks_exact(3) {
            p.ad_caps.push(AdCap {
                campaign: u16_at(r, 0),
                shown: r[2],
            });
        }
    }
    if sections & MUTES != 0 {
        for r in c.list("mutes", MUTES_MAX, 4)?.chunks_exact(4) {
            let value = u32_at(&[r[1], r[2], r[3], 0], 0);
            p.mutes.push(match (r[0], value) {
                (1, t) if (t as usize) < TOPICS => Mute::Topic(t as u8),
                (2, a) => Mute::Author(a),
                (k, _) => return Err(malformed(format!("mute kind {k}"))),
            });
        }
    }
    let tail = c.take(TRAILER - 4)?;
    if !c.rest.is_empty() {
        return Err(malformed(format!("{} bytes left over", c.rest.len())));
    }
    p.consent = tail[0];
    p.expires_day = u16_at(tail, 1);
    Ok(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn profiles()(
            epoch: u16, as_of: u32, consent: u8, expires_day: u16,
            affinity in prop::option::of((prop::array::uniform32(-127i8..=127), any::<u16>())),
            learned in prop::option::of((prop::array::uniform32(-127i8..=127), any::<u16>())),
            reads in prop::collection::vec((any::<u32>(), any::<u8>()), 0..=READS_MAX),
            habits in prop::option::of((any::<[u8; 4]>(), 0u32..1 << 24, 0u8..16, 0u8..16, 0u8..4)),
            caps in prop::collection::vec((any::<u16>(), any::<u8>()), 0..=AD_CAPS_MAX),
            mutes in prop::collection::vec((any::<bool>(), 0u32..1 << 24), 0..=MUTES_MAX),
        ) -> Profile {
            let mut p = Profile { epoch, as_of: Minute(as_of), consent, expires_day, ..Profile::default() };
            p.affinity = affinity.map(|(half, confidence)| {
                let mut lanes = [0; LANES];
                lanes[..32].copy_from_slice(&half);
                Affinity { lanes, confidence }
            });
            p.learned = learned.map(|(half, scale)| {
                let mut lanes = [0; LANES];
                lanes[32..].copy_from_slice(&half);
                Learned { lanes, scale }
            });
            for (short, age) in reads { p.reads.push(Read { short, age }); }
            p.habits = habits.map(|(b, hours, churn, conversion, l)| Habits {
                session_min: b[0], session_depth: b[1], engagement: b[2], segment: b[3], hours, churn, conversion,
                length: [Length::Unknown, Length::Short, Length::Medium, Length::Long][usize::from(l)],
            }).filter(|h| *h != Habits::default());
            for (campaign, shown) in caps { p.ad_caps.push(AdCap { campaign, shown }); }
            for (topic, v) in mutes {
                p.mutes.push(if topic { Mute::Topic((v % TOPICS as u32) as u8) } else { Mute::Author(v) });
            }
            p
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_fits(mut p in profiles()) {
            let bytes = encode(&p);
            prop_assert!(bytes.len() <= BLOB_BYTES_MAX);
            let back = decode(&bytes).unwrap();
            p.reads.truncate(back.reads.as_slice().len());
            prop_assert_eq!(back, p);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_noticed(p in profiles(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = encode(&p);
            let i = at.index(bytes.len());
            bytes[i] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn an_empty_profile_costs_17_bytes_and_keeps_its_golden_form() {
        let p = Profile {
            as_of: Minute(29_920_000),
            consent: 1,
            expires_day: 20_800,
            ..Profile::default()
        };
        let hex: String = encode(&p).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex.len(), 34);
        assert!(hex.starts_with("01"), "{hex}");
    }
}
