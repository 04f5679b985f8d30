//! The end of every fault: the ledger against the log, the log against the state, the state and what was published against a
//! replay. Values are compared, not bytes.

use super::load::about;
use anyhow::{Context, Result, bail};
use mediaflow_features::declare::{
    Entity, EntityState, VIEW_BRAND, VIEW_ITEM, Value, Vocabulary, evaluate, of,
};
use mediaflow_features::{
    BrandCounts, BrandState, CONSUMER, FeatureConfig, ItemState, Replay, TOPIC_EVENTS, keys,
};
use mediaflow_ports::{BlobStore, EventLog, StateStore};
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::profile::Profile;
use mediaflow_shared::profile::blob::decode;
use mediaflow_shared::signals::{OUTBOX_PROFILES, parse_dirty_key};
use mediaflow_shared::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

const BRAND: &str = "daily";
/// Where the publisher keeps what it is yet to write.
const VIEW_PARKED: &str = "publisher.parked";

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub acknowledged: u64,
    pub lost: u64,
    pub doubled: u64,
    /// The first few, in words.
    pub examples: Vec<String>,
}

impl Difference {
    fn count(&mut self, what: impl FnOnce() -> String, should: u64, is: u64) {
        if should != is {
            self.lost += should.saturating_sub(is);
            self.doubled += is.saturating_sub(should);
            if self.examples.len() < 6 {
                self.examples
                    .push(format!("{}: {is} where {should} should be", what()));
            }
        }
    }
}

/// Where everything is at the end.
#[derive(Clone, Copy)]
pub struct Stores<'a> {
    pub log: &'a dyn EventLog,
    pub state: &'a dyn StateStore,
    /// Where profiles are published; `None` where nobody did.
    pub blobs: Option<&'a dyn BlobStore>,
}

/// Whether the publisher wrote every profile that was handed to it.
pub async fn is_handed_over(state: &dyn StateStore) -> Result<bool> {
    let waiting = state.outbox_read(OUTBOX_PROFILES, 1).await?;
    // A key takes one write a second: what comes sooner is parked.
    let parked = state.scan(VIEW_PARKED, b"", None, 1).await?;
    Ok(waiting.is_empty() && parked.is_empty())
}

/// Ends of the partitions of `events` now.
pub async fn ends(log: &dyn EventLog) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for p in 0..log.partitions(TOPIC_EVENTS).await? {
        all.push(log.end(TOPIC_EVENTS, p).await?);
    }
    Ok(all)
}

