//! What this crate's tests run on: in-memory stores that can be told to fail.

pub(crate) mod memory;

use mediaflow_http::Metrics;
use mediaflow_ports::{EventLog, ManualClock, StoredRecord};
use mediaflow_shared::content::RawItem;
use memory::{MemoryLog, MemoryState};
use std::sync::Arc;

use crate::intake::{Intake, TOPIC_RAW};
use crate::source::{SourceConfig, parse_sources};

/// 2026-11-21T08:00:00Z.
pub(crate) const NOW_MS: i64 = 1_795_248_000_000;

pub(crate) struct Stores {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) state: Arc<MemoryState>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) metrics: Metrics,
}

impl Stores {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let log = MemoryLog::new(
            clock.clone(),
            &[TOPIC_RAW, "events", "served", "dead-letters"],
        );
        Self {
            log: Arc::new(log),
            state: Arc::new(MemoryState::new(clock.clone())),
            clock,
            metrics: Metrics::new(),
        }
    }

    pub(crate) async fn intake(&self) -> Arc<Intake> {
        let (log, state, clock) = (self.log.clone(), self.state.clone(), self.clock.clone());
        Arc::new(
            Intake::open(log, state, clock, &self.metrics)
                .await
                .unwrap(),
        )
    }

    pub(crate) async fn records(&self, topic: &str) -> Vec<StoredRecord> {
        let mut all = Vec::new();
        for p in 0..self.log.partitions(topic).await.unwrap() {
            all.extend(
                self.log
                    .read(topic, p, 0, usize::MAX, usize::MAX)
                    .await
                    .unwrap(),
            );
        }
        all
    }
}

/// What `content.raw` holds.
pub(crate) async fn raw_items(s: &Stores) -> Vec<RawItem> {
    let records = s.records(TOPIC_RAW).await;
    records
        .iter()
        .map(|r| serde_json::from_slice(&r.record.value).unwrap())
        .collect()
}

/// A source `src` of the brand `daily`.
pub(crate) fn source(kind: &str) -> SourceConfig {
    let text = format!(
        "[[source]]\nslug='src'\nbrand='daily'\nkind='{kind}'\nbase_url='https://umami.example'"
    );
    parse_sources(&text).unwrap().remove(0)
}
