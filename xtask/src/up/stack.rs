//! Real servers instead of the embedded stores: `up --stack kafka,redis`.
//!
//! Each stack has a data folder of its own: state that was folded from one log fits no other.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use mediaflow_test_servers::kafka::{self, Kafka};
use mediaflow_test_servers::redis::Redis;

use crate::progress::Step;
use crate::workspace::Workspace;

/// A server that takes the place of an embedded store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// The event log on a real Apache Kafka broker
    Kafka,
    /// The state on a real Redis
    Redis,
}

/// Which servers there are to be; none: everything is embedded.
pub type Parts = BTreeSet<Part>;

/// The servers that run. Dropped after the origin, which would otherwise wait for them.
#[derive(Debug, Default)]
pub struct Stack {
    kafka: Option<Kafka>,
    redis: Option<Redis>,
}

/// What distinguishes this stack's data: empty for the embedded stores.
pub fn suffix(parts: &Parts) -> &'static str {
    match (parts.contains(&Part::Kafka), parts.contains(&Part::Redis)) {
        (false, false) => "",
        (true, false) => "-kafka",
        (false, true) => "-redis",
        (true, true) => "-kafka-redis",
    }
}

/// Fetches the broker from Maven Central, once.
pub fn broker(workspace: &Workspace, _: &Step) -> Result<String> {
    let mut note = String::new();
    kafka::libraries(&workspace.target, |said| note = said.to_owned())
        .context("`cargo xtask tools` installs Java and Maven where it may")?;
    Ok(note)
}

impl Stack {
    /// Starts the servers with their data in `folder`.
    pub fn start(workspace: &Workspace, parts: &Parts, folder: &Path) -> Result<Self> {
        let mut stack = Self::default();
        if parts.contains(&Part::Kafka) {
            let libs = kafka::libraries(&workspace.target, |_| {})?;
            stack.kafka = Some(Kafka::start_in(&libs, 1, &folder.join("kafka"))?);
        }
        if parts.contains(&Part::Redis) {
            let redis = Redis::start_in(&folder.join("redis"));
            stack.redis =
                Some(redis.context("is redis-server installed? `cargo xtask tools` does it")?);
        }
        Ok(stack)
    }

    /// `event_log` of the origin.
    pub fn event_log(&self) -> String {
        match &self.kafka {
            Some(kafka) => format!("kafka://{}/up?replication=1", kafka.brokers()),
            None => "embedded:db".into(),
        }
    }

    /// `state_store` of the origin.
    pub fn state_store(&self) -> String {
        match &self.redis {
            Some(redis) => format!("redis://{}/0", redis.address()),
            None => "embedded:db".into(),
        }
    }
}
