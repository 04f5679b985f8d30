//! The log's events and the live articles as JSON lines, for whoever computes on them: `mediaflow publish --plan --log`,
//! or a notebook.
//!
//! Data path: times become offsets once, so that an answer ends however fast the log grows → [`Merge`] takes the partitions'
//! records by when the log took them → a piece of lines at a time, as fast as the caller reads. In memory: one page a
//! partition.
//!
//! What it never does: hand out a raw reader id, hold the answer in memory, answer what cannot be read.

use super::{Answer, Ops, port};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use mediaflow_enrich::VIEW_CONTENT;
use mediaflow_features::TOPIC_EVENTS;
use mediaflow_http::Problem;
use mediaflow_ports::{EventLog, PortResult, StateStore, StoredRecord};
use mediaflow_shared::content::{Content, Status};
use mediaflow_shared::event::Event;
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a partition read at a time: 64 partitions hold 16 MB for an answer.
const PAGE_BYTES: usize = 256 << 10;
/// Records of a partition read at a time: what is in a page of small ones.
const PAGE_RECORDS: usize = 1_000;
/// Articles read from the view at a time, with their text.
const PAGE_ARTICLES: usize = 100;
/// A piece of the answer is handed on once it is so long.
const PIECE_BYTES: usize = 64 << 10;
/// How many records an answer's events come from at most: what a progress bar needs.
const RECORDS: &str = "mediaflow-records";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    since: Option<String>,
    until: Option<String>,
    limit: Option<String>,
}

fn time(name: &str, text: Option<&String>) -> Result<Option<Timestamp>, Problem> {
    let parse = |t: &String| {
        Timestamp::parse(t).map_err(|e| {
            Problem::bad_request(format!("query `{name}`"), e.to_string())
                .remedy("give a time in RFC 3339, such as 2026-11-21T08:00:00Z")
        })
    };
    text.map(parse).transpose()
}

/// The bounds in time, and how many events at most.
type Bounds = (Option<Timestamp>, Option<Timestamp>, u64);

impl Asked {
    fn bounds(&self) -> Result<Bounds, Problem> {
        let since = time("since", self.since.as_ref())?;
        let until = time("until", self.until.as_ref())?;
        if since.zip(until).is_some_and(|(s, u)| s >= u) {
            return Err(
                Problem::bad_request("query `since`", "is not before `until`")
                    .remedy("name an earlier `since` or a later `until`"),
            );
        }
        let limit = match &self.limit {
            None => u64::MAX,
            Some(text) => text.parse().ok().filter(|n| *n > 0).ok_or_else(|| {
                Problem::bad_request("query `limit`", "is not a number from 1")
                    .remedy("leave it out for all events")
            })?,
        };
        Ok((since, until, limit))
    }
}

pub(super) async fn events(
    State(ops): State<Arc<Ops>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    ops.admin(&headers)?;
    let Query(asked) = asked.map_err(|e| {
        Problem::bad_request("query", e.body_text()).remedy("give since, until and limit")
    })?;
    let bounds = asked.bounds()?;
    let merge = Merge::open(ops.log.clone(), bounds)
        .await
        .map_err(|e| port(&e))?;
    let records = merge.records().to_string();
    let mut r = lines(try_unfold(merge, |mut m| async move {
        anyhow::Ok(m.piece().await?.map(|piece| (piece, m)))
    }));
    if let Ok(n) = records.parse() {
        r.headers_mut().insert(RECORDS, n);
    }
    Ok(r)
}

pub(super) async fn content(State(ops): State<Arc<Ops>>, headers: HeaderMap) -> Answer {
    ops.admin(&headers)?;
    let first = (ops.state.clone(), None);
    Ok(lines(try_unfold(first, |(state, after)| async move {
        let page = articles(state.as_ref(), after.as_ref()).await?;
        anyhow::Ok(page.map(|(piece, last)| (piece, (state, Some(last)))))
    })))
}

