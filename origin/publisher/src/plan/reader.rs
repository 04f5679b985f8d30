//! One policy and what it did with every reader.

use bytes::Bytes;
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::time::Timestamp;
use std::collections::HashMap;

use super::device::{DeviceSettings, Token};
use super::newsroom::Newsroom;
use super::tally::{Counts, Row};
use super::{Candidate, Stages, Truth};
use crate::limits::PLAN_DEVICES_MAX;
use crate::publishing::budget::Bucket;
use crate::publishing::decide::{Latest, Published, Verdict, decide};
use crate::publishing::gate::Gate;
use crate::publishing::queue::Queue;

#[derive(Debug, Clone, Default)]
struct Edge {
    blob: Bytes,
    profile: Option<Profile>,
    /// Number of the truth that was written.
    number: u64,
    written_ms: Option<i64>,
    /// What edges do not have yet.
    parked: Option<Parked>,
    tokens: Vec<(u64, Token)>,
}

#[derive(Debug, Clone)]
struct Parked {
    blob: Bytes,
    number: u64,
    since_ms: i64,
    brand: String,
}

/// One policy.
pub(super) struct Policies {
    candidate: Candidate,
    edges: HashMap<Pseudonym, Edge>,
    // Budgets are per brand.
    queues: HashMap<String, (Queue, Option<Bucket>)>,
    pub tally: Counts,
}

impl Policies {
    pub fn new(candidate: &Candidate) -> Self {
        Self {
            candidate: candidate.clone(),
            edges: HashMap::new(),
            queues: HashMap::new(),
            tally: Counts::default(),
        }
    }

    pub fn row(&self, days: f64) -> Row {
        let waiting = self.edges.values().filter(|e| e.parked.is_some()).count();
        self.tally.row(&self.candidate, days, waiting as u64)
    }

    /// What edges have of a reader, and for how long they lack what changed since.
    pub fn published(&self, reader: Pseudonym, now_ms: i64) -> (Option<Profile>, i64) {
        self.edges.get(&reader).map_or_else(Default::default, |e| {
            let stale_ms = e.parked.as_ref().map_or(0, |p| now_ms - p.since_ms);
            (e.profile, stale_ms)
        })
    }

    /// The token of a device; of too many, the one that was not seen for longest gives way.
    pub fn token(&mut self, reader: Pseudonym, device: u64) -> &mut Token {
        token(&mut self.edges.entry(reader).or_default().tokens, device)
    }

    /// A request on a device, which may ask for what edges have.
    pub fn request(&mut self, reader: Pseudonym, device: u64, now_ms: i64, set: &DeviceSettings) {
        let edge = self.edges.entry(reader).or_default();
        let stored = (edge.number, edge.profile.as_ref());
        token(&mut edge.tokens, device).request(stored, now_ms, set);
    }

    /// Withdrawals are at once, and free.
    pub fn forget(&mut self, reader: Pseudonym) {
        self.tally.deletes += 1;
        if let Some(p) = self.edges.remove(&reader).and_then(|e| e.parked)
            && let Some((queue, _)) = self.queues.get_mut(&p.brand)
        {
            queue.remove(reader);
        }
    }

    /// An event of a reader; `changed` when it made the truth.
    pub fn event(
        &mut self,
        reader: Pseudonym,
        brand: &str,
        (truth, changed): (&Truth, bool),
        now_ms: i64,
        stages: Stages<'_>,
        gate: &mut Gate,
    ) {
        let per_event = self.candidate.settings.policy == crate::publishing::Policy::PerEvent;
        if !changed && !per_event {
            return;
        }
        let edge = self.edges.entry(reader).or_default();
        let since_ms = edge.parked.as_ref().map_or(now_ms, |p| p.since_ms);
        edge.parked = Some(Parked {
            blob: truth.blob.clone(),
            number: truth.number,
            since_ms,
            brand: brand.to_owned(),
        });
        let profile = truth.profile.as_ref();
        self.look(reader, brand, profile, now_ms, stages, gate);
        self.pay(brand, now_ms);
    }

