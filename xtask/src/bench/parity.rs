//! Whether two targets write the same bytes. workerd, Chromium and the component are held to the same digest by
//! `tests/js/parity.test.js`.

use std::process::Command;

use anyhow::{Context, Result};

use super::programs::{self, printed};
use super::{Figure, Must};
use crate::bundle::build_wasm;
use crate::progress::Step;
use crate::workspace::Workspace;

const CASES: u32 = 1_000_000;
/// Cases of one digest: how finely a difference is counted.
const RANGE: u32 = 50_000;
/// Prints a digest a line, natively computed ones beside.
const NODE: &str = "
const { digest } = await import(process.argv[1]);
for (let from = 0; from < +process.argv[2]; from += +process.argv[3]) {
  console.log(BigInt.asUintN(64, digest(BigInt(from), +process.argv[3])).toString(16).padStart(16, '0'));
}
";

/// Ranks random cases natively and by the npm package in Node, both at once: one core each.
pub fn measure(workspace: &Workspace, step: &Step) -> Result<Vec<Figure>> {
    programs::build(workspace, step)?;
    build_wasm(workspace, step)?;
    let module = workspace.output("npm/mediaflow-wasm/node/mediaflow_wasm.js");
    let node = std::thread::spawn(move || {
        printed(
            Command::new("node")
                .args(["--no-warnings", "--input-type=module", "--eval", NODE])
                .arg(module)
                .args([CASES.to_string(), RANGE.to_string()]),
        )
    });
    let mut native = Vec::new();
    for from in (0..CASES).step_by(RANGE as usize) {
        let (from, cases) = (from.to_string(), RANGE.to_string());
        let answer = programs::figures(workspace, &["digest", "--from", &from, "--cases", &cases])?;
        let digest = answer["digest"]
            .as_str()
            .with_context(|| format!("no digest in {answer}"))?;
        native.push(digest.to_owned());
    }
    let node = node
        .join()
        .ok()
        .context("the thread that waits for Node ended early")??;
    let same = node.lines().zip(&native).filter(|(a, b)| a == b).count();
    Ok(vec![Figure::new(
        "random cases with the same bytes natively and in WASM (Node)",
        same as f64 * f64::from(RANGE),
        "",
        Must::AtLeast(f64::from(CASES)),
    )])
}
