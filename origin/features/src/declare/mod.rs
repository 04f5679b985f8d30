//! Every feature, declared once: what it is, from what it is counted, over which window, and how its value is read
//! from a state. The stream, `mediaflow features replay` and parity all go through [`evaluate`], so what was served
//! can be computed again from the log.
//!
//! [`all`] lists the definitions ([`definitions`]), [`CONSUMERS`] who reads them, [`check`] holds the two against each
//! other and against what an earlier start wrote down. A state becomes what it is by its own pure `fold`; states of one
//! entity add up by `merge`.
//!
//! What it never does: ask for the time, read a store.

mod check;
mod consumers;
mod definitions;
mod docs;
mod value;
mod views;
mod window;

use mediaflow_shared::event::EventType;
use mediaflow_shared::id::name_hash;
use mediaflow_shared::time::Timestamp;
use std::sync::LazyLock;
use std::time::Duration;

pub use check::{CheckError, Fingerprint, check, check_stored, fingerprints};
pub use consumers::{CONSUMERS, Consumer, Need};
pub use docs::page;
pub use value::{Value, ValueType};
pub use views::{
    Placement, VIEW_AD, VIEW_BRAND, VIEW_CLOCK, VIEW_CONSUMERS, VIEW_DEFINITIONS, VIEW_FOLDS,
    VIEW_ITEM, VIEW_REACH, VIEW_SEEN, VIEW_TOP, VIEWS, View, of_entity, plans,
};
pub use window::Window;

use crate::activity::{SessionRule, SessionState};
use crate::entity::{AdState, BrandState, ItemState};
use crate::reader::ReaderState;

/// What a feature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    /// A reader, by pseudonym.
    Reader,
    /// An item, by content id.
    Content,
    /// An ad, by its id.
    Ad,
    /// A reader's newest session, by pseudonym.
    Session,
    /// A brand, by slug.
    Brand,
}

impl Entity {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Reader,
        Self::Content,
        Self::Ad,
        Self::Session,
        Self::Brand,
    ];

    /// As it is written in paths and names.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Content => "content",
            Self::Ad => "ad",
            Self::Session => "session",
            Self::Brand => "brand",
        }
    }
}

/// How fresh a feature is (S0-12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// Told by the publisher; changes with an identify event.
    Static,
    /// Over hours to weeks.
    Batch,
    /// Of the last event.
    RealTime,
    /// Of the moment it is read in.
    Contextual,
}

impl Tier {
    /// As it is written in answers and metrics.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Batch => "batch",
            Self::RealTime => "real-time",
            Self::Contextual => "contextual",
        }
    }
}

/// One feature.
#[derive(Debug, Clone)]
pub struct FeatureDefinition {
    /// Unique within its entity, `[a-z0-9_]`.
    pub name: String,
    /// What it is about.
    pub entity: Entity,
    /// What its value means.
    pub kind: ValueType,
    /// The window it is counted over; `None`: since the beginning, or of the moment.
    pub window: Option<Window>,
    /// Its value for an entity nothing is known of.
    pub default: Value,
    /// How fresh it is.
    pub tier: Tier,
    /// Who answers for it.
    pub owner: &'static str,
    /// What it says, in a sentence.
    pub description: String,
    /// How long its value may be used after the entity's last event; `None`: as long as the state is kept.
    pub ttl: Option<Duration>,
    /// Raised when its meaning changes.
    pub version: u16,
    /// The kinds of event that feed it; empty for what depends on the moment alone.
    pub reads: &'static [EventType],
    pub(crate) value: Evaluate,
    /// What distinguishes it from its siblings: a place in a table.
    pub(crate) slot: usize,
}

impl FeatureDefinition {
    /// `entity.name`, unique.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.entity.slug(), self.name)
    }

    /// The blobs, models and views that read it.
    #[must_use]
    pub fn read_by(&self) -> Vec<&'static str> {
        let reads = |c: &&Consumer| {
            c.needs
                .iter()
                .any(|n| n.entity == self.entity && n.name == self.name)
        };
        CONSUMERS.iter().filter(reads).map(|c| c.name).collect()
    }
}

