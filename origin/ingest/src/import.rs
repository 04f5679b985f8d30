//! Imports of files: exports of WordPress, feeds, JSON of custom CMSs, Umami folders, event files.
//!
//! Every import goes through the same door as live content ([`Intake`], [`Collector`]), in batches, so
//! it can be stopped and begun again: what arrived before makes no second record. Progress is a
//! callback; the binary draws the bar.

pub mod events;

use mediaflow_shared::content::RawItem;
use std::path::Path;
use tokio::sync::mpsc;

use crate::error::{IngestError, IngestResult};
use crate::intake::{Intake, Taken};
use crate::limits::IMPORT_BATCH;
use crate::source::SourceConfig;
use crate::{custom, drupal, feed, wordpress};

#[cfg(doc)]
use crate::collector::Collector;

/// How far an import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that are behind.
    pub bytes_done: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
    /// What was taken in.
    pub taken: Taken,
}

/// Imports a WordPress export. Memory holds one batch of posts and the list of attachments.
///
/// # Errors
/// [`IngestError`]; posts before the place it names are taken in.
pub async fn wxr(
    path: &Path,
    source: &SourceConfig,
    intake: &Intake,
    mut progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    let mut state = Progress {
        bytes_total: size_of(path)?,
        ..Progress::default()
    };
    let (tx, mut rx) = mpsc::channel::<(RawItem, u64)>(IMPORT_BATCH);
    let (file, config, now) = (path.to_owned(), source.clone(), intake.now());
    let reading = tokio::task::spawn_blocking(move || {
        wordpress::wxr::read(&file, &config, now, |item, at| {
            // A closed channel means that storing failed, which is reported there.
            tx.blocking_send((item, at)).map_err(|_| {
                IngestError::malformed("import", "was given up", "see the error before")
            })
        })
    });
    let mut batch = Vec::with_capacity(IMPORT_BATCH);
    while let Some((item, at)) = rx.recv().await {
        batch.push(item);
        if batch.len() == IMPORT_BATCH {
            state.taken += intake.submit(std::mem::take(&mut batch)).await?;
            state.bytes_done = at;
            progress(state);
        }
    }
    reading
        .await
        .map_err(|e| IngestError::malformed("import", e, "report this defect"))??;
    finish(batch, intake, state, progress).await
}

/// Imports a feed document.
///
/// # Errors
/// [`IngestError`] when it cannot be read or stored.
pub async fn feed(
    path: &Path,
    source: &SourceConfig,
    intake: &Intake,
    progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    let bytes = read(path).await?;
    let items = feed::items(
        &bytes,
        None,
        source.base_url.as_deref(),
        source,
        intake.now(),
    )?;
    all(items, bytes.len(), intake, progress).await
}

/// Imports JSON or JSON lines in the shape of the source's mapping.
///
/// # Errors
/// As [`feed`].
pub async fn json(
    path: &Path,
    source: &SourceConfig,
    intake: &Intake,
    progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    let bytes = read(path).await?;
    let (items, _) = custom::items(&bytes, source, intake.now())?;
    all(items, bytes.len(), intake, progress).await
}

/// Imports saved answers of WordPress' REST API: a list of posts, or one.
///
/// # Errors
/// As [`feed`].
pub async fn wordpress_json(
    path: &Path,
    source: &SourceConfig,
    intake: &Intake,
    progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    let bytes = read(path).await?;
    let items = wordpress::post::items(&bytes, source, intake.now()).map_err(|e| {
        IngestError::malformed(
            path.display().to_string(),
            e,
            "give a JSON answer of wp/v2/posts",
        )
    })?;
    all(items, bytes.len(), intake, progress).await
}

/// Imports a folder of Umami's demonstration content.
///
/// # Errors
/// As [`feed`].
pub async fn umami(
    dir: &Path,
    source: &SourceConfig,
    intake: &Intake,
    progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    all(
        drupal::umami::read(dir, source, intake.now())?,
        0,
        intake,
        progress,
    )
    .await
}

async fn all(
    items: Vec<RawItem>,
    bytes: usize,
    intake: &Intake,
    mut progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    let bytes_total = bytes as u64;
    let mut state = Progress {
        bytes_total,
        ..Progress::default()
    };
    let count = items.len().max(1) as u64;
    let mut items = items.into_iter();
    let mut done = 0u64;
    loop {
        let batch: Vec<_> = items.by_ref().take(IMPORT_BATCH).collect();
        if batch.len() < IMPORT_BATCH {
            return finish(batch, intake, state, progress).await;
        }
        done += batch.len() as u64;
        state.taken += intake.submit(batch).await?;
        state.bytes_done = bytes_total * done / count;
        progress(state);
    }
}

async fn finish(
    rest: Vec<RawItem>,
    intake: &Intake,
    mut state: Progress,
    mut progress: impl FnMut(Progress) + Send,
) -> IngestResult<Taken> {
    state.taken += intake.submit(rest).await?;
    state.bytes_done = state.bytes_total;
    progress(state);
    Ok(state.taken)
}

fn size_of(path: &Path) -> IngestResult<u64> {
    Ok(std::fs::metadata(path)
        .map_err(|e| IngestError::io(path, e))?
        .len())
}

async fn read(path: &Path) -> IngestResult<Vec<u8>> {
    tokio::fs::read(path)
        .await
        .map_err(|e| IngestError::io(path, e))
}
