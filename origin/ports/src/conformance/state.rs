//! What every state store does.

use std::sync::Arc;

use bytes::Bytes;

use super::{StateFixture, answered, refused};
use crate::{Commit, Expect, PortErrorKind, StateStore};

/// Runs every check against one store.
pub async fn state_store(fixture: &dyn StateFixture) {
    let store = fixture.open().await;
    writes_are_read_back(&store).await;
    the_later_of_two_writes_wins(&store).await;
    scans_page_through_a_prefix(&store).await;
    scans_know_any_bytes(&store).await;
    large_commits_are_whole(&store).await;
    what_is_over_is_not_read(&store, fixture).await;
    numbers_are_exact(&store).await;
    refusals_come_in_order(&store).await;
    values_expire(&store, fixture).await;
    sweeps_remove_only_what_expired(&store, fixture).await;
    a_replayed_offset_changes_nothing(&store).await;
    a_replaced_worker_is_fenced(&store).await;
    of_two_claims_the_later_holds(&store).await;
    preconditions_hold_or_nothing_happens(&store).await;
    of_two_editors_one_wins(store.clone()).await;
    outboxes_hand_work_on_in_order(&store).await;
    watchers_wake_after_a_commit(&store).await;
    malformed_commits_are_refused(&store).await;
    drop(store);
    a_commit_survives_reopening_as_a_whole(fixture).await;
}

async fn writes_are_read_back(store: &Arc<dyn StateStore>) {
    assert_eq!(
        answered(store.get("empty-view", b"k").await),
        None,
        "an unwritten view is empty"
    );
    assert!(answered(store.scan("empty-view", b"", None, 10).await).is_empty());
    let huge = Bytes::from(vec![0xab; 1 << 20]);
    let commit = Commit::new()
        .put("basic", "a", "1")
        .put("basic", "empty", "")
        .put("basic", vec![0, 255], huge.clone())
        .put("other", "a", "2");
    answered(store.commit(commit).await);
    assert_eq!(read(store, "basic", "a").await, Some(Bytes::from("1")));
    assert_eq!(
        read(store, "other", "a").await,
        Some(Bytes::from("2")),
        "views do not mix"
    );
    assert_eq!(
        read(store, "basic", "empty").await,
        Some(Bytes::new()),
        "empty is not absent"
    );
    assert_eq!(
        answered(store.get("basic", &[0, 255]).await),
        Some(huge.clone())
    );
    let keys = [
        Bytes::from("none"),
        Bytes::from(vec![0, 255]),
        Bytes::from("a"),
        Bytes::from("a"),
    ];
    let found = answered(store.multi_get("basic", &keys).await);
    let one = Some(Bytes::from("1"));
    assert_eq!(
        found,
        [None, Some(huge), one.clone(), one],
        "in the order of the keys"
    );
    assert_eq!(
        answered(store.multi_get("empty-view", &keys[..1]).await),
        [None]
    );
    answered(
        store
            .commit(Commit::new().delete("basic", "a").delete("basic", "none"))
            .await,
    );
    assert_eq!(read(store, "basic", "a").await, None);
    answered(store.commit(Commit::new()).await);
}

async fn the_later_of_two_writes_wins(store: &Arc<dyn StateStore>) {
    let commit = Commit::new()
        .put("twice", "put", "old")
        .put("twice", "gone", "old")
        .delete("twice", "back")
        .put("twice", "put", "new")
        .delete("twice", "gone")
        .put("twice", "back", "new");
    answered(store.commit(commit).await);
    assert_eq!(read(store, "twice", "put").await, Some(Bytes::from("new")));
    assert_eq!(read(store, "twice", "gone").await, None);
    assert_eq!(read(store, "twice", "back").await, Some(Bytes::from("new")));
}

async fn scans_page_through_a_prefix(store: &Arc<dyn StateStore>) {
    let mut commit = Commit::new()
        .put("scan", "p", "before")
        .put("scan", "q/", "after");
    for n in 0..25 {
        commit = commit.put("scan", format!("p/{n:02}"), format!("{n}"));
    }
    answered(store.commit(commit).await);
    let mut keys = Vec::new();
    let mut after: Option<Bytes> = None;
    loop {
        let page = answered(store.scan("scan", b"p/", after.as_deref(), 10).await);
        assert!(page.len() <= 10, "a page is at most its limit");
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        keys.extend(page.into_iter().map(|entry| entry.key));
    }
    let expected: Vec<_> = (0..25).map(|n| Bytes::from(format!("p/{n:02}"))).collect();
    assert_eq!(keys, expected, "every key of the prefix once, in order");
    assert!(answered(store.scan("scan", b"p/", None, 0).await).is_empty());
    assert_eq!(
        answered(store.scan("scan", b"", None, 100).await).len(),
        27,
        "no prefix is all"
    );
}

