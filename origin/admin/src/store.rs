//! Surface and brand states, changed by atomic commits: state, revision, audit entry and outbox together or not at all.
//!
//! Optimistic concurrency: every surface has a version (its `ETag`), and a change names the version it was made
//! against. A change that loses the race is written to the audit as refused, and both versions are shown.

use crate::audit::{self, Change, Outcome};
use crate::document::{Document, DocumentError};
use crate::{AdminDeps, limits};
use mediaflow_ports::{Commit, Expect, PortError, PortErrorKind, Record, StateStore, partition_of};
use mediaflow_shared::content::{CONTENT_VERSION, Content, RawItem, RawMedia, RawTime, Status};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::rules::Rules;
use mediaflow_shared::time::{Minute, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;
use tokio::sync::Mutex;

/// View: `brand/surface` → [`SurfaceState`].
pub const SURFACES: &str = "admin.surface";
/// View: `brand` → [`BrandState`].
pub const BRANDS: &str = "admin.brand";
/// View: `brand/surface/` and the revision (4 bytes, big-endian) → [`Revision`].
pub const REVISIONS: &str = "admin.revision";
/// Outbox: `brand/surface` → [`Rules::encode`], drained by the publisher in its own lane.
pub const OUTBOX: &str = "rules.publish";
/// View of the unified articles, written by enrich.
pub const CONTENT: &str = "content";

/// What editors decided for one surface.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SurfaceState {
    /// Rises with every change, drafts too: the `ETag`.
    pub version: u64,
    /// Rises with every publication.
    pub revision: u32,
    /// What edges serve.
    pub published: Document,
    /// When `revision` was published.
    pub published_at: Timestamp,
    /// Who published it.
    pub published_by: String,
    /// Saved, not published.
    pub draft: Option<Document>,
    /// Who saved the draft.
    pub draft_by: Option<String>,
}

/// What holds for a whole brand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BrandState {
    /// Kill switch: newest first, no personalization.
    pub editorial_only: bool,
    /// By content id.
    pub takedowns: BTreeMap<ContentId, Takedown>,
    /// Readers' tokens minted before are refused.
    pub tokens_valid_from: Minute,
}

/// Why an item was removed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takedown {
    /// In words, for the audit.
    pub reason: String,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A publication that can be reverted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its number.
    pub revision: u32,
    /// When.
    pub published_at: Timestamp,
    /// Who.
    pub published_by: String,
    /// What: `publish`, `pin`, `revert to 3`, `takedown` …
    pub cause: String,
    /// The rules.
    pub document: Document,
}

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another change came first.
    #[error("the surface is at version {}, the change was made against {against}", current.version)]
    Stale {
        /// What is stored now.
        current: Box<SurfaceState>,
        /// The version named by the caller.
        against: u64,
    },
    /// The rules do not hold together.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// No such revision.
    #[error("revision {0} does not exist on this surface")]
    NoRevision(u32),
    /// There is nothing to publish.
    #[error("there is no draft to publish")]
    NoDraft,
    /// Over a limit.
    #[error("{0}")]
    Limit(String),
    /// The store failed.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A change to one surface.
pub enum SurfaceChange {
    /// Saves a draft.
    Draft(Document),
    /// Publishes the draft.
    Publish,
    /// Publishes an older revision again.
    Revert(u32),
    /// Adds rules to what is published, at once.
    Add(Document),
    /// Removes the rules with this name from what is published, at once.
    Remove(String),
}

