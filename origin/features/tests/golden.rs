//! The folds give the values they gave: a fixed stream, and a hash of every feature and of the other views' values.
//!
//! A hash that changed is a fold that counts otherwise. States of both would mix in a store, so the version of the view's
//! fold must be raised with it. `UPDATE_GOLDEN=1 cargo test -p mediaflow-features --test golden` writes what is new, and
//! what changed under a raised version.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_features::declare::{
    Entity, EntityState, VIEW_AD, VIEW_BRAND, VIEW_CLOCK, VIEW_FOLDS, VIEW_ITEM, VIEW_REACH,
    VIEW_SEEN, VIEW_TOP, VIEWS, Vocabulary, evaluate, of,
};
use mediaflow_features::{FeatureConfig, ItemFacts, Replay, bench};
use mediaflow_ports::{Record, StoredRecord};
use mediaflow_shared::event::{Event, EventType, Traits};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::signals::{VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER};
use mediaflow_shared::time::Timestamp;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use xxhash_rust::xxh3::Xxh3;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/folds.txt");
const EVENTS: u64 = 6_000;

/// What a view's folds gave, by name: the fold's version and a hash.
type Outputs = BTreeMap<(String, String), (u16, String)>;

/// A day and a half of 60 readers: what [`bench`] makes up, every kind of event among it, some late.
fn stream() -> Vec<StoredRecord> {
    let mut records = bench::records(EVENTS, 60, 1, 11);
    for (n, r) in records.iter_mut().enumerate() {
        // A second an event is too dense for sessions to end.
        let mut e: Event = serde_json::from_slice(&r.record.value).unwrap();
        let at = Timestamp(e.time.unwrap().0 + (n as i64) * 20_000);
        r.appended_ms = at.0;
        e.receivedtime = Some(at);
        e.time = Some(Timestamp(
            at.0 - i64::from(n.is_multiple_of(97)) * 3_600_000,
        ));
        if n.is_multiple_of(3) {
            other(n / 3, &mut e);
        }
        r.record = Record::new(r.record.key.clone(), serde_json::to_vec(&e).unwrap());
    }
    records
}

/// The kinds and values that the made-up stream lacks.
fn other(n: usize, e: &mut Event) {
    e.kind = EventType::ALL[n % EventType::ALL.len()];
    // Readers who leave take all they did along: few do.
    if e.kind == EventType::Reset && !n.is_multiple_of(17) {
        e.kind = EventType::Rating;
    }
    let word = |words: &[&str]| Some(words[n / 5 % words.len()].to_owned());
    let d = &mut e.data;
    d.rating = Some((n % 6) as f64);
    d.engagement = Some((n % 100) as f64 / 100.0);
    d.referrer = word(&["direct", "search", "social"]);
    d.ad_id = word(&["a", "b"]).filter(|_| n.is_multiple_of(2));
    d.campaign_id = word(&["spring", "summer"]);
    d.revenue_micros = (e.kind == EventType::Conversion).then_some(n as i64 * 1_000);
    d.consent = (e.kind == EventType::Consent).then_some(!n.is_multiple_of(19));
    d.position_s = Some((n % 101) as f64);
    d.duration_s = Some(100.0);
    d.bot = n.is_multiple_of(41).then_some(true);
    d.outliers = n.is_multiple_of(37).then(|| vec!["dwell_s".to_owned()]);
    d.traits = (e.kind == EventType::Identify).then(|| Traits {
        age_group: word(&["18-24", "65+"]),
        subscription: word(&["free", "premium"]),
        ..Traits::default()
    });
}

fn facts(item: ContentId) -> Option<ItemFacts> {
    let mut facts = ItemFacts {
        reading_time_min: (item.0 % 12) as u8 + 1,
        ..ItemFacts::default()
    };
    facts.topics[(item.0 % 50) as usize] = 110;
    facts.topics[(item.0 % 49) as usize] = 60;
    facts.cast[0] = (item.0 % 40) as u32;
    Some(facts)
}

/// The view that a brand's feature is read from.
fn view_of(entity: Entity, feature: &str) -> &'static str {
    match entity {
        Entity::Reader | Entity::Session => VIEW_READER,
        Entity::Content => VIEW_ITEM,
        Entity::Ad => VIEW_AD,
        Entity::Brand if feature.starts_with("readers_") => VIEW_REACH,
        Entity::Brand if feature.starts_with("top_") => VIEW_TOP,
        Entity::Brand => VIEW_BRAND,
    }
}

#[derive(Default)]
struct Hashes(BTreeMap<(String, String), Xxh3>);

impl Hashes {
    fn add(&mut self, view: &str, name: &str, what: &[u8]) {
        let hash = self.0.entry((view.to_owned(), name.to_owned()));
        let hash = hash.or_default();
        hash.update(&(what.len() as u64).to_le_bytes());
        hash.update(what);
    }

    fn values(&mut self, id: &str, state: EntityState<'_>, now: Timestamp) {
        let words = Vocabulary {
            brands: ["daily", "weekly", "sport", "culture"]
                .map(str::to_owned)
                .to_vec(),
            ..Vocabulary::default()
        };
        let values = evaluate(state, now, &words);
        for (d, value) in of(state.entity()).iter().zip(values) {
            let view = view_of(d.entity, &d.name);
            self.add(view, &d.full_name(), format!("{id} {value:?}").as_bytes());
        }
    }
}

