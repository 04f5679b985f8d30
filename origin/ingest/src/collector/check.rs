//! One event: read, checked, corrected, stripped of what must not be kept.
//!
//! Order: envelope and needed fields → numbers and texts → clock → reader id to pseudonym → what the sender's headers
//! tell (device, country) → referrer class → outliers → bot and training flags.

pub(crate) mod agent;
pub(crate) mod clock;
pub(crate) mod facts;
pub(crate) mod outlier;
pub(crate) mod place;
pub(crate) mod referrer;

use mediaflow_shared::event::{Event, EventType, TYPE_PREFIX};
use mediaflow_shared::id::{ContentId, check_slug};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use serde::Serialize;
use serde_json::Value;

use super::{Caller, CollectorConfig};
use crate::limits::{
    EVENT_ID_BYTES_MAX, EVENT_NAME_BYTES_MAX, EVENT_SOURCE_BYTES_MAX, EVENT_TEXT_BYTES_MAX,
    SLOT_MAX,
};

/// Why an event was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What is wrong with which field.
    pub reason: String,
    /// What the sender can do.
    pub remedy: String,
}

impl Refusal {
    pub(crate) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.into(),
        }
    }
}

/// Reads and checks one event as JSON.
pub(crate) fn read(
    json: &str,
    config: &CollectorConfig,
    caller: &Caller,
    now: Timestamp,
) -> Result<Event, Refusal> {
    let event: Event = serde_json::from_str(json).map_err(|_| explain(json))?;
    settle(event, config, caller, now)
}

/// Checks and corrects one event, whichever envelope it came in.
pub(crate) fn settle(
    mut event: Event,
    config: &CollectorConfig,
    caller: &Caller,
    now: Timestamp,
) -> Result<Event, Refusal> {
    envelope(&event)?;
    let brand = &event.data.brand;
    check_slug(brand).map_err(|_| {
        Refusal::new(
            "`data.brand` is missing or not a slug",
            "set it to the brand's slug",
        )
    })?;
    if !config.brands.is_empty() && !config.brands.contains_key(brand) {
        return Err(Refusal::new(
            "`data.brand` is not a brand of this publisher",
            "check the slug",
        ));
    }
    subject_is_content(&mut event);
    needed_fields(&event)?;
    numbers(&event)?;
    texts(&mut event)?;
    // Only ingest says what the time was before.
    event.rawtime = event.rawtime.filter(|_| caller.edge || caller.mapped);
    clock::settle(&mut event, caller.edge, now);
    identify(&mut event, config, caller);
    if let Some(facts) = &caller.facts {
        facts.fill(&mut event.data);
    }
    if let Some(from) = &event.data.referrer {
        event.data.referrer = Some(referrer::classify(from, None).to_owned());
    }
    config.collect.outliers.flag(&mut event.data);
    let bot = caller.bot || (caller.edge && event.data.bot == Some(true));
    event.data.bot = bot.then_some(true);
    event.data.trainable = None;
    let cited = match &event.data.exposure {
        Some(exposure) => (config.exposure)(exposure, &event, now),
        None => false,
    };
    event.data.trainable = Some(cited && !bot);
    Ok(event)
}

fn envelope(e: &Event) -> Result<(), Refusal> {
    if e.specversion != "1.0" {
        return Err(Refusal::new(
            "`specversion` is not \"1.0\"",
            "send CloudEvents 1.0",
        ));
    }
    for (name, text, max) in [
        ("id", &e.id, EVENT_ID_BYTES_MAX),
        ("source", &e.source, EVENT_SOURCE_BYTES_MAX),
    ] {
        if text.trim().is_empty() || text.len() > max {
            return Err(Refusal::new(
                format!("`{name}` is empty or longer than {max} bytes"),
                "send an id that is unique within its source",
            ));
        }
    }
    Ok(())
}

/// CloudEvents senders may name the item in `subject` alone.
fn subject_is_content(e: &mut Event) {
    if e.data.content_id.is_none() {
        e.data.content_id = e.subject.as_deref().and_then(|s| ContentId::parse(s).ok());
    }
}

