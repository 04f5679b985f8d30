//! The long-lived edge: configuration and what is held in memory. May vanish at any time and fills lazily.

use crate::config::{Config, Surface};
use crate::deferred::Deferred;
use crate::http::{Request, Response};
use crate::ladder;
use crate::memory::{Memory, keep};
use crate::outbox::Outbox;
use crate::platform::Platform;
use crate::{heartbeat, routes};
use mediaflow_shared::front::Front;
use mediaflow_shared::rank::Scratch;
use std::sync::{Arc, Mutex, PoisonError};

/// Ranking buffers kept between requests at most: as many as run at once.
const SCRATCHES_MAX: usize = 64;

/// One edge. Shared by reference between requests; no lock is held across an await.
pub struct Edge {
    config: Config,
    defaults: Vec<Arc<Front>>,
    scratches: Mutex<Vec<Scratch>>,
    pub(crate) memory: Memory,
    pub(crate) outbox: Outbox,
}

impl Edge {
    /// An edge with empty memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            defaults: ladder::defaults(&config),
            scratches: Mutex::default(),
            memory: Memory::new(&config),
            outbox: Outbox::default(),
            config,
        }
    }

    /// What it was configured with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Answers a request. Never fails: what cannot be answered is a problem document.
    pub async fn handle<P: Platform>(&self, platform: &P, request: Request) -> Response {
        let mut response = routes::dispatch(self, platform, &request).await;
        let now_ms = platform.now_ms();
        if self.outbox.events.due(now_ms) && !response.deferred.contains(&Deferred::Flush) {
            response.deferred.push(Deferred::Flush);
        }
        if self.outbox.beats.due(now_ms) {
            response.deferred.push(Deferred::Heartbeat);
        }
        response
    }

    /// Does one piece of work that was put off until after the response.
    pub async fn run_deferred<P: Platform>(&self, platform: &P, work: Deferred) {
        match work {
            Deferred::Refresh(place) => self.memory.refresh(platform, &self.config, place).await,
            Deferred::Keep(url, bytes) => keep(platform, &url, bytes).await,
            Deferred::Flush => self.outbox.flush(platform, &self.config).await,
            Deferred::Served => self.outbox.report(platform, &self.config).await,
            Deferred::Heartbeat => heartbeat::send(self, platform).await,
        }
    }

    /// The feed of last resort of a surface, also for replaying feeds of rung 4.
    #[must_use]
    pub fn default_front(&self, surface: &Surface) -> Arc<Front> {
        Arc::clone(&self.defaults[surface.slot])
    }

    /// Event batches that wait for the origin.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.outbox.events.len()
    }

    /// Runs `work` with ranking buffers that are kept between requests.
    pub(crate) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let pool = || {
            self.scratches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let mut scratch = pool().pop().unwrap_or_default();
        let out = work(&mut scratch);
        let mut pool = pool();
        if pool.len() < SCRATCHES_MAX {
            pool.push(scratch);
        }
        out
    }
}
