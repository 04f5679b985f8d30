//! What an operator sets: keys, brands, times. Read from variables, checked once at start.

mod brand;
mod keys;

pub use brand::{Brand, DefaultItem, Surface};
pub use keys::{Keys, TokenKey};

use crate::limits::FRONT_ABSENT_MS;
use thiserror::Error;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A variable that must be there is not.
    #[error("{name} is not set: {remedy}")]
    Missing {
        /// Variable.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A variable that cannot be read. The value is not repeated: it may be a secret.
    #[error("{name} cannot be read: {reason}")]
    Invalid {
        /// Variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// How long a value in memory is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ttl {
    /// Younger: served without asking. Older: served, and refreshed after the response.
    pub soft_ms: i64,
    /// Older: the request waits for a refresh, within the deadline.
    pub hard_ms: i64,
    /// How long "there is none" is believed before it is asked again after a response.
    pub absent_ms: i64,
}

/// Everything an operator sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Secrets.
    pub keys: Keys,
    /// Brands with their surfaces.
    pub brands: Vec<Brand>,
    /// Where readers reach this edge, without a slash at the end; empty = links in feeds are relative.
    pub public_url: String,
    /// `__Host-` cookies with `Secure`; off only for plain HTTP in development.
    pub secure_cookies: bool,
    /// Version of the consent text; a token with an older one counts as no consent.
    pub consent_version: u8,
    /// How long a feed waits for the key-value store.
    pub kv_deadline_ms: u32,
    /// Rules: short, since an editor watches.
    pub rules_ttl: Ttl,
    /// Fronts.
    pub front_ttl: Ttl,
    /// Models.
    pub model_ttl: Ttl,
}

/// Variables read by [`Config::from_vars`]: secrets first.
pub const VARIABLES: [&str; 13] = [
    "MEDIAFLOW_TOKEN_KEYS",
    "MEDIAFLOW_READER_KEY",
    "MEDIAFLOW_EXPOSURE_KEY",
    "MEDIAFLOW_LOGIN_KEY",
    "MEDIAFLOW_EDGE_TOKEN",
    "MEDIAFLOW_BRANDS",
    "MEDIAFLOW_PUBLIC_URL",
    "MEDIAFLOW_SECURE_COOKIES",
    "MEDIAFLOW_KV_DEADLINE_MS",
    "MEDIAFLOW_RULES_TTL_MS",
    "MEDIAFLOW_FRONT_TTL_MS",
    "MEDIAFLOW_MODEL_TTL_MS",
    "MEDIAFLOW_CONSENT_VERSION",
];

