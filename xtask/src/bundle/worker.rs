//! The Cloudflare worker: `target/worker`, ready for workerd and for wrangler without a bundler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use super::optimize::{empty, finish, is_fresh, optimize, stamp};
use super::{PROFILE, bundle_size};
use crate::progress::Step;
use crate::workspace::Workspace;

/// The module that workerd starts. The fetch handler of index.js rebuilds its instance by itself
/// after a panic, so nothing has to be watched here.
pub(super) const ENTRY: &str =
    "import { fetch } from \"./index.js\";\n\nexport default { fetch };\n";
/// Names the treatment in the stamp: change it when this file changes what it writes.
const RECIPE: &str = "worker 3";
/// Written for raw workerd; every script of the bundle has to be embedded there.
pub const WORKERD_CONFIG: &str = "edge/cloudflare/workerd.capnp";

/// Builds the worker into `target/worker` and returns a note of its size.
pub fn build_worker(workspace: &Workspace, step: &Step) -> Result<String> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--package",
        "mediaflow-edge-cloudflare",
        "--target",
        "wasm32-unknown-unknown",
        "--profile",
        PROFILE,
    ]))?;
    let compiled = workspace
        .target
        .join("wasm32-unknown-unknown")
        .join(PROFILE)
        .join("mediaflow_edge_cloudflare.wasm");
    let folder = workspace.output("worker");
    let stamp = stamp(&compiled, RECIPE)?;
    if !is_fresh(&folder, &stamp) {
        empty(&folder)?;
        bind(&compiled, &folder)?;
        optimize(workspace, step, &folder.join("index_bg.wasm"))?;
        minify(workspace, step, &folder.join("index.js"))?;
        fs::write(folder.join("entry.js"), ENTRY)?;
        embedded_everywhere(workspace, &folder)?;
        finish(&folder, &stamp)?;
    }
    Ok(bundle_size(&folder)?.to_string())
}

pub(super) fn bind(compiled: &Path, folder: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(compiled)
        .out_name("index")
        .typescript(false)
        .module(true)?
        .reset_state_function(true)
        .force_enable_abort_handler(true)
        .generate(folder)
        .context("wasm-bindgen failed on the worker")?;
    let script = folder.join("index.js");
    // workerd and wrangler link a `.wasm` import as a module; neither knows source phase imports.
    let text = fs::read_to_string(&script)?.replace("import source ", "import ");
    fs::write(&script, stable_snippets(folder, text)?)?;
    Ok(())
}

/// Halves the glue, which names every class of the Workers API and comments on it.
pub(super) fn minify(workspace: &Workspace, step: &Step, script: &Path) -> Result<()> {
    workspace.npm("esbuild/package.json")?;
    // The API finds the program for this machine; its command-line wrapper wants a postinstall.
    step.must(
        Command::new("node")
            .arg("--eval")
            .arg(
                "require('esbuild').buildSync({ entryPoints: [process.argv[1]], \
                 outfile: process.argv[1], allowOverwrite: true, minify: true, format: 'esm' })",
            )
            .arg(script)
            .current_dir(workspace.at("tests/js")),
    )
}

/// wasm-bindgen names a snippet's folder by a hash of its crate; a configuration needs one name.
fn stable_snippets(folder: &Path, mut script: String) -> Result<String> {
    let snippets = folder.join("snippets");
    if !snippets.exists() {
        return Ok(script);
    }
    for entry in fs::read_dir(&snippets)? {
        let entry = entry?;
        let hashed = entry.file_name().to_string_lossy().into_owned();
        let Some((stable, _hash)) = hashed.rsplit_once('-') else {
            continue;
        };
        fs::rename(entry.path(), snippets.join(stable))?;
        script = script.replace(
            &format!("snippets/{hashed}/"),
            &format!("snippets/{stable}/"),
        );
    }
    Ok(script)
}

/// Holds raw workerd's configuration to the files that there are.
fn embedded_everywhere(workspace: &Workspace, folder: &Path) -> Result<()> {
    let config = fs::read_to_string(workspace.at(WORKERD_CONFIG))
        .with_context(|| format!("{WORKERD_CONFIG} is missing"))?;
    for file in files(folder)? {
        let name = file.strip_prefix(folder)?.display().to_string();
        if !config.contains(&format!("target/worker/{name}\"")) {
            bail!(
                "the worker has the file {name}, but {WORKERD_CONFIG} does not embed it: add it there"
            );
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
