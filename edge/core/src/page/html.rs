//! What all pages share: escaping, the frame, the masthead.

use crate::config::{Brand, Config, Surface};
use crate::http::Response;
use crate::routes::Status;
use crate::visitor::Consent;
use core::fmt::Write as _;
use mediaflow_shared::time::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// Nothing but our own style and script; pictures from anywhere.
const CSP: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                   img-src http: https: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// In the page itself: else every browser asks for `/favicon.ico`, which costs a request and is not there.
const ICON: &str = "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
                    viewBox='0 0 8 8'%3E%3Cpath fill='%239a1c1c' d='M0 0h8v8H0z'/%3E%3Cpath fill='%23fff' \
                    d='M1 1h6v2H1zM1 4h6v1H1zM1 6h4v1H1z'/%3E%3C/svg%3E\">";

/// Text for HTML, in elements and in quoted attributes.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// An http(s) URL for an attribute; anything else (a script, for example) becomes nothing.
pub fn link(url: &str) -> Option<String> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    web.then(|| esc(url))
}

/// What a page is.
pub struct Page<'a> {
    /// Title of the document.
    pub title: &'a str,
    /// Brand.
    pub brand: &'a Brand,
    /// Surface shown, for the tabs.
    pub surface: Option<&'a Surface>,
    /// Consent.
    pub consent: Consent,
    /// Feed id, where there is a feed.
    pub feed_id: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Everything inside `main`.
    pub main: &'a str,
}

impl Page<'_> {
    /// The whole document as a response.
    pub fn response(&self) -> Response {
        let mut h = String::with_capacity(self.main.len() + 4096);
        let brand = self.brand;
        let version = asset_version();
        let surface = self.surface.map_or("", |s| s.slug.as_str());
        let here = if brand.read_here {
            " data-here=\"1\""
        } else {
            ""
        };
        let _ = write!(
            h,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\">\
             <title>{title}</title>{ICON}<link rel=\"stylesheet\" href=\"/assets/reader.css?v={version}\">\
             <link rel=\"alternate\" type=\"application/feed+json\" title=\"{name}\" href=\"/v1/feed/{slug}/{feed}\">\
             <script src=\"/assets/reader.js?v={version}\" defer></script></head>\
             <body data-brand=\"{slug}\" data-surface=\"{surface}\" data-consent=\"{consent}\" \
             data-feed=\"{feed_id}\"{here}>\
             <a class=\"skip\" href=\"#main\">Skip to the stories</a>",
            title = esc(self.title),
            name = esc(&brand.title),
            slug = brand.slug,
            feed = self
                .surface
                .or(brand.surfaces.first())
                .map_or("", |s| s.slug.as_str()),
            consent = self.consent.text(),
            feed_id = self.feed_id,
        );
        self.masthead(&mut h);
        let _ = write!(h, "<main id=\"main\" class=\"wrap\">{}</main>", self.main);
        self.footer(&mut h);
        h.push_str("<div class=\"say\" role=\"status\" aria-live=\"polite\"></div></body></html>");
        Response::with_body(Status::Ok, "text/html; charset=utf-8", h.into_bytes())
            .header("content-security-policy", CSP)
            .header("x-content-type-options", "nosniff")
            .header("referrer-policy", "strict-origin-when-cross-origin")
    }

    fn masthead(&self, h: &mut String) {
        let brand = self.brand;
        let _ = write!(
            h,
            "<header class=\"wrap\"><div class=\"mast\"><p>{}</p>\
             <p class=\"name\"><a href=\"/r/{}\">{}</a></p></div>\
             <nav class=\"tabs\" aria-label=\"Sections\"><ul>",
            date(self.now),
            brand.slug,
            esc(&brand.title)
        );
        for (i, s) in brand.surfaces.iter().enumerate() {
            let current = if self.surface == Some(s) {
                " aria-current=\"page\""
            } else {
                ""
            };
            let path = if i == 0 {
                String::new()
            } else {
                format!("/{}", s.slug)
            };
            let _ = write!(
                h,
                "<li><a href=\"/r/{}{path}\"{current}>{}</a></li>",
                brand.slug,
                esc(&s.title)
            );
        }
        h.push_str("</ul></nav></header>");
    }

    fn footer(&self, h: &mut String) {
        let brand = self.brand;
        let _ = write!(
            h,
            "<footer><div class=\"wrap\"><ul><li><a href=\"/r/{0}/me\">What you know about me</a></li>",
            brand.slug
        );
        if let Some(url) = link(&brand.home_url) {
            let _ = write!(h, "<li><a href=\"{url}\">{}</a></li>", esc(&brand.title));
        }
        let feed = brand.surfaces.first().map_or("", |s| s.slug.as_str());
        let _ = write!(
            h,
            "<li><a href=\"/v1/feed/{}/{feed}\">JSON Feed</a></li></ul>\
             <p>{} Every story says why it is here.</p></div></footer>",
            brand.slug,
            match self.consent {
                Consent::Given => "Ordered by what you read and by the editors.",
                Consent::None => "Ordered by the editors and by what is read now.",
                Consent::Gpc =>
                    "Your browser asks not to be remembered (Global Privacy Control), so nothing about you is read \
                     or kept. Ordered by the editors and by what is read now.",
            }
        );
    }
}

