//! From a story on the page to the story itself: the counted link, and a plain article page.

use super::first_surface;
use super::html::{Page, ago, esc, link};
use crate::Deferred;
use crate::Edge;
use crate::config::Brand;
use crate::cors::{From, from};
use crate::events_route::open;
use crate::feed_request::{device, device_name};
use crate::http::{Request, Response};
use crate::outbox::{Full, own};
use crate::params::{Params, encode};
use crate::platform::{Level, Platform};
use crate::problem::{Kind, Problem, echo};
use crate::routes::{Status, find};
use crate::visitor::note;
use core::fmt::Write as _;
use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::profile::fold::Interaction;
use mediaflow_shared::served::Exposure;
use mediaflow_shared::time::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// The parts of a card that an article page shows.
#[derive(Debug, Default, Deserialize)]
struct Card {
    #[serde(default)]
    url: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    summary: String,
    image: Option<String>,
    date_published: Option<Timestamp>,
}

/// An item among what the brand serves now: the front it is in, and its card.
struct Found {
    front: Arc<Front>,
    surface: String,
    card: Card,
}

fn missing(content: ContentId) -> Problem {
    Problem::new(
        Kind::NotFound,
        format!("item {content}"),
        "is not on a front page of this brand now",
        "go back to the front page",
    )
}

/// Looks through the brand's fronts and pins; items taken down are not there.
async fn search<P: Platform>(
    edge: &Edge,
    platform: &P,
    brand: &Brand,
    content: ContentId,
    later: &mut Vec<Deferred>,
) -> Result<Found, Problem> {
    for surface in &brand.surfaces {
        let rules = edge
            .memory
            .rules(platform, edge.config(), brand, surface, later)
            .await
            .value;
        if let Some(r) = &rules
            && r.rules.takedowns.binary_search(&content).is_ok()
        {
            return Err(missing(content));
        }
        let front = edge
            .memory
            .front(platform, edge.config(), brand, surface, later)
            .await
            .value
            .unwrap_or_else(|| edge.default_front(surface));
        let text = match (front.row(content), &rules) {
            (Some(row), _) => Some(front.card(row).to_owned()),
            (None, Some(r)) => r
                .rules
                .pinned
                .binary_search_by_key(&content, |p| p.content)
                .ok()
                .map(|at| r.rules.pinned[at].card.clone()),
            _ => None,
        };
        if let Some(text) = text {
            return Ok(Found {
                front,
                surface: surface.slug.clone(),
                card: crate::json::read(&format!("{{{text}}}")).unwrap_or_default(),
            });
        }
    }
    Err(missing(content))
}