fn needed_fields(e: &Event) -> Result<(), Refusal> {
    use EventType as T;
    let d = &e.data;
    let missing = match e.kind {
        T::Read
        | T::Impression
        | T::Click
        | T::VideoProgress
        | T::Like
        | T::Hide
        | T::Share
        | T::Comment => d.content_id.is_none().then_some("content_id"),
        T::Rating if d.content_id.is_none() => Some("content_id"),
        T::Rating => d.rating.is_none().then_some("rating"),
        T::AdImpression => d.ad_id.is_none().then_some("ad_id"),
        T::Identify => d.traits.is_none().then_some("traits"),
        T::Mute | T::Unmute => d.mute.is_none().then_some("mute"),
        T::Consent => d.consent.is_none().then_some("consent"),
        T::View | T::AdClick | T::Signup | T::Reset | T::Conversion => None,
    };
    if let Some(field) = missing {
        return Err(Refusal::new(
            format!("`data.{field}` is missing, which this type needs"),
            format!("add `data.{field}`"),
        ));
    }
    match &d.mute {
        Some(mediaflow_shared::event::MuteTarget::Topic(t)) if topics::index(t).is_none() => {
            Err(Refusal::new(
                "`data.mute.topic` is not one of the topics",
                "use a topic's slug",
            ))
        }
        Some(mediaflow_shared::event::MuteTarget::Author(a))
            if a.len() != 8 || u32::from_str_radix(a, 16).is_err() =>
        {
            Err(Refusal::new(
                "`data.mute.author` is not 8 hex digits",
                "copy it from the feed",
            ))
        }
        _ => Ok(()),
    }
}

/// Impossible numbers refuse the event; implausible ones are kept and named (see [`outlier`]).
fn numbers(e: &Event) -> Result<(), Refusal> {
    let d = &e.data;
    for (name, value) in [
        ("dwell_s", d.dwell_s),
        ("position_s", d.position_s),
        ("duration_s", d.duration_s),
        ("rating", d.rating),
        ("engagement", d.engagement),
    ] {
        if value.is_some_and(|v| !v.is_finite() || v < 0.0) {
            return Err(Refusal::new(
                format!("`data.{name}` is negative"),
                "send the number as it was measured",
            ));
        }
    }
    if d.slot.is_some_and(|s| s > SLOT_MAX) {
        return Err(Refusal::new(
            format!("`data.slot` is above {SLOT_MAX}"),
            "send the position as rendered, from 0",
        ));
    }
    Ok(())
}

fn texts(e: &mut Event) -> Result<(), Refusal> {
    let d = &mut e.data;
    for (name, text) in [
        ("session", &d.session),
        ("feed_id", &d.feed_id),
        ("exposure", &d.exposure),
        ("traceparent", &e.traceparent),
        ("readerid", &e.readerid),
    ] {
        if text
            .as_ref()
            .is_some_and(|t| t.len() > EVENT_TEXT_BYTES_MAX)
        {
            return Err(Refusal::new(
                format!("`{name}` is longer than {EVENT_TEXT_BYTES_MAX} bytes"),
                "send a short opaque id",
            ));
        }
    }
    for (name, text) in [
        ("ad_id", &d.ad_id),
        ("campaign_id", &d.campaign_id),
        ("placement", &d.placement),
        ("tier", &d.tier),
        ("quality_level", &d.quality_level),
        ("network_quality", &d.network_quality),
        ("os", &d.os),
        ("browser", &d.browser),
    ] {
        if text
            .as_ref()
            .is_some_and(|t| t.is_empty() || t.len() > EVENT_NAME_BYTES_MAX)
        {
            return Err(Refusal::new(
                format!("`data.{name}` is empty or longer than {EVENT_NAME_BYTES_MAX} bytes"),
                "send a short name or id",
            ));
        }
    }
    if d.surface.as_deref().is_some_and(|s| check_slug(s).is_err()) {
        return Err(Refusal::new(
            "`data.surface` is not a slug",
            "set it to the surface's slug",
        ));
    }
    if let Some(device) = &mut d.device
        && !["mobile", "desktop", "tablet", "tv", "other"].contains(&device.as_str())
    {
        "other".clone_into(device);
    }
    // A country, region or currency we cannot read is none.
    d.country = d.country.take().and_then(|c| letters(&c, 2));
    d.currency = d.currency.take().and_then(|c| letters(&c, 3));
    d.region = d.region.take().and_then(|r| region(&r));
    if let Some(t) = &mut d.traits {
        t.country = t.country.take().and_then(|c| letters(&c, 2));
        for text in [&mut t.age_group, &mut t.subscription, &mut t.language] {
            *text = text
                .take()
                .filter(|v| !v.is_empty() && v.len() <= EVENT_NAME_BYTES_MAX);
        }
    }
    Ok(())
}

