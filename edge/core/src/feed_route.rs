//! `GET /v1/feed/{brand}/{surface}`: JSON Feed 1.1.

use crate::Edge;
use crate::compose::Plan;
use crate::config::{Brand, Surface};
use crate::cors;
use crate::deferred::Deferred;
use crate::feed_request::Asked;
use crate::http::{Request, Response};
use crate::ladder::Inputs;
use crate::limits::SHARED_MAX_AGE_S;
use crate::memory::Rendered;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::routes::Status;
use crate::visitor::{Consent, Known, Visitor, known};
use mediaflow_shared::feed::MEDIA_TYPE;
use mediaflow_shared::front::Front;
use mediaflow_shared::time::Timestamp;
use std::sync::Arc;

/// What a shared feed depends on besides its URL.
const VARY: &str = "Cookie, Sec-GPC, Origin, Sec-CH-UA-Mobile, User-Agent";

/// Everything about a feed request that was found out before ranking; the reader page uses it too.
#[derive(Debug)]
pub struct Scene {
    /// Front, rules, model.
    pub inputs: Inputs,
    /// Consent and token.
    pub visitor: Visitor,
    /// The reader's profile.
    pub known: Option<Known>,
}

impl Scene {
    /// Finds out.
    pub async fn set<P: Platform>(
        edge: &Edge,
        platform: &P,
        brand: &Brand,
        surface: &Surface,
        request: &Request,
        later: &mut Vec<Deferred>,
    ) -> Self {
        let inputs = Inputs::gather(edge, platform, brand, surface, later).await;
        let mut visitor = Visitor::of(
            edge,
            brand,
            &request.headers,
            platform.now_ms(),
            inputs.valid_from(),
        );
        let known = known(edge, platform, &mut visitor, &inputs.front).await;
        Self {
            inputs,
            visitor,
            known,
        }
    }

    /// Plans the feed.
    #[must_use]
    pub fn plan<'a>(
        &'a self,
        brand: &'a Brand,
        surface: &'a Surface,
        asked: &Asked,
        now_ms: i64,
    ) -> Plan<'a> {
        let reader = self.visitor.token.as_ref().map(|t| t.reader);
        let now = Timestamp(now_ms).minute();
        Plan::of(
            brand,
            surface,
            &self.inputs,
            asked,
            self.known.as_ref(),
            reader,
            now,
        )
    }
}

/// Ranks and writes the feed, or takes it from memory where it is shared; notes what was served.
pub fn render<P: Platform>(
    edge: &Edge,
    platform: &P,
    plan: &Plan<'_>,
    later: &mut Vec<Deferred>,
) -> Arc<Rendered> {
    let shared = plan.known.is_none();
    let key = (plan.feed_id, u64::from(plan.rung));
    if let Some(held) = shared.then(|| edge.memory.results.find(&key)).flatten() {
        return held;
    }
    let (body, slate) = plan.write(edge);
    let now_ms = platform.now_ms();
    let record = plan.served(platform.edge_id(), now_ms, &slate, &body);
    let rendered = Arc::new(Rendered {
        feed_id: record.feed_id.clone(),
        etag: plan.etag(),
        body,
    });
    // A shared feed is recorded once per edge: all who get it get the same bytes.
    let first = !shared || edge.memory.results.hold(key, Arc::clone(&rendered));
    if first && edge.outbox.served.add(record.encode(), now_ms) {
        later.push(Deferred::Served);
    }
    rendered
}

