//! Events of the edge's own making: what a form or a counted link says.

use super::Batch;
use crate::http::Request;
use crate::platform::{Platform, StoreError};
use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::time::Timestamp;

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

/// A batch of events that happen now.
///
/// # Errors
/// When there is no randomness for their ids.
pub fn batch<P: Platform>(
    platform: &P,
    request: &Request,
    events: Vec<(EventType, EventData)>,
) -> Result<Batch, StoreError> {
    let mut out = Vec::with_capacity(events.len());
    for (kind, data) in events {
        let mut id = [0; 16];
        platform.random(&mut id)?;
        out.push(Event {
            specversion: "1.0".into(),
            id: format!("{:032x}", u128::from_be_bytes(id)),
            source: format!("urn:mediaflow:edge:{}", platform.edge_id()),
            kind,
            time: Some(Timestamp(platform.now_ms())),
            subject: data.content_id.map(|c| c.to_string()),
            datacontenttype: None,
            traceparent: None,
            readerid: None,
            receivedtime: None,
            senttime: None,
            rawtime: None,
            data,
        });
    }
    Ok(Batch {
        body: serde_json::to_vec(&out).unwrap_or_default(),
        agent: passed_on(request, "user-agent"),
        traceparent: passed_on(request, "traceparent"),
    })
}
