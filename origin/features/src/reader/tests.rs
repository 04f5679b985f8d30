use super::*;
use crate::seen::More;
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::profile::blob::{BLOB_BYTES_MAX, decode, encode};
use mediaflow_shared::profile::fold::ItemView;
use mediaflow_shared::profile::{Length, Mute, fold};
use mediaflow_shared::time::Minute;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics::LANES;
use mediaflow_shared::topics::TOPICS;
use proptest::prelude::*;

const START_MIN: u32 = 29_920_800;

impl ReaderState {
    /// Folds in good time, at no particular place of the log.
    fn see(&mut self, e: &Seen<'_>, item: Option<&ItemFacts>) -> Effect {
        let circumstances = Circumstances {
            in_time: true,
            ..Circumstances::default()
        };
        self.fold(e, item, &circumstances)
    }
}

fn event(kind: EventType, content: u64, min: u32) -> Seen<'static> {
    let at = Minute(START_MIN + min).start();
    Seen {
        kind,
        at,
        received: at,
        brand: "daily".into(),
        content: Some(ContentId(content)),
        reader: Some(Pseudonym([1; 16])),
        fingerprint: 0,
        bot: false,
        mute: Mute::None,
        consent: None,
        played: false,
        more: More::default(),
    }
}

fn about(topic: usize, also: usize) -> ItemFacts {
    let mut sum = [0i64; LANES];
    sum[topic % TOPICS] += 100;
    sum[also % TOPICS] += 40;
    let mut topics = [0; TOPICS];
    topics.copy_from_slice(&fold::normalise(&sum)[..TOPICS]);
    ItemFacts {
        topics,
        reading_time_min: (topic % 12) as u8,
        ..ItemFacts::default()
    }
}

fn cosine(a: &[i8; LANES], b: &[i8; LANES]) -> f64 {
    let dot = |x: &[i8; LANES], y: &[i8; LANES]| -> f64 {
        x.iter()
            .zip(y)
            .map(|(p, q)| f64::from(*p) * f64::from(*q))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-9)
}

#[test]
fn reads_turn_into_a_profile() {
    let mut r = ReaderState::default();
    r.see(&event(EventType::Impression, 7, 0), None);
    r.see(&event(EventType::Click, 7, 1), None);
    r.see(&event(EventType::Read, 7, 2), Some(&about(47, 47)));
    let p = r.profile().unwrap();
    assert_eq!(p.top_topics(3), vec![(47, 127)]);
    assert!(p.has_read(7));
    let h = p.habits.unwrap();
    assert_eq!(
        (h.session_depth, h.session_min, h.length),
        (1, 2, Length::Long)
    );
    assert_eq!(h.hours, 1 << Minute(START_MIN).hour_utc());
    // (1 + 2) / (1 + 20): the click and its read are one interaction.
    assert_eq!(h.engagement, 36);
    assert_eq!(p.consent, 1);
}

#[test]
fn a_session_ends_after_half_an_hour() {
    let mut r = ReaderState::default();
    for min in [0, 10, 20] {
        r.see(&event(EventType::Read, u64::from(min), min), None);
    }
    r.see(&event(EventType::Read, 99, 51), None);
    let h = r.profile().unwrap().habits.unwrap();
    assert_eq!((h.session_min, h.session_depth), (20, 1));
}

#[test]
fn consecutive_reads_of_a_session_and_brand_are_neighbours() {
    let mut r = ReaderState::default();
    let mut read = |content, min, brand: &str| {
        let e = Seen {
            brand: brand.to_owned().into(),
            ..event(EventType::Read, content, min)
        };
        r.see(&e, None).came_from.map(|c| c.0)
    };
    assert_eq!(read(1, 0, "daily"), None);
    assert_eq!(read(2, 5, "daily"), Some(1));
    assert_eq!(read(2, 6, "daily"), None, "the same item");
    assert_eq!(read(3, 7, "weekly"), None, "another brand");
    assert_eq!(read(4, 60, "weekly"), None, "another session");
    assert_eq!(read(5, 50, "weekly"), None, "late");
    assert_eq!(read(6, 61, "weekly"), Some(4));
}

#[test]
fn a_withdrawal_forgets_and_only_consent_opens_again() {
    let mut r = ReaderState::default();
    r.see(&event(EventType::Read, 7, 0), Some(&about(3, 3)));
    let consent = |given, min| Seen {
        consent: Some(given),
        content: None,
        ..event(EventType::Consent, 0, min)
    };
    assert!(r.see(&consent(false, 5), None).forget);
    assert_eq!(r.profile(), None);
    r.see(&event(EventType::Read, 8, 3), None);
    r.see(&event(EventType::Read, 9, 8), None);
    assert_eq!(r.profile(), None);
    r.see(&consent(true, 10), None);
    r.see(&event(EventType::Read, 10, 11), None);
    let p = r.profile().unwrap();
    assert!(p.has_read(10) && !p.has_read(7) && p.affinity.is_none());
}

