//! The front page of a surface.

use super::html::{Page, ago, esc, link};
use crate::Edge;
use crate::config::{Brand, Surface};
use crate::feed_request::Asked;
use crate::feed_route::{Scene, describe, render};
use crate::http::{Request, Response};
use crate::params::Params;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::visitor::Consent;
use core::fmt::Write as _;
use mediaflow_shared::front::Front;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics;
use serde::Deserialize;

/// Stories on one page, without the lead: full rows of one, two and three, and with their markup below 30 KB.
const PAGE_ITEMS: u16 = 18;

/// A feed as the page needs it.
#[derive(Deserialize)]
struct Feed {
    next_url: Option<String>,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    summary: String,
    image: Option<String>,
    language: Option<String>,
    date_published: Option<Timestamp>,
    #[serde(default)]
    authors: Vec<Author>,
    #[serde(rename = "_mediaflow")]
    ours: Ours,
}

#[derive(Deserialize)]
struct Author {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Ours {
    slot: u16,
    exposure: String,
    #[serde(default)]
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    text: String,
}

/// Renders the page.
pub async fn page<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    brand: &Brand,
    surface: &Surface,
) -> Result<Response, Problem> {
    let mut asked = Asked::parse(&request.query, &request.headers, request.country)?;
    asked.limit = PAGE_ITEMS + u16::from(asked.cursor.is_none());
    asked.explain = false;
    let mut later = Vec::new();
    let scene = Scene::set(edge, platform, brand, surface, request, &mut later).await;
    let now = Timestamp(platform.now_ms());
    let plan = scene.plan(brand, surface, &asked, now.0);
    let rendered = render(edge, platform, &plan, &mut later);
    // A card that is no JSON can only come from a defect at the origin; the page is then empty, not broken.
    let text = core::str::from_utf8(&rendered.body).unwrap_or_default();
    let feed: Feed = crate::json::read(text).unwrap_or(Feed {
        next_url: None,
        items: Vec::new(),
    });
    let consent = scene.visitor.consent;
    let back = format!("{}{}", request.path, with_query(&request.query));
    let mut main = String::with_capacity(feed.items.len() * 1200 + 2048);
    // The tabs say it to the eye.
    let _ = write!(main, "<h1 class=\"vh\">{}</h1>", esc(&surface.title));
    if consent == Consent::None && !scene.visitor.declined {
        banner(&mut main, brand, &back);
    }
    let _ = write!(
        main,
        "<form id=\"act\" method=\"post\" action=\"/v1/me?brand={}\">\
         <input type=\"hidden\" name=\"back\" value=\"{}\"></form><ol class=\"feed\">",
        brand.slug,
        esc(&back)
    );
    let shelf = Shelf {
        brand,
        front: &scene.inputs.front,
        consent,
        now,
    };
    for (i, item) in feed.items.iter().enumerate() {
        shelf.story(&mut main, item, i == 0 && asked.cursor.is_none());
    }
    main.push_str("</ol>");
    if feed.items.is_empty() {
        main.push_str("<p>There is nothing to read here yet. Please come back in a moment.</p>");
    }
    if let Some(cursor) = feed.next_url.as_deref().and_then(cursor_of) {
        let _ = write!(
            main,
            "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"{}?cursor={}\">More stories</a></p>",
            esc(&request.path),
            esc(&cursor)
        );
    }
    let title = if brand.surfaces.first() == Some(surface) {
        brand.title.clone()
    } else {
        format!("{} · {}", surface.title, brand.title)
    };
    let mut response = Page {
        title: &title,
        brand,
        surface: Some(surface),
        consent,
        feed_id: &rendered.feed_id,
        now,
        main: &main,
    }
    .response()
    .header("cache-control", "private, no-store")
    .header("vary", "Cookie, Sec-GPC");
    response = describe(response, &scene, &plan, now.0);
    let cookie = scene
        .visitor
        .set_cookie(edge, platform, brand, now.minute());
    if let Some(cookie) = cookie {
        response = response.header("set-cookie", cookie);
    }
    response.deferred = later;
    Ok(response)
}

fn with_query(query: &str) -> String {
    if query.is_empty() {
        String::new()
    } else {
        format!("?{query}")
    }
}

fn cursor_of(next_url: &str) -> Option<String> {
    let (_, query) = next_url.split_once('?')?;
    Params::parse(query).first("cursor").map(str::to_owned)
}

