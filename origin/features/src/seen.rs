//! From a record of the log to what the folds need of it. Texts are borrowed from the record: nothing is copied for
//! an event that is like most.

use mediaflow_ports::StoredRecord;
use mediaflow_shared::event::{EventType, MuteTarget};
use mediaflow_shared::id::{ContentId, Pseudonym, check_slug};
use mediaflow_shared::profile::Mute;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use serde::Deserialize;
use std::borrow::Cow;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::limits::{AD_BYTES_MAX, AHEAD_MAX_MS, DWELL_MAX_S, PLAYED_PERCENT};

/// Devices, in the order of their counters; anything else is `other`.
pub const DEVICES: [&str; 5] = ["mobile", "desktop", "tablet", "tv", "other"];
/// Where readers come from, in the order of their counters.
pub const REFERRERS: [&str; 7] = [
    "direct", "internal", "search", "social", "email", "campaign", "other",
];
/// Age groups of readers, in order.
pub const AGE_GROUPS: [&str; 7] = ["0-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"];
/// Subscriptions by name; another one counts as `other`, the last.
pub const SUBSCRIPTIONS: [&str; 7] = [
    "none", "free", "trial", "basic", "premium", "family", "other",
];

/// An event, reduced. Numbers are whole: the folds add in any order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen<'a> {
    pub kind: EventType,
    /// When it happened, corrected: never later than it was received, give or take a minute.
    pub at: Timestamp,
    pub received: Timestamp,
    pub brand: Cow<'a, str>,
    pub content: Option<ContentId>,
    pub reader: Option<Pseudonym>,
    /// Hash of (`source`, `id`).
    pub fingerprint: u64,
    pub bot: bool,
    pub mute: Mute,
    pub consent: Option<bool>,
    /// Of a video, so much was played that it counts as read.
    pub played: bool,
    pub more: More<'a>,
}

/// What only counters need. Values that ingest called outliers are absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct More<'a> {
    pub dwell_s: Option<u32>,
    /// Of a video, percent played.
    pub percent: Option<u8>,
    /// Of a video, seconds played.
    pub position_s: u32,
    /// Place in [`DEVICES`].
    pub device: Option<u8>,
    /// Two letters, 0 when unknown.
    pub country: u16,
    /// Place in [`REFERRERS`].
    pub referrer: Option<u8>,
    pub slot: Option<u16>,
    pub ad: Option<Ad<'a>>,
    pub revenue_micros: i64,
    /// Hundredths of a point.
    pub rating: Option<u16>,
    /// Millionths.
    pub engagement: Option<u32>,
    /// Hash of the surface, 0 when there is none.
    pub surface: u32,
    pub from_feed: bool,
    pub trainable: bool,
    /// Fields left out as outliers.
    pub outliers: u8,
    pub traits: Option<Traits>,
}

/// An ad.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ad<'a> {
    pub key: u64,
    pub id: Cow<'a, str>,
    pub campaign: Cow<'a, str>,
}

/// The key of an ad's counters: XXH3-64 of its id.
#[must_use]
pub fn ad_key(ad_id: &str) -> u64 {
    xxh3_64(ad_id.as_bytes())
}

/// What a publisher told of a reader; 0 for what it did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traits {
    /// Place in [`AGE_GROUPS`] and one.
    pub age_group: u32,
    pub country: u16,
    /// Place in [`SUBSCRIPTIONS`] and one.
    pub subscription: u32,
    /// Day since the epoch.
    pub joined_day: u32,
    pub language: u16,
}

/// Text that is borrowed unless it holds escapes, within an `Option` too.
#[derive(Debug, Default, Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: EventType,
    #[serde(borrow, default)]
    time: Option<Text<'a>>,
    #[serde(borrow, default)]
    receivedtime: Option<Text<'a>>,
    #[serde(borrow, default)]
    subject: Option<Text<'a>>,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    brand: Cow<'a, str>,
    #[serde(borrow, default)]
    surface: Option<Text<'a>>,
    #[serde(borrow, default)]
    content_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    reader: Option<Text<'a>>,
    #[serde(borrow, default)]
    feed_id: Option<Text<'a>>,
    trainable: Option<bool>,
    slot: Option<u16>,
    dwell_s: Option<f64>,
    position_s: Option<f64>,
    duration_s: Option<f64>,
    mute: Option<MuteTarget>,
    consent: Option<bool>,
    #[serde(borrow, default)]
    device: Option<Text<'a>>,
    #[serde(borrow, default)]
    country: Option<Text<'a>>,
    #[serde(borrow, default)]
    ad_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    campaign_id: Option<Text<'a>>,
    revenue_micros: Option<i64>,
    rating: Option<f64>,
    engagement: Option<f64>,
    #[serde(borrow, default)]
    referrer: Option<Text<'a>>,
    #[serde(borrow, default)]
    traits: Option<TraitsLine<'a>>,
    #[serde(borrow, default)]
    outliers: Option<Vec<Text<'a>>>,
    bot: Option<bool>,
}

