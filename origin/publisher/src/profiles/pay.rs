//! What a round writes and deletes, and what that costs.

use mediaflow_ports::fault::Point;
use mediaflow_ports::{Blob, Commit, Lane};
use mediaflow_shared::id::Pseudonym;
use mediaflow_shared::profile::Profile;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

use super::held::{Held, VIEW_BUDGET, VIEW_PARKED, VIEW_SENT};
use super::lane::{Heard, ProfileLane, Round, Work, key};
use super::profile_key;
use crate::error::PublisherResult;
use crate::limits::{PROFILE_TTL_S, PROFILES_BATCH};
use crate::push::{delete, put, retrying};

/// Seconds until a profile is to be forgotten; `None` once it is.
fn ttl_s(profile: Option<&Profile>, now_ms: i64) -> Option<u64> {
    let Some(day) = profile.map(|p| p.expires_day).filter(|d| *d > 0) else {
        return Some(PROFILE_TTL_S);
    };
    let left_s = (i64::from(day) * 86_400_000 - now_ms) / 1000;
    // Workers KV takes no time to live below a minute.
    (left_s > 0).then(|| left_s.unsigned_abs().clamp(60, PROFILE_TTL_S))
}

impl ProfileLane {
    /// Deletes what was withdrawn, whatever the policy or the budget. Answers who is done with, for this round.
    pub(super) async fn withdraw(
        &mut self,
        heard: &mut BTreeMap<Pseudonym, Heard>,
        sent: &mut HashMap<Pseudonym, Held>,
        parked: &mut HashMap<Pseudonym, Held>,
        round: &mut Round,
    ) -> PublisherResult<HashSet<Pseudonym>> {
        let leaving: Vec<Pseudonym> = heard
            .iter()
            .filter(|h| h.1.withdrawn)
            .map(|h| *h.0)
            .collect();
        let mut undone = HashSet::new();
        if leaving.is_empty() {
            return Ok(undone);
        }
        let failed = self.erase(&leaving, round).await?;
        for reader in leaving {
            sent.remove(&reader);
            parked.remove(&reader);
            if failed.contains(&reader) {
                // Its entries stay in the outbox.
                heard.remove(&reader);
                undone.insert(reader);
            } else {
                let brands = heard.get(&reader).map_or(&[][..], |h| &h.brands);
                let desk = self.desk_of(brands).to_owned();
                self.charge(&desk, true);
            }
        }
        Ok(undone)
    }

    /// Deletes readers' blobs and what is remembered of them; answers whose blobs may still be there.
    async fn erase(
        &mut self,
        readers: &[Pseudonym],
        round: &mut Round,
    ) -> PublisherResult<HashSet<Pseudonym>> {
        let keys = readers.iter().map(|r| profile_key(*r)).collect();
        let outcome = delete(&self.deps, Lane::Profiles, keys).await;
        round.failed |= outcome.can_retry();
        round.pause = round.pause.max(outcome.pause);
        let mut commit = Commit::new();
        let mut failed = HashSet::new();
        for reader in readers {
            self.leave(*reader);
            // What waits must not be written any more, even while the store does not delete.
            commit = commit.delete(VIEW_PARKED, key(*reader));
            match outcome.failed.get(&profile_key(*reader)) {
                Some(true) => drop(failed.insert(*reader)),
                other => {
                    let refused = u64::from(other.is_some());
                    self.deps.metrics.refused.fetch_add(refused, Relaxed);
                    commit = commit.delete(VIEW_SENT, key(*reader));
                }
            }
        }
        retrying(|| self.deps.state.commit(commit.clone())).await?;
        Ok(failed)
    }

