//! The long-lived edge: configuration and what is held in memory. May vanish at any time and fills lazily.

use crate::config::Config;
use crate::deferred::Deferred;
use crate::http::{Request, Response};
use crate::platform::Platform;
use crate::routes::Status;

/// One edge. Shared by reference between requests; no lock is held across an await.
#[derive(Debug)]
pub struct Edge {
    config: Config,
}

impl Edge {
    /// An edge with empty memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// What it was configured with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Answers a request. Never fails: what cannot be answered is a problem document.
    pub async fn handle<P: Platform>(&self, platform: &P, request: Request) -> Response {
        let _ = (platform.now_ms(), request);
        Response::new(Status::NotFound)
    }

    /// Does one piece of work that was put off until after the response.
    pub async fn run_deferred<P: Platform>(&self, platform: &P, work: Deferred) {
        let _ = (platform.now_ms(), work);
    }
}