fn lines(pieces: impl Stream<Item = anyhow::Result<Bytes>> + Send + 'static) -> Response {
    use futures_util::TryStreamExt as _;
    // The status is out already: the caller learns of a failure by an answer that breaks off.
    let pieces = pieces.inspect_err(|e| tracing::warn!(error = %e, "an answer broke off"));
    let kind = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (kind, Body::from_stream(pieces)).into_response()
}

fn put(out: &mut Vec<u8>, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.push(b'\n');
    Ok(())
}

/// The published articles of the next page, and its last key; `None` at the end.
async fn articles(
    state: &dyn StateStore,
    after: Option<&Bytes>,
) -> anyhow::Result<Option<(Bytes, Bytes)>> {
    let after = after.map(|k| &k[..]);
    let page = state.scan(VIEW_CONTENT, b"", after, PAGE_ARTICLES).await?;
    let Some(last) = page.last().map(|e| e.key.clone()) else {
        return Ok(None);
    };
    let mut out = Vec::new();
    for entry in &page {
        let article = serde_json::from_slice::<Content>(&entry.value);
        if let Some(a) = article.ok().filter(|a| a.status == Status::Published) {
            put(&mut out, &a)?;
        }
    }
    Ok(Some((out.into(), last)))
}

struct Lane {
    partition: u32,
    next: u64,
    end: u64,
    page: VecDeque<StoredRecord>,
}

/// Records of all partitions by when the log took them; of one partition in its order.
struct Merge {
    log: Arc<dyn EventLog>,
    lanes: Vec<Lane>,
    left: u64,
}

impl Merge {
    async fn open(log: Arc<dyn EventLog>, (since, until, left): Bounds) -> PortResult<Self> {
        let mut lanes = Vec::new();
        for partition in 0..log.partitions(TOPIC_EVENTS).await? {
            let next = match since {
                Some(t) => log.first_since(TOPIC_EVENTS, partition, t.0).await?,
                None => log.begin(TOPIC_EVENTS, partition).await?,
            };
            let end = match until {
                Some(t) => log.first_since(TOPIC_EVENTS, partition, t.0).await?,
                None => log.end(TOPIC_EVENTS, partition).await?,
            };
            lanes.push(Lane {
                partition,
                next,
                end,
                page: VecDeque::new(),
            });
        }
        Ok(Self { log, lanes, left })
    }

    fn records(&self) -> u64 {
        let all: u64 = self
            .lanes
            .iter()
            .map(|l| l.end.saturating_sub(l.next))
            .sum();
        all.min(self.left)
    }

    async fn next(&mut self) -> PortResult<Option<StoredRecord>> {
        for l in &mut self.lanes {
            if !l.page.is_empty() || l.next >= l.end {
                continue;
            }
            let (records, bytes) = (PAGE_RECORDS, PAGE_BYTES);
            let page = self
                .log
                .read(TOPIC_EVENTS, l.partition, l.next, records, bytes)
                .await?;
            // What was retained away meanwhile does not come back.
            l.next = page.last().map_or(l.end, |r| r.offset + 1);
            let end = l.end;
            l.page = page.into_iter().filter(|r| r.offset < end).collect();
        }
        let front = |l: &&mut Lane| l.page.front().map(|r| (r.appended_ms, l.partition));
        let lanes = self.lanes.iter_mut().filter(|l| !l.page.is_empty());
        Ok(lanes.min_by_key(front).and_then(|l| l.page.pop_front()))
    }

