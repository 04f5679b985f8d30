//! User agents: device, operating system, browser, robot. By uap-core's expressions and isbot's list.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use ua_parser::{Extractor, Regexes};

use super::facts::Facts;
use crate::limits::{AGENT_BYTES_MAX, AGENTS_REMEMBERED_MAX};

/// uap-core 0.18.0, see `assets/uap-core/README.md`.
const REGEXES: &str = include_str!("../../../assets/uap-core/regexes.json");

// A second of work and some tens of megabytes: once a process, when the first agent is met.
static EXTRACTOR: LazyLock<Option<Extractor<'static>>> = LazyLock::new(|| {
    let regexes: Result<Regexes<'static>, _> = serde_json::from_str(REGEXES);
    let built = regexes
        .map_err(|e| e.to_string())
        .and_then(|r| Extractor::try_from(r).map_err(|e| e.to_string()));
    built
        .inspect_err(
            |e| tracing::error!(error = %e, "user agents cannot be told apart; report this defect"),
        )
        .ok()
});

/// The judge of user agents. Remembers what it judged, since a few thousand texts make up most traffic.
#[derive(Default)]
pub struct Agents {
    bots: isbot::Bots,
    known: Mutex<Known>,
}

/// Two generations: what was asked for lately survives a turn.
#[derive(Default)]
struct Known {
    current: HashMap<String, Arc<Facts>>,
    previous: HashMap<String, Arc<Facts>>,
}

impl Agents {
    /// Builds what judging needs, once a process: about a second of work.
    pub fn warm() {
        LazyLock::force(&EXTRACTOR);
    }

    /// Whether this user agent names a known robot.
    #[must_use]
    pub fn is_bot(&self, user_agent: &str) -> bool {
        self.bots.is_bot(user_agent)
    }

    /// What the text tells. An empty text tells nothing.
    #[must_use]
    pub fn facts(&self, user_agent: &str) -> Arc<Facts> {
        let text = cut(user_agent.trim());
        if text.is_empty() {
            return Arc::default();
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known.current.get(text) {
            return Arc::clone(facts);
        }
        let old = known.previous.remove(text);
        drop(known);
        let facts = old.unwrap_or_else(|| Arc::new(self.judge(text)));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.current.len() >= AGENTS_REMEMBERED_MAX {
            known.previous = std::mem::take(&mut known.current);
        }
        known.current.insert(text.to_owned(), Arc::clone(&facts));
        facts
    }

    fn judge(&self, text: &str) -> Facts {
        let Some(extractor) = EXTRACTOR.as_ref() else {
            return Facts {
                bot: self.bots.is_bot(text),
                ..Facts::default()
            };
        };
        let (browser, os, device) = extractor.extract(text);
        let os = os.map(|o| o.os.into_owned());
        let browser = browser.map(|b| b.family.into_owned());
        let model = device.map_or_else(String::new, |d| d.device.into_owned());
        let class = device_class(text, os.as_deref(), browser.as_deref(), &model);
        Facts {
            bot: model == "Spider" || self.bots.is_bot(text),
            device: Some(class.to_owned()),
            os,
            browser,
            ..Facts::default()
        }
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(AGENT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// uap-core names models, not classes: the class follows from the operating system and from words that browsers
/// agree on (Android tablets leave out "Mobile"; iPads and TV sets name themselves).
fn device_class(text: &str, os: Option<&str>, browser: Option<&str>, model: &str) -> &'static str {
    let has = |word: &str| text.contains(word);
    let os = os.unwrap_or("");
    if [
        "tvOS",
        "Tizen",
        "WebOS",
        "Chromecast",
        "Roku",
        "FireOS TV",
        "BRAVIA",
    ]
    .iter()
    .any(|w| os.contains(w) || model.contains(w))
        || [
            "SmartTV",
            "SMART-TV",
            "Smart TV",
            "AppleTV",
            "Apple TV",
            "HbbTV",
            "GoogleTV",
            "Android TV",
            " AFT",
            "CrKey",
            "Roku/",
        ]
        .iter()
        .any(|w| has(w))
    {
        return "tv";
    }
    if model == "iPad"
        || os == "iPadOS"
        || has("Tablet")
        || (has("Android") && !has("Mobile"))
        || has("Kindle")
    {
        return "tablet";
    }
    let phone = [
        "iOS",
        "Android",
        "Windows Phone",
        "BlackBerry OS",
        "KaiOS",
        "HarmonyOS",
        "Firefox OS",
        "Symbian OS",
    ];
    if phone.contains(&os)
        || has("Mobile")
        || model.contains("Smartphone")
        || browser.is_some_and(|b| b.contains("Mobile"))
    {
        return "mobile";
    }
    let desk = [
        "Windows",
        "Mac OS X",
        "Linux",
        "Ubuntu",
        "Chrome OS",
        "Fedora",
        "FreeBSD",
        "OpenBSD",
        "Debian",
        "Solaris",
    ];
    if desk.contains(&os) {
        "desktop"
    } else {
        "other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(agent: &str) -> (String, String, String, bool) {
        let f = Agents::default().facts(agent);
        let text = |o: &Option<String>| o.clone().unwrap_or_default();
        (text(&f.device), text(&f.os), text(&f.browser), f.bot)
    }

    #[test]
    fn devices_systems_browsers_and_robots_are_told_apart() {
        for (agent, device, os, browser, bot) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "desktop",
                "Linux",
                "Firefox",
                false,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "desktop",
                "Windows",
                "Chrome",
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "mobile",
                "iOS",
                "Mobile Safari",
                false,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1",
                "tablet",
                "iOS",
                "Mobile Safari",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "mobile",
                "Android",
                "Chrome Mobile",
                false,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "tablet",
                "Android",
                "Chrome",
                false,
            ),
            (
                "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
                "tv",
                "Tizen",
                "Safari",
                false,
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "other",
                "Other",
                "Googlebot",
                true,
            ),
        ] {
            let (d, o, b, r) = told(agent);
            assert_eq!((d.as_str(), r), (device, bot), "{agent}: {o} {b}");
            if os != "Other" {
                assert_eq!((o.as_str(), b.as_str()), (os, browser), "{agent}");
            }
        }
        assert_eq!(
            told(""),
            (String::new(), String::new(), String::new(), false)
        );
    }

    #[test]
    fn a_flood_of_agents_stays_within_its_bound() {
        let a = Agents::default();
        for i in 0..50 {
            let _ = a.facts(&format!("curl/{i}"));
        }
        let known = a.known.lock().unwrap();
        assert!(known.current.len() + known.previous.len() <= 2 * AGENTS_REMEMBERED_MAX);
        drop(known);
        assert!(
            !a.facts(&"é".repeat(5_000)).bot,
            "long texts are cut, at a character"
        );
    }
}
