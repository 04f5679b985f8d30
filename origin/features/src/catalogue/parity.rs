//! Parity: values as they are served, written down, then computed again from the log and compared one by one.
//!
//! A state is read together with how far its partitions are folded ([`FeatureReader::snapshot`]), so that the replay
//! stops at the very same events. What was served goes to the topic `features.served`, as evidence.

use mediaflow_ports::{Record, partition_of};
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::signals::VIEW_READER;
use mediaflow_shared::time::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

use super::read::{FeatureReader, ReadError, Subject, named};
use super::recompute::{Look, Until, states};
use crate::TOPIC_EVENTS;
use crate::declare::{self, Entity, VIEW_BRAND, VIEW_ITEM};
use crate::limits::{PARITY_EXAMPLES_MAX, PARITY_PAGE};

/// The topic of what was served.
pub const TOPIC_FEATURES_SERVED: &str = "features.served";

/// Differences of one feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Mismatches {
    /// Values compared.
    pub compared: u64,
    /// Values that differ.
    pub differ: u64,
    /// The first of them: id, served, computed again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<(String, serde_json::Value, serde_json::Value)>,
}

/// What a comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct ParityReport {
    /// When values were served.
    pub as_of: Timestamp,
    /// Entities compared.
    pub entities: u64,
    /// Values compared.
    pub compared: u64,
    /// Values that differ; 0 is what must be.
    pub differ: u64,
    /// Events folded again.
    pub events: u64,
    /// Partitions whose oldest events are no longer kept: what lies in them cannot be computed again.
    pub begun_later: Vec<u32>,
    /// Entities left out for that reason.
    pub left_out: u64,
    /// By `entity.feature`.
    pub features: BTreeMap<String, Mismatches>,
}

/// Compares up to `most` entities of each kind.
pub(crate) async fn compare(
    reader: &FeatureReader,
    most: usize,
) -> Result<ParityReport, ReadError> {
    let partitions = reader.log.partitions(TOPIC_EVENTS).await?;
    let now = Timestamp(reader.clock.now_ms());
    let mut begun_later = BTreeSet::new();
    for p in 0..partitions {
        if reader.log.begin(TOPIC_EVENTS, p).await? > 0 {
            begun_later.insert(p);
        }
    }
    let found = subjects(reader, most).await?;
    let mut report = ParityReport {
        as_of: now,
        entities: 0,
        compared: 0,
        differ: 0,
        events: 0,
        begun_later: begun_later.iter().copied().collect(),
        left_out: 0,
        features: BTreeMap::new(),
    };
    let (mut subjects, mut served, mut looks) = (Vec::new(), Vec::new(), Vec::new());
    for subject in found {
        let lies_in = subject.partitions(partitions);
        if lies_in.iter().any(|p| begun_later.contains(p)) {
            report.left_out += 1;
            continue;
        }
        let snapshot = reader.snapshot(&subject, partitions, now).await?;
        for (p, next) in &snapshot.folded {
            let look = Look {
                until: Until::Offset(*next),
                subject: subjects.len(),
            };
            looks.push((*p, look));
        }
        let state = snapshot.loaded.unwrap_or_else(|| subject.nothing());
        served.push(declare::evaluate(state.state(), now, &reader.words));
        subjects.push(subject);
    }
    write_down(reader, now, &subjects, &served).await?;
    let (again, events) = states(reader, &subjects, looks).await?;
    report.events = events;
    for ((subject, served), again) in subjects.iter().zip(&served).zip(again) {
        report.entities += 1;
        let kind = subject.entity();
        let state = again.unwrap_or_else(|| subject.nothing());
        let again = declare::evaluate(state.state(), now, &reader.words);
        for ((d, s), a) in declare::of(kind).iter().zip(served).zip(&again) {
            let row = report.features.entry(d.full_name()).or_default();
            row.compared += 1;
            report.compared += 1;
            if s != a {
                row.differ += 1;
                report.differ += 1;
                if row.examples.len() < PARITY_EXAMPLES_MAX {
                    row.examples
                        .push((id_of(subject), s.json(d.kind), a.json(d.kind)));
                }
            }
        }
    }
    Ok(report)
}

fn id_of(subject: &Subject) -> String {
    match subject {
        Subject::Reader(_, p) => p.to_string(),
        Subject::Content(id) => id.to_string(),
        Subject::Ad(id) | Subject::Brand(id) => id.clone(),
    }
}

/// Entities the views hold: readers, their sessions, items, brands. Ads are known by hash only and are left to
/// whoever names them.
async fn subjects(reader: &FeatureReader, most: usize) -> Result<Vec<Subject>, ReadError> {
    let mut found = Vec::new();
    let mut items = BTreeSet::new();
    let mut brands = BTreeSet::new();
    for key in keys(reader, VIEW_READER, most).await? {
        if let Ok(key) = <[u8; 16]>::try_from(&key[..]) {
            found.push(Subject::Reader(Entity::Reader, Pseudonym(key)));
            found.push(Subject::Reader(Entity::Session, Pseudonym(key)));
        }
    }
    for key in keys(reader, VIEW_ITEM, most).await? {
        if let Some(id) = key.last_chunk::<8>() {
            items.insert(u64::from_be_bytes(*id));
        }
    }
    for key in keys(reader, VIEW_BRAND, most).await? {
        if let Some((_, slug)) = key.split_first_chunk::<4>() {
            brands.insert(String::from_utf8_lossy(slug).into_owned());
        }
    }
    found.extend(items.into_iter().map(|id| Subject::Content(ContentId(id))));
    found.extend(brands.into_iter().map(Subject::Brand));
    Ok(found)
}

async fn keys(
    reader: &FeatureReader,
    view: &str,
    most: usize,
) -> Result<Vec<bytes::Bytes>, ReadError> {
    let mut all: Vec<bytes::Bytes> = Vec::new();
    while all.len() < most {
        let page = PARITY_PAGE.min(most - all.len());
        let after = all.last().cloned();
        let found = reader.state.scan(view, b"", after.as_deref(), page).await?;
        let full = found.len() == page;
        all.extend(found.into_iter().map(|e| e.key));
        if !full {
            break;
        }
    }
    Ok(all)
}

/// What was served, for whoever wants to look it up later.
async fn write_down(
    reader: &FeatureReader,
    now: Timestamp,
    subjects: &[Subject],
    served: &[Vec<declare::Value>],
) -> Result<(), ReadError> {
    let partitions = reader.log.partitions(TOPIC_FEATURES_SERVED).await?;
    let mut batches: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for (subject, values) in subjects.iter().zip(served) {
        let kind = subject.entity();
        let id = id_of(subject);
        let values: BTreeMap<String, serde_json::Value> = named(declare::of(kind), values, &[])
            .into_iter()
            .map(|(name, v)| (name, v.value))
            .collect();
        let value = json!({"entity": kind.slug(), "id": id, "as_of": now, "features": values});
        let p = partition_of(id.as_bytes(), partitions);
        let batch = batches.entry(p).or_default();
        batch.push(Record::new(id.into_bytes(), value.to_string().into_bytes()));
        if batch.len() == PARITY_PAGE {
            let full = std::mem::take(batch);
            reader.log.append(TOPIC_FEATURES_SERVED, p, full).await?;
        }
    }
    for (p, batch) in batches.into_iter().filter(|(_, b)| !b.is_empty()) {
        reader.log.append(TOPIC_FEATURES_SERVED, p, batch).await?;
    }
    Ok(())
}
