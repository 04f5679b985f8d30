//! One round after the other: hear, decide, [`pay`](super::pay), park, acknowledge.

use bytes::Bytes;
use mediaflow_http::trace::Traces;
use mediaflow_ports::Commit;
use mediaflow_ports::fault::Point;
use mediaflow_shared::front::Front;
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::rules::Rules;
use mediaflow_shared::signals::{OUTBOX_PROFILES, parse_dirty_key, trace_of_key};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

use super::held::{Held, VIEW_BUDGET, VIEW_PARKED, VIEW_SENT};
use crate::error::PublisherResult;
use crate::fronts::front_key;
use crate::limits::{
    GATE_TIME_MAX, LOOKS_MAX, PROFILE_TTL_S, PROFILES_BATCH, QUEUE_MAX, SWEEP_EVERY, SWEEP_PAGE,
};
use crate::models::kv_key as model_key;
use crate::publishing::budget::Bucket;
use crate::publishing::decide::{Latest, Published, Verdict, Why, decide};
use crate::publishing::gate::Gate;
use crate::publishing::queue::Queue;
use crate::publishing::{Policy, PublishSettings};
use crate::push::retrying;
use crate::rules::rules_key;
use crate::{PublisherDeps, Shared};

/// Work of readers whose brand is not configured, or not known.
const NO_BRAND: &str = "";

/// What became of a round.
#[derive(Default)]
pub(super) struct Round {
    /// Entries of the outbox that were handled.
    pub worked: usize,
    /// The store did not take something that may work later.
    pub failed: bool,
    /// How long the store asks to be left alone.
    pub pause: Option<Duration>,
    /// Of the events behind the work.
    pub traces: Traces,
}

/// A reader's entries in the outbox: the last one counts, all are done with it.
#[derive(Default)]
pub(super) struct Heard {
    pub ids: Vec<u64>,
    pub value: Bytes,
    pub brands: Vec<String>,
    pub withdrawn: bool,
}

/// A blob that is not with the edges.
pub(super) struct Work {
    pub held: Held,
    pub profile: Option<Profile>,
    /// Not in the view of parked blobs as it is here.
    pub unsaved: bool,
    /// The view of parked blobs has one of this reader, this or an older one.
    pub parked: bool,
}

pub(super) struct Desk {
    pub settings: PublishSettings,
    pub queue: Queue,
    pub bucket: Option<Bucket>,
}

pub(super) struct ProfileLane {
    pub(super) deps: PublisherDeps,
    shared: Arc<Shared>,
    gate: Gate,
    pub(super) desks: BTreeMap<String, Desk>,
    /// Where the sweep through parked blobs goes on.
    sweep_after: Option<Bytes>,
    sweep_at: Instant,
    gate_time: Duration,
}

pub(super) fn key(reader: Pseudonym) -> Bytes {
    Bytes::copy_from_slice(&reader.0)
}

impl ProfileLane {
    /// Opens where the last process left off.
    pub async fn open(deps: PublisherDeps, shared: Arc<Shared>) -> PublisherResult<Self> {
        let now_ms = deps.clock.now_ms();
        let mut desks = BTreeMap::new();
        let mut desk = |slug: &str, settings: &PublishSettings, stored: Option<Bytes>| {
            let left = stored.and_then(|b| {
                let (left, at) = b.split_first_chunk::<8>()?;
                Some((
                    f64::from_le_bytes(*left),
                    i64::from_le_bytes(at.try_into().ok()?),
                ))
            });
            let bucket = settings.budget().map(|b| match left {
                Some((left, at_ms)) if left.is_finite() => Bucket::resumed(b, left, at_ms),
                _ => Bucket::new(b, now_ms),
            });
            let (settings, queue) = (settings.clone(), Queue::default());
            desks.insert(
                slug.to_owned(),
                Desk {
                    settings,
                    queue,
                    bucket,
                },
            );
        };
        for b in &shared.settings.brands {
            let stored = retrying(|| deps.state.get(VIEW_BUDGET, b.slug.as_bytes())).await?;
            desk(&b.slug, shared.settings.publish_of(b), stored);
        }
        let unlimited = PublishSettings {
            writes_per_day: None,
            dollars_per_day: None,
            ..shared.settings.publish.clone()
        };
        desk(NO_BRAND, &unlimited, None);
        let this = Self {
            deps,
            shared,
            gate: Gate::default(),
            desks,
            sweep_after: None,
            sweep_at: Instant::now(),
            gate_time: Duration::ZERO,
        };
        this.look_at_edges().await?;
        Ok(this)
    }

