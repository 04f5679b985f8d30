//! `POST /v1/events`: what readers did. Applied to their token at once, then held by the origin or by this edge.
//!
//! Answers 202 only when the origin holds the batch, or this edge's retry queue does. An event that cannot be read is
//! forwarded as well: the origin keeps it with a reason, and it takes nothing else with it.

use crate::Edge;
use crate::config::Brand;
use crate::cors;
use crate::deferred::Deferred;
use crate::feed_request::{device, device_name};
use crate::http::{Request, Response};
use crate::limits::{EVENTS_MAX, FUTURE_SKEW_MS, PAST_SKEW_MS};
use crate::me_route::mute_of;
use crate::outbox::{Batch, Sent, own};
use crate::platform::Platform;
use crate::problem::{Kind, Problem, echo};
use crate::routes::Status;
use crate::visitor::{Visitor, note, note_mute};
use mediaflow_shared::event::{MuteTarget, TYPE_PREFIX};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::Mute;
use mediaflow_shared::profile::fold::Interaction;
use mediaflow_shared::time::Timestamp;
use serde_json::{Map, Value, json};

/// The visitors of a batch: one per brand, since a batch may name several.
struct Visitors<'a>(Vec<(&'a Brand, Visitor)>);

impl<'a> Visitors<'a> {
    async fn of<P: Platform>(
        &mut self,
        edge: &Edge,
        platform: &P,
        brand: &'a Brand,
        request: &Request,
        later: &mut Vec<Deferred>,
    ) -> &mut Visitor {
        let at = match self.0.iter().position(|(b, _)| b.slot == brand.slot) {
            Some(at) => at,
            None => {
                let visitor = open(edge, platform, brand, request, later).await;
                self.0.push((brand, visitor));
                self.0.len() - 1
            }
        };
        &mut self.0[at].1
    }
}

/// Opens the brand's token; the revocation epoch is that of the brand's first surface.
pub async fn open<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    request: &Request,
    later: &mut Vec<Deferred>,
) -> Visitor {
    let mut valid_from = mediaflow_shared::time::Minute(0);
    if let Some(surface) = brand.surfaces.first() {
        let rules = edge
            .memory
            .rules(platform, edge.config(), brand, surface, later)
            .await;
        valid_from = rules
            .value
            .map_or(valid_from, |r| r.rules.tokens_valid_from);
    }
    Visitor::of(edge, brand, &request.headers, platform.now_ms(), valid_from)
}

/// Answers POST.
///
/// # Errors
/// A [`Problem`]: the body cannot be read, or nobody can hold the events now.
pub async fn answer<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
) -> Result<Response, Problem> {
    check_type(request)?;
    let values = split(&request.body)?;
    let mut later = Vec::new();
    let mut visitors = Visitors(Vec::new());
    let mut out = Vec::with_capacity(values.len());
    let mut rejected = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        match take(edge, platform, request, value, &mut visitors, &mut later).await {
            Ok(value) => out.push(value),
            Err(p) if p.kind == Kind::Forbidden => return Err(p),
            Err(p) => {
                rejected.push(json!({"index": index, "reason": p.reason, "remedy": p.remedy}))
            }
        }
    }
    if out.is_empty() {
        let first = rejected.first();
        let text = |name| {
            first
                .and_then(|r| r[name].as_str())
                .unwrap_or("no event in it can be read")
                .to_owned()
        };
        let kind = Kind::BadRequest;
        return Err(Problem::new(
            kind,
            "every event of the body",
            text("reason"),
            text("remedy"),
        ));
    }
    let accepted = out.len();
    let batch = Batch {
        body: Value::Array(out).to_string().into_bytes(),
        agent: own::passed_on(request, "user-agent"),
        traceparent: own::passed_on(request, "traceparent"),
    };
    let queued = hold(edge, platform, batch, &mut later).await?;
    let body = json!({"accepted": accepted, "queued": queued, "rejected": rejected});
    let body = body.to_string().into_bytes();
    let mut response = Response::with_body(Status::Accepted, "application/json", body)
        .header("cache-control", "no-store");
    let now = Timestamp(platform.now_ms()).minute();
    for (brand, visitor) in &visitors.0 {
        if let Some(cookie) = visitor.set_cookie(edge, platform, brand, now) {
            response = response.header("set-cookie", cookie);
        }
    }
    if let Some((brand, _)) = visitors.0.first() {
        response = cors::allow(response, brand, &request.headers).header("vary", "Origin");
    }
    response.deferred = later;
    Ok(response)
}

