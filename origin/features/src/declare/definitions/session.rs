//! A reader's newest session, while it is open and after (S1-02), with the contextual features of the moment.

use mediaflow_shared::event::EventType;

use super::{
    Ask, CTR_PRIOR, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, define, per, rate,
    time,
};
use crate::activity::{SessionState, max, set, sum};
use crate::seen::{DEVICES, REFERRERS, from_letters};

use EventType::{
    AdClick, AdImpression, Click, Comment, Conversion, Hide, Impression, Like, Mute, Rating, Read,
    Share, Signup, VideoProgress, View,
};
use ValueType::{Count, Flag, Label, Money, Ratio, Seconds, Time};

const ANY: &[EventType] = &EventType::ALL;

type SessionValue = fn(&SessionState, &Ask<'_>) -> Value;

fn session(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: SessionValue,
) -> FeatureDefinition {
    let value = Evaluate::Session(value);
    define(Entity::Session, name, kind, reads, value, description).tier(Tier::RealTime)
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    let mut all = Vec::new();
    times(&mut all);
    counts(&mut all);
    sums(&mut all);
    rates(&mut all);
    widths(&mut all);
    context(&mut all);
    all
}

fn times(all: &mut Vec<FeatureDefinition>) {
    all.extend([
        session("start", Time, ANY, "When it began", |s, _| time(s.start_s)),
        session("last", Time, ANY, "Its last event", |s, _| time(s.last_s)),
        session(
            "duration_s",
            Seconds,
            ANY,
            "From its first to its last event",
            |s, _| Value::int(s.seconds()),
        ),
        session("quiet_s", Seconds, ANY, "Since its last event", |s, ask| {
            Value::int((ask.now.0 / 1000 - i64::from(s.last_s)).max(0))
        }),
        session(
            "open",
            Flag,
            ANY,
            "Whether the next event would still belong to it",
            |s, ask| {
                let quiet = (ask.now.0 / 1000 - i64::from(s.last_s)).max(0);
                Value::flag(quiet <= i64::from(ask.gap_s))
            },
        ),
        session("start_hour", Count, ANY, "Hour it began in, UTC", |s, _| {
            Value::int(s.start_s / 3600 % 24)
        })
        .default_to(Value::Missing),
        session(
            "start_weekday",
            Count,
            ANY,
            "Day it began on, 1 = Monday, UTC",
            |s, _| Value::int((s.start_s / 86_400 + 3) % 7 + 1),
        )
        .default_to(Value::Missing),
    ]);
}

fn counts(all: &mut Vec<FeatureDefinition>) {
    all.push(session("events", Count, ANY, "Events", |s, _| {
        Value::int(s.kinds.total())
    }));
    let kinds: [(&str, &'static [EventType], &str); 14] = [
        ("articles", &[Read], "Articles read"),
        ("clicks", &[Click], "Items clicked"),
        ("impressions", &[Impression], "Items shown"),
        ("views", &[View], "Pages viewed"),
        (
            "video_events",
            &[VideoProgress],
            "Reports of a playing video",
        ),
        ("ads_shown", &[AdImpression], "Ads shown"),
        ("ad_clicks", &[AdClick], "Ads clicked"),
        ("conversions", &[Conversion], "Conversions"),
        ("signups", &[Signup], "Newsletter signups"),
        ("likes", &[Like], "Likes"),
        ("hides", &[Hide], "Items hidden"),
        ("shares", &[Share], "Items shared"),
        ("comments", &[Comment], "Comments"),
        ("mutes", &[Mute], "Topics and authors muted"),
    ];
    for (name, reads, what) in kinds {
        all.push(
            session(name, Count, reads, what, |s, ask| {
                Value::int(s.kinds.0[ask.slot])
            })
            .slot(reads[0] as usize),
        );
    }
    all.push(session("ratings", Count, &[Rating], "Ratings", |s, _| {
        Value::int(s.kinds.of(Rating))
    }));
}

fn sums(all: &mut Vec<FeatureDefinition>) {
    let rows: [(&str, ValueType, &str, usize); 8] = [
        ("dwell_s", Seconds, "Seconds spent on items", sum::DWELL_S),
        ("pages_timed", Count, "Items with a time spent", sum::DWELT),
        (
            "long_reads",
            Count,
            "Items stayed on for a minute or more",
            sum::LONG,
        ),
        (
            "from_feed",
            Count,
            "Events on items served in a feed",
            sum::FROM_FEED,
        ),
        (
            "trainable",
            Count,
            "Events with a valid exposure",
            sum::TRAINABLE,
        ),
        (
            "outliers",
            Count,
            "Values left out as outliers",
            sum::OUTLIERS,
        ),
        (
            "videos_played",
            Count,
            "Reports of a video at least half played",
            sum::PLAYED,
        ),
        (
            "videos_completed",
            Count,
            "Reports of a video played to the end",
            sum::COMPLETED,
        ),
    ];
    for (name, kind, what, slot) in rows {
        all.push(
            session(name, kind, ANY, what, |s, ask| {
                Value::int(s.sums.0[ask.slot])
            })
            .slot(slot),
        );
    }
    let tops: [(&str, ValueType, &'static [EventType], &str, usize); 3] = [
        (
            "dwell_max_s",
            Seconds,
            ANY,
            "Longest stay on an item",
            max::DWELL_S,
        ),
        (
            "slot_max",
            Count,
            ANY,
            "Lowest slot of a feed reached",
            max::SLOT,
        ),
        (
            "video_position_max_s",
            Seconds,
            &[VideoProgress],
            "Farthest into a video",
            max::POSITION_S,
        ),
    ];
    for (name, kind, reads, what, slot) in tops {
        all.push(
            session(name, kind, reads, what, |s, ask| {
                Value::int(s.tops[ask.slot])
            })
            .slot(slot),
        );
    }
    all.extend([
        session(
            "video_max",
            Ratio,
            &[VideoProgress],
            "Farthest into a video, of its length",
            |s, _| Value::int(s.tops[max::PERCENT] * 10_000),
        ),
        session(
            "engagement_max",
            Ratio,
            ANY,
            "Greatest engagement told",
            |s, _| Value::int(s.tops[max::ENGAGEMENT]),
        ),
        session(
            "rating_max",
            Ratio,
            &[Rating],
            "Best rating, 0 to 5",
            |s, _| Value::int(s.tops[max::RATING] * 10_000),
        ),
        session("revenue", Money, &[Conversion], "Revenue", |s, _| {
            Value::Int(s.revenue_micros)
        }),
    ]);
}

fn rates(all: &mut Vec<FeatureDefinition>) {
    fn sum_of(s: &SessionState, which: usize) -> i64 {
        s.sums.0[which].into()
    }
    all.extend([
        session(
            "dwell_avg_s",
            Seconds,
            ANY,
            "Seconds on an item, on average",
            |s, _| per(sum_of(s, sum::DWELL_S), sum_of(s, sum::DWELT)),
        )
        .default_to(Value::Missing),
        session(
            "ctr",
            Ratio,
            &[Click, Impression],
            "Clicks per impression, smoothed",
            |s, _| {
                rate(
                    s.kinds.of(Click).into(),
                    s.kinds.of(Impression).into(),
                    CTR_PRIOR,
                )
            },
        ),
        session(
            "ad_ctr",
            Ratio,
            &[AdClick, AdImpression],
            "Clicks per ad shown, smoothed",
            |s, _| {
                let k = &s.kinds;
                rate(
                    k.of(AdClick).into(),
                    k.of(AdImpression).into(),
                    super::AD_CTR_PRIOR,
                )
            },
        ),
        session(
            "read_through",
            Ratio,
            &[Read, Click],
            "Reads per click",
            |s, _| Value::ratio(s.kinds.of(Read).into(), s.kinds.of(Click).into()),
        ),
        session("events_per_min", Ratio, ANY, "Events a minute", |s, _| {
            Value::ratio(s.kinds.total() * 60, u64::from(s.seconds()).max(60))
        }),
        session(
            "reads_per_min",
            Ratio,
            &[Read],
            "Articles a minute",
            |s, _| {
                Value::ratio(
                    u64::from(s.kinds.of(Read)) * 60,
                    u64::from(s.seconds()).max(60),
                )
            },
        ),
        session(
            "slot_avg",
            Ratio,
            ANY,
            "Slot of items met in a feed, on average",
            |s, _| per(sum_of(s, sum::SLOT_SUM) * 1_000_000, sum_of(s, sum::SLOTS)),
        ),
        session(
            "rating_avg",
            Ratio,
            &[Rating],
            "Points given, on average, 0 to 5",
            |s, _| per(sum_of(s, sum::RATINGS) * 10_000, s.kinds.of(Rating).into()),
        ),
        session(
            "engagement_avg",
            Ratio,
            ANY,
            "Engagement told, on average",
            |s, _| per(sum_of(s, sum::ENGAGEMENT), sum_of(s, sum::ENGAGED)),
        ),
        session(
            "active_share",
            Ratio,
            ANY,
            "Time on items, of the session's",
            |s, _| {
                let dwell = u64::from(s.sums.0[sum::DWELL_S]).min(s.seconds().into());
                Value::ratio(dwell, s.seconds().into())
            },
        ),
        session(
            "bounce",
            Flag,
            ANY,
            "Whether nothing but one page was met",
            |s, _| {
                let met = s.kinds.of(Read) + s.kinds.of(View) + s.kinds.of(VideoProgress);
                let acted = s.kinds.of(Click) + s.kinds.of(Like) + s.kinds.of(Share);
                Value::flag(met <= 1 && acted <= 1)
            },
        ),
        session(
            "converted",
            Flag,
            &[Conversion, Signup],
            "Whether there was a conversion or signup",
            |s, _| Value::flag(s.kinds.of(Conversion) + s.kinds.of(Signup) > 0),
        ),
    ]);
}

fn widths(all: &mut Vec<FeatureDefinition>) {
    all.push(session(
        "items",
        Count,
        ANY,
        "Different items met: exact to about ten, then by linear counting",
        |s, _| Value::int(s.sets.estimate(set::ITEMS)),
    ));
    let rows: [(&str, &str, usize); 6] = [
        ("categories", "Topics of items read", set::TOPICS),
        ("brands", "Brands met", set::BRANDS),
        ("surfaces", "Surfaces met", set::SURFACES),
        ("devices", "Kinds of device", set::DEVICES),
        ("referrers", "Kinds of referrer", set::REFERRERS),
        ("ads", "Different ads met, up to 64 by hash", set::ADS),
    ];
    for (name, what, slot) in rows {
        all.push(
            session(name, Count, ANY, what, |s, ask| {
                Value::int(s.sets.len(ask.slot))
            })
            .slot(slot),
        );
    }
}

fn context(all: &mut Vec<FeatureDefinition>) {
    fn hex(content: u64) -> Value {
        Value::Label(format!("{content:016x}"))
    }
    all.extend([
        session("entry_item", Label, ANY, "The first item", |s, _| {
            s.entry
                .map_or(Value::Missing, |(_, content, _)| hex(content))
        }),
        session("exit_item", Label, ANY, "The last item so far", |s, _| {
            s.exit.map_or(Value::Missing, |(_, content)| hex(content))
        }),
        session(
            "entry_referrer",
            Label,
            ANY,
            "Where the reader came from",
            |s, _| {
                let nth = s.entry.and_then(|(_, _, r)| usize::from(r).checked_sub(1));
                let word = nth.and_then(|i| REFERRERS.get(i));
                word.map_or(Value::Missing, |r| Value::Label((*r).to_owned()))
            },
        ),
        session("device", Label, ANY, "The first device", |s, _| {
            let nth = s
                .context
                .and_then(|(_, d, _)| usize::from(d).checked_sub(1));
            let word = nth.and_then(|i| DEVICES.get(i));
            word.map_or(Value::Missing, |d| Value::Label((*d).to_owned()))
        })
        .tier(Tier::Contextual),
        session("country", Label, ANY, "The first country", |s, _| {
            match s.context {
                Some((_, _, country)) if country != 0 => Value::Label(from_letters(country)),
                _ => Value::Missing,
            }
        })
        .tier(Tier::Contextual),
        session(
            "now_hour",
            Count,
            &[],
            "Hour of the moment it is asked for, UTC",
            |_, ask| Value::Int(ask.now.0.div_euclid(3_600_000).rem_euclid(24)),
        )
        .default_to(Value::Missing)
        .tier(Tier::Contextual),
        session(
            "now_weekday",
            Count,
            &[],
            "Day of the moment it is asked for, 1 = Monday, UTC",
            |_, ask| Value::Int((ask.now.0.div_euclid(86_400_000) + 3).rem_euclid(7) + 1),
        )
        .default_to(Value::Missing)
        .tier(Tier::Contextual),
    ]);
}