/// Answers GET and HEAD.
///
/// # Errors
/// A [`Problem`] naming a bad parameter.
pub async fn answer<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    surface: &Surface,
    request: &Request,
) -> Result<Response, Problem> {
    let began_us = platform.elapsed_us();
    let asked = Asked::parse(&request.query, &request.headers, request.country)?;
    let mut later = Vec::new();
    let scene = Scene::set(edge, platform, brand, surface, request, &mut later).await;
    let now_ms = platform.now_ms();
    let gathered_us = platform.elapsed_us();
    let plan = scene.plan(brand, surface, &asked, now_ms);
    let etag = plan.etag();
    let mut response = if let Some(content) = asked.why {
        Response::with_body(Status::Ok, "application/json", plan.why(content))
            .header("cache-control", "private, no-store")
    } else {
        let fresh = request
            .headers
            .first("if-none-match")
            .is_some_and(|h| matches(h, &etag));
        let response = if fresh {
            Response::new(Status::NotModified)
        } else {
            let rendered = render(edge, platform, &plan, &mut later);
            // A reader's own feed is held nowhere else, so its bytes need no copy.
            let body = Arc::try_unwrap(rendered).map_or_else(|r| r.body.clone(), |r| r.body);
            Response::with_body(Status::Ok, MEDIA_TYPE, body)
        };
        response
            .header("etag", etag)
            .header("cache-control", cache_control(&scene, plan.rung))
    };
    let done_us = platform.elapsed_us();
    response = response.header("server-timing", timing(began_us, gathered_us, done_us));
    response = describe(response, &scene, &plan, now_ms);
    if let Some(cookie) =
        scene
            .visitor
            .set_cookie(edge, platform, brand, Timestamp(now_ms).minute())
    {
        response = response.header("set-cookie", cookie);
    }
    response = cors::allow(response, brand, &request.headers).header("vary", VARY);
    response.deferred = later;
    Ok(response)
}

/// A reader's own feed is theirs alone; a shared one may be kept for a moment, one from below rung 2 not at all.
fn cache_control(scene: &Scene, rung: u8) -> String {
    let own = scene.visitor.consent == Consent::Given || scene.visitor.refused.is_some();
    if own {
        "private, no-store".to_owned()
    } else if rung > 2 {
        "no-store".to_owned()
    } else {
        format!("public, max-age={SHARED_MAX_AGE_S}")
    }
}

/// Headers that say what a feed was made of.
#[must_use]
pub fn describe(response: Response, scene: &Scene, plan: &Plan<'_>, now_ms: i64) -> Response {
    let mut r = response
        .header("mediaflow-rung", plan.rung.to_string())
        .header("mediaflow-feed-id", plan.feed_id.text())
        .header("mediaflow-consent", scene.visitor.consent.text());
    if let Some(age_s) = front_age(&scene.inputs.front, now_ms) {
        r = r.header("mediaflow-front-age", age_s.to_string());
    }
    if let Some(age_ms) = scene.inputs.rules_age_ms {
        // Recalled from the edge cache: nobody knows how old they are.
        let text = if age_ms == i64::MAX {
            "unknown".to_owned()
        } else {
            format!("{}.{:03}", age_ms / 1000, age_ms % 1000)
        };
        r = r.header("mediaflow-rules-age", text);
    }
    if let Some(k) = &scene.known {
        let age_s = (now_ms - k.profile.as_of.start().0).max(0) / 1000;
        r = r.header("mediaflow-profile-age", age_s.to_string());
    }
    if let Some(why) = scene.visitor.refused {
        r = r.header("mediaflow-token", format!("refused; reason={why}"));
    }
    r
}

/// Seconds since the front was built; `None` for the built-in default.
fn front_age(front: &Front, now_ms: i64) -> Option<i64> {
    let built = front.built();
    (built.0 > 0).then(|| (now_ms - built.start().0).max(0) / 1000)
}

fn timing(began_us: u64, gathered_us: u64, done_us: u64) -> String {
    let ms = |from: u64, to: u64| {
        let us = to.saturating_sub(from);
        format!("{}.{:03}", us / 1000, us % 1000)
    };
    format!(
        "inputs;dur={}, rank;dur={}",
        ms(began_us, gathered_us),
        ms(gathered_us, done_us)
    )
}

/// `If-None-Match` (RFC 9110): a list or `*`; a weak validator of the same text matches.
fn matches(header: &str, etag: &str) -> bool {
    header.split(',').map(str::trim).any(|one| {
        one == "*" || one == etag || one.strip_prefix("W/").is_some_and(|weak| weak == etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_compared_as_rfc_9110_says() {
        assert!(matches("\"a\", W/\"b\"", "\"b\""));
        assert!(matches("*", "\"b\""));
        assert!(!matches("\"a\"", "\"b\""));
    }
}
