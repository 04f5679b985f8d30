//! `POST /webhooks/{source}`: signed deliveries of a CMS. What is acknowledged is durable.
//!
//! `X-MediaFlow-Signature: sha256=<hex>` is HMAC-SHA256(secret, timestamp ‖ "." ‖ body),
//! `X-MediaFlow-Timestamp` the Unix time in seconds within five minutes of ours, `X-MediaFlow-Delivery`
//! an id that is never used twice.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use mediaflow_http::Secret;
use mediaflow_ports::{Commit, Expect, PortErrorKind, StateStore};
use mediaflow_shared::content::{RawItem, RawTime, Status};
use serde_json::Value;
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;
use url::Url;

use crate::error::IngestError;
use crate::intake::{Intake, Taken};
use crate::json::text_at;
use crate::limits::{WEBHOOK_REMEMBER_MS, WEBHOOK_SKEW_S};
use crate::source::{SourceConfig, SourceKind};
use crate::{custom, drupal, wordpress};

/// Header of the signature.
pub const SIGNATURE: &str = "x-mediaflow-signature";
/// Header of the time.
pub const TIMESTAMP: &str = "x-mediaflow-timestamp";
/// Header of the delivery id.
pub const DELIVERY: &str = "x-mediaflow-delivery";
/// The view of delivery ids already taken.
pub const VIEW_DELIVERIES: &str = "ingest.deliveries";
/// Longest delivery id.
const DELIVERY_BYTES_MAX: usize = 128;

