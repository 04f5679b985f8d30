//! Appending a batch whose records belong to several partitions.

use futures_util::future::try_join_all;
use mediaflow_ports::{EventLog, PortResult, Record, partition_of};
use std::collections::BTreeMap;

/// Appends records to the partitions of their keys, each partition's in order, and returns once
/// all are durable. On an error some partitions may hold theirs: the caller keeps its keys of
/// deduplication only for what was acknowledged, and the sender repeats the batch.
pub(crate) async fn append_by_key(
    log: &dyn EventLog,
    topic: &str,
    records: Vec<Record>,
) -> PortResult<()> {
    let partitions = log.partitions(topic).await?;
    let mut groups: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for r in records {
        groups
            .entry(partition_of(&r.key, partitions))
            .or_default()
            .push(r);
    }
    try_join_all(
        groups
            .into_iter()
            .map(|(p, group)| log.append(topic, p, group)),
    )
    .await?;
    Ok(())
}
