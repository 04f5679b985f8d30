//! What an edge holds in memory: fronts, rules and models, refreshed while they are served.
//!
//! Younger than its soft time to live a value is served as it is. Older, it is served and refreshed after the
//! response, by one request at a time. Older than the hard one, a request waits for the refresh within a deadline.
//! A failing store never empties the memory: the last good value stays.

mod profiles;
mod results;
mod shelf;

pub use profiles::Profiles;
pub use results::{Rendered, Results};
pub use shelf::{Held, Shelf, Source};

use crate::config::{Brand, Config, Surface, Ttl};
use crate::deferred::Deferred;
use crate::limits::{CACHE_DEADLINE_MS, KEPT_TTL_S, REFRESH_DEADLINE_MS};
use crate::platform::{Level, Platform, StoreError, within};
use mediaflow_shared::front::Front;
use mediaflow_shared::id::name_hash;
use mediaflow_shared::model::Model;
use mediaflow_shared::rules::Rules;
use mediaflow_shared::wire::WireError;

/// A value's place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Front of the surface in this slot.
    Front(usize),
    /// Rules of the surface in this slot.
    Rules(usize),
    /// Model of the brand in this slot.
    Model(usize),
}

/// Rules with their version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruling {
    /// The rules.
    pub rules: Rules,
    /// Checksum of their value, part of feed ids.
    pub version: u64,
}

/// A value that storage holds.
pub trait Stored: Sized {
    /// Reads a value that was found where `brand` and `surface` belong.
    ///
    /// # Errors
    /// [`WireError`] naming what is wrong.
    fn decode(bytes: Vec<u8>, brand: &Brand, surface: Option<&Surface>) -> Result<Self, WireError>;

    /// Names the value's version.
    fn version(&self) -> u64;

    /// Whether it may replace `held`: storage is eventually consistent and may answer with an older one.
    fn replaces(&self, held: &Self) -> bool;
}

impl Stored for Front {
    fn decode(bytes: Vec<u8>, brand: &Brand, surface: Option<&Surface>) -> Result<Self, WireError> {
        let front = Self::parse(bytes)?;
        let here = surface.map_or(0, |s| name_hash(&s.slug));
        if front.brand() != brand.hash || front.surface() != here {
            return Err(WireError::Malformed {
                what: "front",
                why: "it belongs to another brand or surface".into(),
            });
        }
        Ok(front)
    }

    fn version(&self) -> u64 {
        self.id()
    }

    fn replaces(&self, held: &Self) -> bool {
        self.built() >= held.built()
    }
}

impl Stored for Ruling {
    fn decode(bytes: Vec<u8>, _: &Brand, _: Option<&Surface>) -> Result<Self, WireError> {
        Rules::decode(&bytes).map(|(rules, version)| Self { rules, version })
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn replaces(&self, held: &Self) -> bool {
        self.rules.published_at >= held.rules.published_at
    }
}

impl Stored for Model {
    fn decode(bytes: Vec<u8>, _: &Brand, _: Option<&Surface>) -> Result<Self, WireError> {
        Self::decode(&bytes)
    }

    fn version(&self) -> u64 {
        self.id.into()
    }

    fn replaces(&self, _: &Self) -> bool {
        true
    }
}

/// Everything held.
#[derive(Debug)]
pub struct Memory {
    /// By surface.
    pub fronts: Shelf<Front>,
    /// By surface.
    pub rules: Shelf<Ruling>,
    /// By brand.
    pub models: Shelf<Model>,
    /// By reader, for a moment.
    pub profiles: Profiles,
    /// Rendered shared feeds.
    pub results: Results,
}

impl Memory {
    /// Empty memory for a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            fronts: Shelf::new(config.surfaces()),
            rules: Shelf::new(config.surfaces()),
            models: Shelf::new(config.brands.len()),
            profiles: Profiles::default(),
            results: Results::default(),
        }
    }

    /// The front of a surface.
    pub async fn front<P: Platform>(
        &self,
        platform: &P,
        config: &Config,
        brand: &Brand,
        surface: &Surface,
        later: &mut Vec<Deferred>,
    ) -> Held<Front> {
        let entry = Entry {
            place: Place::Front(surface.slot),
            key: &surface.front_key,
            brand,
            surface: Some(surface),
            ttl: config.front_ttl,
            kept: true,
        };
        hold(&self.fronts, platform, config, &entry, later).await
    }

    /// The rules of a surface.
    pub async fn rules<P: Platform>(
        &self,
        platform: &P,
        config: &Config,
        brand: &Brand,
        surface: &Surface,
        later: &mut Vec<Deferred>,
    ) -> Held<Ruling> {
        let entry = Entry {
            place: Place::Rules(surface.slot),
            key: &surface.rules_key,
            brand,
            surface: Some(surface),
            ttl: config.rules_ttl,
            kept: true,
        };
        hold(&self.rules, platform, config, &entry, later).await
    }

    /// The model of a brand.
    pub async fn model<P: Platform>(
        &self,
        platform: &P,
        config: &Config,
        brand: &Brand,
        later: &mut Vec<Deferred>,
    ) -> Held<Model> {
        let entry = Entry {
            place: Place::Model(brand.slot),
            key: &brand.model_key,
            brand,
            surface: None,
            ttl: config.model_ttl,
            kept: false,
        };
        hold(&self.models, platform, config, &entry, later).await
    }

    /// Reads a value again, after a response.
    pub async fn refresh<P: Platform>(&self, platform: &P, config: &Config, place: Place) {
        let deadline_ms = REFRESH_DEADLINE_MS;
        match place {
            Place::Front(slot) | Place::Rules(slot) => {
                let Some((brand, surface)) = config.surface_at(slot) else {
                    return;
                };
                let front = matches!(place, Place::Front(_));
                let entry = Entry {
                    place,
                    key: if front {
                        &surface.front_key
                    } else {
                        &surface.rules_key
                    },
                    brand,
                    surface: Some(surface),
                    ttl: config.front_ttl,
                    kept: true,
                };
                let kept = if front {
                    fetch(&self.fronts, platform, &entry, deadline_ms).await
                } else {
                    fetch(&self.rules, platform, &entry, deadline_ms).await
                };
                if let Some((url, bytes)) = kept {
                    keep(platform, &url, bytes).await;
                }
            }
            Place::Model(slot) => {
                let Some(brand) = config.brands.get(slot) else {
                    return;
                };
                let entry = Entry {
                    place,
                    key: &brand.model_key,
                    brand,
                    surface: None,
                    ttl: config.model_ttl,
                    kept: false,
                };
                fetch(&self.models, platform, &entry, deadline_ms).await;
            }
        }
    }
}

