//! How large readers' profiles are, and what opening a token costs.

use anyhow::{Context, Result};

use super::programs::{self, Twin};
use super::{Figure, Must};
use crate::progress::Step;
use crate::workspace::Workspace;

/// A profile's layout ends here, and a cookie must carry it.
const BYTES_MAX: f64 = 256.0;
const BYTES_MEDIAN: f64 = 160.0;
const READERS: &str = "10000";
const OPEN_US: f64 = 3.0;

/// Folds the histories of simulated readers; opens one token many times.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    let sizes = programs::figures(workspace, &["blobs", "--readers", READERS])?;
    let bytes = |name: &str| {
        sizes[name]
            .as_f64()
            .with_context(|| format!("no {name} in {sizes}"))
    };
    let twin = Twin::run(workspace, step, "mediaflow-edge-core", "", "request_bench")?;
    let (native_us, wasm_us) = twin.us("open_and_decode")?;
    let (feed_native_us, feed_wasm_us) = twin.us("feed_personal")?;
    let limit = Must::AtMost;
    Ok(vec![
        Figure::new(
            "profile blob, largest of 10,000 readers",
            bytes("max_bytes")?,
            "B",
            limit(BYTES_MAX),
        ),
        Figure::new(
            "profile blob, median",
            bytes("median_bytes")?,
            "B",
            limit(BYTES_MEDIAN),
        ),
        Figure::new(
            "profile blob with learned lanes, median",
            bytes("learned_median_bytes")?,
            "B",
            Must::Nothing,
        ),
        Figure::new(
            "open a token and decode its profile, WASM",
            wasm_us,
            "µs",
            limit(OPEN_US),
        ),
        Figure::new("the same, native", native_us, "µs", Must::Nothing),
        Figure::new(
            "a personal feed inside the edge's core, WASM",
            feed_wasm_us,
            "µs",
            Must::Nothing,
        ),
        Figure::new("the same, native", feed_native_us, "µs", Must::Nothing),
    ])
}
