//! One configuration file, secrets from the environment only.
//!
//! `mediaflow.toml` names listeners, adapters by URI, brands, and the file of sources. What is absent has a default
//! that works on one machine. Secrets are never in the file: a name that looks like one is refused.

mod features;

use anyhow::{Context, Result, bail, ensure};
use mediaflow_ingest::collector::{DedupeLimits, OutlierRules, SenderConfig};
use mediaflow_publisher::{
    BrandSettings, ModelSettings, PublishSettings, PublisherSettings, SurfaceSettings,
};
use mediaflow_shared::id::check_slug;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use features::{Features, SAMPLE as FEATURES_SAMPLE};

/// Everything `mediaflow.toml` may say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Origin: collector, webhooks, admin API, metrics.
    pub listen: SocketAddr,
    /// The native edge.
    pub edge_listen: SocketAddr,
    /// The blob store as a KV namespace for workerd and the component host. Loopback only.
    pub kv_listen: SocketAddr,
    /// `embedded:PATH`, `kafka://HOST:PORT[,…]/PREFIX?replication=3`.
    pub event_log: String,
    /// `embedded:PATH`, `redis://HOST[/DATABASE]`, `redis://HOST,HOST?cluster=true`.
    pub state_store: String,
    /// `embedded:PATH`, `redis://HOST`, `cloudflare://ACCOUNT/NAMESPACE`.
    pub blob_store: String,
    /// Content sources; absent = webhooks and imports only.
    pub sources: Option<PathBuf>,
    /// Partitions of each topic, fixed when the log is created.
    pub partitions: u32,
    /// How long events and served records are kept, hours.
    pub retain_h: u32,
    /// Front rebuilt at least every so many seconds.
    pub front_rebuild_s: u32,
    /// How readers' profiles are published.
    pub publish: PublishSettings,
    /// Where the edge sends events; default: this process.
    pub origin_url: Option<String>,
    /// Brands.
    #[serde(rename = "brand")]
    pub brands: Vec<Brand>,
    /// Collection of events.
    pub collect: Collection,
    /// How events become features.
    pub features: Features,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            edge_listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            kv_listen: SocketAddr::from(([127, 0, 0, 1], 8082)),
            event_log: "embedded:var/db".into(),
            state_store: "embedded:var/db".into(),
            blob_store: "embedded:var/db".into(),
            sources: None,
            partitions: 8,
            retain_h: 7 * 24,
            front_rebuild_s: 60,
            publish: PublishSettings::default(),
            origin_url: None,
            brands: Vec::new(),
            collect: Collection::default(),
            features: Features::default(),
        }
    }
}

/// How events are taken in: `[collect]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Collection {
    /// A `.mmdb` file of MaxMind's Country or City kind; without it events have the country their sender says.
    pub geo_database: Option<PathBuf>,
    /// The operator's own proxies before the collector that add to `X-Forwarded-For`; 0 believes none.
    pub proxies: usize,
    /// Bytes of request bodies held at once; beyond it senders are asked to wait.
    pub inflight_bytes_max: usize,
    /// Seconds within which an event that comes again is not taken again.
    pub dedupe_window_s: u32,
    /// Bytes in which this process remembers events for that.
    pub dedupe_bytes_max: usize,
    /// Where events wait while the log cannot be reached: `embedded:PATH`, a folder of its own; `none`: nowhere, senders
    /// wait. Default: `embedded:var/spool` where the log is on other machines, `none` where it is embedded itself.
    pub spool: String,
    /// Bytes that may wait there; beyond it senders wait.
    pub spool_bytes_max: u64,
    /// Bounds beyond which numbers are outliers.
    pub outliers: OutlierRules,
    /// Senders of other envelopes.
    #[serde(rename = "sender")]
    pub senders: Vec<SenderConfig>,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            geo_database: None,
            proxies: 0,
            inflight_bytes_max: mediaflow_ingest::limits::INFLIGHT_BYTES_MAX,
            dedupe_window_s: (mediaflow_ingest::limits::DEDUPE_WINDOW_MS / 1000) as u32,
            dedupe_bytes_max: mediaflow_ingest::limits::DEDUPE_BYTES_MAX,
            spool: String::new(),
            spool_bytes_max: 4 << 30,
            outliers: OutlierRules::default(),
            senders: Vec::new(),
        }
    }
}

impl Collection {
    /// For how long, and in how many bytes, events are remembered at the door.
    #[must_use]
    pub fn dedupe(&self) -> DedupeLimits {
        DedupeLimits {
            window_ms: i64::from(self.dedupe_window_s) * 1000,
            bytes_max: self.dedupe_bytes_max,
        }
    }
}

