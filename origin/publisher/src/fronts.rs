//! Fronts: rebuilt on a beat and soon after content changes, published when they say something new.

use bytes::Bytes;
use mediaflow_ports::{Blob, Lane};
use mediaflow_shared::front::build::{FrontError, Head, Item, encode};
use mediaflow_shared::front::{FRAME, Front, NEIGHBOURS};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::LANES;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::candidates::select;
use crate::error::PublisherResult;
use crate::index::{Index, Live, TOPIC_CONTENT};
use crate::limits::{DEBOUNCE, EMBARGO_AHEAD_MIN, FRONT_RETRY, SIGNALS_EVERY};
use crate::push::{news, put, stopped, stopping};
use crate::settings::{BrandSettings, SurfaceSettings};
use crate::stream::Signals;
use crate::{PublisherDeps, Shared};

/// The key of a front.
#[must_use]
pub fn front_key(brand: &str, surface: &str) -> String {
    format!("f/{brand}/{surface}")
}

/// Epoch and scales of a trained basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Basis {
    /// Model epoch of the lanes.
    pub epoch: u16,
    /// Q8 scale of V.
    pub v_scale: u16,
    /// Q8 scale of P.
    pub p_scale: u16,
}

/// Learned vectors of items, once a model was trained. A front has them for all its items or for none.
pub trait LearnedVectors: Send + Sync + 'static {
    /// The basis in force for a brand, if any.
    fn basis(&self, brand: &str) -> Option<Basis>;

    /// Candidate vector V and read vector P of an item.
    fn vectors(&self, brand: &str, content: ContentId) -> Option<([i8; LANES], [i8; LANES])>;
}

/// What edges have, as far as we know.
struct Published {
    built: Minute,
    bytes: Bytes,
}

pub(crate) struct Fronts {
    deps: PublisherDeps,
    shared: std::sync::Arc<Shared>,
    index: Index,
    published: HashMap<String, Published>,
    signals: HashMap<String, (Instant, Signals)>,
    /// Brands to rebuild, and when.
    due: BTreeMap<String, Instant>,
}

