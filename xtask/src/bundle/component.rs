//! The Spin component: `target/component/mediaflow-edge-spin.wasm`.

use std::fs;

use anyhow::{Context, Result};

use super::{PROFILE, bundle_size};
use crate::progress::Step;
use crate::workspace::Workspace;

/// Builds the component and returns a note of its size. The target emits components directly.
pub fn build_component(workspace: &Workspace, step: &Step) -> Result<String> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-edge-spin",
        "--target",
        "wasm32-wasip2",
        "--profile",
        PROFILE,
    ]))?;
    let compiled = workspace
        .target
        .join("wasm32-wasip2")
        .join(PROFILE)
        .join("mediaflow_edge_spin.wasm");
    let folder = workspace.output("component");
    fs::create_dir_all(&folder)?;
    fs::copy(&compiled, folder.join("mediaflow-edge-spin.wasm"))
        .with_context(|| format!("{} is missing after its build", compiled.display()))?;
    Ok(bundle_size(&folder)?.to_string())
}
