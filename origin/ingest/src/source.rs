//! The sources of a publisher, as configured.

use mediaflow_http::Secret;
use mediaflow_shared::content::SourceCms;
use mediaflow_shared::id::check_slug;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use url::Url;

use crate::custom::Mapping;
use crate::error::{IngestError, IngestResult};

/// What a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// WordPress REST API, webhook, WXR.
    Wordpress,
    /// Drupal JSON:API.
    Drupal,
    /// RSS, Atom, JSON Feed.
    Feed,
    /// A custom CMS behind a [`Mapping`].
    Custom,
    /// Content of readers through `POST /v1/ugc`.
    Ugc,
}

impl From<SourceKind> for SourceCms {
    fn from(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Wordpress => Self::Wordpress,
            SourceKind::Drupal => Self::Drupal,
            SourceKind::Feed => Self::Feed,
            SourceKind::Custom => Self::Custom,
            SourceKind::Ugc => Self::Ugc,
        }
    }
}

/// One source.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Slug: first half of every content id, so it never changes.
    pub slug: String,
    /// Slug of the brand its items belong to.
    pub brand: String,
    /// What it speaks.
    pub kind: SourceKind,
    /// Where: the site for WordPress and Drupal, the document for feeds and custom CMSs. Absent for a
    /// source that only pushes.
    #[serde(default)]
    pub base_url: Option<String>,
    /// Seconds between polls; 0 = only webhooks and imports.
    #[serde(default = "default_poll_s")]
    pub poll_interval_s: u64,
    /// Environment variable whose value is sent as `Authorization` when polling.
    #[serde(default)]
    pub authorization_env: Option<String>,
    /// How to read a custom CMS.
    #[serde(default)]
    pub mapping: Option<Mapping>,
    /// Drupal: node types, e.g. `["article", "recipe"]`.
    #[serde(default = "default_node_types")]
    pub node_types: Vec<String>,
    /// Drupal: relationships to include. The defaults are those of a standard installation.
    #[serde(default = "default_include")]
    pub include: Vec<String>,
    /// Source's name of a category → ours, for this source's brand (S0-07).
    #[serde(default)]
    pub taxonomy: BTreeMap<String, String>,
}

fn default_poll_s() -> u64 {
    60
}

fn default_node_types() -> Vec<String> {
    vec!["article".to_owned()]
}

fn default_include() -> Vec<String> {
    ["uid", "field_tags", "field_image"]
        .map(str::to_owned)
        .to_vec()
}

#[derive(Deserialize)]
struct File {
    #[serde(default, rename = "source")]
    sources: Vec<SourceConfig>,
}

/// Reads the `[[source]]` tables of a TOML text; other tables are somebody else's.
///
/// # Errors
/// [`IngestError::Config`] naming the source and what is wrong with it.
pub fn parse_sources(text: &str) -> IngestResult<Vec<SourceConfig>> {
    let file: File = toml::from_str(text)
        .map_err(|e| IngestError::config("[[source]]", e.to_string().trim_end().to_owned()))?;
    let mut slugs = std::collections::HashSet::new();
    for s in &file.sources {
        s.check()?;
        if !slugs.insert(&s.slug) {
            return Err(IngestError::config(
                format!("source {}", s.slug),
                "slug is used twice",
            ));
        }
    }
    Ok(file.sources)
}

impl SourceConfig {
    fn check(&self) -> IngestResult<()> {
        let bad = |why: String| Err(IngestError::config(format!("source {}", self.slug), why));
        for slug in [&self.slug, &self.brand] {
            if let Err(e) = check_slug(slug) {
                return bad(e.to_string());
            }
        }
        if let Some(url) = &self.base_url {
            match Url::parse(url) {
                Ok(u) if matches!(u.scheme(), "http" | "https") => {}
                _ => return bad(format!("base_url {url:?} is not an http(s) URL")),
            }
        }
        if self.kind == SourceKind::Custom {
            match &self.mapping {
                None => return bad("a custom source needs [source.mapping]".to_owned()),
                Some(m) => m.check().or_else(bad)?,
            }
        }
        Ok(())
    }

