//! The log folded again: states as they were at a moment or an offset, by the very folds that run online
//! ([`crate::Replay`]).
//!
//! Point-in-time: a value as of `at` holds what the log had taken by then, never what came later. One partition is in
//! memory at a time.

use bytes::Bytes;
use mediaflow_ports::{EventLog, PortResult, StateStore, StoredRecord};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

use super::read::{FeatureReader, FeatureValue, Loaded, ReadError, Subject, add, named};
use crate::items::VIEW_CONTENT;
use crate::limits::{READ_BYTES_MAX, REPLAY_RECORDS};
use crate::{ItemFacts, Replay, TOPIC_EVENTS, declare};

/// Articles read from the view `content` at a time.
const PAGE: usize = 1_000;

/// Values wanted as of a moment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Entity slug.
    pub entity: String,
    /// Its id.
    pub id: String,
    /// The moment.
    pub at: Timestamp,
}

/// Values as of a moment.
#[derive(Debug, Clone, Serialize)]
pub struct ReplayRow {
    /// As asked for.
    pub entity: String,
    /// As asked for.
    pub id: String,
    /// As asked for.
    pub at: Timestamp,
    /// Whether anything was known of it by then.
    pub known: bool,
    /// By name.
    pub features: BTreeMap<String, FeatureValue>,
}

/// How far to fold before a state is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Everything the log took by then.
    Time(Timestamp),
    /// Everything before this offset.
    Offset(u64),
}

impl Until {
    fn covers(self, r: &StoredRecord) -> bool {
        match self {
            Self::Time(at) => r.appended_ms <= at.0,
            Self::Offset(next) => r.offset < next,
        }
    }

    /// Looks of one run are all of one kind, so this orders them.
    fn order(self) -> i64 {
        match self {
            Self::Time(at) => at.0,
            Self::Offset(next) => i64::try_from(next).unwrap_or(i64::MAX),
        }
    }
}

/// A look at one entity's part in one partition.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub until: Until,
    /// Which of the caller's subjects.
    pub subject: usize,
}

type Facts = HashMap<ContentId, ItemFacts>;

/// What is known of all items.
async fn facts(state: &dyn StateStore) -> PortResult<Facts> {
    let mut all = Facts::new();
    let mut after: Option<Bytes> = None;
    loop {
        let page = state
            .scan(VIEW_CONTENT, b"", after.as_deref(), PAGE)
            .await?;
        all.extend(page.iter().filter_map(|e| ItemFacts::of_json(&e.value)));
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            _ => return Ok(all),
        }
    }
}

fn part(replay: &Replay, subject: &Subject) -> Option<Loaded> {
    match subject {
        Subject::Reader(entity, reader) => replay
            .reader(*reader)
            .map(|s| Loaded::Reader(*entity, Box::new(s.clone()))),
        Subject::Content(id) => replay
            .item(*id)
            .map(|s| Loaded::Content(Box::new(s.clone()))),
        Subject::Ad(id) => replay.ad(id).map(|s| Loaded::Ad(Box::new(s.clone()))),
        Subject::Brand(slug) => replay.brand(slug).map(|s| Loaded::Brand(Box::new(s))),
    }
}

/// Folds a partition as far as the looks need, and answers what each of them saw.
async fn run(
    log: &dyn EventLog,
    partition: u32,
    mut replay: Replay,
    (subjects, facts): (&[Subject], &Facts),
    mut looks: Vec<Look>,
) -> PortResult<(Vec<(usize, Option<Loaded>)>, u64)> {
    let known = |id| facts.get(&id).copied();
    looks.sort_by_key(|l| l.until.order());
    let mut looks = looks.into_iter().peekable();
    let (mut seen, mut folded) = (Vec::new(), 0);
    let mut from = log.begin(TOPIC_EVENTS, partition).await?;
    while looks.peek().is_some() {
        let records = log
            .read(
                TOPIC_EVENTS,
                partition,
                from,
                REPLAY_RECORDS,
                READ_BYTES_MAX,
            )
            .await?;
        let mut rest = &records[..];
        let Some(last) = records.last() else {
            seen.extend(looks.map(|l| (l.subject, part(&replay, &subjects[l.subject]))));
            break;
        };
        from = last.offset + 1;
        while let Some(look) = looks.next_if(|l| !l.until.covers(last)) {
            let (before, after) = rest.split_at(rest.partition_point(|r| look.until.covers(r)));
            replay.fold(before, known);
            folded += before.len() as u64;
            rest = after;
            seen.push((look.subject, part(&replay, &subjects[look.subject])));
        }
        replay.fold(rest, known);
        folded += rest.len() as u64;
    }
    Ok((seen, folded))
}

/// Folds the partitions one after the other and adds up what the looks saw, by subject. Also answers how many events
/// were folded.
pub(crate) async fn states(
    reader: &FeatureReader,
    subjects: &[Subject],
    looks: Vec<(u32, Look)>,
) -> Result<(Vec<Option<Loaded>>, u64), ReadError> {
    let mut by_partition: BTreeMap<u32, Vec<Look>> = BTreeMap::new();
    for (p, look) in looks {
        by_partition.entry(p).or_default().push(look);
    }
    let facts = facts(reader.state.as_ref()).await?;
    let mut sums: Vec<Option<Loaded>> = vec![None; subjects.len()];
    let mut folded = 0;
    for (p, looks) in by_partition {
        let replay = Replay::new(p, reader.config);
        let (seen, n) = run(reader.log.as_ref(), p, replay, (subjects, &facts), looks).await?;
        for (subject, part) in seen {
            add(&mut sums[subject], part);
        }
        folded += n;
        tracing::info!(partition = p, events = folded, "folded again");
    }
    Ok((sums, folded))
}

/// The values of requests as of their moments.
pub(crate) async fn rows(
    reader: &FeatureReader,
    requests: Vec<ReplayRequest>,
) -> Result<Vec<ReplayRow>, ReadError> {
    let partitions = reader.log.partitions(TOPIC_EVENTS).await?;
    let mut subjects = Vec::with_capacity(requests.len());
    let mut looks = Vec::new();
    for (n, r) in requests.iter().enumerate() {
        let subject = Subject::parse(&r.entity, &r.id)?;
        let look = Look {
            until: Until::Time(r.at),
            subject: n,
        };
        looks.extend(
            subject
                .partitions(partitions)
                .into_iter()
                .map(|p| (p, look.clone())),
        );
        subjects.push(subject);
    }
    let (states, _) = states(reader, &subjects, looks).await?;
    let row = |((r, subject), state): ((ReplayRequest, &Subject), Option<Loaded>)| {
        let known = state.is_some();
        let state = state.unwrap_or_else(|| subject.nothing());
        let values = declare::evaluate(state.state(), r.at, &reader.words);
        ReplayRow {
            features: named(declare::of(subject.entity()), &values, &[]),
            entity: r.entity,
            id: r.id,
            at: r.at,
            known,
        }
    };
    Ok(requests
        .into_iter()
        .zip(&subjects)
        .zip(states)
        .map(row)
        .collect())
}