/// One brand.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brand {
    /// Slug.
    pub slug: String,
    /// What readers see.
    pub title: String,
    /// The brand's site.
    #[serde(default)]
    pub home_url: String,
    /// ISO 639-1, the first is the default.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Surfaces, the first is the default.
    pub surfaces: Vec<Surface>,
    /// Web origins that may read feeds with credentials.
    #[serde(default)]
    pub origins: Vec<String>,
    /// What edges serve when every store is down and nothing is in memory.
    #[serde(default)]
    pub default_feed: Vec<DefaultItem>,
    /// Story links lead to the edge's own article page.
    #[serde(default)]
    pub read_here: bool,
    /// Candidates of a front at most.
    #[serde(default = "items_max")]
    pub items_max: u16,
    /// Weights that differ from the built-in model.
    #[serde(default)]
    pub model: Option<toml::Table>,
    /// How its readers' profiles are published, instead of what `[publish]` says.
    #[serde(default)]
    pub publish: Option<PublishSettings>,
    /// Category names of this brand → our names.
    #[serde(default)]
    pub taxonomy: BTreeMap<String, String>,
}

/// What one ranking looks at; more cost the edge time and add little.
const fn items_max() -> u16 {
    500
}

/// One story of the feed of last resort.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultItem {
    /// Headline.
    pub title: String,
    /// Absolute address.
    pub url: String,
}

/// One surface: a slug, or a slug with a title and a topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Surface {
    /// Everything of the brand.
    Slug(String),
    /// A section.
    Full {
        /// Slug.
        slug: String,
        /// What readers see.
        #[serde(default)]
        title: Option<String>,
        /// Only items of this topic.
        #[serde(default)]
        topic: Option<String>,
    },
}

impl Surface {
    /// The slug.
    #[must_use]
    pub fn slug(&self) -> &str {
        match self {
            Self::Slug(s) | Self::Full { slug: s, .. } => s,
        }
    }
}

impl Brand {
    fn publisher(&self) -> Result<BrandSettings> {
        let model = match &self.model {
            None => ModelSettings::default(),
            Some(table) => table
                .clone()
                .try_into()
                .with_context(|| format!("[brand.model] of brand {}", self.slug))?,
        };
        let surfaces = self.surfaces.iter().map(|s| {
            let topics = match s {
                Surface::Full { topic: Some(t), .. } => vec![t.clone()],
                _ => Vec::new(),
            };
            SurfaceSettings {
                slug: s.slug().to_owned(),
                topics,
                categories: Vec::new(),
                items_max: self.items_max,
            }
        });
        Ok(BrandSettings {
            slug: self.slug.clone(),
            name: self.title.clone(),
            home_url: self.home_url.clone(),
            languages: self.languages.clone(),
            surfaces: surfaces.collect(),
            model,
            publish: self.publish.clone(),
        })
    }
}

#[derive(Serialize)]
struct EdgeBrand<'a> {
    slug: &'a str,
    title: &'a str,
    home_url: &'a str,
    languages: &'a [String],
    surfaces: Vec<EdgeSurface<'a>>,
    origins: &'a [String],
    default_feed: &'a [DefaultItem],
    read_here: bool,
}

#[derive(Serialize)]
struct EdgeSurface<'a> {
    slug: &'a str,
    title: String,
}

