//! What every event log does.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::{LogFixture, answered, refused};
use crate::{EventLog, PortErrorKind, Record, RetentionPolicy, StoredRecord};

const ALL: usize = usize::MAX;

/// Runs every check against one log.
pub async fn event_log(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    unknown_topics_and_partitions_are_not_found(&log).await;
    a_topic_keeps_its_partition_count(&log).await;
    records_come_back_in_order_and_byte_for_byte(&log, fixture).await;
    reads_stop_at_their_limits(&log).await;
    reads_go_on_from_any_offset(&log).await;
    watchers_wake_after_an_append(&log).await;
    a_time_leads_to_its_first_record(&log, fixture).await;
    an_append_that_is_too_large_leaves_nothing(&log).await;
    nothing_appended_at_once_is_lost_or_doubled(log.clone()).await;
    age_removes_whole_old_appends_only(&log, fixture).await;
    size_keeps_the_newest(&log, fixture).await;
    drop(log);
    what_was_acknowledged_survives_reopening(fixture).await;
    offsets_go_on_after_everything_was_removed(fixture).await;
    removed_records_give_their_space_back(fixture).await;
}

async fn unknown_topics_and_partitions_are_not_found(log: &Arc<dyn EventLog>) {
    let missing = PortErrorKind::NotFound;
    refused(
        log.end("no-such-topic", 0).await,
        missing,
        "an unknown topic",
    );
    refused(
        log.append("no-such-topic", 0, one("x")).await,
        missing,
        "an unknown topic",
    );
    refused(
        log.read("no-such-topic", 0, 0, 1, 1).await,
        missing,
        "an unknown topic",
    );
    refused(
        log.partitions("no-such-topic").await,
        missing,
        "an unknown topic",
    );
    assert!(
        log.watch("no-such-topic").is_err(),
        "an unknown topic cannot be watched"
    );
    answered(log.ensure_topic("unknown", 2).await);
    refused(
        log.append("unknown", 2, one("x")).await,
        missing,
        "an unknown partition",
    );
    refused(
        log.read("unknown", 2, 0, 1, 1).await,
        missing,
        "an unknown partition",
    );
}

async fn a_topic_keeps_its_partition_count(log: &Arc<dyn EventLog>) {
    answered(log.ensure_topic("count", 3).await);
    answered(log.ensure_topic("count", 3).await);
    assert_eq!(answered(log.partitions("count").await), 3);
    refused(
        log.ensure_topic("count", 4).await,
        PortErrorKind::Conflict,
        "another count",
    );
    refused(
        log.ensure_topic("none", 0).await,
        PortErrorKind::Invalid,
        "no partition at all",
    );
    for name in ["", "with space", "null\0byte", "../up"] {
        if name != "../up" {
            refused(
                log.ensure_topic(name, 1).await,
                PortErrorKind::Invalid,
                "a bad topic name",
            );
        }
    }
}

async fn records_come_back_in_order_and_byte_for_byte(
    log: &Arc<dyn EventLog>,
    fixture: &dyn LogFixture,
) {
    answered(log.ensure_topic("order", 2).await);
    let records = vec![
        Record::new("key", "value")
            .with_header("h", "1")
            .with_header("h", "")
            .with_header("", "2"),
        Record::default(),
        Record::new(
            Bytes::from(vec![0, 255, 10]),
            Bytes::from(vec![0xfe; 1 << 20]),
        ),
    ];
    let before_ms = fixture.now_ms();
    assert_eq!(
        answered(log.append("order", 1, records.clone()).await),
        [0, 1, 2]
    );
    assert_eq!(
        answered(log.append("order", 1, Vec::new()).await),
        [0_u64; 0],
        "nothing to append"
    );
    assert_eq!(answered(log.append("order", 1, one("last")).await), [3]);
    let found = answered(log.read("order", 1, 0, ALL, ALL).await);
    let after_ms = fixture.now_ms();
    assert_eq!(offsets(&found), [0, 1, 2, 3], "offsets are dense");
    let read: Vec<_> = found.iter().take(3).map(|r| r.record.clone()).collect();
    assert_eq!(read, records, "records come back as they were");
    assert!(
        found
            .iter()
            .all(|r| (before_ms..=after_ms).contains(&r.appended_ms)),
        "stamped"
    );
    assert_eq!(answered(log.end("order", 1).await), 4);
    assert_eq!(
        answered(log.end("order", 0).await),
        0,
        "partitions do not mix"
    );
    assert!(answered(log.read("order", 0, 0, ALL, ALL).await).is_empty());
}

