//! From inputs to the bytes of a feed, and back: the same inputs give the same bytes, which is what `replay` checks.
//!
//! Ages are taken at the ranking clock, so that a feed is one document for a whole minute.

use crate::Edge;
use crate::config::{Brand, Config, Surface};
use crate::feed_request::{Asked, Cursor};
use crate::ladder::{Inputs, front_age_s};
use crate::params::encode;
use crate::visitor::Known;
use mediaflow_shared::feed::{self, FeedHead, arm_name, score_unit, write_why};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::Profile;
use mediaflow_shared::profile::blob;
use mediaflow_shared::rank::{self, Query, Slate};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::{Arm, FeedId, Request, SERVED_VERSION, Served, ServedSlot};
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// Names the meaning of `_mediaflow` in feeds (a tag URI, RFC 4151: it names, it is not fetched).
const ABOUT: &str = "tag:mediaflow.org,2026:feed";

/// One feed before it is ranked: everything is known but the slate.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Brand.
    pub brand: &'a Brand,
    /// Surface.
    pub surface: &'a Surface,
    /// Front, rules, model.
    pub inputs: &'a Inputs,
    /// The reader, when there is consent and a profile.
    pub known: Option<&'a Known>,
    /// Who that is.
    pub reader: Option<Pseudonym>,
    /// The request as ranked.
    pub request: Request,
    /// Ranking clock.
    pub minute: Minute,
    /// Rung of the ladder.
    pub rung: u8,
    /// Names all of it.
    pub feed_id: FeedId,
}

impl<'a> Plan<'a> {
    /// Plans a feed.
    #[must_use]
    pub fn of(
        brand: &'a Brand,
        surface: &'a Surface,
        inputs: &'a Inputs,
        asked: &Asked,
        known: Option<&'a Known>,
        reader: Option<Pseudonym>,
        now: Minute,
    ) -> Self {
        let minute = asked.minute(now, inputs.front.id());
        let reader = reader.filter(|_| known.is_some());
        let personal = known.map_or(65_536, |k| k.personal);
        let mut plan = Self {
            brand,
            surface,
            inputs,
            known,
            reader,
            request: asked.request(brand, surface, reader, minute, personal),
            minute,
            rung: inputs.rung(known),
            feed_id: FeedId {
                minute,
                front: 0,
                rules: 0,
                model: 0,
                profile: 0,
                request: 0,
            },
        };
        let version = inputs.rules.as_ref().map_or(0, |r| r.version);
        let blob = known.map_or(&[][..], |k| &k.blob);
        plan.feed_id = rank::feed_id(&plan.query(), version, &brand.slug, &surface.slug, blob);
        plan
    }

    fn query(&self) -> Query<'_> {
        Query {
            profile: self.known.map(|k| &k.profile),
            front: &self.inputs.front,
            rules: self.inputs.rules.as_ref().map(|r| &r.rules),
            model: &self.inputs.model,
            minute: self.minute,
            request: &self.request,
        }
    }

    /// Strong validator: the feed id names every input, the rung and the release how they are written.
    #[must_use]
    pub fn etag(&self) -> String {
        let text = format!(
            "{}{}{}",
            self.feed_id.text(),
            self.rung,
            env!("CARGO_PKG_VERSION")
        );
        format!("\"{:016x}\"", xxh3_64(text.as_bytes()))
    }

    /// Age of the profile at the ranking clock, seconds.
    #[must_use]
    pub fn profile_age_s(&self) -> Option<u32> {
        self.known.map(|k| profile_age_s(&k.profile, self.minute))
    }

    /// Ranks and writes the feed.
    #[must_use]
    pub fn write(&self, edge: &Edge) -> (Vec<u8>, Slate) {
        let query = self.query();
        let slate = edge.with_scratch(|s| rank::rank(&query, s));
        let body = written(
            edge.config(),
            self.brand,
            self.surface,
            &query,
            &self.feed_id,
            &slate,
            self.rung,
        );
        (body, slate)
    }

    /// What became of one item, as JSON.
    #[must_use]
    pub fn why(&self, content: ContentId) -> Vec<u8> {
        let query = self.query();
        let why = rank::explain(&query, content);
        let mut out = Vec::with_capacity(256);
        write_why(&mut out, content, &why, score_unit(query.arm()));
        out
    }

    /// The record of what was served.
    #[must_use]
    pub fn served(&self, edge_id: &str, now_ms: i64, slate: &Slate, body: &[u8]) -> Served {
        let rules = self.inputs.rules.as_ref();
        Served {
            version: SERVED_VERSION,
            feed_id: self.feed_id.text(),
            at: Timestamp(now_ms),
            edge: edge_id.to_owned(),
            brand: self.brand.slug.clone(),
            surface: self.surface.slug.clone(),
            rung: self.rung,
            front: self.inputs.front.id(),
            rules: rules.map_or(0, |r| r.version),
            revision: rules.map_or(0, |r| r.rules.revision),
            model: self.inputs.model.id,
            minute: self.minute,
            profile: self.known.map(|k| k.blob.clone()).unwrap_or_default(),
            reader: self.reader,
            request: self.request,
            slots: slate
                .slots
                .iter()
                .map(|s| ServedSlot {
                    content: s.content,
                    score: s.score,
                    propensity: s.propensity,
                })
                .collect(),
            profile_age_s: self.profile_age_s(),
            front_age_s: front_age_s(&self.inputs.front, self.minute),
            body_hash: xxh3_64(body),
        }
    }
}