/// What a value is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Evaluate {
    Reader(fn(&ReaderState, &Ask<'_>) -> Value),
    Content(fn(&ItemState, &Ask<'_>) -> Value),
    Ad(fn(&AdState, &Ask<'_>) -> Value),
    Session(fn(&SessionState, &Ask<'_>) -> Value),
    Brand(fn(&BrandState, &Ask<'_>) -> Value),
}

/// The state of an entity, all partitions' parts added up.
#[derive(Debug, Clone, Copy)]
pub enum EntityState<'a> {
    /// Of a reader.
    Reader(&'a ReaderState),
    /// Of an item.
    Content(&'a ItemState),
    /// Of an ad.
    Ad(&'a AdState),
    /// Of a reader, for the newest session.
    Session(&'a ReaderState),
    /// Of a brand.
    Brand(&'a BrandState),
}

impl EntityState<'_> {
    /// Which entity it is of.
    #[must_use]
    pub const fn entity(&self) -> Entity {
        match self {
            Self::Reader(_) => Entity::Reader,
            Self::Content(_) => Entity::Content,
            Self::Ad(_) => Entity::Ad,
            Self::Session(_) => Entity::Session,
            Self::Brand(_) => Entity::Brand,
        }
    }
}

/// Names that states know by hash only, in the order of their one-hot features.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    /// Brand slugs; the first twelve have one-hot features.
    pub brands: Vec<String>,
    /// Where sessions are cut.
    pub session: SessionRule,
}

impl Vocabulary {
    /// The brand of a [`name_hash`].
    #[must_use]
    pub fn brand(&self, hash: u32) -> Option<&str> {
        self.brands
            .iter()
            .find(|b| name_hash(b) == hash)
            .map(String::as_str)
    }
}

/// What a value is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub now: Timestamp,
    pub window: Option<Window>,
    pub slot: usize,
    /// The gap that ends a session, seconds.
    pub gap_s: u32,
    pub words: &'a Vocabulary,
}

/// Every definition, by entity and then in the order of the documentation.
#[must_use]
pub fn all() -> &'static [FeatureDefinition] {
    static ALL: LazyLock<Vec<FeatureDefinition>> = LazyLock::new(definitions::every);
    &ALL
}

/// The definitions of one entity, in the order of [`evaluate`]'s values.
#[must_use]
pub fn of(entity: Entity) -> &'static [FeatureDefinition] {
    let from = all().partition_point(|d| d.entity < entity);
    let to = all().partition_point(|d| d.entity <= entity);
    &all()[from..to]
}

/// A definition by name.
#[must_use]
pub fn find(entity: Entity, name: &str) -> Option<&'static FeatureDefinition> {
    of(entity).iter().find(|d| d.name == name)
}

/// The values of all features of the state's entity as of `now`: one for each of [`of`], in its order. What is
/// missing has its default.
#[must_use]
pub fn evaluate(state: EntityState<'_>, now: Timestamp, words: &Vocabulary) -> Vec<Value> {
    let session = match state {
        EntityState::Session(r) => r.activity.sessions.newest(),
        _ => None,
    };
    let value = |d: &FeatureDefinition| {
        let ask = Ask {
            now,
            window: d.window,
            slot: d.slot,
            gap_s: words.session.gap_s,
            words,
        };
        let value = match (d.value, state) {
            (Evaluate::Reader(f), EntityState::Reader(s)) => f(s, &ask),
            (Evaluate::Content(f), EntityState::Content(s)) => f(s, &ask),
            (Evaluate::Ad(f), EntityState::Ad(s)) => f(s, &ask),
            (Evaluate::Session(f), EntityState::Session(_)) => {
                session.map_or(Value::Missing, |s| f(s, &ask))
            }
            (Evaluate::Brand(f), EntityState::Brand(s)) => f(s, &ask),
            // A definition is evaluated on its own entity alone; `of` has no other.
            _ => Value::Missing,
        };
        match value {
            Value::Missing => d.default.clone(),
            value => value,
        }
    };
    of(state.entity()).iter().map(value).collect()
}

#[cfg(test)]
mod tests;
