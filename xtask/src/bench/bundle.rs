//! How much is uploaded to an edge.

use anyhow::Result;

use super::{Figure, Must};
use crate::bundle::{build_component, build_worker, bundle_size, component_file, file_size};
use crate::progress::Step;
use crate::workspace::Workspace;

/// The worker's files together; a larger bundle starts slower in every new isolate.
const WORKER_RAW_KB_MAX: f64 = 700.0;
/// As it travels. Cloudflare's own limit is ten times this.
const WORKER_GZIP_KB_MAX: f64 = 300.0;

/// Builds both edges if needed, and weighs them.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    build_worker(workspace, step)?;
    build_component(workspace, step)?;
    let worker = bundle_size(&workspace.output("worker"))?;
    let component = file_size(&component_file(workspace))?;
    let kb = |bytes: u64| bytes as f64 / 1000.0;
    Ok(vec![
        Figure::new(
            "worker bundle, raw",
            kb(worker.raw_bytes),
            "KB",
            Must::AtMost(WORKER_RAW_KB_MAX),
        ),
        Figure::new(
            "worker bundle, gzip",
            kb(worker.gzip_bytes),
            "KB",
            Must::AtMost(WORKER_GZIP_KB_MAX),
        ),
        Figure::new(
            "component, raw",
            kb(component.raw_bytes),
            "KB",
            Must::Nothing,
        ),
    ])
}
