//! Outboxes: a stream per slot, read as one. Streams never reuse an id, even after a restart.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use mediaflow_ports::{Layout, OutboxRecord, PortResult, Slot};
use redis::cmd;

use crate::fault;
use crate::keys::{Keys, of_outbox_id, outbox_id};
use crate::link::Link;

const READ: &str = "read an outbox";

type Row = (String, Vec<Vec<u8>>);

/// The oldest entries of every slot, no slot before the others: at most `max`, ordered by id.
pub(crate) async fn read(
    link: &Link,
    keys: &Keys,
    layout: &Layout,
    outbox: &str,
    max: usize,
) -> PortResult<Vec<OutboxRecord>> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let slots: Vec<Slot> = layout.slots().collect();
    let share = max.div_ceil(slots.len());
    let mut all = try_join_all(
        slots
            .iter()
            .map(|slot| page(link, keys, *slot, outbox, share)),
    )
    .await?;
    let mut total: usize = all.iter().map(Vec::len).sum();
    // Slots with more than their share fill what others left.
    for (slot, found) in slots.iter().zip(&mut all) {
        if total < max && found.len() == share {
            total -= found.len();
            *found = page(link, keys, *slot, outbox, max - total).await?;
            total += found.len();
        }
    }
    let mut all: Vec<OutboxRecord> = all.into_iter().flatten().collect();
    if all.len() > max {
        all = fair(all, layout, max);
    }
    all.sort_unstable_by_key(|record| record.id);
    Ok(all)
}

/// The oldest of each slot in turn, until there are `max`.
fn fair(all: Vec<OutboxRecord>, layout: &Layout, max: usize) -> Vec<OutboxRecord> {
    let mut turns: BTreeMap<Option<Slot>, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, OutboxRecord)> = Vec::with_capacity(all.len());
    for record in all {
        let turn = turns
            .entry(of_outbox_id(record.id, layout).map(|(slot, _)| slot))
            .or_default();
        ranked.push((*turn, record));
        *turn += 1;
    }
    ranked.sort_by_key(|(turn, _)| *turn);
    ranked.truncate(max);
    ranked.into_iter().map(|(_, record)| record).collect()
}

async fn page(
    link: &Link,
    keys: &Keys,
    slot: Slot,
    outbox: &str,
    max: usize,
) -> PortResult<Vec<OutboxRecord>> {
    let mut ask = cmd("XRANGE");
    ask.arg(keys.outbox(slot, outbox))
        .arg("-")
        .arg("+")
        .arg("COUNT")
        .arg(max);
    let rows: Vec<Row> = link.call(slot, READ, &ask).await?;
    rows.into_iter()
        .map(|(id, pair)| {
            let count = id.split('-').next().and_then(|n| n.parse().ok());
            match (count, <[Vec<u8>; 2]>::try_from(pair)) {
                (Some(count), Ok([key, value])) => Ok(OutboxRecord {
                    id: outbox_id(slot, count),
                    key: Bytes::from(key),
                    value: Bytes::from(value),
                }),
                _ => Err(fault::nonsense(link.place(), READ)),
            }
        })
        .collect()
}

pub(crate) async fn ack(
    link: &Link,
    keys: &Keys,
    layout: &Layout,
    outbox: &str,
    ids: &[u64],
) -> PortResult<()> {
    let mut by_slot: BTreeMap<Slot, Vec<u64>> = BTreeMap::new();
    for (slot, count) in ids.iter().filter_map(|id| of_outbox_id(*id, layout)) {
        by_slot.entry(slot).or_default().push(count);
    }
    try_join_all(by_slot.into_iter().map(async |(slot, counts)| {
        for counts in counts.chunks(1_000) {
            let mut remove = cmd("XDEL");
            remove.arg(keys.outbox(slot, outbox));
            for count in counts {
                remove.arg(format!("{count}-0"));
            }
            link.call::<u64>(slot, "acknowledge outbox entries", &remove)
                .await?;
        }
        Ok(())
    }))
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_slot_does_not_starve_the_others() {
        let layout = Layout::new(2);
        let record = |slot, n| OutboxRecord {
            id: outbox_id(slot, n),
            key: Bytes::new(),
            value: Bytes::new(),
        };
        let mut all: Vec<_> = (0..10).map(|n| record(Slot::Global, n)).collect();
        all.extend((0..2).map(|n| record(Slot::Partition(1), n)));
        let some = fair(all, &layout, 6);
        let of_last = some
            .iter()
            .filter(|r| r.id >= outbox_id(Slot::Partition(1), 0))
            .count();
        assert_eq!((some.len(), of_last), (6, 2));
    }
}
