//! Retention: removes the oldest chunks of a topic and gives their space back.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use mediaflow_ports::{PortResult, Retained, RetentionPolicy};

use super::chunk;
use super::topic::{Topic, base_of, begin_key, chunk_key};
use crate::limits::REMOVE_BATCH_MAX;
use crate::{Core, fault, keyspace_options};

/// Removes from every partition what `policy` no longer keeps.
pub(super) fn retain(
    core: &Core,
    topic: &Topic,
    policy: RetentionPolicy,
    now_ms: i64,
) -> PortResult<Retained> {
    let mut total = Retained::default();
    for partition in 0..topic.partitions() {
        loop {
            let removed = retain_some(core, topic, partition, policy, now_ms)?;
            total.records_removed += removed.records_removed;
            total.bytes_removed += removed.bytes_removed;
            if removed.records_removed == 0 {
                break;
            }
        }
    }
    Ok(total)
}

/// One bounded batch: tombstones and the partition's new beginning, together.
fn retain_some(
    core: &Core,
    topic: &Topic,
    partition: u32,
    policy: RetentionPolicy,
    now_ms: i64,
) -> PortResult<Retained> {
    let failed = |e| fault::storage("retain a topic", e);
    let span = topic.span(partition)?;
    let mut removed = Retained::default();
    let mut begin = span.begin;
    let mut batch = core.synced_batch();
    let range = chunk_key(partition, span.begin)..chunk_key(partition, span.end);
    for guard in topic.keyspace.range(range).take(REMOVE_BATCH_MAX) {
        let (key, value) = guard.into_inner().map_err(failed)?;
        let bytes = value.len() as u64;
        let head = chunk::head(&mut Bytes::from(value))?;
        let too_old = policy
            .max_age_ms
            .is_some_and(|age| head.appended_ms < now_ms.saturating_sub(age));
        let too_much = policy
            .max_bytes
            .is_some_and(|max| span.bytes - head.bytes_before > max);
        if !too_old && !too_much {
            break;
        }
        begin = base_of(&key)? + u64::from(head.count);
        removed.records_removed += u64::from(head.count);
        removed.bytes_removed += bytes;
        batch.remove(&topic.keyspace, key);
    }
    if removed.records_removed > 0 {
        batch.insert(
            &core.meta,
            begin_key(&topic.name, partition),
            begin.to_be_bytes(),
        );
        batch.commit().map_err(failed)?;
        topic.cut(partition, begin);
    }
    Ok(removed)
}

/// Rewrites a topic without its removed chunks once enough was removed since the last time.
///
/// Tombstones alone free nothing until fjall happens to compact the whole key range; a full
/// compaction costs one rewrite of what is kept, so it waits until half as much was removed.
///
/// A journal goes once every keyspace with rows in it has flushed them, so all are flushed: a
/// quiet keyspace would otherwise hold the removed records' journals on disk.
pub(super) fn reclaim(
    core: &Core,
    topic: &Topic,
    owed_bytes: &AtomicU64,
    compact_after_bytes: u64,
) -> PortResult<()> {
    let owed = owed_bytes.load(Ordering::Acquire);
    if owed < compact_after_bytes.max(topic.keyspace.disk_space() / 3) {
        return Ok(());
    }
    let failed = |e| fault::storage("compact a topic", e);
    for name in core.db.list_keyspace_names() {
        let keyspace = core.db.keyspace(&name, keyspace_options).map_err(failed)?;
        keyspace.rotate_memtable_and_wait().map_err(failed)?;
    }
    // The first time finds which files of values hold removed ones, the second rewrites those.
    topic.keyspace.major_compact().map_err(failed)?;
    topic.keyspace.major_compact().map_err(failed)?;
    owed_bytes.fetch_sub(owed, Ordering::AcqRel);
    Ok(())
}