#[derive(Deserialize)]
struct TraitsLine<'a> {
    #[serde(borrow, default)]
    age_group: Option<Text<'a>>,
    #[serde(borrow, default)]
    country: Option<Text<'a>>,
    #[serde(borrow, default)]
    subscription: Option<Text<'a>>,
    #[serde(borrow, default)]
    joined: Option<Text<'a>>,
    #[serde(borrow, default)]
    language: Option<Text<'a>>,
}

impl<'a> Seen<'a> {
    /// `None` for a record that is no event of ours.
    pub fn of(record: &'a StoredRecord) -> Option<Self> {
        // UTF-8 is checked once for the whole record: a third faster than text by text.
        let json = std::str::from_utf8(&record.record.value).ok()?;
        let mut e: Line<'a> = serde_json::from_str(json).ok()?;
        check_slug(&e.data.brand).ok()?;
        let time = |t: &Option<Text<'a>>| match t {
            Some(t) => Timestamp::parse(&t.0).map(Some).ok(),
            None => Some(None),
        };
        let received = time(&e.receivedtime)?.unwrap_or(Timestamp(record.appended_ms));
        let latest = Timestamp(received.0.saturating_add(AHEAD_MAX_MS));
        let at = time(&e.time)?.map_or(received, |t| if t > latest { received } else { t });
        let content = match &e.data.content_id {
            Some(id) => Some(ContentId::parse(&id.0).ok()?),
            None => {
                let subject = e.subject.as_ref();
                subject.and_then(|s| ContentId::parse(&s.0).ok())
            }
        };
        let reader = match &e.data.reader {
            Some(r) => Some(Pseudonym::parse(&r.0).ok()?),
            None => None,
        };
        let mut hash = Xxh3Default::new();
        hash.update(e.source.as_bytes());
        hash.update(&[0]);
        hash.update(e.id.as_bytes());
        let more = more(&mut e.data, e.kind, content);
        let kept = |field: &str| !is_outlier(&e.data, field);
        let played = kept("position_s")
            && kept("duration_s")
            && played(e.data.position_s, e.data.duration_s);
        Some(Self {
            kind: e.kind,
            at,
            received,
            content,
            reader,
            fingerprint: hash.digest(),
            bot: e.data.bot == Some(true),
            mute: e.data.mute.as_ref().map_or(Mute::None, muted),
            consent: e.data.consent,
            played,
            brand: e.data.brand,
            more,
        })
    }

    /// Whether it counts towards the popularity of its item.
    pub fn is_click(&self) -> bool {
        !self.bot && matches!(self.kind, EventType::Click | EventType::Read)
    }

    /// Whether its item was read or played.
    pub fn is_read(&self) -> bool {
        match self.kind {
            EventType::Read => true,
            EventType::VideoProgress => self.played,
            _ => false,
        }
    }

    /// Whether a reader's fold looks at what its item is about.
    pub fn needs_facts(&self) -> bool {
        self.is_read() || matches!(self.kind, EventType::Like | EventType::Hide)
    }

    /// Seconds since the epoch; 0 before it.
    pub fn at_s(&self) -> u32 {
        u32::try_from(self.at.0.max(0) / 1000).unwrap_or(u32::MAX)
    }
}

fn is_outlier(d: &Data<'_>, field: &str) -> bool {
    let listed = |names: &Vec<Text<'_>>| names.iter().any(|n| n.0 == field);
    d.outliers.as_ref().is_some_and(listed)
}

