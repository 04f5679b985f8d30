//! Time as data: milliseconds since the epoch, the ranking clock in whole minutes, RFC 3339 text.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// Why a text is not a time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("time {0:?} is not RFC 3339, for example 2026-11-21T08:00:00Z")]
pub struct TimeError(pub String);

/// Milliseconds since 1970-01-01T00:00:00Z; RFC 3339 text on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// The ranking clock: whole minutes since the epoch, good until the year 10136.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Minute(pub u32);

impl Timestamp {
    /// From whole seconds since the epoch.
    #[must_use]
    pub const fn from_s(s: i64) -> Self {
        Self(s.saturating_mul(1000))
    }

    /// The minute this instant lies in; instants before 1970 are minute 0.
    #[must_use]
    pub const fn minute(self) -> Minute {
        let m = self.0.div_euclid(60_000);
        if m < 0 {
            Minute(0)
        } else if m > u32::MAX as i64 {
            Minute(u32::MAX)
        } else {
            Minute(m as u32)
        }
    }

    /// Reads RFC 3339 (`T`, `t` or a space between date and time; `Z` or an offset; no offset means UTC).
    ///
    /// # Errors
    /// [`TimeError`] when it is not a valid civil time.
    pub fn parse(s: &str) -> Result<Self, TimeError> {
        parse_rfc3339(s).ok_or_else(|| TimeError(s.chars().take(40).collect()))
    }
}

impl Minute {
    /// The instant this minute begins.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 as i64 * 60_000)
    }

    /// Whole minutes from `earlier` to `self`, 0 when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Minute) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Hour of the day in UTC, 0 to 23.
    #[must_use]
    pub const fn hour_utc(self) -> u8 {
        ((self.0 / 60) % 24) as u8
    }
}

/// Days since the epoch of a civil date (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days_from_civil(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y - era * 400;
    let doy = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

const fn civil_from_days(z: i64) -> (i64, i64, i64) {
    let z = z + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = doy - (153 * mp + 2) / 5 + 1;
    let m = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if m <= 2 { 1 } else { 0 }, m, d)
}

const fn month_days(y: i64, m: i64) -> i64 {
    match m {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if y % 4 == 0 && (y % 100 != 0 || y % 400 == 0) => 29,
        2 => 28,
        _ => 0,
    }
}

fn digits(b: &[u8], from: usize, n: usize) -> Option<i64> {
    let part = b.get(from..from + n)?;
    part.iter().try_fold(0i64, |a, c| {
        c.is_ascii_digit().then(|| a * 10 + i64::from(c - b'0'))
    })
}

fn parse_rfc3339(s: &str) -> Option<Timestamp> {
    let b = s.trim().as_bytes();
    let (y, m, d) = (digits(b, 0, 4)?, digits(b, 5, 2)?, digits(b, 8, 2)?);
    if b.get(4) != Some(&b'-') || b.get(7) != Some(&b'-') || d < 1 || d > month_days(y, m) {
        return None;
    }
    let day_ms = days_from_civil(y, m, d) * 86_400_000;
    if b.len() == 10 {
        return Some(Timestamp(day_ms));
    }
    if !matches!(b.get(10), Some(b'T' | b't' | b' ')) || b.get(13) != Some(&b':') {
        return None;
    }
    let (h, mi) = (digits(b, 11, 2)?, digits(b, 14, 2)?);
    let mut at = 16;
    let mut sec = 0;
    if b.get(16) == Some(&b':') {
        sec = digits(b, 17, 2)?;
        at = 19;
    }
    if h > 23 || mi > 59 || sec > 60 {
        return None;
    }
    let mut frac_ms = 0;
    if b.get(at) == Some(&b'.') {
        let end = b[at + 1..]
            .iter()
            .position(|c| !c.is_ascii_digit())
            .map_or(b.len(), |n| at + 1 + n);
        if end == at + 1 {
            return None;
        }
        let mut scale = 100;
        for c in &b[at + 1..end] {
            frac_ms += i64::from(c - b'0') * scale;
            scale /= 10;
        }
        at = end;
    }
    let offset_min = match b.get(at) {
        None => 0,
        Some(b'Z' | b'z') if b.len() == at + 1 => 0,
        Some(sign @ (b'+' | b'-')) => {
            let oh = digits(b, at + 1, 2)?;
            let om = match b.len() - at {
                3 => 0,
                5 => digits(b, at + 3, 2)?,
                6 if b[at + 3] == b':' => digits(b, at + 4, 2)?,
                _ => return None,
            };
            if oh > 23 || om > 59 {
                return None;
            }
            (oh * 60 + om) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let ms = ((h * 60 + mi - offset_min) * 60 + sec) * 1000 + frac_ms;
    Some(Timestamp(day_ms + ms))
}

/// `2026-11-21T08:00:00Z` or `2026-11-21T08:00:00.250Z` for the years 0 to 9999, without formatting machinery: two of
/// these are in every event.
fn rfc3339(ms: i64) -> Option<([u8; 24], usize)> {
    let (day, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (y, m, d) = civil_from_days(day);
    if !(0..=9999).contains(&y) {
        return None;
    }
    let (s, frac) = (ms / 1000, ms % 1000);
    let mut out = *b"0000-00-00T00:00:00.000Z";
    let mut put = |from: usize, to: usize, mut n: i64| {
        for digit in out[from..to].iter_mut().rev() {
            *digit = b'0' + (n % 10) as u8;
            n /= 10;
        }
    };
    put(0, 4, y);
    put(5, 7, m);
    put(8, 10, d);
    put(11, 13, s / 3600);
    put(14, 16, s / 60 % 60);
    put(17, 19, s % 60);
    put(20, 23, frac);
    if frac == 0 {
        out[19] = b'Z';
        return Some((out, 20));
    }
    Some((out, 24))
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((text, len)) = rfc3339(self.0) {
            return f.write_str(core::str::from_utf8(&text[..len]).unwrap_or_default());
        }
        let (day, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (y, m, d) = civil_from_days(day);
        let (s, frac) = (ms / 1000, ms % 1000);
        write!(
            f,
            "{y:04}-{m:02}-{d:02}T{:02}:{:02}:{:02}",
            s / 3600,
            s / 60 % 60,
            s % 60
        )?;
        if frac != 0 {
            write!(f, ".{frac:03}")?;
        }
        f.write_str("Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match rfc3339(self.0) {
            Some((text, len)) => {
                s.serialize_str(core::str::from_utf8(&text[..len]).unwrap_or_default())
            }
            None => s.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(crate::text::Parsed::new("an RFC 3339 time", Self::parse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-21T08:30:15.250Z", 1_795_249_815_250),
            ("2026-11-21T10:30:15.25+02:00", 1_795_249_815_250),
            ("2024-02-29", 1_709_164_800_000),
            ("2026-11-21 08:30", 1_795_249_800_000),
        ] {
            assert_eq!(Timestamp::parse(text), Ok(Timestamp(ms)), "{text}");
        }
        assert_eq!(
            Timestamp(1_795_249_815_250).to_string(),
            "2026-11-21T08:30:15.250Z"
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for bad in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-13-01",
            "2026-01-01T25:00Z",
            "2026-01-01T00:00:00.Z",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn text_round_trips(ms in -60_000_000_000_000i64..250_000_000_000_000) {
            proptest::prop_assert_eq!(Timestamp::parse(&Timestamp(ms).to_string()), Ok(Timestamp(ms)));
        }

        #[test]
        fn any_text_is_read_or_refused(s in ".{0,40}") {
            let _ = Timestamp::parse(&s);
        }
    }
}
