//! The empty worker of the benchmarks: the floor that the real one is measured against.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::PROFILE;
use super::optimize::{empty, finish, is_fresh, optimize, stamp};
use super::worker::{ENTRY, bind, minify};
use crate::progress::Step;
use crate::workspace::Workspace;

/// Names the treatment in the stamp: change it when this file changes what it writes.
const RECIPE: &str = "empty worker 1";
const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "empty", worker = .empty)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "empty")],
);

const empty :Workerd.Worker = (
  modules = [
    (name = "entry.js", esModule = embed "entry.js"),
    (name = "index.js", esModule = embed "index.js"),
    (name = "snippets/worker/inline0.js", esModule = embed "snippets/worker/inline0.js"),
    (name = "index_bg.wasm", wasm = embed "index_bg.wasm"),
  ],
  compatibilityDate = "2026-10-01",
);
"#;

/// Builds it as the real one is built, and answers the configuration that workerd serves it by.
pub fn build_empty_worker(workspace: &Workspace, step: &Step) -> Result<PathBuf> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-edge-cloudflare",
        "--example",
        "empty",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        PROFILE,
    ]))?;
    let compiled = workspace
        .target
        .join("wasm32-unknown-unknown")
        .join(PROFILE)
        .join("examples/empty.wasm");
    let folder = workspace.output("empty-worker");
    let config = folder.join("config.capnp");
    let stamp = stamp(&compiled, RECIPE)?;
    if !is_fresh(&folder, &stamp) {
        empty(&folder)?;
        bind(&compiled, &folder)?;
        optimize(workspace, step, &folder.join("index_bg.wasm"))?;
        minify(workspace, step, &folder.join("index.js"))?;
        fs::write(folder.join("entry.js"), ENTRY)?;
        fs::write(&config, CONFIG)?;
        finish(&folder, &stamp)?;
    }
    Ok(config)
}