fn profile_age_s(profile: &Profile, minute: Minute) -> u32 {
    minute.since(profile.as_of).saturating_mul(60)
}

fn written(
    config: &Config,
    brand: &Brand,
    surface: &Surface,
    query: &Query<'_>,
    feed_id: &FeedId,
    slate: &Slate,
    rung: u8,
) -> Vec<u8> {
    let base = format!(
        "{}/v1/feed/{}/{}",
        config.public_url, brand.slug, surface.slug
    );
    let title = if brand.surfaces.first().is_some_and(|s| s == surface) {
        brand.title.clone()
    } else {
        format!("{}: {}", brand.title, surface.title)
    };
    let next = slate.more.then(|| next_url(&base, query));
    let head = FeedHead {
        title: &title,
        home_page_url: &brand.home_url,
        feed_url: &base,
        next_url: next.as_deref(),
        language: Some(brand.language()),
        about: ABOUT,
        feed_id,
        brand: &brand.slug,
        surface: &surface.slug,
        rung,
        profile_age_s: query.profile.map(|p| profile_age_s(p, query.minute)),
        front_age_s: front_age_s(query.front, query.minute),
    };
    let mut body = Vec::with_capacity(1024 + slate.slots.len() * 900);
    feed::write(&mut body, &head, slate, query, &config.keys.exposure);
    body
}

fn next_url(base: &str, query: &Query<'_>) -> String {
    let r = query.request;
    let cursor = Cursor {
        offset: r.offset.saturating_add(r.limit),
        minute: query.minute,
        front: query.front.id(),
    };
    let mut url = format!("{base}?limit={}&cursor={}", r.limit, cursor.text());
    if r.arm != Arm::Personal {
        url.push_str("&arm=");
        url.push_str(arm_name(r.arm));
    }
    if let Some(topic) = topics::topic(r.context.section) {
        url.push_str("&section=");
        url.push_str(&encode(topic.slug));
    }
    if r.context.language != 0 {
        let two = r.context.language.to_be_bytes();
        url.push_str("&lang=");
        url.push_str(core::str::from_utf8(&two).unwrap_or(""));
    }
    if r.explain {
        url.push_str("&explain=1");
    }
    url
}

/// Why a served record could not be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The configuration has no such brand or surface (any more).
    #[error("brand {0} with surface {1} is not configured: replay with the configuration of then")]
    Unknown(String, String),
    /// The profile in the record cannot be read.
    #[error("the record's profile cannot be read: {0}")]
    Profile(String),
    /// The inputs are other versions than the record names.
    #[error("the record was made from another {0}: give the version it names")]
    Version(&'static str),
}

/// The body of the feed that `record` describes, from the same versions of front, rules and model. Compare its hash
/// with `record.body_hash`.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(
    config: &Config,
    record: &Served,
    front: &Front,
    rules: Option<(&Rules, u64)>,
    model: &Model,
) -> Result<Vec<u8>, ReplayError> {
    let unknown = || ReplayError::Unknown(record.brand.clone(), record.surface.clone());
    let brand = config.brand(&record.brand).ok_or_else(unknown)?;
    let surface = brand.surface(&record.surface).ok_or_else(unknown)?;
    let profile = match record.profile.as_slice() {
        [] => None,
        bytes => Some(blob::decode(bytes).map_err(|e| ReplayError::Profile(e.to_string()))?),
    };
    for (what, same) in [
        ("front", front.id() == record.front),
        ("rules", rules.map_or(0, |r| r.1) == record.rules),
        ("model", model.id == record.model),
    ] {
        if !same {
            return Err(ReplayError::Version(what));
        }
    }
    let query = Query {
        profile: profile.as_ref(),
        front,
        rules: rules.map(|r| r.0),
        model,
        minute: record.minute,
        request: &record.request,
    };
    let feed_id = rank::feed_id(
        &query,
        record.rules,
        &brand.slug,
        &surface.slug,
        &record.profile,
    );
    let slate = rank::rank(&query, &mut rank::Scratch::default());
    Ok(written(
        config,
        brand,
        surface,
        &query,
        &feed_id,
        &slate,
        record.rung,
    ))
}
