//! Wire types of the editors' API: what callers send and get, beside the documents and states of [`crate::store`].

use crate::document::Document;
use crate::store::{BrandState, Revision, SurfaceState};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A surface as callers see it.
#[derive(Debug, Serialize)]
pub struct SurfaceView {
    pub brand: String,
    pub surface: String,
    #[serde(flatten)]
    pub state: SurfaceState,
    /// Where to ask which edges serve it.
    pub receipt_url: String,
}

/// A brand as callers see it.
#[derive(Debug, Serialize)]
pub struct BrandView {
    pub brand: String,
    pub surfaces: Vec<String>,
    #[serde(flatten)]
    pub state: BrandState,
}

/// A page of publications.
#[derive(Debug, Serialize)]
pub struct Revisions {
    pub revisions: Vec<Revision>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// Query of paged listings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    #[serde(default)]
    pub after: u64,
    pub limit: Option<usize>,
    pub brand: Option<String>,
}

/// Query of a receipt.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptQuery {
    /// Default: the newest.
    pub revision: Option<u32>,
}

/// Body of a revert.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revert {
    pub revision: u32,
}

/// Body of the kill switch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    pub editorial_only: bool,
}

/// Body of a takedown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeDown {
    pub content_id: ContentId,
    pub reason: String,
}

/// Body of a pin that is published at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pub content_id: ContentId,
    /// Default: the first.
    #[serde(default)]
    pub slot: u16,
    /// Default: "Pinned by" and the caller's name.
    pub name: Option<String>,
    /// Give this or `ttl_min`.
    pub expires_at: Option<Timestamp>,
    /// Minutes from now.
    pub ttl_min: Option<u32>,
}

/// Body of a preview. Everything is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preview {
    /// Default: the draft, else what is published.
    pub document: Option<Document>,
    /// A reader's pseudonym: their stored profile is used.
    pub reader: Option<String>,
    /// Or a made-up reader who likes these topics.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Segment number.
    pub segment: Option<u8>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Device class.
    pub device: Option<mediaflow_shared::served::Device>,
    /// Default: now.
    pub at: Option<Timestamp>,
    /// Default: 20.
    pub limit: Option<u16>,
}

/// One slot of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PreviewSlot {
    pub slot: usize,
    pub content_id: ContentId,
    pub title: String,
    /// Q16.
    pub score: i32,
    /// Name of the rule that pinned it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned_by: Option<String>,
    /// In words.
    pub reasons: Vec<String>,
}

/// An item that moves or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Displaced {
    pub content_id: ContentId,
    pub title: String,
    /// Slot now.
    pub from: usize,
    /// Slot with the change; absent when it falls out.
    pub to: Option<usize>,
}

/// Answer of a preview.
#[derive(Debug, Serialize)]
pub struct PreviewAnswer {
    /// With the change.
    pub slots: Vec<PreviewSlot>,
    /// As served now to the same reader.
    pub now: Vec<PreviewSlot>,
    /// What the change moves down or out.
    pub displaced: Vec<Displaced>,
    /// Rules that hold for this reader at this time, by name.
    pub rules_in_force: Vec<String>,
}
