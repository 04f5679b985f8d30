//! The editors' document: rules in their words, and its translation into [`Rules`].
//!
//! Names become hashes, schedules with time zones become UTC windows, everything is checked with an error that names the
//! rule, the field, the reason and the remedy.

use crate::limits;
use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp as Instant, ToSpan};
use mediaflow_shared::front::build::kind_code;
use mediaflow_shared::id::{ContentId, name_hash};
use mediaflow_shared::rules::{Action, Conditions, RULES_MAX, Rule, SLOT_MAX, Target, Window};
use mediaflow_shared::served::Device;
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::{content::Kind, topics};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Everything editors decided for one surface.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// In any order; precedence is hide, pin, quota, boost.
    #[serde(default)]
    pub rules: Vec<EditorRule>,
}

/// One rule in an editor's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditorRule {
    /// Shown in explanations and the audit.
    pub name: String,
    /// `pin`, `hide`, `bury`, `boost` or `quota`.
    pub action: ActionName,
    /// For pins: the item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_id: Option<ContentId>,
    /// For pins: the slot, 0 is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// For all but pins: what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EditorTarget>,
    /// For bury (0–99) and boost (101–1000): percent of the score that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u16>,
    /// For quotas: the first so many slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<u16>,
    /// For quotas: at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u16>,
    /// For quotas: at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u16>,
    /// Not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Not from here on. Pins and schedules must have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Only at these hours of these days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// For whom.
    #[serde(default, skip_serializing_if = "EditorConditions::is_empty")]
    pub conditions: EditorConditions,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionName {
    /// Put an item into a slot.
    Pin,
    /// Remove.
    Hide,
    /// Lower.
    Bury,
    /// Raise.
    Boost,
    /// Between min and max of the first slots.
    Quota,
}

/// What a rule is about, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EditorTarget {
    /// One item.
    ContentId(ContentId),
    /// An author's name, as the content has it.
    Author(String),
    /// A topic slug.
    Topic(String),
    /// A series' name.
    Series(String),
    /// `article`, `video`, `audio`, `gallery`, `recipe`, `ugc`.
    Kind(Kind),
}

/// Hours of the day in a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// IANA name, for example `Europe/Berlin`.
    pub time_zone: String,
    /// `mon` … `sun`; empty = every day.
    #[serde(default)]
    pub days: Vec<Day>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; not after `from` means the next day.
    pub until: String,
}

/// A weekday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// For whom a rule holds; an empty list means everyone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditorConditions {
    /// Segment numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<u8>,
    /// ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// Device classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// Topic slugs among the reader's strongest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
}

impl EditorConditions {
    fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}; {remedy}")]
pub struct DocumentError {
    /// `rules[3].slot`.
    pub field: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Document {
    /// The rules an edge reads, as of `now`.
    ///
    /// # Errors
    /// [`DocumentError`] for the first rule that does not hold together.
    pub fn compile(&self, now: Timestamp) -> Result<Vec<Rule>, DocumentError> {
        if self.rules.len() > RULES_MAX {
            return Err(DocumentError {
                field: "rules".into(),
                reason: format!(
                    "{} rules, at most {RULES_MAX} are scanned per request",
                    self.rules.len()
                ),
                remedy: "remove rules that have ended",
            });
        }
        self.rules
            .iter()
            .enumerate()
            .map(|(i, r)| Compiler { i, r, now }.rule())
            .collect()
    }

    /// The same document without rules that ended before `now`.
    #[must_use]
    pub fn without_ended(mut self, now: Timestamp) -> Self {
        self.rules.retain(|r| r.expires_at.is_none_or(|e| e > now));
        self
    }
}

struct Compiler<'a> {
    i: usize,
    r: &'a EditorRule,
    now: Timestamp,
}

