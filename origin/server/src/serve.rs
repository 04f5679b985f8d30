//! `mediaflow serve`: opens the stores, starts the roles, serves until told to stop.
//!
//! Every role is a task that ends with the shutdown signal. One that fails takes the process down with it, so that a
//! supervisor sees it: half an origin is worse than a restart, which loses nothing acknowledged.

use crate::config::{Config, secret};
use crate::edge::{self, Native};
use crate::telemetry::{self, Traces};
use crate::wiring::{self, Stores};
use crate::{export, fault, kv, ops, served};
use anyhow::{Context, Result, bail};
use axum::Router;
use clap::{Args, ValueEnum};
use mediaflow_admin::{AdminConfig, AdminDeps, Tokens, admin_routes};
use mediaflow_edge_core::Edge;
use mediaflow_enrich::{Normalizer, Taxonomy};
use mediaflow_features::FeatureDeps;
use mediaflow_features::catalogue::{CatalogueDeps, FeatureReader, catalogue_routes};
use mediaflow_http::observe::{observe, observe_edge};
use mediaflow_http::process;
use mediaflow_http::serve::{serve as serve_http, sleep_unless_stopped, until_signal};
use mediaflow_http::{Health, Metrics, Secret, shutdown_channel};
use mediaflow_ingest::collector::{
    self, Agents, Collect, Collector, CollectorConfig, Places, Senders, exposure_check,
    parse_write_keys,
};
use mediaflow_ingest::poll::{self, Poller};
use mediaflow_ingest::source::{parse_webhook_secrets, taxonomies};
use mediaflow_ingest::spool::{Spool, SpoolLimits};
use mediaflow_ingest::ugc::Ugc;
use mediaflow_ingest::webhook::Webhooks;
use mediaflow_ingest::{Intake, SourceConfig, parse_sources, ugc_routes, webhook_routes};
use mediaflow_ports::{Clock, EventLog, RetentionPolicy};
use mediaflow_publisher::{Publisher, PublisherDeps, PublisherMetrics};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often expired values are looked for and the log is retained.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// Values looked at per housekeeping run.
const SWEEP_VALUES: usize = 50_000;

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration file
    #[arg(long, default_value = "mediaflow.toml", env = "MEDIAFLOW_CONFIG")]
    config: PathBuf,
    /// Roles of this process; default: all
    #[arg(long, value_delimiter = ',')]
    roles: Vec<Role>,
    /// Log as JSON lines instead of text
    #[arg(long)]
    log_json: bool,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Role {
    /// Content connectors, webhooks, event collector
    Ingest,
    /// Raw content to articles
    Enrich,
    /// Events to profiles, popularity, neighbours
    Features,
    /// Fronts, profiles, rules, models to the blob store
    Publisher,
    /// The editors' API and the operators' routes
    Admin,
    /// The blob store as a KV namespace for workerd and the component host
    Kv,
    /// A native edge
    Edge,
}

impl Role {
    const ALL: [Self; 7] = [
        Self::Ingest,
        Self::Enrich,
        Self::Features,
        Self::Publisher,
        Self::Admin,
        Self::Kv,
        Self::Edge,
    ];
}

/// One line for whoever started the process: a test, `xtask`, a supervisor.
fn announce(role: &str, addr: SocketAddr) {
    println!(
        "{}",
        serde_json::json!({"event": "listening", "role": role, "addr": addr})
    );
}

async fn bind(name: &str, addr: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| {
        format!(
            "{name} = {addr} cannot be listened on; choose another address in the configuration"
        )
    })
}

fn hex<const N: usize>(name: &str, text: &str) -> Result<[u8; N]> {
    let mut out = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        bail!(
            "{name} is not {} hexadecimal digits; `mediaflow keys new` prints one",
            2 * N
        );
    }
    for (i, o) in out.iter_mut().enumerate() {
        *o = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).with_context(|| {
            format!("{name} is not hexadecimal; `mediaflow keys new` prints one")
        })?;
    }
    Ok(out)
}

/// Runs `serve`.
pub async fn run(a: ServeArguments) -> Result<()> {
    telemetry::start_logging(a.log_json);
    fault::start()?;
    let traces = Traces::start()?;
    let config = Config::read(&a.config)?;
    let roles: BTreeSet<Role> = if a.roles.is_empty() {
        Role::ALL.into()
    } else {
        a.roles.iter().copied().collect()
    };
    let stores = wiring::open(&config).await?;
    let (trigger, shutdown) = shutdown_channel();
    let mut process = Process {
        config: Arc::new(config),
        stores,
        roles,
        metrics: Metrics::new(),
        health: Health::new(),
        shutdown,
        tasks: JoinSet::new(),
    };
    process.start().await?;
    tracing::info!(roles = ?process.roles, "started");
    let outcome = tokio::select! {
        got = until_signal() => got.map_err(Into::into),
        Some(ended) = process.tasks.join_next() => ended.map_err(Into::into).and_then(|r| r).and(Err(anyhow::anyhow!("a role ended"))),
    };
    trigger.stop();
    while let Some(ended) = process.tasks.join_next().await {
        if let Ok(Err(e)) = ended {
            tracing::error!(error = format!("{e:#}"), "a role did not end well");
        }
    }
    traces.stop().await;
    tracing::info!("stopped");
    outcome
}

