//! Ads: impressions, clicks, conversions, revenue and their rates, frequency, recency, splits (S4-02).

use mediaflow_shared::event::EventType;

use super::{
    AD_CTR_PRIOR, Ask, CVR_PRIOR, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType,
    Window, define, rate, seconds_since, split, time,
};
use crate::entity::{AdState, ad_tile};
use crate::seen::{DEVICES, from_letters};

use EventType::{AdClick, AdImpression, Conversion};
use ValueType::{Count, Label, Money, Ranking, Ratio, Seconds, Time};

const ANY: &[EventType] = &[AdImpression, AdClick, Conversion];

fn ad(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: fn(&AdState, &Ask<'_>) -> Value,
) -> FeatureDefinition {
    let value = Evaluate::Ad(value);
    define(Entity::Ad, name, kind, reads, value, description)
}

fn sums(a: &AdState, ask: &Ask<'_>) -> [i64; ad_tile::COUNT] {
    a.tiles.sums(ask.window.unwrap_or(Window::H24), ask.now)
}

/// A count that only ever grew.
fn grown(n: i64) -> u64 {
    n.try_into().unwrap_or(0)
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    use Window::{D7, D30, H1, H24, Min5, S5};
    let mut all = Vec::new();
    let counted: [(&str, ValueType, &'static [EventType], &str, usize); 4] = [
        (
            "impressions",
            Count,
            &[AdImpression],
            "Times shown",
            ad_tile::IMPRESSIONS,
        ),
        ("clicks", Count, &[AdClick], "Clicks", ad_tile::CLICKS),
        (
            "conversions",
            Count,
            &[Conversion],
            "Conversions",
            ad_tile::CONVERSIONS,
        ),
        ("revenue", Money, ANY, "Revenue", ad_tile::REVENUE),
    ];
    for (name, kind, reads, what, slot) in counted {
        let windows: &[Window] = match slot {
            ad_tile::CLICKS => &[S5, Min5, H1, H24, D7, D30],
            _ => &[Min5, H1, H24, D7, D30],
        };
        for w in windows {
            let value = |a: &AdState, ask: &Ask<'_>| Value::Int(sums(a, ask)[ask.slot]);
            all.push(ad(name, kind, reads, what, value).slot(slot).over(*w));
        }
    }
    for w in [Min5, H1, H24, D7] {
        all.push(
            ad(
                "ctr",
                Ratio,
                &[AdClick, AdImpression],
                "Clicks per impression, smoothed",
                |a, ask| {
                    let s = sums(a, ask);
                    rate(
                        grown(s[ad_tile::CLICKS]),
                        grown(s[ad_tile::IMPRESSIONS]),
                        AD_CTR_PRIOR,
                    )
                },
            )
            .over(w),
        );
        all.push(
            ad(
                "cvr",
                Ratio,
                &[Conversion, AdClick],
                "Conversions per click, smoothed",
                |a, ask| {
                    let s = sums(a, ask);
                    rate(
                        grown(s[ad_tile::CONVERSIONS]),
                        grown(s[ad_tile::CLICKS]),
                        CVR_PRIOR,
                    )
                },
            )
            .over(w),
        );
    }
    totals(&mut all);
    all
}

fn totals(all: &mut Vec<FeatureDefinition>) {
    let kinds: [(&str, &'static [EventType], &str); 3] = [
        ("impressions", &[AdImpression], "Times shown"),
        ("clicks", &[AdClick], "Clicks"),
        ("conversions", &[Conversion], "Conversions"),
    ];
    for (name, reads, what) in kinds {
        let value = |a: &AdState, ask: &Ask<'_>| Value::int(a.audience.kinds.0[ask.slot]);
        let name = format!("{name}_total");
        all.push(ad(name, Count, reads, what, value).slot(reads[0] as usize));
    }
    all.extend([
        ad("revenue_total", Money, ANY, "Revenue", |a, _| Value::Int(a.revenue_micros)),
        ad("ctr_total", Ratio, &[AdClick, AdImpression], "Clicks per impression, smoothed", |a, _| {
            let k = &a.audience.kinds;
            rate(k.of(AdClick).into(), k.of(AdImpression).into(), AD_CTR_PRIOR)
        }),
        ad("cvr_total", Ratio, &[Conversion, AdClick], "Conversions per click, smoothed", |a, _| {
            let k = &a.audience.kinds;
            rate(k.of(Conversion).into(), k.of(AdClick).into(), CVR_PRIOR)
        }),
        ad("campaign", Label, ANY, "Its campaign", |a, _| match a.campaign.as_str() {
            "" => Value::Missing,
            name => Value::Label(name.to_owned()),
        })
        .tier(Tier::Static),
        ad("first_seen", Time, ANY, "First event", |a, _| time(a.audience.first_s)),
        ad("last_seen", Time, ANY, "Last event", |a, _| time(a.audience.last_s))
            .tier(Tier::RealTime),
        ad("recency_s", Seconds, ANY, "Seconds since the last event", |a, ask| {
            seconds_since(a.audience.last_s, ask.now)
        })
        .default_to(Value::Missing)
        .tier(Tier::RealTime),
        ad("click_recency_s", Seconds, &[AdClick], "Seconds since the last click", |a, ask| {
            seconds_since(a.clicked_s, ask.now)
        })
        .default_to(Value::Missing)
        .tier(Tier::RealTime),
        ad("readers", Count, &[AdImpression], "Different readers it was shown to: HyperLogLog, 4.6 % standard error in one partition, 1.6 % over eight", |a, _| {
            Value::int(a.readers.estimate())
        }),
        ad("frequency", Ratio, &[AdImpression], "Times shown per reader, by the estimate of readers", |a, _| {
            Value::ratio(a.audience.kinds.of(AdImpression).into(), a.readers.estimate())
        }),
        ad("clicks_by_device", Ranking, &[AdClick, AdImpression], "Clicks by device", |a, _| {
            split(&a.audience.devices, |d| DEVICES.get(usize::from(d)).map_or_else(String::new, |d| (*d).to_owned()))
        }),
        ad("clicks_by_country", Ranking, &[AdClick, AdImpression], "Clicks by country", |a, _| {
            split(&a.audience.countries, from_letters)
        }),
    ]);
}
