//! The npm package of the shared ranking: `target/npm/mediaflow-wasm`, for bundlers, for a
//! browser without one, and for Node; each with its `.d.ts`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use wasm_bindgen_cli_support::Bindgen;

use super::optimize::{empty, finish, is_fresh, optimize, stamp};
use super::{PROFILE, bundle_size};
use crate::progress::Step;
use crate::workspace::Workspace;

/// Names the treatment in the stamp: change it when this file changes what it writes.
const RECIPE: &str = "npm 3";
/// The base name of the generated files.
const NAME: &str = "mediaflow_wasm";

/// Who loads the module; each is a folder of the package.
#[derive(Debug, Clone, Copy)]
enum Loader {
    Bundler,
    Web,
    Node,
}

impl Loader {
    fn folder(self) -> &'static str {
        match self {
            Self::Bundler => "bundler",
            Self::Web => "web",
            Self::Node => "node",
        }
    }
}

/// Builds the package and returns a note of the size of what one browser loads.
pub fn build_wasm(workspace: &Workspace, step: &Step) -> Result<String> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-wasm",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        PROFILE,
    ]))?;
    let compiled = workspace
        .target
        .join("wasm32-unknown-unknown")
        .join(PROFILE)
        .join("mediaflow_wasm.wasm");
    let package = workspace.output("npm/mediaflow-wasm");
    let stamp = stamp(&compiled, RECIPE)?;
    if !is_fresh(&package, &stamp) {
        empty(&package)?;
        for loader in [Loader::Bundler, Loader::Web, Loader::Node] {
            let folder = package.join(loader.folder());
            bind(&compiled, loader, &folder)?;
            optimize(workspace, step, &folder.join(format!("{NAME}_bg.wasm")))?;
        }
        fs::write(package.join("package.json"), manifest()?)?;
        finish(&package, &stamp)?;
    }
    Ok(bundle_size(&package.join("web"))?.to_string())
}

fn bind(compiled: &Path, loader: Loader, folder: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(compiled).out_name(NAME).typescript(true);
    match loader {
        Loader::Bundler => bindgen.bundler(true)?,
        // `init()` without arguments finds the module beside the script.
        Loader::Web => bindgen.web(true)?.omit_default_module_path(false),
        Loader::Node => bindgen.nodejs_module(true)?,
    };
    bindgen
        .generate(folder)
        .with_context(|| format!("wasm-bindgen failed on {}", loader.folder()))
}

fn manifest() -> Result<String> {
    let entry = |folder: &str| {
        json!({
            "types": format!("./{folder}/{NAME}.d.ts"),
            "default": format!("./{folder}/{NAME}.js"),
        })
    };
    let manifest = json!({
        "name": "mediaflow-wasm",
        "description": "MediaFlow's ranking, the same bits as at the edge",
        "version": env!("CARGO_PKG_VERSION"),
        "license": "Apache-2.0",
        "type": "module",
        "sideEffects": ["./bundler/*.js"],
        "files": ["bundler", "web", "node"],
        "exports": {
            ".": { "node": entry("node"), "default": entry("bundler") },
            "./web": entry("web"),
            "./web/mediaflow_wasm_bg.wasm": "./web/mediaflow_wasm_bg.wasm",
        },
    });
    Ok(serde_json::to_string_pretty(&manifest)? + "\n")
}
