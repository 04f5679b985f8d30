//! Routes for operators and data scientists: imports, dead letters, replays, the log and the articles as lines
//! ([`lines`]). Admin tokens only.

mod lines;

use crate::served;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use mediaflow_admin::{Role, Tokens};
use mediaflow_http::{BodyLimits, Problem, body};
use mediaflow_ingest::collector::{Caller, Collector};
use mediaflow_ingest::{IngestError, Intake};
use mediaflow_ports::{EventLog, PortError, Record, StateStore, StoredRecord};
use mediaflow_publisher::replay;
use mediaflow_shared::content::RawItem;
use mediaflow_shared::served::{FeedId, Served};
use mediaflow_shared::time::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// Deliveries of one import request: some 500 articles with their HTML stay below the body limit.
pub const IMPORT_ITEMS_MAX: usize = 500;
/// Body of one import request.
pub const IMPORT_BYTES_MAX: usize = 16 << 20;
/// Dead letters of one answer or one replay.
const LETTERS_MAX: usize = 1000;
const DEAD: &str = "dead-letters";
/// Header of a record that notes a letter as taken in: its id.
const SETTLED: &str = "settled";

/// What the routes need.
pub struct Ops {
    /// Topics.
    pub log: Arc<dyn EventLog>,
    /// Views.
    pub state: Arc<dyn StateStore>,
    /// Content's door.
    pub intake: Arc<Intake>,
    /// Events' door.
    pub collector: Arc<Collector>,
    /// Who may.
    pub tokens: Tokens,
    /// How edges write feeds: titles, addresses, the key of exposures.
    pub edge: mediaflow_edge_core::Config,
}

type Answer = Result<Response, Problem>;

/// `/admin/v1/import`, `/admin/v1/dead-letters`, `/admin/v1/replay`, `/admin/v1/events`, `/admin/v1/content`.
pub fn routes(ops: Arc<Ops>) -> Router {
    Router::new()
        .route("/admin/v1/import/content", post(import))
        .route("/admin/v1/import/events", post(import_events))
        .route("/admin/v1/dead-letters", get(letters))
        .route("/admin/v1/dead-letters/replay", post(replay_all))
        .route("/admin/v1/dead-letters/{partition}/{offset}", get(letter))
        .route(
            "/admin/v1/dead-letters/{partition}/{offset}/replay",
            post(replay_one),
        )
        .route("/admin/v1/replay/{feed_id}", get(replay_feed))
        .route("/admin/v1/events", get(lines::events))
        .route("/admin/v1/content", get(lines::content))
        .with_state(ops)
}

fn port(e: &PortError) -> Problem {
    tracing::warn!(error = %e, "a store failed");
    Problem::unavailable("a store", 1)
}

fn ingest(e: IngestError) -> Problem {
    match e {
        IngestError::Malformed {
            input,
            reason,
            remedy,
        } => Problem::bad_request(input, reason).remedy(remedy),
        other => {
            tracing::warn!(error = %other, "an import was not taken");
            Problem::unavailable("the event log", 1)
        }
    }
}

