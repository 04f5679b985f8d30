//! Events of the edge's own making: what a form or a counted link says.

use super::Batch;
use crate::http::Request;
use crate::platform::{Platform, StoreError};
use mediaflow_shared::event::{MuteTarget, TYPE_PREFIX};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::time::Timestamp;
use serde_json::{Map, Value};

/// Characters of a user agent or trace context passed on at most.
const HEADER_CHARS_MAX: usize = 256;

/// A header's value as it is passed on to the origin.
#[must_use]
pub fn passed_on(request: &Request, name: &str) -> String {
    let value = request.headers.first(name).unwrap_or("");
    value
        .chars()
        .filter(|c| c.is_ascii() && !c.is_ascii_control())
        .take(HEADER_CHARS_MAX)
        .collect()
}

/// What an event of the edge's own making says: the few fields of the contract's payload that it can know. Written
/// through one JSON tree, since the whole contract's writer would be a twentieth of the worker.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// Brand slug.
    pub brand: String,
    /// Surface slug.
    pub surface: Option<String>,
    /// The item.
    pub content: Option<ContentId>,
    /// The reader, with consent.
    pub reader: Option<Pseudonym>,
    /// Signed exposure id of the item.
    pub exposure: Option<String>,
    /// Slot of the exposure.
    pub slot: Option<u8>,
    /// Name of the device class.
    pub device: Option<String>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Consent as it is now.
    pub consent: Option<bool>,
    /// What is muted or no longer is.
    pub mute: Option<MuteTarget>,
}

impl Said {
    fn json(self) -> Value {
        let text = |text: Option<String>| text.map(Value::String);
        let mute = self.mute.map(|target| {
            let (what, name) = match target {
                MuteTarget::Topic(slug) => ("topic", slug),
                MuteTarget::Author(hash) => ("author", hash),
            };
            Value::Object(Map::from_iter([(what.to_owned(), Value::String(name))]))
        });
        let fields = [
            ("brand", Some(Value::String(self.brand))),
            ("surface", text(self.surface)),
            ("content_id", text(self.content.map(|c| c.to_string()))),
            ("reader", text(self.reader.map(|r| r.to_string()))),
            ("exposure", text(self.exposure)),
            ("slot", self.slot.map(Value::from)),
            ("mute", mute),
            ("consent", self.consent.map(Value::Bool)),
            ("device", text(self.device)),
            ("country", text(self.country)),
        ];
        object(fields)
    }
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let known = fields
        .into_iter()
        .filter_map(|(n, v)| Some((n.to_owned(), v?)));
    Value::Object(known.collect())
}

/// A batch of events that happen now, each by the name of its type in the contract.
///
/// # Errors
/// When there is no randomness for their ids.
pub fn batch<P: Platform>(
    platform: &P,
    request: &Request,
    events: Vec<(&'static str, Said)>,
) -> Result<Batch, StoreError> {
    let mut out = Vec::with_capacity(events.len());
    let source = format!("urn:mediaflow:edge:{}", platform.edge_id());
    let now = Timestamp(platform.now_ms()).to_string();
    for (kind, said) in events {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        out.push(event(kind, &id, &source, &now, said));
    }
    Ok(Batch {
        body: Value::Array(out).to_string().into_bytes(),
        agent: passed_on(request, "user-agent"),
        traceparent: passed_on(request, "traceparent"),
    })
}

fn event(kind: &str, id: &[u8; 16], source: &str, now: &str, said: Said) -> Value {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let id = format!("{:032x}", u128::from_be_bytes(*id));
    object([
        ("specversion", text("1.0")),
        ("id", text(&id)),
        ("source", text(source)),
        ("type", text(&format!("{TYPE_PREFIX}{kind}.v1"))),
        ("time", text(now)),
        ("subject", said.content.and_then(|c| text(&c.to_string()))),
        ("data", Some(said.json())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_shared::event::{Event, EventType};

    #[test]
    fn own_events_are_read_by_the_contract_field_by_field() {
        let kinds = [
            ("click", EventType::Click),
            ("read", EventType::Read),
            ("hide", EventType::Hide),
            ("mute", EventType::Mute),
            ("unmute", EventType::Unmute),
            ("consent", EventType::Consent),
            ("reset", EventType::Reset),
        ];
        let said = Said {
            brand: "daily".into(),
            surface: Some("home".into()),
            content: Some(ContentId(255)),
            reader: Some(Pseudonym([7; 16])),
            exposure: Some("x".into()),
            slot: Some(3),
            device: Some("mobile".into()),
            country: Some("DE".into()),
            consent: Some(true),
            mute: Some(MuteTarget::Author("00aabbcc".into())),
        };
        for (name, kind) in kinds {
            let now = Timestamp(1_795_249_815_250).to_string();
            let json = event(name, &[1; 16], "urn:mediaflow:edge:e", &now, said.clone());
            let e: Event = serde_json::from_value(json).unwrap();
            assert_eq!(e.kind, kind);
            assert_eq!(e.time, Some(Timestamp(1_795_249_815_250)));
            assert_eq!(e.subject.as_deref(), Some("00000000000000ff"));
            let d = e.data;
            assert_eq!(
                (d.brand.as_str(), d.surface.as_deref()),
                ("daily", Some("home"))
            );
            assert_eq!((d.content_id, d.reader), (said.content, said.reader));
            assert_eq!((d.exposure.as_deref(), d.slot), (Some("x"), Some(3)));
            assert_eq!(d.device.as_deref(), Some("mobile"));
            assert_eq!((d.country.as_deref(), d.consent), (Some("DE"), Some(true)));
            assert_eq!(d.mute, said.mute);
        }
    }
}
