//! Who sends other envelopes, for which brand, and how their event names map to ours.
//!
//! ```toml
//! [[collect.sender]]
//! name = "web"                       # CloudEvents source becomes `segment:web`
//! envelope = "segment"
//! brand = "daily"
//! content_source = "cms"             # raw item ids become content ids of this source; default: the brand
//! open = true                        # browsers may send without the write key; their past is not believed
//! [collect.sender.types]
//! "Recipe Cooked" = "read"           # or "ignore"
//! ```
//!
//! Write keys come from the environment alone: `MEDIAFLOW_WRITE_KEYS="web:KEY,other:KEY"`. A key is presented as
//! bearer token, as the user of basic authentication (Segment), or as `api_secret` (GA4) or `key` in the query. Without
//! a sender, `?brand=SLUG` alone is what `POST /v1/events` is: open to browsers, believed little.

use mediaflow_http::Secret;
use mediaflow_shared::event::{EventType, TYPE_PREFIX};
use mediaflow_shared::id::{ContentId, check_slug};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::envelope::{Envelope, normal};
use crate::error::{IngestError, IngestResult};
use crate::limits::WRITE_KEY_BYTES_MIN;

/// One sender as configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderConfig {
    /// Slug, unique among senders.
    pub name: String,
    /// What it sends.
    pub envelope: Envelope,
    /// Brand slug of its events, where they name none themselves.
    pub brand: String,
    /// Surface slug of its events.
    #[serde(default)]
    pub surface: Option<String>,
    /// Source slug under which its items are known; default: the brand.
    #[serde(default)]
    pub content_source: Option<String>,
    /// Its event names → ours (`read`, `view`, …), or `ignore`.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// May send without its write key.
    #[serde(default)]
    pub open: bool,
}

/// A sender, as much of it as a dead letter needs to be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// Its name, or the brand of one who has none.
    pub name: String,
    /// Brand of its events.
    pub brand: String,
    /// Surface of its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<String>,
    /// Source of its items.
    pub content_source: String,
    /// Configured, and therefore with types of its own.
    #[serde(default)]
    pub configured: bool,
    /// `None`: ignored.
    #[serde(skip)]
    types: Arc<HashMap<String, Option<EventType>>>,
}

impl Sender {
    /// A sender that only says its brand.
    #[must_use]
    pub fn of_brand(brand: &str, content_source: Option<&str>) -> Self {
        Self {
            name: brand.to_owned(),
            brand: brand.to_owned(),
            surface: None,
            content_source: content_source.unwrap_or(brand).to_owned(),
            configured: false,
            types: Arc::default(),
        }
    }

    /// What it calls `name` (normalised): `Some(None)` is to be ignored.
    pub(crate) fn kind(&self, name: &str) -> Option<Option<EventType>> {
        self.types.get(name).copied()
    }

    /// A raw item id as content id: our own ids stay, others are made from the source and the id.
    pub(crate) fn content_id(&self, raw: &str) -> ContentId {
        ContentId::parse(raw).unwrap_or_else(|_| ContentId::of(&self.content_source, raw))
    }
}

/// Why a request has no sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSender {
    /// A wrong key, or a sender that needs one.
    Unauthorized,
    /// Neither a key nor a sender nor a brand.
    Unnamed,
    /// The sender of the key or name sends something else.
    OtherEnvelope,
}

/// What a request presents.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Presented<'a> {
    pub key: Option<&'a str>,
    pub sender: Option<&'a str>,
    pub brand: Option<&'a str>,
    pub content_source: Option<&'a str>,
    /// The edge's token was presented.
    pub edge: bool,
}

struct Entry {
    sender: Sender,
    envelope: Envelope,
    open: bool,
    key: Option<Secret>,
}

/// All senders.
#[derive(Default)]
pub struct Senders(Vec<Entry>);

