//! The parts of a random case. Each has its own stream, so that adding a draw to one does not move the others.

use super::{BRAND, SEEDS_PER_FRONT, SEEDS_PER_RULES, SURFACE};
use crate::content::Kind;
use crate::front::build::{Head, Item, encode};
use crate::id::{ContentId, name_hash};
use crate::model::{Classic, Diversity, Exploration, Model, Weights};
use crate::profile::fold::normalise;
use crate::profile::{
    AdCap, Affinity, Habits, Learned, Length, MUTES_MAX, Mute, Profile, READS_MAX, Read, blob,
};
use crate::rank::explore::splitmix64;
use crate::rules::{Action, Conditions, PinnedItem, Rule, Rules, Target, Window};
use crate::served::{Arm, Context, Device, Request};
use crate::time::{Minute, Timestamp};
use crate::topics::{LANES, TOPICS};

/// First minute of all cases: 2026-11-20.
const EPOCH_MIN: u32 = 29_918_880;
const AUTHORS: u32 = 6;
const LANGUAGES: [&[u8; 2]; 3] = [b"en", b"de", b"fr"];
const COUNTRIES: [&[u8; 2]; 3] = [b"US", b"AT", b"NL"];

/// Draws from SplitMix64.
struct Rng(u64);

impl Rng {
    fn of(seed: u64, stream: u64) -> Self {
        let mut s = seed ^ stream.rotate_left(32);
        Self(splitmix64(&mut s))
    }

    fn next(&mut self) -> u64 {
        splitmix64(&mut self.0)
    }

