//! Liveness and readiness.

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use crate::Problem;

/// Which components are ready. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<RwLock<BTreeMap<String, Option<String>>>>);

impl Health {
    /// Nothing is known yet; a process without components is ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a component that is still starting.
    pub fn expect(&self, component: &str) {
        self.set(component, Some("starting".to_owned()));
    }

    /// `component` can do its work.
    pub fn ready(&self, component: &str) {
        self.set(component, None);
    }

    /// `component` cannot, because of `reason`.
    pub fn not_ready(&self, component: &str, reason: impl Into<String>) {
        self.set(component, Some(reason.into()));
    }

    /// The components that are not ready, each with its reason.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, String> {
        // A panic while holding the lock cannot leave half an entry behind.
        let map = self
            .0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        map.iter()
            .filter_map(|(k, v)| v.clone().map(|v| (k.clone(), v)))
            .collect()
    }

    fn set(&self, component: &str, reason: Option<String>) {
        let mut map = self
            .0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        map.insert(component.to_owned(), reason);
    }

    /// `GET /healthz` (the process answers) and `GET /readyz` (every component is ready).
    pub fn routes(&self) -> Router {
        let health = self.clone();
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(move || std::future::ready(readyz(&health))))
    }
}

fn readyz(health: &Health) -> Response {
    let waiting = health.waiting();
    if waiting.is_empty() {
        return "ready\n".into_response();
    }
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not-ready",
        "Not every component is ready",
    )
    .input("components")
    .reason(
        waiting
            .iter()
            .map(|(k, v)| format!("{k}: {v}"))
            .collect::<Vec<_>>()
            .join("; "),
    )
    .remedy("wait, or look at the log of the component")
    .with(
        "waiting",
        serde_json::to_value(&waiting).unwrap_or_default(),
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_component() {
        let h = Health::new();
        assert_eq!(readyz(&h).status(), 200);
        h.expect("log");
        h.ready("state");
        assert_eq!(readyz(&h).status(), 503);
        assert_eq!(h.waiting()["log"], "starting");
        h.ready("log");
        assert_eq!(readyz(&h).status(), 200);
        h.not_ready("state", "disk full");
        assert_eq!(readyz(&h).status(), 503);
    }
}