async fn reads_stop_at_their_limits(log: &Arc<dyn EventLog>) {
    answered(log.ensure_topic("limits", 1).await);
    answered(log.append("limits", 0, many(0..10, 100)).await);
    answered(log.append("limits", 0, many(10..20, 100)).await);
    let read = |from, records, bytes| log.read("limits", 0, from, records, bytes);
    assert!(
        answered(read(0, 0, ALL).await).is_empty(),
        "zero records are zero"
    );
    assert_eq!(offsets(&answered(read(3, 4, ALL).await)), [3, 4, 5, 6]);
    assert_eq!(
        offsets(&answered(read(8, 4, ALL).await)),
        [8, 9, 10, 11],
        "across appends"
    );
    let record_bytes = many(0..1, 100)[0].size_bytes();
    assert_eq!(
        answered(read(0, ALL, 3 * record_bytes).await).len(),
        3,
        "bytes are a limit"
    );
    assert_eq!(
        answered(read(0, ALL, 1).await).len(),
        1,
        "one record always fits"
    );
    assert!(answered(read(20, ALL, ALL).await).is_empty(), "at the end");
    assert!(
        answered(read(u64::MAX, ALL, ALL).await).is_empty(),
        "past the end"
    );
}

async fn reads_go_on_from_any_offset(log: &Arc<dyn EventLog>) {
    answered(log.ensure_topic("resume", 1).await);
    for (from, len) in [(0, 1), (1, 7), (8, 3), (11, 1), (12, 8)] {
        answered(log.append("resume", 0, many(from..from + len, 8)).await);
    }
    for from in 0..=20 {
        let found = answered(log.read("resume", 0, from, ALL, ALL).await);
        assert_eq!(offsets(&found), (from..20).collect::<Vec<_>>());
        for stored in found {
            assert_eq!(stored.record, many(stored.offset..stored.offset + 1, 8)[0]);
        }
    }
}

async fn watchers_wake_after_an_append(log: &Arc<dyn EventLog>) {
    answered(log.ensure_topic("watch", 1).await);
    let mut watch = answered(log.watch("watch"));
    watch.mark_unchanged();
    answered(log.append("watch", 0, one("x")).await);
    let woken = tokio::time::timeout(std::time::Duration::from_secs(5), watch.changed()).await;
    assert!(matches!(woken, Ok(Ok(()))), "a reader at the end is woken");
    assert_eq!(
        answered(log.end("watch", 0).await),
        1,
        "woken only once readable"
    );
}

async fn a_time_leads_to_its_first_record(log: &Arc<dyn EventLog>, fixture: &dyn LogFixture) {
    answered(log.ensure_topic("since", 1).await);
    let since = |ms| log.first_since("since", 0, ms);
    assert_eq!(answered(since(0).await), 0, "an empty log");
    answered(log.append("since", 0, many(0..3, 8)).await);
    fixture.advance(50).await;
    let between_ms = fixture.now_ms();
    fixture.advance(50).await;
    answered(log.append("since", 0, many(3..6, 8)).await);
    assert_eq!(answered(since(0).await), 0);
    assert_eq!(answered(since(between_ms).await), 3);
    assert_eq!(answered(since(fixture.now_ms() + 60_000).await), 6);
}

async fn an_append_that_is_too_large_leaves_nothing(log: &Arc<dyn EventLog>) {
    answered(log.ensure_topic("large", 1).await);
    let huge = Record::new("", vec![7; 40 << 20]);
    let batch = vec![record("before"), huge, record("after")];
    refused(
        log.append("large", 0, batch).await,
        PortErrorKind::TooLarge,
        "40 MiB at once",
    );
    assert_eq!(answered(log.end("large", 0).await), 0, "all or nothing");
    assert_eq!(answered(log.append("large", 0, one("x")).await), [0]);
}

