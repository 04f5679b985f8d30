//! Writes `fuzz/seeds/`: `cargo run -p mediaflow-shared --features testing --example fuzz_seeds`. Run it after a
//! change of a wire format; the seeds are small random cases and one record of each JSON contract.

use mediaflow_shared::id::{ContentId, Pseudonym};
use mediaflow_shared::rank::{self, Scratch};
use mediaflow_shared::served::{Exposure, SERVED_VERSION, Served, ServedSlot};
use mediaflow_shared::testing::{self, BRAND, EXPOSURE_KEY, SURFACE, case};
use mediaflow_shared::time::Minute;
use mediaflow_shared::wire::HEADER_BYTES;
use std::path::Path;

const EVENT: &str = r#"{"specversion":"1.0","id":"e1","source":"https://daily.example/web","type":"org.mediaflow.read.v1","time":"2026-11-21T08:00:00Z","subject":"00000000000000ff","data":{"brand":"daily","content_id":"00000000000000ff","dwell_s":41.5,"mute":{"topic":"weather"}}}"#;
const RAW: &str = r#"{"version":1,"source":"wp","source_cms":"wordpress","original_id":"42","brand":"daily","title":"<b>T</b>","published":1795248000,"modified":"2026-11-21T08:00:00Z","images":[{"url":"https://daily.example/i.jpg"}],"ingested_at":"2026-11-21T08:00:00Z"}"#;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)
    };
    // Fronts of few items, so that the files stay small.
    let small = (0..200u64)
        .map(|group| group * testing::SEEDS_PER_FRONT)
        .filter(|seed| case(*seed).front.len() < 6000)
        .take(3);
    for (i, seed) in small.enumerate() {
        let front = case(seed).front;
        write("front", &format!("front-{i}"), &front)?;
        write("front", &format!("payload-{i}"), &front[HEADER_BYTES..])?;
    }
    let with = (0..10_000u64).step_by(16).map(case);
    let with = with.filter(|c| !c.rules.is_empty() && !c.profile.is_empty());
    for (i, c) in with.take(4).enumerate() {
        write("rules", &format!("rules-{i}"), &c.rules)?;
        write("rules", &format!("payload-{i}"), &c.rules[HEADER_BYTES..])?;
        write("model", &format!("model-{i}"), &c.model)?;
        write("model", &format!("payload-{i}"), &c.model[HEADER_BYTES..])?;
        write("blob", &format!("blob-{i}"), &c.profile)?;
        // The target adds the checksum.
        let unsealed = &c.profile[..c.profile.len() - 4];
        write("blob", &format!("unsealed-{i}"), unsealed)?;
        let Some(o) = c.open() else { continue };
        let (query, id) = (o.query(), o.feed_id());
        let slate = rank::rank(&query, &mut Scratch::default());
        let served = Served {
            version: SERVED_VERSION,
            feed_id: id.text(),
            at: o.minute.start(),
            edge: "edge-1".into(),
            brand: BRAND.into(),
            surface: SURFACE.into(),
            rung: 0,
            front: id.front,
            rules: id.rules,
            revision: query.rules.map_or(0, |r| r.revision),
            model: id.model,
            minute: o.minute,
            profile: o.blob.clone(),
            reader: Some(Pseudonym([7; 16])),
            request: o.request,
            slots: slate
                .slots
                .iter()
                .map(|s| ServedSlot {
                    content: s.content,
                    score: s.score,
                    propensity: s.propensity,
                })
                .collect(),
            profile_age_s: Some(3),
            front_age_s: 60,
            body_hash: 1,
        };
        write("served", &format!("served-{i}"), &served.encode())?;
        write("served", &format!("feed-id-{i}"), id.text().as_bytes())?;
    }
    let exposure = Exposure {
        content: ContentId(42),
        slot: 3,
        propensity: 65_535,
        expires: Minute(u32::MAX),
        feed: 9,
    };
    write(
        "served",
        "exposure",
        exposure.seal(&EXPOSURE_KEY).as_bytes(),
    )?;
    write("event", "event", EVENT.as_bytes())?;
    write("event", "raw-item", RAW.as_bytes())?;
    let article = serde_json::to_vec(&testing::article())?;
    write("event", "article", &article)
}
