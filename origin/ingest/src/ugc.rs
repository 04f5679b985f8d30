//! Content of readers: taken in as pending, shown once a moderator approves it.

use bytes::Bytes;
use mediaflow_ports::{Commit, StateStore};
use mediaflow_shared::content::{
    CONTENT_VERSION, Kind, RawItem, RawMedia, RawTime, SourceCms, Status,
};
use mediaflow_shared::id::{ContentId, check_slug};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

use crate::error::IngestError;
use crate::intake::Intake;
use crate::limits::{UGC_BODY_CHARS_MAX, UGC_LINE_CHARS_MAX};

/// The view of submissions: content id → `RawItem` as JSON, as last decided.
pub const VIEW_UGC: &str = "ingest.ugc";

/// What a reader sends, through the publisher's site.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Brand slug.
    pub brand: String,
    /// The site's own id of it: sending it again replaces it, and it waits again. Absent: a new one.
    #[serde(default)]
    pub id: Option<String>,
    /// Title.
    pub title: String,
    /// Text or HTML.
    pub body: String,
    /// The name to show.
    #[serde(default)]
    pub author: Option<String>,
    /// Where it is shown.
    #[serde(default)]
    pub url: Option<String>,
    /// Categories.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Pictures.
    #[serde(default)]
    pub images: Vec<RawMedia>,
}

/// A moderator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Goes live.
    Approve,
    /// Does not, or no longer.
    Reject,
}

/// Why a submission or a verdict was refused.
#[derive(Debug, Error)]
pub enum UgcError {
    /// A field cannot be taken.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// Nobody submitted this.
    #[error("no submission has the id {0}")]
    Unknown(ContentId),
    /// It could not be stored.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// Submissions and verdicts.
pub struct Ugc {
    intake: Arc<Intake>,
    state: Arc<dyn StateStore>,
}

impl Ugc {
    /// Over the same stores as everything else.
    #[must_use]
    pub fn new(intake: Arc<Intake>, state: Arc<dyn StateStore>) -> Self {
        Self { intake, state }
    }

    /// Takes a submission in as [`Status::Pending`]; `random` makes the id of one that has none.
    ///
    /// # Errors
    /// [`UgcError::Field`] for what is too long or empty.
    pub async fn submit(&self, s: Submission, random: u64) -> Result<ContentId, UgcError> {
        check(&s)?;
        let now = self.intake.now();
        let item = RawItem {
            version: CONTENT_VERSION,
            // One source a brand: ids of two sites cannot meet.
            source: source_of(&s.brand),
            source_cms: SourceCms::Ugc,
            original_id: s.id.unwrap_or_else(|| format!("{}-{random:016x}", now.0)),
            brand: s.brand,
            title: s.title,
            body: s.body,
            author: s.author,
            published: RawTime::Text(now.to_string()),
            modified: RawTime::Text(now.to_string()),
            categories: s.categories,
            tags: s.tags,
            images: s.images,
            url: s.url.unwrap_or_default(),
            status: Status::Pending,
            kind: Kind::Ugc,
            ingested_at: now,
            ..RawItem::default()
        };
        self.store(item).await
    }

    /// Records a verdict; it can be turned round later.
    ///
    /// # Errors
    /// [`UgcError::Unknown`] for an id nobody submitted.
    pub async fn moderate(&self, id: ContentId, verdict: Verdict) -> Result<Status, UgcError> {
        let mut item = self.find(id).await?.ok_or(UgcError::Unknown(id))?;
        let now = self.intake.now();
        item.status = match verdict {
            Verdict::Approve => Status::Published,
            Verdict::Reject => Status::Rejected,
        };
        item.modified = RawTime::Text(now.to_string());
        item.ingested_at = now;
        let status = item.status;
        self.store(item).await?;
        Ok(status)
    }

    /// A submission as last decided.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn find(&self, id: ContentId) -> Result<Option<RawItem>, UgcError> {
        let value = self
            .state
            .get(VIEW_UGC, &id.0.to_be_bytes())
            .await
            .map_err(IngestError::from)?;
        Ok(value.and_then(|v| serde_json::from_slice(&v).ok()))
    }

    async fn store(&self, item: RawItem) -> Result<ContentId, UgcError> {
        let id = ContentId::of(&item.source, &item.original_id);
        let value = serde_json::to_vec(&item)
            .map_err(|e| IngestError::malformed("submission", e, "report this defect"))?;
        let key = Bytes::copy_from_slice(&id.0.to_be_bytes());
        // First what the moderator needs, then the log: a submission in the log can always be decided.
        let commit = Commit::new().put(VIEW_UGC, key, value);
        self.state.commit(commit).await.map_err(IngestError::from)?;
        self.intake.submit(vec![item]).await?;
        Ok(id)
    }
}

/// The source under which a brand's submissions are known; slugs stay within 32 bytes.
fn source_of(brand: &str) -> String {
    let end = brand.len().min(28);
    format!("ugc-{}", &brand[..end])
}

fn check(s: &Submission) -> Result<(), UgcError> {
    let bad = |field, reason: &str| {
        Err(UgcError::Field {
            field,
            reason: reason.to_owned(),
        })
    };
    if let Err(e) = check_slug(&s.brand) {
        return bad("brand", &e.to_string());
    }
    if s.title.trim().is_empty() || s.title.chars().count() > UGC_LINE_CHARS_MAX {
        return bad("title", "is empty or longer than 300 characters");
    }
    if s.body.trim().is_empty() || s.body.chars().count() > UGC_BODY_CHARS_MAX {
        return bad("body", "is empty or longer than 20,000 characters");
    }
    let lines = s
        .author
        .iter()
        .chain(&s.id)
        .chain(&s.url)
        .chain(&s.categories)
        .chain(&s.tags);
    if lines
        .into_iter()
        .any(|l| l.chars().count() > UGC_LINE_CHARS_MAX)
    {
        return bad(
            "author, id, url, categories or tags",
            "is longer than 300 characters",
        );
    }
    if s.images.len() > 32 || s.categories.len() > 32 || s.tags.len() > 32 {
        return bad("images, categories or tags", "holds more than 32");
    }
    Ok(())
}
