//! Readers' blobs: drains the outbox of `features`, writes what is worth a write, deletes what was withdrawn.
//!
//! Data path: outbox `profiles.dirty` → latest blob of each reader → [`crate::publishing`] decides → `u/<pseudonym>`,
//! or the view [`VIEW_PARKED`]. An entry leaves the outbox when its blob is written or parked, so a crash anywhere
//! forgets nothing; after one, parked readers are found again by a [`lane`]'s sweep through the view. What edges have
//! is in the view [`VIEW_SENT`]. One process publishes profiles: two would each gate by what it wrote itself.
//!
//! Withdrawals and expired profiles never wait for a policy or a budget.

mod held;
mod lane;
mod pay;

use mediaflow_shared::id::Pseudonym;
use tokio::sync::watch;
use tokio::time::sleep;

pub use held::{VIEW_BUDGET, VIEW_PARKED, VIEW_SENT};

use crate::error::PublisherResult;
use crate::limits::{PROFILES_BATCH, PROFILES_EVERY, PROFILES_POLL};
use crate::profiles::lane::ProfileLane;
use crate::push::{Patience, news, stopped, stopping};
use crate::{PublisherDeps, Shared};
use mediaflow_ports::Lane;
use mediaflow_shared::signals::OUTBOX_PROFILES;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// The key of a reader's blob.
#[must_use]
pub fn profile_key(reader: Pseudonym) -> String {
    format!("u/{reader}")
}

/// Publishes until told to stop. What was not taken stays in the outbox.
pub(crate) async fn run(
    deps: PublisherDeps,
    shared: Arc<Shared>,
    mut shutdown: watch::Receiver<bool>,
) -> PublisherResult<()> {
    let mut woken = deps.state.outbox_watch(OUTBOX_PROFILES)?;
    let metrics = deps.metrics.clone();
    let mut lane = ProfileLane::open(deps, shared).await?;
    let mut patience = Patience::default();
    while !stopping(&shutdown) {
        woken.borrow_and_update();
        let round = lane.round().await?;
        if round.failed {
            metrics.lane(Lane::Profiles).retries.fetch_add(1, Relaxed);
            patience.wait(round.pause, &mut shutdown).await;
            continue;
        }
        patience.reset();
        tokio::select! {
            () = async {
                if round.worked == 0 {
                    // Bounded: readers wait for their time, and stores may wake across processes by polling only.
                    let _ = tokio::time::timeout(PROFILES_POLL, news(&mut woken)).await;
                }
                if round.worked < PROFILES_BATCH {
                    sleep(PROFILES_EVERY).await;
                }
            } => {}
            () = stopped(&mut shutdown) => {}
        }
    }
    Ok(())
}
