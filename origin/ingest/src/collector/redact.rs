//! Dead letters hold bytes, but no reader's id, address or user agent: ids become pseudonyms, the rest goes.

use serde_json::{Map, Value};

use super::envelope::{Envelope, Message, PSEUDONYM};
use super::senders::Sender;
use super::{Caller, CollectorConfig};

impl CollectorConfig {
    /// A foreign message without what must not be kept. Bytes that cannot be read stay as they are: they are what a
    /// person has to look at, and they go with the retention of the topic.
    pub(crate) fn redact(&self, envelope: Envelope, message: &Message, sender: &Sender) -> String {
        envelope.redacted(message, &sender.brand, &|brand, id| {
            format!("{PSEUDONYM}{}", self.pseudonym(brand, id))
        })
    }

    /// One of our own events likewise. So goes a pseudonym that no edge vouches for: a later replay would believe it.
    pub(crate) fn redact_own(&self, json: &str, caller: &Caller) -> String {
        let hearsay = |o: &Map<String, Value>| {
            !caller.edge && o.get("data").is_some_and(|d| d.get("reader").is_some())
        };
        let mut o = match serde_json::from_str::<Value>(json) {
            Ok(Value::Object(o)) if o.contains_key("readerid") || hearsay(&o) => o,
            _ => return json.to_owned(),
        };
        let raw = o.remove("readerid");
        if let (false, Some(Value::Object(data))) = (caller.edge, o.get_mut("data")) {
            data.remove("reader");
        }
        let brand = o
            .get("data")
            .and_then(|d| d.get("brand"))
            .and_then(Value::as_str);
        let reader = match (raw.as_ref().and_then(Value::as_str), brand) {
            (Some(raw), Some(brand)) => Some(self.pseudonym(brand, raw).to_string()),
            _ => None,
        };
        if let (Some(reader), Some(Value::Object(data))) = (reader, o.get_mut("data")) {
            data.insert("reader".to_owned(), Value::String(reader));
        }
        Value::Object(o).to_string()
    }
}
