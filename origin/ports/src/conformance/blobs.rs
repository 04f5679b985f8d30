//! What every blob store does.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{BlobFixture, answered};
use crate::{Blob, BlobEntry, BlobStore, Lane, PortErrorKind};

/// Runs every check against one store, which must be empty.
pub async fn blob_store(fixture: &dyn BlobFixture) {
    let store = fixture.open().await;
    blobs_are_read_back_byte_for_byte(&store).await;
    the_later_of_two_puts_wins(&store).await;
    deletes_are_complete(&store).await;
    bad_blobs_fail_alone(&store).await;
    listings_page_through_a_prefix(&store, fixture).await;
    if fixture.keeps_metadata() {
        metadata_stays_beside_its_value(&store).await;
    }
    blobs_expire(&store, fixture).await;
    large_batches_arrive_whole(&store).await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(
        value(&store, "u/0").await,
        Some(Bytes::from("plain")),
        "blobs survive reopening"
    );
}

async fn blobs_are_read_back_byte_for_byte(store: &Arc<dyn BlobStore>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let samples = [
        ("u/0", Bytes::from("plain")),
        ("bytes", Bytes::from(every_byte)),
        ("empty", Bytes::new()),
        ("huge", Bytes::from(vec![0xfe; 2 << 20])),
        (
            "f/brand-a/start page?x=1&y=%2F#z",
            Bytes::from("awkward key"),
        ),
        ("ü/日本", Bytes::from("beyond ASCII")),
    ];
    let blobs = samples
        .iter()
        .map(|(key, value)| Blob::new(*key, value.clone()))
        .collect();
    let report = answered(store.put_many(Lane::Profiles, blobs).await);
    assert_eq!(
        (report.written, report.failed.len()),
        (6, 0),
        "{:?}",
        report.failed
    );
    for (key, expected) in samples {
        let found = answered(store.get(key).await).unwrap_or_else(|| panic!("{key} is missing"));
        assert!(found.value == expected, "{key} came back changed");
        assert_eq!(
            (found.key.as_str(), found.ttl_s, found.metadata),
            (key, None, None)
        );
    }
    assert_eq!(value(store, "none").await, None);
    let nothing = answered(store.put_many(Lane::Fronts, Vec::new()).await);
    assert_eq!((nothing.written, nothing.failed.len()), (0, 0));
}

async fn the_later_of_two_puts_wins(store: &Arc<dyn BlobStore>) {
    let blobs = vec![Blob::new("twice", "old"), Blob::new("twice", "new")];
    let report = answered(store.put_many(Lane::Fronts, blobs).await);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(value(store, "twice").await, Some(Bytes::from("new")));
}

async fn deletes_are_complete(store: &Arc<dyn BlobStore>) {
    put(
        store,
        vec![
            Blob::new("gone/1", "x"),
            Blob::new("gone/2", "x"),
            Blob::new("gone/3", "x"),
        ],
    )
    .await;
    let keys = ["gone/1", "gone/2", "never-was"]
        .map(str::to_owned)
        .to_vec();
    let report = answered(store.delete_many(Lane::Rules, keys).await);
    assert_eq!(
        (report.deleted, report.failed.len()),
        (3, 0),
        "{:?}",
        report.failed
    );
    assert_eq!(value(store, "gone/1").await, None);
    assert_eq!(value(store, "gone/3").await, Some(Bytes::from("x")));
    assert_eq!(
        answered(store.delete_many(Lane::Rules, Vec::new()).await).deleted,
        0
    );
}

async fn bad_blobs_fail_alone(store: &Arc<dyn BlobStore>) {
    let blobs = vec![
        Blob::new("bad/neighbour", "fine"),
        Blob::new("", "no key"),
        Blob::new("..", "reserved"),
        Blob::new("k".repeat(513), "long key"),
        Blob::new("bad/large", vec![0; 25 * 1024 * 1024 + 1]),
    ];
    let report = answered(store.put_many(Lane::Fronts, blobs).await);
    assert_eq!(report.written, 1, "{:?}", report.failed);
    assert_eq!(
        value(store, "bad/neighbour").await,
        Some(Bytes::from("fine"))
    );
    let mut failed: Vec<_> = report
        .failed
        .iter()
        .map(|f| (f.key.len(), f.reason.kind()))
        .collect();
    failed.sort_by_key(|(len, _)| *len);
    let (invalid, large) = (PortErrorKind::Invalid, PortErrorKind::TooLarge);
    assert_eq!(
        failed,
        [(0, invalid), (2, invalid), (9, large), (513, large)]
    );
    assert!(
        report.failed.iter().all(|f| !f.reason.is_retryable()),
        "retrying is in vain"
    );
}

async fn listings_page_through_a_prefix(store: &Arc<dyn BlobStore>, fixture: &dyn BlobFixture) {
    let mut blobs: Vec<_> = (0..35)
        .map(|n| Blob::new(format!("list/{n:02}"), "x"))
        .collect();
    blobs.extend([
        Blob::new("list", "x"),
        Blob::new("lisu", "x"),
        Blob::new("list*", "x"),
    ]);
    put(store, blobs).await;
    let pages = pages(store, "list/", 10).await;
    let keys: Vec<_> = pages
        .iter()
        .flatten()
        .map(|entry| entry.key.clone())
        .collect();
    let expected: Vec<_> = (0..35).map(|n| format!("list/{n:02}")).collect();
    if fixture.lists_in_order() {
        assert_eq!(keys, expected, "every key once, in order");
        assert_eq!(
            pages.iter().map(Vec::len).collect::<Vec<_>>(),
            [10, 10, 10, 5]
        );
    } else {
        let unique: BTreeSet<_> = keys.into_iter().collect();
        assert!(
            unique.into_iter().eq(expected),
            "every key of the prefix and no other"
        );
    }
    let special: Vec<_> = self::pages(store, "list*", 10).await.concat();
    assert_eq!(special.len(), 1, "a prefix is no pattern");
    assert!(
        self::pages(store, "no-such-prefix", 10)
            .await
            .concat()
            .is_empty()
    );
}