/// Waits until the folds are at these ends; stores that do not answer are asked again.
pub async fn reached(ends: &[u64], state: &dyn StateStore, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    for (p, end) in (0..).zip(ends) {
        loop {
            let at = state.progress(CONSUMER, TOPIC_EVENTS, p).await;
            if matches!(at, Ok(at) if at >= *end) {
                break;
            }
            if begun.elapsed() > limit {
                let at = at?;
                bail!("the folds of partition {p} are at {at} of {end} after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

/// Whether the folds took everything that is in the log.
pub async fn is_folded(log: &dyn EventLog, state: &dyn StateStore) -> Result<bool> {
    for p in 0..log.partitions(TOPIC_EVENTS).await? {
        let end = log.end(TOPIC_EVENTS, p).await?;
        if state.progress(CONSUMER, TOPIC_EVENTS, p).await? < end {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Waits for [`is_folded`]; seconds it took. Stores that do not answer are asked again.
pub async fn folded(log: &dyn EventLog, state: &dyn StateStore, limit: Duration) -> Result<f64> {
    let begun = Instant::now();
    loop {
        let asked = is_folded(log, state).await;
        if matches!(asked, Ok(true)) {
            return Ok(begun.elapsed().as_secs_f64());
        }
        if begun.elapsed() > limit {
            asked?;
            bail!("the folds are not at the log's end after {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Compares everything.
pub async fn recount(told: &BTreeSet<String>, stores: Stores<'_>) -> Result<Difference> {
    let Stores { log, state, .. } = stores;
    let mut found = Difference {
        acknowledged: told.len() as u64,
        ..Difference::default()
    };
    let mut stored = BTreeMap::<String, u64>::new();
    let mut replayed_items = BTreeMap::<u64, ItemState>::new();
    let mut replayed_brand = BrandCounts::default();
    let mut profiles = BTreeMap::<Pseudonym, bytes::Bytes>::new();
    let partitions = log.partitions(TOPIC_EVENTS).await?;
    for p in 0..partitions {
        let mut replay = Replay::new(p, FeatureConfig::default());
        let mut from = log.begin(TOPIC_EVENTS, p).await?;
        loop {
            let records = log.read(TOPIC_EVENTS, p, from, 2_000, 8 << 20).await?;
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            for r in &records {
                let v: serde_json::Value = serde_json::from_slice(&r.record.value)?;
                let id = v["id"].as_str().context("an event in the log has no id")?;
                *stored.entry(id.to_owned()).or_default() += 1;
            }
            replay.fold(&records, |_| None);
        }
        for (id, item) in replay.items() {
            replayed_items.entry(id.0).or_default().merge(item);
        }
        if let Some(brand) = replay.brand(BRAND) {
            replayed_brand.merge(&brand.counts);
        }
        for entry in replay.commit().outbox {
            if let Some((reader, _)) = parse_dirty_key(&entry.key) {
                profiles.insert(reader, entry.value);
            }
        }
    }
    for id in told {
        let n = stored.get(id).copied().unwrap_or(0);
        found.count(|| format!("event {id} in the log"), 1, n);
    }
    for (id, n) in stored.iter().filter(|(id, _)| !told.contains(*id)) {
        // Taken, but the answer never arrived: once is right.
        found.count(|| format!("unacknowledged event {id} in the log"), 1, *n);
    }

    let mut should = HashMap::<(u64, EventType), u64>::new();
    for id in stored.keys() {
        let (content, kind) = about(id);
        *should.entry((content.0, kind)).or_default() += 1;
    }
    let (items, brand) = kept(state, partitions).await?;
    for ((content, kind), n) in &should {
        let is = items.get(content).map_or(0, |i| total(i, *kind));
        let what = || format!("{kind:?} of item {}", ContentId(*content));
        found.count(what, *n, is);
    }
    let whole = BrandState {
        counts: brand.clone(),
        ..BrandState::default()
    };
    let events = value(EntityState::Brand(&whole), Entity::Brand, "events_total");
    found.count(
        || "events of the brand".to_owned(),
        stored.len() as u64,
        events,
    );

    for (id, item) in replayed_items {
        let is = features(&items.get(&id).cloned().unwrap_or_default());
        for (d, (should, is)) in of(Entity::Content)
            .iter()
            .zip(features(&item).iter().zip(&is))
        {
            let what = || {
                let name = &d.name;
                format!(
                    "{name} of item {} as a replay has it ({should:?}, {is:?})",
                    ContentId(id)
                )
            };
            found.count(what, 1, (should == is).into());
        }
    }
    let same = brand.unversioned() == replayed_brand.unversioned();
    found.count(
        || "the brand, as a replay has it".to_owned(),
        1,
        same.into(),
    );
    if let Some(blobs) = stores.blobs {
        for (reader, blob) in profiles {
            let published = blobs.get(&format!("u/{reader}")).await?;
            let published = published.map(|p| said(&p.value)).transpose()?;
            let should = Some(said(&blob)?);
            let what = || {
                let reads = |p: &Option<Profile>| p.as_ref().map(|p| (p.as_of, p.reads));
                let (should, is) = (reads(&should), reads(&published));
                format!("profile {reader} as a replay has it ({should:?}, {is:?})")
            };
            found.count(what, 1, (published == should).into());
        }
    }
    Ok(found)
}

/// The items' and the brand's states, all partitions added up.
async fn kept(
    state: &dyn StateStore,
    partitions: u32,
) -> Result<(BTreeMap<u64, ItemState>, BrandCounts)> {
    let mut items = BTreeMap::<u64, ItemState>::new();
    let mut brand = BrandCounts::default();
    for p in 0..partitions {
        let mut after: Option<bytes::Bytes> = None;
        loop {
            let prefix = p.to_be_bytes();
            let page = state
                .scan(VIEW_ITEM, &prefix, after.as_deref(), 500)
                .await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in &page {
                let id = entry.key[4..].first_chunk().context("an item's key")?;
                items
                    .entry(u64::from_be_bytes(*id))
                    .or_default()
                    .merge(&ItemState::decode(&entry.value)?);
            }
        }
        if let Some(bytes) = state.get(VIEW_BRAND, &keys::brand(p, BRAND)).await? {
            brand.merge(&BrandCounts::decode(&bytes)?);
        }
    }
    Ok((items, brand))
}

/// What a published profile was told of. Habits travel with the next event that tells something, whichever commit it is in.
fn said(blob: &[u8]) -> Result<Profile> {
    let profile = decode(blob)?;
    Ok(Profile {
        habits: None,
        ..profile
    })
}

/// All features of an item, as of a moment that does not depend on when they are compared.
fn features(item: &ItemState) -> Vec<Value> {
    let at = item.last_event().unwrap_or(Timestamp(0));
    evaluate(EntityState::Content(item), at, &Vocabulary::default())
}

fn total(item: &ItemState, kind: EventType) -> u64 {
    let name = match kind {
        EventType::Click => "clicks_total",
        EventType::Read => "reads_total",
        EventType::Impression => "impressions_total",
        _ => "shares_total",
    };
    value(EntityState::Content(item), Entity::Content, name)
}

fn value(state: EntityState<'_>, entity: Entity, name: &str) -> u64 {
    let at = of(entity).iter().position(|d| d.name == name);
    let at = at.expect("a declared feature");
    match evaluate(state, Timestamp(0), &Vocabulary::default())[at] {
        Value::Int(n) => u64::try_from(n).unwrap_or(0),
        _ => 0,
    }
}