    /// Writes whoever goes first, as far as each brand's budget goes. What is written leaves `works`.
    pub(super) async fn pay(
        &mut self,
        works: &mut HashMap<Pseudonym, Work>,
        now_ms: i64,
        round: &mut Round,
    ) -> PublisherResult<()> {
        let mut first: Vec<(String, Pseudonym)> = Vec::new();
        for (slug, desk) in &mut self.desks {
            let afford = desk
                .bucket
                .as_mut()
                .map_or(usize::MAX, |b| b.available(now_ms));
            let taken = desk.queue.take_ready(afford.min(PROFILES_BATCH));
            first.extend(taken.into_iter().map(|r| (slug.clone(), r)));
        }
        let waited: Vec<Pseudonym> = first
            .iter()
            .map(|f| f.1)
            .filter(|r| !works.contains_key(r))
            .collect();
        let sent = self.load(VIEW_SENT, &waited).await?;
        for (reader, held) in self.load(VIEW_PARKED, &waited).await? {
            let heard = Heard::default();
            if let Some(work) = self.work(heard, sent.get(&reader), Some(held), now_ms) {
                works.insert(reader, work);
            }
        }
        let (mut puts, mut expired) = (Vec::new(), Vec::new());
        for (_, reader) in &first {
            let Some(w) = works.get(reader) else { continue };
            match ttl_s(w.profile.as_ref(), now_ms) {
                None => expired.push(*reader),
                ttl_s => puts.push(Blob {
                    ttl_s,
                    ..Blob::new(profile_key(*reader), w.held.blob.clone())
                }),
            }
        }
        if !expired.is_empty() {
            let failed = self.erase(&expired, round).await?;
            works.retain(|r, _| !expired.contains(r) || failed.contains(r));
        }
        let any = !puts.is_empty();
        if any {
            Point::ProfilesJudged.pass();
        }
        let outcome = put(&self.deps, Lane::Profiles, puts).await;
        if any {
            Point::ProfilesWritten.pass();
        }
        round.failed |= outcome.can_retry();
        round.pause = round.pause.max(outcome.pause);
        let mut commit = Commit::new();
        let until_ms = now_ms + PROFILE_TTL_S.cast_signed() * 1000;
        for (slug, reader) in first.iter().filter(|f| !expired.contains(&f.1)) {
            let failed = outcome.failed.get(&profile_key(*reader));
            if failed == Some(&true) {
                self.deps.metrics.of_brand(slug, |b| b.failed += 1);
                // The lane pauses as a whole before it tries again.
                if let (Some(desk), Some(w)) = (self.desks.get_mut(slug), works.get(reader)) {
                    let age_ms_max = desk.settings.age_ms_max();
                    desk.queue.ready(*reader, 65_536, w.held.at_ms, age_ms_max);
                }
                continue;
            }
            let refused = u64::from(failed.is_some());
            self.deps.metrics.refused.fetch_add(refused, Relaxed);
            let Some(work) = works.remove(reader) else {
                continue;
            };
            // Most were never parked; a deletion costs any store as much as a write.
            if work.parked {
                commit = commit.delete(VIEW_PARKED, key(*reader));
            }
            if failed.is_none() {
                let held = Held {
                    at_ms: now_ms,
                    ..work.held
                };
                commit = commit.put_until(VIEW_SENT, key(*reader), held.encode(), until_ms);
                self.charge(slug, false);
            }
        }
        for (slug, desk) in &self.desks {
            if let Some(b) = &desk.bucket {
                let left = [b.left().to_le_bytes(), now_ms.to_le_bytes()].concat();
                commit = commit.put(VIEW_BUDGET, slug.clone(), left);
            }
        }
        if !first.is_empty() {
            retrying(|| self.deps.state.commit(commit.clone())).await?;
        }
        Ok(())
    }

    /// Pays for one write or deletion.
    fn charge(&mut self, slug: &str, deleted: bool) {
        if let Some(desk) = self.desks.get_mut(slug) {
            if let Some(b) = desk.bucket.as_mut() {
                b.spend(1);
            }
            let dollars = desk.settings.dollars(1);
            self.deps.metrics.of_brand(slug, |b| {
                b.dollars += dollars;
                b.deleted += u64::from(deleted);
                b.written += u64::from(!deleted);
            });
        }
    }
}