#[test]
fn a_reset_forgets_what_was_before_and_goes_on() {
    let mut r = ReaderState::default();
    r.see(&event(EventType::Read, 7, 0), Some(&about(3, 3)));
    assert!(r.see(&event(EventType::Reset, 0, 5), None).forget);
    r.see(&event(EventType::Read, 8, 4), None);
    assert_eq!(r.profile(), None, "a late event of before");
    r.see(&event(EventType::Read, 9, 6), None);
    assert!(r.profile().unwrap().has_read(9));
}

#[test]
fn taste_fades_by_half_in_two_weeks() {
    let mut r = ReaderState::default();
    for n in 0..8 {
        r.see(&event(EventType::Read, n, n as u32), Some(&about(3, 3)));
    }
    let before = r.taste.evidence;
    let later = 14 * 24 * 60;
    for n in 0..4 {
        r.see(
            &event(EventType::Read, 100 + n, later + n as u32),
            Some(&about(20, 20)),
        );
    }
    let p = r.profile().unwrap();
    let top = p.top_topics(2);
    // Eight reads halved weigh as much as four new ones.
    assert!(
        (i32::from(top[0].1) - i32::from(top[1].1)).abs() <= 1,
        "{top:?}"
    );
    let n = 5.0 * f64::from(p.affinity.unwrap().confidence)
        / (65_536.0 - f64::from(p.affinity.unwrap().confidence));
    assert!((n - 8.0).abs() < 0.1, "{n} of {before}");
}

#[test]
fn mutes_are_remembered_and_taken_back() {
    let mut r = ReaderState::default();
    let mute = |kind, what| Seen {
        mute: what,
        ..event(kind, 0, 1)
    };
    r.see(&mute(EventType::Mute, Mute::Topic(3)), None);
    r.see(&mute(EventType::Mute, Mute::Author(0x12_3456)), None);
    r.see(&mute(EventType::Unmute, Mute::Topic(3)), None);
    assert_eq!(
        r.profile().unwrap().mutes.as_slice(),
        [Mute::Author(0x12_3456)]
    );
}

#[test]
fn only_a_changed_blob_is_handed_on() {
    let mut r = ReaderState::default();
    r.see(&event(EventType::Read, 7, 0), Some(&about(3, 3)));
    let blob = r.changed_blob().unwrap();
    assert_eq!(decode(&blob).unwrap(), r.profile().unwrap());
    assert_eq!(r.changed_blob(), None);
    r.see(&event(EventType::Read, 8, 1), Some(&about(3, 3)));
    assert!(r.changed_blob().is_some());
}

#[test]
fn a_stored_state_keeps_its_size_and_golden_form() {
    let mut r = ReaderState::default();
    r.see(&event(EventType::Read, 7, 0), Some(&about(47, 47)));
    let bytes = r.encode();
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(hex, GOLDEN);
    assert_eq!(ReaderState::decode(&bytes).unwrap(), r);
}

const GOLDEN: &str = "028b01fc208ec801fb2a5101fbcc05320000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000fc067404000000fb7d040107fc208ec8010107fcfdb7de66fc208ec801fc208ec801fc208ec8010100000001000000100000000000000000100000000000000000000000000000000000000000000000809f85d8060001010001000000808080808080200000000001809f85d806fdeffab606000100000000000180d39aab01040101a09fed02040101f8b71e040101aaa201040101809f85d806000101000000000000000100012f013d000000000003000700000000000000000007000000000000000000000000";