/// Sends a batch, or takes it over for a retry; answers whether it waits here.
///
/// # Errors
/// A [`Problem`] when the origin refuses it for good, or nobody can hold it.
pub async fn hold<P: Platform>(
    edge: &Edge,
    platform: &P,
    batch: Batch,
    later: &mut Vec<Deferred>,
) -> Result<bool, Problem> {
    let queue = &edge.outbox.events;
    // While the origin just failed, nobody is made to wait for the deadline again. A queue alone is no reason to join
    // it: the origin goes by the events' own times, and a burst would never come out of the queue.
    if !queue.failing(platform.now_ms()) {
        match edge.outbox.send(platform, edge.config(), &batch).await {
            Sent::Taken => {
                queue.note(platform.now_ms(), false);
                return Ok(false);
            }
            Sent::Refused(status) => {
                return Err(Problem::new(
                    Kind::BadRequest,
                    "the body",
                    format!("the origin refused every event of it ({status})"),
                    "check the events against the event contract",
                ));
            }
            Sent::Later(_) => queue.note(platform.now_ms(), true),
        }
    }
    let unavailable = |why: String| {
        Problem::new(
            Kind::Unavailable,
            "the event collector",
            why,
            "send the same events again later; they are counted once",
        )
    };
    if !platform.keeps_memory() {
        // A promise to retry would end with the instance.
        return Err(unavailable("the origin cannot be reached".into()));
    }
    queue
        .add(batch)
        .map_err(|full| unavailable(full.to_string()))?;
    later.push(Deferred::Flush);
    Ok(true)
}

/// One event: checked, stripped of what a client may not say, given the token's reader, applied to the token.
async fn take<'a, P: Platform>(
    edge: &'a Edge,
    platform: &P,
    request: &Request,
    value: Value,
    visitors: &mut Visitors<'a>,
    later: &mut Vec<Deferred>,
) -> Result<Value, Problem> {
    let refuse = |reason: String, remedy: &str| {
        Err(Problem::new(Kind::BadRequest, "an event", reason, remedy))
    };
    let Value::Object(mut event) = value else {
        return refuse(
            "is not a JSON object".into(),
            "send a CloudEvent in structured JSON",
        );
    };
    event.remove("readerid");
    event.remove("receivedtime");
    let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) else {
        return refuse(
            "`data` is missing or not an object".into(),
            "add the payload",
        );
    };
    for own in ["reader", "trainable", "bot", "country"] {
        data.remove(own);
    }
    let slug = data.get("brand").and_then(Value::as_str).unwrap_or("");
    let Some(brand) = edge.config().brand(slug) else {
        let reason = format!("`data.brand` {:?} is not a brand of this edge", echo(slug));
        return refuse(reason, "set it to the brand's slug");
    };
    cors::refuse_foreign(brand, &request.headers, false)?;
    let visitor = visitors.of(edge, platform, brand, request, later).await;
    match &visitor.token {
        Some(token) => {
            data.insert("reader".into(), Value::String(token.reader.to_string()));
        }
        // Without consent a visit has no name either.
        None => {
            data.remove("session");
        }
    }
    if let Some(country) = request
        .country
        .and_then(|c| String::from_utf8(c.to_vec()).ok())
    {
        data.insert("country".into(), Value::String(country));
    }
    if !data.contains_key("device") {
        let name = device_name(device(&request.headers));
        data.insert("device".into(), Value::String(name.to_owned()));
    }
    let now_ms = platform.now_ms();
    settle_time(&mut event, now_ms);
    match Concern::of(&event) {
        Concern::Refused => {
            return refuse(
                "consent and reset are no events to be sent".into(),
                "use POST /v1/me",
            );
        }
        Concern::Nothing => {}
        concern => apply(edge, platform, brand, visitor, concern, later).await,
    }
    // What does not fit the contract goes to the origin all the same, which keeps it with a reason.
    Ok(Value::Object(event))
}

/// What of an event concerns the reader's token. The rest is the origin's to read and to judge.
enum Concern {
    /// An interaction with an item, and the surface it happened on.
    Interaction(Interaction, ContentId, Option<String>),
    /// A mute, or its end.
    Mute(Mute, bool),
    /// Not to be sent here.
    Refused,
    /// Nothing.
    Nothing,
}

