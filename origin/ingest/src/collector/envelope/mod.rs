//! Envelopes of others, mapped onto our events.
//!
//! Path: body → [`Envelope::split`] into messages, each complete in itself (what an outer object says of all is copied
//! into each) → [`Envelope::map`] to events, none where the message is of no use here, or a refusal → the same checks
//! as our own events. A message that is refused is kept as a dead letter and can be mapped again later, alone.
//!
//! A message without an id of its own gets one from its bytes, so that a repeated delivery is recognised; where it has
//! no time either, two equal messages can be two events, and the time of receipt is part of the id.
//!
//! What mapping never does: read a clock, keep a reader id (see `redact`), guess a content id from an address.

mod adstream;
mod field;
mod ga4;
mod kind;
mod metarank;
mod rows;
mod segment;
mod snowplow;
mod streaming;

use mediaflow_shared::content::RawItem;
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

use super::check::Refusal;
use super::senders::Sender;
use crate::error::{IngestError, IngestResult};
use crate::hex;
use crate::limits::{BATCH_EVENTS_MAX, EVENTS_A_MESSAGE_MAX};

pub(crate) use kind::normal;

/// The shapes events come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Envelope {
    /// Our own (`POST /v1/events`).
    CloudEvents,
    /// Segment's spec: see `segment`.
    Segment,
    /// Metarank's events: see `metarank`.
    Metarank,
    /// Snowplow's enriched TSV: see `snowplow`.
    Snowplow,
    /// GA4's Measurement Protocol: see `ga4`.
    Ga4,
    /// Rows of a streaming table (S2-01): see `streaming`.
    Streaming,
    /// Rows of ad events (S4-01): see `adstream`.
    AdStream,
}

impl Envelope {
    /// All but our own.
    pub const FOREIGN: [Self; 6] = [
        Self::Segment,
        Self::Metarank,
        Self::Snowplow,
        Self::Ga4,
        Self::Streaming,
        Self::AdStream,
    ];

