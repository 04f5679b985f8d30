//! Brands: how much is met, by how many readers, and what is read most.

use mediaflow_shared::event::EventType;

use super::{
    Ask, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window, ctr, define, split,
    sums, time,
};
use crate::entity::{BrandState, tile};
use crate::seen::{DEVICES, from_letters};

use EventType::{
    AdClick, AdImpression, Click, Conversion, Impression, Read, Signup, VideoProgress, View,
};
use ValueType::{Count, Money, Ranking, Ratio, Seconds, Time};

const ANY: &[EventType] = &EventType::ALL;
/// Items listed as most read.
const TOP: usize = 10;

fn brand(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: fn(&BrandState, &Ask<'_>) -> Value,
) -> FeatureDefinition {
    let value = Evaluate::Brand(value);
    define(Entity::Brand, name, kind, reads, value, description)
}

fn top(b: &BrandState, hours: u32, ask: &Ask<'_>) -> Value {
    let rows = b.top(hours, ask.now).items(TOP).into_iter();
    let row = |(item, n): (_, u64)| (format!("{item}"), i64::try_from(n).unwrap_or(i64::MAX));
    Value::Ranking(rows.map(row).collect())
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    use Window::{D7, D30, H1, H24, Min5};
    let mut all = Vec::new();
    let counted: [(&str, ValueType, &'static [EventType], &str, usize); 5] = [
        (
            "impressions",
            Count,
            &[Impression],
            "Items shown",
            tile::IMPRESSIONS,
        ),
        ("clicks", Count, &[Click], "Items clicked", tile::CLICKS),
        (
            "reads",
            Count,
            &[Read, VideoProgress],
            "Items read",
            tile::READS,
        ),
        ("views", Count, &[View], "Pages viewed", tile::VIEWS),
        ("dwell_s", Seconds, ANY, "Seconds spent", tile::DWELL_S),
    ];
    for (name, kind, reads, what, slot) in counted {
        for w in [Min5, H1, H24, D7, D30] {
            let value =
                |b: &BrandState, ask: &Ask<'_>| Value::int(sums(&b.counts.audience, ask)[ask.slot]);
            all.push(brand(name, kind, reads, what, value).slot(slot).over(w));
        }
    }
    for w in [Min5, H1, H24, D7] {
        all.push(
            brand(
                "ctr",
                Ratio,
                &[Click, Impression],
                "Clicks per impression, smoothed",
                |b, ask| ctr(&b.counts.audience, ask),
            )
            .over(w),
        );
    }
    for (name, w, what) in [
        ("readers_today", H24, "Different readers today, UTC"),
        (
            "readers_week",
            D7,
            "Different readers of the last 7 days, today among them",
        ),
        (
            "readers_month",
            D30,
            "Different readers of the last 30 days, today among them",
        ),
    ] {
        let what = format!("{what}: HyperLogLog, 1.6 % standard error");
        let mut d = brand(name, Count, ANY, what, |b, ask| {
            Value::int(b.readers(ask.window.unwrap_or(D7), ask.now))
        });
        d.window = Some(w);
        all.push(d);
    }
    all.extend([
        brand(
            "top_items_1h",
            Ranking,
            &[Click, Read],
            "Items most clicked and read in the last hour: off by at most 0.7 % of all",
            |b, ask| top(b, 1, ask),
        )
        .tier(Tier::RealTime),
        brand(
            "top_items_24h",
            Ranking,
            &[Click, Read],
            "Items most clicked and read in the last 24 hours: off by at most 0.7 % of all",
            |b, ask| top(b, 24, ask),
        ),
    ]);
    totals(&mut all);
    all
}

fn totals(all: &mut Vec<FeatureDefinition>) {
    let kinds: [(&str, &'static [EventType], &str); 8] = [
        ("impressions", &[Impression], "Items shown"),
        ("clicks", &[Click], "Items clicked"),
        ("reads", &[Read], "Items read"),
        ("views", &[View], "Pages viewed"),
        ("ads_shown", &[AdImpression], "Ads shown"),
        ("ad_clicks", &[AdClick], "Ads clicked"),
        ("conversions", &[Conversion], "Conversions"),
        ("signups", &[Signup], "Newsletter signups"),
    ];
    for (name, reads, what) in kinds {
        let value = |b: &BrandState, ask: &Ask<'_>| Value::int(b.counts.audience.kinds.0[ask.slot]);
        let name = format!("{name}_total");
        all.push(brand(name, Count, reads, what, value).slot(reads[0] as usize));
    }
    all.extend([
        brand("events_total", Count, ANY, "Events", |b, _| {
            Value::int(b.counts.audience.kinds.total())
        }),
        brand("revenue_total", Money, ANY, "Revenue", |b, _| {
            Value::Int(b.counts.revenue_micros)
        }),
        brand("first_seen", Time, ANY, "First event", |b, _| {
            time(b.counts.audience.first_s)
        }),
        brand("last_seen", Time, ANY, "Last event", |b, _| {
            time(b.counts.audience.last_s)
        })
        .tier(Tier::RealTime),
        brand(
            "clicks_by_device",
            Ranking,
            &[Click, Read, Impression],
            "Clicks and reads by device",
            |b, _| {
                split(&b.counts.audience.devices, |d| {
                    DEVICES
                        .get(usize::from(d))
                        .map_or_else(String::new, |d| (*d).to_owned())
                })
            },
        ),
        brand(
            "clicks_by_country",
            Ranking,
            &[Click, Read, Impression],
            "Clicks and reads by country",
            |b, _| split(&b.counts.audience.countries, from_letters),
        ),
    ]);
}
