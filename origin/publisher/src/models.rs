//! Models: every brand has one from the start; a change of the configured weights is a new deployment.

use bytes::Bytes;
use mediaflow_ports::{Blob, Commit, Lane};
use mediaflow_shared::model::Model;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;

use crate::archive::{VIEW_MODEL, model_key};
use crate::error::PublisherResult;
use crate::push::{Patience, put, retrying, stopping};
use crate::settings::BrandSettings;
use crate::{PublisherDeps, Shared};

/// Models as published, by brand.
const VIEW_PUBLISHED: &str = "publisher.model";

/// The key of a brand's model.
#[must_use]
pub fn kv_key(brand: &str) -> String {
    format!("m/{brand}")
}

/// Publishes each brand's model, and waits for the store as long as it takes.
pub(crate) async fn publish_all(
    deps: PublisherDeps,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<bool>,
) -> PublisherResult<()> {
    for brand in &shared.settings.brands {
        let model = decide(&deps, brand).await?;
        shared.current.set_model(&brand.slug, model);
        let bytes = Bytes::from(model.encode());
        let key = kv_key(&brand.slug);
        let archived = (VIEW_MODEL, model_key(&brand.slug, model.id), bytes.clone());
        shared.archive.hold(&deps, &key, archived).await?;
        let commit = Commit::new().put(VIEW_PUBLISHED, brand.slug.clone(), bytes.clone());
        retrying(|| deps.state.commit(commit.clone())).await?;
        let mut patience = Patience::default();
        while !stopping(&shutdown) {
            let held = retrying(|| deps.blobs.get(&key)).await?;
            if held.is_some_and(|b| b.value == bytes) {
                break;
            }
            let outcome = put(&deps, Lane::Models, vec![Blob::new(&key, bytes.clone())]).await;
            if !outcome.can_retry() {
                break;
            }
            deps.metrics
                .lane(Lane::Models)
                .retries
                .fetch_add(1, Relaxed);
            patience.wait(outcome.pause, &mut shutdown).await;
        }
    }
    Ok(())
}

/// The brand's model: what was published, unless the configured weights differ from it; then they get the next id.
async fn decide(deps: &PublisherDeps, brand: &BrandSettings) -> PublisherResult<Model> {
    let stored = retrying(|| deps.state.get(VIEW_PUBLISHED, brand.slug.as_bytes())).await?;
    let stored = stored.and_then(|b| Model::decode(&b).ok());
    let base = Model {
        id: stored.map_or(0, |m| m.id),
        epoch: stored.map_or(0, |m| m.epoch),
        ..Model::default()
    };
    let wanted = brand.model.apply(base, &brand.slug)?;
    Ok(match stored {
        Some(same) if same == wanted => same,
        Some(other) => Model {
            id: other.id + 1,
            ..wanted
        },
        None if wanted == Model::default() => wanted,
        None => Model { id: 1, ..wanted },
    })
}