impl Config {
    /// Reads a file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// When it cannot be read or says something impossible; the message names the place.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "configuration {} cannot be read; create it or name another with --config",
                path.display()
            )
        })?;
        let mut config: Self = toml::from_str(&text)
            .with_context(|| format!("configuration {} is not valid", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.sources = config.sources.map(|s| folder.join(s));
        config.collect.geo_database = config.collect.geo_database.map(|f| folder.join(f));
        if config.collect.spool.is_empty() && !config.event_log.starts_with("embedded:") {
            "embedded:var/spool".clone_into(&mut config.collect.spool);
        }
        for uri in [
            &mut config.event_log,
            &mut config.state_store,
            &mut config.blob_store,
            &mut config.collect.spool,
        ] {
            if let Some(relative) = uri
                .strip_prefix("embedded:")
                .filter(|p| !p.starts_with('/'))
            {
                *uri = format!("embedded:{}", folder.join(relative).display());
            }
        }
        config
            .check()
            .with_context(|| format!("configuration {} is not valid", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.brands.is_empty(),
            "no [[brand]] is configured; add at least one with slug, title, surfaces"
        );
        ensure!(
            (1..=1024).contains(&self.partitions),
            "partitions = {}: must be 1 to 1024",
            self.partitions
        );
        ensure!(
            self.kv_listen.ip().is_loopback(),
            "kv_listen = {}: has no authentication and must be a loopback address",
            self.kv_listen
        );
        self.collect.outliers.check()?;
        ensure!(
            self.collect.inflight_bytes_max >= 1 << 20,
            "collect.inflight_bytes_max = {}: must hold at least one body, 1048576",
            self.collect.inflight_bytes_max
        );
        self.collect.dedupe().check()?;
        self.features.check()?;
        for (i, b) in self.brands.iter().enumerate() {
            check_slug(&b.slug).with_context(|| format!("brand {}", i + 1))?;
            ensure!(
                !b.surfaces.is_empty(),
                "brand {}: has no surfaces; add surfaces = [\"home\"]",
                b.slug
            );
            for s in &b.surfaces {
                check_slug(s.slug()).with_context(|| format!("a surface of brand {}", b.slug))?;
            }
            if self.brands[..i].iter().any(|other| other.slug == b.slug) {
                bail!("brand {} is configured twice; remove one", b.slug);
            }
        }
        Ok(())
    }

    /// What the edges read as `MEDIAFLOW_BRANDS`.
    #[must_use]
    pub fn edge_brands(&self) -> String {
        let surface = |s: &'_ Surface| -> (String, String) {
            let title = match s {
                Surface::Full { title: Some(t), .. } => t.clone(),
                _ => {
                    let mut c = s.slug().chars();
                    c.next()
                        .map(|f| f.to_uppercase().chain(c).collect())
                        .unwrap_or_default()
                }
            };
            (s.slug().to_owned(), title)
        };
        let brands: Vec<EdgeBrand<'_>> = self
            .brands
            .iter()
            .map(|b| EdgeBrand {
                slug: &b.slug,
                title: &b.title,
                home_url: &b.home_url,
                languages: &b.languages,
                surfaces: b
                    .surfaces
                    .iter()
                    .map(|s| EdgeSurface {
                        slug: s.slug(),
                        title: surface(s).1,
                    })
                    .collect(),
                origins: &b.origins,
                default_feed: &b.default_feed,
                read_here: b.read_here,
            })
            .collect();
        serde_json::to_string(&brands).unwrap_or_default()
    }

    /// The publisher's part.
    ///
    /// # Errors
    /// When a brand's model table has a name or value that weights do not have.
    pub fn publisher(&self) -> Result<PublisherSettings> {
        let brands = self
            .brands
            .iter()
            .map(Brand::publisher)
            .collect::<Result<_>>()?;
        Ok(PublisherSettings {
            brands,
            rebuild_every_s: self.front_rebuild_s.into(),
            publish: self.publish.clone(),
        })
    }

    /// Surfaces by brand.
    #[must_use]
    pub fn surfaces(&self) -> BTreeMap<String, Vec<String>> {
        self.brands
            .iter()
            .map(|b| {
                (
                    b.slug.clone(),
                    b.surfaces.iter().map(|s| s.slug().to_owned()).collect(),
                )
            })
            .collect()
    }
}

/// A secret of the environment.
///
/// # Errors
/// When it is not set; the message says how to make one.
pub fn secret(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(v) if !v.trim().is_empty() => Ok(v.trim().to_owned()),
        _ => {
            bail!("{name} is not set; `mediaflow keys new` prints a complete set for a first start")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mediaflow.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn two_lines_are_a_configuration() {
        let c = read("[[brand]]\nslug = \"daily\"\ntitle = \"The Daily\"\nsurfaces = [\"home\"]")
            .unwrap();
        assert!(c.event_log.ends_with("var/db") && c.event_log.starts_with("embedded:/"));
        assert!(c.edge_brands().contains("\"title\":\"Home\""));
    }

    #[test]
    fn impossible_configurations_are_refused_by_name() {
        for (text, word) in [
            ("", "[[brand]]"),
            (
                "kv_listen = \"0.0.0.0:1\"\n[[brand]]\nslug=\"a\"\ntitle=\"A\"\nsurfaces=[\"home\"]",
                "loopback",
            ),
            (
                "[[brand]]\nslug=\"A B\"\ntitle=\"A\"\nsurfaces=[\"home\"]",
                "brand 1",
            ),
            ("token_keys = \"x\"", "not valid"),
            (
                "[[brand]]\nslug=\"a\"\ntitle=\"A\"\nsurfaces=[]",
                "surfaces",
            ),
            (
                "[[brand]]\nslug=\"a\"\ntitle=\"A\"\nsurfaces=[\"home\"]\n[features]\nsession_gap_s = 1",
                "features.session_gap_s = 1:",
            ),
            (
                "[[brand]]\nslug=\"a\"\ntitle=\"A\"\nsurfaces=[\"home\"]\n[collect]\ndedupe_bytes_max = 1",
                "collect.dedupe_bytes_max",
            ),
        ] {
            let e = format!("{:#}", read(text).unwrap_err());
            assert!(e.contains(word), "{e}");
        }
    }
}
