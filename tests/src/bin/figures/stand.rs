//! Everything an edge needs, from memory: what is measured is then the edge alone.

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mediaflow_embedded::Embedded;
use mediaflow_enrich::Normalizer;
use mediaflow_ports::{Blob, Lane};
use mediaflow_shared::candidate::from_content;
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::rules::{Action, Conditions, Rule, Rules, Target, Window};
use mediaflow_shared::time::{Minute, Timestamp};
use mediaflow_shared::topics::LANES;
use mediaflow_simulator::World;
use mediaflow_simulator::raw::raw_items;
use mediaflow_tests::now_ms;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
struct Stand {
    values: HashMap<String, Bytes>,
    /// Of profiles, for which a reader waits.
    profile_reads: AtomicU64,
    /// Of fronts, rules and models.
    reads: AtomicU64,
    posts: AtomicU64,
}

/// Serves until it is killed.
pub async fn run(items: usize, db: Option<PathBuf>) -> Result<()> {
    let now = Timestamp(now_ms());
    let candidates = candidates(items, now)?;
    let ids: Vec<String> = candidates
        .iter()
        .step_by(items / 10)
        .map(|i| i.content.to_string())
        .collect();
    let rules = rules(&candidates, now.minute());
    let head = Head {
        brand: "daily",
        surface: "home",
        built: now.minute(),
        epoch: 1,
        v_scale: 256,
        p_scale: 256,
    };
    let front = encode(&head, candidates)?;
    let front_bytes = front.len();
    let values = HashMap::from([
        ("f/daily/home".to_owned(), Bytes::from(front)),
        ("r/daily/home".to_owned(), Bytes::from(rules.encode())),
        (
            "m/daily".to_owned(),
            Bytes::from(
                Model {
                    epoch: 1,
                    ..Model::default()
                }
                .encode(),
            ),
        ),
    ]);
    if let Some(path) = db {
        let db = Embedded::open(&path)?;
        let blobs = values
            .iter()
            .map(|(k, v)| Blob::new(k.clone(), v.clone()))
            .collect();
        let report = db.blobs().put_many(Lane::Fronts, blobs).await?;
        ensure!(
            report.failed.is_empty(),
            "the stand's values could not be stored"
        );
    }
    let stand = Arc::new(Stand {
        values,
        ..Stand::default()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .context("no free port")?;
    println!(
        "{}",
        serde_json::json!({"event": "listening", "role": "stand", "addr": listener.local_addr()?, "front_bytes": front_bytes, "ids": ids})
    );
    axum::serve(listener, Router::new().fallback(answer).with_state(stand)).await?;
    Ok(())
}

/// Stories of one simulated brand with popularity, neighbours and learned vectors as a trained publisher would have them.
fn candidates(items: usize, now: Timestamp) -> Result<Vec<Item>> {
    let today = mediaflow_simulator::world::day_of(now);
    let world = World::days(42, today - 7, 8);
    let normalizer = Normalizer::default();
    let brand = "daily-beacon";
    let mut all: Vec<_> = raw_items(&world, "http://127.0.0.1:1", now).collect();
    let first = all.first().map(|r| r.brand.clone()).unwrap_or_default();
    let of_brand = if all.iter().any(|r| r.brand == brand) {
        brand
    } else {
        &first
    };
    all.retain(|r| r.brand == of_brand);
    let mut out: Vec<Item> = all
        .iter()
        .map(|r| from_content(&normalizer.normalize(r)))
        .collect();
    out.sort_by_key(|i| std::cmp::Reverse(i.published));
    out.truncate(items);
    ensure!(
        out.len() == items,
        "the simulated brand {of_brand} has only {} stories",
        out.len()
    );
    let ids: Vec<ContentId> = out.iter().map(|i| i.content).collect();
    for (n, item) in out.iter_mut().enumerate() {
        let spread = |k: usize| ((n * 2_654_435_761 + k * 40_503) >> 7) as u8;
        item.clicks15 = spread(1) / 3;
        item.clicks60 = spread(1) / 2;
        item.decay_fast = spread(1) / 2;
        item.decay_slow = spread(2) / 2;
        item.active_min = Some(u32::from(spread(3)));
        item.neighbours = (1..=20)
            .map(|k| (ids[(n + k * 17) % ids.len()], (255 - k * 10) as u8))
            .collect();
        let lanes = |k: usize| {
            let mut v = [0i8; LANES];
            for (l, x) in v.iter_mut().enumerate() {
                *x = (spread(k + l) as i8) / 2;
            }
            v
        };
        item.learned = Some(Box::new((lanes(5), lanes(90))));
    }
    Ok(out)
}

fn rules(candidates: &[Item], now: Minute) -> Rules {
    let always = vec![Window {
        from: Minute(0),
        until: Minute(now.0 + 60 * 24 * 30),
    }];
    let rule = |id, action| Rule {
        id,
        action,
        windows: always.clone(),
        when: Conditions::default(),
        label: format!("Rule {id}"),
    };
    Rules {
        revision: 7,
        published_at: now.start(),
        rules: vec![
            rule(
                0,
                Action::Pin {
                    content: candidates[17].content,
                    slot: 0,
                },
            ),
            rule(
                1,
                Action::Boost {
                    target: Target::Topic(0),
                    percent: 120,
                },
            ),
            rule(
                2,
                Action::Bury {
                    target: Target::Topic(6),
                    percent: 60,
                },
            ),
            rule(
                3,
                Action::Quota {
                    target: Target::Topic(29),
                    within: 10,
                    min: 1,
                    max: Some(4),
                },
            ),
            rule(4, Action::Hide(Target::Content(candidates[33].content))),
        ],
        ..Rules::default()
    }
}

async fn answer(State(stand): State<Arc<Stand>>, method: Method, uri: Uri) -> Response {
    if method == Method::POST {
        stand.posts.fetch_add(1, Ordering::Relaxed);
        return (
            StatusCode::ACCEPTED,
            "{\"accepted\":0,\"duplicates\":0,\"rejected\":[]}",
        )
            .into_response();
    }
    if uri.path() == "/_counts" {
        let counts = serde_json::json!({"profile_reads": stand.profile_reads.load(Ordering::Relaxed), "reads": stand.reads.load(Ordering::Relaxed), "posts": stand.posts.load(Ordering::Relaxed)});
        return axum::Json(counts).into_response();
    }
    let key = percent_decode_str(uri.path().trim_start_matches('/')).decode_utf8_lossy();
    let counter = if key.starts_with("u/") {
        &stand.profile_reads
    } else {
        &stand.reads
    };
    counter.fetch_add(1, Ordering::Relaxed);
    match stand.values.get(key.as_ref()) {
        Some(v) => v.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
