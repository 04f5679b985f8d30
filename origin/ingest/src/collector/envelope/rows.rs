//! Rows of tables: a JSON array, JSON lines, or CSV with a header line. Each row becomes an object.

use serde_json::{Map, Value};

use super::field::Fields;
use super::{Hints, Message, list};
use crate::collector::check::Refusal;
use crate::error::{IngestError, IngestResult};

/// Columns with reader ids, and columns that are never kept.
pub(super) const PERSONAL: (&[&str], &[&str]) = (
    &["/user_id", "/user", "/userId", "/reader", "/reader_id"],
    &["/ip", "/ip_address", "/user_agent", "/email", "/name"],
);

/// The brand of a row that names its own.
pub(super) fn brand_of(o: &Map<String, Value>) -> Option<String> {
    Fields::of(o).text(&["brand", "tenant"])
}

/// Takes a body apart by its first character.
pub(super) fn split(body: &str) -> IngestResult<Vec<Message>> {
    let text = body.trim_start_matches('\u{feff}').trim();
    if text.starts_with('[') {
        return Ok(list(super::json(text)?));
    }
    if text.starts_with('{') {
        // One object over several lines, or an object a line.
        return Ok(match serde_json::from_str::<Value>(text) {
            Ok(one) => vec![Message::of(one)],
            Err(_) => text
                .lines()
                .filter(|l| !l.trim().is_empty())
                .map(Message::read)
                .collect(),
        });
    }
    csv(text)
}

fn csv(text: &str) -> IngestResult<Vec<Message>> {
    let bad = |why: String| {
        IngestError::malformed(
            "body",
            why,
            "send a JSON array, an object a line, or CSV with a header line",
        )
    };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .map_err(|e| bad(e.to_string()))?
        .iter()
        .map(|h| h.trim().to_ascii_lowercase())
        .collect();
    if header.len() < 2 {
        return Err(bad("is neither JSON nor CSV".to_owned()));
    }
    let mut messages = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|e| bad(e.to_string()))?;
        messages.push(if row.len() == header.len() {
            let cells = header
                .iter()
                .cloned()
                .zip(row.iter().map(|v| Value::from(v.trim())));
            Message::object(cells.collect())
        } else {
            let line: Vec<&str> = row.iter().collect();
            Message::bad(
                line.join(","),
                Refusal::new(
                    format!(
                        "the row has {} columns, the header {}",
                        row.len(),
                        header.len()
                    ),
                    "quote values that hold commas",
                ),
            )
        });
    }
    Ok(messages)
}

pub(super) fn hints(o: &Map<String, Value>) -> Hints {
    let f = Fields::of(o);
    Hints {
        agent: f.text(&["user_agent"]),
        address: f.text(&["ip", "ip_address"]).and_then(|a| a.parse().ok()),
    }
}
