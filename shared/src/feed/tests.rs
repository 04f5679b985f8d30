//! A feed's golden bytes, and properties of feeds over random cases.

use super::*;
use crate::front::build::{Head, Item, encode};
use crate::model::Model;
use crate::profile::{Affinity, Profile};
use crate::rank::{Scratch, feed_id, rank};
use crate::rules::{Action, Conditions, Rule, Rules};
use crate::served::Request;
use crate::testing::case;
use crate::topics::LANES;
use serde_json::Value;

const NOW: Minute = Minute(29_920_000);

fn golden() -> String {
    let item = |i: u64, topic: usize| {
        let mut item = Item {
            content: ContentId(i),
            published: Minute(NOW.0 - 60 * i as u32),
            card: format!("\"id\":\"{}\",\"content_text\":\"\"", ContentId(i)),
            main_topic: Some(topic as u8),
            minutes: 4,
            ..Item::default()
        };
        item.topics[topic] = 127;
        item
    };
    let head = Head {
        brand: "daily",
        surface: "home",
        built: NOW,
        ..Head::default()
    };
    let items = vec![item(1, 0), item(2, 48), item(3, 48), item(4, 0)];
    let front = Front::parse(encode(&head, items).unwrap()).unwrap();
    let mut lanes = [0; LANES];
    lanes[48] = 127;
    let profile = Profile {
        affinity: Some(Affinity {
            lanes,
            confidence: 32_768,
        }),
        ..Profile::default()
    };
    let rules = Rules {
        revision: 7,
        rules: vec![Rule {
            id: 1,
            action: Action::Pin {
                content: ContentId(4),
                slot: 1,
            },
            windows: Vec::new(),
            when: Conditions::default(),
            label: "Our \"pick\"".into(),
        }],
        ..Rules::default()
    };
    let request = Request {
        limit: 3,
        explain: true,
        personal: 65_536,
        ..Request::default()
    };
    let model = Model::default();
    let query = Query {
        profile: Some(&profile),
        front: &front,
        rules: Some(&rules),
        model: &model,
        minute: NOW,
        request: &request,
    };
    let slate = rank(&query, &mut Scratch::default());
    let head = FeedHead {
        title: "The Daily",
        home_page_url: "https://daily.example/",
        feed_url: "https://edge.example/v1/feed/daily/home",
        next_url: Some("https://edge.example/v1/feed/daily/home?cursor=3"),
        language: Some("en"),
        about: "https://mediaflow.example/feed",
        feed_id: &feed_id(&query, 5, "daily", "home", b"blob"),
        brand: "daily",
        surface: "home",
        rung: 0,
        profile_age_s: Some(12),
        front_age_s: 60,
    };
    let mut out = Vec::new();
    write(&mut out, &head, &slate, &query, &[7; 16]);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_feed_keeps_its_golden_bytes() {
    assert_eq!(golden(), include_str!("golden.json").trim_end());
}

fn number_of(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

#[test]
fn every_feed_is_json_feed_and_its_numbers_add_up() {
    let (mut scratch, mut slate) = (Scratch::default(), Slate::default());
    for seed in 0..3000 {
        let o = case(seed).open().expect("a front");
        let mut out = Vec::new();
        o.serve(&mut scratch, &mut slate, &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        assert!(!text.contains("affinit"), "{seed}");
        let v: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{seed}: {e}"));
        assert_eq!(v["version"], JSON_FEED_VERSION);
        let items = v["items"].as_array().expect("items");
        assert_eq!(items.len(), slate.slots.len());
        for (item, slot) in items.iter().zip(&slate.slots) {
            assert_eq!(item["id"], slot.content.to_string());
            let m = &item["_mediaflow"];
            let p = number_of(&m["propensity"]);
            assert!(p > 0.0 && p <= 1.0, "{seed}: {p}");
            let exposure = Exposure::open(
                m["exposure"].as_str().unwrap(),
                &crate::testing::EXPOSURE_KEY,
                o.minute,
            );
            assert_eq!(exposure.map(|e| e.content), Ok(slot.content));
            assert_eq!(m.get("score").is_some(), o.request.explain);
            if o.request.explain && slot.row.is_some() {
                let parts = m["contributions"].as_object().unwrap().values();
                let sum: f64 = parts
                    .chain(m["adjustments"].as_object().unwrap().values())
                    .map(number_of)
                    .sum();
                // The decimals are exact; serde_json reads them to within a unit in the last place.
                let off = (sum - number_of(&m["score"])).abs();
                assert!(off < 1e-9, "{seed}");
            }
        }
    }
}

#[test]
fn explanations_are_json_for_every_fate() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let o = case(seed).open().expect("a front");
        let ids = (0..o.front.len()).map(|r| o.front.content(r));
        for content in ids.chain([ContentId(1)]) {
            let why = o.why(content);
            let mut out = Vec::new();
            write_why(&mut out, content, &why, score_unit(o.query().arm()));
            let v: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(v["content_id"], content.to_string());
            seen.insert(v["code"].as_str().unwrap().to_owned());
        }
    }
    for code in crate::rank::Ineligible::CODES.into_iter().chain([
        "served",
        "near_duplicate",
        "ranked_out",
        "not_a_candidate",
    ]) {
        assert!(seen.contains(code), "{code} never happened");
    }
}