impl Compiler<'_> {
    fn fail<T>(
        &self,
        field: &str,
        reason: impl Into<String>,
        remedy: &'static str,
    ) -> Result<T, DocumentError> {
        Err(DocumentError {
            field: format!("rules[{}].{field}", self.i),
            reason: reason.into(),
            remedy,
        })
    }

    fn rule(&self) -> Result<Rule, DocumentError> {
        let label = self.r.name.trim();
        if label.is_empty() || label.chars().count() > limits::LABEL_CHARS_MAX {
            return self.fail(
                "name",
                "must have 1 to 80 characters",
                "name the rule as readers may see it",
            );
        }
        let action = self.action()?;
        Ok(Rule {
            id: self.i as u32,
            windows: self.windows(matches!(action, Action::Pin { .. }))?,
            action,
            when: self.conditions()?,
            label: label.to_owned(),
        })
    }

    fn action(&self) -> Result<Action, DocumentError> {
        let r = self.r;
        Ok(match r.action {
            ActionName::Pin => {
                let Some(content) = r.content_id else {
                    return self.fail("content_id", "is missing", "name the item to pin");
                };
                match r.slot {
                    Some(slot) if slot <= SLOT_MAX => Action::Pin { content, slot },
                    _ => {
                        return self.fail(
                            "slot",
                            "must be 0 to 99",
                            "give the slot, 0 is the first",
                        );
                    }
                }
            }
            ActionName::Hide => Action::Hide(self.target()?),
            ActionName::Bury => match r.percent {
                Some(percent @ 0..=99) => Action::Bury {
                    target: self.target()?,
                    percent,
                },
                _ => {
                    return self.fail("percent", "must be 0 to 99 for bury", "50 halves the score");
                }
            },
            ActionName::Boost => match r.percent {
                Some(percent @ 101..=1000) => Action::Boost {
                    target: self.target()?,
                    percent,
                },
                _ => {
                    return self.fail(
                        "percent",
                        "must be 101 to 1000 for boost",
                        "200 doubles the score",
                    );
                }
            },
            ActionName::Quota => {
                let within = match r.within {
                    Some(w @ 1..=100) => w,
                    _ => {
                        return self.fail(
                            "within",
                            "must be 1 to 100",
                            "say how many first slots it is about",
                        );
                    }
                };
                let min = r.min.unwrap_or(0);
                let max = r.max;
                if (min == 0 && max.is_none()) || min > within || max.is_some_and(|m| m < min) {
                    return self.fail(
                        "min",
                        "min and max do not fit",
                        "need min ≤ max and min ≤ within, at least one given",
                    );
                }
                Action::Quota {
                    target: self.target()?,
                    within,
                    min,
                    max,
                }
            }
        })
    }

    fn target(&self) -> Result<Target, DocumentError> {
        Ok(match &self.r.target {
            None => {
                return self.fail(
                    "target",
                    "is missing",
                    "name a content_id, author, topic, series or kind",
                );
            }
            Some(EditorTarget::ContentId(id)) => Target::Content(*id),
            Some(EditorTarget::Author(name)) => Target::Author(name_hash(name)),
            Some(EditorTarget::Topic(slug)) => Target::Topic(self.topic("target.topic", slug)?),
            Some(EditorTarget::Series(name)) => Target::Series(name_hash(name)),
            Some(EditorTarget::Kind(kind)) => Target::Kind(kind_code(*kind)),
        })
    }

    fn topic(&self, field: &str, slug: &str) -> Result<u8, DocumentError> {
        match topics::index(slug) {
            Some(t) => Ok(t),
            None => self.fail(
                field,
                format!("no topic is called {slug:?}"),
                "use a slug from GET /admin/v1/topics",
            ),
        }
    }

    fn conditions(&self) -> Result<Conditions, DocumentError> {
        let c = &self.r.conditions;
        let mut countries = Vec::new();
        for code in &c.countries {
            match code.as_bytes() {
                [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                    countries.push(u16::from_be_bytes([
                        a.to_ascii_uppercase(),
                        b.to_ascii_uppercase(),
                    ]));
                }
                _ => {
                    return self.fail(
                        "conditions.countries",
                        format!("{code:?} is no country"),
                        "use two letters, such as DE",
                    );
                }
            }
        }
        let topics = c
            .topics
            .iter()
            .map(|t| self.topic("conditions.topics", t))
            .collect::<Result<_, _>>()?;
        let devices = c.devices.iter().map(|d| *d as u8).collect();
        Ok(Conditions {
            segments: c.segments.clone(),
            countries,
            devices,
            topics,
        })
    }

    fn windows(&self, pin: bool) -> Result<Vec<Window>, DocumentError> {
        let r = self.r;
        let from = r.starts_at.unwrap_or(Timestamp(0));
        let days = |d: i64| Timestamp(self.now.0 + d * 86_400_000);
        if (pin || r.schedule.is_some()) && r.expires_at.is_none() {
            let remedy = "set expires_at, at most 35 days ahead";
            return self.fail("expires_at", "is required for pins and schedules", remedy);
        }
        if let Some(end) = r.expires_at {
            if end <= from {
                return self.fail("expires_at", "is not after starts_at", "choose a later end");
            }
            let longest = if pin {
                limits::PIN_DAYS_MAX
            } else {
                limits::SCHEDULE_DAYS_MAX
            };
            if (pin || r.schedule.is_some()) && end > days(longest) {
                return self.fail(
                    "expires_at",
                    format!("is more than {longest} days ahead"),
                    "choose an earlier end",
                );
            }
        }
        let until = r.expires_at.map_or(Minute(u32::MAX), ceil_minute);
        let whole = Window {
            from: from.minute(),
            until,
        };
        match &r.schedule {
            None if r.starts_at.is_none() && r.expires_at.is_none() => Ok(Vec::new()),
            None => Ok(vec![whole]),
            Some(s) => self.expand(s, whole),
        }
    }

    fn expand(&self, s: &Schedule, whole: Window) -> Result<Vec<Window>, DocumentError> {
        let Ok(zone) = TimeZone::get(&s.time_zone) else {
            return self.fail(
                "schedule.time_zone",
                format!("no time zone is called {:?}", s.time_zone),
                "use an IANA name, such as Europe/Berlin",
            );
        };
        let (Some(from), Some(until)) = (clock(&s.from), clock(&s.until)) else {
            return self.fail(
                "schedule.from",
                "from and until must be HH:MM",
                "for example 06:00 and 10:30",
            );
        };
        let first = Timestamp(self.now.0.max(whole.from.start().0));
        let (Some(first), Some(last)) = (date(first, &zone), date(whole.until.start(), &zone))
        else {
            return self.fail("expires_at", "is out of range", "choose an earlier end");
        };
        let mut out = Vec::new();
        // A window that began yesterday evening may still be open.
        let mut day = first.saturating_sub(1.day());
        while day <= last {
            if s.days.is_empty() || s.days.iter().any(|d| weekday(*d) == day.weekday()) {
                let end_day = if until <= from {
                    day.saturating_add(1.day())
                } else {
                    day
                };
                if let (Some(a), Some(b)) =
                    (minute(day, from, &zone), minute(end_day, until, &zone))
                {
                    let w = Window {
                        from: a.max(whole.from),
                        until: b.min(whole.until),
                    };
                    if w.from < w.until {
                        out.push(w);
                    }
                }
            }
            day = day.saturating_add(1.day());
        }
        if out.is_empty() {
            return self.fail(
                "schedule",
                "holds at no time before it expires",
                "check days, hours and expires_at",
            );
        }
        Ok(out)
    }
}