#[test]
fn a_state_of_the_first_release_is_read() {
    const FIRST: &str = "01fc208ec801fb2a5101fbcc05320000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000fc067404000000fb7d040107fc208ec8010107fcfdb7de66fc208ec801fc208ec801fc208ec80101000000010000001000000000000000001000000000000000000000000000000000000000000000";
    let bytes: Vec<u8> = (0..FIRST.len() / 2)
        .map(|i| u8::from_str_radix(&FIRST[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let r = ReaderState::decode(&bytes).unwrap();
    let p = r.profile().unwrap();
    assert!(p.has_read(7));
    assert_eq!(p.top_topics(1)[0].0, 47);
}

/// Folds one reader's steps at the edge and at the origin: (topic, number of the item, minutes gone, liked).
fn both(steps: &[(usize, u64, u32, bool)]) -> (Profile, Profile) {
    let (mut edge, mut origin, mut min) = (Profile::default(), ReaderState::default(), 0);
    for &(topic, nth, gone, liked) in steps {
        min += gone;
        let content = topic as u64 * 1000 + nth;
        let item = about(topic, topic + nth as usize % 3);
        let (kind, what) = if liked {
            (EventType::Like, fold::Interaction::Like)
        } else {
            (EventType::Read, fold::Interaction::Read)
        };
        let view = ItemView {
            short: content as u32,
            topics: &item.topics,
            read_vector: None,
            epoch: 0,
            reading_time_min: item.reading_time_min,
        };
        fold::apply(&mut edge, &view, what, Minute(START_MIN + min));
        origin.see(&event(kind, content, min), Some(&item));
    }
    (edge, origin.profile().unwrap())
}

/// Numbers of a seeded sequence (SplitMix64).
fn numbers(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[test]
fn the_edges_token_and_the_origin_agree_on_typical_readers() {
    let mut cosines = Vec::new();
    for seed in 0..500 {
        let mut draw = numbers(seed);
        let tastes = [draw(50), draw(50), draw(50)];
        // A week or two of sessions: mostly the main taste, sometimes the others, seldom anything.
        let steps: Vec<_> = (0..20 + draw(40))
            .map(|_| {
                let topic = match draw(20) {
                    0..14 => tastes[0],
                    14..17 => tastes[1],
                    17..19 => tastes[2],
                    _ => draw(50),
                };
                let gone = if draw(5) == 0 {
                    60 + draw(1500)
                } else {
                    1 + draw(8)
                };
                (topic as usize, draw(400), gone as u32, draw(15) == 0)
            })
            .collect();
        let (edge, origin) = both(&steps);
        assert_eq!(
            edge.top_topics(1)[0].0,
            origin.top_topics(1)[0].0,
            "seed {seed}"
        );
        cosines.push(cosine(
            &edge.affinity.unwrap().lanes,
            &origin.affinity.unwrap().lanes,
        ));
    }
    cosines.sort_by(f64::total_cmp);
    // The token's eight bits and its running mean cost little: only readers who changed their taste differ more.
    assert!(cosines[25] >= 0.98, "of 95 in 100 readers: {}", cosines[25]);
    assert!(cosines[0] >= 0.95, "of every reader: {}", cosines[0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_edge_and_the_origin_remember_the_same_reads(
        steps in prop::collection::vec((0usize..TOPICS, 0u64..9, 0u32..600, any::<bool>()), 1..80)
    ) {
        let (edge, origin) = both(&steps);
        let shorts = |p: &Profile| p.reads.as_slice().iter().map(|r| r.short).collect::<Vec<_>>();
        prop_assert_eq!(shorts(&edge), shorts(&origin));
    }

    #[test]
    fn any_events_in_any_order_stay_in_bounds(
        events in prop::collection::vec((0usize..13, 0u64..100, any::<u32>(), 0u8..60, any::<bool>()), 0..200)
    ) {
        let mut r = ReaderState::default();
        for (kind, content, min, topic, flag) in events {
            let mut e = event(EventType::ALL[kind], content, 0);
            e.at = Timestamp(i64::from(min) * 60_000);
            e.consent = Some(flag);
            e.played = flag;
            e.mute = if flag { Mute::Topic(topic % TOPICS as u8) } else { Mute::Author(u32::from(topic)) };
            r.see(&e, Some(&about(usize::from(topic), content as usize)));
            let bytes = r.encode();
            prop_assert!(bytes.len() <= 1024, "{}", bytes.len());
            prop_assert_eq!(&ReaderState::decode(&bytes).unwrap(), &r);
            if let Some(p) = r.profile() {
                let blob = encode(&p);
                prop_assert!(blob.len() <= BLOB_BYTES_MAX);
                prop_assert!(decode(&blob).is_ok());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ReaderState::decode(&bytes);
        let mut versioned = vec![1];
        versioned.extend(bytes);
        if let Ok(mut r) = ReaderState::decode(&versioned) {
            // Whatever got in, folding and publishing it does not panic.
            r.see(&event(EventType::Read, 1, 1), Some(&about(1, 2)));
            let _ = r.changed_blob();
        }
    }
}

/// A reader who does everything, everywhere, without a pause, for two months.
#[test]
fn the_busiest_reader_stays_within_the_stated_size() {
    let mut r = ReaderState::default();
    let (mut largest, mut draw) = (0, numbers(7));
    let brands: Vec<String> = (0..14).map(|n| format!("brand-{n}")).collect();
    let countries = ["DE", "AT", "CH", "US", "FR", "IT"].map(crate::seen::letters);
    let start = i64::from(START_MIN) * 60_000;
    for n in 0..60_000u64 {
        // Nights of eight hours; by day an event every five seconds or an hour of quiet.
        let day_ms = (n / 1_000) as i64 * 86_400_000;
        let within = (n % 1_000) as i64;
        let pause = if within % 100 < 70 {
            within * 5_000
        } else {
            within * 57_000
        };
        let mut e = event(EventType::ALL[(draw(19)) as usize], draw(300), 0);
        if matches!(e.kind, EventType::Consent | EventType::Reset) {
            e.kind = EventType::Read;
        }
        e.at = Timestamp(start + day_ms + pause);
        e.brand = brands[draw(14) as usize].clone().into();
        e.mute = Mute::Author(draw(1 << 24) as u32);
        e.played = draw(2) == 0;
        e.more = More {
            dwell_s: Some(draw(600) as u32),
            percent: Some(draw(101) as u8),
            position_s: draw(9_000) as u32,
            device: Some(draw(5) as u8),
            country: countries[draw(6) as usize],
            referrer: Some(draw(7) as u8),
            slot: Some(draw(100) as u16),
            revenue_micros: draw(90_000_000) as i64,
            rating: Some(draw(500) as u16),
            engagement: Some(draw(1_000_000) as u32),
            surface: draw(1 << 32) as u32,
            from_feed: true,
            trainable: true,
            outliers: 1,
            traits: Some(crate::seen::Traits {
                age_group: 3,
                country: countries[0],
                subscription: 4,
                joined_day: 20_000,
                language: countries[1],
            }),
            ad: None,
        };
        r.see(&e, Some(&about(draw(50) as usize, draw(50) as usize)));
        if n % 250 == 249 {
            let bytes = r.encode();
            largest = largest.max(bytes.len());
            assert_eq!(ReaderState::decode(&bytes).unwrap(), r);
        }
    }
    let size = |pack: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        pack(&mut out);
        out.len()
    };
    println!(
        "largest: {largest} B; counters {}, of them tiles {}, sessions {}",
        size(&|out| r.activity.pack(out)),
        size(&|out| r.activity.tiles.pack(out)),
        size(&|out| r.activity.sessions.pack(out)),
    );
    assert!(largest <= READER_BYTES_MAX, "{largest}");
}

/// What the documentation promises; a typical reader has a quarter of it.
const READER_BYTES_MAX: usize = 1_536;

#[test]
fn people_of_what_was_read_watched_and_liked_are_met() {
    let starring = |cast: [u32; 4]| ItemFacts {
        cast,
        ..ItemFacts::default()
    };
    let mut r = ReaderState::default();
    r.see(&event(EventType::Read, 1, 0), Some(&starring([7, 8, 0, 0])));
    let watched = Seen {
        played: true,
        ..event(EventType::VideoProgress, 2, 1)
    };
    r.see(&watched, Some(&starring([8, 0, 0, 0])));
    r.see(&event(EventType::Like, 3, 2), Some(&starring([9, 0, 0, 0])));
    r.see(&event(EventType::Hide, 4, 3), Some(&starring([5, 0, 0, 0])));
    assert_eq!(r.people.by_times(), [(8, 2), (9, 1), (7, 1)]);
    let bytes = r.encode();
    assert_eq!(bytes[0], 3);
    assert_eq!(ReaderState::decode(&bytes).unwrap(), r);
    // A reader of items without a cast is written as before there were any, and read by releases of then.
    let mut before = r.clone();
    before.people = Recent::default();
    let bytes = before.encode();
    assert_eq!(bytes[0], 2);
    assert_eq!(ReaderState::decode(&bytes).unwrap(), before);
    // Who leaves is forgotten with them.
    r.see(&event(EventType::Reset, 1, 9), None);
    assert_eq!(r.people, Recent::default());
}

#[test]
fn the_people_of_a_reader_cost_a_hundred_bytes_at_most() {
    let mut r = ReaderState::default();
    for n in 0..100u32 {
        let mut facts = ItemFacts::default();
        for (i, person) in facts.cast.iter_mut().enumerate() {
            *person = u32::MAX - n * 4 - i as u32;
        }
        r.see(&event(EventType::Read, n.into(), n * 1440), Some(&facts));
    }
    let mut without = r.clone();
    without.people = Recent::default();
    let bytes = r.encode().len() - without.encode().len();
    assert!((60..=110).contains(&bytes), "{bytes}");
    assert_eq!(r.people.len(), crate::limits::PEOPLE_MET_MAX);
}