struct Process {
    config: Arc<Config>,
    stores: Stores,
    roles: BTreeSet<Role>,
    metrics: Metrics,
    health: Health,
    shutdown: watch::Receiver<bool>,
    tasks: JoinSet<Result<()>>,
}

impl Process {
    fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    fn task(&mut self, work: impl Future<Output = Result<()>> + Send + 'static) {
        self.tasks.spawn(work);
    }

    async fn start(&mut self) -> Result<()> {
        let mut origin = Router::new()
            .merge(self.health.routes())
            .merge(self.metrics.routes());
        let listener = bind("listen", self.config.listen).await?;
        let origin_addr = listener.local_addr()?;
        if self.has(Role::Ingest) || self.has(Role::Admin) {
            origin = origin.merge(self.doors().await?);
        }
        if self.has(Role::Enrich) {
            self.enrich()?;
        }
        if self.has(Role::Features) {
            self.features().await?;
        }
        if self.has(Role::Publisher) {
            self.publisher()?;
        }
        if self.has(Role::Kv) {
            let l = bind("kv_listen", self.config.kv_listen).await?;
            announce("kv", l.local_addr()?);
            self.listen(l, kv::routes(self.stores.blobs.clone()));
        }
        if self.has(Role::Edge) {
            self.edge(origin_addr).await?;
        }
        export::views(
            &self.metrics,
            self.stores.state.clone(),
            self.shutdown.clone(),
            &mut self.tasks,
        );
        export::databases(&self.metrics, self.stores.databases.clone());
        let origin = observe(origin, &self.metrics);
        self.listen(listener, origin);
        self.housekeeping();
        self.watch();
        announce("origin", origin_addr);
        Ok(())
    }

    fn listen(&mut self, listener: TcpListener, router: Router) {
        let signal = self.shutdown.clone();
        self.task(async move { Ok(serve_http(listener, router, signal).await?) });
    }
}

impl Process {
    /// What lets content and events in, and what editors and operators use.
    async fn doors(&mut self) -> Result<Router> {
        let Stores {
            log,
            state,
            blobs,
            clock,
            ..
        } = &self.stores;
        let (log, state, blobs, clock) = (log.clone(), state.clone(), blobs.clone(), clock.clone());
        let intake =
            Arc::new(Intake::open(log.clone(), state.clone(), clock.clone(), &self.metrics).await?);
        let edge_token = Secret::new(secret("MEDIAFLOW_EDGE_TOKEN")?);
        let collector_config = CollectorConfig {
            brands: self
                .config
                .brands
                .iter()
                .map(|b| (b.slug.clone(), b.slug.clone()))
                .collect::<HashMap<_, _>>(),
            reader_key: Secret::new(hex::<32>(
                "MEDIAFLOW_READER_KEY",
                &secret("MEDIAFLOW_READER_KEY")?,
            )?)
            .into(),
            edge_token: edge_token.clone(),
            exposure: exposure_check(hex(
                "MEDIAFLOW_EXPOSURE_KEY",
                &secret("MEDIAFLOW_EXPOSURE_KEY")?,
            )?),
            collect: Arc::new(self.collection(&intake)?),
        };
        let (door, waiting) = self.spooled(&log, &clock).await?;
        let collector =
            Arc::new(Collector::open(door, clock.clone(), collector_config, &self.metrics).await?);
        collector.remember(&waiting);
        let tokens = Tokens::parse(&secret("MEDIAFLOW_ADMIN_TOKENS")?)?;
        export::collector(&self.metrics, collector.clone());
        let mut router = Router::new();
        if self.has(Role::Ingest) {
            router = router.merge(collector::routes(collector.clone()));
            router = router.merge(self.connectors(&intake)?);
        }
        if self.has(Role::Admin) {
            let catalogue = self.catalogue(tokens.clone(), collector.clone());
            let deps = AdminDeps {
                state: state.clone(),
                blobs,
                log: log.clone(),
                clock,
            };
            let config = AdminConfig {
                brands: self.config.surfaces(),
                tokens: tokens.clone(),
                edge_token,
            };
            let ops = ops::Ops {
                log: log.clone(),
                state: state.clone(),
                intake,
                collector,
                tokens,
                edge: self.edge_config()?,
            };
            router = router
                .merge(catalogue)
                .merge(admin_routes(deps, config))
                .merge(ops::routes(Arc::new(ops)));
            let signal = self.shutdown.clone();
            self.task(async move {
                served::run(log, state, signal).await;
                Ok(())
            });
        }
        Ok(router)
    }