impl Ops {
    fn admin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.tokens.require(headers, "*", Role::Admin).map(drop)
    }

    async fn dead(&self, limit: usize) -> Result<Vec<(u32, StoredRecord)>, Problem> {
        let mut all = Vec::new();
        for p in 0..self.log.partitions(DEAD).await.map_err(|e| port(&e))? {
            let end = self.log.end(DEAD, p).await.map_err(|e| port(&e))?;
            let from = end.saturating_sub(limit as u64);
            let records = self
                .log
                .read(DEAD, p, from, limit, 8 << 20)
                .await
                .map_err(|e| port(&e))?;
            all.extend(records.into_iter().map(|r| (p, r)));
        }
        let notes = |r: &StoredRecord| r.record.header(SETTLED).cloned();
        let settled: HashSet<Bytes> = all.iter().filter_map(|(_, r)| notes(r)).collect();
        all.retain(|(p, r)| {
            let id = format!("{p}/{}", r.offset);
            notes(r).is_none() && !settled.contains(id.as_bytes())
        });
        all.sort_by_key(|(p, r)| (r.appended_ms, *p, r.offset));
        let surplus = all.len().saturating_sub(limit);
        all.drain(..surplus);
        Ok(all)
    }

    async fn find(&self, partition: &str, offset: &str) -> Result<(u32, StoredRecord), Problem> {
        let none = || {
            Problem::not_found(format!("dead letter {partition}/{offset}"), "there is none")
                .remedy("`mediaflow dlq list` shows them")
        };
        let (p, o): (u32, u64) = partition
            .parse()
            .ok()
            .zip(offset.parse().ok())
            .ok_or_else(none)?;
        if p >= self.log.partitions(DEAD).await.map_err(|e| port(&e))? {
            return Err(none());
        }
        let found = self
            .log
            .read(DEAD, p, o, 1, 8 << 20)
            .await
            .map_err(|e| port(&e))?;
        found
            .into_iter()
            .find(|r| r.offset == o)
            .map(|r| (p, r))
            .ok_or_else(none)
    }

    /// Gives letters to the collector as they are now.
    async fn again(&self, letters: Vec<(u32, StoredRecord)>) -> Result<Value, Problem> {
        let (mut accepted, mut duplicates, mut ignored, mut rejected) = (0, 0, 0, Vec::new());
        for (p, r) in letters {
            let id = format!("{p}/{}", r.offset);
            let report = match self.collector.replay(&r.record).await {
                Ok(report) => report,
                Err(IngestError::Malformed { reason, remedy, .. }) => {
                    rejected.push(json!({"id": id, "reason": reason, "remedy": remedy}));
                    continue;
                }
                Err(e) => return Err(ingest(e)),
            };
            if report.rejected.is_empty() {
                self.settled(p, &id).await?;
            }
            ignored += report.ignored;
            accepted += report.accepted;
            duplicates += report.duplicates;
            for x in &report.rejected {
                rejected.push(
                    json!({"id": id, "reason": x.refusal.reason, "remedy": x.refusal.remedy}),
                );
            }
        }
        Ok(
            json!({"accepted": accepted, "duplicates": duplicates, "ignored": ignored, "rejected": rejected}),
        )
    }

    /// Whether a later note says that the letter was taken in.
    async fn is_settled(&self, p: u32, r: &StoredRecord) -> Result<bool, Problem> {
        let id = format!("{p}/{}", r.offset);
        let mut from = r.offset + 1;
        loop {
            let part = self
                .log
                .read(DEAD, p, from, LETTERS_MAX, 8 << 20)
                .await
                .map_err(|e| port(&e))?;
            let Some(last) = part.last() else {
                return Ok(false);
            };
            from = last.offset + 1;
            let notes = |x: &StoredRecord| {
                x.record
                    .header(SETTLED)
                    .is_some_and(|v| v.as_ref() == id.as_bytes())
            };
            if part.iter().any(notes) {
                return Ok(true);
            }
        }
    }

    /// Notes beside a letter that it was taken in, so that it is neither shown as open nor taken in again.
    async fn settled(&self, p: u32, id: &str) -> Result<(), Problem> {
        let note = Record::new(id.as_bytes().to_vec(), Vec::new())
            .with_header(SETTLED, id.as_bytes().to_vec());
        self.log
            .append(DEAD, p, vec![note])
            .await
            .map(drop)
            .map_err(|e| port(&e))
    }
}

fn shown(p: u32, r: &StoredRecord, with_bytes: bool) -> Value {
    let header = |name: &str| {
        r.record
            .header(name)
            .map(|v| String::from_utf8_lossy(v).into_owned())
    };
    let mut v = json!({
        "id": format!("{p}/{}", r.offset),
        "at": Timestamp(r.appended_ms),
        "reason": header("reason"),
        "remedy": header("remedy"),
        "topic": header("topic"),
        "envelope": header("envelope"),
        "schema": header("schema"),
        "received": header("received"),
    });
    if with_bytes {
        v["bytes"] = json!(String::from_utf8_lossy(&r.record.value));
    }
    v
}

async fn body_of(headers: &HeaderMap, raw: Body) -> Result<Vec<u8>, Problem> {
    let limits = BodyLimits {
        wire_bytes_max: IMPORT_BYTES_MAX,
        expanded_bytes_max: IMPORT_BYTES_MAX,
    };
    body::read_bytes(headers, raw, limits).await
}

