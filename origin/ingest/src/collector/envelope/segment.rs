//! Segment's spec: `track`, `page`, `screen`, `identify`; one message, `{"batch": [...]}` as `/v1/batch` takes it, or an
//! array. Source: Segment's public spec, pages Common Fields, Track, Page, Screen, Identify, Video.
//!
//! | Segment | ours |
//! |---|---|
//! | `messageId` | `id` (else a digest of the message) |
//! | `userId`, else `anonymousId` | the reader |
//! | `originalTimestamp` and `timestamp` | `rawtime` and `time`: corrected by Segment already |
//! | `timestamp` or `originalTimestamp` alone, `sentAt` (of the message or the batch) | `time`, `senttime` |
//! | `type` page, screen | view |
//! | `type` track, `event` | by name: see `kind`, and `[collect.sender.types]` |
//! | `type` identify, `traits` age, `age_group`, country, `address.country`, plan, `createdAt`, language | identify |
//! | `type` group, alias | nothing |
//! | `properties.content_id`, `article_id`, `asset_id`, `content_asset_id(s)`, `item_id`, `product_id` | `content_id` |
//! | `properties.position`, `total_length`, `quality` of video events | `position_s`, `duration_s`, `quality_level` |
//! | `properties.slot` | `slot` |
//! | `properties.dwell_s`, `time_spent` | `dwell_s` |
//! | `properties.ad_id`, `promotion_id`, `ad_asset_id`; `campaign_id`; `placement`, `ad_type` | `ad_id`, `campaign_id`, `placement` |
//! | `properties.revenue`, `total`, `value`; `currency` | `revenue_micros`, `currency` |
//! | `properties.rating`, `engagement`, `tier`, `surface`, `exposure`, `feed_id` | the same |
//! | `context.sessionId`, `properties.session_id` | `session` |
//! | `context.page.referrer` with `context.page.url`, `context.campaign` | `referrer` |
//! | `context.device.type`, `context.userAgent` | `device`, `os`, `browser`, robots |
//! | `context.ip`, `context.location.country` | `country`, `region` |
//! | `context.network.cellular`, `wifi` | `network_quality` |
//!
//! A playback event that names several assets becomes one event each, `id` followed by `/` and the place.

use mediaflow_shared::event::EventType;
use serde_json::{Map, Value};

use super::field::{Fields, device};
use super::kind::kind;
use super::{Context, Hints, Mapped, Message, digest};
use crate::collector::check::{Refusal, referrer};

/// Where reader ids are, and what is never kept.
pub(super) const PERSONAL: (&[&str], &[&str]) = (
    &["/userId", "/anonymousId", "/previousId"],
    &[
        "/context/ip",
        "/context/userAgent",
        "/context/userAgentData",
        "/context/traits",
        "/context/device/id",
        "/context/device/advertisingId",
        "/context/device/token",
        "/context/device/name",
        "/context/location/city",
        "/context/location/latitude",
        "/context/location/longitude",
        "/properties/email",
        "/writeKey",
    ],
);

/// Traits that may be kept.
pub(super) const COARSE: [&str; 16] = [
    "age",
    "age_group",
    "ageGroup",
    "address",
    "country",
    "plan",
    "subscription",
    "subscription_tier",
    "tier",
    "createdAt",
    "created_at",
    "joined",
    "join_date",
    "language",
    "locale",
    "lang",
];

pub(super) fn drop_traits(v: &mut Value) {
    let Some(Value::Object(traits)) = v.get_mut("traits") else {
        return;
    };
    traits.retain(|name, _| COARSE.contains(&name.as_str()));
    if let Some(Value::Object(address)) = traits.get_mut("address") {
        address.retain(|name, _| name == "country");
    }
}

/// `/v1/batch`: what the batch says of all goes into each message that does not say it itself.
pub(super) fn split(v: Value) -> Vec<Message> {
    let mut outer = match v {
        Value::Object(o) if o.get("batch").is_some_and(Value::is_array) => o,
        other => return super::list(other),
    };
    let Some(Value::Array(batch)) = outer.remove("batch") else {
        return Vec::new();
    };
    let shared: Vec<(&str, Value)> = ["sentAt", "context"]
        .into_iter()
        .filter_map(|name| outer.remove(name).map(|v| (name, v)))
        .collect();
    let with_outer = |message: Value| match message {
        Value::Object(mut o) => {
            // Before `sentAt`, which is another one at each try.
            let own = digest(&[&serde_json::to_vec(&o).unwrap_or_default()]);
            for (name, v) in &shared {
                if !o.contains_key(*name) {
                    o.insert((*name).to_owned(), v.clone());
                }
            }
            Message {
                digest: own,
                ..Message::object(o)
            }
        }
        other => Message::of(other),
    };
    batch.into_iter().map(with_outer).collect()
}

pub(super) fn hints(o: &Map<String, Value>) -> Hints {
    let context = Fields::of(o).inner("context");
    Hints {
        agent: context.text(&["userAgent"]),
        address: context.text(&["ip"]).and_then(|a| a.parse().ok()),
    }
}

