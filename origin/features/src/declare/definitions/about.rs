//! Readers, as they are rather than what they did: diversity, one-hots of brand, device and country, traits, taste.

use mediaflow_shared::event::EventType;

use super::reader::{ANY, reader};
use super::{DAY_S, FeatureDefinition, Tier, Value, ValueType, since_days};
use crate::activity::{Activity, told};
use crate::reader::ReaderState;
use crate::seen::{
    AGE_GROUPS, DEVICES, REFERRERS, SUBSCRIPTIONS, from_letters, letters, slug_hash,
};

use EventType::{Click, Hide, Identify, Impression, Like, Read, VideoProgress};
use ValueType::{Count, Days, Flag, Label, Ranking, Ratio};

/// Countries with a one-hot of their own: the largest news markets; all others share one.
const COUNTRIES: [&str; 10] = ["US", "GB", "DE", "FR", "IT", "ES", "AT", "CH", "IN", "BR"];
/// Brands with a one-hot: as many as S0-01 counts.
const BRANDS: usize = 12;

pub(super) fn every(all: &mut Vec<FeatureDefinition>) {
    diversity(all);
    one_hots(all);
    traits(all);
    taste(all);
}

fn diversity(all: &mut Vec<FeatureDefinition>) {
    all.extend([
        reader(
            "topics_read",
            Count,
            &[Read, VideoProgress],
            "Topics of the items read",
            |r, _| Value::int(r.activity.topics.count_ones()),
        ),
        reader(
            "topic_diversity",
            Ratio,
            &[Read, VideoProgress],
            "Topics per read, as far as there are topics",
            |r, _| {
                let reads = u64::from(r.activity.kinds.of(Read)).min(50);
                Value::ratio(u64::from(r.activity.topics.count_ones()).min(reads), reads)
            },
        ),
        reader("brands_met", Count, ANY, "Brands met", |r, _| {
            Value::int(r.activity.brands.len())
        }),
        reader(
            "brand_diversity",
            Ratio,
            ANY,
            "Chance that two events are of different brands (Gini-Simpson)",
            |r, _| {
                let total = r.activity.brands.total();
                let square = total.saturating_mul(total);
                Value::ratio(square.saturating_sub(r.activity.brands.squares()), square)
            },
        ),
        reader(
            "devices_used",
            Count,
            ANY,
            "Kinds of device used",
            |r, _| Value::int(r.activity.devices.0.iter().filter(|n| **n > 0).count()),
        ),
        reader(
            "mobile_share",
            Ratio,
            ANY,
            "Events on a mobile phone",
            |r, _| {
                let devices = r.activity.devices.0;
                let total = devices.iter().map(|n| u64::from(*n)).sum();
                Value::ratio(devices[0].into(), total)
            },
        ),
    ]);
}

/// The place of the greatest count, the first of equals.
fn most(counts: &[u32]) -> Option<usize> {
    let top = counts.iter().copied().max().filter(|n| *n > 0)?;
    counts.iter().position(|n| *n == top)
}

fn country(a: &Activity) -> u16 {
    a.countries.most().map_or(0, |c| c as u16)
}

fn one_hots(all: &mut Vec<FeatureDefinition>) {
    all.extend([
        reader("device", Label, ANY, "The device used most", |r, _| {
            most(&r.activity.devices.0).map_or(Value::Missing, |i| Value::Label(DEVICES[i].into()))
        }),
        reader(
            "country",
            Label,
            ANY,
            "The country met most",
            |r, _| match country(&r.activity) {
                0 => Value::Missing,
                c => Value::Label(from_letters(c)),
            },
        ),
        reader(
            "country_last",
            Label,
            ANY,
            "The country of the last event that told one",
            |r, _| {
                let last = r.activity.countries.last();
                last.map_or(Value::Missing, |c| Value::Label(from_letters(c as u16)))
            },
        )
        .tier(Tier::RealTime),
        reader("brand", Label, ANY, "The brand met most", |r, ask| {
            let brand = r.activity.brands.most().and_then(|b| ask.words.brand(b));
            brand.map_or(Value::Missing, |b| Value::Label(b.to_owned()))
        }),
        reader(
            "referrer",
            Label,
            ANY,
            "Where the reader comes from most",
            |r, _| {
                let most = most(&r.activity.referrers.0);
                most.map_or(Value::Missing, |i| Value::Label(REFERRERS[i].into()))
            },
        ),
    ]);
    for (i, device) in DEVICES.iter().enumerate() {
        all.push(
            reader(
                format!("device_is_{device}"),
                Flag,
                ANY,
                format!("Whether the device used most is {device}"),
                |r, ask| Value::flag(most(&r.activity.devices.0) == Some(ask.slot)),
            )
            .slot(i),
        );
    }
    for (i, name) in COUNTRIES.iter().enumerate() {
        let lower = name.to_lowercase();
        all.push(
            reader(
                format!("country_is_{lower}"),
                Flag,
                ANY,
                format!("Whether the country met most is {name}"),
                |r, ask| Value::flag(country(&r.activity) == letters(COUNTRIES[ask.slot])),
            )
            .slot(i),
        );
    }
    all.push(reader(
        "country_is_other",
        Flag,
        ANY,
        "Whether the country met most is another",
        |r, _| {
            let c = country(&r.activity);
            Value::flag(c != 0 && !COUNTRIES.iter().any(|n| letters(n) == c))
        },
    ));
    for i in 0..BRANDS {
        let nth = i + 1;
        all.push(
            reader(
                format!("brand_is_{nth}"),
                Flag,
                ANY,
                format!("Whether the brand met most is number {nth} of the configured ones"),
                |r, ask| {
                    let brand = ask.words.brands.get(ask.slot).map(|b| slug_hash(b));
                    Value::flag(brand.is_some() && r.activity.brands.most() == brand)
                },
            )
            .slot(i),
        );
    }
}