async fn scans_know_any_bytes(store: &Arc<dyn StateStore>) {
    let keys: [&[u8]; 7] = [
        b"\x00",
        b"\x00\x00",
        b"*[a-z]?\\",
        b"a|b:c",
        b"\xfe\xff\xff",
        b"\xff",
        b"\xff\xff\x00",
    ];
    let mut commit = Commit::new();
    for key in keys {
        commit = commit.put("bytes", key.to_vec(), key.to_vec());
    }
    answered(store.commit(commit).await);
    let found = async |prefix: &[u8], after: Option<&[u8]>| -> Vec<Bytes> {
        let page = answered(store.scan("bytes", prefix, after, 100).await);
        assert!(page.iter().all(|entry| entry.key == entry.value));
        page.into_iter().map(|entry| entry.key).collect()
    };
    assert_eq!(found(b"", None).await, keys, "in byte order");
    assert_eq!(found(b"\xff", None).await, keys[5..]);
    assert_eq!(found(b"\xfe\xff", None).await, keys[4..5]);
    assert_eq!(found(b"*", None).await, keys[2..3], "no pattern");
    assert_eq!(found(b"", Some(b"\x00")).await, keys[1..]);
    assert!(found(b"a", Some(b"b")).await.is_empty(), "after the prefix");
    assert_eq!(found(b"a", Some(b"A")).await, keys[3..4], "before it");
}

async fn large_commits_are_whole(store: &Arc<dyn StateStore>) {
    const KEYS: u32 = 5_000;
    let key = |n: u32| n.to_be_bytes().to_vec();
    let mut commit = Commit::new();
    for n in 0..KEYS {
        commit = commit.put("large", key(n), "v").emit("large", key(n), "w");
    }
    answered(store.commit(commit).await);
    let keys: Vec<Bytes> = (0..KEYS).map(|n| Bytes::from(key(n))).collect();
    let found = answered(store.multi_get("large", &keys).await);
    assert!(found.iter().all(Option::is_some), "every value is there");
    let work = answered(store.outbox_read("large", 10_000).await);
    assert!(work.iter().map(|w| &w.key).eq(&keys), "all work, in order");
    let ids: Vec<u64> = work.iter().map(|w| w.id).collect();
    answered(store.outbox_ack("large", &ids).await);
    let mut commit = Commit::new();
    for n in 0..KEYS - 1 {
        commit = commit.delete("large", key(n));
    }
    answered(store.commit(commit).await);
    let left = answered(store.scan("large", b"", None, 10_000).await);
    assert_eq!(left.len(), 1, "and can all be deleted at once");
}

async fn what_is_over_is_not_read(store: &Arc<dyn StateStore>, fixture: &dyn StateFixture) {
    answered(
        store
            .commit(
                Commit::new()
                    .put("over", "k", "v")
                    .put("over", "early", "v"),
            )
            .await,
    );
    let past = fixture.now_ms() - 60_000;
    let commit = Commit::new()
        .put_until("over", "k", "late", past)
        .put_until("over", "early", "v", -1)
        .put_until("over", "epoch", "v", 0);
    answered(store.commit(commit).await);
    for key in ["k", "early", "epoch"] {
        assert_eq!(
            read(store, "over", key).await,
            None,
            "{key} was over when written"
        );
    }
    assert!(answered(store.scan("over", b"", None, 10).await).is_empty());
}

async fn numbers_are_exact(store: &Arc<dyn StateStore>) {
    // Neighbours that a double cannot tell apart.
    const LARGE: u64 = (1 << 60) + 1;
    let fenced = |epoch| Commit::new().fenced("exact", epoch);
    answered(store.commit(fenced(LARGE)).await);
    refused(
        store.commit(fenced(LARGE - 1)).await,
        PortErrorKind::Fenced,
        "an epoch older by one",
    );
    refused(
        store.commit(fenced(9)).await,
        PortErrorKind::Fenced,
        "a much older epoch",
    );
    answered(store.commit(fenced(LARGE + 1)).await);
    assert_eq!(answered(store.claim("exact").await), LARGE + 2);
    let advance = |from, to| Commit::new().advance("exact", "events", 0, from, to);
    answered(store.commit(advance(0, LARGE)).await);
    refused(
        store.commit(advance(LARGE - 1, LARGE)).await,
        PortErrorKind::Conflict,
        "an offset off by one",
    );
    answered(store.commit(advance(LARGE, LARGE + 1)).await);
    assert_eq!(
        answered(store.progress("exact", "events", 0).await),
        LARGE + 1
    );
}