/// Why a delivery was refused.
#[derive(Debug, Error)]
pub enum WebhookError {
    /// No such source, or none that takes deliveries: told apart from nothing, so that slugs cannot be probed.
    #[error("no source of this name takes deliveries")]
    Unknown,
    /// Signature, timestamp or delivery id are absent, malformed, wrong or too old.
    #[error("{0}")]
    Forged(&'static str),
    /// The delivery id was used before.
    #[error("this delivery was taken before")]
    Replayed,
    /// The body is not what the source's kind sends.
    #[error("{0}")]
    Malformed(String),
    /// It could not be stored.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// Takes deliveries of all sources that have a secret.
pub struct Webhooks {
    sources: HashMap<String, SourceConfig>,
    secrets: HashMap<String, Secret>,
    intake: Arc<Intake>,
    state: Arc<dyn StateStore>,
}

impl Webhooks {
    /// For `sources`; those without a secret refuse every delivery.
    #[must_use]
    pub fn new(
        sources: Vec<SourceConfig>,
        secrets: HashMap<String, Secret>,
        intake: Arc<Intake>,
        state: Arc<dyn StateStore>,
    ) -> Self {
        let sources = sources.into_iter().map(|s| (s.slug.clone(), s)).collect();
        Self {
            sources,
            secrets,
            intake,
            state,
        }
    }

    /// Takes one delivery; durable once answered.
    ///
    /// # Errors
    /// [`WebhookError`]; a delivery that was not stored may be sent again under the same id.
    pub async fn take(
        &self,
        slug: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Taken, WebhookError> {
        let source = self.sources.get(slug).ok_or(WebhookError::Unknown)?;
        let secret = self.secrets.get(slug).ok_or(WebhookError::Unknown)?;
        let now = self.intake.now();
        let delivery = verify(headers, body, secret, now.0.div_euclid(1_000))?;
        let key = [slug.as_bytes(), b"\0", delivery.as_bytes()].concat();
        let seen = self
            .state
            .get(VIEW_DELIVERIES, &key)
            .await
            .map_err(IngestError::from)?;
        if seen.is_some() {
            return Err(WebhookError::Replayed);
        }
        let items = self.items(source, body)?;
        let taken = self.intake.submit(items).await?;
        // Remembered after the items are durable, so that a delivery which failed half-way can come again.
        let remember = Commit::new()
            .require(VIEW_DELIVERIES, key.clone(), Expect::Absent)
            .put_until(VIEW_DELIVERIES, key, "", now.0 + WEBHOOK_REMEMBER_MS);
        match self.state.commit(remember).await {
            Ok(()) => Ok(taken),
            Err(e) if e.kind() == PortErrorKind::Conflict => Err(WebhookError::Replayed),
            Err(e) => Err(IngestError::from(e).into()),
        }
    }

    fn items(&self, source: &SourceConfig, body: &[u8]) -> Result<Vec<RawItem>, WebhookError> {
        let malformed = |why: &str| WebhookError::Malformed(why.to_owned());
        let v: Value = serde_json::from_slice(body).map_err(|_| malformed("body is not JSON"))?;
        let now = self.intake.now();
        let event = text_at(&v, "/event").unwrap_or_default();
        let payload = ["post", "node", "item"]
            .iter()
            .find_map(|k| v.get(k))
            .unwrap_or(&v);
        let mut items: Vec<RawItem> = match source.kind {
            SourceKind::Wordpress => wordpress::post::item(payload, source, now)
                .into_iter()
                .collect(),
            SourceKind::Drupal => {
                let nowhere = || Url::parse("https://drupal.invalid").ok();
                let base = source.url().ok().or_else(nowhere);
                let document = if v.get("data").is_some() {
                    v.clone()
                } else {
                    serde_json::json!({ "data": payload })
                };
                base.map(|b| drupal::node::items(&document, source, &b, now))
                    .unwrap_or_default()
            }
            SourceKind::Custom => custom::pushed(payload, source, now)?.into_iter().collect(),
            SourceKind::Feed | SourceKind::Ugc => return Err(WebhookError::Unknown),
        };
        if items.is_empty() {
            return Err(malformed(
                "body holds no item with an id that this source's kind sends",
            ));
        }
        if matches!(
            event.as_str(),
            "deleted" | "trashed" | "unpublished" | "delete" | "trash"
        ) {
            for item in &mut items {
                item.status = Status::Unpublished;
                // A deletion happens now, whenever the post was last edited.
                item.modified = RawTime::Text(now.to_string());
            }
        }
        Ok(items)
    }
}

/// Checks a delivery and answers its id. Nothing in the body is looked at before the signature holds.
fn verify<'h>(
    headers: &'h HeaderMap,
    body: &[u8],
    secret: &Secret,
    now_s: i64,
) -> Result<&'h str, WebhookError> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::trim)
    };
    let (Some(signature), Some(sent), Some(delivery)) =
        (text(SIGNATURE), text(TIMESTAMP), text(DELIVERY))
    else {
        return Err(WebhookError::Forged(
            "signature, timestamp or delivery id is absent",
        ));
    };
    let wrong = WebhookError::Forged("the signature does not match");
    let given = signature
        .strip_prefix("sha256=")
        .and_then(crate::hex::decode)
        .unwrap_or_default();
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else {
        return Err(wrong);
    };
    mac.update(sent.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&given).map_err(|_| wrong)?;
    let at_s: i64 = sent
        .parse()
        .map_err(|_| WebhookError::Forged("the timestamp is not Unix seconds"))?;
    if at_s.abs_diff(now_s) > WEBHOOK_SKEW_S.unsigned_abs() {
        return Err(WebhookError::Forged(
            "the timestamp is more than 5 minutes away",
        ));
    }
    if delivery.is_empty() || delivery.len() > DELIVERY_BYTES_MAX {
        return Err(WebhookError::Forged(
            "the delivery id is empty or longer than 128 bytes",
        ));
    }
    Ok(delivery)
}

/// The signature header of a delivery: for senders and tests.
#[must_use]
pub fn sign(secret: &Secret, timestamp_s: i64, body: &[u8]) -> String {
    let mut out = String::from("sha256=");
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) {
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        for b in mac.finalize().into_bytes() {
            out.push_str(&format!("{b:02x}"));
        }
    }
    out
}