    /// Its name in paths, configuration, metrics and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CloudEvents => "cloudevents",
            Self::Segment => "segment",
            Self::Metarank => "metarank",
            Self::Snowplow => "snowplow",
            Self::Ga4 => "ga4",
            Self::Streaming => "streaming",
            Self::AdStream => "adstream",
        }
    }

    /// The envelope of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::FOREIGN.into_iter().chain([Self::CloudEvents]);
        all.find(|e| e.name() == name)
    }

    /// Version of the contract a message is read by; raised when its mapping changes.
    #[must_use]
    pub fn schema(self) -> String {
        format!("{}/1", self.name())
    }

    /// Takes a body apart.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] when the body as a whole is not this envelope or holds too many messages.
    pub(crate) fn split(self, body: &str) -> IngestResult<Vec<Message>> {
        let messages = match self {
            Self::CloudEvents => vec![Message::read(body)],
            Self::Segment => segment::split(json(body)?),
            Self::Metarank => list(json(body)?),
            Self::Snowplow => snowplow::split(body),
            Self::Ga4 => ga4::split(json(body)?)?,
            Self::Streaming | Self::AdStream => rows::split(body)?,
        };
        match messages.len() {
            1..=BATCH_EVENTS_MAX => Ok(messages),
            n => Err(IngestError::malformed(
                "batch",
                format!("holds {n} events, allowed are 1 to {BATCH_EVENTS_MAX}"),
                "send smaller batches",
            )),
        }
    }

    /// One message out of a dead letter.
    pub(crate) fn message(self, text: &str) -> Message {
        match self {
            Self::Snowplow => Message::line(text),
            _ => Message::read(text),
        }
    }

    /// Maps a message.
    pub(crate) fn map(self, message: &Message, c: &Context<'_>) -> Result<Mapped, Refusal> {
        let mapped = match (self, &message.body) {
            (_, Body::Bad(_, refusal)) => return Err(refusal.clone()),
            (Self::Segment, Body::Json(o)) => segment::map(o, c)?,
            (Self::Metarank, Body::Json(o)) => metarank::map(o, c)?,
            (Self::Ga4, Body::Json(o)) => ga4::map(o, c)?,
            (Self::Streaming, Body::Json(o)) => streaming::map(o, c)?,
            (Self::AdStream, Body::Json(o)) => adstream::map(o, c)?,
            (Self::Snowplow, Body::Line(line)) => snowplow::map(line, c)?,
            _ => return Err(not_an_object()),
        };
        if mapped.events.len() > EVENTS_A_MESSAGE_MAX {
            return Err(Refusal::new(
                format!(
                    "is {} events, allowed are {EVENTS_A_MESSAGE_MAX}",
                    mapped.events.len()
                ),
                "send shorter lists",
            ));
        }
        Ok(mapped)
    }

    /// What the message says of the reader's user agent and address.
    pub(crate) fn hints(self, message: &Message) -> Hints {
        match (self, &message.body) {
            (Self::Segment, Body::Json(o)) => segment::hints(o),
            (Self::Ga4, Body::Json(o)) => ga4::hints(o),
            (Self::Streaming | Self::AdStream, Body::Json(o)) => rows::hints(o),
            (Self::Snowplow, Body::Line(line)) => snowplow::hints(line),
            _ => Hints::default(),
        }
    }

    /// The message without what must not be kept: reader ids go through `pseudonym` (brand, id).
    pub(crate) fn redacted(
        self,
        message: &Message,
        brand: &str,
        pseudonym: &dyn Fn(&str, &str) -> String,
    ) -> String {
        let (ids, drops): (&[&str], &[&str]) = match self {
            Self::Segment => segment::PERSONAL,
            Self::Metarank => metarank::PERSONAL,
            Self::Ga4 => ga4::PERSONAL,
            Self::Streaming | Self::AdStream => rows::PERSONAL,
            Self::Snowplow | Self::CloudEvents => (&[], &[]),
        };
        match &message.body {
            Body::Json(o) => {
                let own = rows::brand_of(o)
                    .filter(|_| matches!(self, Self::Streaming | Self::AdStream | Self::Metarank));
                let mut v = Value::Object(o.clone());
                redact(&mut v, ids, drops, &|id| {
                    pseudonym(own.as_deref().unwrap_or(brand), id)
                });
                if self == Self::Segment {
                    segment::drop_traits(&mut v);
                }
                if self == Self::Metarank {
                    metarank::drop_fields(&mut v, &segment::COARSE);
                }
                v.to_string()
            }
            Body::Line(line) => snowplow::redacted(line, &|id| pseudonym(brand, id)),
            Body::Bad(text, _) => text.clone(),
        }
    }
}

/// Replaces what is at `ids` and removes what is at `drops`, all JSON pointers.
fn redact(v: &mut Value, ids: &[&str], drops: &[&str], pseudonym: &dyn Fn(&str) -> String) {
    for pointer in ids {
        if let Some(id) = v.pointer_mut(pointer) {
            match crate::json::text_of(id).filter(|t| !t.is_empty()) {
                Some(raw) => *id = Value::String(pseudonym(&raw)),
                None => *id = Value::Null,
            }
        }
    }
    for pointer in drops {
        let Some((parent, name)) = pointer.rsplit_once('/') else {
            continue;
        };
        if let Some(Value::Object(o)) = v.pointer_mut(parent) {
            o.remove(name);
        }
    }
}

/// One message as it came.
pub(crate) struct Message {
    pub body: Body,
    /// Of its bytes; the id of a message without one.
    pub digest: String,
}

/// What a message consists of.
pub(crate) enum Body {
    Json(Map<String, Value>),
    Line(String),
    /// Cannot be read at all: the bytes, and why.
    Bad(String, Refusal),
}

impl Message {
    fn object(o: Map<String, Value>) -> Self {
        let text = serde_json::to_vec(&o).unwrap_or_default();
        Self {
            digest: digest(&[&text]),
            body: Body::Json(o),
        }
    }