fn traits(all: &mut Vec<FeatureDefinition>) {
    const TOLD: &[EventType] = &[Identify];
    fn word(r: &ReaderState, which: usize, words: &[&str]) -> Value {
        let n = r.activity.traits[which].value as usize;
        let word = n.checked_sub(1).and_then(|i| words.get(i));
        word.map_or(Value::Missing, |w| Value::Label((*w).to_owned()))
    }
    fn two(r: &ReaderState, which: usize) -> Value {
        match r.activity.traits[which].value {
            0 => Value::Missing,
            n => Value::Label(from_letters(n as u16)),
        }
    }
    let all_of_them = [
        reader(
            "age_group",
            Label,
            TOLD,
            "Age group, as the publisher told",
            |r, _| word(r, told::AGE_GROUP, &AGE_GROUPS),
        ),
        reader(
            "home_country",
            Label,
            TOLD,
            "Country, as the publisher told",
            |r, _| two(r, told::COUNTRY),
        ),
        reader(
            "subscription",
            Label,
            TOLD,
            "Subscription, as the publisher told",
            |r, _| word(r, told::SUBSCRIPTION, &SUBSCRIPTIONS),
        ),
        reader(
            "subscribed",
            Flag,
            TOLD,
            "Whether the subscription is a paid one",
            |r, _| {
                let paid = SUBSCRIPTIONS
                    .iter()
                    .position(|s| *s == "basic")
                    .unwrap_or(0)
                    + 1;
                let told = r.activity.traits[told::SUBSCRIPTION].value as usize;
                Value::flag((paid..SUBSCRIPTIONS.len()).contains(&told))
            },
        ),
        reader(
            "language",
            Label,
            TOLD,
            "Language, as the publisher told",
            |r, _| match two(r, told::LANGUAGE) {
                Value::Label(l) => Value::Label(l.to_lowercase()),
                other => other,
            },
        ),
        reader(
            "registered_days",
            Days,
            TOLD,
            "Days since the reader registered",
            |r, ask| {
                let day = r.activity.traits[told::JOINED_DAY].value;
                since_days(day.saturating_mul(DAY_S as u32), ask.now)
            },
        ),
    ];
    all.extend(all_of_them.map(|d| d.tier(Tier::Static)));
}

fn taste(all: &mut Vec<FeatureDefinition>) {
    const FED: &[EventType] = &[Read, Like, Hide, VideoProgress];
    all.extend([
        reader(
            "affinity",
            Ranking,
            FED,
            "Leaning towards each of the 50 topics, -127 to 127, strongest first",
            |r, _| Value::Ranking(r.affinity()),
        ),
        reader(
            "affinity_confidence",
            Ratio,
            FED,
            "How far the reader's taste is known: n/(n+5) of decayed reads",
            |r, ask| r.confidence(ask.now),
        ),
        reader(
            "actors",
            Ranking,
            &[Read, Like, VideoProgress],
            "People in what was read, watched or liked, of the twelve met last, most met first: hash of the name",
            |r, _| {
                let row = |(name, times): (u32, u32)| (format!("{name:08x}"), i64::from(times));
                Value::Ranking(r.people.by_times().into_iter().map(row).collect())
            },
        ),
        reader(
            "preferred_length",
            Label,
            FED,
            "Reading time preferred: short, medium, long",
            |r, _| {
                r.preferred_length()
                    .map_or(Value::Missing, |l| Value::Label(l.to_owned()))
            },
        ),
        reader(
            "active_hours",
            Ranking,
            ANY,
            "Hours of the day, UTC, with at least half of an even day's share",
            |r, _| Value::Ranking(r.active_hours()),
        ),
        reader(
            "engagement",
            Ratio,
            &[Impression, Click, Read, Like],
            "Interactions per impression as the blob says, in steps of 1/255",
            |r, _| {
                r.engagement()
                    .map_or(Value::Missing, |e| Value::ratio(e.into(), 255))
            },
        ),
    ]);
}