    /// The log with a spool before it, where one is configured, and the keys of what waits there.
    async fn spooled(
        &mut self,
        log: &Arc<dyn EventLog>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Arc<dyn EventLog>, Vec<[u8; 16]>)> {
        let ingest = self.has(Role::Ingest);
        let Some(disk) = wiring::spool(&self.config, clock)?.filter(|_| ingest) else {
            return Ok((log.clone(), Vec::new()));
        };
        let limits = SpoolLimits::of(self.config.collect.spool_bytes_max);
        let spool = Spool::open(log.clone(), disk, clock.clone(), limits, &self.metrics).await?;
        tracing::info!("{}", spool.summary().line);
        let (keys, signal) = (spool.take_keys(), self.shutdown.clone());
        let draining = spool.clone();
        self.task(async move {
            draining.run(signal).await;
            Ok(())
        });
        Ok((spool, keys))
    }

    /// Senders, geography, outlier rules.
    fn collection(&self, intake: &Arc<Intake>) -> Result<Collect> {
        let c = &self.config.collect;
        let keys = parse_write_keys(&std::env::var("MEDIAFLOW_WRITE_KEYS").unwrap_or_default())?;
        // The first reader should not wait for it: it takes a second.
        tokio::task::spawn_blocking(Agents::warm);
        Ok(Collect {
            senders: Senders::new(c.senders.clone(), keys)?,
            outliers: c.outliers.clone(),
            places: c.geo_database.as_deref().map(Places::open).transpose()?,
            proxies: c.proxies,
            inflight_bytes_max: c.inflight_bytes_max,
            dedupe: c.dedupe(),
            items: Some(intake.clone()),
            ..Collect::default()
        })
    }

    /// The feature catalogue: definitions for everybody inside, values for whoever may see all brands.
    fn catalogue(&self, tokens: Tokens, collector: Arc<Collector>) -> Router {
        let brands: Vec<String> = self.config.brands.iter().map(|b| b.slug.clone()).collect();
        let known: BTreeSet<String> = brands.iter().cloned().collect();
        let reader = FeatureReader::new(
            self.stores.log.clone(),
            self.stores.state.clone(),
            self.stores.clock.clone(),
            brands,
            self.config.features.folds(),
        );
        catalogue_routes(CatalogueDeps {
            reader: Arc::new(reader),
            gate: Arc::new(move |headers| {
                tokens
                    .require(headers, "*", mediaflow_admin::Role::Viewer)
                    .map(drop)
            }),
            pseudonyms: Arc::new(move |brand, id| {
                known
                    .contains(brand)
                    .then(|| collector.config().pseudonym(brand, id))
            }),
        })
    }

    /// Webhooks and reader-generated content as routes, pollers as tasks.
    fn connectors(&mut self, intake: &Arc<Intake>) -> Result<Router> {
        let sources = self.sources()?;
        for source in sources.iter().filter(|s| s.is_polled()) {
            let authorization = source
                .authorization_env
                .as_deref()
                .map(secret)
                .transpose()?;
            let poller = Poller::new(
                source.clone(),
                intake.clone(),
                self.stores.state.clone(),
                authorization,
            )?;
            let (metrics, signal) = (self.metrics.clone(), self.shutdown.clone());
            self.task(async move {
                poll::run(poller, &metrics, signal).await;
                Ok(())
            });
        }
        let secrets =
            parse_webhook_secrets(&std::env::var("MEDIAFLOW_WEBHOOK_SECRETS").unwrap_or_default())?;
        let webhooks = Webhooks::new(sources, secrets, intake.clone(), self.stores.state.clone());
        let mut router = webhook_routes(Arc::new(webhooks));
        // Without tokens of their own nobody may send or moderate.
        if let (Ok(submit), Ok(moderate)) = (
            secret("MEDIAFLOW_UGC_TOKEN"),
            secret("MEDIAFLOW_MODERATION_TOKEN"),
        ) {
            let ugc = Ugc::new(intake.clone(), self.stores.state.clone());
            router = router.merge(ugc_routes(
                Arc::new(ugc),
                Secret::new(submit),
                Secret::new(moderate),
            ));
        }
        Ok(router)
    }

    fn sources(&self) -> Result<Vec<SourceConfig>> {
        let Some(path) = &self.config.sources else {
            return Ok(Vec::new());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("sources = {}: cannot be read", path.display()))?;
        Ok(parse_sources(&text)?)
    }

