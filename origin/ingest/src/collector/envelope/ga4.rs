//! GA4's Measurement Protocol: the JSON body of `/mp/collect`, at most 25 events. Source: Google's Measurement Protocol
//! reference and its list of recommended events.
//!
//! | GA4 | ours |
//! |---|---|
//! | digest of the body's outer part, the event and its place | `id`: the protocol has none |
//! | `user_id`, else `client_id`, else `app_instance_id` | the reader; none when `consent.ad_personalization` or `consent.analytics_storage` is DENIED |
//! | `events[].timestamp_micros`, else `timestamp_micros` | `time` |
//! | `events[].name` page_view, screen_view, view_item | view |
//! | user_engagement | read |
//! | select_content, select_item | click |
//! | share; sign_up, generate_lead; purchase | share; signup; conversion |
//! | video_start, video_progress, video_complete | video_progress |
//! | ad_impression, view_promotion; ad_click, select_promotion | ad_impression; ad_click |
//! | view_item_list: `params.items[]` | one impression each, `slot` from `index` or place |
//! | session_start, first_visit, scroll, … | nothing |
//! | other names | `[collect.sender.types]` |
//! | `params.content_id`, `item_id`, `items[0].item_id` | `content_id` |
//! | `params.session_id` | `session` |
//! | `params.engagement_time_msec` | `dwell_s` of a read |
//! | `params.video_current_time`, `video_duration`, `video_percent` | `position_s`, `duration_s` |
//! | `params.value`, `currency` | `revenue_micros`, `currency` of conversions and ads |
//! | `params.ad_id`, `ad_unit_id`, `promotion_id`, `creative_name`; `campaign_id`; `creative_slot`, `ad_unit_name` | `ad_id`; `campaign_id`; `placement` |
//! | `params.page_referrer`, `page_location` | `referrer` |
//! | `device.category`, `operating_system`, `browser`; `user_location.country_id`, `region_id`; `ip_override` | `device`, `os`, `browser`; `country`, `region` |
//!
//! The answer differs from Google's: what is refused is said, not swallowed.

use mediaflow_shared::event::EventType;
use serde_json::{Map, Value};

use super::field::{Fields, device};
use super::kind::kind;
use super::{Context, Hints, Mapped, Message, digest};
use crate::collector::check::{Refusal, referrer};
use crate::error::{IngestError, IngestResult};

/// Where reader ids are, and what is never kept.
pub(super) const PERSONAL: (&[&str], &[&str]) = (
    &["/user_id", "/client_id", "/app_instance_id"],
    &[
        "/ip_override",
        "/user_data",
        "/user_properties",
        "/user_agent",
    ],
);

/// One message an event, each with the outer part.
pub(super) fn split(v: Value) -> IngestResult<Vec<Message>> {
    let bad = |why| IngestError::malformed("body", why, "send {client_id, events: [...]}");
    let Value::Object(mut outer) = v else {
        return Err(bad("is not an object"));
    };
    let Some(Value::Array(events)) = outer.remove("events") else {
        return Err(bad("has no array `events`"));
    };
    let head = serde_json::to_vec(&outer).unwrap_or_default();
    let message = |(place, event): (usize, Value)| {
        // Two equal events in one body are two events; the same body again is the same events.
        let own = digest(&[&head, event.to_string().as_bytes(), &place.to_be_bytes()]);
        let mut o = outer.clone();
        o.insert("events".into(), Value::Array(vec![event]));
        Message {
            digest: own,
            ..Message::object(o)
        }
    };
    Ok(events.into_iter().enumerate().map(message).collect())
}

pub(super) fn hints(o: &Map<String, Value>) -> Hints {
    let f = Fields::of(o);
    Hints {
        agent: f.text(&["user_agent"]),
        address: f.text(&["ip_override"]).and_then(|a| a.parse().ok()),
    }
}

