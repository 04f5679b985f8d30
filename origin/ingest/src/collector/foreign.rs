//! Messages of other envelopes: split, mapped, checked, stored like our own.

use mediaflow_http::trace::{self, Traces};
use mediaflow_ports::Record;
use mediaflow_shared::content::RawItem;
use mediaflow_shared::event::Event;
use mediaflow_shared::time::Timestamp;
use std::sync::Arc;

use super::check::Refusal;
use super::check::facts::Facts;
use super::envelope::{Context, Envelope, Message};
use super::letters::{Letter, settle_all};
use super::senders::Sender;
use super::{Caller, Collector, Rejected, Report};
use crate::error::{IngestError, IngestResult};

impl Collector {
    /// Takes a body of another envelope in. `caller.edge` says whether the sender is believed.
    ///
    /// # Errors
    /// [`IngestError::Malformed`] when the body as a whole is not that envelope;
    /// [`IngestError::Port`] when the log refused: nothing new was acknowledged, send it again.
    pub async fn collect_from(
        self: &Arc<Self>,
        envelope: Envelope,
        body: &str,
        sender: &Sender,
        caller: &Caller,
    ) -> IngestResult<Report> {
        let now = Timestamp(self.clock.now_ms());
        let mut report = Report::default();
        let (mut checked, mut dead, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for (index, message) in envelope.split(body)?.into_iter().enumerate() {
            let facts = self.facts_of(envelope, &message, caller);
            match self.read(envelope, &message, sender, caller, &facts, now) {
                Ok((events, item)) => {
                    report.ignored += usize::from(events.is_empty() && item.is_none());
                    checked.extend(events);
                    items.extend(item);
                }
                Err(refusal) => {
                    let letter = Letter {
                        envelope,
                        refusal: &refusal,
                        received: now,
                        trusted: caller.edge,
                        facts: &facts,
                        sender: Some(sender),
                        digest: Some(&message.digest),
                    };
                    dead.push(letter.record(self.config.redact(envelope, &message, sender)));
                    report.rejected.push(Rejected { index, refusal });
                }
            }
        }
        for item in items {
            self.submit(Some(item)).await?;
            report.items += 1;
        }
        self.keep(checked, dead, now, &mut report).await?;
        self.counters.count(envelope, &report);
        Ok(report)
    }

    /// Device and place: what the message says, else, from a reader's own browser, what its headers say.
    fn facts_of(&self, envelope: Envelope, message: &Message, caller: &Caller) -> Facts {
        let hints = envelope.hints(message);
        let facts = self
            .config
            .collect
            .facts(hints.agent.as_deref(), hints.address);
        match (&caller.facts, caller.edge) {
            // A server's user agent and address are not its readers'.
            (Some(own), false) => facts.or(own),
            _ => facts,
        }
    }

    fn read(
        &self,
        envelope: Envelope,
        message: &Message,
        sender: &Sender,
        caller: &Caller,
        facts: &Facts,
        now: Timestamp,
    ) -> Result<(Vec<Event>, Option<Box<RawItem>>), Refusal> {
        let context = Context {
            envelope,
            sender,
            received: now,
            replayed: false,
            digest: &message.digest,
        };
        let mapped = envelope.map(message, &context)?;
        if mapped.item.is_some() && self.config.collect.items.is_none() {
            return Err(Refusal::new(
                "items are not taken by this process",
                "send item metadata to a process with the role ingest",
            ));
        }
        let caller = Caller {
            edge: caller.edge,
            bot: facts.bot,
            facts: Some(Arc::new(facts.clone())),
            replayed: false,
            mapped: true,
        };
        let events = settle_all(mapped.events, &self.config, &caller, now)?;
        Ok((events, mapped.item))
    }

    /// Hands metadata of an item to the intake of content.
    pub(super) async fn submit(&self, item: Option<Box<RawItem>>) -> IngestResult<()> {
        let Some((item, intake)) = item.zip(self.config.collect.items.as_ref()) else {
            return Ok(());
        };
        match intake.submit(vec![*item]).await {
            // An item without a usable brand or id is of no use; its sender is told by the dead letters of others.
            Err(IngestError::Malformed { reason, .. }) => {
                tracing::warn!(reason, "metadata of an item was not taken");
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Stores what was checked and counts it in the report. A sender that hangs up must not stop an append half-way:
    /// the outcome of what was begun has to reach the window.
    pub(super) async fn keep(
        self: &Arc<Self>,
        mut events: Vec<Event>,
        dead: Vec<Record>,
        now: Timestamp,
        report: &mut Report,
    ) -> IngestResult<()> {
        let mut traces = Traces::default();
        for event in &mut events {
            trace::carry(&mut event.traceparent, &mut traces);
        }
        let this = Arc::clone(self);
        let stored = tokio::spawn(async move { this.store(events, dead, now).await });
        let (accepted, duplicates) = stored
            .await
            .map_err(|e| IngestError::malformed("batch", e, "report this defect"))??;
        (report.accepted, report.duplicates) = (accepted, duplicates);
        let facts = [("accepted", i64::try_from(accepted).unwrap_or(i64::MAX))];
        traces.stage("collect", &facts);
        Ok(())
    }
}
