//! Reading loosely typed JSON.

use serde_json::Value;

/// The text at a JSON pointer: strings as they are, numbers and booleans written out.
pub(crate) fn text_at(v: &Value, pointer: &str) -> Option<String> {
    v.pointer(pointer).and_then(text_of)
}

pub(crate) fn text_of(v: &Value) -> Option<String> {
    match v {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

/// WordPress' `{"rendered": …}`, or the plain text a webhook may send.
pub(crate) fn rendered(post: &Value, field: &str) -> String {
    text_at(post, &format!("/{field}/rendered"))
        .or_else(|| text_at(post, &format!("/{field}")))
        .unwrap_or_default()
}