impl Senders {
    /// Puts configured senders and their write keys together.
    ///
    /// # Errors
    /// [`IngestError::Config`] naming the sender and the key.
    pub fn new(
        configs: Vec<SenderConfig>,
        mut keys: HashMap<String, Secret>,
    ) -> IngestResult<Self> {
        let mut entries: Vec<Entry> = Vec::with_capacity(configs.len());
        for c in configs {
            let place = format!("collect.sender {}", c.name);
            check_slug(&c.name).map_err(|e| IngestError::config(place.clone(), e.to_string()))?;
            check_slug(&c.brand)
                .map_err(|e| IngestError::config(format!("{place}.brand"), e.to_string()))?;
            if entries.iter().any(|e| e.sender.name == c.name) {
                return Err(IngestError::config(
                    place,
                    "is configured twice; remove one",
                ));
            }
            let key = keys.remove(&c.name);
            if key.is_none() && !c.open {
                return Err(IngestError::config(
                    place,
                    "has no write key; add NAME:KEY to MEDIAFLOW_WRITE_KEYS, or set open = true",
                ));
            }
            let mut types = HashMap::new();
            for (theirs, ours) in &c.types {
                let kind = if ours == "ignore" {
                    None
                } else {
                    Some(kind_named(ours).ok_or_else(|| {
                        IngestError::config(
                            format!("{place}.types.{theirs:?}"),
                            format!("{ours:?} is no event type; use read, view, click … or ignore"),
                        )
                    })?)
                };
                types.insert(normal(theirs), kind);
            }
            entries.push(Entry {
                sender: Sender {
                    content_source: c.content_source.unwrap_or_else(|| c.brand.clone()),
                    name: c.name,
                    brand: c.brand,
                    surface: c.surface,
                    configured: true,
                    types: Arc::new(types),
                },
                envelope: c.envelope,
                open: c.open,
                key,
            });
        }
        if let Some(name) = keys.keys().next() {
            return Err(IngestError::config(
                "MEDIAFLOW_WRITE_KEYS",
                format!("names the sender {name}, which is not configured"),
            ));
        }
        Ok(Self(entries))
    }

    /// Whose request this is, and whether its key makes its past believable.
    pub(crate) fn of(
        &self,
        envelope: Envelope,
        p: Presented<'_>,
    ) -> Result<(Sender, bool), NoSender> {
        let fits = |e: &Entry, trusted| {
            if e.envelope == envelope {
                Ok((e.sender.clone(), trusted))
            } else {
                Err(NoSender::OtherEnvelope)
            }
        };
        if let (Some(key), false) = (p.key, p.edge) {
            // All keys are compared, so that time tells nothing about which came close.
            let mut found = None;
            for e in &self.0 {
                if e.key.as_ref().is_some_and(|k| k.matches(key.as_bytes())) {
                    found = Some(e);
                }
            }
            return found.map_or(Err(NoSender::Unauthorized), |e| fits(e, true));
        }
        if let Some(name) = p.sender {
            let entry = self.0.iter().find(|e| e.sender.name == name);
            return match entry {
                Some(e) if e.open || p.edge => fits(e, p.edge),
                _ => Err(NoSender::Unauthorized),
            };
        }
        let brand = p.brand.ok_or(NoSender::Unnamed)?;
        Ok((Sender::of_brand(brand, p.content_source), p.edge))
    }

    /// The sender of a dead letter with the types it has by now.
    pub(crate) fn renew(&self, mut kept: Sender) -> Sender {
        if let (true, Some(e)) = (
            kept.configured,
            self.0.iter().find(|e| e.sender.name == kept.name),
        ) {
            kept.types = Arc::clone(&e.sender.types);
        }
        kept
    }
}

/// `read` → `org.mediaflow.read.v1`.
pub(crate) fn kind_named(short: &str) -> Option<EventType> {
    serde_json::from_value(serde_json::Value::String(format!(
        "{TYPE_PREFIX}{short}.v1"
    )))
    .ok()
}