impl SurfaceChange {
    /// What the audit calls it, and its detail in words.
    #[must_use]
    pub fn describe(&self) -> (&'static str, String) {
        match self {
            Self::Draft(d) => ("draft", format!("{} rules", d.rules.len())),
            Self::Publish => ("publish", "the draft".into()),
            Self::Revert(n) => ("revert", format!("to revision {n}")),
            Self::Add(d) => (
                "add",
                d.rules
                    .iter()
                    .map(|r| r.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            Self::Remove(name) => ("remove", name.clone()),
        }
    }
}

/// A change to a whole brand.
pub enum BrandChange {
    /// Removes an item for good.
    TakeDown(ContentId, String),
    /// Takes a takedown back.
    Lift(ContentId),
    /// Kill switch.
    EditorialOnly(bool),
    /// Refuses all readers' tokens minted until now.
    RevokeTokens,
}

/// The one writer of editors' state in this process; commits guard against other processes.
pub struct Store {
    deps: AdminDeps,
    lock: Mutex<()>,
}

fn key(brand: &str, surface: &str) -> String {
    format!("{brand}/{surface}")
}

fn revision_key(brand: &str, surface: &str, revision: u32) -> Vec<u8> {
    let mut k = format!("{brand}/{surface}/").into_bytes();
    k.extend_from_slice(&revision.to_be_bytes());
    k
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, PortError> {
    serde_json::to_vec(value).map_err(|e| {
        PortError::new(
            PortErrorKind::Invalid,
            format!("state cannot be written: {e}"),
        )
    })
}

fn decode<T: for<'de> Deserialize<'de>>(what: &str, bytes: &[u8]) -> Result<T, PortError> {
    serde_json::from_slice(bytes).map_err(|e| {
        PortError::new(
            PortErrorKind::Corrupt,
            format!("{what} in the state store does not decode: {e}; restore it"),
        )
    })
}

impl Store {
    /// A store over the process's ports.
    #[must_use]
    pub fn new(deps: AdminDeps) -> Self {
        Self {
            deps,
            lock: Mutex::new(()),
        }
    }

    fn state(&self) -> &dyn StateStore {
        &*self.deps.state
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.deps.clock.now_ms())
    }

    /// The state of a surface; version 0 before the first change.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn surface(&self, brand: &str, surface: &str) -> Result<SurfaceState, StoreError> {
        Ok(self.stored_surface(brand, surface).await?.0)
    }

    async fn stored_surface(
        &self,
        brand: &str,
        surface: &str,
    ) -> Result<(SurfaceState, Expect), StoreError> {
        Ok(
            match self
                .state()
                .get(SURFACES, key(brand, surface).as_bytes())
                .await?
            {
                None => (SurfaceState::default(), Expect::Absent),
                Some(b) => (decode("a surface", &b)?, Expect::Exactly(b)),
            },
        )
    }

    /// The state of a brand.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn brand(&self, brand: &str) -> Result<BrandState, StoreError> {
        Ok(self.stored_brand(brand).await?.0)
    }

    async fn stored_brand(&self, brand: &str) -> Result<(BrandState, Expect), StoreError> {
        Ok(match self.state().get(BRANDS, brand.as_bytes()).await? {
            None => (BrandState::default(), Expect::Absent),
            Some(b) => (decode("a brand", &b)?, Expect::Exactly(b)),
        })
    }

