//! What a feed request asks for: page, policy, context. The cursor continues a ranking where its page ended.

use crate::config::{Brand, Surface};
use crate::http::Headers;
use crate::limits::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::params::Params;
use crate::problem::{Kind, Problem, echo};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::rank::RANKED_MAX;
use mediaflow_shared::served::{Arm, Context, Device, Request};
use mediaflow_shared::time::Minute;
use mediaflow_shared::topics::{self, TOPICS};
use xxhash_rust::xxh3::xxh3_64;

/// Pages of one reading session keep the ranking clock this long, in minutes; then a page is ranked anew.
const CURSOR_TTL_MIN: u32 = 10;

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Items to pass over.
    pub offset: u16,
    /// Ranking clock of the first page.
    pub minute: Minute,
    /// Front of the first page.
    pub front: u64,
}

impl Cursor {
    /// Text form: 19 characters of base64url.
    #[must_use]
    pub fn text(&self) -> String {
        let mut b = [0u8; 14];
        b[..2].copy_from_slice(&self.offset.to_le_bytes());
        b[2..6].copy_from_slice(&self.minute.0.to_le_bytes());
        b[6..].copy_from_slice(&self.front.to_le_bytes());
        URL_SAFE_NO_PAD.encode(b)
    }

    fn parse(text: &str) -> Option<Self> {
        let b: [u8; 14] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let offset = u16::from_le_bytes([b[0], b[1]]);
        (usize::from(offset) < RANKED_MAX).then(|| Self {
            offset,
            minute: Minute(u32::from_le_bytes([b[2], b[3], b[4], b[5]])),
            front: u64::from_le_bytes([b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13]]),
        })
    }
}

/// A feed request, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Items wanted.
    pub limit: u16,
    /// Where the page begins.
    pub cursor: Option<Cursor>,
    /// Policy.
    pub arm: Arm,
    /// Contributions wanted.
    pub explain: bool,
    /// What became of this item, instead of a feed.
    pub why: Option<ContentId>,
    /// Where and on what.
    pub context: Context,
}

fn bad(name: &str, value: &str, reason: &str, remedy: &str) -> Problem {
    let input = format!("query parameter `{name}={}`", echo(value));
    Problem::new(Kind::BadRequest, input, reason, remedy)
}

/// Two letters as a big-endian number, as contexts hold them.
#[must_use]
pub fn letters(text: &str) -> Option<u16> {
    match text.as_bytes() {
        [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
            Some(u16::from_be_bytes([*a, *b]))
        }
        _ => None,
    }
}

impl Asked {
    /// Reads the query and what the headers tell of the device.
    ///
    /// # Errors
    /// A [`Problem`] naming the parameter.
    pub fn parse(
        query: &str,
        headers: &Headers,
        country: Option<[u8; 2]>,
    ) -> Result<Self, Problem> {
        let q = Params::parse(query);
        let limit = match q.first("limit") {
            None => LIMIT_DEFAULT,
            Some(text) => match text.parse() {
                Ok(n) if (1..=LIMIT_MAX).contains(&n) => n,
                _ => {
                    let reason = format!("is not a whole number from 1 to {LIMIT_MAX}");
                    return Err(bad("limit", text, &reason, "ask for fewer items a page"));
                }
            },
        };
        let cursor = match q.first("cursor") {
            None => None,
            Some(text) => Some(Cursor::parse(text).ok_or_else(|| {
                bad(
                    "cursor",
                    text,
                    "is not a cursor of this feed",
                    "follow `next_url` as it is",
                )
            })?),
        };
        let arm = match q.first("arm") {
            None | Some("personal") => Arm::Personal,
            Some("editorial") => Arm::Editorial,
            Some("classic") => Arm::Classic,
            Some(text) => {
                return Err(bad(
                    "arm",
                    text,
                    "is not a policy",
                    "use personal, editorial or classic",
                ));
            }
        };
        let why = match q.first("why") {
            None => None,
            Some(text) => Some(ContentId::parse(text).map_err(|_| {
                bad(
                    "why",
                    text,
                    "is not 16 lower-case hexadecimal digits",
                    "use the `id` of an item",
                )
            })?),
        };
        let section = match q.first("section") {
            None => TOPICS as u8,
            Some(text) => topics::index(text).ok_or_else(|| {
                bad(
                    "section",
                    text,
                    "is not a topic",
                    "use a topic's slug, for example `sport`",
                )
            })?,
        };
        let language = match q.first("lang") {
            None => 0,
            Some(text) => letters(&text.to_ascii_lowercase())
                .ok_or_else(|| bad("lang", text, "is not ISO 639-1", "use two letters"))?,
        };
        let country = country
            .and_then(|c| core::str::from_utf8(&c).ok().map(str::to_ascii_uppercase))
            .and_then(|c| letters(&c))
            .unwrap_or(0);
        Ok(Self {
            limit,
            cursor,
            arm,
            explain: matches!(q.first("explain"), Some("1" | "true")),
            why,
            context: Context {
                device: device(headers),
                country,
                section,
                language,
            },
        })
    }

