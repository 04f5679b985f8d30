//! One figure, and what it must reach.

use std::fmt;

use serde_json::{Value, json};

/// What was promised of a figure, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Must {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// Only told.
    Nothing,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured, in words.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Such as `KB`, `ms`, `1/s`, `×`.
    pub unit: &'static str,
    /// The promise.
    pub must: Must,
}

impl Figure {
    /// A measured value with its promise, both in `unit`.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str, must: Must) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            must,
        }
    }

    /// Whether the promise is kept; one that was not given always is.
    pub fn holds(&self) -> bool {
        match self.must {
            Must::AtMost(limit) => self.value <= limit,
            Must::AtLeast(limit) => self.value >= limit,
            Must::Nothing => true,
        }
    }

    /// `{"name":…,"value":…,"unit":…,"must":"≤ 700","holds":true}`; `must` is null where nothing is.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "must": self.promise(),
            "holds": self.holds(),
        })
    }

    /// A row of the table in the docs.
    pub fn row(&self) -> String {
        let verdict = match (self.must, self.holds()) {
            (Must::Nothing, _) => "",
            (_, true) => "holds",
            (_, false) => "**missed**",
        };
        let promise = self
            .promise()
            .map(|promise| format!("{promise} {}", self.unit))
            .unwrap_or_default();
        format!(
            "| {} | {} {} | {promise} | {verdict} |",
            self.name,
            number(self.value),
            self.unit
        )
    }

    fn promise(&self) -> Option<String> {
        match self.must {
            Must::AtMost(limit) => Some(format!("≤ {}", number(limit))),
            Must::AtLeast(limit) => Some(format!("≥ {}", number(limit))),
            Must::Nothing => None,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, number(self.value), self.unit)?;
        if let Some(promise) = self.promise() {
            let verdict = if self.holds() { "holds" } else { "MISSED" };
            write!(f, " (must be {promise}: {verdict})")?;
        }
        Ok(())
    }
}

/// Three digits that mean something: 0.0123, 4.56, 78.9, 12345.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.1 => 4,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_on_its_limit_holds_and_beyond_it_does_not() {
        let figure = |value| Figure::new("x", value, "ms", Must::AtMost(50.0));
        assert!(figure(50.0).holds());
        assert!(!figure(50.1).holds());
        assert!(!Figure::new("x", 11_999.0, "1/s", Must::AtLeast(12_000.0)).holds());
    }

    #[test]
    fn json_has_the_five_fields() {
        let figure = Figure::new("pin", 1.25, "s", Must::AtMost(2.0));
        assert_eq!(
            figure.json(),
            json!({"name": "pin", "value": 1.25, "unit": "s", "must": "≤ 2", "holds": true})
        );
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        let shown = [0.0, 0.01234, 4.567, 78.94, 12345.6].map(number);
        assert_eq!(shown, ["0", "0.0123", "4.57", "78.9", "12346"]);
    }
}