fn more<'a>(d: &mut Data<'a>, kind: EventType, content: Option<ContentId>) -> More<'a> {
    let ad = ad(d, kind, content);
    let kept = |field: &str| !is_outlier(d, field);
    let whole = |n: f64, max: f64| n.clamp(0.0, max) as u32;
    let number = |field: &str, n: Option<f64>| n.filter(|n| n.is_finite() && kept(field));
    let position = number("position_s", d.position_s);
    let duration = number("duration_s", d.duration_s).filter(|d| *d > 0.0);
    let percent = position
        .zip(duration)
        .filter(|_| kind == EventType::VideoProgress)
        .map(|(p, d)| whole(p * 100.0 / d, 100.0) as u8);
    More {
        dwell_s: number("dwell_s", d.dwell_s).map(|s| whole(s, DWELL_MAX_S)),
        percent,
        position_s: position.map_or(0, |s| whole(s, 86_400.0)),
        device: d.device.as_ref().map(|t| place(&DEVICES, &t.0)),
        country: d.country.as_ref().map_or(0, |t| letters(&t.0)),
        referrer: d.referrer.as_ref().map(|t| place(&REFERRERS, &t.0)),
        slot: d.slot.filter(|_| kept("slot")),
        revenue_micros: d
            .revenue_micros
            .filter(|_| kept("revenue_micros"))
            .unwrap_or(0),
        rating: number("rating", d.rating).map(|r| whole(r * 100.0, 500.0) as u16),
        engagement: number("engagement", d.engagement).map(|r| whole(r * 1e6, 1e6)),
        surface: d.surface.as_ref().map_or(0, |s| slug_hash(&s.0)),
        from_feed: d.feed_id.is_some(),
        trainable: d.trainable == Some(true),
        outliers: d.outliers.as_ref().map_or(0, |o| o.len().min(255) as u8),
        traits: d.traits.as_ref().map(traits),
        ad,
    }
}

/// The ad of an ad's event; an ad click without an ad id is about the item it names.
fn ad<'a>(d: &mut Data<'a>, kind: EventType, content: Option<ContentId>) -> Option<Ad<'a>> {
    use EventType::{AdClick, AdImpression, Conversion};
    if !matches!(kind, AdImpression | AdClick | Conversion) {
        return None;
    }
    let id = match d.ad_id.take() {
        Some(Text(id)) if id.len() <= AD_BYTES_MAX => id,
        Some(_) => return None,
        None => Cow::Owned(content.filter(|_| kind == AdClick)?.to_string()),
    };
    let campaign = d.campaign_id.take().map(|t| t.0);
    Some(Ad {
        key: ad_key(&id),
        id,
        campaign: campaign
            .filter(|c| c.len() <= AD_BYTES_MAX)
            .unwrap_or_default(),
    })
}

fn traits(t: &TraitsLine<'_>) -> Traits {
    let nth = |names: &[&str], t: &Option<Text<'_>>| {
        t.as_ref().map_or(0, |t| {
            names
                .iter()
                .position(|n| *n == t.0)
                .map_or(0, |i| i as u32 + 1)
        })
    };
    let day = |t: &Text<'_>| Timestamp::parse(&t.0).ok().map(|t| t.minute().0 / 1440);
    Traits {
        age_group: nth(&AGE_GROUPS, &t.age_group),
        country: t.country.as_ref().map_or(0, |t| letters(&t.0)),
        subscription: t.subscription.as_ref().map_or(0, |t| {
            u32::from(place(&SUBSCRIPTIONS, &t.0.to_ascii_lowercase())) + 1
        }),
        joined_day: t.joined.as_ref().and_then(day).unwrap_or(0),
        language: t.language.as_ref().map_or(0, |t| letters(&t.0)),
    }
}

/// The place of a name in a table whose last entry is for all others.
fn place(names: &[&str], name: &str) -> u8 {
    let at = names.iter().position(|n| *n == name);
    at.unwrap_or(names.len() - 1) as u8
}

/// Two ASCII letters in upper case as a number; 0 for anything else.
pub(crate) fn letters(s: &str) -> u16 {
    match s.as_bytes() {
        [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            u16::from_be_bytes([a.to_ascii_uppercase(), b.to_ascii_uppercase()])
        }
        _ => 0,
    }
}

/// Back from [`letters`]; empty for 0.
pub(crate) fn from_letters(n: u16) -> String {
    match n {
        0 => String::new(),
        n => String::from_utf8_lossy(&n.to_be_bytes()).into_owned(),
    }
}

/// `mediaflow_shared::id::name_hash` of what is a slug already: lower-case, without white space.
pub(crate) fn slug_hash(slug: &str) -> u32 {
    (xxh3_64(slug.as_bytes()) as u32).max(1)
}

