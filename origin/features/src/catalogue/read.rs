//! Values of one entity: load its state, evaluate it as of now, say how fresh it is.

use bytes::Bytes;
use mediaflow_ports::{Clock, EventLog, PortError, PortResult, StateStore, partition_of};
use mediaflow_shared::id::{ContentId, Pseudonym, check_slug};
use mediaflow_shared::signals::VIEW_READER;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::wire::WireError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use thiserror::Error;

use super::list::{self, Outside};
use crate::clock::EventClock;
use crate::declare::{
    self, Entity, EntityState, FeatureDefinition, VIEW_AD, VIEW_BRAND, VIEW_CLOCK, VIEW_ITEM,
    VIEW_REACH, VIEW_TOP, Value, Vocabulary,
};
use crate::entity::{AdState, BrandCounts, BrandState, ItemState, Stored};
use crate::keys;
use crate::limits::{AD_BYTES_MAX, BRAND_DAYS_READ, BRAND_HOURS_READ, SNAPSHOT_TRIES};
use crate::reader::ReaderState;
use crate::{CONSUMER, TOPIC_EVENTS, ad_key};

/// Why values could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// No entity of that name.
    #[error("{0:?} is no entity; use reader, session, content, ad or brand")]
    Entity(String),
    /// An id of another form.
    #[error("{id:?} is not the id of a {entity}; {form}")]
    Id {
        /// What was asked for.
        entity: &'static str,
        /// As it came, cut.
        id: String,
        /// What it looks like.
        form: &'static str,
    },
    /// No feature of that name.
    #[error("{0:?} is not a feature of this entity; GET /features lists them")]
    Name(String),
    /// Commits kept coming between two looks.
    #[error("the states changed while they were read; ask again")]
    Changing,
    /// A store or the log failed.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A state of another release, or damaged.
    #[error(transparent)]
    Stored(#[from] WireError),
}

/// An entity, named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Reader(Entity, Pseudonym),
    Content(ContentId),
    Ad(String),
    Brand(String),
}

impl Subject {
    pub fn parse(entity: &str, id: &str) -> Result<Self, ReadError> {
        let kind = Entity::ALL
            .into_iter()
            .find(|e| e.slug() == entity)
            .ok_or_else(|| ReadError::Entity(entity.chars().take(40).collect()))?;
        let bad = |form| ReadError::Id {
            entity: kind.slug(),
            id: id.chars().take(80).collect(),
            form,
        };
        Ok(match kind {
            Entity::Reader | Entity::Session => Self::Reader(
                kind,
                Pseudonym::parse(id)
                    .ok()
                    .ok_or_else(|| bad("it is 32 hexadecimal digits"))?,
            ),
            Entity::Content => Self::Content(
                ContentId::parse(id)
                    .ok()
                    .ok_or_else(|| bad("it is 16 hexadecimal digits"))?,
            ),
            Entity::Ad if (1..=AD_BYTES_MAX).contains(&id.len()) => Self::Ad(id.to_owned()),
            Entity::Ad => return Err(bad("it is 1 to 64 bytes")),
            Entity::Brand if check_slug(id).is_ok() => Self::Brand(id.to_owned()),
            Entity::Brand => return Err(bad("it is a brand's slug")),
        })
    }

    pub fn entity(&self) -> Entity {
        match self {
            Self::Reader(entity, _) => *entity,
            Self::Content(_) => Entity::Content,
            Self::Ad(_) => Entity::Ad,
            Self::Brand(_) => Entity::Brand,
        }
    }

    /// The state of one nothing is known of.
    pub fn nothing(&self) -> Loaded {
        match self {
            Self::Reader(entity, _) => Loaded::Reader(*entity, Box::default()),
            Self::Content(_) => Loaded::Content(Box::default()),
            Self::Ad(_) => Loaded::Ad(Box::default()),
            Self::Brand(_) => Loaded::Brand(Box::default()),
        }
    }

    /// The partitions of `events` its state lies in.
    pub fn partitions(&self, all: u32) -> Vec<u32> {
        match self {
            Self::Reader(_, p) => vec![partition_of(&p.0, all)],
            _ => (0..all).collect(),
        }
    }
}

/// An entity's state in one partition, or added up over several.
#[derive(Debug, Clone)]
pub(crate) enum Loaded {
    Reader(Entity, Box<ReaderState>),
    Content(Box<ItemState>),
    Ad(Box<AdState>),
    Brand(Box<BrandState>),
}