    /// An article.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn content(&self, id: ContentId) -> Result<Option<Content>, StoreError> {
        let found = self.state().get(CONTENT, &id.0.to_be_bytes()).await?;
        Ok(found.map(|b| decode("an article", &b)).transpose()?)
    }

    /// A publication.
    ///
    /// # Errors
    /// [`StoreError::NoRevision`], or those of the store.
    pub async fn revision(
        &self,
        brand: &str,
        surface: &str,
        revision: u32,
    ) -> Result<Revision, StoreError> {
        let found = self
            .state()
            .get(REVISIONS, &revision_key(brand, surface, revision))
            .await?;
        Ok(decode(
            "a revision",
            &found.ok_or(StoreError::NoRevision(revision))?,
        )?)
    }

    /// Publications after `after`, oldest first.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn revisions(
        &self,
        brand: &str,
        surface: &str,
        after: u32,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        let prefix = format!("{brand}/{surface}/").into_bytes();
        let from = revision_key(brand, surface, after);
        let found = self
            .state()
            .scan(REVISIONS, &prefix, Some(&from), limit)
            .await?;
        Ok(found
            .iter()
            .map(|e| decode("a revision", &e.value))
            .collect::<Result<_, _>>()?)
    }

    /// Changes one surface; `against` is the version the caller saw, `None` takes whatever there is.
    ///
    /// # Errors
    /// [`StoreError`]; a lost race is also written to the audit.
    pub async fn change(
        &self,
        actor: &str,
        (brand, surface): (&str, &str),
        against: Option<u64>,
        change: &SurfaceChange,
    ) -> Result<SurfaceState, StoreError> {
        let _one_at_a_time = self.lock.lock().await;
        for _ in 0..limits::COMMIT_TRIES {
            match self
                .try_change(actor, (brand, surface), against, change)
                .await
            {
                Err(StoreError::Port(e)) if e.kind() == PortErrorKind::Conflict => {}
                done => return done,
            }
        }
        Err(overtaken().into())
    }

    async fn try_change(
        &self,
        actor: &str,
        (brand, surface): (&str, &str),
        against: Option<u64>,
        change: &SurfaceChange,
    ) -> Result<SurfaceState, StoreError> {
        let now = self.now();
        let (before, expect) = self.stored_surface(brand, surface).await?;
        let (action, detail) = change.describe();
        let audit = |outcome| Change {
            at: now,
            actor,
            brand,
            surface,
            action,
            detail: detail.clone(),
            outcome,
        };
        if let Some(against) = against
            && against != before.version
        {
            let (commit, _) =
                audit::append(self.state(), Commit::new(), &audit(Outcome::Refused)).await?;
            self.state().commit(commit).await?;
            return Err(StoreError::Stale {
                current: Box::new(before),
                against,
            });
        }
        let mut after = before.clone();
        after.version += 1;
        let mut publish = None;
        match change {
            SurfaceChange::Draft(document) => {
                document.compile(now)?;
                after.draft = Some(document.clone());
                after.draft_by = Some(actor.to_owned());
            }
            SurfaceChange::Publish => {
                publish = Some(before.draft.clone().ok_or(StoreError::NoDraft)?)
            }
            SurfaceChange::Revert(n) => {
                publish = Some(
                    self.revision(brand, surface, *n)
                        .await?
                        .document
                        .without_ended(now),
                )
            }
            SurfaceChange::Add(document) => {
                let mut all = before.published.clone().without_ended(now);
                all.rules.extend(document.rules.iter().cloned());
                publish = Some(all);
            }
            SurfaceChange::Remove(name) => {
                let mut all = before.published.clone().without_ended(now);
                all.rules.retain(|r| r.name != *name);
                publish = Some(all);
            }
        }
        let mut commit = Commit::new().require(SURFACES, key(brand, surface), expect);
        if let Some(document) = publish {
            if matches!(change, SurfaceChange::Publish) {
                after.draft = None;
                after.draft_by = None;
            }
            after.published = document;
            let (b, brand_expect) = self.stored_brand(brand).await?;
            commit = commit.require(BRANDS, brand.to_owned(), brand_expect);
            commit = publication(
                commit,
                &mut after,
                &b,
                (brand, surface),
                actor,
                &detail,
                now,
            )?;
        }
        let (commit, entry) = audit::append(self.state(), commit, &audit(Outcome::Done)).await?;
        let commit = commit.put(SURFACES, key(brand, surface), encode(&after)?);
        self.state().commit(commit).await?;
        self.copy_to_log(&entry).await;
        Ok(after)
    }

    /// Changes a whole brand, and publishes every surface of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn change_brand(
        &self,
        actor: &str,
        brand: &str,
        surfaces: &[String],
        change: &BrandChange,
    ) -> Result<BrandState, StoreError> {
        let _one_at_a_time = self.lock.lock().await;
        if let BrandChange::TakeDown(id, _) = change {
            self.withdraw(*id).await?;
        }
        for _ in 0..limits::COMMIT_TRIES {
            match self.try_change_brand(actor, brand, surfaces, change).await {
                Err(StoreError::Port(e)) if e.kind() == PortErrorKind::Conflict => {}
                done => return done,
            }
        }
        Err(overtaken().into())
    }

    async fn try_change_brand(
        &self,
        actor: &str,
        brand: &str,
        surfaces: &[String],
        change: &BrandChange,
    ) -> Result<BrandState, StoreError> {
        let now = self.now();
        let (mut state, expect) = self.stored_brand(brand).await?;
        let (action, detail) = match change {
            BrandChange::TakeDown(id, reason) => {
                if state.takedowns.len() >= limits::TAKEDOWNS_MAX {
                    let why = format!(
                        "{} takedowns are in force, at most that many travel with the rules; lift old ones",
                        limits::TAKEDOWNS_MAX
                    );
                    return Err(StoreError::Limit(why));
                }
                let down = Takedown {
                    reason: reason.clone(),
                    by: actor.to_owned(),
                    at: now,
                };
                state.takedowns.insert(*id, down);
                ("takedown", format!("{id}: {reason}"))
            }
            BrandChange::Lift(id) => {
                state.takedowns.remove(id);
                ("lift takedown", id.to_string())
            }
            BrandChange::EditorialOnly(on) => {
                state.editorial_only = *on;
                (
                    "kill switch",
                    if *on {
                        "on: editorial only".into()
                    } else {
                        "off".to_owned()
                    },
                )
            }
            BrandChange::RevokeTokens => {
                // Tokens of the running minute go too: a revocation is never late.
                state.tokens_valid_from = Minute(now.minute().0 + 1);
                (
                    "revoke tokens",
                    format!("minted before {}", state.tokens_valid_from.start()),
                )
            }
        };
        let mut commit = Commit::new().require(BRANDS, brand.to_owned(), expect).put(
            BRANDS,
            brand.to_owned(),
            encode(&state)?,
        );
        for surface in surfaces {
            let (mut s, expect) = self.stored_surface(brand, surface).await?;
            s.version += 1;
            s.published = s.published.without_ended(now);
            commit = commit.require(SURFACES, key(brand, surface), expect);
            let cause = format!("{action} {detail}");
            commit = publication(commit, &mut s, &state, (brand, surface), actor, &cause, now)?;
            commit = commit.put(SURFACES, key(brand, surface), encode(&s)?);
        }
        let told = Change {
            at: now,
            actor,
            brand,
            surface: "",
            action,
            detail,
            outcome: Outcome::Done,
        };
        let (commit, entry) = audit::append(self.state(), commit, &told).await?;
        self.state().commit(commit).await?;
        self.copy_to_log(&entry).await;
        Ok(state)
    }

    /// Sends an article with status takedown through `content.raw`, so that its text leaves fronts and stores.
    async fn withdraw(&self, id: ContentId) -> Result<(), StoreError> {
        let Some(content) = self.content(id).await? else {
            return Ok(());
        };
        let raw = raw_of(content, self.now());
        let record = Record::new(id.0.to_be_bytes().to_vec(), encode(&raw)?);
        let log = &self.deps.log;
        let partitions = log.partitions("content.raw").await?;
        log.append(
            "content.raw",
            partition_of(&record.key, partitions),
            vec![record],
        )
        .await?;
        Ok(())
    }

    /// The audit's copy in the log, for lakes and dashboards; the chained original is the state store's.
    async fn copy_to_log(&self, entry: &audit::Entry) {
        let copy = async {
            let value = encode(entry)?;
            self.deps
                .log
                .append(
                    "rules.audit",
                    0,
                    vec![Record::new(entry.brand.clone(), value)],
                )
                .await
        };
        if let Err(e) = copy.await {
            tracing::warn!(error = %e, seq = entry.seq, "audit entry is stored but not copied to the log");
        }
    }

    /// The answer stored under an idempotency key, if any.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remembered(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .state()
            .get("admin.idempotency", key.as_bytes())
            .await?
            .map(|b| b.to_vec()))
    }

    /// Keeps an answer for an idempotency key.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn remember(&self, key: &str, answer: Vec<u8>) -> Result<(), StoreError> {
        let until = self.now().0 + limits::IDEMPOTENCY_TTL_MS;
        let commit = Commit::new().put_until("admin.idempotency", key.to_owned(), answer, until);
        Ok(self.state().commit(commit).await?)
    }
}