    /// Looks again at whoever is due.
    pub fn catch_up(&mut self, now_ms: i64, newsroom: &mut Newsroom, gate: &mut Gate) {
        let brands: Vec<String> = self
            .queues
            .iter()
            .filter(|(_, (q, _))| q.ready_len() > 0 || q.next_due_ms().is_some_and(|d| d <= now_ms))
            .map(|(b, _)| b.clone())
            .collect();
        for brand in brands {
            let due = self
                .queues
                .get_mut(&brand)
                .map(|(q, _)| q.take_due(now_ms, usize::MAX))
                .unwrap_or_default();
            for reader in due {
                let Some(parked) = self.edges.get(&reader).and_then(|e| e.parked.as_ref()) else {
                    continue;
                };
                let profile = blob::decode(&parked.blob).ok();
                let stages = newsroom.stages(&brand, Timestamp(now_ms).minute());
                self.look(reader, &brand, profile.as_ref(), now_ms, stages, gate);
            }
            self.pay(&brand, now_ms);
        }
    }

    fn look(
        &mut self,
        reader: Pseudonym,
        brand: &str,
        profile: Option<&Profile>,
        now_ms: i64,
        stages: Stages<'_>,
        gate: &mut Gate,
    ) {
        let Some(edge) = self.edges.get_mut(&reader) else {
            return;
        };
        let Some(parked) = &edge.parked else { return };
        let published = Published {
            blob: &edge.blob,
            profile: edge.profile.as_ref(),
            written_ms: edge.written_ms,
        };
        let latest = Latest {
            blob: &parked.blob,
            profile,
            since_ms: parked.since_ms,
        };
        let settings = &self.candidate.settings;
        let verdict = decide(settings, stages, published, latest, now_ms, gate);
        let since_ms = parked.since_ms;
        let (queue, _) = queue(&mut self.queues, settings, brand, now_ms);
        match verdict {
            Verdict::Same => {
                edge.parked = None;
                queue.remove(reader);
            }
            Verdict::Wait { until_ms } => queue.later(reader, until_ms),
            Verdict::Write { change, why } => {
                self.tally.why[why as usize] += 1;
                queue.ready(reader, change, since_ms, settings.age_ms_max());
            }
        }
    }

    /// Writes what can be paid for.
    fn pay(&mut self, brand: &str, now_ms: i64) {
        let Some((queue, bucket)) = self.queues.get_mut(brand) else {
            return;
        };
        let afford = bucket.as_mut().map_or(usize::MAX, |b| b.available(now_ms));
        for reader in queue.take_ready(afford) {
            let Some(edge) = self.edges.get_mut(&reader) else {
                continue;
            };
            let Some(parked) = edge.parked.take() else {
                continue;
            };
            edge.profile = blob::decode(&parked.blob).ok();
            edge.blob = parked.blob;
            edge.number = parked.number;
            edge.written_ms = Some(now_ms);
            self.tally.writes += 1;
            if let Some(b) = bucket.as_mut() {
                b.spend(1);
            }
        }
    }
}

fn token(tokens: &mut Vec<(u64, Token)>, device: u64) -> &mut Token {
    let at = match tokens.iter().position(|(d, _)| *d == device) {
        Some(at) => at,
        None if tokens.len() < PLAN_DEVICES_MAX => {
            tokens.push((device, Token::new()));
            tokens.len() - 1
        }
        None => {
            let oldest = tokens.iter().enumerate().min_by_key(|(_, t)| t.1.seen_ms);
            let at = oldest.map_or(0, |(at, _)| at);
            tokens[at] = (device, Token::new());
            at
        }
    };
    &mut tokens[at].1
}

fn queue<'a>(
    queues: &'a mut HashMap<String, (Queue, Option<Bucket>)>,
    settings: &crate::publishing::PublishSettings,
    brand: &str,
    now_ms: i64,
) -> &'a mut (Queue, Option<Bucket>) {
    if !queues.contains_key(brand) {
        let bucket = settings.budget().map(|b| Bucket::new(b, now_ms));
        queues.insert(brand.to_owned(), (Queue::default(), bucket));
    }
    queues.entry(brand.to_owned()).or_default()
}