    /// Until this process has built fronts of its own, the gate ranks with those that edges have.
    async fn look_at_edges(&self) -> PublisherResult<()> {
        for b in &self.shared.settings.brands {
            let m = model_key(&b.slug);
            let model = retrying(|| self.deps.blobs.get(&m)).await?;
            let model = model.and_then(|m| Model::decode(&m.value).ok());
            for s in &b.surfaces {
                let (f, r) = (front_key(&b.slug, &s.slug), rules_key(&b.slug, &s.slug));
                let front = retrying(|| self.deps.blobs.get(&f)).await?;
                let rules = retrying(|| self.deps.blobs.get(&r)).await?;
                let front = front.and_then(|f| Front::parse(f.value.to_vec()).ok());
                let rules = rules
                    .and_then(|r| Rules::decode(&r.value).ok())
                    .map(|r| r.0);
                self.shared
                    .current
                    .seed((&b.slug, &s.slug), front, rules, model);
            }
        }
        Ok(())
    }

    pub(super) fn desk_of<'a>(&self, brands: &'a [String]) -> &'a str {
        let configured = brands.iter().find(|b| self.desks.contains_key(*b));
        configured.map_or(NO_BRAND, String::as_str)
    }

    pub(super) fn leave(&mut self, reader: Pseudonym) {
        for desk in self.desks.values_mut() {
            desk.queue.remove(reader);
        }
    }

    /// Handles the oldest entries of the outbox and whoever waited long enough.
    pub async fn round(&mut self) -> PublisherResult<Round> {
        self.gate_time = Duration::ZERO;
        let now_ms = self.deps.clock.now_ms();
        let mut round = Round::default();
        let (mut heard, mut done) = self.hear(&mut round).await?;
        let mut readers: Vec<Pseudonym> = heard.keys().copied().collect();
        for desk in self.desks.values_mut() {
            readers.extend(desk.queue.take_due(now_ms, LOOKS_MAX));
        }
        readers.extend(self.sweep().await?);
        readers.sort_unstable();
        readers.dedup();
        let mut sent = self.load(VIEW_SENT, &readers).await?;
        let mut parked = self.load(VIEW_PARKED, &readers).await?;

        let gone = self
            .withdraw(&mut heard, &mut sent, &mut parked, &mut round)
            .await?;
        let mut works: HashMap<Pseudonym, Work> = HashMap::new();
        let mut same = Commit::new();
        for (n, reader) in readers
            .into_iter()
            .filter(|r| !gone.contains(r))
            .enumerate()
        {
            let entry = heard.remove(&reader).unwrap_or_default();
            done.extend(&entry.ids);
            let waited = parked.remove(&reader);
            let Some(work) = self.work(entry, sent.get(&reader), waited, now_ms) else {
                continue;
            };
            if self.judge(reader, &work, sent.get(&reader), now_ms) {
                works.insert(reader, work);
            } else if work.parked {
                same = same.delete(VIEW_PARKED, key(reader));
            }
            if n % 32 == 31 {
                tokio::task::yield_now().await;
            }
        }
        self.pay(&mut works, now_ms, &mut round).await?;
        let waiting = works.len() as i64;
        round.traces.stage("publish", &[("waiting", waiting)]);
        let mut parking = same;
        for (reader, work) in works.iter().filter(|w| w.1.unsaved) {
            let until_ms = now_ms + PROFILE_TTL_S.cast_signed() * 1000;
            parking = parking.put_until(VIEW_PARKED, key(*reader), work.held.encode(), until_ms);
        }
        if !parking.writes.is_empty() {
            retrying(|| self.deps.state.commit(parking.clone())).await?;
        }
        // Everything is written or parked by now.
        if !done.is_empty() {
            Point::ProfilesNoted.pass();
        }
        retrying(|| self.deps.state.outbox_ack(OUTBOX_PROFILES, &done)).await?;
        self.report();
        Ok(round)
    }

    /// The oldest entries by reader, and those that nobody can understand.
    async fn hear(
        &self,
        round: &mut Round,
    ) -> PublisherResult<(BTreeMap<Pseudonym, Heard>, Vec<u64>)> {
        let state = &self.deps.state;
        let records = retrying(|| state.outbox_read(OUTBOX_PROFILES, PROFILES_BATCH)).await?;
        round.worked = records.len();
        let mut heard: BTreeMap<Pseudonym, Heard> = BTreeMap::new();
        let mut refused = Vec::new();
        for r in records {
            round.traces.note(&[], trace_of_key(&r.key));
            let Some((reader, brand)) = parse_dirty_key(&r.key) else {
                self.deps.metrics.refused.fetch_add(1, Relaxed);
                refused.push(r.id);
                continue;
            };
            let h = heard.entry(reader).or_default();
            h.ids.push(r.id);
            // A blob from before a withdrawal is gone with it, one from after it is a new beginning.
            h.withdrawn |= r.value.is_empty();
            h.value = r.value;
            if let Some(b) = brand {
                h.brands.retain(|known| known != b);
                h.brands.insert(0, b.to_owned());
            }
        }
        Ok((heard, refused))
    }

    /// A page of parked readers whom no queue knows: after a restart, or when the queues were full.
    async fn sweep(&mut self) -> PublisherResult<Vec<Pseudonym>> {
        if self.sweep_at > Instant::now() {
            return Ok(Vec::new());
        }
        let (state, after) = (&self.deps.state, self.sweep_after.as_deref());
        let page = retrying(|| state.scan(VIEW_PARKED, b"", after, SWEEP_PAGE)).await?;
        let full = page.len() == SWEEP_PAGE;
        self.sweep_after = page.last().filter(|_| full).map(|e| e.key.clone());
        self.sweep_at = Instant::now() + SWEEP_EVERY;
        let found = page
            .iter()
            .filter_map(|e| <[u8; 16]>::try_from(&e.key[..]).ok());
        Ok(found
            .map(Pseudonym)
            .filter(|r| self.desks.values().all(|d| !d.queue.contains(*r)))
            .collect())
    }

    pub(super) async fn load(
        &self,
        view: &str,
        readers: &[Pseudonym],
    ) -> PublisherResult<HashMap<Pseudonym, Held>> {
        if readers.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<Bytes> = readers.iter().map(|r| key(*r)).collect();
        let values = retrying(|| self.deps.state.multi_get(view, &keys)).await?;
        let pairs = readers.iter().zip(values);
        Ok(pairs
            .filter_map(|(r, v)| Some((*r, Held::decode(&v?)?)))
            .collect())
    }

    /// What of a reader is not with the edges.
    pub(super) fn work(
        &self,
        heard: Heard,
        sent: Option<&Held>,
        parked: Option<Held>,
        now_ms: i64,
    ) -> Option<Work> {
        let unsaved = !heard.value.is_empty();
        let was_parked = parked.is_some();
        let mut held = parked.unwrap_or(Held {
            at_ms: now_ms,
            ..Held::default()
        });
        if unsaved {
            held.blob = heard.value;
        }
        if held.blob.is_empty() {
            return None;
        }
        let profile = blob::decode(&held.blob).ok();
        held.visited(sent.map(|s| s.brands.clone()).unwrap_or_default());
        held.visited(heard.brands);
        if held.brands.is_empty() {
            held.brands = profile
                .map(|p| self.shared.current.brands_of(&p))
                .unwrap_or_default();
        }
        Some(Work {
            held,
            profile,
            unsaved,
            parked: was_parked,
        })
    }

    /// Decides and queues; answers whether the blob is still to be written.
    fn judge(&mut self, reader: Pseudonym, work: &Work, sent: Option<&Held>, now_ms: i64) -> bool {
        let slug = self.desk_of(&work.held.brands).to_owned();
        self.leave(reader);
        let old = sent.and_then(|s| blob::decode(&s.blob).ok());
        let published = Published {
            blob: sent.map_or(&[], |s| &s.blob),
            profile: old.as_ref(),
            written_ms: sent.map(|s| s.at_ms),
        };
        let latest = Latest {
            blob: &work.held.blob,
            profile: work.profile.as_ref(),
            since_ms: work.held.at_ms,
        };
        let metrics = self.deps.metrics.clone();
        let Some(desk) = self.desks.get_mut(&slug) else {
            return true;
        };
        let started = std::time::Instant::now();
        let gated = desk.settings.policy == Policy::RankGated;
        let verdict = if gated && self.gate_time > GATE_TIME_MAX {
            // Freshness is worth more than the price of a write.
            if published.blob == latest.blob {
                Verdict::Same
            } else {
                Verdict::Write {
                    change: 1,
                    why: Why::Hurry,
                }
            }
        } else {
            let stages = match gated {
                true => self.shared.current.stages(&work.held.brands),
                false => Vec::new(),
            };
            decide(
                &desk.settings,
                &stages,
                published,
                latest,
                now_ms,
                &mut self.gate,
            )
        };
        if gated {
            self.gate_time += started.elapsed();
        }
        metrics.decided(&verdict);
        let room = desk.queue.len() < QUEUE_MAX;
        match verdict {
            Verdict::Same => {
                metrics.profiles_unchanged.fetch_add(1, Relaxed);
                return false;
            }
            // Without room the sweep comes back to it.
            Verdict::Wait { until_ms } if room => desk.queue.later(reader, until_ms),
            Verdict::Write { change, .. } if room => {
                let age_ms_max = desk.settings.age_ms_max();
                desk.queue
                    .ready(reader, change, work.held.at_ms, age_ms_max);
            }
            Verdict::Wait { .. } | Verdict::Write { .. } => {}
        }
        true
    }

    fn report(&self) {
        for (slug, desk) in &self.desks {
            self.deps.metrics.of_brand(slug, |b| {
                b.policy = desk.settings.policy.name();
                b.budget_left = desk.bucket.as_ref().map(Bucket::left);
                b.ready = desk.queue.ready_len() as u64;
                b.parked = desk.queue.len() as u64 - b.ready;
            });
        }
        let (distance, n) = self.gate.seen();
        self.deps.metrics.gated(distance, n);
    }
}
