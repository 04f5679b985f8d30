//! What the fuzz targets do with bytes: read them, and use whatever was read. Nothing here may panic.
//!
//! `fuzz/` wraps these functions for libFuzzer; the tests below run them over the committed seeds and over truncated
//! and flipped copies of them. Frames carry a checksum that no fuzzer guesses, so each target also takes its bytes as
//! a payload and seals them itself.

use super::{EXPOSURE_KEY, Opened, case};
use crate::content::{Content, RawItem};
use crate::event::Event;
use crate::front::{self, Front};
use crate::model::{self, Model};
use crate::profile::{blob, words};
use crate::rank::{Scratch, Slate};
use crate::rules::{self, Rules};
use crate::served::{Exposure, FeedId, Served};
use crate::time::Minute;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Name (also of its folder in `fuzz/seeds`) and function of every target.
pub const TARGETS: [(&str, Target); 6] = [
    ("blob", fuzz_blob),
    ("front", fuzz_front),
    ("rules", fuzz_rules),
    ("model", fuzz_model),
    ("served", fuzz_served),
    ("event", fuzz_event),
];

/// A case to put the fuzzed part into.
fn host() -> Option<Opened> {
    case(1).open()
}

fn serve(o: &Opened) {
    let mut out = Vec::new();
    o.serve(&mut Scratch::default(), &mut Slate::default(), &mut out);
    if !o.front.is_empty() {
        let _ = o.why(o.front.content(o.front.len() / 2));
    }
}

/// A profile blob.
pub fn fuzz_blob(data: &[u8]) {
    let mut sealed = data.to_vec();
    sealed.truncate(blob::BLOB_BYTES_MAX - 4);
    let sum = xxhash_rust::xxh3::xxh3_64(&sealed) as u32;
    sealed.extend_from_slice(&sum.to_le_bytes());
    for bytes in [data, &sealed] {
        let Ok(profile) = blob::decode(bytes) else {
            continue;
        };
        let _ = words::describe(&profile);
        assert!(blob::decode(&blob::encode(&profile)).is_ok());
        if let Some(mut o) = host() {
            o.profile = Some(profile);
            serve(&o);
        }
    }
}

/// A front.
pub fn fuzz_front(data: &[u8]) {
    for bytes in [data.to_vec(), front::FRAME.seal(data)] {
        let (Ok(front), Some(mut o)) = (Front::parse(bytes), host()) else {
            continue;
        };
        o.front = front;
        serve(&o);
    }
}

/// Rules.
pub fn fuzz_rules(data: &[u8]) {
    for bytes in [data.to_vec(), rules::FRAME.seal(data)] {
        let (Ok(rules), Some(mut o)) = (Rules::decode(&bytes), host()) else {
            continue;
        };
        assert!(Rules::decode(&rules.0.encode()).is_ok());
        o.rules = Some(rules);
        serve(&o);
    }
}

/// A model.
pub fn fuzz_model(data: &[u8]) {
    for bytes in [data.to_vec(), model::FRAME.seal(data)] {
        let (Ok(model), Some(mut o)) = (Model::decode(&bytes), host()) else {
            continue;
        };
        o.model = model;
        serve(&o);
    }
}

/// A served record, a feed id, an exposure.
pub fn fuzz_served(data: &[u8]) {
    if let Ok(s) = Served::decode(data) {
        assert!(Served::decode(&s.encode()).is_ok());
    }
    if let Ok(text) = core::str::from_utf8(data) {
        if let Ok(id) = FeedId::parse(text) {
            assert_eq!(FeedId::parse(&id.text()), Ok(id));
        }
        let _ = Exposure::open(text, &EXPOSURE_KEY, Minute(0));
    }
}

/// JSON of an event, of a delivery from a source, of an article.
pub fn fuzz_event(data: &[u8]) {
    if let Ok(e) = serde_json::from_slice::<Event>(data) {
        assert!(serde_json::to_vec(&e).is_ok());
    }
    let _ = serde_json::from_slice::<RawItem>(data);
    if let Ok(c) = serde_json::from_slice::<Content>(data) {
        let item = crate::candidate::from_content(&c);
        assert!(crate::feed::is_card(&item.card));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Seeds of a target.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../fuzz/seeds")
            .join(target);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
        files
            .map(|f| std::fs::read(f.unwrap().path()).unwrap())
            .collect()
    }

    #[test]
    fn every_seed_and_its_damaged_copies_are_read_or_refused() {
        for (name, target) in TARGETS {
            let seeds = seeds(name);
            assert!(seeds.len() >= 2, "{name} has {} seeds", seeds.len());
            for seed in seeds {
                target(&seed);
                for cut in 0..16 {
                    target(&seed[..seed.len() * cut / 16]);
                }
                for at in 0..48 {
                    let mut bad = seed.clone();
                    let i = at * (bad.len().max(1) - 1) / 47;
                    bad[i] ^= 1 << (at % 8);
                    target(&bad);
                }
            }
        }
    }

    #[test]
    fn the_seeds_are_of_this_version() {
        let ok = |name: &str, read: fn(&[u8]) -> bool| {
            let all = seeds(name);
            assert!(all.iter().any(|s| read(s)), "no seed of {name} can be read");
        };
        ok("blob", |b| blob::decode(b).is_ok());
        ok("front", |b| Front::parse(b.to_vec()).is_ok());
        ok("rules", |b| Rules::decode(b).is_ok());
        ok("model", |b| Model::decode(b).is_ok());
        ok("served", |b| Served::decode(b).is_ok());
        ok("event", |b| serde_json::from_slice::<Event>(b).is_ok());
        ok("event", |b| serde_json::from_slice::<Content>(b).is_ok());
    }
}
