//! Times as sources write them (S0-06).

use jiff::fmt::rfc2822::DateTimeParser;
use mediaflow_shared::content::RawTime;
use mediaflow_shared::time::Timestamp;

/// Feeds name wrong weekdays often enough.
static RFC2822: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// Above this a number counts milliseconds: 10^11 s is the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// Years outside of 1900 to 2200 are a defect, not a date of publishing.
const PLAUSIBLE_MS: std::ops::Range<i64> = -2_208_988_800_000..7_258_118_400_000;

/// What a source's time says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Nothing was given.
    Missing,
    /// This instant.
    At(Timestamp),
    /// Something was given that is no time.
    Unreadable,
}

/// Reads epoch seconds, epoch milliseconds, ISO 8601 / RFC 3339 and RFC 2822.
#[must_use]
pub fn read(raw: &RawTime) -> Read {
    let ms = match raw {
        RawTime::Missing => return Read::Missing,
        RawTime::Number(n) => number(*n),
        RawTime::Text(t) if t.trim().is_empty() => return Read::Missing,
        RawTime::Text(t) => text(t.trim()),
    };
    match ms {
        Some(ms) if PLAUSIBLE_MS.contains(&ms) => Read::At(Timestamp(ms)),
        _ => Read::Unreadable,
    }
}

fn number(n: f64) -> Option<i64> {
    if !n.is_finite() {
        return None;
    }
    let ms = if n.abs() > MILLISECONDS_FROM {
        n
    } else {
        n * 1_000.0
    };
    // Beyond 2^53 the plausibility check refuses it anyway; `as` saturates.
    Some(ms as i64)
}

fn text(t: &str) -> Option<i64> {
    if let Ok(at) = Timestamp::parse(t) {
        return Some(at.0);
    }
    if let Ok(n) = t.parse::<f64>() {
        return number(n);
    }
    RFC2822
        .parse_timestamp(t)
        .ok()
        .map(|at| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_spellings_of_one_instant_agree() {
        let at = Read::At(Timestamp(1_795_249_815_000));
        for raw in [
            RawTime::Number(1_795_249_815.0),
            RawTime::Number(1_795_249_815_000.0),
            RawTime::Text("1795249815".into()),
            RawTime::Text("2026-11-21T08:30:15Z".into()),
            RawTime::Text("2026-11-21 08:30:15".into()),
            RawTime::Text("Sat, 21 Nov 2026 08:30:15 +0000".into()),
            RawTime::Text("Mon, 21 Nov 2026 09:30:15 +0100".into()),
            RawTime::Text("21 Nov 2026 08:30:15 GMT".into()),
        ] {
            assert_eq!(read(&raw), at, "{raw:?}");
        }
    }

    #[test]
    fn nothing_is_missing_and_nonsense_is_unreadable() {
        assert_eq!(read(&RawTime::Missing), Read::Missing);
        assert_eq!(read(&RawTime::Text(" ".into())), Read::Missing);
        for raw in [
            "yesterday",
            "0000-00-00 00:00:00",
            "9e300",
            "NaN",
            "2026-13-01",
        ] {
            assert_eq!(read(&RawTime::Text(raw.into())), Read::Unreadable, "{raw}");
        }
        assert_eq!(read(&RawTime::Number(f64::NAN)), Read::Unreadable);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_not(s in "\\PC{0,60}", n in proptest::num::f64::ANY) {
            let _ = (read(&RawTime::Text(s)), read(&RawTime::Number(n)));
        }
    }
}