fn muted(target: &MuteTarget) -> Mute {
    match target {
        MuteTarget::Topic(slug) => topics::index(slug).map_or(Mute::None, Mute::Topic),
        // A profile keeps the low 24 bits.
        MuteTarget::Author(hex) => {
            u32::from_str_radix(hex, 16).map_or(Mute::None, |hash| Mute::Author(hash & 0x00ff_ffff))
        }
    }
}

fn played(position_s: Option<f64>, duration_s: Option<f64>) -> bool {
    match (position_s, duration_s) {
        (Some(p), Some(d)) => d > 0.0 && p * 100.0 >= d * PLAYED_PERCENT,
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use mediaflow_ports::Record;
    use mediaflow_shared::event::Event;
    use mediaflow_shared::id::name_hash;

    pub(crate) fn record(json: &str) -> StoredRecord {
        StoredRecord {
            offset: 0,
            appended_ms: 1_795_248_000_000,
            record: Record::new("", json.to_owned()),
        }
    }

    /// A read of an item that is named after the second it was read at.
    pub(crate) fn at(at_s: u32) -> Seen<'static> {
        let at = Timestamp(i64::from(at_s) * 1000);
        Seen {
            kind: EventType::Read,
            at,
            received: at,
            brand: Cow::Borrowed("daily"),
            content: Some(ContentId(u64::from(at_s) << 32 | u64::from(at_s))),
            reader: Some(Pseudonym([1; 16])),
            fingerprint: at_s.into(),
            bot: false,
            mute: Mute::None,
            consent: None,
            played: false,
            more: More::default(),
        }
    }

    #[test]
    fn a_clock_far_ahead_counts_as_received() {
        let json = |time: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","time":"{time}","receivedtime":"2026-11-21T08:00:00Z","data":{{"brand":"daily"}}}}"#
            )
        };
        let at = |time: &str| Seen::of(&record(&json(time))).unwrap().at.to_string();
        assert_eq!(at("2030-01-01T00:00:00Z"), "2026-11-21T08:00:00Z");
        assert_eq!(at("2026-11-21T08:00:30Z"), "2026-11-21T08:00:30Z");
        assert_eq!(at("2016-05-05T00:00:00Z"), "2016-05-05T00:00:00Z");
    }

    #[test]
    fn what_is_no_event_is_passed_over() {
        for bad in [
            "",
            "{}",
            "[1]",
            r#"{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","data":{"brand":"No Slug"}}"#,
            r#"{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","time":"noon","data":{"brand":"daily"}}"#,
            r#"{"specversion":"1.0","id":"e","source":"s","type":"org.mediaflow.read.v1","data":{"brand":"daily","reader":"Ann"}}"#,
        ] {
            assert_eq!(Seen::of(&record(bad)), None, "{bad}");
        }
    }

    #[test]
    fn every_field_of_the_contract_is_read_escapes_and_all() {
        let json = r#"{"specversion":"1.0","id":"e\u0031","source":"s","type":"org.mediaflow.conversion.v1","time":"2026-11-21T08:00:00Z","data":{"brand":"daily","surface":"home","feed_id":"f","trainable":true,"slot":3,"dwell_s":41.9,"device":"tv","country":"de","ad_id":"a\"1","campaign_id":"c","revenue_micros":-5,"rating":4.5,"engagement":0.25,"referrer":"search","traits":{"age_group":"25-34","country":"AT","subscription":"Premium","joined":"2026-01-02T00:00:00Z","language":"de"},"outliers":["dwell_s"]}}"#;
        let r = record(json);
        let e = Seen::of(&r).unwrap();
        let m = &e.more;
        assert_eq!(
            (m.dwell_s, m.outliers),
            (None, 1),
            "an outlier is not counted"
        );
        assert_eq!((m.device, m.referrer, m.slot), (Some(3), Some(2), Some(3)));
        assert_eq!(from_letters(m.country), "DE");
        assert_eq!(
            (m.revenue_micros, m.rating, m.engagement),
            (-5, Some(450), Some(250_000))
        );
        assert_eq!(m.surface, name_hash("home"));
        let ad = m.ad.as_ref().unwrap();
        assert_eq!(
            (&*ad.id, &*ad.campaign, ad.key),
            ("a\"1", "c", ad_key("a\"1"))
        );
        let t = m.traits.unwrap();
        assert_eq!((t.age_group, t.subscription, t.joined_day), (3, 5, 20_455));
        // The same as through the contract's own type.
        let whole: Event = serde_json::from_str(json).unwrap();
        let again = serde_json::to_string(&whole).unwrap();
        assert_eq!(Seen::of(&record(&again)).unwrap(), e);
    }
}