    /// Whether it is asked regularly.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        self.base_url.is_some() && self.poll_interval_s > 0 && self.kind != SourceKind::Ugc
    }

    /// Its URL.
    ///
    /// # Errors
    /// [`IngestError::Config`] when it has none.
    pub(crate) fn url(&self) -> IngestResult<Url> {
        let missing =
            || IngestError::config(format!("source {}", self.slug), "base_url is missing");
        self.base_url
            .as_deref()
            .and_then(|u| Url::parse(u).ok())
            .ok_or_else(missing)
    }
}

/// The taxonomy overrides of all sources, per brand: what `enrich` takes.
#[must_use]
pub fn taxonomies(sources: &[SourceConfig]) -> HashMap<String, HashMap<String, String>> {
    let mut out: HashMap<String, HashMap<String, String>> = HashMap::new();
    for s in sources {
        let own = s.taxonomy.iter().map(|(k, v)| (k.clone(), v.clone()));
        out.entry(s.brand.clone()).or_default().extend(own);
    }
    out
}

/// Reads MEDIAFLOW_WEBHOOK_SECRETS: `source:hex,source:hex`.
///
/// # Errors
/// [`IngestError::Config`] naming the entry by its place; the secret is never repeated.
pub fn parse_webhook_secrets(text: &str) -> IngestResult<HashMap<String, Secret>> {
    let mut out = HashMap::new();
    for (i, entry) in text
        .split(',')
        .map(str::trim)
        .filter(|e| !e.is_empty())
        .enumerate()
    {
        let bad = || {
            let input = format!("MEDIAFLOW_WEBHOOK_SECRETS, entry {}", i + 1);
            IngestError::config(input, "is not source:hex with at least 32 hex digits")
        };
        let (slug, hex) = entry.split_once(':').ok_or_else(bad)?;
        check_slug(slug).map_err(|_| bad())?;
        let secret = crate::hex::decode(hex)
            .filter(|s| s.len() >= 16)
            .ok_or_else(bad)?;
        out.insert(slug.to_owned(), Secret::new(secret));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_with_defaults() {
        let text = r#"
            [server]
            listen = "x"
            [[source]]
            slug = "daily-wp"
            brand = "daily"
            kind = "wordpress"
            base_url = "https://daily.example"
            [source.taxonomy]
            Leute = "people"
        "#;
        let s = parse_sources(text).unwrap();
        assert_eq!(
            (s.len(), s[0].poll_interval_s, s[0].is_polled()),
            (1, 60, true)
        );
        assert_eq!(taxonomies(&s)["daily"]["Leute"], "people");
    }

    #[test]
    fn a_source_that_cannot_work_is_named() {
        for (text, why) in [
            ("slug='A b'\nbrand='d'\nkind='feed'", "slug"),
            ("slug='a'\nbrand='d'\nkind='custom'", "mapping"),
            (
                "slug='a'\nbrand='d'\nkind='feed'\nbase_url='file:///etc/passwd'",
                "http(s)",
            ),
            ("slug='a'\nbrand='d'\nkind='gopher'", "gopher"),
            ("slug='a'\nbrand='d'\nkind='feed'\npoll='5'", "poll"),
        ] {
            let e = parse_sources(&format!("[[source]]\n{text}"))
                .unwrap_err()
                .to_string();
            assert!(e.contains(why), "{e}");
        }
        let twice = "[[source]]\nslug='a'\nbrand='d'\nkind='feed'\n".repeat(2);
        assert!(
            parse_sources(&twice)
                .unwrap_err()
                .to_string()
                .contains("twice")
        );
    }

    #[test]
    fn webhook_secrets_are_read_and_never_shown() {
        let hex = "00112233445566778899aabbccddeeff";
        let s = parse_webhook_secrets(&format!("wp:{hex}, dr:{hex}")).unwrap();
        assert_eq!(s["wp"].expose()[1], 0x11);
        let e = parse_webhook_secrets("wp:topsecret")
            .unwrap_err()
            .to_string();
        assert!(!e.contains("topsecret"), "{e}");
    }
}