impl Loaded {
    pub fn state(&self) -> EntityState<'_> {
        match self {
            Self::Reader(Entity::Session, s) => EntityState::Session(s),
            Self::Reader(_, s) => EntityState::Reader(s),
            Self::Content(s) => EntityState::Content(s),
            Self::Ad(s) => EntityState::Ad(s),
            Self::Brand(s) => EntityState::Brand(s),
        }
    }

    /// Adds another partition's part of the same entity.
    pub fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Content(a), Self::Content(b)) => a.merge(&b),
            (Self::Ad(a), Self::Ad(b)) => a.merge(&b),
            (Self::Brand(a), Self::Brand(b)) => a.merge(*b),
            // A reader has one partition.
            (mine, theirs) => *mine = theirs,
        }
    }
}

/// Adds what one partition holds to what the others do.
pub(crate) fn add(sum: &mut Option<Loaded>, part: Option<Loaded>) {
    match (sum, part) {
        (Some(sum), Some(part)) => sum.merge(part),
        (none, Some(part)) => *none = Some(part),
        (_, None) => {}
    }
}

/// What the partitions hold of an entity as of `now`; `None` when nothing.
async fn load(
    state: &dyn StateStore,
    subject: &Subject,
    partitions: &[u32],
    now: Timestamp,
) -> Result<Option<Loaded>, ReadError> {
    let mut sum = None;
    match subject {
        Subject::Reader(entity, reader) => {
            if let Some(b) = state.get(VIEW_READER, &reader.0).await? {
                sum = Some(Loaded::Reader(*entity, Box::new(ReaderState::decode(&b)?)));
            }
        }
        Subject::Content(id) => {
            let key = |p: &u32| keys::number(*p, id.0).into();
            let keys: Vec<Bytes> = partitions.iter().map(key).collect();
            for b in state.multi_get(VIEW_ITEM, &keys).await?.iter().flatten() {
                let part = Loaded::Content(Box::new(ItemState::decode(b)?));
                add(&mut sum, Some(part));
            }
        }
        Subject::Ad(id) => {
            let key = |p: &u32| keys::number(*p, ad_key(id)).into();
            let keys: Vec<Bytes> = partitions.iter().map(key).collect();
            for b in state.multi_get(VIEW_AD, &keys).await?.iter().flatten() {
                let part = Loaded::Ad(Box::new(AdState::decode(b)?));
                add(&mut sum, Some(part));
            }
        }
        Subject::Brand(slug) => {
            for p in partitions {
                let part = brand(state, slug, *p, now).await?;
                add(&mut sum, part.map(|b| Loaded::Brand(Box::new(b))));
            }
        }
    }
    Ok(sum)
}

/// One partition's part of a brand.
async fn brand(
    state: &dyn StateStore,
    slug: &str,
    partition: u32,
    now: Timestamp,
) -> Result<Option<BrandState>, ReadError> {
    let key = keys::brand(partition, slug);
    let Some(counts) = state.get(VIEW_BRAND, &key).await? else {
        return Ok(None);
    };
    let minute = now.minute().0;
    let of = (partition, slug);
    Ok(Some(BrandState {
        counts: BrandCounts::decode(&counts)?,
        days: at_times(state, VIEW_REACH, of, minute / 1440, BRAND_DAYS_READ).await?,
        hours: at_times(state, VIEW_TOP, of, minute / 60, BRAND_HOURS_READ).await?,
    }))
}

/// The sketches of a brand's last `count` days or hours that there are.
async fn at_times<S: Stored>(
    state: &dyn StateStore,
    view: &'static str,
    (partition, slug): (u32, &str),
    last: u32,
    count: u32,
) -> Result<Vec<(u32, S)>, ReadError> {
    let times: Vec<u32> = (last.saturating_sub(count - 1)..=last).collect();
    let keys: Vec<Bytes> = times
        .iter()
        .map(|at| keys::brand_at(partition, slug, *at).into())
        .collect();
    let mut found = Vec::new();
    for (at, stored) in times.iter().zip(state.multi_get(view, &keys).await?) {
        if let Some(stored) = stored {
            found.push((*at, S::decode(&stored)?));
        }
    }
    Ok(found)
}

/// A state as it was when these partitions had been folded so far.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub loaded: Option<Loaded>,
    /// Partition and the offset that is folded next.
    pub folded: Vec<(u32, u64)>,
}

/// One value with what is needed to use it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureValue {
    /// In the unit of its type; ratios and money as numbers with a fraction.
    pub value: serde_json::Value,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How fresh such a value is.
    pub tier: &'static str,
    /// Of its definition.
    pub version: u16,
}