    /// 0 to n − 1.
    fn below(&mut self, n: u32) -> u32 {
        (((self.next() >> 32) * u64::from(n)) >> 32) as u32
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    fn lanes(&mut self, used: usize) -> [i8; LANES] {
        let mut out = [0; LANES];
        for lane in &mut out[..used] {
            *lane = (self.byte() as i8).max(-127);
        }
        out
    }

    /// One to three topics, mostly one of ten, so that items and readers meet.
    fn topics(&mut self) -> [i8; LANES] {
        let mut sum = [0i64; LANES];
        for _ in 0..=self.below(3) {
            let of = if self.one_in(4) { TOPICS as u32 } else { 10 };
            sum[self.below(of) as usize] += i64::from(self.below(127)) + 1;
        }
        normalise(&sum)
    }
}

fn letters(two: &[u8; 2]) -> u16 {
    u16::from_be_bytes(*two)
}

fn author(n: u32) -> u32 {
    name_hash(&format!("author {n}"))
}

fn built(group: u64) -> Minute {
    Minute(EPOCH_MIN + (group % 100_000) as u32)
}

/// The ids of a group's front, of which the first few also are reads, pins and hides.
fn ids(group: u64) -> Vec<ContentId> {
    let mut r = Rng::of(group, 1);
    let n = 8 + r.below(57);
    (0..n).map(|_| ContentId(r.next())).collect()
}

pub(super) fn minute(seed: u64) -> Minute {
    let mut r = Rng::of(seed, 2);
    Minute(built(seed / SEEDS_PER_FRONT).0 + r.below(120))
}

pub(super) fn front(group: u64) -> Vec<u8> {
    let ids = ids(group);
    let mut r = Rng::of(group, 3);
    let (learned, neighbours) = (r.one_in(2), !r.one_in(4));
    let now = built(group);
    let items = ids
        .iter()
        .map(|id| item(&mut r, *id, &ids, now, learned, neighbours))
        .collect();
    let head = Head {
        brand: BRAND,
        surface: SURFACE,
        built: now,
        epoch: (group % 3) as u16,
        v_scale: 1 + r.below(40) as u16,
        p_scale: 4,
    };
    encode(&head, items).unwrap_or_default()
}

fn item(
    r: &mut Rng,
    content: ContentId,
    ids: &[ContentId],
    now: Minute,
    learned: bool,
    neighbours: bool,
) -> Item {
    let lanes = r.topics();
    let mut topics = [0; TOPICS];
    topics.copy_from_slice(&lanes[..TOPICS]);
    let main = (0..TOPICS).max_by_key(|t| (lanes[*t], core::cmp::Reverse(*t)));
    let oldest = if r.one_in(8) { 40_000 } else { 3000 };
    let age = r.below(oldest);
    let pick = |r: &mut Rng| ids[r.below(ids.len() as u32) as usize];
    let near = if neighbours { r.below(6) } else { 0 };
    let n = content.0 % 1000;
    Item {
        content,
        topics,
        learned: learned.then(|| Box::new((r.lanes(LANES), r.lanes(LANES)))),
        published: Minute((now.0 + 30).saturating_sub(age)),
        embargo: Minute(if r.one_in(20) {
            now.0 + r.below(200)
        } else {
            0
        }),
        expires: Minute(if r.one_in(20) {
            now.0 + r.below(200)
        } else {
            0
        }),
        author: match r.below(AUTHORS + 2) {
            a if a < AUTHORS => author(a),
            _ => 0,
        },
        series: if r.one_in(5) { 1 + r.below(3) } else { 0 },
        neighbours: (0..near).map(|_| (pick(r), r.byte())).collect(),
        active_min: (!r.one_in(4)).then(|| r.below(100)),
        dup: if r.one_in(5) {
            1 + r.below(3) as u16
        } else {
            0
        },
        country: r.one_in(3).then(|| *COUNTRIES[r.below(3) as usize]),
        language: (!r.one_in(3)).then(|| *LANGUAGES[r.below(8).min(2) as usize]),
        clicks15: r.byte(),
        clicks60: r.byte(),
        decay_fast: r.byte(),
        decay_slow: r.byte(),
        quality: r.byte(),
        flags: if r.one_in(10) { r.byte() & 15 } else { 0 },
        minutes: r.below(14) as u8,
        main_topic: main.filter(|_| !r.one_in(10)).map(|t| t as u8),
        kind: [Kind::Article, Kind::Video, Kind::Recipe][r.below(3) as usize],
        card: format!("\"id\":\"{content}\",\"title\":\"Größe {n}\""),
    }
}

pub(super) fn profile(seed: u64) -> Vec<u8> {
    let mut r = Rng::of(seed, 4);
    if r.one_in(4) {
        return Vec::new();
    }
    let group = seed / SEEDS_PER_FRONT;
    let ids = ids(group);
    let mut p = Profile {
        epoch: if r.one_in(8) { 9 } else { (group % 3) as u16 },
        as_of: Minute(minute(seed).0 - r.below(5000)),
        consent: 1,
        expires_day: 21_000,
        ..Profile::default()
    };
    if !r.one_in(5) {
        p.affinity = Some(Affinity {
            lanes: if r.one_in(4) {
                r.lanes(TOPICS)
            } else {
                r.topics()
            },
            confidence: r.next() as u16,
        });
    }
    if r.one_in(2) {
        p.learned = Some(Learned {
            lanes: r.lanes(LANES),
            scale: r.below(60) as u16,
        });
    }
    for _ in 0..r.below(READS_MAX as u32 / 2) {
        let known = ids[r.below(ids.len() as u32) as usize].short();
        let short = if r.one_in(3) { r.next() as u32 } else { known };
        p.reads.push(Read {
            short,
            age: r.below(6) as u8,
        });
    }
    if r.one_in(2) {
        p.habits = Some(Habits {
            session_min: r.byte(),
            session_depth: r.byte(),
            length: [Length::Unknown, Length::Short, Length::Medium, Length::Long]
                [r.below(4) as usize],
            hours: r.next() as u32 & 0xFF_FFFF,
            engagement: r.byte(),
            segment: r.below(4) as u8,
            churn: r.below(16) as u8,
            conversion: r.below(16) as u8,
        });
    }
    if r.one_in(4) {
        p.ad_caps.push(AdCap {
            campaign: r.next() as u16,
            shown: r.byte(),
        });
    }
    if r.one_in(3) {
        for _ in 0..=r.below(MUTES_MAX as u32 / 2) {
            p.mutes.push(if r.one_in(2) {
                Mute::Topic(r.below(TOPICS as u32) as u8)
            } else {
                Mute::Author(author(r.below(AUTHORS)) & 0xFF_FFFF)
            });
        }
    }
    blob::encode(&p)
}

fn target(r: &mut Rng, ids: &[ContentId]) -> Target {
    match r.below(6) {
        0 => Target::Author(author(r.below(AUTHORS))),
        1 => Target::Series(r.below(4)),
        2 => Target::Kind(r.below(6) as u8),
        3 | 4 => Target::Topic(r.below(12) as u8),
        _ => Target::Content(ids[r.below(ids.len() as u32) as usize]),
    }
}

fn conditions(r: &mut Rng) -> Conditions {
    if !r.one_in(4) {
        return Conditions::default();
    }
    let list = |r: &mut Rng, n: u32| -> Vec<u8> {
        if r.one_in(2) {
            (0..n as u8).filter(|_| r.one_in(2)).collect()
        } else {
            Vec::new()
        }
    };
    Conditions {
        segments: list(r, 4),
        countries: if r.one_in(3) {
            vec![letters(COUNTRIES[r.below(3) as usize])]
        } else {
            Vec::new()
        },
        devices: list(r, 5),
        topics: list(r, 10),
    }
}

fn action(r: &mut Rng, ids: &[ContentId], outside: &[PinnedItem]) -> Action {
    match r.below(8) {
        0..=2 => {
            let content = match outside.first().filter(|_| r.one_in(3)) {
                Some(p) => p.content,
                None => ids[r.below(ids.len() as u32) as usize],
            };
            let slots = if r.one_in(6) { 100 } else { 12 };
            Action::Pin {
                content,
                slot: r.below(slots) as u16,
            }
        }
        3 => Action::Hide(target(r, ids)),
        4 => Action::Bury {
            target: target(r, ids),
            percent: r.below(100) as u16,
        },
        5 => Action::Boost {
            target: target(r, ids),
            percent: 101 + r.below(900) as u16,
        },
        _ => Action::Quota {
            target: target(r, ids),
            within: r.below(20) as u16,
            min: r.below(5) as u16,
            max: r.one_in(2).then(|| r.below(6) as u16),
        },
    }
}

pub(super) fn rules(seed: u64) -> Vec<u8> {
    let group = seed / SEEDS_PER_FRONT;
    let mut r = Rng::of(seed / SEEDS_PER_RULES, 5);
    if r.one_in(6) {
        return Vec::new();
    }
    let (ids, now) = (ids(group), built(group).0);
    let outside: Vec<PinnedItem> = (0..r.below(3))
        .map(|_| {
            let content = ContentId(r.next());
            PinnedItem {
                content,
                card: format!("\"id\":\"{content}\",\"title\":\"Pinned\""),
                published: Minute(now - r.below(90_000)),
                embargo: Minute(if r.one_in(8) { now + 60 } else { 0 }),
                expires: Minute(if r.one_in(8) { now + 60 } else { 0 }),
                topic: r.below(TOPICS as u32 + 1) as u8,
                author: author(r.below(AUTHORS)),
            }
        })
        .collect();
    let list = (0..r.below(13))
        .map(|id| Rule {
            id,
            action: action(&mut r, &ids, &outside),
            windows: if r.one_in(3) {
                let from = now + r.below(100);
                vec![Window {
                    from: Minute(from),
                    until: Minute(from + r.below(100)),
                }]
            } else {
                Vec::new()
            },
            when: conditions(&mut r),
            label: if r.one_in(2) {
                "Our \"pick\"".into()
            } else {
                String::new()
            },
        })
        .collect();
    let mut takedowns: Vec<ContentId> = (0..r.below(4))
        .map(|_| ids[r.below(ids.len() as u32) as usize])
        .collect();
    takedowns.sort_unstable();
    let mut pinned = outside;
    pinned.sort_by_key(|p| p.content);
    let rules = Rules {
        revision: r.below(1000),
        published_at: Timestamp::from_s(i64::from(now) * 60),
        editorial_only: r.one_in(16),
        takedowns,
        rules: list,
        pinned,
        tokens_valid_from: Minute(0),
    };
    rules.encode()
}

pub(super) fn model(seed: u64) -> Vec<u8> {
    let group = seed / SEEDS_PER_FRONT;
    let mut r = Rng::of(seed / SEEDS_PER_RULES, 6);
    let mut m = Model::default();
    if r.one_in(2) {
        let wild = r.one_in(8);
        let mut w = || {
            if wild {
                r.next() as i32
            } else {
                r.below(160_000) as i32 - 30_000
            }
        };
        m.weights = Weights {
            topic: w(),
            learned: w(),
            neighbours: w(),
            clicks15: w(),
            clicks60: w(),
            decay_fast: w(),
            decay_slow: w(),
            recency: w(),
            active: w(),
            quality: w(),
            length: w(),
            hour: w(),
            context: w(),
        };
        m.diversity = Diversity {
            author: r.below(80_000),
            topic: r.below(80_000),
            series: r.below(80_000),
        };
        m.explore = Exploration {
            slot: r.below(12) as u16,
            epsilon: r.below(70_000),
            pool: r.below(30) as u16,
        };
        let alpha = r.below(1001) as u16;
        let beta = r.below(1001 - u32::from(alpha)) as u16;
        m.classic = Classic {
            alpha,
            beta,
            gamma: 1000 - alpha - beta,
        };
        m.age_h_max = r.below(400) as u16;
        m.id = r.below(9);
    }
    m.epoch = if r.one_in(2) { 0 } else { (group % 3) as u16 };
    m.encode()
}

pub(super) fn request(seed: u64) -> Request {
    let mut r = Rng::of(seed, 7);
    let devices = [
        Device::Other,
        Device::Mobile,
        Device::Desktop,
        Device::Tablet,
        Device::Tv,
    ];
    Request {
        limit: match r.below(12) {
            0 => 0,
            1 => r.next() as u16,
            _ => 1 + r.below(12) as u16,
        },
        offset: match r.below(8) {
            0 => r.next() as u16,
            1 | 2 => r.below(20) as u16,
            _ => 0,
        },
        context: Context {
            device: devices[r.below(5) as usize],
            country: if r.one_in(2) {
                letters(COUNTRIES[r.below(3) as usize])
            } else {
                0
            },
            section: if r.one_in(4) {
                r.below(12) as u8
            } else {
                TOPICS as u8
            },
            language: if r.one_in(4) {
                letters(LANGUAGES[r.below(2) as usize])
            } else {
                0
            },
        },
        seed: r.next(),
        arm: match r.below(8) {
            0 => Arm::Editorial,
            1 => Arm::Classic,
            _ => Arm::Personal,
        },
        explain: r.one_in(4),
        personal: if r.one_in(4) { r.next() as u32 } else { 65_536 },
    }
}