const fn ceil_minute(t: Timestamp) -> Minute {
    Timestamp(t.0.saturating_add(59_999)).minute()
}

fn clock(s: &str) -> Option<Time> {
    let (h, m) = s.split_once(':')?;
    if h.len() != 2 || m.len() != 2 {
        return None;
    }
    Time::new(h.parse().ok()?, m.parse().ok()?, 0, 0).ok()
}

fn date(t: Timestamp, zone: &TimeZone) -> Option<Date> {
    Some(
        Instant::from_millisecond(t.0)
            .ok()?
            .to_zoned(zone.clone())
            .date(),
    )
}

fn minute(day: Date, at: Time, zone: &TimeZone) -> Option<Minute> {
    // In a gap of summer time the later reading holds, in a fold the earlier one (RFC 5545's choice).
    let z = zone
        .to_ambiguous_zoned(day.to_datetime(at))
        .compatible()
        .ok()?;
    Some(Timestamp(z.timestamp().as_millisecond()).minute())
}

const fn weekday(d: Day) -> Weekday {
    match d {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> Timestamp {
        Timestamp::parse(s).unwrap()
    }

    fn compile(json: &str) -> Result<Vec<Rule>, DocumentError> {
        serde_json::from_str::<Document>(json)
            .unwrap()
            .compile(at("2026-11-21T08:00:00Z"))
    }

    #[test]
    fn a_pin_needs_an_end() {
        let e = compile(
            r#"{"rules":[{"name":"lead","action":"pin","content_id":"00000000000000ff","slot":0}]}"#,
        );
        assert_eq!(e.unwrap_err().field, "rules[0].expires_at");
        let far = compile(
            r#"{"rules":[{"name":"lead","action":"pin","content_id":"00000000000000ff","slot":0,"expires_at":"2027-11-21T08:00:00Z"}]}"#,
        );
        assert!(far.unwrap_err().reason.contains("35 days"));
    }

    #[test]
    fn a_schedule_follows_summer_time() {
        let doc: Document = serde_json::from_str(
            r#"{"rules":[{"name":"morning","action":"boost","target":{"topic":"sport"},"percent":200,"expires_at":"2026-03-31T00:00:00Z",
            "schedule":{"time_zone":"Europe/Berlin","from":"06:00","until":"10:00"}}]}"#,
        )
        .unwrap();
        let rules = doc.compile(at("2026-03-28T00:00:00Z")).unwrap();
        let froms: Vec<String> = rules[0]
            .windows
            .iter()
            .map(|w| w.from.start().to_string())
            .collect();
        // Clocks go forward on 29 March 2026.
        assert_eq!(
            froms,
            [
                "2026-03-27T05:00:00Z",
                "2026-03-28T05:00:00Z",
                "2026-03-29T04:00:00Z",
                "2026-03-30T04:00:00Z"
            ]
        );
    }

    #[test]
    fn a_night_schedule_ends_on_the_next_day() {
        let doc: Document = serde_json::from_str(
            r#"{"rules":[{"name":"night","action":"hide","target":{"kind":"video"},"expires_at":"2026-11-23T00:00:00Z",
            "schedule":{"time_zone":"UTC","days":["sat"],"from":"22:00","until":"02:00"}}]}"#,
        )
        .unwrap();
        let w = &doc.compile(at("2026-11-21T08:00:00Z")).unwrap()[0].windows;
        assert_eq!(w.len(), 1);
        assert_eq!(w[0].until.start().to_string(), "2026-11-22T02:00:00Z");
    }

    #[test]
    fn every_refusal_names_the_field_and_a_remedy() {
        for (json, field) in [
            (
                r#"{"rules":[{"name":"","action":"hide","target":{"topic":"sport"}}]}"#,
                "name",
            ),
            (r#"{"rules":[{"name":"x","action":"hide"}]}"#, "target"),
            (
                r#"{"rules":[{"name":"x","action":"hide","target":{"topic":"cricket"}}]}"#,
                "target.topic",
            ),
            (
                r#"{"rules":[{"name":"x","action":"boost","target":{"topic":"sport"},"percent":50}]}"#,
                "percent",
            ),
            (
                r#"{"rules":[{"name":"x","action":"quota","target":{"topic":"sport"},"within":3,"min":5}]}"#,
                "min",
            ),
            (
                r#"{"rules":[{"name":"x","action":"hide","target":{"author":"A"},"conditions":{"countries":["GER"]}}]}"#,
                "conditions.countries",
            ),
            (
                r#"{"rules":[{"name":"x","action":"hide","target":{"author":"A"},"expires_at":"2026-11-30T00:00:00Z","schedule":{"time_zone":"Mars/Base","from":"06:00","until":"07:00"}}]}"#,
                "schedule.time_zone",
            ),
        ] {
            let e = compile(json).unwrap_err();
            assert_eq!(e.field, format!("rules[0].{field}"), "{json}");
            assert!(!e.remedy.is_empty());
        }
    }
}
