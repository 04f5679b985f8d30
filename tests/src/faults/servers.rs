//! The same product in several processes on a real Kafka broker and a real Redis.

use super::Found;
use super::ledger::Ledger;
use super::recount::{folded, recount};
use super::stand::found;
use crate::{Origin, Setup};
use anyhow::{Context, Result};
use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_features::CONSUMER;
use mediaflow_ports::{Layout, ViewPlan};
use mediaflow_state_store_redis::{RedisConfig, RedisState};
use mediaflow_test_servers::kafka::Kafka;
use mediaflow_test_servers::redis::{self, Redis};
use std::time::Duration;

/// The folds catch up within this, rebalancing included.
const FOLDED: Duration = Duration::from_secs(120);

pub struct Servers {
    pub kafka: Kafka,
    pub redis: Redis,
    pub ledger: Ledger,
    kept: tempfile::TempDir,
}

impl Servers {
    /// Starts both; why not, where one cannot be had.
    pub fn start() -> Result<Result<Self, Found>> {
        if let Err(absent) = redis::installed() {
            return Ok(Err(Found::skipped(absent)));
        }
        let kafka = match Kafka::start(1) {
            Ok(kafka) => kafka,
            Err(e) => match e.downcast_ref::<mediaflow_test_servers::Absent>() {
                Some(absent) => return Ok(Err(Found::skipped(absent))),
                None => return Err(e),
            },
        };
        let kept = tempfile::tempdir()?;
        Ok(Ok(Self {
            kafka,
            redis: Redis::start(&[]),
            ledger: Ledger::create(&kept.path().join("ledger"))?,
            kept,
        }))
    }

    fn log_uri(&self) -> String {
        format!("kafka://{}/faults", self.kafka.brokers())
    }

    /// A process with these roles, in the folder of its name: started there again it finds what it left.
    pub fn process(&self, name: &str, roles: &str) -> Result<Origin> {
        let dir = self.kept.path().join(name);
        std::fs::create_dir_all(&dir)?;
        let head = format!(
            "event_log = \"{}?delivery_timeout_ms=5000\"\nstate_store = \"{}\"",
            self.log_uri(),
            self.redis.uri("/0")
        );
        Ok(Setup::roles(roles).head(&head).start(&dir))
    }

    /// The stores, as the processes see them.
    pub async fn open(&self) -> Result<(KafkaLog, RedisState)> {
        let log = KafkaLog::open(&self.log_uri().parse()?)?;
        let config = RedisConfig::new(&self.redis.uri("/0").parse()?, None, self.layout()?)?;
        Ok((log, RedisState::open(config).await?))
    }

    /// The layout that the processes noted beside their state. Names live as long as this program: there are few.
    fn layout(&self) -> Result<Layout> {
        let text = self.redis.cli(&["HGETALL", "{mf:g}l"]);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let pairs = || lines.chunks_exact(2).map(|p| (p[0], p[1]));
        let partitions = pairs().find(|p| p.0 == "partitions");
        let partitions = partitions.context("no layout is noted in Redis")?.1;
        let mut layout = Layout::new(partitions.parse()?).partitioned(CONSUMER);
        for (name, kept) in pairs() {
            let Some(view) = name.strip_prefix("view ") else {
                continue;
            };
            let view: &'static str = view.to_owned().leak();
            let plan = match kept.split(' ').next() {
                Some("ByKey") => ViewPlan::by_key(view),
                Some("ByPrefix") => ViewPlan::by_prefix(view),
                _ => ViewPlan::global(view),
            };
            let plan = if kept.ends_with("plain") {
                plan.unscanned()
            } else {
                plan
            };
            layout = layout.views(&[plan]);
        }
        Ok(layout)
    }

    /// Waits until everything is folded; seconds it took.
    pub async fn folded(&self) -> Result<f64> {
        let (log, state) = self.open().await?;
        folded(&log, &state, FOLDED).await
    }

    /// Waits for the folds and compares. The processes run on.
    pub async fn compare(&self) -> Result<Found> {
        self.folded().await?;
        let (log, state) = self.open().await?;
        Ok(found(recount(&self.ledger.read()?, &log, &state).await?))
    }
}
