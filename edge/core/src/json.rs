//! JSON through one tree.
//!
//! A typed decoder straight from text is compiled anew for every type; through [`Value`] the reader of text is there
//! once. None of these runs per feed, and the worker's size is start-up time.

use serde::de::DeserializeOwned;
use serde_json::{Error, Value};

/// Reads a typed value from JSON text.
///
/// # Errors
/// The decoder's: with line and column for broken JSON, without (line 0) for JSON of another shape.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str::<Value>(text).and_then(serde_json::from_value)
}

/// Where an error is, in words for a problem document. The decoder's own message may repeat a value.
#[must_use]
pub fn place(e: &Error) -> String {
    match (e.line(), e.column()) {
        (0, _) => "another shape than the contract's".to_owned(),
        (line, column) => format!("line {line} column {column}"),
    }
}