    fn enrich(&mut self) -> Result<()> {
        let mut taxonomy = taxonomies(&self.sources()?);
        for b in &self.config.brands {
            let own = b.taxonomy.iter().map(|(k, v)| (k.clone(), v.clone()));
            taxonomy.entry(b.slug.clone()).or_default().extend(own);
        }
        let normalizer = Normalizer::new(Taxonomy::new(taxonomy));
        let (log, state) = (self.stores.log.clone(), self.stores.state.clone());
        let (metrics, signal) = (self.metrics.clone(), self.shutdown.clone());
        self.task(async move {
            Ok(mediaflow_enrich::run(log, state, normalizer, &metrics, signal).await?)
        });
        Ok(())
    }

    async fn features(&mut self) -> Result<()> {
        let mut deps = FeatureDeps::new(self.stores.log.clone(), self.stores.state.clone()).await?;
        deps.config = self.config.features.folds();
        export::features(&self.metrics, deps.metrics.clone());
        let signal = self.shutdown.clone();
        self.task(async move { Ok(mediaflow_features::run(deps, signal).await?) });
        Ok(())
    }

    fn publisher(&mut self) -> Result<()> {
        let metrics = Arc::new(PublisherMetrics::default());
        export::publisher(&self.metrics, metrics.clone());
        let deps = PublisherDeps {
            log: self.stores.log.clone(),
            state: self.stores.state.clone(),
            blobs: self.stores.blobs.clone(),
            clock: self.stores.clock.clone(),
            metrics,
        };
        let publisher = Publisher::new(deps, self.config.publisher()?, None)?;
        let signal = self.shutdown.clone();
        self.task(async move { Ok(publisher.run(signal).await?) });
        Ok(())
    }

    /// The edge's variables: those of the environment, with brands from the configuration.
    fn edge_config(&self) -> Result<mediaflow_edge_core::Config> {
        let brands = self.config.edge_brands();
        tracing::debug!(MEDIAFLOW_BRANDS = brands, "brands as the edges read them");
        let lookup = |name: &str| match name {
            "MEDIAFLOW_BRANDS" => Some(brands.clone()),
            _ => std::env::var(name).ok(),
        };
        Ok(mediaflow_edge_core::Config::from_vars(lookup)?)
    }

    async fn edge(&mut self, origin: SocketAddr) -> Result<()> {
        let listener = bind("edge_listen", self.config.edge_listen).await?;
        let url = self
            .config
            .origin_url
            .clone()
            .unwrap_or_else(|| format!("http://{origin}"));
        let id = std::env::var("MEDIAFLOW_EDGE_ID").unwrap_or_else(|_| "native".into());
        let platform = Arc::new(Native::new(self.stores.blobs.clone(), &url, &id)?);
        let edge = Arc::new(Edge::new(self.edge_config()?));
        announce("edge", listener.local_addr()?);
        self.listen(
            listener,
            observe_edge(edge::routes(edge, platform), &self.metrics),
        );
        Ok(())
    }

    /// What is seen of the process and of the log from outside.
    fn watch(&mut self) {
        let Stores {
            log, state, clock, ..
        } = &self.stores;
        process::export(&self.metrics, env!("CARGO_PKG_VERSION"), clock.now_ms());
        // Two roles that are never both away: whoever collects sees a fold that is gone.
        if self.has(Role::Ingest) || self.has(Role::Features) {
            let (log, state, clock) = (log.clone(), state.clone(), clock.clone());
            let (metrics, signal) = (self.metrics.clone(), self.shutdown.clone());
            self.task(async move {
                export::watch_lag(metrics, log, state, clock, signal).await;
                Ok(())
            });
        }
    }

    /// Expired values and old log records go, in the background.
    fn housekeeping(&mut self) {
        let Stores {
            log,
            state,
            blobs,
            clock,
            ..
        } = &self.stores;
        let (log, state, blobs, clock) = (log.clone(), state.clone(), blobs.clone(), clock.clone());
        let max_age_ms = Some(i64::from(self.config.retain_h) * 3_600_000);
        let mut signal = self.shutdown.clone();
        self.task(async move {
            while sleep_unless_stopped(&mut signal, HOUSEKEEPING).await {
                let policy = RetentionPolicy { max_age_ms, max_bytes: None };
                let mut kept = Ok(());
                for topic in ["events", "served", "content.enriched", "dead-letters"] {
                    kept = kept.and(log.retain(topic, policy, clock.now_ms()).await.map(drop));
                }
                let swept = state.sweep(SWEEP_VALUES).await.and(blobs.sweep(SWEEP_VALUES).await);
                if let Err(e) = kept.and(swept.map(drop)) {
                    tracing::warn!(error = %e, "housekeeping did not finish; it runs again in a minute");
                }
            }
            Ok(())
        });
    }
}
