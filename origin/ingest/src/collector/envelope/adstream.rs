//! Rows of ad events (S4-01): JSON array, JSON lines or CSV with a header.
//!
//! | column | ours |
//! |---|---|
//! | `event_id`, `id` (else a digest of the row), and `/impression`, `/click`, `/conversion` | `id` |
//! | `user_id` | the reader |
//! | `ad_id`, `campaign_id`, `placement` | the same |
//! | `impression`, `click`, `conversion`: 1 or 0 | one event each: ad_impression, ad_click, conversion |
//! | `revenue`, `currency` | `revenue_micros`, `currency` of the row's deepest event, so that it counts once |
//! | `device` | `device` |
//! | `geo`: `DE`, `DE-BE` | `country`, `region` |
//! | `timestamp` | `time` of all three |
//! | `brand`, `session_id`, `content_id` | the same |
//! | `user_agent`, `ip` | `device`, `os`, `browser`; `country`, `region` |

use mediaflow_shared::event::EventType;
use serde_json::{Map, Value};

use super::field::{Fields, device, place};
use super::{Context, Mapped, rows};
use crate::collector::check::Refusal;

pub(super) fn map(o: &Map<String, Value>, c: &Context<'_>) -> Result<Mapped, Refusal> {
    let f = Fields::of(o);
    let ad = f
        .text(&["ad_id"])
        .ok_or_else(|| Refusal::new("`ad_id` is missing", "add the ad"))?;
    let time = f.time(&["timestamp", "ts"])?;
    let steps = [
        ("impression", EventType::AdImpression),
        ("click", EventType::AdClick),
        ("conversion", EventType::Conversion),
    ];
    let mut happened = Vec::new();
    for (name, kind) in steps {
        if f.flag(&[name]) {
            happened.push((name, kind));
        }
    }
    let Some(deepest) = happened.len().checked_sub(1) else {
        return Err(Refusal::new(
            "neither `impression` nor `click` nor `conversion` is 1",
            "set what happened",
        ));
    };
    let revenue = f.micros(&["revenue"])?;
    let mut events = Vec::with_capacity(happened.len());
    for (i, (name, kind)) in happened.into_iter().enumerate() {
        let mut e = c.event(f.text(&["event_id", "id"]), kind, time);
        e.id = format!("{}/{name}", e.id);
        c.reader(&mut e, f.text(&["user_id", "user"]));
        let d = &mut e.data;
        if let Some(brand) = rows::brand_of(o) {
            d.brand = brand;
        }
        d.ad_id = Some(ad.clone());
        d.campaign_id = f.text(&["campaign_id"]);
        d.placement = f.text(&["placement"]);
        d.session = f.text(&["session_id", "session"]);
        d.content_id = f.text(&["content_id"]).map(|r| c.sender.content_id(&r));
        d.device = f.text(&["device", "device_type"]).map(|t| device(&t));
        if let Some(geo) = f.text(&["geo", "country"]) {
            (d.country, d.region) = place(&geo);
        }
        if i == deepest && revenue.is_some_and(|r| r != 0) {
            d.revenue_micros = revenue;
            d.currency = f.text(&["currency"]);
        }
        events.push(e);
    }
    Ok(events.into())
}
