//! The process's seat in the group: one worker for each partition that is assigned to it, none for the others.

use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::FeatureError;
use crate::items::Items;
use crate::partition::{Order, retrying, work};
use crate::{CONSUMER, FeatureDeps, TOPIC_EVENTS};

/// Works on what is assigned until `shutdown`; the seat is kept until the last commit is through.
pub(crate) async fn share(
    deps: FeatureDeps,
    items: Arc<Items>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), FeatureError> {
    let seat = retrying(&deps, || deps.log.join(CONSUMER, TOPIC_EVENTS)).await?;
    let mut assigned = seat.assigned();
    let mut workers = JoinSet::new();
    let mut orders: HashMap<u32, watch::Sender<Order>> = HashMap::new();
    loop {
        let ours = assigned.borrow_and_update().clone();
        // A worker that is dropped here may still be in a commit; the fence tells whose counts.
        orders.retain(|p, order| {
            let keep = ours.contains(p);
            if !keep {
                order.send_replace(Order::Drop);
            }
            keep
        });
        for p in ours.iter() {
            orders.entry(*p).or_insert_with(|| {
                let (order, told) = watch::channel(Order::Work);
                workers.spawn(work(deps.clone(), items.clone(), *p, told));
                order
            });
        }
        tokio::select! {
            changed = assigned.changed() => if changed.is_err() {
                // The seat is gone with the client: nothing is assigned any more.
                orders.values().for_each(|o| { o.send_replace(Order::Drop); });
                return finish(workers).await;
            },
            Some(done) = workers.join_next() => ended(done)?,
            _ = shutdown.changed() => {
                orders.values().for_each(|o| { o.send_replace(Order::Finish); });
                return finish(workers).await;
            }
        }
        if *shutdown.borrow() {
            orders.values().for_each(|o| {
                o.send_replace(Order::Finish);
            });
            return finish(workers).await;
        }
    }
}

async fn finish(mut workers: JoinSet<Result<(), FeatureError>>) -> Result<(), FeatureError> {
    while let Some(done) = workers.join_next().await {
        ended(done)?;
    }
    Ok(())
}

fn ended(
    done: Result<Result<(), FeatureError>, tokio::task::JoinError>,
) -> Result<(), FeatureError> {
    match done {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