fn overtaken() -> PortError {
    PortError::new(
        PortErrorKind::Conflict,
        "other changes kept overtaking this one; send it again",
    )
}

/// Adds a new revision of `s` and its rules value to the commit.
fn publication(
    commit: Commit,
    s: &mut SurfaceState,
    brand_state: &BrandState,
    (brand, surface): (&str, &str),
    actor: &str,
    cause: &str,
    now: Timestamp,
) -> Result<Commit, StoreError> {
    s.revision += 1;
    s.published_at = now;
    actor.clone_into(&mut s.published_by);
    let revision = Revision {
        revision: s.revision,
        published_at: now,
        published_by: actor.to_owned(),
        cause: cause.to_owned(),
        document: s.published.clone(),
    };
    let rules = compile(s, brand_state, now)?;
    Ok(commit
        .put(
            REVISIONS,
            revision_key(brand, surface, s.revision),
            encode(&revision)?,
        )
        .emit(OUTBOX, key(brand, surface), rules.encode()))
}

/// The value edges read. Cards of pinned items are added by the publisher.
///
/// # Errors
/// [`DocumentError`] when the rules do not hold together.
pub fn compile(
    s: &SurfaceState,
    brand: &BrandState,
    now: Timestamp,
) -> Result<Rules, DocumentError> {
    Ok(Rules {
        revision: s.revision,
        published_at: s.published_at,
        editorial_only: brand.editorial_only,
        takedowns: brand.takedowns.keys().copied().collect(),
        rules: s.published.compile(now)?,
        pinned: Vec::new(),
        tokens_valid_from: brand.tokens_valid_from,
    })
}

fn raw_of(c: Content, now: Timestamp) -> RawItem {
    let ms = |t: Timestamp| RawTime::Number(t.0 as f64);
    let media = c.media_assets.into_iter().map(|m| RawMedia {
        kind: Some(m.kind),
        url: m.url,
        alt: m.alt,
    });
    RawItem {
        version: CONTENT_VERSION,
        source: c.source,
        source_cms: c.source_cms,
        original_id: c.original_id,
        brand: c.brand,
        title: c.title,
        body: c.body,
        summary: c.summary,
        author: Some(c.author),
        published: ms(c.published_at),
        modified: ms(now),
        categories: c.categories,
        tags: c.tags,
        cast: c.cast,
        media: media.collect(),
        url: c.url,
        language: Some(c.metadata.language),
        status: Status::Takedown,
        kind: c.kind,
        series: c.series,
        ingested_at: now,
        takedown: true,
        ..RawItem::default()
    }
}