    /// The ranking clock: the first page's while its front is still there, else the present.
    #[must_use]
    pub fn minute(&self, now: Minute, front: u64) -> Minute {
        self.cursor
            .filter(|c| c.front == front && c.minute <= now && now.since(c.minute) < CURSOR_TTL_MIN)
            .map_or(now, |c| c.minute)
    }

    /// The request as ranking sees it.
    #[must_use]
    pub fn request(
        &self,
        brand: &Brand,
        surface: &Surface,
        reader: Option<Pseudonym>,
        minute: Minute,
        personal: u32,
    ) -> Request {
        Request {
            limit: self.limit,
            offset: self.cursor.map_or(0, |c| c.offset),
            context: self.context,
            seed: seed(brand, surface, reader, minute),
            arm: self.arm,
            explain: self.explain,
            personal,
        }
    }
}

/// Seed of the exploration slot: the same for a reader within a minute, so that reloading does not reshuffle.
fn seed(brand: &Brand, surface: &Surface, reader: Option<Pseudonym>, minute: Minute) -> u64 {
    let mut b = [0u8; 20];
    b[16..].copy_from_slice(&minute.0.to_le_bytes());
    match reader {
        Some(reader) => b[..16].copy_from_slice(&reader.0),
        None => {
            b[..4].copy_from_slice(&brand.hash.to_le_bytes());
            b[4..8].copy_from_slice(&(surface.slot as u32).to_le_bytes());
        }
    }
    xxh3_64(&b)
}

/// The device class by client hint, else by the user agent.
#[must_use]
pub fn device(headers: &Headers) -> Device {
    let agent = headers.first("user-agent").unwrap_or("");
    let tablet = agent.contains("iPad") || agent.contains("Tablet");
    if agent.contains("SmartTV") || agent.contains("SMART-TV") || agent.contains("AppleTV") {
        Device::Tv
    } else if tablet || (agent.contains("Android") && !agent.contains("Mobile")) {
        Device::Tablet
    } else if headers.first("sec-ch-ua-mobile") == Some("?1") || agent.contains("Mobi") {
        Device::Mobile
    } else if agent.starts_with("Mozilla/") {
        Device::Desktop
    } else {
        Device::Other
    }
}

/// The device's name in events.
#[must_use]
pub const fn device_name(device: Device) -> &'static str {
    match device {
        Device::Other => "other",
        Device::Mobile => "mobile",
        Device::Desktop => "desktop",
        Device::Tablet => "tablet",
        Device::Tv => "tv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Asked, Problem> {
        Asked::parse(query, &Headers::default(), Some(*b"de"))
    }

    #[test]
    fn a_request_is_read_with_defaults() {
        let a = parse("").unwrap();
        assert_eq!((a.limit, a.arm, a.explain), (30, Arm::Personal, false));
        assert_eq!(a.context.country, u16::from_be_bytes(*b"DE"));
        let a = parse("limit=5&arm=editorial&section=sport&lang=EN&explain=1").unwrap();
        assert_eq!((a.limit, a.arm, a.explain), (5, Arm::Editorial, true));
        assert_eq!(a.context.section, 47);
        assert_eq!(a.context.language, u16::from_be_bytes(*b"en"));
    }

    #[test]
    fn a_bad_parameter_is_named_with_its_remedy() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("cursor=abc", "cursor"),
            ("arm=best", "arm"),
            ("why=1", "why"),
            ("section=nope", "section"),
            ("lang=english", "lang"),
        ] {
            let p = parse(query).unwrap_err();
            assert!(p.input.contains(name) && !p.remedy.is_empty(), "{p:?}");
        }
    }

    #[test]
    fn a_cursor_keeps_the_clock_of_its_front_for_a_while() {
        let c = Cursor {
            offset: 30,
            minute: Minute(100),
            front: 7,
        };
        let a = parse(&format!("cursor={}", c.text())).unwrap();
        assert_eq!(a.cursor, Some(c));
        assert_eq!(a.minute(Minute(105), 7), Minute(100));
        assert_eq!(a.minute(Minute(105), 8), Minute(105));
        assert_eq!(a.minute(Minute(110), 7), Minute(110));
        assert_eq!(a.minute(Minute(99), 7), Minute(99));
    }

    #[test]
    fn devices_are_told_apart() {
        let of = |agent: &str| device(&[("User-Agent", agent)].into_iter().collect());
        assert_eq!(
            of("Mozilla/5.0 (Linux; Android 14) Mobile Safari"),
            Device::Mobile
        );
        assert_eq!(of("Mozilla/5.0 (iPad; CPU OS 17)"), Device::Tablet);
        assert_eq!(of("Mozilla/5.0 (X11; Linux x86_64)"), Device::Desktop);
        assert_eq!(of("curl/8"), Device::Other);
    }
}
