//! The one place where vendors are named: URIs become adapters.

use crate::config::Config;
use crate::{fault, placement};
use anyhow::{Context, Result};
use mediaflow_blob_store_cloudflare as cloudflare;
use mediaflow_blob_store_redis as redis;
use mediaflow_embedded::{Embedded, EmbeddedOptions};
use mediaflow_features::catalogue::TOPIC_FEATURES_SERVED;
use mediaflow_ports::{BlobStore, Clock, EventLog, PortUri, StateStore, Summary};
use mediaflow_state_store_redis as redis_state;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every topic of the log, but the audit, which keeps its order in one partition.
const TOPICS: [&str; 4] = ["events", "served", "dead-letters", TOPIC_FEATURES_SERVED];
/// Topics whose key is an article and whose newest record is all that a rebuild needs.
const LATEST_BY_KEY: [&str; 2] = ["content.raw", "content.enriched"];

/// The adapters of one process.
pub struct Stores {
    /// Topics.
    pub log: Arc<dyn EventLog>,
    /// Views, progress, outboxes.
    pub state: Arc<dyn StateStore>,
    /// What edges read.
    pub blobs: Arc<dyn BlobStore>,
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// The embedded databases among them.
    pub databases: Vec<Embedded>,
}

/// Opens what the configuration names and says so in the log.
///
/// # Errors
/// An adapter that is unknown, not built in, or cannot be opened; the message names the port and the remedy.
pub async fn open(config: &Config) -> Result<Stores> {
    let clock = fault::clock()?;
    let mut embedded: BTreeMap<String, Embedded> = BTreeMap::new();
    let mut database = |uri: &PortUri| -> Result<Embedded> {
        if let Some(open) = embedded.get(uri.rest()) {
            return Ok(open.clone());
        }
        let path = uri.rest().to_owned();
        std::fs::create_dir_all(&path)
            .with_context(|| format!("folder {path} cannot be created"))?;
        let db = Embedded::open_with(&path, by(&clock))?;
        embedded.insert(path, db.clone());
        Ok(db)
    };
    let uri = |name: &str, text: &str| -> Result<PortUri> {
        text.parse().with_context(|| name.to_owned())
    };

    let log_uri = uri("event_log", &config.event_log)?;
    let log = match log_uri.scheme() {
        "embedded" => database(&log_uri)?.log(),
        "kafka" => kafka(&log_uri)?,
        _ => {
            return Err(log_uri
                .unknown_adapter("event_log", &["embedded", "kafka"])
                .into());
        }
    };
    announce(&log.summary());
    for topic in TOPICS {
        log.ensure_topic(topic, config.partitions).await?;
    }
    for topic in LATEST_BY_KEY {
        log.ensure_latest_by_key(topic, config.partitions).await?;
    }
    log.ensure_topic("rules.audit", 1).await?;
    let state_uri = uri("state_store", &config.state_store)?;
    let state: Arc<dyn StateStore> = match state_uri.scheme() {
        "embedded" => database(&state_uri)?.state(),
        "redis" => {
            let password = std::env::var(redis_state::PASSWORD_VARIABLE).ok();
            let layout = placement::layout(log.partitions("events").await?);
            let config = redis_state::RedisConfig::new(&state_uri, password.as_deref(), layout)?;
            Arc::new(redis_state::RedisState::open(config).await?)
        }
        _ => {
            return Err(state_uri
                .unknown_adapter("state_store", &["embedded", "redis"])
                .into());
        }
    };
    let blob_uri = uri("blob_store", &config.blob_store)?;
    let blobs: Arc<dyn BlobStore> = match blob_uri.scheme() {
        "embedded" => database(&blob_uri)?.blobs(),
        "redis" => Arc::new(redis::RedisBlobs::open(&blob_uri)?),
        "cloudflare" => {
            let token = std::env::var(cloudflare::TOKEN_VARIABLE).unwrap_or_default();
            let config = cloudflare::CloudflareConfig::new(&blob_uri, token, Arc::new(jitter))?;
            Arc::new(cloudflare::CloudflareBlobs::new(config)?)
        }
        _ => {
            return Err(blob_uri
                .unknown_adapter("blob_store", &["embedded", "redis", "cloudflare"])
                .into());
        }
    };
    for summary in [state.summary(), blobs.summary()] {
        announce(&summary);
    }
    Ok(Stores {
        log,
        state,
        blobs,
        clock,
        databases: embedded.into_values().collect(),
    })
}

#[cfg(feature = "kafka")]
fn kafka(uri: &PortUri) -> Result<Arc<dyn EventLog>> {
    Ok(Arc::new(mediaflow_event_log_kafka::KafkaLog::open(uri)?))
}

#[cfg(not(feature = "kafka"))]
fn kafka(uri: &PortUri) -> Result<Arc<dyn EventLog>> {
    Err(uri.not_built_in("event_log", "kafka").into())
}

/// The disk on which events wait while the log is away; `None` where none is configured.
///
/// # Errors
/// An adapter that cannot wait on this machine's disk, or a folder that cannot be opened.
pub fn spool(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<dyn EventLog>>> {
    if ["", "none"].contains(&config.collect.spool.as_str()) {
        return Ok(None);
    }
    let uri: PortUri = config.collect.spool.parse().context("collect.spool")?;
    if uri.scheme() != "embedded" {
        return Err(uri.unknown_adapter("collect.spool", &["embedded"]).into());
    }
    let path = uri.rest();
    std::fs::create_dir_all(path).with_context(|| format!("folder {path} cannot be created"))?;
    let db =
        Embedded::open_with(path, by(clock)).context("collect.spool needs a folder of its own")?;
    Ok(Some(db.log()))
}

fn by(clock: &Arc<dyn Clock>) -> EmbeddedOptions {
    EmbeddedOptions {
        clock: clock.clone(),
        ..EmbeddedOptions::default()
    }
}

/// Spreads retries of many processes; without randomness they meet, which costs a retry more.
fn jitter() -> u64 {
    getrandom::u64().unwrap_or(0)
}

fn announce(summary: &Summary) {
    if summary.warn {
        tracing::warn!("{}", summary.line);
    } else {
        tracing::info!("{}", summary.line);
    }
}
