//! Rows of a streaming platform's event table (S2-01): JSON array, JSON lines or CSV with a header.
//!
//! | column | ours |
//! |---|---|
//! | `event_id`, `id` | `id` (else a digest of the row) |
//! | `user_id`, `user` | the reader |
//! | `content_id`, `content` | `content_id` |
//! | `timestamp`, `ts`, `event_timestamp` (milliseconds), else `created_at` | `time` |
//! | `event_type`, `type`: play, pause, resume, seek, stop, complete, progress; like, rating, share, click, view, … | by name: see `kind` |
//! | `position_seconds`, `duration_seconds` | `position_s`, `duration_s` |
//! | `quality_level`, `network_quality` | the same |
//! | `device`, `device_type` | `device` |
//! | `session_id`, `session` | `session` |
//! | `rating`, `country`, `brand`, `surface` | the same |
//! | `user_agent`, `ip` | `device`, `os`, `browser`; `country`, `region` |
//!
//! `created_at` is when a row was written by another machine: it says nothing about the player's clock.

use serde_json::{Map, Value};

use super::field::{Fields, device, place};
use super::kind::kind;
use super::{Context, Mapped, rows};
use crate::collector::check::Refusal;

pub(super) fn map(o: &Map<String, Value>, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let f = Fields::of(o);
    let name = f
        .text(&["event_type", "type"])
        .ok_or_else(|| Refusal::new("`event_type` is missing", "add what happened"))?;
    let Some(kind) = kind(&name, c)? else {
        return Ok(Mapped::nothing());
    };
    let written = f.time(&["created_at"])?;
    let time = f.time(&["timestamp", "ts", "event_timestamp"])?.or(written);
    let mut e = c.event(f.text(&["event_id", "id"]), kind, time);
    c.reader(&mut e, f.text(&["user_id", "user"]));
    let d = &mut e.data;
    if let Some(brand) = rows::brand_of(o) {
        d.brand = brand;
    }
    if let Some(surface) = f.text(&["surface"]) {
        d.surface = Some(surface);
    }
    d.content_id = f
        .text(&["content_id", "content"])
        .map(|r| c.sender.content_id(&r));
    d.session = f.text(&["session_id", "session"]);
    d.position_s = f.number(&["position_seconds"])?;
    d.duration_s = f.number(&["duration_seconds"])?;
    d.quality_level = f.text(&["quality_level"]);
    d.network_quality = f.text(&["network_quality"]);
    d.device = f.text(&["device", "device_type"]).map(|t| device(&t));
    d.rating = f.number(&["rating"])?;
    if let Some(geo) = f.text(&["country", "geo"]) {
        (d.country, d.region) = place(&geo);
    }
    Ok(Mapped::one(e))
}
