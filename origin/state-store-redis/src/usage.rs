//! What views take up, estimated: Redis keeps no count per prefix.
//!
//! An indexed view is counted by its index and weighed by some of its values. Views without an index are known from
//! a sample of all keys of a node; the estimate's relative error is about `1/√(samples of that view)`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mediaflow_ports::{Layout, PortResult, Slot, ViewUsage};
use redis::{Cmd, cmd};

use crate::keys::Keys;
use crate::limits::USAGE_SAMPLES;
use crate::link::Link;

const DOING: &str = "measure its views";

pub(crate) async fn measure(
    link: &Link,
    keys: &Keys,
    layout: &Layout,
) -> PortResult<Vec<ViewUsage>> {
    let mut views: BTreeMap<String, ViewUsage> = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    for slot in layout.slots() {
        let names: Vec<String> = link
            .call(slot, DOING, cmd("SMEMBERS").arg(keys.names(slot)))
            .await?;
        for view in names {
            let (entries, bytes) = indexed(link, keys, slot, &view).await?;
            add(&mut views, &view, entries, bytes, false);
        }
        // A node holds several slots but is sampled once.
        let node = if link.is_cluster() {
            link.call(slot, DOING, cmd("CLUSTER").arg("MYID")).await?
        } else {
            String::new()
        };
        if nodes.insert(node) {
            sample(link, keys, layout, slot, &mut views).await?;
        }
    }
    Ok(views.into_values().collect())
}

fn add(
    views: &mut BTreeMap<String, ViewUsage>,
    view: &str,
    entries: u64,
    bytes: u64,
    estimated: bool,
) {
    let usage = views.entry(view.to_owned()).or_insert_with(|| ViewUsage {
        view: view.to_owned(),
        entries: 0,
        bytes: 0,
        estimated: false,
    });
    usage.entries += entries;
    usage.bytes += bytes;
    usage.estimated |= estimated;
}

async fn indexed(link: &Link, keys: &Keys, slot: Slot, view: &str) -> PortResult<(u64, u64)> {
    let index = keys.index(slot, view);
    let entries: u64 = link.call(slot, DOING, cmd("ZCARD").arg(&index)).await?;
    let own = weigh(link, slot, index.as_bytes()).await?.unwrap_or(0);
    // A negative count may repeat members, which keeps the sample fair.
    let draw = -i64::try_from(USAGE_SAMPLES / 5).unwrap_or(1);
    let some: Vec<Vec<u8>> = link
        .call(slot, DOING, cmd("ZRANDMEMBER").arg(&index).arg(draw))
        .await?;
    let (mut seen, mut bytes) = (0, 0);
    for member in &some {
        if let Some(weight) = weigh(link, slot, &keys.value(slot, view, member)).await? {
            seen += 1;
            bytes += weight;
        }
    }
    Ok((
        entries,
        own + bytes.checked_div(seen).unwrap_or(0) * entries,
    ))
}

async fn sample(
    link: &Link,
    keys: &Keys,
    layout: &Layout,
    slot: Slot,
    views: &mut BTreeMap<String, ViewUsage>,
) -> PortResult<()> {
    let all: u64 = link.call(slot, DOING, &cmd("DBSIZE")).await?;
    let mut found: HashMap<String, (u64, u64)> = HashMap::new();
    let (mut drawn, ask) = (0, cmd("RANDOMKEY"));
    for _ in 0..USAGE_SAMPLES {
        let Some(name) = link.call::<Option<Vec<u8>>>(slot, DOING, &ask).await? else {
            break;
        };
        drawn += 1;
        let Some(view) = keys.view_of(&name) else {
            continue;
        };
        if layout.plan(view).1 {
            continue;
        }
        if let Some(weight) = weigh(link, slot, &name).await? {
            let (count, bytes) = found.entry(view.to_owned()).or_default();
            *count += 1;
            *bytes += weight;
        }
    }
    for (view, (count, bytes)) in found {
        add(views, &view, all * count / drawn, all * bytes / drawn, true);
    }
    Ok(())
}

async fn weigh(link: &Link, slot: Slot, name: &[u8]) -> PortResult<Option<u64>> {
    let mut ask: Cmd = cmd("MEMORY");
    ask.arg("USAGE").arg(name);
    link.call(slot, DOING, &ask).await
}
