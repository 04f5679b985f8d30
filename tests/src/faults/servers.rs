//! The same product in several processes on a real Kafka broker and a real Redis.

use super::Found;
use super::ledger::Ledger;
use super::recount::{Stores, ends, folded, is_handed_over, reached, recount};
use super::stand::{PUBLISH, found};
use crate::{Origin, Setup};
use anyhow::{Context, Result, ensure};
use mediaflow_blob_store_redis::RedisBlobs;
use mediaflow_event_log_kafka::KafkaLog;
use mediaflow_features::CONSUMER;
use mediaflow_ports::{Layout, ViewPlan};
use mediaflow_state_store_redis::{RedisConfig, RedisState};
use mediaflow_test_servers::Absent;
use mediaflow_test_servers::kafka::Kafka;
use mediaflow_test_servers::redis::{self, Redis, RedisCluster};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// The folds catch up within this, rebalancing included.
const FOLDED: Duration = Duration::from_secs(120);
/// What was handed to the publisher is published within this.
const PUBLISHED: Duration = Duration::from_secs(30);

pub struct Servers {
    pub kafka: Kafka,
    pub redis: Redis,
    /// Holds the state instead of `redis`, where there is one.
    pub cluster: Option<RedisCluster>,
    pub ledger: Ledger,
    replication: u32,
    publishes: Cell<bool>,
    kept: tempfile::TempDir,
}

/// How a process differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct Differently {
    /// Port of loopback by which it comes to the broker.
    pub kafka: Option<u16>,
    /// Port of loopback by which it comes to Redis.
    pub redis: Option<u16>,
    /// `MEDIAFLOW_FAULT_AT`.
    pub fault_at: Option<String>,
}

impl Servers {
    /// Starts one broker and one Redis; why not, where one cannot be had.
    pub fn start() -> Result<Result<Self, Found>> {
        Self::start_on(|| Kafka::start(1), 1)
    }

    /// As [`Servers::start`], with three brokers that each hold everything.
    pub fn replicated() -> Result<Result<Self, Found>> {
        Self::start_on(|| Kafka::start(3), 3)
    }

    /// As [`Servers::start`], with a broker that is also behind these proxies.
    pub fn behind(proxies: &[u16]) -> Result<Result<Self, Found>> {
        Self::start_on(|| Kafka::start_behind(proxies), 1)
    }

    fn start_on(
        kafka: impl FnOnce() -> Result<Kafka>,
        replication: u32,
    ) -> Result<Result<Self, Found>> {
        if let Err(absent) = redis::installed() {
            return Ok(Err(Found::skipped(absent)));
        }
        let kafka = match kafka() {
            Ok(kafka) => kafka,
            Err(e) => match e.downcast_ref::<Absent>() {
                Some(absent) => return Ok(Err(Found::skipped(absent))),
                None => return Err(e),
            },
        };
        let kept = tempfile::tempdir()?;
        Ok(Ok(Self {
            kafka,
            redis: Redis::start(&[]),
            cluster: None,
            ledger: Ledger::create(&kept.path().join("ledger"))?,
            replication,
            publishes: Cell::new(false),
            kept,
        }))
    }

    fn log_uri(&self) -> String {
        format!("kafka://{}/faults", self.kafka.brokers())
    }

    fn state_uri(&self) -> String {
        match &self.cluster {
            Some(cluster) => cluster.uri(""),
            None => self.redis.uri("/0"),
        }
    }

    fn blob_uri(&self) -> String {
        self.redis.uri("/1")
    }

    /// A process with these roles, in the folder of its name: started there again it finds what it left.
    pub fn process(&self, name: &str, roles: &str) -> Result<Origin> {
        let started = self.try_process(name, roles, &Differently::default())?;
        started.map_err(anyhow::Error::msg)
    }

    /// As [`Servers::process`]; the log of one that ended before it listened.
    pub fn try_process(
        &self,
        name: &str,
        roles: &str,
        differently: &Differently,
    ) -> Result<Result<Origin, String>> {
        let dir = self.kept.path().join(name);
        std::fs::create_dir_all(&dir)?;
        let log = match differently.kafka {
            Some(port) => format!("kafka://127.0.0.1:{port}/faults"),
            None => self.log_uri(),
        };
        let state = match differently.redis {
            Some(port) => format!("redis://127.0.0.1:{port}/0"),
            None => self.state_uri(),
        };
        // Where one broker is all there is, none comes back for an append that waits longer.
        let patience = match self.replication {
            1 => "delivery_timeout_ms=5000&",
            _ => "",
        };
        let head = format!(
            "event_log = \"{log}?{patience}replication={}\"\nstate_store = \"{state}\"\nblob_store = \"{}\"",
            self.replication,
            self.blob_uri()
        );
        let mut setup = Setup::roles(roles).head(&head);
        setup.config.push_str(PUBLISH);
        if let Some(at) = &differently.fault_at {
            setup.variables.push(("MEDIAFLOW_FAULT_AT", at.clone()));
        }
        if roles.contains("publisher") {
            self.publishes.set(true);
        }
        Ok(setup.try_start(&dir))
    }

    /// The stores, as the processes see them.
    pub async fn open(&self) -> Result<(KafkaLog, RedisState)> {
        let log = KafkaLog::open(&self.log_uri().parse()?)?;
        let config = RedisConfig::new(&self.state_uri().parse()?, None, self.layout()?)?;
        Ok((log, RedisState::open(config).await?))
    }

    /// The layout that the processes noted beside their state. Names live as long as this program: there are few.
    fn layout(&self) -> Result<Layout> {
        const NOTED: [&str; 2] = ["HGETALL", "{mf:g}l"];
        let text = match &self.cluster {
            // The node asked leads to the one that has it.
            Some(cluster) => cluster.nodes[0].cli(&["-c", NOTED[0], NOTED[1]]),
            None => self.redis.cli(&NOTED),
        };
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

    /// Waits until what is in the log now is folded, while more comes.
    pub async fn reached(&self) -> Result<()> {
        let (log, state) = self.open().await?;
        reached(&ends(&log).await?, &state, FOLDED).await
    }

    /// Waits for the folds and compares. The processes run on.
    pub async fn compare(&self) -> Result<Found> {
        self.folded().await?;
        let (log, state) = self.open().await?;
        let blobs = RedisBlobs::open(&self.blob_uri().parse()?)?;
        let begun = Instant::now();
        while self.publishes.get() && !is_handed_over(&state).await? {
            ensure!(
                begun.elapsed() < PUBLISHED,
                "what is handed to the publisher is not published"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let stores = Stores {
            log: &log,
            state: &state,
            blobs: self.publishes.get().then_some(&blobs),
        };
        Ok(found(recount(&self.ledger.read()?, stores).await?))
    }
}
