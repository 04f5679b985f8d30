//! Traces that follow an event from the edge to what is published: W3C trace context in, OpenTelemetry spans out.
//!
//! A `traceparent` comes with a request (header) or with an event (CloudEvents attribute), goes on in the header
//! `traceparent` of the log's record, and every stage that handles the record adds a span to its trace with
//! [`span`]. Only traces that are *sampled* (flag 01) leave anything: whoever starts a trace decides. Requests without
//! one are sampled here, at the ratio the binary sets with [`enable`].
//!
//! Off (the default), every function here is one relaxed load of a flag. On, an event that is not sampled costs the
//! parsing of 55 bytes. Spans end where they are made: no guard is held across threads, and nothing is exported here;
//! the binary installs what exports.

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

/// Name of the HTTP header, the CloudEvents attribute and the log record's header.
pub const TRACEPARENT: &str = "traceparent";
/// Traces that one batch (a request, a commit) adds spans to; the rest go without. A batch holds thousands of events, a
/// person reads a handful of traces, and a sender that marks every event as sampled must not cost more than that.
pub const TRACES_PER_BATCH_MAX: usize = 32;

static ON: AtomicBool = AtomicBool::new(false);

/// From here on spans are made. The caller has installed a tracer provider.
pub fn enable() {
    ON.store(true, Relaxed);
}

/// Whether spans are made.
#[must_use]
pub fn is_on() -> bool {
    ON.load(Relaxed)
}

/// A place in a trace that is sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent(SpanContext);

impl Parent {
    /// Reads a `traceparent`; `None` when traces are off, it is not of version 00's form, or it is not sampled.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        if !is_on() {
            return None;
        }
        parse(text).filter(SpanContext::is_sampled).map(Self)
    }

    /// As it travels on: `00-<trace>-<span>-01`.
    #[must_use]
    pub fn text(&self) -> String {
        let c = &self.0;
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            c.trace_id(),
            c.span_id(),
            c.trace_flags()
        )
    }
}

/// A span that is over: `name` from `start` until now, a child of `parent`.
pub fn span(name: &'static str, parent: &Parent, start: SystemTime, facts: &[(&'static str, i64)]) {
    let cx = Context::new().with_remote_span_context(parent.0.clone());
    let tracer = global::tracer("mediaflow");
    tracer
        .span_builder(name)
        .with_kind(SpanKind::Internal)
        .with_start_time(start)
        .with_attributes(facts.iter().map(|(k, v)| KeyValue::new(*k, *v)))
        .start_with_context(&tracer, &cx)
        .end();
}

/// The sampled traces of one batch of work: noted as its records are read, given a span when a stage is done.
#[derive(Debug, Default)]
pub struct Traces {
    noted: Vec<Noted>,
}

#[derive(Debug)]
struct Noted {
    key: Vec<u8>,
    parent: Parent,
    since: SystemTime,
    done: &'static str,
}

impl Traces {
    /// Notes the trace that a record's `traceparent` names, if it is sampled; `key` is what the record is about.
    pub fn note(&mut self, key: &[u8], traceparent: Option<&[u8]>) {
        if self.noted.len() >= TRACES_PER_BATCH_MAX || !is_on() {
            return;
        }
        if let Some(parent) = traceparent.and_then(Parent::read) {
            self.noted.push(Noted {
                key: key.to_vec(),
                parent,
                since: SystemTime::now(),
                done: "",
            });
        }
    }

    /// Ends a stage: a span in every trace that is not through it yet, from the end of the stage before (or from when it
    /// was noted) until now.
    pub fn stage(&mut self, name: &'static str, facts: &[(&'static str, i64)]) {
        for n in self.noted.iter_mut().filter(|n| n.done != name) {
            n.done = name;
            span(name, &n.parent, n.since, facts);
            n.since = SystemTime::now();
        }
    }

    /// The `traceparent` of what is about `key`.
    #[must_use]
    pub fn of(&self, key: &[u8]) -> Option<String> {
        let n = self.noted.iter().rev().find(|n| n.key == key)?;
        Some(n.parent.text())
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.noted.clear();
    }
}

tokio::task_local! {
    static HERE: Parent;
}

/// Runs `work` as part of a trace, so that [`here`] knows.
pub async fn within<T>(parent: Option<Parent>, work: impl Future<Output = T>) -> T {
    match parent {
        Some(parent) => HERE.scope(parent, work).await,
        None => work.await,
    }
}

/// The trace that this task works for. Tasks that it spawns do not know.
#[must_use]
pub fn here() -> Option<Parent> {
    if is_on() {
        HERE.try_with(Clone::clone).ok()
    } else {
        None
    }
}

/// Begins the span of a request: a child of the caller's trace, or a trace of its own where the sampler says so.
/// `None` when traces are off or this one is not sampled.
#[must_use]
pub fn request(name: impl FnOnce() -> String, traceparent: Option<&[u8]>) -> Option<Request> {
    if !is_on() {
        return None;
    }
    let parent = traceparent.and_then(parse);
    let cx = parent.map_or_else(Context::new, |p| Context::new().with_remote_span_context(p));
    let tracer = global::tracer("mediaflow");
    let span = tracer
        .span_builder(name())
        .with_kind(SpanKind::Server)
        .start_with_context(&tracer, &cx);
    span.span_context().is_sampled().then(|| Request {
        parent: Parent(span.span_context().clone()),
        span,
    })
}

/// Decides which trace an event goes on in: its own, else that of the request it came with. An event's own trace is
/// noted for a span of the collector.
pub fn carry(traceparent: &mut Option<String>, traces: &mut Traces) {
    if !is_on() {
        return;
    }
    match traceparent {
        Some(own) => traces.note(&[], Some(own.as_bytes())),
        None => *traceparent = here().map(|p| p.text()),
    }
}

/// The open span of a request.
pub struct Request {
    span: global::BoxedSpan,
    parent: Parent,
}

impl Request {
    /// Where the trace goes on.
    #[must_use]
    pub fn parent(&self) -> Parent {
        self.parent.clone()
    }

    /// Ends with the response's status.
    pub fn end(mut self, status: u16) {
        self.span.set_attribute(KeyValue::new(
            "http.response.status_code",
            i64::from(status),
        ));
        if status >= 500 {
            self.span.set_status(Status::error("server error"));
        }
        self.span.end();
    }
}

/// Version 00 of W3C's trace context, strictly: lower-case hexadecimal, ids that are not zero. Later versions may
/// append fields; their first four are read.
fn parse(text: &[u8]) -> Option<SpanContext> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |s: &str, digits: usize| {
        s.len() == digits
            && s.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let shaped = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let versioned = version != "ff" && (version != "00" || parts.next().is_none());
    if !shaped || !versioned {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_traceparent() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = parse(good.as_bytes()).map(Parent);
        assert_eq!(read.as_ref().map(Parent::text).as_deref(), Some(good));
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert!(parse(bad.as_bytes()).is_none(), "{bad}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what";
        assert!(parse(later.as_bytes()).is_some_and(|c| !c.is_sampled()));
    }

    #[test]
    fn off_nothing_is_read() {
        assert!(Parent::read(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").is_none());
        assert!(request(String::new, None).is_none());
    }
}
