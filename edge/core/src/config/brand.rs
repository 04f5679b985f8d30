//! Brands and surfaces as `MEDIAFLOW_BRANDS` gives them.

use super::ConfigError;
use crate::json;
use mediaflow_shared::id::{check_slug, name_hash};
use serde::Deserialize;

const NAME: &str = "MEDIAFLOW_BRANDS";
/// Brands at most: a configuration variable of a worker holds 5 KB.
const BRANDS_MAX: usize = 64;
/// Surfaces of a brand at most: each holds a front in memory.
const SURFACES_MAX: usize = 32;

/// One front page or section of a brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Slug.
    pub slug: String,
    /// What readers see.
    pub title: String,
    /// Key of its front.
    pub front_key: String,
    /// Key of its rules.
    pub rules_key: String,
    /// Place in memory, counted over all brands.
    pub slot: usize,
}

/// One item of the feed of last resort.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DefaultItem {
    /// Headline.
    pub title: String,
    /// Absolute URL.
    pub url: String,
}

/// One brand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brand {
    /// Slug.
    pub slug: String,
    /// What readers see.
    pub title: String,
    /// The brand's site.
    pub home_url: String,
    /// ISO 639-1, the first is the default.
    pub languages: Vec<String>,
    /// Surfaces, the first is the default.
    pub surfaces: Vec<Surface>,
    /// Web origins that may read feeds and send events with credentials.
    pub origins: Vec<String>,
    /// Readers are known across brands of the same group under one pseudonym.
    pub group: String,
    /// Served when every store is down and nothing is in memory (rung 4).
    pub default_feed: Vec<DefaultItem>,
    /// Items are read on the edge's own article page instead of at their URL (demonstrations).
    pub read_here: bool,
    /// Key of its model.
    pub model_key: String,
    /// [`name_hash`] of the slug.
    pub hash: u32,
    /// Place in memory.
    pub slot: usize,
}

impl Brand {
    /// The surface of this slug.
    #[must_use]
    pub fn surface(&self, slug: &str) -> Option<&Surface> {
        self.surfaces.iter().find(|s| s.slug == slug)
    }

    /// The language of its pages.
    #[must_use]
    pub fn language(&self) -> &str {
        self.languages.first().map_or("en", String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum SurfaceText {
    Slug(String),
    Full { slug: String, title: String },
}

#[derive(Deserialize)]
struct BrandText {
    slug: String,
    title: String,
    #[serde(default)]
    home_url: String,
    #[serde(default)]
    languages: Vec<String>,
    surfaces: Vec<SurfaceText>,
    #[serde(default)]
    origins: Vec<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    default_feed: Vec<DefaultItem>,
    #[serde(default)]
    read_here: bool,
}

/// Reads the JSON array.
pub(super) fn parse(text: &str) -> Result<Vec<Brand>, ConfigError> {
    let invalid = |reason: String| ConfigError::Invalid { name: NAME, reason };
    let parsed: Vec<BrandText> = json::read(text)
        .map_err(|e| invalid(format!("not an array of brands: {}", json::place(&e))))?;
    if parsed.is_empty() || parsed.len() > BRANDS_MAX {
        return Err(invalid(format!(
            "{} brands, 1 to {BRANDS_MAX} allowed",
            parsed.len()
        )));
    }
    let mut slot = 0;
    let mut brands: Vec<Brand> = Vec::with_capacity(parsed.len());
    for (index, b) in parsed.into_iter().enumerate() {
        check_slug(&b.slug).map_err(|e| invalid(format!("brand: {e}")))?;
        if brands.iter().any(|other| other.slug == b.slug) {
            return Err(invalid(format!("brand {} is there twice", b.slug)));
        }
        if b.surfaces.is_empty() || b.surfaces.len() > SURFACES_MAX {
            let n = b.surfaces.len();
            return Err(invalid(format!(
                "brand {} has {n} surfaces, 1 to {SURFACES_MAX} allowed",
                b.slug
            )));
        }
        let mut surfaces: Vec<Surface> = Vec::with_capacity(b.surfaces.len());
        for s in b.surfaces {
            let (slug, title) = match s {
                SurfaceText::Slug(slug) => (slug.clone(), capitalised(&slug)),
                SurfaceText::Full { slug, title } => (slug, title),
            };
            check_slug(&slug).map_err(|e| invalid(format!("surface of {}: {e}", b.slug)))?;
            if surfaces.iter().any(|other| other.slug == slug) {
                return Err(invalid(format!("surface {slug} of {} twice", b.slug)));
            }
            surfaces.push(Surface {
                front_key: format!("f/{}/{slug}", b.slug),
                rules_key: format!("r/{}/{slug}", b.slug),
                slug,
                title,
                slot,
            });
            slot += 1;
        }
        brands.push(Brand {
            model_key: format!("m/{}", b.slug),
            hash: name_hash(&b.slug),
            group: b.group.unwrap_or_else(|| b.slug.clone()),
            slot: index,
            slug: b.slug,
            title: b.title,
            home_url: b.home_url,
            languages: b.languages,
            surfaces,
            origins: b.origins,
            default_feed: b.default_feed,
            read_here: b.read_here,
        });
    }
    Ok(brands)
}

fn capitalised(slug: &str) -> String {
    let mut c = slug.chars();
    c.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + &c.as_str().replace('-', " ")
    })
}