async fn import(State(ops): State<Arc<Ops>>, headers: HeaderMap, raw: Body) -> Answer {
    ops.admin(&headers)?;
    let bytes = body_of(&headers, raw).await?;
    let mut items: Vec<RawItem> = body::json(body::utf8(&bytes)?)?;
    if items.len() > IMPORT_ITEMS_MAX {
        return Err(
            Problem::bad_request("body", format!("{} items", items.len()))
                .remedy(format!("send at most {IMPORT_ITEMS_MAX} items a request")),
        );
    }
    for item in &mut items {
        item.ingested_at = ops.intake.now();
    }
    let taken = ops.intake.submit(items).await.map_err(ingest)?;
    Ok(axum::Json(json!({"new": taken.new, "duplicates": taken.duplicates})).into_response())
}

/// The collector for an operator's own file, which is believed as an edge is: its times may be old, and robots were
/// told apart while it was read.
async fn import_events(State(ops): State<Arc<Ops>>, headers: HeaderMap, raw: Body) -> Answer {
    ops.admin(&headers)?;
    let bytes = body_of(&headers, raw).await?;
    let text = body::utf8(&bytes)?;
    body::check_depth(text)?;
    let caller = Caller {
        edge: true,
        ..Caller::default()
    };
    let report = ops.collector.collect(text, caller).await.map_err(ingest)?;
    Ok(axum::Json(report).into_response())
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<usize>,
}

async fn letters(
    State(ops): State<Arc<Ops>>,
    Query(q): Query<Limit>,
    headers: HeaderMap,
) -> Answer {
    ops.admin(&headers)?;
    let all = ops
        .dead(q.limit.unwrap_or(50).clamp(1, LETTERS_MAX))
        .await?;
    let letters: Vec<Value> = all.iter().map(|(p, r)| shown(*p, r, false)).collect();
    Ok(axum::Json(json!({ "letters": letters })).into_response())
}

type Place = Path<(String, String)>;

async fn letter(State(ops): State<Arc<Ops>>, Path((p, o)): Place, headers: HeaderMap) -> Answer {
    ops.admin(&headers)?;
    let (p, r) = ops.find(&p, &o).await?;
    Ok(axum::Json(shown(p, &r, true)).into_response())
}

async fn replay_one(
    State(ops): State<Arc<Ops>>,
    Path((p, o)): Place,
    headers: HeaderMap,
) -> Answer {
    ops.admin(&headers)?;
    let letter = ops.find(&p, &o).await?;
    if ops.is_settled(letter.0, &letter.1).await? {
        return Err(
            Problem::conflict(format!("dead letter {p}/{o}"), "was taken in before")
                .remedy("nothing is left to do; its events are in the log"),
        );
    }
    Ok(axum::Json(ops.again(vec![letter]).await?).into_response())
}

async fn replay_all(State(ops): State<Arc<Ops>>, headers: HeaderMap) -> Answer {
    ops.admin(&headers)?;
    let all = ops.dead(LETTERS_MAX).await?;
    Ok(axum::Json(ops.again(all).await?).into_response())
}

async fn replay_feed(
    State(ops): State<Arc<Ops>>,
    Path(feed_id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    ops.admin(&headers)?;
    FeedId::parse(&feed_id).map_err(|e| Problem::bad_request("path `feed_id`", e.to_string()))?;
    let gone = |why: String| {
        Problem::not_found(format!("feed {feed_id}"), why)
            .remedy("feeds can be replayed for 48 hours, a moment after they were served")
    };
    let stored = ops
        .state
        .get(served::VIEW, feed_id.as_bytes())
        .await
        .map_err(|e| port(&e))?;
    let stored = stored.ok_or_else(|| gone("no served record names it".into()))?;
    let record = Served::decode(&stored).map_err(&gone)?;
    let inputs = replay::inputs(&record, &*ops.state)
        .await
        .map_err(|e| gone(e.to_string()))?;
    let rules = inputs.rules.as_ref().map(|(r, v)| (r, *v));
    let body = mediaflow_edge_core::compose::replay(
        &ops.edge,
        &record,
        &inputs.front,
        rules,
        &inputs.model,
    )
    .map_err(|e| gone(e.to_string()))?;
    let verdict = if replay::verify(&record, &body).is_ok() {
        "identical"
    } else {
        "differs"
    };
    let mut r = ([(header::CONTENT_TYPE, "application/feed+json")], body).into_response();
    r.headers_mut()
        .insert("mediaflow-replay", HeaderValue::from_static(verdict));
    Ok(r)
}
