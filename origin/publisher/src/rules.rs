//! Rules: what the admin API publishes goes to the edges at once, in its own lane.
//!
//! The admin API writes the outbox `rules.publish` (key `brand/surface`, value [`Rules::encode`]). Here pins get the
//! cards of their items, and a takedown on one surface becomes one on every surface of the brand.

use bytes::Bytes;
use mediaflow_ports::{Blob, Commit, Lane};
use mediaflow_shared::candidate;
use mediaflow_shared::content::{Content, Status};
use mediaflow_shared::id::{ContentId, check_slug};
use mediaflow_shared::rules::{Action, FRAME, PinnedItem, Rules};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::archive::{VIEW_RULES, version_key};
use crate::error::PublisherResult;
use crate::index::VIEW_CONTENT;
use crate::limits::{PAGE, RULES_POLL};
use crate::push::{Patience, news, put, retrying, stopped, stopping};
use crate::{PublisherDeps, Shared};

/// The outbox the admin API writes.
pub const OUTBOX_RULES: &str = "rules.publish";
/// Rules as the admin API gave them, by `brand/surface`: what takedowns are gathered from after a restart.
const VIEW_SUBMITTED: &str = "publisher.rules";

/// The key of a surface's rules.
#[must_use]
pub fn rules_key(brand: &str, surface: &str) -> String {
    format!("r/{brand}/{surface}")
}

/// Publishes rules.
pub struct RulesPublisher {
    deps: PublisherDeps,
    shared: Arc<Shared>,
    /// As submitted, by brand and surface.
    submitted: BTreeMap<(String, String), Rules>,
    /// Surfaces whose value at the edges is not the newest.
    waiting: BTreeSet<(String, String)>,
    /// Hash of what was published.
    published: HashMap<(String, String), u64>,
}

impl RulesPublisher {
    /// Opens where the last process left off.
    ///
    /// # Errors
    /// When the store refuses.
    pub(crate) async fn open(deps: PublisherDeps, shared: Arc<Shared>) -> PublisherResult<Self> {
        let mut submitted = BTreeMap::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page =
                retrying(|| deps.state.scan(VIEW_SUBMITTED, b"", after.as_deref(), PAGE)).await?;
            for e in &page {
                if let (Some(at), Ok((rules, _))) = (parse_key(&e.key), Rules::decode(&e.value)) {
                    submitted.insert(at, rules);
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => break,
            }
        }
        // Every surface has rules, if only empty ones, so that an edge can tell "none" from "not readable".
        for b in &shared.settings.brands {
            for s in &b.surfaces {
                submitted
                    .entry((b.slug.clone(), s.slug.clone()))
                    .or_default();
            }
        }
        let waiting = submitted.keys().cloned().collect();
        let this = Self {
            deps,
            shared,
            submitted,
            waiting,
            published: HashMap::new(),
        };
        this.post();
        Ok(this)
    }

    /// Takes new rules of a surface in and publishes them, with whatever they change on other surfaces of the brand.
    /// What the store does not take is tried again by [`Self::flush`].
    ///
    /// # Errors
    /// When the state store refuses.
    pub async fn publish_rules(
        &mut self,
        brand: &str,
        surface: &str,
        rules: Rules,
    ) -> PublisherResult<bool> {
        self.submit(brand, surface, rules).await?;
        self.flush().await.map(|failed| failed.is_none())
    }

    async fn submit(&mut self, brand: &str, surface: &str, rules: Rules) -> PublisherResult<()> {
        let at = (brand.to_owned(), surface.to_owned());
        let commit =
            Commit::new().put(VIEW_SUBMITTED, format!("{brand}/{surface}"), rules.encode());
        retrying(|| self.deps.state.commit(commit.clone())).await?;
        let before = self.takedowns(brand);
        self.submitted.insert(at.clone(), rules);
        self.waiting.insert(at);
        if self.takedowns(brand) != before {
            let others = self.submitted.keys().filter(|k| k.0 == brand);
            self.waiting.extend(others.cloned().collect::<Vec<_>>());
        }
        self.post();
        Ok(())
    }

    fn takedowns(&self, brand: &str) -> BTreeSet<ContentId> {
        let of_brand = self.submitted.iter().filter(|(k, _)| k.0 == brand);
        of_brand
            .flat_map(|(_, r)| r.takedowns.iter().copied())
            .collect()
    }

    /// Tells the fronts what is taken down, and which articles matter to us.
    fn post(&self) {
        let brands: BTreeSet<&str> = self.submitted.keys().map(|k| k.0.as_str()).collect();
        for brand in brands {
            self.shared
                .board
                .set_takedowns(brand, self.takedowns(brand));
        }
        let pinned = self.submitted.values().flat_map(pins).collect();
        self.shared.board.set_pinned(pinned);
    }

