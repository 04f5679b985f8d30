//! kill -9 of the origin at random moments, under event load and during an import: what was acknowledged is there, once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mediaflow_embedded::Embedded;
use mediaflow_shared::event::EventType;
use mediaflow_shared::id::ContentId;
use mediaflow_tests::{Origin, TOKEN, event, raw_item};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// `cargo xtask faults` has time for a hundred.
const KILLS: u64 = 10;

/// A small generator: the moments of death must differ, not be unpredictable.
fn mix(seed: u64) -> u64 {
    let mut z = seed
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^= z >> 27;
    z.wrapping_mul(0x94d0_49bb_1331_11eb) ^ (z >> 31)
}

async fn post(client: &reqwest::Client, url: String, body: String) -> Option<Value> {
    let r = client
        .post(url)
        .bearer_auth(TOKEN)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .ok()?;
    if !r.status().is_success() {
        return None;
    }
    r.json().await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_over_ten_kills() {
    let dir = tempfile::tempdir().unwrap();
    let acknowledged: Arc<Mutex<(BTreeSet<String>, BTreeSet<String>)>> = Arc::default();
    let mut slowest = Duration::ZERO;
    for round in 0..KILLS {
        let begun = Instant::now();
        let mut origin = Origin::start(dir.path());
        slowest = slowest.max(begun.elapsed());
        let client = reqwest::Client::new();
        let (url, told) = (origin.url.clone(), acknowledged.clone());
        let senders: Vec<_> = (0..3)
            .map(|lane| {
                let (client, url, told) = (client.clone(), url.clone(), told.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        // Every batch overlaps the one before it, and the first repeats the last of the round before.
                        let first = (round * 1000 + n) * 10 - if round > 0 { 5 } else { 0 };
                        let ids: Vec<String> =
                            (first..first + 15).map(|i| format!("{lane}-{i}")).collect();
                        if lane < 2 {
                            let batch: Vec<_> = ids
                                .iter()
                                .map(|id| event(id, EventType::Click, ContentId(7), Some(id)))
                                .collect();
                            let answer = post(
                                &client,
                                format!("{url}/v1/events"),
                                serde_json::to_string(&batch).unwrap(),
                            )
                            .await;
                            let Some(answer) = answer else { return };
                            assert_eq!(
                                answer["rejected"].as_array().map(Vec::len),
                                Some(0),
                                "{answer}"
                            );
                            told.lock().unwrap().0.extend(ids);
                        } else {
                            // The age is the id's own, so that a repeated item is the same delivery.
                            let items: Vec<_> = ids
                                .iter()
                                .map(|id| {
                                    let mut item =
                                        raw_item(id, "A headline", "Words of a story.", 1);
                                    item["published"] = 1_795_248_000.into();
                                    item["modified"] = 1_795_248_000.into();
                                    item
                                })
                                .collect();
                            let url = format!("{url}/admin/v1/import/content");
                            if post(&client, url, serde_json::to_string(&items).unwrap())
                                .await
                                .is_none()
                            {
                                return;
                            }
                            told.lock().unwrap().1.extend(ids);
                        }
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(120 + mix(round) % 300)).await;
        origin.kill();
        for s in senders {
            s.await.unwrap();
        }
    }
    let db = Embedded::open(dir.path().join("var/db")).unwrap();
    let (events, items) = acknowledged.lock().unwrap().clone();
    let stored_events = ids(&db, "events", "id").await;
    let stored_items = ids(&db, "content.raw", "original_id").await;
    for (what, told, stored) in [
        ("event", &events, &stored_events),
        ("item", &items, &stored_items),
    ] {
        let missing: Vec<_> = told.iter().filter(|id| !stored.contains_key(*id)).collect();
        let doubled: Vec<_> = stored.iter().filter(|(_, n)| **n > 1).collect();
        println!(
            "{what}s: {} acknowledged, {} stored, {} missing, {} doubled",
            told.len(),
            stored.len(),
            missing.len(),
            doubled.len()
        );
        assert!(
            missing.is_empty(),
            "acknowledged {what}s are missing: {missing:?}"
        );
        assert!(doubled.is_empty(), "{what}s are stored twice: {doubled:?}");
        assert!(told.len() > 50, "the load was too small to mean anything");
    }
    println!("slowest start of {KILLS}: {slowest:?}");
    assert!(
        slowest < Duration::from_secs(10),
        "a restart took {slowest:?}"
    );
}

/// How often each id is in a topic.
async fn ids(db: &Embedded, topic: &str, field: &str) -> BTreeMap<String, u32> {
    let log = db.log();
    let mut count = BTreeMap::new();
    for p in 0..log.partitions(topic).await.unwrap() {
        let mut from = 0;
        loop {
            let records = log.read(topic, p, from, 1000, 8 << 20).await.unwrap();
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            for r in &records {
                let v: Value = serde_json::from_slice(&r.record.value).unwrap();
                *count
                    .entry(v[field].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
        }
    }
    count
}