pub(super) fn map(o: &Map<String, Value>, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let f = Fields::of(o);
    let event = o
        .get("events")
        .and_then(|e| e.get(0))
        .and_then(Value::as_object);
    let event = Fields::of(
        event.ok_or_else(|| Refusal::new("an event is not an object", "send {name, params}"))?,
    );
    let name = event
        .text(&["name"])
        .ok_or_else(|| Refusal::new("`events.name` is missing", "name what happened"))?;
    let list = name == "view_item_list";
    let kind = if list {
        Some(EventType::Impression)
    } else {
        kind(&name, c)?
    };
    let Some(kind) = kind else {
        return Ok(Mapped::nothing());
    };
    let p = event.inner("params");
    let time = match event.time(&["timestamp_micros"])? {
        Some(t) => Some(t),
        None => f.time(&["timestamp_micros"])?,
    };
    let mut e = c.event(None, kind, time);
    let consent = f.inner("consent");
    let denied = |name| consent.text(&[name]).is_some_and(|v| v == "DENIED");
    if !denied("ad_personalization") && !denied("analytics_storage") {
        c.reader(&mut e, f.text(&["user_id", "client_id", "app_instance_id"]));
    }
    let d = &mut e.data;
    d.session = p.text(&["session_id", "ga_session_id"]);
    if kind == EventType::Read {
        d.dwell_s = p.number(&["engagement_time_msec"])?.map(|ms| ms / 1e3);
    }
    if kind == EventType::VideoProgress {
        d.duration_s = p.number(&["video_duration"])?;
        let percent = p.number(&["video_percent"])?;
        d.position_s = p
            .number(&["video_current_time"])?
            .or_else(|| percent.zip(d.duration_s).map(|(p, of)| of * p / 100.0));
    }
    if matches!(
        kind,
        EventType::Conversion | EventType::AdClick | EventType::AdImpression
    ) {
        d.revenue_micros = p.micros(&["value"])?;
        d.currency = p.text(&["currency"]);
    }
    d.ad_id = p.text(&["ad_id", "ad_unit_id", "promotion_id", "creative_name"]);
    d.campaign_id = p.text(&["campaign_id"]);
    d.placement = p.text(&["creative_slot", "ad_unit_name", "placement"]);
    d.rating = p.number(&["rating"])?;
    if let Some(surface) = p.text(&["surface"]) {
        d.surface = Some(surface);
    }
    let (from, page) = (p.text(&["page_referrer"]), p.text(&["page_location"]));
    if from.is_some() || page.is_some() {
        d.referrer =
            Some(referrer::classify(&from.unwrap_or_default(), page.as_deref()).to_owned());
    }
    let of = f.inner("device");
    d.device = of.text(&["category"]).map(|t| device(&t));
    d.os = of.text(&["operating_system"]);
    d.browser = of.text(&["browser"]);
    let place = f.inner("user_location");
    d.country = place.text(&["country_id"]);
    d.region = place.text(&["region_id"]);
    let items = p.value(&["items"]).and_then(|(_, v)| v.as_array());
    let item_id = |i: &Value| i.get("item_id").and_then(crate::json::text_of);
    if list {
        return impressions(&e, items, c);
    }
    let raw = p
        .text(&["content_id", "item_id"])
        .or_else(|| items.and_then(|i| i.first()).and_then(item_id));
    e.data.content_id = raw.map(|r| c.sender.content_id(&r));
    // Engagement with a page that is no item is a longer view.
    if kind == EventType::Read && e.data.content_id.is_none() {
        e.kind = EventType::View;
    }
    Ok(Mapped::one(e))
}

fn impressions(
    e: &mediaflow_shared::event::Event,
    items: Option<&Vec<Value>>,
    c: &Context<'_>,
) -> Result<Mapped, Refusal> {
    let missing = || {
        Refusal::new(
            "`params.items` has no `item_id`",
            "add the items that were shown",
        )
    };
    let mut events = Vec::new();
    for (i, item) in items.ok_or_else(missing)?.iter().enumerate() {
        let f = Fields::of(item.as_object().ok_or_else(missing)?);
        let mut one = e.clone();
        one.id = format!("{}/{i}", e.id);
        one.data.content_id = Some(
            c.sender
                .content_id(&f.text(&["item_id"]).ok_or_else(missing)?),
        );
        one.data.slot = f.slot(&["index"])?.or_else(|| u16::try_from(i).ok());
        events.push(one);
    }
    Ok(events.into())
}
