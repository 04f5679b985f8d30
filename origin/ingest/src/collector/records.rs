//! Checked events as records of the log.

use bytes::Bytes;
use mediaflow_ports::Record;
use mediaflow_shared::event::Event;

use super::dedupe::Key;
use super::{HEADER_DEDUPE, HEADER_TRACE};

/// Bytes of an event with its keys, generously: a buffer that grows is copied.
const EVENT_BYTES: usize = 640;

/// An event on its way into the log.
pub(super) struct Candidate {
    pub key: Key,
    pub record: Record,
}

/// The records of a batch, in its order. Their parts share one buffer: an event costs no allocations of its own for them.
pub(super) fn candidates(events: Vec<(Key, Event)>) -> Vec<Candidate> {
    let mut bytes = Vec::with_capacity(events.len() * EVENT_BYTES);
    let mut ends = Vec::with_capacity(events.len());
    for (key, event) in events {
        match event.data.reader {
            Some(p) => bytes.extend_from_slice(&p.0),
            None => bytes.extend_from_slice(event.id.as_bytes()),
        }
        let partition_key = bytes.len();
        // Writing a struct of strings and numbers into memory cannot fail.
        let _ = serde_json::to_writer(&mut bytes, &event);
        let value = bytes.len();
        bytes.extend_from_slice(&key);
        ends.push((key, event.traceparent, partition_key, value, bytes.len()));
    }
    let bytes = Bytes::from(bytes);
    let mut begin = 0;
    let cut = |(key, trace, partition_key, value, end): (Key, Option<String>, _, _, _)| {
        let mut record = Record::new(
            bytes.slice(begin..partition_key),
            bytes.slice(partition_key..value),
        )
        .with_header(HEADER_DEDUPE, bytes.slice(value..end));
        begin = end;
        if let Some(trace) = trace {
            record = record.with_header(HEADER_TRACE, trace);
        }
        Candidate { key, record }
    };
    ends.into_iter().map(cut).collect()
}