impl Config {
    /// Reads the variables of [`VARIABLES`] through `lookup`; an empty value counts as absent.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn from_vars(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|v| !v.trim().is_empty());
        let brands = lookup("MEDIAFLOW_BRANDS").ok_or(ConfigError::Missing {
            name: "MEDIAFLOW_BRANDS",
            remedy: "set a JSON array of brands: [{\"slug\":\"daily\",\"title\":\"The Daily\",\
                     \"surfaces\":[\"home\"]}]",
        })?;
        let number = |name: &'static str, default: u32, max: u32| match lookup(name) {
            None => Ok(default),
            Some(text) => match text.trim().parse::<u32>() {
                Ok(n) if (1..=max).contains(&n) => Ok(n),
                _ => Err(ConfigError::Invalid {
                    name,
                    reason: format!("not a whole number from 1 to {max}"),
                }),
            },
        };
        let soft = |name, default| number(name, default, 3_600_000).map(i64::from);
        let rules = soft("MEDIAFLOW_RULES_TTL_MS", 500)?;
        let front = soft("MEDIAFLOW_FRONT_TTL_MS", 15_000)?;
        let model = soft("MEDIAFLOW_MODEL_TTL_MS", 30_000)?;
        let consent = number("MEDIAFLOW_CONSENT_VERSION", 1, 255)?;
        Ok(Self {
            keys: Keys::from_vars(&lookup)?,
            brands: brand::parse(&brands)?,
            public_url: lookup("MEDIAFLOW_PUBLIC_URL")
                .map(|u| u.trim().trim_end_matches('/').to_owned())
                .unwrap_or_default(),
            secure_cookies: match lookup("MEDIAFLOW_SECURE_COOKIES").as_deref() {
                None | Some("1" | "true" | "yes" | "on") => true,
                Some("0" | "false" | "no" | "off") => false,
                Some(_) => {
                    return Err(ConfigError::Invalid {
                        name: "MEDIAFLOW_SECURE_COOKIES",
                        reason: "neither true nor false".into(),
                    });
                }
            },
            consent_version: u8::try_from(consent).unwrap_or(u8::MAX),
            kv_deadline_ms: number("MEDIAFLOW_KV_DEADLINE_MS", 40, 10_000)?,
            // Past the hard limit a request waits for a refresh, so that a lone reader after a quiet hour
            // does not get the rules of an hour ago.
            rules_ttl: Ttl {
                soft_ms: rules,
                hard_ms: rules * 3,
                absent_ms: rules,
            },
            front_ttl: Ttl {
                soft_ms: front,
                hard_ms: (front * 4).max(60_000),
                absent_ms: front.min(FRONT_ABSENT_MS),
            },
            model_ttl: Ttl {
                soft_ms: model,
                hard_ms: (model * 10).max(300_000),
                absent_ms: model,
            },
        })
    }

    /// The brand of this slug.
    #[must_use]
    pub fn brand(&self, slug: &str) -> Option<&Brand> {
        self.brands.iter().find(|b| b.slug == slug)
    }

    /// The brand and surface that occupy a place in memory.
    #[must_use]
    pub fn surface_at(&self, slot: usize) -> Option<(&Brand, &Surface)> {
        self.brands
            .iter()
            .flat_map(|b| b.surfaces.iter().map(move |s| (b, s)))
            .find(|(_, s)| s.slot == slot)
    }

    /// All surfaces of all brands: the size of what is held in memory.
    #[must_use]
    pub fn surfaces(&self) -> usize {
        self.brands.iter().map(|b| b.surfaces.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(name: &str) -> Option<String> {
        let hex = |n: usize| Some("ab".repeat(n));
        match name {
            "MEDIAFLOW_TOKEN_KEYS" => Some(format!("7:{},3:{}", "cd".repeat(32), "ef".repeat(32))),
            "MEDIAFLOW_READER_KEY" | "MEDIAFLOW_LOGIN_KEY" => hex(32),
            "MEDIAFLOW_EXPOSURE_KEY" => hex(16),
            "MEDIAFLOW_EDGE_TOKEN" => Some("t".into()),
            "MEDIAFLOW_BRANDS" => {
                Some(r#"[{"slug":"daily","title":"Daily","surfaces":["home",{"slug":"sport","title":"Sport"}]}]"#.into())
            }
            _ => None,
        }
    }

    #[test]
    fn variables_are_read_with_defaults() {
        let c = Config::from_vars(vars).unwrap();
        assert_eq!((c.kv_deadline_ms, c.rules_ttl.soft_ms), (40, 500));
        assert_eq!(c.keys.tokens[0].kid, 7);
        let b = c.brand("daily").unwrap();
        assert_eq!(b.surface("sport").unwrap().front_key, "f/daily/sport");
        assert_eq!(b.surface("sport").unwrap().slot, 1);
        assert_eq!(b.surface("sport").unwrap().title, "Sport");
        assert!(c.secure_cookies);
    }

    #[test]
    fn a_bad_variable_is_named_and_its_value_is_not_repeated() {
        for name in VARIABLES {
            let bad = |n: &str| {
                if n == name {
                    Some("§secret-value§".into())
                } else {
                    vars(n)
                }
            };
            let err = match Config::from_vars(bad) {
                // Any text will do.
                Ok(_) => {
                    assert!(["MEDIAFLOW_EDGE_TOKEN", "MEDIAFLOW_PUBLIC_URL"].contains(&name));
                    continue;
                }
                Err(e) => e.to_string(),
            };
            assert!(err.starts_with(name), "{err}");
            assert!(!err.contains("secret-value"), "{err}");
        }
    }
}
