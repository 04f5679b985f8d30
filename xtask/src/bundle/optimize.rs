//! `wasm-opt` from npm's binaryen, and the stamp that spares it when nothing changed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::workspace::Workspace;

/// What the compiler and wasm-bindgen may have used; binaryen refuses what is not named.
const ARGUMENTS: &[&str] = &[
    "-O3",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-exception-handling",
    "--enable-extended-const",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// Optimizes a module in place.
pub fn optimize(workspace: &Workspace, step: &Step, module: &Path) -> Result<()> {
    let program = workspace.npm("binaryen/bin/wasm-opt")?;
    let optimized = module.with_extension("optimized");
    // The program is JavaScript: npm's shebang would find another node than ours on no machine,
    // but the executable bit does not survive every unpacking.
    step.must(
        Command::new("node")
            .arg(program)
            .args(ARGUMENTS)
            .arg(module)
            .arg("-o")
            .arg(&optimized),
    )?;
    fs::rename(&optimized, module).with_context(|| format!("cannot replace {}", module.display()))
}

/// What an output was made from: the compiled module and how it is treated.
///
/// A stamp that is equal means that the output is up to date.
pub fn stamp(input: &Path, recipe: &str) -> Result<String> {
    let bytes = fs::read(input)
        .with_context(|| format!("{} is missing after its build", input.display()))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    ARGUMENTS.hash(&mut hasher);
    recipe.hash(&mut hasher);
    Ok(format!("{:016x}\n", hasher.finish()))
}

/// Whether `folder` was finished from exactly this stamp.
pub fn is_fresh(folder: &Path, stamp: &str) -> bool {
    fs::read_to_string(folder.join("stamp")).is_ok_and(|found| found == stamp)
}

/// Records that `folder` is finished; written last, so that an interrupted build is redone.
pub fn finish(folder: &Path, stamp: &str) -> Result<()> {
    fs::write(folder.join("stamp"), stamp)
        .with_context(|| format!("cannot write into {}", folder.display()))
}

/// An empty folder in place of whatever was there.
pub fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}
