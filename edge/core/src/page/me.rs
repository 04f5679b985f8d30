//! "What you know about me".

use super::first_surface;
use super::front::banner;
use super::html::{Page, ago, date, esc};
use crate::Edge;
use crate::http::{Request, Response};
use crate::me_route::{About, told};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::routes::find;
use crate::visitor::Consent;
use core::fmt::Write as _;
use mediaflow_shared::time::Timestamp;

/// Renders the page.
pub async fn page<P: Platform>(
    edge: &Edge,
    platform: &P,
    request: &Request,
    brand: &str,
) -> Result<Response, Problem> {
    let (brand, _) = find(edge, brand, first_surface(edge, brand))?;
    let (about, shell) = told(edge, platform, brand, request).await;
    let now = Timestamp(platform.now_ms());
    let back = format!("/r/{}/me", brand.slug);
    let consent = match about.consent {
        "given" => Consent::Given,
        "gpc" => Consent::Gpc,
        _ => Consent::None,
    };
    let mut main = String::with_capacity(4096);
    main.push_str("<div class=\"text\"><h1>What we know about you</h1>");
    let _ = write!(main, "<p>{}</p>", esc(&about.summary));
    if consent == Consent::None {
        banner(&mut main, brand, &back);
    }
    let _ = write!(
        main,
        "<form method=\"post\" action=\"/v1/me?brand={}\"><input type=\"hidden\" name=\"back\" value=\"{back}\">",
        brand.slug
    );
    if consent == Consent::Given {
        held(&mut main, &about, now);
    }
    main.push_str("<h2>What is not held</h2><ul>");
    for text in about.not_held {
        let _ = write!(main, "<li>{}</li>", esc(text));
    }
    main.push_str("</ul>");
    if consent == Consent::Given {
        main.push_str(
            "<h2>Forget</h2><p>Both take effect at once, here and behind.</p><div class=\"danger\">\
             <button name=\"do\" value=\"reset\">Forget everything</button>\
             <button name=\"do\" value=\"consent_off\">Forget and stop remembering</button></div>",
        );
    }
    main.push_str("</form></div>");
    let title = format!("What we know about you · {}", brand.title);
    let mut response = Page {
        title: &title,
        brand,
        surface: None,
        consent,
        feed_id: "",
        now,
        main: &main,
    }
    .response();
    response.headers.extend(shell.headers);
    response.deferred = shell.deferred;
    Ok(response)
}

fn held(h: &mut String, about: &About, now: Timestamp) {
    h.push_str("<h2>Interests</h2>");
    if about.topics.is_empty() {
        h.push_str("<p>None yet: read a story or two.</p>");
    } else {
        h.push_str("<table><tbody>");
        for t in &about.topics {
            let _ = write!(
                h,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>\
                 <button name=\"do\" value=\"mute:topic:{}\">Mute</button></td></tr>",
                esc(t.label),
                t.strength,
                t.topic
            );
        }
        h.push_str("</tbody></table>");
    }
    if !about.mutes.is_empty() {
        h.push_str("<h2>Muted</h2><table><tbody>");
        for m in &about.mutes {
            let _ = write!(
                h,
                "<tr><th scope=\"row\">{}</th><td>\
                 <button name=\"do\" value=\"unmute:{}:{}\">Take back</button></td></tr>",
                esc(&m.label),
                m.kind,
                esc(&m.value)
            );
        }
        h.push_str("</tbody></table>");
    }
    h.push_str("<h2>Last reads</h2>");
    if about.last_reads.is_empty() {
        h.push_str("<p>None on this device.</p>");
    } else {
        h.push_str("<ul>");
        for r in &about.last_reads {
            let id = r.content_id.to_string();
            let title = r.title.as_deref().unwrap_or(&id);
            let _ = write!(
                h,
                "<li>{} <span class=\"by\">{}, {}</span></li>",
                esc(title),
                r.what,
                ago(r.at, now)
            );
        }
        h.push_str("</ul>");
    }
    h.push_str("<h2>Habits</h2><ul>");
    for text in &about.habits {
        let _ = write!(h, "<li>{}</li>", esc(text));
    }
    h.push_str("</ul>");
    if let (Some(since), Some(until)) = (about.consent_since, about.consent_until) {
        let _ = write!(
            h,
            "<p class=\"by\">You agreed on {}. Unless you agree again, everything is forgotten on {}.</p>",
            date(since),
            date(until)
        );
    }
}