impl Fronts {
    pub async fn open(
        deps: PublisherDeps,
        shared: std::sync::Arc<Shared>,
    ) -> PublisherResult<Self> {
        let slugs = shared.settings.brands.iter().map(|b| b.slug.as_str());
        let index = Index::open(&deps, slugs).await?;
        let now = Instant::now();
        let due = shared
            .settings
            .brands
            .iter()
            .map(|b| (b.slug.clone(), now))
            .collect();
        Ok(Self {
            deps,
            shared,
            index,
            published: HashMap::new(),
            signals: HashMap::new(),
            due,
        })
    }

    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> PublisherResult<()> {
        let mut appended = self.deps.log.watch(TOPIC_CONTENT).ok();
        while !stopping(&shutdown) {
            if let Some(a) = &mut appended {
                a.borrow_and_update();
            }
            self.hear().await?;
            let now = Instant::now();
            let ready: Vec<String> = self
                .due
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(b, _)| b.clone())
                .collect();
            for brand in ready {
                self.rebuild(&brand).await?;
            }
            let Some(next) = self.due.values().min().copied() else {
                return Ok(());
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = appends(appended.as_mut()) => {}
                () = self.shared.board.fronts_wake.notified() => {}
                () = stopped(&mut shutdown) => {}
            }
        }
        Ok(())
    }

    /// Takes in changed articles and takedowns, and brings their brands' next rebuild forward.
    async fn hear(&mut self) -> PublisherResult<()> {
        let mut brands: HashSet<String> = self.shared.board.take_stale_fronts();
        for c in self.index.follow(&self.deps).await? {
            self.shared.board.article_changed(c.content);
            brands.insert(c.brand);
        }
        let soon = Instant::now() + DEBOUNCE;
        for brand in brands {
            if let Some(at) = self.due.get_mut(&brand) {
                *at = (*at).min(soon);
            }
        }
        Ok(())
    }

    async fn rebuild(&mut self, slug: &str) -> PublisherResult<()> {
        let shared = self.shared.clone();
        let Some(brand) = shared.settings.brands.iter().find(|b| b.slug == slug) else {
            return Ok(());
        };
        let fresh = self
            .signals
            .get(slug)
            .is_some_and(|(at, _)| at.elapsed() < SIGNALS_EVERY);
        if !fresh {
            let read = Signals::read(&self.deps, slug).await?;
            self.signals.insert(slug.to_owned(), (Instant::now(), read));
        }
        let now_ms = self.deps.clock.now_ms();
        let mut taken = true;
        for surface in &brand.surfaces {
            taken &= self
                .rebuild_surface(brand, surface, Timestamp(now_ms).minute())
                .await?;
        }
        let pause = if taken {
            shared.settings.rebuild_every()
        } else {
            FRONT_RETRY
        };
        self.due.insert(slug.to_owned(), Instant::now() + pause);
        self.report();
        Ok(())
    }

    /// Builds one front and publishes it if it is new; answers whether edges have what they should have.
    async fn rebuild_surface(
        &mut self,
        brand: &BrandSettings,
        surface: &SurfaceSettings,
        now: Minute,
    ) -> PublisherResult<bool> {
        let key = front_key(&brand.slug, &surface.slug);
        let age_h_max = brand.model.age_h_max.unwrap_or(Model::default().age_h_max);
        let takedowns = self.shared.board.takedowns(&brand.slug);
        let limits = (u32::from(age_h_max) * 60, EMBARGO_AHEAD_MIN);
        let live: Vec<&Live> = self
            .index
            .eligible(&brand.slug, &takedowns, now, limits)
            .collect();
        let none = Signals::default();
        let signals = self.signals.get(&brand.slug).map_or(&none, |s| &s.1);
        let mut items = select(surface, &live, signals, now);
        let basis = learned(self.shared.learned.as_deref(), &brand.slug, &mut items);
        let head = |built| Head {
            brand: &brand.slug,
            surface: &surface.slug,
            built,
            epoch: basis.epoch,
            v_scale: basis.v_scale,
            p_scale: basis.p_scale,
        };
        if let Some(p) = self.published.get(&key) {
            let refresh_min = (self.shared.settings.rebuild_every_s / 60).max(1) as u32;
            let same = fit(&head(p.built), &items, &key).is_some_and(|b| b == p.bytes);
            if same && now.since(p.built) < refresh_min {
                self.deps.metrics.fronts_unchanged.fetch_add(1, Relaxed);
                return Ok(true);
            }
        }
        let Some(bytes) = fit(&head(now), &items, &key) else {
            return Ok(false);
        };
        let Ok((_, version)) = FRAME.open("front", &bytes) else {
            return Ok(false);
        };
        let bytes = Bytes::from(bytes);
        let archive = &self.shared.archive;
        archive.hold_front(&self.deps, version, &bytes).await?;
        let outcome = put(
            &self.deps,
            Lane::Fronts,
            vec![Blob::new(&key, bytes.clone())],
        )
        .await;
        if !outcome.failed.is_empty() {
            return Ok(false);
        }
        if let Ok(front) = Front::parse(bytes.to_vec()) {
            let current = &self.shared.current;
            current.set_front(&brand.slug, &surface.slug, front);
        }
        self.published.insert(key, Published { built: now, bytes });
        Ok(true)
    }

    fn report(&self) {
        let oldest = self.published.values().map(|p| p.built).min();
        let oldest_ms = oldest.map_or(0, |m| m.start().0);
        self.deps.metrics.oldest_front_ms.store(oldest_ms, Relaxed);
        let items: usize = self
            .published
            .values()
            .map(|p| mediaflow_shared::wire::u16_at(&p.bytes, mediaflow_shared::wire::HEADER_BYTES))
            .map(usize::from)
            .sum();
        self.deps.metrics.candidates.store(items as u64, Relaxed);
    }
}

/// Waits for the next append; for ever without a topic.
async fn appends(topic: Option<&mut watch::Receiver<u64>>) {
    match topic {
        Some(t) => news(t).await,
        None => std::future::pending().await,
    }
}

/// Gives every item its vectors, if there is a basis. Items the model has not seen get zeros: nothing learned is known.
fn learned(provider: Option<&dyn LearnedVectors>, brand: &str, items: &mut [Item]) -> Basis {
    let Some((provider, basis)) = provider.and_then(|p| Some((p, p.basis(brand)?))) else {
        return Basis::default();
    };
    for item in items {
        let vectors = provider.vectors(brand, item.content);
        item.learned = Some(Box::new(vectors.unwrap_or(([0; LANES], [0; LANES]))));
    }
    basis
}

/// Writes a front; one that is too large loses its least popular, oldest items until it fits.
fn fit(head: &Head<'_>, items: &[Item], key: &str) -> Option<Vec<u8>> {
    let mut items = items.to_vec();
    loop {
        match encode(head, items.clone()) {
            Ok(bytes) => return Some(bytes),
            Err(FrontError::TooLarge(n)) if items.len() > NEIGHBOURS => {
                tracing::warn!(
                    key,
                    bytes = n,
                    items = items.len(),
                    "front too large; cutting it"
                );
                items.sort_by_key(|i| std::cmp::Reverse((i.decay_slow, i.published, i.content)));
                items.truncate(items.len() * 3 / 4);
            }
            Err(e) => {
                tracing::error!(key, error = %e, "front cannot be written");
                return None;
            }
        }
    }
}