async fn refusals_come_in_order(store: &Arc<dyn StateStore>) {
    answered(store.commit(Commit::new().fenced("order", 5)).await);
    let commit = |epoch, from| {
        Commit::new()
            .fenced("order", epoch)
            .advance("order", "events", 0, from, from + 1)
            .require("order", "k", Expect::Exactly(Bytes::from("never")))
            .put("order", "k", "v")
            .emit("order", "k", "v")
    };
    refused(
        store.commit(commit(4, 7)).await,
        PortErrorKind::Fenced,
        "the fence first",
    );
    for from in [7, 0] {
        refused(
            store.commit(commit(6, from)).await,
            PortErrorKind::Conflict,
            "then progress, then preconditions",
        );
    }
    answered(store.commit(Commit::new().fenced("order", 5)).await);
    assert_eq!(answered(store.progress("order", "events", 0).await), 0);
    assert_eq!(read(store, "order", "k").await, None);
    assert!(answered(store.outbox_read("order", 1).await).is_empty());
}

async fn values_expire(store: &Arc<dyn StateStore>, fixture: &dyn StateFixture) {
    let at_ms = fixture.now_ms() + 2_000;
    let commit = Commit::new()
        .put_until("ttl", "k", "v", at_ms)
        .put("ttl", "stays", "v");
    answered(store.commit(commit).await);
    assert_eq!(read(store, "ttl", "k").await, Some(Bytes::from("v")));
    let found = answered(store.scan("ttl", b"", None, 10).await);
    assert_eq!(found[0].expires_ms, Some(at_ms), "a scan tells the expiry");
    assert_eq!(found[1].expires_ms, None);
    fixture.advance(2_001).await;
    assert_eq!(
        read(store, "ttl", "k").await,
        None,
        "an expired value is not read"
    );
    let keys = [Bytes::from("k"), Bytes::from("stays")];
    assert_eq!(answered(store.multi_get("ttl", &keys).await)[0], None);
    assert_eq!(answered(store.scan("ttl", b"", None, 10).await).len(), 1);
    let absent = Commit::new()
        .require("ttl", "k", Expect::Absent)
        .put("ttl", "k", "again");
    answered(store.commit(absent).await);
    assert_eq!(
        read(store, "ttl", "k").await,
        Some(Bytes::from("again")),
        "the old expiry is gone"
    );
}

async fn sweeps_remove_only_what_expired(store: &Arc<dyn StateStore>, fixture: &dyn StateFixture) {
    let at_ms = fixture.now_ms() + 1_000;
    let mut commit = Commit::new();
    for n in 0..50 {
        commit = commit
            .put_until("sweep", format!("old{n}"), "v", at_ms)
            .put("sweep", format!("new{n}"), "v");
    }
    answered(store.commit(commit).await);
    fixture.advance(1_001).await;
    let mut removed = 0;
    // More rounds than any store of this suite has pages of seven.
    for _ in 0..100 {
        removed += answered(store.sweep(7).await);
    }
    assert!(
        removed == 0 || removed >= 50,
        "a store that sweeps reaches everything: {removed}"
    );
    assert_eq!(
        answered(store.scan("sweep", b"", None, 1_000).await).len(),
        50
    );
}

async fn a_replayed_offset_changes_nothing(store: &Arc<dyn StateStore>) {
    assert_eq!(
        answered(store.progress("fold", "events", 3).await),
        0,
        "before the first commit"
    );
    let first = Commit::new()
        .advance("fold", "events", 3, 0, 10)
        .put("replay", "n", "10");
    answered(store.commit(first.clone()).await);
    assert_eq!(answered(store.progress("fold", "events", 3).await), 10);
    let again = Commit {
        writes: Commit::new().put("replay", "n", "twice").writes,
        ..first
    }
    .emit("replayed", "k", "v");
    refused(
        store.commit(again).await,
        PortErrorKind::Conflict,
        "a replay",
    );
    assert_eq!(
        read(store, "replay", "n").await,
        Some(Bytes::from("10")),
        "state is untouched"
    );
    assert!(
        answered(store.outbox_read("replayed", 1).await).is_empty(),
        "no work is handed on"
    );
    assert_eq!(
        answered(store.progress("fold", "events", 3).await),
        10,
        "progress is untouched"
    );
    assert_eq!(
        answered(store.progress("fold", "events", 4).await),
        0,
        "partitions are apart"
    );
    assert_eq!(
        answered(store.progress("other", "events", 3).await),
        0,
        "consumers are apart"
    );
    answered(
        store
            .commit(Commit::new().advance("fold", "events", 3, 10, 12))
            .await,
    );
}