async fn nothing_appended_at_once_is_lost_or_doubled(log: Arc<dyn EventLog>) {
    const TASKS: u64 = 64;
    const CALLS: u64 = 16;
    answered(log.ensure_topic("crowd", 2).await);
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for call in 0..CALLS {
                    let n = 1 + (task + call) % 3;
                    let records = (0..n)
                        .map(|i| record(&format!("{task}/{call}/{i}")))
                        .collect();
                    let at = answered(log.append("crowd", (task % 2) as u32, records).await);
                    assert_eq!(at, (at[0]..at[0] + n).collect::<Vec<_>>(), "consecutive");
                    acknowledged.extend(at);
                }
                (task % 2, acknowledged)
            })
        })
        .collect();
    let mut acknowledged = [BTreeSet::new(), BTreeSet::new()];
    for task in tasks {
        let (partition, offsets) = task.await.unwrap_or_else(|e| panic!("{e}"));
        for offset in offsets {
            assert!(
                acknowledged[partition as usize].insert(offset),
                "an offset is given once"
            );
        }
    }
    for (partition, acknowledged) in (0_u32..).zip(acknowledged) {
        let found = answered(log.read("crowd", partition, 0, ALL, ALL).await);
        assert!(
            acknowledged.iter().copied().eq(0..found.len() as u64),
            "offsets are dense"
        );
        let values: BTreeSet<_> = found.iter().map(|r| r.record.value.clone()).collect();
        assert_eq!(values.len(), found.len(), "no record is doubled");
        assert_eq!(found.len(), acknowledged.len(), "no record is lost");
        in_the_order_of_each_producer(&found);
    }
}

fn in_the_order_of_each_producer(found: &[StoredRecord]) {
    let mut last = std::collections::BTreeMap::new();
    for stored in found {
        let value = String::from_utf8_lossy(&stored.record.value).into_owned();
        let mut parts = value
            .split('/')
            .map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
        let task = parts.next();
        let place: Vec<_> = parts.collect();
        if let Some(before) = last.insert(task, place.clone()) {
            assert!(before < place, "one producer's records keep their order");
        }
    }
}

async fn age_removes_whole_old_appends_only(log: &Arc<dyn EventLog>, fixture: &dyn LogFixture) {
    answered(log.ensure_topic("age", 2).await);
    answered(log.append("age", 0, many(0..5, 10)).await);
    fixture.advance(1_000).await;
    answered(log.append("age", 0, many(5..8, 10)).await);
    answered(log.append("age", 1, many(0..2, 10)).await);
    let now_ms = fixture.now_ms();
    let keep_all = RetentionPolicy {
        max_age_ms: Some(60_000),
        max_bytes: None,
    };
    assert_eq!(
        answered(log.retain("age", keep_all, now_ms).await).records_removed,
        0
    );
    let nothing = RetentionPolicy::default();
    assert_eq!(
        answered(log.retain("age", nothing, i64::MAX).await).records_removed,
        0
    );
    let policy = RetentionPolicy {
        max_age_ms: Some(500),
        max_bytes: None,
    };
    let removed = answered(log.retain("age", policy, now_ms).await);
    assert_eq!(removed.records_removed, 5);
    assert!(removed.bytes_removed > 0 || !fixture.retains_by_bytes());
    assert_eq!(answered(log.begin("age", 0).await), 5);
    assert_eq!(
        answered(log.begin("age", 1).await),
        0,
        "younger partitions stay"
    );
    let found = answered(log.read("age", 0, 0, ALL, ALL).await);
    assert_eq!(
        offsets(&found),
        [5, 6, 7],
        "a read from before begins at the oldest kept"
    );
}

async fn size_keeps_the_newest(log: &Arc<dyn EventLog>, fixture: &dyn LogFixture) {
    answered(log.ensure_topic("size", 1).await);
    for n in 0..20 {
        answered(log.append("size", 0, many(n..n + 1, 10_000)).await);
    }
    let policy = RetentionPolicy {
        max_age_ms: None,
        max_bytes: Some(55_000),
    };
    if !fixture.retains_by_bytes() {
        let answer = log.retain("size", policy, 0).await;
        refused(answer, PortErrorKind::Invalid, "what it cannot count");
        return;
    }
    answered(log.retain("size", policy, 0).await);
    let found = answered(log.read("size", 0, 0, ALL, ALL).await);
    assert_eq!(
        offsets(&found),
        (15..20).collect::<Vec<_>>(),
        "five of 10 KB fit into 55 KB"
    );
    assert_eq!(answered(log.append("size", 0, one("next")).await), [20]);
}

