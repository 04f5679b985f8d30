//! What a policy would cost and lose, on replayed traffic.
//!
//! Data path: [`Step`]s in the order of time (events folded by `features`) → [`newsroom`] (the fronts of that moment,
//! built as online) → every [`Candidate`] policy decides by [`crate::publishing`], exactly as the profile lane would →
//! [`tally`] (writes, dollars, staleness, rank regret). One pass prices all policies. Bounded by readers and live
//! items, not by events.
//!
//! What it never does: touch a store, wait, look at a clock.

mod newsroom;
mod reader;
mod tally;

use bytes::Bytes;
use mediaflow_shared::content::Content;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::time::{Minute, Timestamp};
use std::collections::HashMap;

pub use tally::{Row, Tally};

use crate::index::Live;
use crate::limits::PLAN_REGRET_K;
use crate::plan::newsroom::Newsroom;
use crate::plan::reader::Policies;
use crate::publishing::PublishSettings;
use crate::publishing::gate::{Gate, Stage, distance};
use crate::settings::PublisherSettings;

/// One event, folded.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Whose surfaces are read.
    pub brand: String,
    /// The reader, when there is consent.
    pub reader: Option<Pseudonym>,
    /// The item it is about.
    pub content: Option<ContentId>,
    /// Whether it counts towards the item's popularity.
    pub click: bool,
    /// The item read before in the same session.
    pub came_from: Option<ContentId>,
    /// The reader withdrew: the profile goes.
    pub forget: bool,
    /// The reader's blob, when it changed.
    pub blob: Option<Bytes>,
}

/// A policy to be priced.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its name in the table.
    pub name: String,
    /// Its settings.
    pub settings: PublishSettings,
}

/// How the plan runs.
#[derive(Debug, Clone)]
pub struct PlanSettings {
    /// Brands and surfaces; a brand that is not among them gets one surface.
    pub publisher: PublisherSettings,
    /// What is priced.
    pub candidates: Vec<Candidate>,
    /// Every so manieth request is ranked for regret and staleness.
    pub sample_every: u64,
    /// Items that no article was given for appear with the first event about them.
    pub invent_items: bool,
}

struct Truth {
    blob: Bytes,
    profile: Option<Profile>,
    sampled: Minute,
}

/// The plan.
pub struct Plan {
    settings: PlanSettings,
    newsroom: Newsroom,
    policies: Vec<Policies>,
    readers: HashMap<Pseudonym, Truth>,
    gate: Gate,
    first: Option<Timestamp>,
    now: Timestamp,
    events: u64,
    requests: u64,
}

impl Plan {
    /// A plan over articles known beforehand; each appears when it was published.
    #[must_use]
    pub fn new(settings: PlanSettings, articles: impl IntoIterator<Item = Content>) -> Self {
        let live = articles
            .into_iter()
            .map(|c| (c.brand.clone(), Live::of(&c)));
        let newsroom = Newsroom::new(&settings.publisher, live.collect());
        let policies = settings.candidates.iter().map(Policies::new).collect();
        Self {
            newsroom,
            policies,
            settings,
            readers: HashMap::new(),
            gate: Gate::default(),
            first: None,
            now: Timestamp::default(),
            events: 0,
            requests: 0,
        }
    }

    /// The front page a reader would get now, for traffic that depends on what is served.
    #[must_use]
    pub fn feed(&mut self, brand: &str, reader: Option<Pseudonym>, n: u16) -> Vec<ContentId> {
        let mut out = Vec::new();
        let stages = self.newsroom.stages(brand, self.now.minute());
        if let Some(stage) = stages.first() {
            let truth = reader.and_then(|r| self.readers.get(&r));
            let profile = truth.and_then(|t| t.profile.as_ref());
            self.gate
                .top(stage, profile, self.now.minute(), n, &mut out);
        }
        out
    }

