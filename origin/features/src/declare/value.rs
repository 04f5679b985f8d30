//! Values of features: integers in the unit of their type, so that no float decides whether two are equal.

use serde_json::json;

/// Millionths in a whole, of ratios.
pub const MILLION: i64 = 1_000_000;

/// What a value means, and in which unit it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// How many.
    Count,
    /// Seconds.
    Seconds,
    /// Whole days.
    Days,
    /// Millionths.
    Ratio,
    /// Millionths of a currency unit.
    Money,
    /// Milliseconds since the epoch.
    Time,
    /// 0 or 1.
    Flag,
    /// One of few names.
    Label,
    /// Names with a number each, the greatest first.
    Ranking,
}

impl ValueType {
    /// As it is written in answers.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::Days => "days",
            Self::Ratio => "ratio",
            Self::Money => "money",
            Self::Time => "time",
            Self::Flag => "flag",
            Self::Label => "label",
            Self::Ranking => "ranking",
        }
    }

    /// Whether the value is of this type.
    #[must_use]
    pub const fn holds(self, value: &Value) -> bool {
        match value {
            Value::Missing => true,
            Value::Int(_) => !matches!(self, Self::Label | Self::Ranking),
            Value::Label(_) => matches!(self, Self::Label),
            Value::Ranking(_) => matches!(self, Self::Ranking),
        }
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// Nothing is known.
    #[default]
    Missing,
    /// In the unit of its type.
    Int(i64),
    /// A name.
    Label(String),
    /// Names with a number each.
    Ranking(Vec<(String, i64)>),
}

impl Value {
    /// From any integer; one that does not fit stays at the end.
    pub(crate) fn int(n: impl TryInto<i64>) -> Self {
        Self::Int(n.try_into().unwrap_or(i64::MAX))
    }

    pub(crate) fn flag(yes: bool) -> Self {
        Self::Int(yes.into())
    }

    /// `part` of `whole` in millionths; missing when there is no whole.
    pub(crate) fn ratio(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::Missing;
        }
        let ratio = u128::from(part) * MILLION as u128 / u128::from(whole);
        Self::int(ratio)
    }

    /// As JSON: a ratio and money as numbers with a fraction, the rest as it is.
    #[must_use]
    pub fn json(&self, kind: ValueType) -> serde_json::Value {
        match (self, kind) {
            (Self::Missing, _) => serde_json::Value::Null,
            (Self::Int(n), ValueType::Ratio | ValueType::Money) => {
                json!(*n as f64 / MILLION as f64)
            }
            (Self::Int(n), ValueType::Flag) => json!(*n != 0),
            (Self::Int(n), _) => json!(n),
            (Self::Label(s), _) => json!(s),
            (Self::Ranking(rows), _) => rows
                .iter()
                .map(|(name, n)| json!({"name": name, "value": n}))
                .collect(),
        }
    }

    /// As a number for a model: `None` for names and what is missing.
    #[must_use]
    pub const fn number(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }
}