/// `n` letters, in capitals.
fn letters(text: &str, n: usize) -> Option<String> {
    let text = text.trim();
    (text.len() == n && text.bytes().all(|b| b.is_ascii_alphabetic()))
        .then(|| text.to_ascii_uppercase())
}

/// ISO 3166-2: a country, a hyphen, one to three letters or digits.
fn region(text: &str) -> Option<String> {
    let (country, part) = text.trim().split_once('-')?;
    let fits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let country = letters(country, 2).filter(|_| fits)?;
    Some(format!("{country}-{}", part.to_ascii_uppercase()))
}

/// The raw reader id becomes a pseudonym and is gone. A pseudonym that comes in is believed only
/// from an authenticated edge, and from a dead letter, which holds none of another sender.
fn identify(e: &mut Event, config: &CollectorConfig, caller: &Caller) {
    if !caller.edge && !caller.replayed {
        e.data.reader = None;
    }
    if let Some(raw) = e.readerid.take().filter(|r| !r.is_empty()) {
        e.data.reader = Some(config.pseudonym(&e.data.brand, &raw));
    }
}

/// Why `json` is not an event, field by field. Only on the way to a refusal.
fn explain(json: &str) -> Refusal {
    let Ok(Value::Object(o)) = serde_json::from_str::<Value>(json) else {
        return Refusal::new(
            "is not a JSON object",
            "send a CloudEvent in structured JSON",
        );
    };
    for name in ["specversion", "id", "source", "type"] {
        if !o.get(name).is_some_and(Value::is_string) {
            return Refusal::new(
                format!("`{name}` is missing or not a string"),
                "send a CloudEvents 1.0 envelope",
            );
        }
    }
    let kind = o.get("type").cloned().unwrap_or_default();
    if serde_json::from_value::<EventType>(kind.clone()).is_err() {
        let shown: String = kind.as_str().unwrap_or("").chars().take(60).collect();
        return Refusal::new(
            format!("`type` {shown:?} is not known"),
            format!("use one of {}", known_types()),
        );
    }
    if o.get("time")
        .is_some_and(|t| t.as_str().is_none_or(|t| Timestamp::parse(t).is_err()) && !t.is_null())
    {
        return Refusal::new("`time` is not RFC 3339", "send e.g. 2026-11-21T08:00:00Z");
    }
    let Some(Value::Object(data)) = o.get("data") else {
        return Refusal::new("`data` is missing or not an object", "add the payload");
    };
    if let Some(id) = data.get("content_id")
        && id.as_str().is_none_or(|s| ContentId::parse(s).is_err())
    {
        return Refusal::new(
            "`data.content_id` is not 16 lower-case hexadecimal digits",
            "copy the id from the feed",
        );
    }
    Refusal::new(
        "a field of `data` has the wrong type",
        "check the types of the payload against the event contract",
    )
}

fn known_types() -> String {
    let names = EventType::ALL
        .iter()
        .filter_map(|t| serde_json::to_value(t).ok());
    let short = names.filter_map(|v| {
        v.as_str()
            .and_then(|s| s.strip_prefix(TYPE_PREFIX))
            .map(str::to_owned)
    });
    format!("{TYPE_PREFIX}{{{}}}", short.collect::<Vec<_>>().join(","))
}
