//! How large profiles are: simulated readers, folded as the edge and the origin fold them.

use anyhow::Result;
use mediaflow_enrich::Normalizer;
use mediaflow_shared::candidate::from_content;
use mediaflow_shared::event::EventType;
use mediaflow_shared::front::build::Item;
use mediaflow_shared::profile::fold::{Interaction, ItemView, apply};
use mediaflow_shared::profile::{Profile, blob};
use mediaflow_shared::time::Timestamp;
use mediaflow_shared::topics::LANES;
use mediaflow_simulator::raw::raw_items;
use mediaflow_simulator::stream::profiles;
use std::collections::HashMap;

/// Prints `{readers, max_bytes, median_bytes, learned_median_bytes}`.
pub fn run(readers: u64) -> Result<()> {
    let histories = profiles(readers, 42);
    let end = Timestamp::from_s(20_780 * 86_400);
    let normalizer = Normalizer::default();
    let items: HashMap<_, Item> = raw_items(histories.world(), "http://127.0.0.1:1", end)
        .map(|raw| from_content(&normalizer.normalize(&raw)))
        .map(|item| (item.content, item))
        .collect();
    let read_vector = [1i8; LANES];
    let (mut plain, mut learned) = (Vec::new(), Vec::new());
    for history in histories {
        let mut p = [Profile::default(); 2];
        for step in &history.interactions {
            let what = match step.kind {
                EventType::Like => Interaction::Like,
                EventType::Hide => Interaction::Less,
                _ => Interaction::Read,
            };
            let Some(item) = items.get(&step.content_id) else {
                continue;
            };
            for (profile, vector) in p.iter_mut().zip([None, Some((&read_vector[..], 256))]) {
                let view = ItemView {
                    short: step.content_id.short(),
                    topics: &item.topics,
                    read_vector: vector,
                    epoch: 1,
                    reading_time_min: item.minutes,
                };
                profile.consent = 1;
                apply(profile, &view, what, step.at.minute());
            }
        }
        plain.push(blob::encode(&p[0]).len());
        learned.push(blob::encode(&p[1]).len());
    }
    plain.sort_unstable();
    learned.sort_unstable();
    let middle = |v: &[usize]| v.get(v.len() / 2).copied().unwrap_or(0);
    let most = plain.last().max(learned.last()).copied().unwrap_or(0);
    println!(
        "{}",
        serde_json::json!({
            "readers": plain.len(), "max_bytes": most,
            "median_bytes": middle(&plain), "learned_median_bytes": middle(&learned),
        })
    );
    Ok(())
}
