//! Snowplow's enriched events: a line of 131 values with tabs between, no header. Source: Snowplow's page "Enriched
//! stream TSV file format" and its table of atomic properties; positions below count from 0.
//!
//! | Snowplow | ours |
//! |---|---|
//! | `event_id` (6) | `id`: needed |
//! | `user_id` (12), else `domain_userid` (15), else `network_userid` (17) | the reader |
//! | `true_tstamp` (130), else `derived_tstamp` (124): corrected already, else `collector_tstamp` (3) | `time` |
//! | `dvce_created_tstamp` (4), where it differs | `rawtime` |
//! | `event` (5) page_view | view |
//! | `event` struct: `se_action` (54) | by name: see `kind`; `se_property` (56), else `se_label` (55) → `content_id`, `se_value` (57) → `dwell_s` of a read, `rating` of a rating |
//! | `event` unstruct: `event_name` (126) and the data in `unstruct_event` (58) | by name: see `kind` |
//! | data: `content_id`, `article_id`, `elementId`, `id`; `impressionId`, `bannerId`, `campaignId`, `zoneId`, `cost`; `currentTime`, `duration` | `content_id`; `ad_id` (`bannerId`), `campaign_id`, `placement`, `revenue_micros`; `position_s`, `duration_s` |
//! | `contexts` (52): any entity with `content_id` or `article_id`; a media player's `currentTime`, `duration`, `label` | `content_id`; `position_s`, `duration_s` |
//! | `event` transaction: `tr_total` (61), `tr_currency` (108) | conversion: `revenue_micros`, `currency` |
//! | `domain_sessionid` (123) | `session` |
//! | `useragent` (77), else `br_family` (79), `os_family` (98), `dvce_type` (101) | `device`, `os`, `browser`, robots |
//! | `geo_country` (18), `geo_region` (19) | `country`, `region` |
//! | `refr_medium` (44) search, social, email, internal, paid; `mkt_medium` (47); `page_referrer` (31), `page_url` (29) | `referrer` |
//!
//! Page pings are not mapped: one says that a tab was open, not for how long; map `page_ping` for a sender to count them.
//! Failed events ("bad rows") are JSON of another shape and are refused.

use mediaflow_shared::event::{EventData, EventType};
use serde_json::{Map, Value};

use super::field::{Fields, device, micros, time_text};
use super::kind::kind;
use super::{Context, Hints, Mapped, Message};
use crate::collector::check::{Refusal, referrer};

/// Values of a line.
const COLUMNS: usize = 131;
const COLLECTOR_TSTAMP: usize = 3;
const DVCE_CREATED_TSTAMP: usize = 4;
const EVENT: usize = 5;
const EVENT_ID: usize = 6;
const USER_ID: usize = 12;
const USER_IPADDRESS: usize = 13;
const DOMAIN_USERID: usize = 15;
const NETWORK_USERID: usize = 17;
const GEO_COUNTRY: usize = 18;
const GEO_REGION: usize = 19;
const PAGE_URL: usize = 29;
const PAGE_REFERRER: usize = 31;
const REFR_MEDIUM: usize = 44;
const MKT_MEDIUM: usize = 47;
const CONTEXTS: usize = 52;
const SE_ACTION: usize = 54;
const SE_LABEL: usize = 55;
const SE_PROPERTY: usize = 56;
const SE_VALUE: usize = 57;
const UNSTRUCT_EVENT: usize = 58;
const TR_TOTAL: usize = 61;
const USERAGENT: usize = 77;
const BR_FAMILY: usize = 79;
const OS_FAMILY: usize = 98;
const DVCE_TYPE: usize = 101;
const TR_CURRENCY: usize = 108;
const DERIVED_CONTEXTS: usize = 122;
const DOMAIN_SESSIONID: usize = 123;
const DERIVED_TSTAMP: usize = 124;
const EVENT_NAME: usize = 126;
const TRUE_TSTAMP: usize = 130;

/// Where reader ids are.
const IDS: [usize; 3] = [USER_ID, DOMAIN_USERID, NETWORK_USERID];
/// What is never kept: addresses, fingerprints, everything finer than a region, the user agent, what IP lookups said.
const DROPS: [usize; 14] = [
    USER_IPADDRESS,
    14,
    20,
    21,
    22,
    23,
    24,
    25,
    26,
    27,
    28,
    USERAGENT,
    120,
    DERIVED_CONTEXTS,
];