/// Folds the stream and hashes what came of it, view by view.
fn outputs() -> Outputs {
    let mut replay = Replay::new(0, FeatureConfig::default());
    let mut hashes = Hashes::default();
    let mut stored = BTreeMap::new();
    for batch in stream().chunks(700) {
        replay.fold(batch, facts);
        let commit = replay.commit();
        for w in commit.writes {
            stored.insert((w.view.into_owned(), w.key), w.value);
        }
    }
    let counted = replay.counted();
    assert!(counted.late > 0 && counted.robots > 0, "{counted:?}");
    // Features are hashed by value below; of these views the values are all there is.
    for ((view, key), value) in &stored {
        if [VIEW_POPULARITY, VIEW_NEIGHBOURS, VIEW_CLOCK, VIEW_SEEN].contains(&view.as_str()) {
            let value = value.as_deref().unwrap_or_default();
            hashes.add(view, "values", &[&key[..], value].concat());
        }
    }
    let now = Timestamp(replay.newest().0 + 60_000);
    let readers: BTreeMap<_, _> = replay.readers().collect();
    for (id, state) in readers {
        // When a blob is handed on is a matter of commits; what it says is the fold's.
        let profile = format!("{id} {:?}", state.profile());
        hashes.add(VIEW_READER, "profile", profile.as_bytes());
        hashes.values(&id.to_string(), EntityState::Reader(state), now);
        hashes.values(&id.to_string(), EntityState::Session(state), now);
    }
    let items: BTreeMap<_, _> = replay.items().collect();
    for (id, state) in items {
        hashes.values(&id.to_string(), EntityState::Content(state), now);
    }
    let ads: BTreeMap<_, _> = replay.ads().map(|s| (s.id(), s)).collect();
    for (id, state) in ads {
        hashes.values(id, EntityState::Ad(state), now);
    }
    for slug in ["daily", "weekly", "sport", "culture"] {
        let state = replay.brand(slug).unwrap();
        hashes.values(slug, EntityState::Brand(&state), now);
    }
    let version = |view: &str| {
        let found = VIEWS.iter().find(|v| v.name == view);
        found.map_or(0, |v| v.fold_version)
    };
    let line = |((view, name), hash): ((String, String), Xxh3)| {
        let version = version(&view);
        ((view, name), (version, format!("{:016x}", hash.digest())))
    };
    hashes.0.into_iter().map(line).collect()
}

fn parse(text: &str) -> Outputs {
    let line = |l: &str| {
        let mut words = l.split_whitespace().map(str::to_owned);
        let (view, version) = (words.next()?, words.next()?.parse().ok()?);
        Some(((view, words.next()?), (version, words.next()?)))
    };
    text.lines().filter_map(line).collect()
}

fn text(outputs: &Outputs) -> String {
    let mut out = String::new();
    for ((view, name), (version, hash)) in outputs {
        writeln!(out, "{view} {version} {name} {hash}").unwrap();
    }
    out
}

/// What changed although its view's fold has the version it had.
fn unannounced(golden: &Outputs, now: &Outputs) -> Vec<String> {
    let changed = |(key, (version, hash)): (&(String, String), &(u16, String))| {
        let (was_version, was) = golden.get(key)?;
        let (view, name) = key;
        (was != hash && was_version == version)
            .then(|| format!("{name} changed: bump FOLD_VERSION of view {view}"))
    };
    now.iter().filter_map(changed).collect()
}

#[test]
fn the_folds_give_what_they_gave_or_say_that_they_do_not() {
    let golden = parse(&std::fs::read_to_string(FILE).unwrap_or_default());
    let now = outputs();
    let unannounced = unannounced(&golden, &now);
    assert!(
        unannounced.is_empty(),
        "{} (`fold_version` in declare/views.rs; and the versions of the features that something reads)",
        unannounced.join("; ")
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(FILE, text(&now)).unwrap();
    } else {
        assert_eq!(
            golden, now,
            "tests/golden/folds.txt is old: UPDATE_GOLDEN=1 cargo test -p mediaflow-features --test golden"
        );
    }
}

#[test]
fn every_view_that_is_folded_has_a_golden_value() {
    let golden = parse(&std::fs::read_to_string(FILE).unwrap());
    for view in VIEWS {
        let folded = view.placement != mediaflow_features::declare::Placement::Global
            && view.name != VIEW_FOLDS;
        let found = golden.keys().any(|(v, _)| v == view.name);
        assert_eq!(found, folded, "{}", view.name);
    }
}

#[test]
fn a_fold_that_counts_otherwise_is_named() {
    let golden = outputs();
    assert_eq!(unannounced(&golden, &golden), [""; 0]);
    let mut other = golden.clone();
    let key = (VIEW_ITEM.to_owned(), "content.reads_7d".to_owned());
    other.get_mut(&key).unwrap().1 = "0".to_owned();
    let said = ["content.reads_7d changed: bump FOLD_VERSION of view features.content"];
    assert_eq!(unannounced(&golden, &other), said);
    other.get_mut(&key).unwrap().0 += 1;
    assert_eq!(unannounced(&golden, &other), [""; 0]);
}