    fn of(v: Value) -> Self {
        match v {
            Value::Object(o) => Self::object(o),
            other => Self::bad(other.to_string(), not_an_object()),
        }
    }

    fn read(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(v) => Self::of(v),
            Err(_) => Self::bad(
                text.to_owned(),
                Refusal::new("is not JSON", "send JSON objects"),
            ),
        }
    }

    fn line(text: &str) -> Self {
        Self {
            digest: digest(&[text.as_bytes()]),
            body: Body::Line(text.to_owned()),
        }
    }

    fn bad(text: String, refusal: Refusal) -> Self {
        Self {
            digest: digest(&[text.as_bytes()]),
            body: Body::Bad(text, refusal),
        }
    }
}

/// What a message became.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    /// Empty: the message is of no use here.
    pub events: Vec<Event>,
    /// Metadata of an item.
    pub item: Option<Box<RawItem>>,
}

impl Mapped {
    fn one(event: Event) -> Self {
        Self {
            events: vec![event],
            item: None,
        }
    }

    fn nothing() -> Self {
        Self::default()
    }
}

impl From<Vec<Event>> for Mapped {
    fn from(events: Vec<Event>) -> Self {
        Self { events, item: None }
    }
}

/// What a message tells of the reader's device and place.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub agent: Option<String>,
    pub address: Option<IpAddr>,
}

/// What mapping knows beside the message.
pub(crate) struct Context<'a> {
    pub envelope: Envelope,
    pub sender: &'a Sender,
    pub received: Timestamp,
    /// The message is a dead letter: its reader ids are pseudonyms of ours.
    pub replayed: bool,
    pub digest: &'a str,
}

/// How pseudonyms are written in dead letters.
pub(crate) const PSEUDONYM: &str = "pseudonym:";

impl Context<'_> {
    /// An event of this sender. Without an id of its own the message's digest is it, together with the time of
    /// receipt where the message has no `time`.
    fn event(&self, id: Option<String>, kind: EventType, time: Option<Timestamp>) -> Event {
        let id = id.unwrap_or_else(|| match time {
            Some(_) => self.digest.to_owned(),
            None => format!("{}-{}", self.digest, self.received.0),
        });
        Event {
            specversion: "1.0".into(),
            id,
            source: format!("{}:{}", self.envelope.name(), self.sender.name),
            kind,
            time,
            subject: None,
            datacontenttype: None,
            traceparent: None,
            readerid: None,
            receivedtime: None,
            senttime: None,
            rawtime: None,
            data: EventData {
                brand: self.sender.brand.clone(),
                surface: self.sender.surface.clone(),
                ..EventData::default()
            },
        }
    }

    /// Sets who the reader is: the first id that is not empty.
    fn reader(&self, e: &mut Event, raw: Option<String>) {
        let ours = raw
            .as_deref()
            .filter(|_| self.replayed)
            .and_then(|r| r.strip_prefix(PSEUDONYM))
            .and_then(|hex| Pseudonym::parse(hex).ok());
        match ours {
            Some(p) => e.data.reader = Some(p),
            None => e.readerid = raw,
        }
    }
}

fn not_an_object() -> Refusal {
    Refusal::new("is not a JSON object", "send one object an event")
}

fn json(body: &str) -> IngestResult<Value> {
    serde_json::from_str(body).map_err(|e| {
        IngestError::malformed(
            format!("body, line {} column {}", e.line(), e.column()),
            "is not JSON",
            "send one event or an array of them",
        )
    })
}

/// One object or an array of them.
fn list(v: Value) -> Vec<Message> {
    match v {
        Value::Array(all) => all.into_iter().map(Message::of).collect(),
        one => vec![Message::of(one)],
    }
}

fn digest(parts: &[&[u8]]) -> String {
    let mut h = Sha256::new();
    for p in parts {
        h.update((p.len() as u64).to_be_bytes());
        h.update(p);
    }
    hex::encode(&h.finalize()[..16])
}

#[cfg(test)]
mod tests;
