//! `POST /v1/events/{envelope}`, and the paths that the senders of others know.

use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mediaflow_http::body::{BodyLimits, check_depth, read_bytes, utf8};
use mediaflow_http::{Problem, auth};
use mediaflow_shared::id::check_slug;
use serde::Deserialize;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::routes::{answer, problem};
use super::senders::{NoSender, Presented};
use super::{Caller, Collector, Envelope, Facts, overload};

/// Who and what, in the query.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    sender: Option<String>,
    brand: Option<String>,
    content_source: Option<String>,
    key: Option<String>,
    api_secret: Option<String>,
}

/// `POST /v1/events/{envelope}` with envelope segment, metarank, snowplow, ga4, streaming or adstream;
/// `/v1/batch`, `/v1/track`, `/v1/page`, `/v1/screen`, `/v1/identify` (and Segment's short `/v1/t`, `/v1/p`, `/v1/s`,
/// `/v1/i`) as Segment's libraries send; `/mp/collect` as GA4's do.
///
/// Query: `sender`, or `brand` (and `content_source`); the write key as bearer token, as user of basic authentication,
/// as `key` or as `api_secret`. Answers as `POST /v1/events` does, with `ignored` and `items` where there were any.
pub(super) fn routes() -> Router<Arc<Collector>> {
    let mut router = Router::new()
        .route("/v1/events/{envelope}", post(named))
        .route("/v1/batch", post(segment_batch))
        .route("/mp/collect", post(ga4));
    for (path, call) in [
        ("/v1/track", "track"),
        ("/v1/t", "track"),
        ("/v1/page", "page"),
        ("/v1/p", "page"),
        ("/v1/screen", "screen"),
        ("/v1/s", "screen"),
        ("/v1/identify", "identify"),
        ("/v1/i", "identify"),
    ] {
        let handler = move |c: State<Arc<Collector>>, q: Query<Asked>, r: Request| async move {
            take(&c.0, Envelope::Segment, Some(call), &q.0, r).await
        };
        router = router.route(path, post(handler));
    }
    router
}

async fn named(
    State(c): State<Arc<Collector>>,
    Path(name): Path<String>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Response, Problem> {
    let known = Envelope::FOREIGN.into_iter().find(|e| e.name() == name);
    let envelope = known.ok_or_else(|| {
        let names: Vec<&str> = Envelope::FOREIGN.iter().map(|e| e.name()).collect();
        Problem::not_found("path `envelope`", "there is no such envelope").remedy(format!(
            "use one of {}, or POST /v1/events for CloudEvents",
            names.join(", ")
        ))
    })?;
    take(&c, envelope, None, &asked, request).await
}

async fn segment_batch(
    c: State<Arc<Collector>>,
    q: Query<Asked>,
    r: Request,
) -> Result<Response, Problem> {
    take(&c.0, Envelope::Segment, None, &q.0, r).await
}

async fn ga4(c: State<Arc<Collector>>, q: Query<Asked>, r: Request) -> Result<Response, Problem> {
    take(&c.0, Envelope::Ga4, None, &q.0, r).await
}

/// One request: who sends → room → body → collector.
async fn take(
    c: &Arc<Collector>,
    envelope: Envelope,
    call: Option<&str>,
    asked: &Asked,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let edge = auth::has_bearer(&parts.headers, &c.config.edge_token);
    let key = basic_user(&parts.headers);
    let presented = Presented {
        key: auth::bearer(&parts.headers)
            .or(key.as_deref())
            .or(asked.api_secret.as_deref())
            .or(asked.key.as_deref()),
        sender: asked.sender.as_deref(),
        brand: asked.brand.as_deref(),
        content_source: asked.content_source.as_deref(),
        edge,
    };
    let (sender, trusted) = c
        .config
        .collect
        .senders
        .of(envelope, presented)
        .map_err(|why| refused(why, envelope))?;
    check_slug(&sender.brand).map_err(|e| Problem::bad_request("query `brand`", e.to_string()))?;
    let _held = overload::hold(c, &parts.headers)?;
    let bytes = read_bytes(&parts.headers, body, BodyLimits::default()).await?;
    let text = utf8(&bytes)?;
    check_depth(text)?;
    let caller = Caller {
        edge: trusted,
        facts: (!trusted).then(|| Arc::new(reader(c, &parts))),
        ..Caller::default()
    };
    let report = match call.and_then(|call| with_type(text, call)) {
        Some(typed) => c.collect_from(envelope, &typed, &sender, &caller).await,
        None => c.collect_from(envelope, text, &sender, &caller).await,
    };
    answer(report.map_err(problem)?)
}

/// Segment's own paths say the call that the body then leaves out.
fn with_type(text: &str, call: &str) -> Option<String> {
    let Ok(Value::Object(mut o)) = serde_json::from_str(text) else {
        return None;
    };
    o.entry("type").or_insert_with(|| call.into());
    Some(Value::Object(o).to_string())
}

fn refused(why: NoSender, envelope: Envelope) -> Problem {
    match why {
        NoSender::Unauthorized => Problem::unauthorized("write key"),
        NoSender::Unnamed => Problem::bad_request("query", "names neither a sender nor a brand")
            .remedy("add ?brand=SLUG, or ?sender=NAME, or send the sender's write key"),
        NoSender::OtherEnvelope => Problem::forbidden(
            "sender",
            format!(
                "is configured for another envelope than {}",
                envelope.name()
            ),
        )
        .remedy("configure a sender of its own for this envelope"),
    }
}

fn basic_user(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let user = text.split(':').next().unwrap_or_default();
    (!user.is_empty()).then(|| user.to_owned())
}

/// What the headers of a reader's own browser tell.
fn reader(c: &Collector, parts: &Parts) -> Facts {
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok());
    c.config.collect.facts(agent, address(c, parts))
}

/// The client's address: the peer, or what the operator's own proxies say of theirs. Used for a country, then forgotten.
pub(super) fn address(c: &Collector, parts: &Parts) -> Option<IpAddr> {
    // Without a database nobody needs it.
    c.config.collect.places.as_ref()?;
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|i| i.0.ip());
    let proxies = c.config.collect.proxies;
    if proxies == 0 {
        return peer;
    }
    let hops: Vec<&str> = parts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(str::trim)
        .collect();
    // The last hop was added by the nearest proxy; those further left may be invented by the client.
    let place = hops.len().checked_sub(proxies)?;
    hops.get(place)?.parse().ok()
}