pub(super) fn map(o: &Map<String, Value>, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let f = Fields::of(o);
    let call = f.text(&["type", "action"]).unwrap_or_default();
    let name = match call.as_str() {
        "track" => f.text(&["event"]).ok_or_else(|| {
            Refusal::new(
                "`event` is missing, which track needs",
                "name what happened",
            )
        })?,
        "page" | "screen" | "identify" | "group" | "alias" => call,
        _ => {
            return Err(Refusal::new(
                "`type` is none of Segment's calls",
                "send track, page, screen or identify",
            ));
        }
    };
    let Some(kind) = kind(&name, c)? else {
        return Ok(Mapped::nothing());
    };
    let reader = f.text(&["userId", "anonymousId"]);
    if reader.is_none() && kind == EventType::Identify {
        return Err(Refusal::new(
            "`userId` and `anonymousId` are missing",
            "send one of them",
        ));
    }
    let (original, given) = (f.time(&["originalTimestamp"])?, f.time(&["timestamp"])?);
    let time = given.or(original);
    let mut e = c.event(f.text(&["messageId"]), kind, time);
    if let (Some(raw), Some(corrected)) = (original, given) {
        e.rawtime = (raw != corrected).then_some(raw);
    } else {
        e.senttime = f.time(&["sentAt"])?;
    }
    c.reader(&mut e, reader);
    let p = f.inner("properties");
    context(&mut e.data, f.inner("context"), p)?;
    if kind == EventType::Identify {
        e.data.traits = Some(f.inner("traits").traits()?);
        return Ok(Mapped::one(e));
    }
    properties(&mut e.data, p, kind)?;
    let assets = p
        .value(&["content_asset_ids"])
        .and_then(|(_, v)| v.as_array());
    let Some(assets) = assets.filter(|a| !a.is_empty()) else {
        let raw = p.text(&[
            "content_id",
            "article_id",
            "asset_id",
            "content_asset_id",
            "item_id",
            "product_id",
        ]);
        let ad = matches!(kind, EventType::AdImpression | EventType::AdClick);
        e.data.content_id = raw
            .filter(|_| !ad || p.text(&["content_id", "article_id"]).is_some())
            .map(|r| c.sender.content_id(&r));
        return Ok(Mapped::one(e));
    };
    let each = assets.iter().enumerate().filter_map(|(i, a)| {
        let mut one = e.clone();
        if i > 0 {
            one.id = format!("{}/{i}", e.id);
        }
        one.data.content_id = crate::json::text_of(a).map(|a| c.sender.content_id(&a));
        one.data.content_id.is_some().then_some(one)
    });
    Ok(each.collect::<Vec<_>>().into())
}

fn properties(
    d: &mut mediaflow_shared::event::EventData,
    p: Fields<'_>,
    kind: EventType,
) -> Result<(), Refusal> {
    if kind == EventType::VideoProgress {
        d.position_s = p.number(&["position"])?;
        d.duration_s = p.number(&["total_length"])?;
        d.quality_level = p.text(&["quality"]);
    }
    if let Some(surface) = p.text(&["surface"]) {
        d.surface = Some(surface);
    }
    d.slot = p.slot(&["slot"])?;
    d.dwell_s = p.number(&["dwell_s", "time_spent"])?;
    d.ad_id = p.text(&["ad_id", "promotion_id", "ad_asset_id"]);
    if kind == EventType::AdImpression && d.ad_id.is_none() {
        d.ad_id = p.text(&["asset_id"]);
    }
    d.campaign_id = p.text(&["campaign_id"]);
    d.placement = p.text(&["placement", "ad_type"]);
    d.revenue_micros = p.micros(&["revenue", "total", "value"])?;
    d.currency = p.text(&["currency"]);
    d.rating = p.number(&["rating"])?;
    d.engagement = p.number(&["engagement"])?;
    d.tier = p.text(&["tier"]);
    d.exposure = p.text(&["exposure"]);
    d.feed_id = p.text(&["feed_id"]);
    Ok(())
}

fn context(
    d: &mut mediaflow_shared::event::EventData,
    x: Fields<'_>,
    p: Fields<'_>,
) -> Result<(), Refusal> {
    d.session = x.text(&["sessionId"]).or_else(|| p.text(&["session_id"]));
    d.device = x.inner("device").text(&["type"]).map(|t| device(&t));
    d.country = x
        .inner("location")
        .text(&["country"])
        .filter(|c| c.len() == 2);
    let network = x.inner("network");
    d.network_quality = if network.flag(&["wifi"]) {
        Some("wifi".into())
    } else {
        network.flag(&["cellular"]).then(|| "cellular".into())
    };
    let page = x.inner("page");
    let from = page.text(&["referrer"]).or_else(|| p.text(&["referrer"]));
    let url = page.text(&["url"]).or_else(|| p.text(&["url"]));
    d.referrer = match x.inner("campaign").text(&["medium", "source", "name"]) {
        Some(medium) => Some(referrer::classify("", Some(&tagged(&medium))).to_owned()),
        None if from.is_some() || url.is_some() => {
            Some(referrer::classify(&from.unwrap_or_default(), url.as_deref()).to_owned())
        }
        None => None,
    };
    Ok(())
}

/// A campaign told apart from the address, as the address would have told it.
fn tagged(medium: &str) -> String {
    let plain: String = medium.chars().filter(|c| c.is_alphanumeric()).collect();
    format!("https://campaign.invalid/?utm_medium={plain}")
}