async fn metadata_stays_beside_its_value(store: &Arc<dyn BlobStore>) {
    let metadata = Some(r#"{"revision":7}"#.to_owned());
    let blob = Blob {
        metadata: metadata.clone(),
        ..Blob::new("meta/1", "x")
    };
    put(store, vec![blob, Blob::new("meta/2", "x")]).await;
    let entries = pages(store, "meta/", 10).await.concat();
    let entry = |key: &str, metadata| BlobEntry {
        key: key.to_owned(),
        expires_s: None,
        metadata,
    };
    assert_eq!(
        entries,
        [entry("meta/1", metadata.clone()), entry("meta/2", None)]
    );
    assert_eq!(
        answered(store.get("meta/1").await).and_then(|blob| blob.metadata),
        metadata
    );
    let large = Blob {
        metadata: Some(format!("\"{}\"", "m".repeat(1_100))),
        ..Blob::new("meta/3", "x")
    };
    let report = answered(store.put_many(Lane::Fronts, vec![large]).await);
    assert_eq!(report.failed[0].reason.kind(), PortErrorKind::TooLarge);
    put(store, vec![Blob::new("meta/1", "y")]).await;
    let found = answered(store.get("meta/1").await).and_then(|blob| blob.metadata);
    assert_eq!(found, None, "a put replaces the metadata too");
}

async fn blobs_expire(store: &Arc<dyn BlobStore>, fixture: &dyn BlobFixture) {
    let ttl_s = fixture.ttl_s_min() + 1;
    let brief = |key: &str| Blob {
        ttl_s: Some(ttl_s),
        ..Blob::new(key, "x")
    };
    put(
        store,
        vec![brief("ttl/1"), Blob::new("ttl/2", "x"), brief("ttl/3")],
    )
    .await;
    put(store, vec![Blob::new("ttl/3", "stays")]).await;
    let found = answered(store.get("ttl/1").await).and_then(|blob| blob.ttl_s);
    assert!(
        found.is_some_and(|left| left <= ttl_s),
        "a blob tells its time to live: {found:?}"
    );
    let entries = pages(store, "ttl/", 10).await.concat();
    let expiring: Vec<_> = entries.iter().filter(|e| e.expires_s.is_some()).collect();
    assert!(
        expiring.len() == 1 && expiring[0].key == "ttl/1",
        "a listing tells the expiry"
    );
    fixture.advance(ttl_s as i64 * 1_000 + 500).await;
    assert_eq!(
        value(store, "ttl/1").await,
        None,
        "an expired blob is not read"
    );
    assert_eq!(
        value(store, "ttl/3").await,
        Some(Bytes::from("stays")),
        "a put without expiry stays"
    );
    let keys: BTreeSet<_> = pages(store, "ttl/", 10)
        .await
        .concat()
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert!(
        keys.iter().map(String::as_str).eq(["ttl/2", "ttl/3"]),
        "{keys:?}"
    );
    let mut swept = 0;
    for _ in 0..50 {
        swept += answered(store.sweep(5).await);
    }
    assert!(swept <= 1, "a sweep removes only what expired");
    assert_eq!(value(store, "ttl/2").await, Some(Bytes::from("x")));
}

async fn large_batches_arrive_whole(store: &Arc<dyn BlobStore>) {
    const BLOBS: usize = 12_000;
    let blobs = (0..BLOBS)
        .map(|n| Blob::new(format!("bulk/{n:05}"), n.to_string()))
        .collect();
    let report = answered(store.put_many(Lane::Profiles, blobs).await);
    assert_eq!((report.written, report.failed.len()), (BLOBS, 0));
    for n in [0, 9_999, 10_000, BLOBS - 1] {
        let found = value(store, &format!("bulk/{n:05}")).await;
        assert_eq!(found, Some(Bytes::from(n.to_string())), "blob {n}");
    }
    let listed: BTreeSet<_> = pages(store, "bulk/", 1_000)
        .await
        .concat()
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(listed.len(), BLOBS, "every blob is listed");
    let keys = listed.into_iter().collect();
    assert_eq!(
        answered(store.delete_many(Lane::Profiles, keys).await).deleted,
        BLOBS
    );
    assert!(pages(store, "bulk/", 1_000).await.concat().is_empty());
}

async fn put(store: &Arc<dyn BlobStore>, blobs: Vec<Blob>) {
    let report = answered(store.put_many(Lane::Fronts, blobs).await);
    assert!(report.failed.is_empty(), "{:?}", report.failed);
}

async fn value(store: &Arc<dyn BlobStore>, key: &str) -> Option<Bytes> {
    answered(store.get(key).await).map(|blob| blob.value)
}

async fn pages(store: &Arc<dyn BlobStore>, prefix: &str, limit: usize) -> Vec<Vec<BlobEntry>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let page = answered(store.list(prefix, after.as_deref(), limit).await);
        assert!(page.entries.len() <= limit, "a page is at most its limit");
        pages.push(page.entries);
        after = page.next;
        if after.is_none() {
            return pages;
        }
        assert!(pages.len() < 10_000, "a listing ends");
    }
}
