//! What a state store over several nodes does with views placed by partition.

use std::sync::Arc;

use bytes::Bytes;

use super::{StateFixture, answered, refused};
use crate::{Commit, Expect, Layout, PortErrorKind, StateStore, ViewPlan, partition_of};

/// The layout the suite's fixture opens its store with.
#[must_use]
pub fn placed_layout() -> Layout {
    Layout::new(4)
        .views(&[
            ViewPlan::by_key("placed.key").unscanned(),
            ViewPlan::by_key("placed.key-scanned"),
            ViewPlan::by_prefix("placed.prefix"),
        ])
        .partitioned("placed")
}

/// Runs every check against one store opened with [`placed_layout`].
pub async fn placed_state_store(fixture: &dyn StateFixture) {
    let store = fixture.open().await;
    a_partition_commits_as_one(&store).await;
    commits_over_partitions_are_refused(&store).await;
    keys_are_read_wherever_they_lie(&store).await;
    scans_find_every_partition_in_order(&store).await;
    outboxes_are_read_across_partitions(&store).await;
}

/// A key of 16 bytes that lives in `partition`.
fn key_in(partition: u32, n: u64) -> Bytes {
    let key = |salt: u64| Bytes::from([n.to_be_bytes(), salt.to_be_bytes()].concat());
    let mut keys = (0..).map(key);
    let fits = |key: &Bytes| partition_of(key, placed_layout().partitions()) == partition;
    keys.find(fits).unwrap_or_default()
}

async fn a_partition_commits_as_one(store: &Arc<dyn StateStore>) {
    for partition in 0..4_u32 {
        let fence = format!("placed.events.{partition}");
        let old = answered(store.claim(&fence).await);
        let new = answered(store.claim(&fence).await);
        let prefix = [&partition.to_be_bytes()[..], b"/x"].concat();
        let commit = |epoch, from, value: &'static str| {
            Commit::new()
                .fenced(&fence, epoch)
                .advance("placed", "events", partition, from, from + 10)
                .put("placed.key", key_in(partition, 1), value)
                .put("placed.prefix", prefix.clone(), value)
                .emit("placed-one", key_in(partition, 1), value)
        };
        answered(store.commit(commit(new, 0, "first")).await);
        refused(
            store.commit(commit(old, 10, "older")).await,
            PortErrorKind::Fenced,
            "an older epoch",
        );
        refused(
            store.commit(commit(new, 0, "again")).await,
            PortErrorKind::Conflict,
            "a replay",
        );
        let broken =
            commit(new, 10, "broken").require("placed.key", key_in(partition, 1), Expect::Absent);
        refused(
            store.commit(broken).await,
            PortErrorKind::Conflict,
            "a precondition",
        );
        let stored = answered(store.get("placed.key", &key_in(partition, 1)).await);
        assert_eq!(stored, Some(Bytes::from("first")));
        assert_eq!(
            answered(store.progress("placed", "events", partition).await),
            10
        );
    }
    let work = answered(store.outbox_read("placed-one", 100).await);
    assert_eq!(
        work.len(),
        4,
        "one entry a partition, none of a refused commit"
    );
}

async fn commits_over_partitions_are_refused(store: &Arc<dyn StateStore>) {
    let two =
        Commit::new()
            .put("placed.key", key_in(0, 2), "v")
            .put("placed.key", key_in(1, 2), "v");
    refused(
        store.commit(two).await,
        PortErrorKind::Invalid,
        "two partitions",
    );
    let mixed = Commit::new()
        .advance("placed", "events", 2, 10, 20)
        .put("unplaced", "k", "v");
    refused(
        store.commit(mixed).await,
        PortErrorKind::Invalid,
        "a partition and the rest",
    );
    assert_eq!(answered(store.get("placed.key", &key_in(0, 2)).await), None);
    assert_eq!(answered(store.progress("placed", "events", 2).await), 10);
    let nowhere = Commit::new().put("placed.prefix", "abc", "v");
    refused(
        store.commit(nowhere).await,
        PortErrorKind::Invalid,
        "a key without its partition",
    );
}

