//! One origin on the embedded stores: with one process everything dies together.

use super::Found;
use super::ledger::Ledger;
use super::recount::{Stores, is_folded, is_handed_over, recount};
use crate::{Origin, Setup};
use anyhow::{Result, bail};
use mediaflow_embedded::Embedded;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STOP: Duration = Duration::from_secs(30);
/// Every changed profile is written: what edges have at the end is known.
pub const PUBLISH: &str = "\n[publish]\npolicy = \"on_change\"\n";

pub struct Stand {
    pub dir: PathBuf,
    pub setup: Setup,
    pub origin: Option<Origin>,
    pub ledger: Ledger,
    _kept: tempfile::TempDir,
}

impl Stand {
    /// Started in a new folder; its data in `dir`, or there too.
    pub fn start(dir: Option<&Path>) -> Result<Self> {
        Self::start_with(dir, Vec::new())
    }

    /// As [`Stand::start`], with these variables.
    pub fn start_with(dir: Option<&Path>, variables: Vec<(&'static str, String)>) -> Result<Self> {
        let kept = tempfile::tempdir()?;
        let dir = dir.unwrap_or(kept.path()).to_owned();
        let mut setup = Setup {
            variables,
            ..Setup::default()
        };
        setup.config.push_str(PUBLISH);
        Ok(Self {
            origin: Some(setup.start(&dir)),
            setup,
            dir,
            ledger: Ledger::create(&kept.path().join("ledger"))?,
            _kept: kept,
        })
    }

    pub fn url(&self) -> String {
        self.origin
            .as_ref()
            .map_or_else(String::new, |o| o.url.clone())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.origin = None;
    }

    pub fn restart(&mut self) {
        self.origin = Some(self.setup.start(&self.dir));
    }

    /// Lets the folds finish, ends the process and compares.
    pub async fn compare(&mut self) -> Result<Found> {
        let told = self.ledger.read()?;
        self.setup.variables.clear();
        // Nobody else can look while it runs: it gets longer and longer to finish.
        for n in 1..=6 {
            if self.origin.is_none() {
                self.restart();
            }
            tokio::time::sleep(Duration::from_secs(n)).await;
            if let Some(mut origin) = self.origin.take()
                && origin.stop(STOP).is_none()
            {
                bail!("it does not stop within {STOP:?}");
            }
            let db = Embedded::open(self.dir.join("var/db"))?;
            let (log, state, blobs) = (db.log(), db.state(), db.blobs());
            if is_folded(&*log, &*state).await? && is_handed_over(&*state).await? {
                let stores = Stores {
                    log: &*log,
                    state: &*state,
                    blobs: Some(&*blobs),
                };
                return Ok(found(recount(&told, stores).await?));
            }
        }
        bail!("the folds do not get to the log's end, or what they hand on is not published");
    }
}

/// Without what only the case knows.
pub fn found(d: super::recount::Difference) -> Found {
    Found {
        acknowledged: d.acknowledged,
        lost: d.lost,
        doubled: d.doubled,
        failed: (!d.examples.is_empty()).then(|| d.examples.join("; ")),
        ..Found::default()
    }
}

/// The longest of several recoveries.
pub fn slowest(so_far: &mut f64, since: Instant) {
    *so_far = so_far.max(since.elapsed().as_secs_f64());
}