/// Puts a last good value into the edge cache.
pub async fn keep<P: Platform>(platform: &P, url: &str, bytes: Vec<u8>) {
    match within(
        platform,
        REFRESH_DEADLINE_MS,
        platform.cache_put(url, bytes, KEPT_TTL_S),
    )
    .await
    {
        Ok(()) | Err(StoreError::Absent(_)) => {}
        Err(e) => platform.log(Level::Warn, &format!("edge cache: put {url}: {e}")),
    }
}

struct Entry<'a> {
    place: Place,
    key: &'a str,
    brand: &'a Brand,
    surface: Option<&'a Surface>,
    ttl: Ttl,
    kept: bool,
}

fn kept_url(key: &str) -> String {
    // A name that resolves nowhere: the cache only compares it.
    format!("https://mediaflow.invalid/kept/{key}")
}

async fn hold<P: Platform, T: Stored>(
    shelf: &Shelf<T>,
    platform: &P,
    config: &Config,
    entry: &Entry<'_>,
    later: &mut Vec<Deferred>,
) -> Held<T> {
    let (Place::Front(slot) | Place::Rules(slot) | Place::Model(slot)) = entry.place;
    match shelf.look(slot, platform.now_ms(), entry.ttl) {
        shelf::Look::Serve { held, refresh } => {
            if refresh {
                later.push(Deferred::Refresh(entry.place));
            }
            return held;
        }
        shelf::Look::Ask => {}
    }
    if let Some((url, bytes)) = fetch(shelf, platform, entry, config.kv_deadline_ms).await {
        later.push(Deferred::Keep(url, bytes));
    }
    let held = shelf.held(slot, platform.now_ms(), entry.ttl);
    if held.source == Source::Nothing && entry.kept && platform.caches() {
        recall(shelf, platform, entry, slot).await;
        return shelf.held(slot, platform.now_ms(), entry.ttl);
    }
    held
}

/// Asks the store once; answers what should be kept in the edge cache, if anything.
async fn fetch<P: Platform, T: Stored>(
    shelf: &Shelf<T>,
    platform: &P,
    entry: &Entry<'_>,
    deadline_ms: u32,
) -> Option<(String, Vec<u8>)> {
    let (Place::Front(slot) | Place::Rules(slot) | Place::Model(slot)) = entry.place;
    let answer = within(platform, deadline_ms, platform.kv_get(entry.key)).await;
    let now_ms = platform.now_ms();
    let fail = |why: &dyn core::fmt::Display| {
        shelf.failed(slot, now_ms);
        platform.log(Level::Warn, &format!("storage: {}: {why}", entry.key));
    };
    match answer {
        Ok(None) => shelf.absent(slot, now_ms),
        Ok(Some(bytes)) => {
            let copy = (entry.kept && platform.caches()).then(|| bytes.clone());
            match T::decode(bytes, entry.brand, entry.surface) {
                Ok(value) => {
                    if shelf.store(slot, value, now_ms) {
                        return copy.map(|c| (kept_url(entry.key), c));
                    }
                }
                Err(e) => fail(&e),
            }
        }
        Err(e) => fail(&e),
    }
    None
}

/// Takes the last good value from the edge cache, where memory and store have none.
async fn recall<P: Platform, T: Stored>(
    shelf: &Shelf<T>,
    platform: &P,
    entry: &Entry<'_>,
    slot: usize,
) {
    let url = kept_url(entry.key);
    if let Ok(Some(bytes)) = within(platform, CACHE_DEADLINE_MS, platform.cache_get(&url)).await {
        match T::decode(bytes, entry.brand, entry.surface) {
            Ok(value) => shelf.recalled(slot, value, platform.now_ms()),
            Err(e) => platform.log(Level::Warn, &format!("edge cache: {url}: {e}")),
        }
    }
}
