//! Propagation receipts: which revision of the rules this edge serves since when, told to the origin.

use crate::Edge;
use crate::limits::REPORT_DEADLINE_MS;
use crate::platform::{Level, Platform, within};
use mediaflow_shared::time::Timestamp;
use serde::Serialize;

/// What an edge reports.
#[derive(Serialize)]
struct Heartbeat<'a> {
    edge: &'a str,
    surfaces: Vec<Serving<'a>>,
}

#[derive(Serialize)]
struct Serving<'a> {
    brand: &'a str,
    surface: &'a str,
    revision: u32,
    front: String,
    since: Timestamp,
}

/// Reports every surface whose rules are held.
pub async fn send<P: Platform>(edge: &Edge, platform: &P) {
    let (config, memory) = (edge.config(), &edge.memory);
    let now_ms = platform.now_ms();
    let mut surfaces = Vec::new();
    for brand in &config.brands {
        for surface in &brand.surfaces {
            let rules = memory.rules.held(surface.slot, now_ms, config.rules_ttl);
            let front = memory.fronts.held(surface.slot, now_ms, config.front_ttl);
            if let Some(ruling) = rules.value {
                surfaces.push(Serving {
                    brand: &brand.slug,
                    surface: &surface.slug,
                    revision: ruling.rules.revision,
                    front: front
                        .value
                        .map(|f| format!("{:016x}", f.id()))
                        .unwrap_or_default(),
                    since: Timestamp(rules.since_ms),
                });
            }
        }
    }
    let beat = Heartbeat {
        edge: platform.edge_id(),
        surfaces,
    };
    let Ok(body) = serde_json::to_vec(&beat) else {
        return;
    };
    let bearer = format!("Bearer {}", config.keys.edge_token);
    let sent = within(
        platform,
        REPORT_DEADLINE_MS,
        platform.origin_post(
            "/v1/edges/heartbeat",
            "application/json",
            body,
            &[("authorization", &bearer)],
        ),
    )
    .await;
    match sent {
        Ok(reply) if reply.is_ok() => {}
        Ok(reply) => platform.log(
            Level::Warn,
            &format!("heartbeat: the origin answered {}", reply.status),
        ),
        Err(e) => platform.log(Level::Warn, &format!("heartbeat: {e}")),
    }
}
