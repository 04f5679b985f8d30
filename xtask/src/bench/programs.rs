//! What is built for the figures (release), and how its answers are read.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::progress::Step;
use crate::workspace::Workspace;

/// Runs a WASI command in Node, whose engine is the one of Workers; its output is the module's.
const NODE_WASI: &str = "
import { readFile } from 'node:fs/promises';
import { WASI } from 'node:wasi';
const wasi = new WASI({ version: 'preview1', args: ['bench'] });
const module = await WebAssembly.compile(await readFile(process.argv[1]));
wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
";
const WASI_TARGET: &str = "wasm32-wasip1";

/// Builds the origin and the parts of the benchmarks.
pub fn build(workspace: &Workspace, step: &Step) -> Result<()> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--release",
        "--package",
        "mediaflow-server",
        "--package",
        "mediaflow-tests",
        "--bins",
    ]))
}

/// Builds the component's host; alone, so that its many dependencies are built once.
pub fn build_host(workspace: &Workspace, step: &Step) -> Result<()> {
    step.must(&mut workspace.cargo(&[
        "build",
        "--release",
        "--package",
        "mediaflow-edge-host",
        "--bins",
    ]))
}

/// One of the programs.
pub fn program(workspace: &Workspace, name: &str) -> Command {
    let mut command = Command::new(workspace.target.join("release").join(name));
    command.current_dir(&workspace.root);
    command
}

/// `mediaflow-figures` with these arguments; what it prints.
pub fn figures(workspace: &Workspace, arguments: &[&str]) -> Result<Value> {
    let mut command = program(workspace, "mediaflow-figures");
    command.args(arguments);
    let text = printed(&mut command)?;
    serde_json::from_str(&text).with_context(|| format!("{command:?} printed no JSON: {text}"))
}

/// What a command prints on its standard output.
pub fn printed(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// An example that measures itself, printing `name nanoseconds` lines: natively, then in WASM by Node.
pub struct Twin {
    native: String,
    wasm: String,
}

impl Twin {
    /// Builds and runs both.
    pub fn run(
        workspace: &Workspace,
        step: &Step,
        package: &str,
        features: &str,
        example: &str,
    ) -> Result<Self> {
        let arguments = [
            "--package",
            package,
            "--example",
            example,
            "--features",
            features,
        ];
        step.must(workspace.cargo(&["build", "--release"]).args(arguments))?;
        // `-` in place of an absent rustup: a distribution's Rust may bring the target itself.
        let _ = step.run(
            Command::new("rustup")
                .args(["target", "add", WASI_TARGET])
                .current_dir(&workspace.root),
        );
        step.must(
            workspace
                .cargo(&["build", "--profile", "edge", "--target", WASI_TARGET])
                .args(arguments)
                .env("RUSTFLAGS", "-C target-feature=+simd128"),
        )?;
        let native: PathBuf = workspace.target.join("release/examples").join(example);
        let wasm = workspace
            .target
            .join(WASI_TARGET)
            .join("edge/examples")
            .join(format!("{example}.wasm"));
        Ok(Self {
            native: printed(&mut Command::new(native))?,
            wasm: printed(
                Command::new("node")
                    .args(["--no-warnings", "--input-type=module", "--eval", NODE_WASI])
                    .arg(wasm),
            )?,
        })
    }

    /// Microseconds of a figure: native, in WASM.
    pub fn us(&self, name: &str) -> Result<(f64, f64)> {
        let find = |text: &str| {
            text.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                (words.next() == Some(name)).then(|| words.next()?.parse::<f64>().ok())?
            })
        };
        find(&self.native)
            .zip(find(&self.wasm))
            .map(|(native, wasm)| (native / 1000.0, wasm / 1000.0))
            .with_context(|| format!("no figure {name} was printed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_in_both_outputs() {
        let twin = Twin {
            native: "# x\ndots 2000 ns 0.5 x\nall 5000".into(),
            wasm: "dots 4000\nall 9000".into(),
        };
        assert_eq!(twin.us("dots").unwrap(), (2.0, 4.0));
        assert!(twin.us("none").is_err());
    }
}