    /// The next lines; `None` at the end.
    async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        let mut out = Vec::new();
        while out.len() < PIECE_BYTES && self.left > 0 {
            let Some(r) = self.next().await? else { break };
            // As in the folds, what is no event is passed over.
            let Ok(mut event) = serde_json::from_slice::<Event>(&r.record.value) else {
                continue;
            };
            // Ingest replaced it; another producer may not have.
            event.readerid = None;
            event.receivedtime.get_or_insert(Timestamp(r.appended_ms));
            put(&mut out, &event)?;
            self.left -= 1;
        }
        Ok((!out.is_empty()).then(|| out.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_embedded::{Embedded, EmbeddedOptions};
    use mediaflow_ports::{ManualClock, Record};
    use serde_json::Value;

    async fn all(log: &Arc<dyn EventLog>, asked: [Option<&str>; 3]) -> Vec<Value> {
        let [since, until, limit] = asked.map(|a| a.map(str::to_owned));
        let asked = Asked {
            since,
            until,
            limit,
        };
        let mut merge = Merge::open(log.clone(), asked.bounds().unwrap())
            .await
            .unwrap();
        let most = merge.records();
        let mut text = Vec::new();
        while let Some(piece) = merge.piece().await.unwrap() {
            text.extend_from_slice(&piece);
        }
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert!(lines.len() as u64 <= most);
        lines
    }

    fn ids(lines: &[Value]) -> Vec<u64> {
        let id = |l: &Value| l["id"].as_str().unwrap().parse().unwrap();
        lines.iter().map(id).collect()
    }

    #[tokio::test]
    async fn partitions_are_merged_by_when_the_log_took_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let start = Timestamp::parse("2026-11-21T08:00:00Z").unwrap().0;
        let clock = Arc::new(ManualClock::at(start));
        let options = EmbeddedOptions {
            clock: clock.clone(),
            ..EmbeddedOptions::default()
        };
        let log = Embedded::open_with(dir.path(), options).unwrap().log();
        log.ensure_topic(TOPIC_EVENTS, 3).await.unwrap();
        // One a second, here and there; more than a page of one partition.
        for n in 0..1_300_i64 {
            clock.set(start + n * 1_000);
            let p = if n % 7 == 0 { (n % 3) as u32 } else { 1 };
            let line = format!(
                r#"{{"specversion":"1.0","id":"{n}","source":"s","type":"org.mediaflow.read.v1","readerid":"ann@example.org","data":{{"brand":"daily"}}}}"#
            );
            let mut records = vec![Record::new("", line)];
            if n == 5 {
                records.push(Record::new("", "no event\n"));
            }
            log.append(TOPIC_EVENTS, p, records).await.unwrap();
        }
        let lines = all(&log, [None; 3]).await;
        assert!(ids(&lines).iter().copied().eq(0..1_300));
        for l in &lines {
            assert!(l.get("readerid").is_none(), "a raw id: {l}");
        }
        assert_eq!(lines[61]["receivedtime"], "2026-11-21T08:01:01Z");
        let bounds = [
            Some("2026-11-21T08:00:10Z"),
            Some("2026-11-21T08:00:20Z"),
            None,
        ];
        assert!(ids(&all(&log, bounds).await).iter().copied().eq(10..20));
        let limit = [Some("2026-11-21T08:00:10Z"), None, Some("3")];
        assert_eq!(ids(&all(&log, limit).await), [10, 11, 12]);
        let later = [Some("2027-01-01T00:00:00Z"), None, None];
        assert!(all(&log, later).await.is_empty());
    }

    #[test]
    fn bad_bounds_name_the_input_and_the_remedy() {
        for (asked, input) in [
            ([Some("yesterday"), None, None], "query `since`"),
            ([None, Some("5"), None], "query `until`"),
            ([None, None, Some("0")], "query `limit`"),
            ([None, None, Some("many")], "query `limit`"),
            (
                [
                    Some("2026-11-21T08:00:00Z"),
                    Some("2026-11-21T08:00:00Z"),
                    None,
                ],
                "query `since`",
            ),
        ] {
            let [since, until, limit] = asked.map(|a| a.map(str::to_owned));
            let asked = Asked {
                since,
                until,
                limit,
            };
            let problem = asked.bounds().unwrap_err().to_json();
            assert_eq!(problem["input"], input, "{problem}");
            assert!(problem["remedy"].is_string(), "{problem}");
        }
    }
}