    /// Publishes every surface that waits; answers how long the store asks to be left alone when one still does.
    async fn flush(&mut self) -> PublisherResult<Option<Option<std::time::Duration>>> {
        let mut blobs = Vec::new();
        let mut versions = HashMap::new();
        let waiting: Vec<_> = self.waiting.iter().cloned().collect();
        for at in waiting {
            let bytes = self.complete(&at).await?;
            let Ok((_, version)) = FRAME.open("rules", &bytes) else {
                continue;
            };
            if self.published.get(&at) == Some(&version) {
                self.waiting.remove(&at);
                continue;
            }
            if let Ok((rules, _)) = Rules::decode(&bytes) {
                self.shared.current.set_rules(&at.0, &at.1, rules);
            }
            let key = rules_key(&at.0, &at.1);
            let archived = (VIEW_RULES, version_key(version), bytes.clone());
            self.shared.archive.hold(&self.deps, &key, archived).await?;
            blobs.push(Blob::new(&key, bytes));
            versions.insert(key, (at, version));
        }
        let outcome = put(&self.deps, Lane::Rules, blobs).await;
        for (key, (at, version)) in versions {
            match outcome.failed.get(&key) {
                Some(true) => {}
                Some(false) => {
                    self.deps.metrics.refused.fetch_add(1, Relaxed);
                    self.waiting.remove(&at);
                }
                None => {
                    self.published.insert(at.clone(), version);
                    self.waiting.remove(&at);
                }
            }
        }
        Ok(outcome.can_retry().then_some(outcome.pause))
    }

    /// The value edges read: with cards of pinned items, and the brand's takedowns.
    async fn complete(&self, at: &(String, String)) -> PublisherResult<Bytes> {
        let mut rules = self.submitted.get(at).cloned().unwrap_or_default();
        let takedowns = self.takedowns(&at.0);
        let ids: BTreeSet<ContentId> = pins(&rules).filter(|c| !takedowns.contains(c)).collect();
        let keys: Vec<Bytes> = ids
            .iter()
            .map(|c| Bytes::copy_from_slice(&c.0.to_be_bytes()))
            .collect();
        let found = retrying(|| self.deps.state.multi_get(VIEW_CONTENT, &keys)).await?;
        rules.pinned = found
            .into_iter()
            .flatten()
            .filter_map(|json| serde_json::from_slice::<Content>(&json).ok())
            // Another brand's article may be pinned; one that is withdrawn may not.
            .filter(|c| c.status == Status::Published)
            .map(|c| PinnedItem::of(&candidate::from_content(&c)))
            .collect();
        rules.pinned.sort_by_key(|p| p.content);
        rules.takedowns = takedowns.into_iter().collect();
        Ok(rules.encode().into())
    }

    /// Publishes until told to stop. An entry stays in the outbox until its rules are with the edges' store.
    pub(crate) async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> PublisherResult<()> {
        let mut woken = self.deps.state.outbox_watch(OUTBOX_RULES)?;
        let mut patience = Patience::default();
        // What this process has submitted but not acknowledged, so as not to submit it again with every retry.
        let mut taken: HashSet<u64> = HashSet::new();
        while !stopping(&shutdown) {
            woken.borrow_and_update();
            let records = retrying(|| self.deps.state.outbox_read(OUTBOX_RULES, PAGE)).await?;
            for r in records.iter().filter(|r| !taken.contains(&r.id)) {
                match (parse_key(&r.key), Rules::decode(&r.value)) {
                    (Some((brand, surface)), Ok((rules, _))) => {
                        self.submit(&brand, &surface, rules).await?;
                    }
                    (at, rules) => {
                        self.deps.metrics.refused.fetch_add(1, Relaxed);
                        let error = rules.err().map(|e| e.to_string());
                        tracing::error!(?at, error, "rules cannot be read; not published");
                    }
                }
            }
            taken.extend(records.iter().map(|r| r.id));
            let stale = self.shared.board.take_stale_pins();
            let pinned_stale = |r: &Rules| pins(r).any(|c| stale.contains(&c));
            let again: Vec<_> = self
                .submitted
                .iter()
                .filter(|(_, r)| pinned_stale(r))
                .map(|(k, _)| k.clone())
                .collect();
            self.waiting.extend(again);
            if let Some(pause) = self.flush().await? {
                self.deps
                    .metrics
                    .lane(Lane::Rules)
                    .retries
                    .fetch_add(1, Relaxed);
                patience.wait(pause, &mut shutdown).await;
                continue;
            }
            patience.reset();
            let done: Vec<u64> = records.iter().map(|r| r.id).collect();
            if !done.is_empty() {
                retrying(|| self.deps.state.outbox_ack(OUTBOX_RULES, &done)).await?;
                taken.clear();
                continue;
            }
            tokio::select! {
                () = news(&mut woken) => {}
                () = self.shared.board.rules_wake.notified() => {}
                () = sleep(RULES_POLL) => {}
                () = stopped(&mut shutdown) => {}
            }
        }
        Ok(())
    }
}

fn pins(rules: &Rules) -> impl Iterator<Item = ContentId> + '_ {
    rules.rules.iter().filter_map(|r| match r.action {
        Action::Pin { content, .. } => Some(content),
        _ => None,
    })
}

fn parse_key(key: &[u8]) -> Option<(String, String)> {
    let (brand, surface) = std::str::from_utf8(key).ok()?.split_once('/')?;
    check_slug(brand).ok()?;
    check_slug(surface).ok()?;
    Some((brand.to_owned(), surface.to_owned()))
}