async fn keys_are_read_wherever_they_lie(store: &Arc<dyn StateStore>) {
    let mut keys = Vec::new();
    for n in 0..20 {
        let key = key_in(u32::try_from(n).unwrap_or(0) % 4, 100 + n);
        let put = Commit::new().put("placed.key", key.clone(), n.to_string());
        answered(store.commit(put).await);
        keys.push(key);
    }
    keys.push(Bytes::from("absent"));
    let found = answered(store.multi_get("placed.key", &keys).await);
    let wanted = (0..20).map(|n| Some(Bytes::from(n.to_string())));
    assert_eq!(
        found,
        wanted.chain([None]).collect::<Vec<_>>(),
        "in the order of the keys"
    );
}

async fn scans_find_every_partition_in_order(store: &Arc<dyn StateStore>) {
    for view in ["placed.key", "placed.key-scanned"] {
        let mut wanted = Vec::new();
        for n in 0..40 {
            let key = key_in(u32::try_from(n).unwrap_or(0) % 4, 1_000 + n);
            answered(
                store
                    .commit(Commit::new().put(view, key.clone(), "v"))
                    .await,
            );
            wanted.push(key);
        }
        wanted.sort_unstable();
        let prefix = [0, 0, 0, 0, 0, 0];
        let (mut found, mut after): (Vec<Bytes>, Option<Bytes>) =
            (Vec::new(), Some(key_in(0, 999)));
        loop {
            let page = answered(store.scan(view, &prefix, after.as_deref(), 7).await);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            found.extend(page.into_iter().map(|entry| entry.key));
        }
        assert_eq!(
            found, wanted,
            "{view}: every key once, in byte order over all partitions"
        );
    }
    for partition in 0..4_u32 {
        let page = answered(
            store
                .scan("placed.prefix", &partition.to_be_bytes(), None, 10)
                .await,
        );
        assert_eq!(page.len(), 1, "a prefix finds its own partition only");
    }
    assert_eq!(
        answered(store.scan("placed.prefix", b"", None, 10).await).len(),
        4
    );
}

async fn outboxes_are_read_across_partitions(store: &Arc<dyn StateStore>) {
    for round in 0..10_u64 {
        for partition in 0..4_u32 {
            let commit = Commit::new()
                .put("placed.key", key_in(partition, 1), "v")
                .emit("placed-many", key_in(partition, 1), round.to_string());
            answered(store.commit(commit).await);
        }
    }
    answered(
        store
            .commit(Commit::new().emit("placed-many", "global", "g"))
            .await,
    );
    let some = answered(store.outbox_read("placed-many", 10).await);
    assert_eq!(some.len(), 10);
    assert!(
        some.windows(2).all(|pair| pair[0].id < pair[1].id),
        "ids ascend"
    );
    let mut keys: Vec<&[u8]> = some.iter().map(|work| &work.key[..]).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 5, "no partition waits for another");
    let all = answered(store.outbox_read("placed-many", 1_000).await);
    assert_eq!(all.len(), 41);
    for partition in 0..4_u32 {
        let key = key_in(partition, 1);
        let of: Vec<String> = all
            .iter()
            .filter(|work| work.key == key)
            .map(|work| String::from_utf8_lossy(&work.value).into_owned())
            .collect();
        assert_eq!(
            of,
            (0..10).map(|n| n.to_string()).collect::<Vec<_>>(),
            "in order of commit"
        );
    }
    let ids: Vec<u64> = all.iter().map(|work| work.id).collect();
    answered(store.outbox_ack("placed-many", &ids[..40]).await);
    assert_eq!(
        answered(store.outbox_read("placed-many", 1_000).await),
        all[40..]
    );
}