async fn what_was_acknowledged_survives_reopening(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    answered(log.ensure_topic("durable", 2).await);
    answered(log.append("durable", 0, many(0..7, 50)).await);
    answered(log.append("durable", 0, many(7..9, 50)).await);
    answered(log.append("durable", 1, many(0..3, 50)).await);
    let before = answered(log.read("durable", 0, 0, ALL, ALL).await);
    drop(log);
    let log = fixture.open().await;
    assert_eq!(
        answered(log.partitions("durable").await),
        2,
        "topics survive"
    );
    assert_eq!(answered(log.read("durable", 0, 0, ALL, ALL).await), before);
    assert_eq!(
        answered(log.begin("age", 0).await),
        5,
        "what was removed stays removed"
    );
    assert_eq!(
        answered(log.append("durable", 0, one("next")).await),
        [9],
        "offsets go on"
    );
    assert_eq!(answered(log.append("durable", 1, one("next")).await), [3]);
}

async fn offsets_go_on_after_everything_was_removed(fixture: &dyn LogFixture) {
    let log = fixture.open().await;
    answered(log.ensure_topic("emptied", 1).await);
    answered(log.append("emptied", 0, many(0..4, 10)).await);
    let policy = RetentionPolicy {
        max_age_ms: Some(0),
        max_bytes: fixture.retains_by_bytes().then_some(0),
    };
    answered(log.retain("emptied", policy, i64::MAX).await);
    assert_eq!(answered(log.begin("emptied", 0).await), 4);
    drop(log);
    let log = fixture.open().await;
    assert_eq!(
        answered(log.end("emptied", 0).await),
        4,
        "an offset is never given twice"
    );
    assert!(answered(log.read("emptied", 0, 0, ALL, ALL).await).is_empty());
    assert_eq!(answered(log.append("emptied", 0, one("next")).await), [4]);
    assert_eq!(
        offsets(&answered(log.read("emptied", 0, 0, ALL, ALL).await)),
        [4]
    );
}

async fn removed_records_give_their_space_back(fixture: &dyn LogFixture) {
    if fixture.disk_bytes().is_none() && !fixture.retains_by_bytes() {
        return;
    }
    let log = fixture.open().await;
    answered(log.ensure_topic("space", 1).await);
    // Bytes that do not compress, so that disk use is what was appended.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let noise: Bytes = (0..1 << 17)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()
        })
        .collect();
    for _ in 0..160 {
        answered(
            log.append("space", 0, vec![Record::new("", noise.clone())])
                .await,
        );
    }
    let Some(full_bytes) = fixture.disk_bytes() else {
        return;
    };
    assert!(
        full_bytes > 30 << 20,
        "40 MiB were appended, {full_bytes} bytes are on disk"
    );
    let policy = RetentionPolicy {
        max_age_ms: None,
        max_bytes: Some(5 << 20),
    };
    answered(log.retain("space", policy, 0).await);
    // Files are unlinked in the background once no reader holds them.
    for _ in 0..100 {
        if fixture.disk_bytes() < Some(full_bytes / 2) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let kept_bytes = fixture.disk_bytes().unwrap_or_default();
    assert!(
        kept_bytes < full_bytes / 2,
        "{full_bytes} bytes before, {kept_bytes} after"
    );
    assert_eq!(
        answered(log.read("space", 0, 0, ALL, ALL).await).len(),
        4,
        "the newest stay"
    );
}

fn record(value: &str) -> Record {
    Record::new("", value.to_owned())
}

fn one(value: &str) -> Vec<Record> {
    vec![record(value)]
}

/// Records that tell their number, padded to `bytes`.
fn many(numbers: std::ops::Range<u64>, bytes: usize) -> Vec<Record> {
    numbers
        .map(|n| Record::new(n.to_be_bytes().to_vec(), format!("{n:0bytes$}")))
        .collect()
}

fn offsets(found: &[StoredRecord]) -> Vec<u64> {
    found.iter().map(|stored| stored.offset).collect()
}