async fn a_replaced_worker_is_fenced(store: &Arc<dyn StateStore>) {
    let write = |epoch: u64| {
        Commit::new()
            .fenced("worker", epoch)
            .put("fence", "by", epoch.to_string())
    };
    answered(store.commit(write(1)).await);
    answered(store.commit(write(1)).await);
    answered(store.commit(write(3)).await);
    refused(
        store.commit(write(2)).await,
        PortErrorKind::Fenced,
        "an older epoch",
    );
    assert_eq!(read(store, "fence", "by").await, Some(Bytes::from("3")));
    answered(store.commit(write(3)).await);
    answered(
        store
            .commit(Commit::new().fenced("another", 1).put("fence", "x", "y"))
            .await,
    );
    // A newer epoch of a commit that fails otherwise is not adopted.
    let failing = write(9).require("fence", "by", Expect::Absent);
    refused(
        store.commit(failing).await,
        PortErrorKind::Conflict,
        "a precondition",
    );
    answered(store.commit(write(4)).await);
}

async fn of_two_claims_the_later_holds(store: &Arc<dyn StateStore>) {
    let first = answered(store.claim("claimed").await);
    let fenced = |epoch| {
        Commit::new()
            .put("claims", "k", "v")
            .fenced("claimed", epoch)
    };
    answered(store.commit(fenced(first)).await);
    let second = answered(store.claim("claimed").await);
    assert!(second > first, "a claim raises the epoch");
    refused(
        store.commit(fenced(first)).await,
        PortErrorKind::Fenced,
        "the first claimant is shut out before the second commits",
    );
    answered(store.commit(fenced(second)).await);
    let claims = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { answered(store.claim("claimed").await) })
    });
    let mut epochs = Vec::new();
    for claim in claims.collect::<Vec<_>>() {
        epochs.push(claim.await.unwrap_or_default());
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 8, "no two claimants share an epoch");
    refused(
        store.claim("Bad Name").await,
        PortErrorKind::Invalid,
        "a bad fence name",
    );
}

async fn preconditions_hold_or_nothing_happens(store: &Arc<dyn StateStore>) {
    let create = Commit::new()
        .require("cas", "k", Expect::Absent)
        .put("cas", "k", "v1");
    answered(store.commit(create.clone()).await);
    refused(
        store.commit(create).await,
        PortErrorKind::Conflict,
        "creating twice",
    );
    let update = |from: &'static str, to: &'static str| {
        let expect = Expect::Exactly(Bytes::from(from));
        Commit::new()
            .require("cas", "k", expect)
            .put("cas", "k", to)
            .put("cas", "side", to)
    };
    answered(store.commit(update("v1", "v2")).await);
    refused(
        store.commit(update("v1", "v3")).await,
        PortErrorKind::Conflict,
        "a lost update",
    );
    assert_eq!(read(store, "cas", "k").await, Some(Bytes::from("v2")));
    assert_eq!(
        read(store, "cas", "side").await,
        Some(Bytes::from("v2")),
        "all or nothing"
    );
}

