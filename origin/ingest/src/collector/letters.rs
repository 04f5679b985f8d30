//! Dead letters: what could not be used, kept so that it can be used later as if it had been right at once.
//!
//! Value: the message, redacted (see `redact`). Headers: `envelope`, `schema` (contract it was read by), `reason`,
//! `remedy`, `received`, `trusted`, `facts` (what user agent and address told), `sender`, `digest` (the id of a message
//! without one), `topic`. Replaying maps and checks by today's code and configuration, but with the letter's own time of
//! receipt, sender and facts: the record is the same, byte for byte, as if it had been accepted then.

use mediaflow_ports::Record;
use mediaflow_shared::event::Event;
use mediaflow_shared::time::Timestamp;
use sha2::{Digest, Sha256};
use std::sync::Arc;

use super::check::facts::Facts;
use super::check::{self, Refusal};
use super::envelope::{Context, Envelope};
use super::senders::Sender;
use super::{Caller, Collector, Rejected, Report, TOPIC_EVENTS};
use crate::error::{IngestError, IngestResult};

/// What is kept beside the bytes.
pub(super) struct Letter<'a> {
    pub envelope: Envelope,
    pub refusal: &'a Refusal,
    pub received: Timestamp,
    pub trusted: bool,
    pub facts: &'a Facts,
    pub sender: Option<&'a Sender>,
    pub digest: Option<&'a str>,
}

impl Letter<'_> {
    pub(super) fn record(&self, value: String) -> Record {
        let key = Sha256::digest(value.as_bytes())[..8].to_vec();
        let mut r = Record::new(key, value)
            .with_header("topic", TOPIC_EVENTS)
            .with_header("envelope", self.envelope.name())
            .with_header("schema", self.envelope.schema())
            .with_header("reason", self.refusal.reason.clone())
            .with_header("remedy", self.refusal.remedy.clone())
            .with_header("received", self.received.to_string())
            .with_header("trusted", if self.trusted { "1" } else { "0" });
        if *self.facts != Facts::default() {
            r = r.with_header("facts", serde_json::to_vec(self.facts).unwrap_or_default());
        }
        if let Some(s) = self.sender {
            r = r.with_header("sender", serde_json::to_vec(s).unwrap_or_default());
        }
        match self.digest {
            Some(d) => r.with_header("digest", d.to_owned()),
            None => r,
        }
    }
}

/// The letter of one of our own events.
pub(super) fn own(
    c: &super::CollectorConfig,
    json: &str,
    caller: &Caller,
    refusal: &Refusal,
    now: Timestamp,
) -> Record {
    let facts = Facts {
        bot: caller.bot,
        ..caller.facts.as_deref().cloned().unwrap_or_default()
    };
    Letter {
        envelope: Envelope::CloudEvents,
        refusal,
        received: now,
        trusted: caller.edge,
        facts: &facts,
        sender: None,
        digest: None,
    }
    .record(c.redact_own(json, caller))
}

impl Collector {
    /// Takes a dead letter in again. What is refused once more makes no second letter.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] when the letter cannot be read; [`IngestError::Port`] when the log refused.
    pub async fn replay(self: &Arc<Self>, letter: &Record) -> IngestResult<Report> {
        let bad = |why: &str| {
            IngestError::malformed("dead letter", why, "correct the event and send it again")
        };
        let text = std::str::from_utf8(&letter.value).map_err(|_| bad("is not UTF-8"))?;
        let header = |name: &str| {
            letter
                .header(name)
                .and_then(|v| std::str::from_utf8(v).ok())
        };
        let now = Timestamp(self.clock.now_ms());
        let received = header("received")
            .and_then(|t| Timestamp::parse(t).ok())
            .unwrap_or(now);
        // Letters without these headers were written when replays were believed as edges are.
        let trusted = header("trusted").is_none_or(|t| t == "1");
        let facts: Facts = header("facts")
            .and_then(|f| serde_json::from_str(f).ok())
            .unwrap_or_default();
        let envelope = match header("envelope") {
            None => Envelope::CloudEvents,
            Some(name) => {
                Envelope::named(name).ok_or_else(|| bad("names an envelope that is not known"))?
            }
        };
        let caller = Caller {
            edge: trusted,
            bot: facts.bot,
            facts: (facts != Facts::default()).then(|| Arc::new(facts)),
            replayed: true,
            mapped: envelope != Envelope::CloudEvents,
        };
        let mut report = Report::default();
        let read = if envelope == Envelope::CloudEvents {
            check::read(text, &self.config, &caller, received).map(|e| vec![e])
        } else {
            let sender: Sender = header("sender")
                .and_then(|s| serde_json::from_str(s).ok())
                .ok_or_else(|| bad("does not say its sender"))?;
            let sender = self.config.collect.senders.renew(sender);
            let message = envelope.message(text);
            let context = Context {
                envelope,
                sender: &sender,
                received,
                replayed: true,
                digest: header("digest").unwrap_or(&message.digest),
            };
            match envelope.map(&message, &context) {
                Ok(mapped) => {
                    report.ignored = usize::from(mapped.events.is_empty() && mapped.item.is_none());
                    self.submit(mapped.item).await?;
                    settle_all(mapped.events, &self.config, &caller, received)
                }
                Err(refusal) => Err(refusal),
            }
        };
        match read {
            Ok(events) => self.keep(events, Vec::new(), now, &mut report).await?,
            Err(refusal) => report.rejected.push(Rejected { index: 0, refusal }),
        }
        self.counters.count(envelope, &report);
        Ok(report)
    }
}

/// All of a message's events, or the first refusal.
pub(super) fn settle_all(
    events: Vec<Event>,
    config: &super::CollectorConfig,
    caller: &Caller,
    received: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    events
        .into_iter()
        .map(|e| check::settle(e, config, caller, received))
        .collect()
}