impl Concern {
    fn of(event: &Map<String, Value>) -> Self {
        let text = |of: &Value, name| of.get(name).and_then(Value::as_str).map(str::to_owned);
        let kind = event.get("type").and_then(Value::as_str).unwrap_or("");
        let name = kind
            .strip_prefix(TYPE_PREFIX)
            .and_then(|k| k.strip_suffix(".v1"));
        let data = event.get("data").unwrap_or(&Value::Null);
        let interaction = |what| {
            let content = text(data, "content_id").and_then(|c| ContentId::parse(&c).ok());
            content.map(|c| Self::Interaction(what, c, text(data, "surface")))
        };
        let mute = |on| {
            let target = data.get("mute")?;
            let target = text(target, "topic")
                .map(MuteTarget::Topic)
                .or_else(|| text(target, "author").map(MuteTarget::Author))?;
            Some(Self::Mute(mute_of(&target)?, on))
        };
        let concern = match name {
            Some("read") => interaction(Interaction::Read),
            Some("like") => interaction(Interaction::Like),
            Some("hide") => interaction(Interaction::Less),
            Some("mute") => mute(true),
            Some("unmute") => mute(false),
            Some("consent" | "reset") => Some(Self::Refused),
            _ => None,
        };
        concern.unwrap_or(Self::Nothing)
    }
}

/// A missing time, or one that cannot be right, becomes the time of arrival: the origin believes an edge.
fn settle_time(event: &mut Map<String, Value>, now_ms: i64) {
    let said = event
        .get("time")
        .and_then(Value::as_str)
        .and_then(|t| Timestamp::parse(t).ok());
    let right =
        said.is_some_and(|t| t.0 <= now_ms + FUTURE_SKEW_MS && t.0 >= now_ms - PAST_SKEW_MS);
    let readable = said.is_some() || !event.contains_key("time");
    if !right && readable {
        let now = Timestamp(now_ms).to_string();
        event.insert("time".into(), Value::String(now));
    }
}

/// Changes the reader's token accordingly.
async fn apply<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    visitor: &mut Visitor,
    concern: Concern,
    later: &mut Vec<Deferred>,
) {
    if visitor.token.is_none() {
        return;
    }
    let now_ms = platform.now_ms();
    match concern {
        Concern::Interaction(what, content, surface) => {
            let front = front_of(edge, platform, brand, surface.as_deref(), later).await;
            note(visitor, &front, content, what, now_ms);
        }
        Concern::Mute(mute, on) => note_mute(visitor, mute, on, now_ms),
        Concern::Refused | Concern::Nothing => {}
    }
}

/// The front of the surface named, else of the brand's first.
pub async fn front_of<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    surface: Option<&str>,
    later: &mut Vec<Deferred>,
) -> std::sync::Arc<mediaflow_shared::front::Front> {
    let surface = surface
        .and_then(|s| brand.surface(s))
        .unwrap_or(&brand.surfaces[0]);
    let held = edge
        .memory
        .front(platform, edge.config(), brand, surface, later)
        .await;
    held.value.unwrap_or_else(|| edge.default_front(surface))
}

fn check_type(request: &Request) -> Result<(), Problem> {
    let kind = request.headers.first("content-type").unwrap_or("");
    let kind = kind
        .split(';')
        .next()
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let read = [
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/json",
        "text/plain",
    ];
    if !kind.is_empty() && !read.contains(&kind.as_str()) {
        return Err(Problem::new(
            Kind::UnsupportedType,
            format!("header `Content-Type: {}`", echo(&kind)),
            "is not read here",
            format!("send one of {}", read.join(", ")),
        ));
    }
    Ok(())
}

fn split(body: &[u8]) -> Result<Vec<Value>, Problem> {
    let bad = |reason: String| {
        let remedy = "send one CloudEvent or an array of them as UTF-8 JSON";
        Problem::new(Kind::BadRequest, "the body", reason, remedy)
    };
    let text = core::str::from_utf8(body)
        .map_err(|e| bad(format!("is not UTF-8 from byte {}", e.valid_up_to())))?;
    let value: Value = serde_json::from_str(text).map_err(|e| {
        bad(format!(
            "is not JSON: line {} column {}",
            e.line(),
            e.column()
        ))
    })?;
    let values = match value {
        Value::Array(values) => values,
        one => vec![one],
    };
    if values.is_empty() {
        return Err(bad("holds no event".into()));
    }
    if values.len() > EVENTS_MAX {
        return Err(Problem::new(
            Kind::TooLarge,
            "the body",
            format!(
                "holds {} events, at most {EVENTS_MAX} are read",
                values.len()
            ),
            "send smaller batches",
        ));
    }
    Ok(values)
}