async fn of_two_editors_one_wins(store: Arc<dyn StateStore>) {
    const EDITORS: u32 = 16;
    answered(store.commit(Commit::new().put("race", "k", "start")).await);
    let tasks: Vec<_> = (0..EDITORS)
        .map(|editor| {
            let store = store.clone();
            tokio::spawn(async move {
                let expect = Expect::Exactly(Bytes::from("start"));
                let commit =
                    Commit::new()
                        .require("race", "k", expect)
                        .put("race", "k", editor.to_string());
                match store.commit(commit).await {
                    Ok(()) => Some(editor),
                    Err(error) => {
                        assert_eq!(error.kind(), PortErrorKind::Conflict, "{error}");
                        None
                    }
                }
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.unwrap_or_else(|e| panic!("{e}")));
    }
    assert_eq!(winners.len(), 1, "exactly one wins: {winners:?}");
    assert_eq!(
        read(&store, "race", "k").await,
        Some(Bytes::from(winners[0].to_string()))
    );
}

async fn outboxes_hand_work_on_in_order(store: &Arc<dyn StateStore>) {
    let first = Commit::new()
        .emit("push", "a", "1")
        .emit("push", "b", "")
        .emit("pull", "z", "9");
    answered(store.commit(first).await);
    answered(
        store
            .commit(
                Commit::new()
                    .emit("push", "a", "2")
                    .emit("push-more", "x", "y"),
            )
            .await,
    );
    let work = answered(store.outbox_read("push", 10).await);
    let seen: Vec<_> = work.iter().map(|w| (&w.key[..], &w.value[..])).collect();
    assert_eq!(
        seen,
        [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"a", b"2")],
        "in order of commit"
    );
    assert!(
        work.windows(2).all(|pair| pair[0].id < pair[1].id),
        "ids ascend"
    );
    assert_eq!(
        answered(store.outbox_read("push", 2).await),
        work[..2],
        "reading keeps it"
    );
    answered(
        store
            .outbox_ack("push", &[work[0].id, work[2].id, 999_999])
            .await,
    );
    answered(store.outbox_ack("push", &[work[0].id]).await);
    assert_eq!(
        answered(store.outbox_read("push", 10).await),
        work[1..2],
        "the rest stays"
    );
    answered(store.outbox_ack("push", &[work[1].id]).await);
    answered(store.commit(Commit::new().emit("push", "c", "3")).await);
    let next = answered(store.outbox_read("push", 10).await);
    assert!(
        next.len() == 1 && next[0].id > work[2].id,
        "ids are never reused"
    );
    assert_eq!(
        answered(store.outbox_read("pull", 10).await).len(),
        1,
        "outboxes are apart"
    );
}

async fn watchers_wake_after_a_commit(store: &Arc<dyn StateStore>) {
    let mut watch = answered(store.outbox_watch("wake"));
    watch.mark_unchanged();
    answered(store.commit(Commit::new().emit("wake", "k", "v")).await);
    let woken = tokio::time::timeout(std::time::Duration::from_secs(5), watch.changed()).await;
    assert!(
        matches!(woken, Ok(Ok(()))),
        "whoever serves the outbox is woken"
    );
}

async fn malformed_commits_are_refused(store: &Arc<dyn StateStore>) {
    let (invalid, large) = (PortErrorKind::Invalid, PortErrorKind::TooLarge);
    let bad_view = Commit::new()
        .put("good", "k", "v")
        .put("bad\0view", "k", "v");
    refused(store.commit(bad_view).await, invalid, "a view's name");
    assert_eq!(
        read(store, "good", "k").await,
        None,
        "nothing of a refused commit is written"
    );
    refused(
        store.commit(Commit::new().put("good", "", "v")).await,
        invalid,
        "an empty key",
    );
    let long = Commit::new().put("good", vec![b'k'; 70_000], "v");
    refused(store.commit(long).await, large, "a key of 70 KB");
}

async fn a_commit_survives_reopening_as_a_whole(fixture: &dyn StateFixture) {
    let store = fixture.open().await;
    let commit = Commit::new()
        .put("whole", "k", "v")
        .advance("whole", "events", 0, 0, 7)
        .fenced("whole", 5)
        .emit("whole", "k", "work");
    answered(store.commit(commit).await);
    drop(store);
    let store = fixture.open().await;
    assert_eq!(read(&store, "whole", "k").await, Some(Bytes::from("v")));
    assert_eq!(answered(store.progress("whole", "events", 0).await), 7);
    let work = answered(store.outbox_read("whole", 10).await);
    assert_eq!(work.len(), 1);
    refused(
        store.commit(Commit::new().fenced("whole", 4)).await,
        PortErrorKind::Fenced,
        "fence",
    );
    answered(store.outbox_ack("whole", &[work[0].id]).await);
    drop(store);
    let store = fixture.open().await;
    answered(store.commit(Commit::new().emit("whole", "k", "more")).await);
    let more = answered(store.outbox_read("whole", 10).await);
    assert!(
        more.len() == 1 && more[0].id > work[0].id,
        "ids are not reused after reopening"
    );
}

async fn read(store: &Arc<dyn StateStore>, view: &str, key: &str) -> Option<Bytes> {
    answered(store.get(view, key.as_bytes()).await)
}
