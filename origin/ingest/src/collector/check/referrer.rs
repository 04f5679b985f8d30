//! Where readers come from: the address of the page before, as one of seven classes.

use url::Url;

/// Engines whose host starts with one of these labels, under any country's domain.
const SEARCH: [&str; 12] = [
    "google",
    "bing",
    "duckduckgo",
    "yahoo",
    "yandex",
    "baidu",
    "ecosia",
    "qwant",
    "startpage",
    "brave",
    "naver",
    "seznam",
];
/// Networks, with the short addresses they link from.
const SOCIAL: [&str; 22] = [
    "facebook.com",
    "fb.com",
    "instagram.com",
    "threads.net",
    "twitter.com",
    "x.com",
    "t.co",
    "linkedin.com",
    "lnkd.in",
    "reddit.com",
    "pinterest.com",
    "tiktok.com",
    "youtube.com",
    "youtu.be",
    "mastodon.social",
    "bsky.app",
    "vk.com",
    "xing.com",
    "whatsapp.com",
    "wa.me",
    "t.me",
    "telegram.org",
];
/// Mail in a browser.
const EMAIL: [&str; 6] = [
    "mail.google.com",
    "outlook.live.com",
    "outlook.office.com",
    "mail.yahoo.com",
    "mail.proton.me",
    "webmail",
];
/// The classes of `data.referrer`.
pub(crate) const CLASSES: [&str; 7] = [
    "direct", "internal", "search", "social", "email", "campaign", "other",
];

/// The class of a visit from `referrer` to `page`. The page's own campaign parameters (`utm_medium`, `gclid`, …) win,
/// since whoever set them knows best. A referrer that is a class already stays.
#[must_use]
pub(crate) fn classify(referrer: &str, page: Option<&str>) -> &'static str {
    if let Some(class) = CLASSES.iter().find(|c| **c == referrer.trim()) {
        return class;
    }
    let page = page.and_then(|p| Url::parse(p.trim()).ok());
    if let Some(class) = page.as_ref().and_then(tagged) {
        return class;
    }
    let Ok(from) = Url::parse(referrer.trim()) else {
        return if referrer.trim().is_empty() {
            "direct"
        } else {
            "other"
        };
    };
    // Apps name themselves with a scheme of their own.
    let Some(host) = from
        .host_str()
        .map(|h| h.trim_start_matches("www.").to_ascii_lowercase())
    else {
        return "other";
    };
    let own = page.as_ref().and_then(Url::host_str);
    if own.is_some_and(|own| same_site(own.trim_start_matches("www."), &host)) {
        return "internal";
    }
    let under = |list: &[&str]| {
        list.iter()
            .any(|d| host == *d || host.ends_with(&format!(".{d}")))
    };
    if under(&EMAIL)
        || host.starts_with("mail.")
        || host.starts_with("webmail.")
        || from.scheme() == "android-app" && host.contains(".gm")
    {
        "email"
    } else if under(&SOCIAL) {
        "social"
    } else if host.split('.').any(|label| SEARCH.contains(&label)) {
        "search"
    } else {
        "other"
    }
}

/// The class that the address of the page itself claims.
fn tagged(page: &Url) -> Option<&'static str> {
    let mut class = None;
    for (name, value) in page.query_pairs() {
        let value = value.to_ascii_lowercase();
        class = match &*name {
            "utm_medium" if value.contains("mail") || value == "newsletter" => {
                return Some("email");
            }
            "utm_medium" if value == "social" => return Some("social"),
            "utm_medium" if value == "organic" => return Some("search"),
            "utm_medium" | "utm_campaign" | "utm_source" | "gclid" | "fbclid" | "msclkid" => {
                Some("campaign")
            }
            _ => class,
        };
    }
    class
}

fn same_site(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || b.strip_suffix(a).is_some_and(|rest| rest.ends_with('.'))
        || a.strip_suffix(b).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referrers_fall_into_their_classes() {
        let page = Some("https://www.daily.example/story");
        for (from, page, class) in [
            ("", page, "direct"),
            ("https://www.google.co.uk/", page, "search"),
            ("https://duckduckgo.com/?q=x", page, "search"),
            ("https://t.co/abc", page, "social"),
            ("https://m.facebook.com/", page, "social"),
            ("https://mail.google.com/mail/u/0", page, "email"),
            ("https://daily.example/", page, "internal"),
            ("https://sport.daily.example/", page, "internal"),
            ("https://notdaily.example/", page, "other"),
            ("https://blog.example/", page, "other"),
            (
                "",
                Some("https://daily.example/?utm_medium=email&utm_source=x"),
                "email",
            ),
            (
                "https://t.co/x",
                Some("https://daily.example/?utm_campaign=spring"),
                "campaign",
            ),
            ("search", None, "search"),
            ("not an address", None, "other"),
        ] {
            assert_eq!(classify(from, page), class, "{from} → {page:?}");
        }
    }
}