/// Reads `name:key,name:key`.
///
/// # Errors
/// [`IngestError::Config`] for a pair without a colon or a key of fewer than 16 characters. Keys are not repeated.
pub fn parse_write_keys(text: &str) -> IngestResult<HashMap<String, Secret>> {
    let mut keys = HashMap::new();
    for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let bad = |why: &str| IngestError::config("MEDIAFLOW_WRITE_KEYS", why);
        let (name, key) = pair
            .split_once(':')
            .ok_or_else(|| bad("must be NAME:KEY pairs with commas between"))?;
        if key.len() < WRITE_KEY_BYTES_MIN {
            return Err(bad("has a key of fewer than 16 characters"));
        }
        keys.insert(name.to_owned(), Secret::new(key));
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn senders() -> Senders {
        let configs: Vec<SenderConfig> = toml::from_str::<BTreeMap<String, Vec<SenderConfig>>>(
            r#"
            [[sender]]
            name = "web"
            envelope = "segment"
            brand = "daily"
            open = true
            [sender.types]
            "Recipe Cooked" = "read"
            "Ad Blocked" = "ignore"
            [[sender]]
            name = "lake"
            envelope = "snowplow"
            brand = "daily"
            "#,
        )
        .unwrap()
        .remove("sender")
        .unwrap();
        Senders::new(configs, parse_write_keys("lake:0123456789abcdef").unwrap()).unwrap()
    }

    #[test]
    fn keys_names_and_brands_lead_to_their_sender() {
        let s = senders();
        let of = |envelope, p| s.of(envelope, p).map(|(s, trusted)| (s.name, trusted));
        let key = Presented {
            key: Some("0123456789abcdef"),
            ..Presented::default()
        };
        assert_eq!(of(Envelope::Snowplow, key), Ok(("lake".into(), true)));
        assert_eq!(of(Envelope::Ga4, key), Err(NoSender::OtherEnvelope));
        let wrong = Presented {
            key: Some("0123456789abcdee"),
            brand: Some("daily"),
            ..Presented::default()
        };
        assert_eq!(of(Envelope::Snowplow, wrong), Err(NoSender::Unauthorized));
        let named = |n| Presented {
            sender: Some(n),
            ..Presented::default()
        };
        assert_eq!(
            of(Envelope::Segment, named("web")),
            Ok(("web".into(), false))
        );
        assert_eq!(
            of(Envelope::Snowplow, named("lake")),
            Err(NoSender::Unauthorized),
            "needs its key"
        );
        let brand = Presented {
            brand: Some("daily"),
            ..Presented::default()
        };
        assert_eq!(of(Envelope::Ga4, brand), Ok(("daily".into(), false)));
        assert_eq!(
            of(Envelope::Ga4, Presented::default()),
            Err(NoSender::Unnamed)
        );
    }

    #[test]
    fn a_sender_has_names_of_its_own() {
        let (web, _) = senders()
            .of(
                Envelope::Segment,
                Presented {
                    sender: Some("web"),
                    ..Presented::default()
                },
            )
            .unwrap();
        assert_eq!(web.kind("recipe_cooked"), Some(Some(EventType::Read)));
        assert_eq!(web.kind("ad_blocked"), Some(None));
        assert_eq!(web.kind("other"), None);
    }

    #[test]
    fn impossible_senders_are_refused_by_name() {
        let config = |text: &str| -> SenderConfig { toml::from_str(text).unwrap() };
        let good = "name='a'\nenvelope='ga4'\nbrand='daily'\n";
        let e = |c: &str, keys: &str| {
            let e = Senders::new(vec![config(c)], parse_write_keys(keys).unwrap());
            e.err().unwrap().to_string()
        };
        assert!(e(good, "").contains("MEDIAFLOW_WRITE_KEYS"));
        assert!(e(&format!("{good}open=true"), "b:0123456789abcdef").contains("sender b"));
        assert!(e(&format!("{good}open=true\ntypes={{x='teleport'}}"), "").contains("teleport"));
        assert!(parse_write_keys("a:short").is_err() && parse_write_keys("nokey").is_err());
    }
}