    /// Moves the clock, which never goes back: what was due meanwhile is done.
    pub fn advance(&mut self, at: Timestamp) {
        if at <= self.now {
            return;
        }
        self.now = at;
        self.first.get_or_insert(at);
        for p in &mut self.policies {
            p.catch_up(at.0, &mut self.newsroom, &mut self.gate);
        }
    }

    /// Takes the next event in.
    pub fn step(&mut self, step: &Step) {
        self.advance(step.at);
        self.events += 1;
        let now = self.now.minute();
        if let (Some(content), true) = (step.content, self.settings.invent_items) {
            self.newsroom.invent(&step.brand, content, now);
        }
        if let Some(reader) = step.reader {
            self.sample(&step.brand, reader, now);
        }
        if let (Some(content), true) = (step.content, step.click) {
            self.newsroom.click(&step.brand, content, step.at.minute());
        }
        if let (Some(from), Some(to)) = (step.came_from, step.content) {
            self.newsroom
                .follow(&step.brand, from, to, step.at.minute());
        }
        let Some(reader) = step.reader else { return };
        if step.forget {
            self.readers.remove(&reader);
            for p in &mut self.policies {
                p.forget(reader);
            }
        }
        if let Some(blob) = &step.blob {
            let sampled = self.readers.get(&reader).map_or(Minute(0), |t| t.sampled);
            let profile = blob::decode(blob).ok();
            let truth = Truth {
                blob: blob.clone(),
                profile,
                sampled,
            };
            self.readers.insert(reader, truth);
        }
        let Some(truth) = self.readers.get(&reader) else {
            return;
        };
        let stages = self.newsroom.stages(&step.brand, now);
        for p in &mut self.policies {
            p.event(
                reader,
                &step.brand,
                (&truth.blob, truth.profile.as_ref(), step.blob.is_some()),
                self.now.0,
                stages,
                &mut self.gate,
            );
        }
    }

    /// Ranks the first surface for another device of a reader: by what edges have under each policy, and by the truth.
    /// At most once a reader and minute.
    fn sample(&mut self, brand: &str, reader: Pseudonym, now: Minute) {
        let Some(truth) = self.readers.get_mut(&reader) else {
            return;
        };
        if std::mem::replace(&mut truth.sampled, now) == now {
            return;
        }
        self.requests += 1;
        if !self
            .requests
            .is_multiple_of(self.settings.sample_every.max(1))
        {
            return;
        }
        let Some(stage) = self.newsroom.stages(brand, now).first() else {
            return;
        };
        let (mut ideal, mut served) = (Vec::new(), Vec::new());
        let mut known: Vec<(Bytes, u32)> = Vec::new();
        for p in &mut self.policies {
            let (blob, profile, stale_ms) = p.published(reader, self.now.0);
            let regret = if *blob == truth.blob {
                0
            } else if let Some((_, regret)) = known.iter().find(|(b, _)| *b == blob) {
                *regret
            } else {
                if ideal.is_empty() {
                    self.gate.top(
                        stage,
                        truth.profile.as_ref(),
                        now,
                        PLAN_REGRET_K,
                        &mut ideal,
                    );
                }
                self.gate
                    .top(stage, profile.as_ref(), now, PLAN_REGRET_K, &mut served);
                let regret = distance(&ideal, &served);
                known.push((blob, regret));
                regret
            };
            p.tally.sample(stale_ms, regret);
        }
    }

    /// The table, and what it is about.
    #[must_use]
    pub fn finish(&self) -> Tally {
        let days = self
            .first
            .map_or(0.0, |f| (self.now.0 - f.0) as f64 / 86_400_000.0);
        Tally {
            events: self.events,
            readers: self.readers.len() as u64,
            requests: self.requests,
            days,
            rows: self.policies.iter().map(|p| p.row(days)).collect(),
        }
    }
}

/// Stages of a brand at one moment.
type Stages<'a> = &'a [Stage];
