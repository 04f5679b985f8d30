//! Readers: recency, activity, engagement, CTR, diversity, one-hots of brand, device and country (S1-05), the record
//! of S0-13, and what publishers told (S0-12, static).

use mediaflow_shared::event::EventType;

use super::rfm;
use super::{
    Ask, CTR_PRIOR, DAY_S, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window,
    define, per, rate, seconds_since, since_days, time,
};
use crate::activity::{Activity, tile, told, total};
use crate::reader::ReaderState;
use crate::seen::{
    AGE_GROUPS, DEVICES, REFERRERS, SUBSCRIPTIONS, from_letters, letters, slug_hash,
};

use EventType::{
    AdClick, AdImpression, Click, Comment, Conversion, Hide, Identify, Impression, Like, Rating,
    Read, Share, Signup, VideoProgress, View,
};
use ValueType::{Count, Days, Flag, Label, Money, Ranking, Ratio, Seconds, Time};

/// Countries with a one-hot of their own: the largest news markets; all others share one.
pub(super) const COUNTRIES: [&str; 10] =
    ["US", "GB", "DE", "FR", "IT", "ES", "AT", "CH", "IN", "BR"];
/// Brands with a one-hot: as many as S0-01 counts.
const BRANDS: usize = 12;
/// Every kind of event that says that a reader was there.
const ANY: &[EventType] = &EventType::ALL;