pub(super) fn split(body: &str) -> Vec<Message> {
    body.lines()
        .filter(|l| !l.trim().is_empty())
        .map(Message::line)
        .collect()
}

pub(super) fn hints(line: &str) -> Hints {
    let at = |i: usize| line.split('\t').nth(i).filter(|v| !v.is_empty());
    Hints {
        agent: at(USERAGENT).map(str::to_owned),
        // The pipeline looked it up already; a masked address would mislead.
        address: None,
    }
}

pub(super) fn redacted(line: &str, pseudonym: &dyn Fn(&str) -> String) -> String {
    let values = line.split('\t').enumerate().map(|(i, v)| match v {
        "" => String::new(),
        id if IDS.contains(&i) => pseudonym(id),
        _ if DROPS.contains(&i) => String::new(),
        v => v.to_owned(),
    });
    values.collect::<Vec<_>>().join("\t")
}

pub(super) fn map(line: &str, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let values: Vec<&str> = line.trim_end_matches(['\r', '\n']).split('\t').collect();
    if values.len() != COLUMNS {
        return Err(Refusal::new(
            format!(
                "the line has {} values, an enriched event {COLUMNS}",
                values.len()
            ),
            "send the enriched stream, not raw or failed events",
        ));
    }
    let at = |i: usize| Some(values[i].trim()).filter(|v| !v.is_empty());
    let time_at = |i: usize| match at(i) {
        None => Ok(None),
        Some(text) => time_text(text).map(Some).ok_or_else(|| {
            Refusal::new(
                format!("value {i} is not a time"),
                "send times as 2026-11-21 08:00:00.000",
            )
        }),
    };
    let event = at(EVENT).unwrap_or_default();
    let name = match event {
        "struct" => at(SE_ACTION),
        "unstruct" => at(EVENT_NAME),
        "" => None,
        other => Some(other),
    };
    let name =
        name.ok_or_else(|| Refusal::new("`event` or its name is empty", "send enriched events"))?;
    let Some(kind) = kind(name, c)? else {
        return Ok(Mapped::nothing());
    };
    let id =
        at(EVENT_ID).ok_or_else(|| Refusal::new("`event_id` is empty", "send enriched events"))?;
    let settled = [TRUE_TSTAMP, DERIVED_TSTAMP, COLLECTOR_TSTAMP]
        .into_iter()
        .find_map(|i| time_at(i).transpose())
        .transpose()?;
    let mut e = c.event(Some(id.to_owned()), kind, settled);
    e.rawtime = time_at(DVCE_CREATED_TSTAMP)?.filter(|raw| settled.is_some_and(|t| t != *raw));
    c.reader(&mut e, IDS.iter().find_map(|i| at(*i)).map(str::to_owned));
    let d = &mut e.data;
    d.session = at(DOMAIN_SESSIONID).map(str::to_owned);
    if at(USERAGENT).is_none() {
        d.device = at(DVCE_TYPE).map(device);
        d.os = at(OS_FAMILY).map(str::to_owned);
        d.browser = at(BR_FAMILY).map(str::to_owned);
    }
    d.country = at(GEO_COUNTRY).map(str::to_owned);
    d.region = at(GEO_REGION)
        .zip(at(GEO_COUNTRY))
        .map(|(r, c)| match r.contains('-') {
            true => r.to_owned(),
            false => format!("{c}-{r}"),
        });
    d.referrer = came_from(
        at(REFR_MEDIUM),
        at(MKT_MEDIUM),
        at(PAGE_REFERRER),
        at(PAGE_URL),
    );
    let contexts = parsed(at(CONTEXTS), "contexts")?;
    entities(d, &contexts, c)?;
    match event {
        "struct" => structured(d, kind, at(SE_PROPERTY).or(at(SE_LABEL)), at(SE_VALUE), c)?,
        "unstruct" => {
            let data = parsed(at(UNSTRUCT_EVENT), "unstruct_event")?;
            if let Some(o) = data.pointer("/data/data").and_then(Value::as_object) {
                described(d, o, c)?;
            }
        }
        "transaction" => {
            let total = at(TR_TOTAL).map(str::parse::<f64>).transpose();
            let total =
                total.map_err(|_| Refusal::new("`tr_total` is not a number", "send a number"))?;
            d.revenue_micros = total.map(micros);
            d.currency = at(TR_CURRENCY).map(str::to_owned);
        }
        _ => {}
    }
    Ok(Mapped::one(e))
}

