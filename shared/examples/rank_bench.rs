//! How long ranking takes: `cargo run --release -p mediaflow-shared --features testing --example rank_bench`, or the
//! same with `--target wasm32-wasip2`. Prints one line per figure: name, nanoseconds (median of rounds), and the ratio
//! to the plain scalar dot products of the same run, which is what can be compared between machines.

use mediaflow_shared::front::Front;
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::fold::normalise;
use mediaflow_shared::profile::{Affinity, Habits, Learned, Length, Mute, Profile, Read, blob};
use mediaflow_shared::rank::explore::splitmix64;
use mediaflow_shared::rank::{self, Query, Scratch, Slate, dot};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::{Context, Device, Request};
use mediaflow_shared::time::Minute;
use mediaflow_shared::topics::{LANES, TOPICS};
use std::hint::black_box;
use std::time::Instant;

const ITEMS: u64 = 500;
const TOP: usize = 30;
const NOW: Minute = Minute(29_920_000);
const ROUNDS: usize = 31;
const PER_ROUND: u32 = 200;

struct World {
    front: Front,
    profile: Profile,
    blob: Vec<u8>,
    model: Model,
    rules: Rules,
}

/// 500 items as a publisher has them: three topics each, 60 authors, every column filled.
fn world() -> World {
    let mut state = 7;
    let mut next = || splitmix64(&mut state);
    let id = |i: u64| ContentId(splitmix64(&mut { i + 1 }));
    let items = (0..ITEMS)
        .map(|i| {
            let mut sum = [0i64; LANES];
            let main = (next() % TOPICS as u64) as usize;
            sum[main] = 90;
            sum[(next() % TOPICS as u64) as usize] += 40;
            sum[(next() % TOPICS as u64) as usize] += 20;
            let mut topics = [0; TOPICS];
            topics.copy_from_slice(&normalise(&sum)[..TOPICS]);
            let mut lanes = || core::array::from_fn::<i8, LANES, _>(|_| (next() as i8).max(-127));
            Item {
                content: id(i),
                topics,
                learned: Some(Box::new((lanes(), lanes()))),
                published: Minute(NOW.0 - (next() % 5000) as u32),
                author: 1 + (next() % 60) as u32,
                series: if next() % 10 == 0 {
                    1 + (next() % 9) as u32
                } else {
                    0
                },
                neighbours: (0..20)
                    .map(|_| (id(next() % ITEMS), next() as u8))
                    .collect(),
                active_min: Some((next() % 90) as u32),
                dup: if next() % 20 == 0 {
                    1 + (next() % 9) as u16
                } else {
                    0
                },
                language: Some(*b"en"),
                clicks15: next() as u8 / 2,
                clicks60: next() as u8,
                decay_fast: next() as u8,
                decay_slow: next() as u8,
                quality: next() as u8,
                minutes: (next() % 12) as u8,
                main_topic: Some(main as u8),
                card: format!(
                    "\"id\":\"{}\",\"title\":\"A title of the usual length\"",
                    id(i)
                ),
                ..Item::default()
            }
        })
        .collect();
    let head = Head {
        brand: "daily",
        surface: "home",
        built: NOW,
        epoch: 1,
        v_scale: 2,
        p_scale: 2,
    };
    let bytes = encode(&head, items).expect("a front of 500 items");
    let mut sum = [0i64; LANES];
    for (t, s) in sum.iter_mut().enumerate().take(TOPICS) {
        *s = (t as i64 * 37) % 50;
    }
    let mut profile = Profile {
        epoch: 1,
        as_of: NOW,
        affinity: Some(Affinity {
            lanes: normalise(&sum),
            confidence: 50_000,
        }),
        learned: Some(Learned {
            lanes: core::array::from_fn(|i| (i as i8).wrapping_mul(31).max(-127)),
            scale: 2,
        }),
        habits: Some(Habits {
            length: Length::Medium,
            hours: 0xFF_FF00,
            engagement: 40,
            ..Habits::default()
        }),
        consent: 1,
        expires_day: 21_000,
        ..Profile::default()
    };
    for i in 0..10 {
        profile.reads.push(Read {
            short: id(i * 3).short(),
            age: 1,
        });
    }
    profile.mutes.push(Mute::Topic(6));
    let blob = blob::encode(&profile);
    World {
        front: Front::parse(bytes).expect("a front"),
        profile,
        blob,
        model: Model::default(),
        rules: Rules::default(),
    }
}

/// Nanoseconds of one call: median over rounds.
fn time_ns(mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..PER_ROUND {
                work();
            }
            start.elapsed().as_nanos() as f64 / f64::from(PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// The 30 best of the dot products, in order: what the bench of the dot products includes.
fn top(dots: &[i32], keys: &mut Vec<u64>) -> u64 {
    keys.clear();
    let key = |(row, dot): (usize, &i32)| (u64::from(!(*dot as u32 ^ 1 << 31)) << 32) | row as u64;
    keys.extend(dots.iter().enumerate().map(key));
    keys.select_nth_unstable(TOP);
    keys[..TOP].sort_unstable();
    keys[0]
}

fn main() {
    let w = world();
    let lanes = w.profile.affinity.expect("an affinity").lanes;
    let (mut dots, mut keys) = (Vec::new(), Vec::new());
    let request = Request {
        limit: TOP as u16,
        context: Context {
            device: Device::Mobile,
            country: u16::from_be_bytes(*b"AT"),
            ..Context::default()
        },
        seed: 1,
        personal: 65_536,
        ..Request::default()
    };
    let query = Query {
        profile: Some(&w.profile),
        front: &w.front,
        rules: Some(&w.rules),
        model: &w.model,
        minute: NOW,
        request: &request,
    };
    let (mut scratch, mut slate) = (Scratch::default(), Slate::default());
    let feed_id = rank::feed_id(&query, 1, "daily", "home", &w.blob);
    let mut out = Vec::new();

    let scalar = time_ns(|| {
        dot::scalar(black_box(&lanes), w.front.topics(), &mut dots);
        black_box(top(&dots, &mut keys));
    });
    let simd = time_ns(|| {
        dot::dots(black_box(&lanes), w.front.topics(), &mut dots);
        black_box(top(&dots, &mut keys));
    });
    let pipeline = time_ns(|| {
        rank::rank_into(black_box(&query), &mut scratch, &mut slate);
        black_box(&slate);
    });
    let feed = time_ns(|| {
        out.clear();
        mediaflow_shared::feed::write(
            &mut out,
            &mediaflow_shared::feed::FeedHead {
                title: "Daily",
                home_page_url: "https://daily.example/",
                feed_url: "https://edge.example/v1/feed/daily/home",
                next_url: None,
                language: None,
                about: "",
                feed_id: &feed_id,
                brand: "daily",
                surface: "home",
                rung: 0,
                profile_age_s: Some(0),
                front_age_s: 0,
            },
            black_box(&slate),
            &query,
            &[7; 16],
        );
    });
    let decode = time_ns(|| {
        black_box(blob::decode(black_box(&w.blob)).is_ok());
    });
    for (name, ns) in [
        ("dots_top30_scalar_500", scalar),
        ("dots_top30_500", simd),
        ("pipeline_500", pipeline),
        ("feed_30", feed),
        ("blob_decode", decode),
    ] {
        println!("{name} {ns:.0} ns {:.3} x scalar", ns / scalar);
    }
    println!(
        "blob {} B, slate {} slots, feed {} B",
        w.blob.len(),
        slate.slots.len(),
        out.len()
    );
}
