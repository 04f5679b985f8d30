//! Propagation receipts: which edges serve which revision, since when, as they report it.

use crate::limits;
use mediaflow_http::Problem;
use mediaflow_shared::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What an edge reports, at most once a second while it has traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Stable name of the edge (point of presence, process).
    pub edge: String,
    /// What it serves.
    pub surfaces: Vec<Serving>,
}

/// What an edge serves on one surface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Brand slug.
    pub brand: String,
    /// Surface slug.
    pub surface: String,
    /// Revision of the rules.
    pub revision: u32,
    /// Version of the front, 16 hex digits.
    #[serde(default)]
    pub front: String,
    /// First served this revision, at the edge's clock.
    pub since: Timestamp,
}

#[derive(Debug, Clone)]
struct Seen {
    revision: u32,
    since: Timestamp,
    heard_ms: i64,
}

/// One edge's part of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeReceipt {
    /// The edge.
    pub edge: String,
    /// What it serves now.
    pub revision: u32,
    /// Since when.
    pub since: Timestamp,
    /// When it was last heard of.
    pub heard_at: Timestamp,
    /// Whether that is the revision asked for, or a newer one.
    pub reached: bool,
}

/// The answer to "is it live?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The revision asked for.
    pub revision: u32,
    /// When it was published.
    pub published_at: Timestamp,
    /// Edges heard of in the last minute that serve it.
    pub reached: usize,
    /// Edges heard of in the last minute.
    pub edges: Vec<EdgeReceipt>,
    /// Milliseconds from publication until the last edge served it; absent while one is missing.
    pub propagation_ms: Option<i64>,
}

/// Last word of every edge. In memory: an edge repeats itself every second, so a restart forgets nothing for long.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<BTreeMap<(String, String), BTreeMap<String, Seen>>>);

impl Receipts {
    /// Takes a heartbeat.
    ///
    /// # Errors
    /// 422 when it names too many surfaces or has no edge name.
    pub fn hear(&self, beat: &Heartbeat, now_ms: i64) -> Result<(), Problem> {
        if beat.edge.is_empty() || beat.edge.len() > 128 {
            return Err(Problem::unprocessable(
                "field `edge`",
                "must have 1 to 128 bytes",
            ));
        }
        if beat.surfaces.len() > limits::HEARTBEAT_SURFACES_MAX {
            return Err(Problem::unprocessable(
                "field `surfaces`",
                format!("more than {} surfaces", limits::HEARTBEAT_SURFACES_MAX),
            ));
        }
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for s in &beat.surfaces {
            let edges = map.entry((s.brand.clone(), s.surface.clone())).or_default();
            if edges.len() >= limits::EDGES_MAX && !edges.contains_key(&beat.edge) {
                edges.retain(|_, e| now_ms - e.heard_ms < limits::EDGE_SILENT_MS);
            }
            if edges.len() < limits::EDGES_MAX || edges.contains_key(&beat.edge) {
                let seen = Seen {
                    revision: s.revision,
                    since: s.since,
                    heard_ms: now_ms,
                };
                edges.insert(beat.edge.clone(), seen);
            }
        }
        Ok(())
    }

    /// Who serves `revision` or newer on a surface.
    #[must_use]
    pub fn receipt(
        &self,
        brand: &str,
        surface: &str,
        revision: u32,
        published_at: Timestamp,
        now_ms: i64,
    ) -> Receipt {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let edges: Vec<EdgeReceipt> = map
            .get(&(brand.to_owned(), surface.to_owned()))
            .into_iter()
            .flatten()
            .filter(|(_, e)| now_ms - e.heard_ms < limits::EDGE_SILENT_MS)
            .map(|(name, e)| EdgeReceipt {
                edge: name.clone(),
                revision: e.revision,
                since: e.since,
                heard_at: Timestamp(e.heard_ms),
                reached: e.revision >= revision,
            })
            .collect();
        let reached = edges.iter().filter(|e| e.reached).count();
        let last = edges.iter().map(|e| e.since.0).max();
        let complete = reached > 0 && reached == edges.len();
        let propagation_ms = last
            .filter(|_| complete)
            .map(|l| (l - published_at.0).max(0));
        Receipt {
            revision,
            published_at,
            reached,
            edges,
            propagation_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(edge: &str, revision: u32, since: i64) -> Heartbeat {
        let serving = Serving {
            brand: "daily".into(),
            surface: "home".into(),
            revision,
            front: String::new(),
            since: Timestamp(since),
        };
        Heartbeat {
            edge: edge.into(),
            surfaces: vec![serving],
        }
    }

    #[test]
    fn a_receipt_is_complete_once_every_live_edge_serves_it() {
        let r = Receipts::default();
        r.hear(&beat("a", 7, 1_400), 1_500).unwrap();
        r.hear(&beat("b", 6, 100), 1_500).unwrap();
        let half = r.receipt("daily", "home", 7, Timestamp(1_000), 1_600);
        assert_eq!((half.reached, half.propagation_ms), (1, None));
        r.hear(&beat("b", 7, 1_900), 2_000).unwrap();
        let full = r.receipt("daily", "home", 7, Timestamp(1_000), 2_100);
        assert_eq!((full.reached, full.propagation_ms), (2, Some(900)));
        // An edge that fell silent no longer holds a receipt back.
        let later = r.receipt(
            "daily",
            "home",
            8,
            Timestamp(1_000),
            2_100 + limits::EDGE_SILENT_MS,
        );
        assert!(later.edges.is_empty());
    }
}
