//! The Spin component, where `spin.toml` names it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::size::file_size;
use crate::progress::Step;
use crate::workspace::Workspace;

/// Its cargo profile: fast before small, since a host compiles it once.
const PROFILE: &str = "component";
/// The component's file below a target folder; `spin.toml` says the same.
const FILE: &str = "wasm32-wasip2/component/mediaflow_edge_spin.wasm";

/// Where the built component is, wherever cargo's target folder may be.
pub fn component_file(workspace: &Workspace) -> PathBuf {
    workspace.output(FILE)
}

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
    let compiled = workspace.target.join(FILE);
    let file = component_file(workspace);
    if compiled != file {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&compiled, &file)
            .with_context(|| format!("{} is missing after its build", compiled.display()))?;
    }
    Ok(file_size(&file)?.to_string())
}