type ReaderValue = fn(&ReaderState, &Ask<'_>) -> Value;

pub(super) fn reader(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: ReaderValue,
) -> FeatureDefinition {
    let value = Evaluate::Reader(value);
    define(Entity::Reader, name, kind, reads, value, description)
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    let mut all = Vec::new();
    recency(&mut all);
    windows(&mut all);
    totals(&mut all);
    rates(&mut all);
    sessions(&mut all);
    diversity(&mut all);
    one_hots(&mut all);
    traits(&mut all);
    taste(&mut all);
    rfm::every(&mut all);
    all
}

fn recency(all: &mut Vec<FeatureDefinition>) {
    all.extend([
        reader("first_seen", Time, ANY, "First event", |r, _| {
            time(r.activity.first_s)
        }),
        reader("last_seen", Time, ANY, "Last event", |r, _| {
            time(r.activity.last_s)
        })
        .tier(Tier::RealTime),
        reader(
            "known_days",
            Days,
            ANY,
            "Days since the first event",
            |r, ask| since_days(r.activity.first_s, ask.now),
        ),
        reader(
            "recency_days",
            Days,
            ANY,
            "Days since the last event",
            |r, ask| since_days(r.activity.last_s, ask.now),
        ),
        reader(
            "recency_s",
            Seconds,
            ANY,
            "Seconds since the last event",
            |r, ask| seconds_since(r.activity.last_s, ask.now),
        )
        .default_to(Value::Missing)
        .tier(Tier::RealTime),
        reader(
            "read_recency_days",
            Days,
            &[Read],
            "Days since the last read",
            |r, ask| since_days(r.activity.last_of(Read), ask.now),
        ),
        reader(
            "click_recency_days",
            Days,
            &[Click],
            "Days since the last click",
            |r, ask| since_days(r.activity.last_of(Click), ask.now),
        ),
        reader(
            "ad_click_recency_days",
            Days,
            &[AdClick],
            "Days since the last click on an ad",
            |r, ask| since_days(r.activity.last_of(AdClick), ask.now),
        ),
        reader(
            "conversion_recency_days",
            Days,
            &[Conversion],
            "Days since the last conversion",
            |r, ask| since_days(r.activity.last_of(Conversion), ask.now),
        ),
        reader(
            "idle_7d",
            Flag,
            ANY,
            "Whether nothing was heard for seven days (S1-06)",
            |r, ask| {
                let idle = ask.now.0 / 1000 - i64::from(r.activity.last_s);
                Value::flag(r.activity.last_s != 0 && idle > 7 * DAY_S)
            },
        ),
    ]);
}

fn windows(all: &mut Vec<FeatureDefinition>) {
    use Window::{D7, D30, H1, H24, Min5, S5};
    let sum = |name, kind, reads, what, slot, windows: &[Window]| {
        let one = |w: &Window| {
            reader(name, kind, reads, what, |r, ask| {
                let window = ask.window.unwrap_or(H24);
                Value::int(r.activity.tiles.sums(window, ask.now)[ask.slot])
            })
            .slot(slot)
            .over(*w)
        };
        windows.iter().map(one).collect::<Vec<_>>()
    };
    let every = [S5, Min5, H1, H24, D7, D30];
    let long = [H1, H24, D7, D30];
    all.extend(sum(
        "reads",
        Count,
        &[Read, VideoProgress],
        "Items read",
        tile::READS,
        &every,
    ));
    all.extend(sum(
        "clicks",
        Count,
        &[Click],
        "Items clicked",
        tile::CLICKS,
        &every,
    ));
    all.extend(sum(
        "impressions",
        Count,
        &[Impression],
        "Items shown",
        tile::IMPRESSIONS,
        &every[1..],
    ));
    all.extend(sum(
        "dwell_s",
        Seconds,
        ANY,
        "Seconds spent on items",
        tile::DWELL_S,
        &long,
    ));
    all.extend(sum(
        "ads_shown",
        Count,
        &[AdImpression],
        "Ads shown",
        tile::ADS,
        &long,
    ));
    for w in [D7, D30] {
        all.push(
            reader(
                "active_days",
                Days,
                ANY,
                "Days with anything counted",
                |r, ask| {
                    let window = ask.window.unwrap_or(D30);
                    Value::int(r.activity.tiles.active_days(window, ask.now))
                },
            )
            .default_to(Value::Int(0))
            .over(w),
        );
    }
}

fn totals(all: &mut Vec<FeatureDefinition>) {
    all.push(reader("events", Count, ANY, "Events", |r, _| {
        Value::int(r.activity.kinds.total())
    }));
    let kinds: [(&str, &'static [EventType], &str); 13] = [
        ("reads", &[Read], "Items read"),
        ("clicks", &[Click], "Items clicked"),
        ("impressions", &[Impression], "Items shown"),
        ("views", &[View], "Pages viewed"),
        ("likes", &[Like], "Likes"),
        ("hides", &[Hide], "Items hidden"),
        ("shares", &[Share], "Items shared"),
        ("comments", &[Comment], "Comments"),
        ("ratings", &[Rating], "Ratings"),
        ("signups", &[Signup], "Newsletter signups"),
        ("ads_shown", &[AdImpression], "Ads shown"),
        ("ad_clicks", &[AdClick], "Ads clicked"),
        ("conversions", &[Conversion], "Conversions"),
    ];
    for (name, reads, what) in kinds {
        let name = format!("{name}_total");
        all.push(
            reader(name, Count, reads, what, |r, ask| {
                Value::int(r.activity.kinds.0[ask.slot])
            })
            .slot(reads[0] as usize),
        );
    }
    all.extend([
        reader(
            "dwell_s_total",
            Seconds,
            ANY,
            "Seconds spent on items",
            |r, _| Value::int(r.activity.totals.0[total::DWELL_S]),
        ),
        reader(
            "videos_completed",
            Count,
            &[VideoProgress],
            "Videos watched to the end",
            |r, _| Value::int(r.activity.totals.0[total::COMPLETED]),
        ),
        reader("revenue", Money, &[Conversion], "Revenue", |r, _| {
            Value::Int(r.activity.totals.0[total::REVENUE])
        }),
    ]);
}

/// Clicks and impressions of a window.
fn shown_and_clicked(r: &ReaderState, ask: &Ask<'_>) -> (u64, u64) {
    let sums = r
        .activity
        .tiles
        .sums(ask.window.unwrap_or(Window::D30), ask.now);
    (sums[tile::CLICKS].into(), sums[tile::IMPRESSIONS].into())
}

fn rates(all: &mut Vec<FeatureDefinition>) {
    for w in [Window::H24, Window::D7, Window::D30] {
        all.push(
            reader(
                "ctr",
                Ratio,
                &[Click, Impression],
                "Clicks per impression, smoothed",
                |r, ask| {
                    let (clicks, shown) = shown_and_clicked(r, ask);
                    rate(clicks, shown, CTR_PRIOR)
                },
            )
            .over(w),
        );
    }
    all.extend([
        reader(
            "ctr_total",
            Ratio,
            &[Click, Impression],
            "Clicks per impression, smoothed",
            |r, _| {
                let k = &r.activity.kinds;
                rate(k.of(Click).into(), k.of(Impression).into(), CTR_PRIOR)
            },
        ),
        reader(
            "engagement_rate",
            Ratio,
            ANY,
            "Reads, clicks, likes, ratings, shares, comments and signups among all events",
            |r, _| Value::ratio(r.activity.engaging(), r.activity.kinds.total()),
        ),
        reader(
            "read_through",
            Ratio,
            &[Read, Click],
            "Reads per click",
            |r, _| {
                let k = &r.activity.kinds;
                Value::ratio(k.of(Read).into(), k.of(Click).into())
            },
        ),
        reader(
            "dwell_avg_s",
            Seconds,
            ANY,
            "Seconds on an item, on average",
            |r, _| {
                let t = &r.activity.totals.0;
                per(t[total::DWELL_S], t[total::DWELT])
            },
        )
        .default_to(Value::Missing),
        reader(
            "rating_avg",
            Ratio,
            &[Rating],
            "Points given, on average, 0 to 5",
            |r, _| {
                let n = i64::from(r.activity.kinds.of(Rating));
                per(r.activity.totals.0[total::RATINGS] * 10_000, n)
            },
        ),
        reader(
            "engagement_told",
            Ratio,
            ANY,
            "Engagement as senders measure it, on average",
            |r, _| {
                let t = &r.activity.totals.0;
                per(t[total::ENGAGEMENT], t[total::ENGAGED])
            },
        ),
        reader(
            "ad_ctr",
            Ratio,
            &[AdClick, AdImpression],
            "Clicks per ad shown, smoothed",
            |r, _| {
                let k = &r.activity.kinds;
                rate(
                    k.of(AdClick).into(),
                    k.of(AdImpression).into(),
                    super::AD_CTR_PRIOR,
                )
            },
        ),
        reader(
            "conversion_rate",
            Ratio,
            &[Conversion, AdClick],
            "Conversions per click on an ad, smoothed",
            |r, _| {
                let k = &r.activity.kinds;
                rate(
                    k.of(Conversion).into(),
                    k.of(AdClick).into(),
                    super::CVR_PRIOR,
                )
            },
        ),
        reader(
            "reads_trend",
            Ratio,
            &[Read, VideoProgress],
            "Share of the last 7 days in the reads of the last 30",
            |r, ask| {
                let reads = |w| u64::from(r.activity.tiles.sums(w, ask.now)[tile::READS]);
                Value::ratio(reads(Window::D7), reads(Window::D30))
            },
        ),
    ]);
}

fn sessions(all: &mut Vec<FeatureDefinition>) {
    all.extend([
        reader("sessions", Count, ANY, "Sessions", |r, _| {
            Value::int(r.activity.sessions.count())
        }),
        reader(
            "sessions_2d",
            Count,
            ANY,
            "Sessions of the last two days",
            |r, _| Value::int(r.activity.sessions.recent()),
        ),
        reader(
            "session_avg_s",
            Seconds,
            ANY,
            "Length of a session, on average",
            |r, _| {
                let s = &r.activity.sessions;
                let total = i64::try_from(s.seconds()).unwrap_or(i64::MAX);
                per(total, s.count().into())
            },
        )
        .default_to(Value::Missing),
        reader(
            "session_longest_s",
            Seconds,
            ANY,
            "The longest session of the last two days",
            |r, _| Value::int(r.activity.sessions.longest_s()),
        ),
        reader(
            "session_depth",
            Count,
            &[Read],
            "Items read in the newest session",
            |r, _| {
                let newest = r.activity.sessions.newest();
                newest.map_or(Value::Missing, |s| Value::int(s.kinds.of(Read)))
            },
        )
        .tier(Tier::RealTime),
        reader(
            "last_reads",
            Ranking,
            &[Read, Like, VideoProgress],
            "The last five items read: low half of the id, and when, ms since the epoch",
            |r, _| Value::Ranking(r.last_reads(5)),
        )
        .tier(Tier::RealTime),
    ]);
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