/// Changes when style or script change.
fn asset_version() -> String {
    format!(
        "{:08x}",
        (xxh3_64(super::CSS.as_bytes()) ^ xxh3_64(super::JS.as_bytes())) as u32
    )
}

/// The list of brands, for whoever opens the root.
pub fn brands(config: &Config) -> Response {
    let mut h = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>Front pages</title>{ICON}\
         <link rel=\"stylesheet\" href=\"/assets/reader.css\"></head><body><main class=\"wrap text\">\
         <h1>Front pages</h1><ul>",
    );
    for b in &config.brands {
        let _ = write!(
            h,
            "<li><a href=\"/r/{}\">{}</a></li>",
            b.slug,
            esc(&b.title)
        );
    }
    h.push_str("</ul></main></body></html>");
    Response::with_body(Status::Ok, "text/html; charset=utf-8", h.into_bytes())
        .header("content-security-policy", CSP)
        .header("cache-control", "public, max-age=60")
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// "Saturday, 21 November 2026" (UTC).
pub fn date(at: Timestamp) -> String {
    let text = at.to_string();
    // The epoch was a Thursday.
    let weekday = DAYS[at.0.div_euclid(86_400_000).rem_euclid(7) as usize];
    let part = |from: usize, to: usize| text.get(from..to).and_then(|t| t.parse::<usize>().ok());
    match (part(0, 4), part(5, 7), part(8, 10)) {
        (Some(year), Some(month @ 1..=12), Some(day)) => {
            format!("{weekday}, {day} {} {year}", MONTHS[month - 1])
        }
        _ => text,
    }
}

/// "5 min ago", "3 h ago", "2 days ago".
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    match (now.0 - at.0).max(0) / 60_000 {
        0 => "just now".to_owned(),
        min @ 1..=59 => format!("{min} min ago"),
        min @ 60..=1439 => format!("{} h ago", min / 60),
        min @ 1440..=2879 => format!("{} day ago", min / 1440),
        min => format!("{} days ago", min / 1440),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_the_markup() {
        assert_eq!(esc("<a b='c'>&\""), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;");
        assert_eq!(link("javascript:alert(1)"), None);
        assert_eq!(link("https://a/\"x"), Some("https://a/&quot;x".into()));
    }

    #[test]
    fn dates_are_in_words() {
        let at = Timestamp::parse("2026-11-21T08:30:15Z").unwrap();
        assert_eq!(date(at), "Saturday, 21 November 2026");
        assert_eq!(date(Timestamp(0)), "Thursday, 1 January 1970");
        assert_eq!(ago(at, Timestamp(at.0 + 3 * 3_600_000)), "3 h ago");
        assert_eq!(ago(at, Timestamp(at.0 - 5)), "just now");
    }
}