/// `/go/{brand}?x=<exposure>`: counts the click and leads on. The place comes from the front, never from the request.
pub async fn go<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    brand: &str,
) -> Result<Response, Problem> {
    let (brand, _) = find(edge, brand, first_surface(edge, brand))?;
    let params = Params::parse(&request.query);
    let text = params.first("x").unwrap_or("");
    let now_ms = platform.now_ms();
    let exposure = Exposure::open(
        text,
        &edge.config().keys.exposure,
        Timestamp(now_ms).minute(),
    )
    .map_err(|e| {
        Problem::new(
            Kind::BadRequest,
            format!("query parameter `x={}`", echo(text)),
            e.to_string(),
            "follow a link of the front page",
        )
    })?;
    let mut later = Vec::new();
    let found = search(edge, platform, brand, exposure.content, &mut later).await?;
    let own_page = format!(
        "/r/{}/a/{}?x={}",
        brand.slug,
        exposure.content,
        encode(text)
    );
    let web = link(&found.card.url).is_some() && !brand.read_here;
    let mut response = Response::new(Status::SeeOther)
        .header(
            "location",
            if web {
                found.card.url.clone()
            } else {
                own_page
            },
        )
        .header("cache-control", "private, no-store");
    // Another site's page may link here, but not count in a reader's name; nor does a link preview by HEAD.
    if request.method == "GET" && from(brand, &request.headers) != From::Elsewhere {
        let mut visitor = open(edge, platform, brand, request, &mut later).await;
        // With the script the article page says when it was read; without, the click has to stand for it.
        let scripted = params.first("j").is_some() && brand.read_here;
        if !scripted {
            note(
                &mut visitor,
                &found.front,
                exposure.content,
                Interaction::Read,
                now_ms,
            );
        }
        let data = own::Said {
            brand: brand.slug.clone(),
            surface: Some(found.surface.clone()),
            content: Some(exposure.content),
            reader: visitor.token.as_ref().map(|t| t.reader),
            exposure: Some(text.to_owned()),
            slot: Some(exposure.slot),
            device: Some(device_name(device(&request.headers)).to_owned()),
            country: request
                .country
                .and_then(|c| String::from_utf8(c.to_vec()).ok()),
            ..own::Said::default()
        };
        let mut events = vec![("click", data.clone())];
        if !scripted {
            events.push(("read", data));
        }
        // A click that nobody can hold now is not worth making the reader wait.
        let kept = own::batch(platform, request, events)
            .ok()
            .map_or(Err(Full), |b| edge.outbox.events.add(b));
        if kept.is_err() {
            platform.log(Level::Warn, "a click could not be kept");
        }
        later.push(Deferred::Flush);
        let minute = Timestamp(now_ms).minute();
        if let Some(cookie) = visitor.set_cookie(edge, platform, brand, minute) {
            response = response.header("set-cookie", cookie);
        }
    }
    response.deferred = later;
    Ok(response)
}

/// `/r/{brand}/a/{id}`: title, teaser and the way to the source.
pub async fn page<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    brand: &str,
    id: &str,
) -> Result<Response, Problem> {
    let (brand, _) = find(edge, brand, first_surface(edge, brand))?;
    let content = ContentId::parse(id).map_err(|e| {
        Problem::new(
            Kind::NotFound,
            format!("path {}", echo(&request.path)),
            e.to_string(),
            "follow a link of the front page",
        )
    })?;
    let mut later = Vec::new();
    let found = search(edge, platform, brand, content, &mut later).await?;
    let visitor = open(edge, platform, brand, request, &mut later).await;
    let now = Timestamp(platform.now_ms());
    let card = &found.card;
    let params = Params::parse(&request.query);
    let mut main = String::with_capacity(2048);
    let _ = write!(
        main,
        "<article class=\"text\" data-read=\"{content}\" data-from=\"{}\"><h1>{}</h1>",
        esc(params.first("x").unwrap_or("")),
        esc(&card.title)
    );
    if let Some(at) = card.date_published {
        let _ = write!(
            main,
            "<p class=\"by\"><time datetime=\"{at}\">{}</time></p>",
            ago(at, now)
        );
    }
    if let Some(url) = card.image.as_deref().and_then(link) {
        let _ = write!(
            main,
            "<img src=\"{url}\" alt=\"\" referrerpolicy=\"no-referrer\">"
        );
    }
    let _ = write!(main, "<p>{}</p>", esc(&card.summary));
    if let Some(url) = link(&card.url) {
        let _ = write!(
            main,
            "<p><a href=\"{url}\">The whole story at its source</a></p>"
        );
    }
    let _ = write!(
        main,
        "<p><a class=\"button\" href=\"/r/{}\">Back to the front page</a></p></article>",
        brand.slug
    );
    let title = format!("{} · {}", card.title, brand.title);
    let mut response = Page {
        title: &title,
        brand,
        surface: brand.surface(&found.surface),
        consent: visitor.consent,
        feed_id: "",
        now,
        main: &main,
    }
    .response()
    .header("cache-control", "private, no-store")
    .header("mediaflow-consent", visitor.consent.text());
    response.deferred = later;
    Ok(response)
}
