//! Items: views, reads, clicks, impressions, CTR, popularity, recency, splits, distinct readers, the curve of a video.

use mediaflow_shared::event::EventType;

use super::{
    Ask, CTR_PRIOR, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window, ctr,
    define, per, rate, seconds_since, since_days, split, sums, time,
};
use crate::entity::{ItemState, tile};
use crate::seen::{DEVICES, from_letters};

use EventType::{Click, Comment, Hide, Impression, Like, Rating, Read, Share, VideoProgress, View};
use ValueType::{Count, Days, Ranking, Ratio, Seconds, Time};

const ANY: &[EventType] = &EventType::ALL;

fn item(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: fn(&ItemState, &Ask<'_>) -> Value,
) -> FeatureDefinition {
    let value = Evaluate::Content(value);
    define(Entity::Content, name, kind, reads, value, description)
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    use Window::{D7, D30, H1, H24, Min5, S5};
    let mut all = Vec::new();
    let counted: [(&str, ValueType, &'static [EventType], &str, usize); 5] = [
        (
            "impressions",
            Count,
            &[Impression],
            "Times shown",
            tile::IMPRESSIONS,
        ),
        ("clicks", Count, &[Click], "Clicks", tile::CLICKS),
        ("reads", Count, &[Read, VideoProgress], "Reads", tile::READS),
        ("views", Count, &[View], "Page views", tile::VIEWS),
        (
            "dwell_s",
            Seconds,
            ANY,
            "Seconds spent on it",
            tile::DWELL_S,
        ),
    ];
    for (name, kind, reads, what, slot) in counted {
        let windows: &[Window] = match slot {
            tile::CLICKS | tile::READS => &[S5, Min5, H1, H24, D7, D30],
            _ => &[Min5, H1, H24, D7, D30],
        };
        for w in windows {
            let value = |i: &ItemState, ask: &Ask<'_>| Value::int(sums(&i.audience, ask)[ask.slot]);
            all.push(item(name, kind, reads, what, value).slot(slot).over(*w));
        }
    }
    for w in [Min5, H1, H24, D7, D30] {
        all.push(
            item(
                "ctr",
                Ratio,
                &[Click, Impression],
                "Clicks per impression, smoothed",
                |i, ask| ctr(&i.audience, ask),
            )
            .over(w),
        );
    }
    totals(&mut all);
    popularity(&mut all);
    video(&mut all);
    all
}

fn totals(all: &mut Vec<FeatureDefinition>) {
    let kinds: [(&str, &'static [EventType], &str); 9] = [
        ("impressions", &[Impression], "Times shown"),
        ("clicks", &[Click], "Clicks"),
        ("reads", &[Read], "Reads"),
        ("views", &[View], "Page views"),
        ("likes", &[Like], "Likes"),
        ("hides", &[Hide], "Times hidden"),
        ("shares", &[Share], "Shares"),
        ("comments", &[Comment], "Comments"),
        ("ratings", &[Rating], "Ratings"),
    ];
    for (name, reads, what) in kinds {
        let value = |i: &ItemState, ask: &Ask<'_>| Value::int(i.audience.kinds.0[ask.slot]);
        let name = format!("{name}_total");
        all.push(item(name, Count, reads, what, value).slot(reads[0] as usize));
    }
    all.push(
        item(
            "dwell_avg_s",
            Seconds,
            ANY,
            "Seconds spent on it, on average",
            |i, _| per(i.audience.dwell.0[0], i.audience.dwell.0[1]),
        )
        .default_to(Value::Missing),
    );
    all.push(item(
        "ctr_total",
        Ratio,
        &[Click, Impression],
        "Clicks per impression, smoothed",
        |i, _| {
            let k = &i.audience.kinds;
            rate(k.of(Click).into(), k.of(Impression).into(), CTR_PRIOR)
        },
    ));
    all.push(item(
        "readers",
        Count,
        &[Read, View, VideoProgress],
        "Different readers: HyperLogLog, 4.6 % standard error in one partition, 1.6 % over eight",
        |i, _| Value::int(i.readers.estimate()),
    ));
}

fn popularity(all: &mut Vec<FeatureDefinition>) {
    fn acted(i: &ItemState, w: Window, ask: &Ask<'_>) -> u64 {
        let s = i.audience.tiles.sums(w, ask.now);
        u64::from(s[tile::CLICKS]) + u64::from(s[tile::READS])
    }
    all.extend([
        item(
            "popularity",
            Count,
            &[Click, Read, VideoProgress],
            "Clicks and reads of the last hour, 24 hours and 7 days, weighing 16, 4 and 1",
            |i, ask| {
                let of = |w| acted(i, w, ask);
                Value::int(16 * of(Window::H1) + 4 * of(Window::H24) + of(Window::D7))
            },
        )
        .tier(Tier::RealTime),
        item(
            "trend",
            Ratio,
            &[Click, Read, VideoProgress],
            "Clicks and reads of the last hour, as a multiple of an average hour of the last day",
            |i, ask| Value::ratio(24 * acted(i, Window::H1, ask), acted(i, Window::H24, ask)),
        )
        .tier(Tier::RealTime),
        item("first_seen", Time, ANY, "First event", |i, _| {
            time(i.audience.first_s)
        }),
        item("last_seen", Time, ANY, "Last event", |i, _| {
            time(i.audience.last_s)
        })
        .tier(Tier::RealTime),
        item(
            "recency_s",
            Seconds,
            ANY,
            "Seconds since the last event",
            |i, ask| seconds_since(i.audience.last_s, ask.now),
        )
        .default_to(Value::Missing)
        .tier(Tier::RealTime),
        item(
            "age_days",
            Days,
            ANY,
            "Days since the first event",
            |i, ask| since_days(i.audience.first_s, ask.now),
        ),
        item(
            "clicks_by_device",
            Ranking,
            &[Click, Read, Impression],
            "Clicks and reads by device",
            |i, _| {
                split(&i.audience.devices, |d| {
                    DEVICES
                        .get(usize::from(d))
                        .map_or_else(String::new, |d| (*d).to_owned())
                })
            },
        ),
        item(
            "clicks_by_country",
            Ranking,
            &[Click, Read, Impression],
            "Clicks and reads by country",
            |i, _| split(&i.audience.countries, from_letters),
        ),
    ]);
}

fn video(all: &mut Vec<FeatureDefinition>) {
    const FED: &[EventType] = &[VideoProgress];
    all.push(item(
        "plays",
        Count,
        FED,
        "Readers who began the video",
        |i, _| Value::int(i.curve[0]),
    ));
    for tenth in 1..=10usize {
        let percent = tenth * 10;
        all.push(
            item(
                format!("watched_{percent}"),
                Ratio,
                FED,
                format!("Readers who watched {percent} % of the video, of those who began"),
                |i, ask| Value::ratio(i.curve[ask.slot].into(), i.curve[0].into()),
            )
            .slot(tenth),
        );
    }
}
