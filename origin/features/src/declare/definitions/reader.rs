//! Readers, by what they did: recency, activity, engagement, CTR, sessions (S1-05, S0-13).

use mediaflow_shared::event::EventType;

use super::{
    Ask, CTR_PRIOR, DAY_S, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window,
    define, per, rate, seconds_since, since_days, time,
};
use super::{about, rfm};
use crate::activity::{tile, total};
use crate::reader::ReaderState;

use EventType::{
    AdClick, AdImpression, Click, Comment, Conversion, Hide, Impression, Like, Rating, Read, Share,
    Signup, VideoProgress, View,
};
use ValueType::{Count, Days, Flag, Money, Ranking, Ratio, Seconds, Time};

/// Every kind of event that says that a reader was there.
pub(super) const ANY: &[EventType] = &EventType::ALL;

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
    about::every(&mut all);
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