/// Asks for consent; both answers cost the same.
pub fn banner(h: &mut String, brand: &Brand, back: &str) {
    let _ = write!(
        h,
        "<section class=\"consent\" aria-labelledby=\"ask\"><div><h2 id=\"ask\">May {} remember what you read?</h2>\
         <p>Then this page puts forward what interests you. It stays in a sealed cookie of yours and under a \
         pseudonym, for 180 days at most; you can see and delete it at any time. \
         <a href=\"/r/{2}/me\">What would be kept</a></p></div>\
         <form class=\"choices\" method=\"post\" action=\"/v1/me?brand={2}\">\
         <input type=\"hidden\" name=\"back\" value=\"{1}\">\
         <button name=\"do\" value=\"consent_off\">No, thanks</button>\
         <button name=\"do\" value=\"consent_on\">Yes, remember</button></form></section>",
        esc(&brand.title),
        esc(back),
        brand.slug
    );
}

struct Shelf<'a> {
    brand: &'a Brand,
    front: &'a Front,
    consent: Consent,
    now: Timestamp,
}

impl Shelf<'_> {
    fn story(&self, h: &mut String, item: &Item, lead: bool) {
        let image = item.image.as_deref().and_then(link);
        let class = match (lead, image.is_some()) {
            (true, true) => " class=\"lead pic\"",
            (true, false) => " class=\"lead\"",
            _ => "",
        };
        let language = match &item.language {
            Some(l) if l != "en" => format!(" lang=\"{}\"", esc(l)),
            _ => String::new(),
        };
        let o = &item.ours;
        let _ = write!(
            h,
            "<li{class} data-id=\"{}\" data-x=\"{}\" data-slot=\"{}\"{language}>",
            esc(&item.id),
            esc(&o.exposure),
            o.slot
        );
        if let Some(url) = image {
            let lazy = if lead { "" } else { " loading=\"lazy\"" };
            let _ = write!(
                h,
                "<img class=\"shot\" src=\"{url}\" alt=\"\" decoding=\"async\" referrerpolicy=\"no-referrer\"{lazy}>"
            );
        }
        let topic = self.topic(item);
        if let Some(t) = topic {
            let _ = write!(h, "<p class=\"kicker\" lang=\"en\">{}</p>", esc(t.label));
        }
        let _ = write!(
            h,
            "<h2><a data-go rel=\"nofollow\" href=\"/go/{}?x={}\">{}</a></h2>",
            self.brand.slug,
            esc(&o.exposure),
            esc(if item.title.is_empty() {
                "Untitled"
            } else {
                &item.title
            })
        );
        if !item.summary.is_empty() {
            let _ = write!(h, "<p>{}</p>", esc(&item.summary));
        }
        h.push_str("<p class=\"by\" lang=\"en\">");
        let author = item.authors.first().map_or("", |a| a.name.as_str());
        let named = !author.is_empty() && author != "Unknown";
        if named {
            let _ = write!(h, "{} · ", esc(author));
        }
        if let Some(at) = item.date_published {
            let _ = write!(h, "<time datetime=\"{at}\">{}</time>", ago(at, self.now));
        }
        h.push_str("</p>");
        self.why(h, item, topic, named.then_some(author));
        h.push_str("</li>");
    }

    fn topic(&self, item: &Item) -> Option<&'static topics::Topic> {
        let row = self.front.row(ContentId::parse(&item.id).ok()?)?;
        topics::topic(self.front.main_topic(row))
    }

    /// Why it is here, and what can be done about it.
    fn why(
        &self,
        h: &mut String,
        item: &Item,
        topic: Option<&topics::Topic>,
        author: Option<&str>,
    ) {
        h.push_str("<details class=\"why\" lang=\"en\"><summary>Why this story?</summary><ul>");
        for r in &item.ours.reasons {
            let _ = write!(h, "<li>{}</li>", esc(&r.text));
        }
        h.push_str("</ul>");
        if self.consent == Consent::Given {
            h.push_str("<div class=\"acts\">");
            let mut button = |value: &str, text: &str| {
                let _ = write!(
                    h,
                    "<button form=\"act\" name=\"do\" value=\"{}\">{}</button>",
                    esc(value),
                    esc(text)
                );
            };
            button(&format!("less:{}", item.id), "Less of this");
            if let Some(t) = topic {
                button(
                    &format!("mute:topic:{}", t.slug),
                    &format!("Mute {}", t.label),
                );
            }
            if let Some(name) = author {
                button(&format!("mute:author:{name}"), &format!("Mute {name}"));
            }
            h.push_str("</div>");
        }
        h.push_str("</details>");
    }
}