/// An entity's values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// Entity slug.
    pub entity: &'static str,
    /// As it was asked for.
    pub id: String,
    /// The moment the values are for.
    pub as_of: Timestamp,
    /// Event time folded so far where the entity's events are: what happened later is not in the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded_until: Option<Timestamp>,
    /// Seconds between the two; absent when no event was ever folded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
    /// Whether anything is known of it; otherwise all values are defaults.
    pub known: bool,
    /// Of all definitions of the entity together.
    pub version: String,
    /// By name.
    pub features: BTreeMap<String, FeatureValue>,
}

/// Reads values from the state store.
pub struct FeatureReader {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) state: Arc<dyn StateStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) words: Vocabulary,
    pub(crate) config: crate::FeatureConfig,
}

impl FeatureReader {
    /// `brands` are the configured slugs, in the order their one-hot features have.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        state: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        brands: Vec<String>,
        config: crate::FeatureConfig,
    ) -> Self {
        Self {
            log,
            state,
            clock,
            words: Vocabulary {
                brands,
                session: config.session,
            },
            config,
        }
    }

    /// Readers of features outside this release.
    ///
    /// # Errors
    /// When the state store does not answer.
    pub async fn outside(&self) -> PortResult<Outside> {
        crate::consumers(self.state.as_ref()).await
    }

    /// The values of one entity now; of `names` only when there are any.
    ///
    /// # Errors
    /// [`ReadError`]: an unknown entity or name, an id of another form, a store that does not answer.
    pub async fn read(
        &self,
        entity: &str,
        id: &str,
        names: &[String],
    ) -> Result<Answer, ReadError> {
        let subject = Subject::parse(entity, id)?;
        let kind = subject.entity();
        if let Some(unknown) = names.iter().find(|n| declare::find(kind, n).is_none()) {
            return Err(ReadError::Name(unknown.chars().take(80).collect()));
        }
        let now = Timestamp(self.clock.now_ms());
        let all = self.log.partitions(TOPIC_EVENTS).await?;
        let partitions = subject.partitions(all);
        let loaded = load(self.state.as_ref(), &subject, &partitions, now).await?;
        let folded_until = self.newest(&partitions).await?;
        let known = loaded.is_some();
        let loaded = loaded.unwrap_or_else(|| subject.nothing());
        let values = declare::evaluate(loaded.state(), now, &self.words);
        Ok(Answer {
            entity: kind.slug(),
            id: id.to_owned(),
            as_of: now,
            folded_until,
            age_s: folded_until.map(|t| (now.0 - t.0).max(0) / 1_000),
            known,
            version: list::version(kind),
            features: named(declare::of(kind), &values, names),
        })
    }

    /// The newest event folded in any of the partitions.
    async fn newest(&self, partitions: &[u32]) -> PortResult<Option<Timestamp>> {
        let key = |p: &u32| Bytes::copy_from_slice(&p.to_be_bytes());
        let keys: Vec<Bytes> = partitions.iter().map(key).collect();
        let stored = self.state.multi_get(VIEW_CLOCK, &keys).await?;
        let newest = stored.iter().flatten();
        let newest = newest.map(|b| EventClock::decode(b).newest()).max();
        Ok(newest.filter(|t| t.0 > 0))
    }

    /// The state of an entity together with how far the log was folded into it.
    pub(crate) async fn snapshot(
        &self,
        subject: &Subject,
        partitions: u32,
        now: Timestamp,
    ) -> Result<Snapshot, ReadError> {
        let wanted = subject.partitions(partitions);
        for _ in 0..SNAPSHOT_TRIES {
            let before = self.folded(&wanted).await?;
            let loaded = load(self.state.as_ref(), subject, &wanted, now).await?;
            // A commit changes a state and its partition's progress together.
            if self.folded(&wanted).await? == before {
                return Ok(Snapshot {
                    loaded,
                    folded: before,
                });
            }
        }
        Err(ReadError::Changing)
    }

    async fn folded(&self, partitions: &[u32]) -> PortResult<Vec<(u32, u64)>> {
        let mut all = Vec::with_capacity(partitions.len());
        for p in partitions {
            let next = self.state.progress(CONSUMER, TOPIC_EVENTS, *p).await?;
            all.push((*p, next));
        }
        Ok(all)
    }
}

pub(crate) fn named(
    definitions: &[FeatureDefinition],
    values: &[Value],
    names: &[String],
) -> BTreeMap<String, FeatureValue> {
    definitions
        .iter()
        .zip(values)
        .filter(|(d, _)| names.is_empty() || names.contains(&d.name))
        .map(|(d, v)| {
            let value = FeatureValue {
                value: v.json(d.kind),
                kind: d.kind.slug(),
                tier: d.tier.slug(),
                version: d.version,
            };
            (d.name.clone(), value)
        })
        .collect()
}
