//! Reading loosely typed fields: several names for one thing, numbers as text, times in several units.

use mediaflow_shared::event::Traits;
use mediaflow_shared::time::Timestamp;
use serde_json::{Map, Value};

use crate::collector::check::Refusal;
use crate::json::text_of;

/// An object, or nothing where there is none.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    pub(super) fn of(o: &'a Map<String, Value>) -> Self {
        Self(Some(o))
    }

    /// The object at a name.
    pub(super) fn inner(self, name: &str) -> Fields<'a> {
        Fields(self.0.and_then(|o| o.get(name)).and_then(Value::as_object))
    }

    /// The first of the names that holds something.
    pub(super) fn value(self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let o = self.0?;
        names.iter().find_map(|name| {
            let v = o.get(*name)?;
            let empty = v.is_null() || v.as_str().is_some_and(|s| s.trim().is_empty());
            (!empty).then_some((*name, v))
        })
    }

    pub(super) fn text(self, names: &[&'static str]) -> Option<String> {
        self.value(names)
            .and_then(|(_, v)| text_of(v))
            .map(|t| t.trim().to_owned())
    }

    pub(super) fn number(self, names: &[&'static str]) -> Result<Option<f64>, Refusal> {
        let Some((name, v)) = self.value(names) else {
            return Ok(None);
        };
        let n = match v {
            Value::Number(n) => n.as_f64(),
            Value::String(s) => s.trim().parse().ok(),
            _ => None,
        };
        n.filter(|n: &f64| n.is_finite())
            .map(Some)
            .ok_or_else(|| Refusal::new(format!("`{name}` is not a number"), "send a number"))
    }

    pub(super) fn time(self, names: &[&'static str]) -> Result<Option<Timestamp>, Refusal> {
        let Some((name, v)) = self.value(names) else {
            return Ok(None);
        };
        time_of(v).map(Some).ok_or_else(|| {
            Refusal::new(
                format!("`{name}` is not a time"),
                "send RFC 3339 text or a number of seconds, milliseconds or microseconds",
            )
        })
    }

    /// `true`, `1`, `"yes"` …; anything else is no.
    pub(super) fn flag(self, names: &[&'static str]) -> bool {
        self.text(names).is_some_and(|t| {
            ["true", "1", "yes", "y", "t", "1.0"].contains(&t.to_ascii_lowercase().as_str())
        })
    }

    /// Millionths of a decimal amount.
    pub(super) fn micros(self, names: &[&'static str]) -> Result<Option<i64>, Refusal> {
        Ok(self.number(names)?.map(micros))
    }

    /// A slot from 0.
    pub(super) fn slot(self, names: &[&'static str]) -> Result<Option<u16>, Refusal> {
        let Some(n) = self.number(names)? else {
            return Ok(None);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the range just checked"
        )]
        if (0.0..=65_535.0).contains(&n) {
            return Ok(Some(n as u16));
        }
        Err(Refusal::new(
            format!("`{}` is no position", names[0]),
            "send the position as rendered, from 0",
        ))
    }

    /// What a publisher tells of a reader, as far as it is coarse.
    pub(super) fn traits(self) -> Result<Traits, Refusal> {
        let age = self.number(&["age"]).unwrap_or(None).map(age_group);
        let address = self.inner("address");
        Ok(Traits {
            age_group: age.or_else(|| self.text(&["age_group", "ageGroup"])),
            country: self
                .text(&["country"])
                .or_else(|| address.text(&["country"])),
            subscription: self.text(&["subscription", "plan", "tier", "subscription_tier"]),
            joined: self.time(&["createdAt", "created_at", "joined", "join_date"])?,
            language: self.text(&["language", "locale", "lang"]).map(|l| {
                l.chars()
                    .take_while(char::is_ascii_alphabetic)
                    .collect::<String>()
                    .to_ascii_lowercase()
            }),
        })
    }
}

/// Millionths; beyond what an i64 holds it stays at the end.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and an outlier rule sees the result"
)]
pub(super) fn micros(amount: f64) -> i64 {
    (amount * 1e6).round() as i64
}

fn age_group(age: f64) -> String {
    let group = match age {
        a if a < 18.0 => "0-17",
        a if a < 25.0 => "18-24",
        a if a < 35.0 => "25-34",
        a if a < 45.0 => "35-44",
        a if a < 55.0 => "45-54",
        a if a < 65.0 => "55-64",
        _ => "65+",
    };
    group.to_owned()
}

/// A time as JSON gives it. Numbers below 10^11 are seconds, below 10^14 milliseconds, above microseconds.
pub(super) fn time_of(v: &Value) -> Option<Timestamp> {
    match v {
        Value::Number(n) => n.as_f64().and_then(epoch),
        Value::String(s) => time_text(s),
        _ => None,
    }
}

/// RFC 3339, with a space and without a zone too (UTC, as tables export it), or a number.
pub(super) fn time_text(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(n) => epoch(n),
        Err(_) => Timestamp::parse(text).ok(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "within the range just checked"
)]
fn epoch(n: f64) -> Option<Timestamp> {
    let ms = match n.abs() {
        a if a < 1e11 => n * 1e3,
        a if a < 1e14 => n,
        a if a < 1e17 => n / 1e3,
        _ => return None,
    };
    Some(Timestamp(ms.round() as i64))
}

/// Words for devices as trackers use them, as our five classes.
pub(super) fn device(text: &str) -> String {
    let t = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| t.contains(w));
    let class = if has(&["tv", "chromecast", "roku", "console"]) {
        "tv"
    } else if has(&["tablet", "ipad"]) {
        "tablet"
    } else if has(&["mobile", "phone", "ios", "android"]) {
        "mobile"
    } else if has(&[
        "desktop", "computer", "laptop", "web", "pc", "mac", "windows",
    ]) {
        "desktop"
    } else {
        "other"
    };
    class.to_owned()
}

/// `DE`, `DE-BE` or `de/be` as country and region.
pub(super) fn place(text: &str) -> (Option<String>, Option<String>) {
    let text = text.trim().to_ascii_uppercase().replace(['/', '_'], "-");
    match text.split_once('-') {
        Some((country, _)) => (Some(country.to_owned()), Some(text.clone())),
        None => (Some(text), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_unit() {
        let at = Some(Timestamp(1_795_248_000_000));
        for text in [
            "1795248000",
            "1795248000000",
            "1795248000000000",
            "2026-11-21T08:00:00Z",
            "2026-11-21 08:00:00",
            "2026-11-21 08:00:00.000",
            "2026-11-21T09:00:00+01:00",
        ] {
            assert_eq!(time_text(text), at, "{text}");
        }
        for text in ["soon", "", "1e30", "éééééééééééééééééééé"] {
            assert_eq!(time_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_may_be_text_but_not_a_word() {
        let Value::Object(o) = serde_json::json!({"a": "12.5", "b": "many", "c": ""}) else {
            unreachable!()
        };
        let f = Fields::of(&o);
        assert_eq!(f.number(&["c", "a"]), Ok(Some(12.5)));
        assert!(f.number(&["b"]).unwrap_err().reason.contains("`b`"));
        assert_eq!(f.number(&["c"]), Ok(None));
        assert_eq!(micros(0.1 + 0.2), 300_000);
        assert_eq!(place("us_ny"), (Some("US".into()), Some("US-NY".into())));
    }
}
