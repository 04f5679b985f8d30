//! What ranking 500 candidates costs, beside the same code compiled natively.

use anyhow::Result;

use super::programs::Twin;
use super::{Figure, Must};
use crate::progress::Step;
use crate::workspace::Workspace;

const DOTS_US: f64 = 8.0;
const PIPELINE_US: f64 = 60.0;
const PIPELINE_RATIO: f64 = 2.0;

/// Runs the same example natively and in WASM.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    let twin = Twin::run(workspace, step, "mediaflow-shared", "testing", "rank_bench")?;
    let (dots_native_us, dots_us) = twin.us("dots_top30_500")?;
    let (native_us, wasm_us) = twin.us("pipeline_500")?;
    let limit = Must::AtMost;
    Ok(vec![
        Figure::new(
            "500 candidates: dot products and top 30, WASM",
            dots_us,
            "µs",
            limit(DOTS_US),
        ),
        Figure::new("the same, native", dots_native_us, "µs", Must::Nothing),
        Figure::new(
            "500 candidates: filters to reasons, WASM",
            wasm_us,
            "µs",
            limit(PIPELINE_US),
        ),
        Figure::new("the same, native", native_us, "µs", Must::Nothing),
        Figure::new(
            "500 candidates: filters to reasons, WASM over native",
            wasm_us / native_us,
            "×",
            limit(PIPELINE_RATIO),
        ),
    ])
}
