//! What a policy would cost and lose, on replayed traffic.
//!
//! Data path: [`Step`]s in the order of time (events folded by `features`) → [`newsroom`] (the fronts of that moment,
//! built as online) → every [`Candidate`] policy decides by [`crate::publishing`], exactly as the profile lane would,
//! and a [`device`] holds what its token would → [`tally`] (writes, dollars, staleness, rank regret). One pass prices
//! all policies. Bounded by readers, their devices and live items, not by events.
//!
//! What it never does: touch a store, wait, look at a clock.

mod device;
mod newsroom;
mod reader;
mod tally;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use mediaflow_shared::content::Content;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::time::{Minute, Timestamp};
use std::collections::HashMap;

pub use device::DeviceSettings;
pub use tally::{Row, Tally};

use crate::index::Live;
use crate::limits::{PLAN_DEVICES_MAX, PLAN_REGRET_K};
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
    /// The device it happened on, by any number that tells a reader's devices apart; `None`: not known, which counts as
    /// another one each time.
    pub device: Option<u64>,
    /// Edges note such an event in the token of the device: a read, a like, a hide, a mute.
    pub noted: bool,
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
    /// How edges keep tokens.
    pub devices: DeviceSettings,
    /// Items that no article was given for are on the front from the first event about them: they were read there.
    pub invent_items: bool,
}

/// What is true of a reader.
struct Truth {
    /// Counts the blobs from 1.
    number: u64,
    blob: Bytes,
    profile: Option<Profile>,
    sampled: Minute,
    devices: Vec<u64>,
}

impl Truth {
    fn newest_read(&self) -> Option<u32> {
        let profile = self.profile.as_ref()?;
        profile.reads.as_slice().first().map(|r| r.short)
    }
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
    by_known_devices: u64,
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
            by_known_devices: 0,
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
        // Fronts are of before the event, whichever policies are priced beside each other.
        self.newsroom.stages(&step.brand, now);
        if let Some(reader) = step.reader {
            self.request(step, reader, now);
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
        // What only the origin learned from the event is in no token.
        let mut told = step.noted;
        if let Some(blob) = &step.blob {
            let before = self.readers.remove(&reader);
            let (number, sampled, devices) = before.as_ref().map_or_else(Default::default, |t| {
                (t.number, t.sampled, t.devices.clone())
            });
            let truth = Truth {
                number: number + 1,
                blob: blob.clone(),
                profile: blob::decode(blob).ok(),
                sampled,
                devices,
            };
            told |= before.and_then(|t| t.newest_read()) == truth.newest_read();
            self.readers.insert(reader, truth);
        }
        let Some(truth) = self.readers.get_mut(&reader) else {
            return;
        };
        if let Some(device) = step.device
            && !truth.devices.contains(&device)
            && truth.devices.len() < PLAN_DEVICES_MAX
        {
            truth.devices.push(device);
        }
        let changed = step.blob.is_some();
        let stages = self.newsroom.stages(&step.brand, now);
        for p in &mut self.policies {
            p.event(
                reader,
                &step.brand,
                (truth, changed),
                self.now.0,
                stages,
                &mut self.gate,
            );
            if let (Some(device), true) = (step.device, changed || step.noted) {
                let token = p.token(reader, device);
                token.seen_ms = self.now.0;
                if changed {
                    let read = step.content.filter(|_| step.noted);
                    token.event(truth, read, told, now);
                }
            }
        }
    }

    /// A reader's first event of a minute is a request: by the device it happened on, and by one that was not met before.
    fn request(&mut self, step: &Step, reader: Pseudonym, now: Minute) {
        let Some(truth) = self.readers.get_mut(&reader) else {
            return;
        };
        if std::mem::replace(&mut truth.sampled, now) == now {
            return;
        }
        self.requests += 1;
        if let Some(device) = step.device {
            self.by_known_devices += u64::from(truth.devices.contains(&device));
            for p in &mut self.policies {
                p.request(reader, device, self.now.0, &self.settings.devices);
            }
        }
        if self
            .requests
            .is_multiple_of(self.settings.sample_every.max(1))
        {
            self.sample(step, reader, now);
        }
    }

    /// Ranks the first surface by what the device and what storage has under each policy, and by the truth.
    fn sample(&mut self, step: &Step, reader: Pseudonym, now: Minute) {
        let Some(truth) = self.readers.get(&reader) else {
            return;
        };
        let Some(stage) = self.newsroom.stages(&step.brand, now).first() else {
            return;
        };
        let gate = &mut self.gate;
        let (mut ideal, mut served) = (Vec::new(), Vec::new());
        let mut known = vec![(truth.profile, 0)];
        let mut regret = |profile: Option<Profile>| {
            if let Some((_, regret)) = known.iter().find(|(p, _)| *p == profile) {
                return *regret;
            }
            if ideal.is_empty() {
                let truth = truth.profile.as_ref();
                gate.top(stage, truth, now, PLAN_REGRET_K, &mut ideal);
            }
            gate.top(stage, profile.as_ref(), now, PLAN_REGRET_K, &mut served);
            let regret = distance(&ideal, &served);
            known.push((profile, regret));
            regret
        };
        for p in &mut self.policies {
            let (stored, stale_ms) = p.published(reader, self.now.0);
            let elsewhere = regret(stored);
            let here = match step.device {
                Some(device) => regret(p.token(reader, device).profile().copied()),
                None => elsewhere,
            };
            p.tally.sample(stale_ms, elsewhere, here);
        }
    }

    /// The table, and what it is about.
    #[must_use]
    pub fn finish(&self) -> Tally {
        let days = self
            .first
            .map_or(0.0, |f| (self.now.0 - f.0) as f64 / 86_400_000.0);
        let several = self.readers.values().filter(|t| t.devices.len() > 1);
        let several = several.count();
        Tally {
            events: self.events,
            readers: self.readers.len() as u64,
            requests: self.requests,
            by_known_devices: self.by_known_devices,
            readers_on_several: several as u64,
            days,
            rows: self.policies.iter().map(|p| p.row(days)).collect(),
        }
    }
}

/// Stages of a brand at one moment.
type Stages<'a> = &'a [Stage];
