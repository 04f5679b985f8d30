//! Random cases from a seed, for tests, fuzzing and the parity of targets. Behind the feature `testing`.
//!
//! [`case`] makes the bytes of a whole query out of one number: front, profile, rules, model, request, minute, with
//! everything that ranking distinguishes and much that no sane origin writes. [`digest`] ranks a range of cases and
//! hashes the feeds: two targets that answer the same digest gave the same bytes.

mod article;
pub mod fuzz;
mod random;

pub use article::article;

use crate::front::Front;
use crate::id::ContentId;
use crate::model::Model;
use crate::profile::{Profile, blob};
use crate::rank::{self, Query, Scratch, Slate, WhyNot};
use crate::rules::Rules;
use crate::served::{FeedId, Request};
use crate::time::Minute;
use crate::{feed, rank::explain};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Consecutive seeds that share a front: making one costs more than ranking it.
pub const SEEDS_PER_FRONT: u64 = 256;
/// Consecutive seeds that share rules and a model.
pub const SEEDS_PER_RULES: u64 = 16;
/// Brand of every case.
pub const BRAND: &str = "daily";
/// Surface of every case.
pub const SURFACE: &str = "home";
/// Key of every case's exposures.
pub const EXPOSURE_KEY: [u8; 16] = *b"sixteen bytes ok";

/// A query as it would come out of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// KV value of the front.
    pub front: Vec<u8>,
    /// Profile blob; empty = no profile.
    pub profile: Vec<u8>,
    /// KV value of the rules; empty = none.
    pub rules: Vec<u8>,
    /// KV value of the model.
    pub model: Vec<u8>,
    /// The request.
    pub request: Request,
    /// Ranking clock.
    pub minute: Minute,
}

/// The case of a seed.
#[must_use]
pub fn case(seed: u64) -> Case {
    Case {
        front: random::front(seed / SEEDS_PER_FRONT),
        profile: random::profile(seed),
        rules: random::rules(seed),
        model: random::model(seed),
        request: random::request(seed),
        minute: random::minute(seed),
    }
}

/// A decoded case.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The candidates.
    pub front: Front,
    /// The reader.
    pub profile: Option<Profile>,
    /// The blob it came from.
    pub blob: Vec<u8>,
    /// The rules and their version.
    pub rules: Option<(Rules, u64)>,
    /// The model.
    pub model: Model,
    /// The request.
    pub request: Request,
    /// Ranking clock.
    pub minute: Minute,
}

impl Case {
    /// Decodes every part as the edge does: what cannot be read is left out. `None` without a readable front.
    #[must_use]
    pub fn open(self) -> Option<Opened> {
        let profile = blob::decode(&self.profile).ok();
        Some(Opened {
            front: Front::parse(self.front).ok()?,
            profile,
            blob: if profile.is_some() {
                self.profile
            } else {
                Vec::new()
            },
            rules: Rules::decode(&self.rules).ok(),
            model: Model::decode(&self.model).unwrap_or_default(),
            request: self.request,
            minute: self.minute,
        })
    }
}

impl Opened {
    /// The query.
    #[must_use]
    pub fn query(&self) -> Query<'_> {
        Query {
            profile: self.profile.as_ref(),
            front: &self.front,
            rules: self.rules.as_ref().map(|r| &r.0),
            model: &self.model,
            minute: self.minute,
            request: &self.request,
        }
    }

    /// The id of its feed.
    #[must_use]
    pub fn feed_id(&self) -> FeedId {
        let version = self.rules.as_ref().map_or(0, |r| r.1);
        rank::feed_id(&self.query(), version, BRAND, SURFACE, &self.blob)
    }

    /// Ranks and appends the feed to `out`.
    pub fn serve(&self, scratch: &mut Scratch, slate: &mut Slate, out: &mut Vec<u8>) {
        let query = self.query();
        rank::rank_into(&query, scratch, slate);
        let head = feed::FeedHead {
            title: "The Daily",
            home_page_url: "https://daily.example/",
            feed_url: "https://edge.example/v1/feed/daily/home",
            next_url: slate
                .more
                .then_some("https://edge.example/v1/feed/daily/home?cursor=next"),
            language: Some("en"),
            about: "https://mediaflow.example/feed",
            feed_id: &self.feed_id(),
            brand: BRAND,
            surface: SURFACE,
            rung: if self.profile.is_some() { 0 } else { 2 },
            profile_age_s: self.profile.map(|p| self.minute.since(p.as_of) * 60),
            front_age_s: self.minute.since(self.front.built()) * 60,
        };
        feed::write(out, &head, slate, &query, &EXPOSURE_KEY);
    }

    /// What became of an item, as [`rank::explain`].
    #[must_use]
    pub fn why(&self, content: ContentId) -> WhyNot {
        explain::explain(&self.query(), content)
    }
}

/// Hash over the feeds of the cases `from .. from + n`, in order.
#[must_use]
pub fn digest(from: u64, n: u64) -> u64 {
    let (mut scratch, mut slate, mut out) = (Scratch::default(), Slate::default(), Vec::new());
    let mut held: Option<Opened> = None;
    let mut hash = 0;
    for seed in from..from.saturating_add(n) {
        let opened = match held.take() {
            Some(mut o) if seed % SEEDS_PER_FRONT != 0 => {
                o.blob = random::profile(seed);
                o.profile = blob::decode(&o.blob).ok();
                if seed % SEEDS_PER_RULES == 0 {
                    o.rules = Rules::decode(&random::rules(seed)).ok();
                    o.model = Model::decode(&random::model(seed)).unwrap_or_default();
                }
                o.request = random::request(seed);
                o.minute = random::minute(seed);
                Some(o)
            }
            _ => case(seed).open(),
        };
        out.clear();
        if let Some(o) = &opened {
            o.serve(&mut scratch, &mut slate, &mut out);
        }
        hash = xxh3_64_with_seed(&out, hash);
        held = opened;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read() {
        for seed in (0..4000).step_by(7) {
            let o = case(seed).open().expect("a front");
            assert_eq!(
                o.profile.is_some(),
                !case(seed).profile.is_empty(),
                "{seed}"
            );
            assert_eq!(o.rules.is_some(), !case(seed).rules.is_empty(), "{seed}");
        }
    }

    #[test]
    fn a_digest_is_that_of_its_cases_one_by_one() {
        let (from, n) = (250, 40);
        let (mut scratch, mut slate) = (Scratch::default(), Slate::default());
        let one_by_one = (from..from + n).fold(0, |hash, seed| {
            let mut out = Vec::new();
            case(seed)
                .open()
                .expect("a front")
                .serve(&mut scratch, &mut slate, &mut out);
            xxh3_64_with_seed(&out, hash)
        });
        assert_eq!(digest(from, n), one_by_one);
        assert_ne!(digest(from + 1, n), one_by_one);
    }
}