fn parsed(text: Option<&str>, name: &str) -> Result<Value, Refusal> {
    match text {
        None => Ok(Value::Null),
        Some(t) => serde_json::from_str(t).map_err(|_| {
            Refusal::new(format!("`{name}` is not JSON"), "send self-describing JSON")
        }),
    }
}

fn came_from(
    medium: Option<&str>,
    campaign: Option<&str>,
    referrer: Option<&str>,
    page: Option<&str>,
) -> Option<String> {
    let class = match (campaign, medium) {
        (Some(m), _) if m.contains("mail") || m == "newsletter" => "email",
        (Some("social"), _) => "social",
        (Some("organic"), _) => "search",
        (Some(_), _) | (None, Some("paid")) => "campaign",
        (None, Some(m @ ("search" | "social" | "email" | "internal"))) => m,
        _ if referrer.is_none() && page.is_none() => return None,
        _ => referrer::classify(referrer.unwrap_or_default(), page),
    };
    Some(class.to_owned())
}

/// Entities beside the event: what is read or played.
fn entities(d: &mut EventData, contexts: &Value, c: &Context<'_>) -> Result<(), Refusal> {
    let all = contexts
        .get("data")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    for entity in all {
        let Some(o) = entity.get("data").and_then(Value::as_object) else {
            continue;
        };
        let f = Fields::of(o);
        if d.content_id.is_none() {
            d.content_id = f
                .text(&["content_id", "article_id"])
                .map(|r| c.sender.content_id(&r));
        }
        let schema = entity
            .get("schema")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if schema.contains("media_player") || schema.contains("/media/") {
            d.position_s = d.position_s.or(f.number(&["currentTime"])?);
            d.duration_s = d.duration_s.or(f.number(&["duration"])?);
            if d.content_id.is_none() {
                d.content_id = f.text(&["label"]).map(|r| c.sender.content_id(&r));
            }
        }
    }
    Ok(())
}

fn structured(
    d: &mut EventData,
    kind: EventType,
    item: Option<&str>,
    value: Option<&str>,
    c: &Context<'_>,
) -> Result<(), Refusal> {
    let number = value.map(str::parse::<f64>).transpose();
    let number = number.map_err(|_| Refusal::new("`se_value` is not a number", "send a number"))?;
    if let Some(item) = item {
        match kind {
            EventType::AdImpression | EventType::AdClick => d.ad_id = Some(item.to_owned()),
            _ => d.content_id = Some(c.sender.content_id(item)),
        }
    }
    match kind {
        EventType::Read => d.dwell_s = number,
        EventType::Rating => d.rating = number,
        EventType::Conversion => d.revenue_micros = number.map(micros),
        _ => {}
    }
    Ok(())
}

/// The data of a self-describing event.
fn described(d: &mut EventData, o: &Map<String, Value>, c: &Context<'_>) -> Result<(), Refusal> {
    let f = Fields::of(o);
    if let Some(raw) = f.text(&[
        "content_id",
        "article_id",
        "contentId",
        "articleId",
        "elementId",
        "id",
    ]) {
        d.content_id = Some(c.sender.content_id(&raw));
    }
    d.ad_id = f.text(&["ad_id", "bannerId", "impressionId"]);
    d.campaign_id = f.text(&["campaign_id", "campaignId"]);
    d.placement = f.text(&["placement", "zoneId"]);
    d.revenue_micros = f.micros(&["revenue", "cost"])?;
    d.currency = f.text(&["currency"]);
    d.dwell_s = f.number(&["dwell_s"])?;
    d.rating = f.number(&["rating"])?;
    d.position_s = f.number(&["currentTime"])?.or(d.position_s);
    d.duration_s = f.number(&["duration"])?.or(d.duration_s);
    Ok(())
}
