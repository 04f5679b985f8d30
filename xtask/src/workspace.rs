//! Where things are: the checkout, cargo's target folder, our outputs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The checkout and what `cargo metadata` says of it.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The folder that holds the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target folder; elsewhere when `CARGO_TARGET_DIR` says so.
    pub target: PathBuf,
    /// `cargo metadata --no-deps`, as printed.
    pub metadata: Value,
}

impl Workspace {
    /// Finds the workspace that this xtask was started from.
    pub fn find() -> Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(manifest_folder())
            .output()
            .context("cannot start cargo: install Rust with rustup")?;
        if !output.status.success() {
            bail!(
                "cargo metadata failed:\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        let path = |key: &str| {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .with_context(|| format!("cargo metadata names no {key}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            metadata,
        })
    }

    /// A file or folder of the checkout.
    pub fn at(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// What we build ourselves goes under the checkout's own `target`, wherever cargo's is:
    /// `wrangler.toml`, `spin.toml` and the tests name it by that path.
    pub fn output(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }

    /// A program or file inside an npm package of `tests/js`.
    ///
    /// # Errors
    /// When it is not installed; the message names the remedy.
    pub fn npm(&self, inside: &str) -> Result<PathBuf> {
        let path = self.at("tests/js/node_modules").join(inside);
        if !path.exists() {
            bail!(
                "{} is missing: run `cargo xtask tools`",
                self.relative(&path)
            );
        }
        Ok(path)
    }

    /// The runtime of Cloudflare Workers, one program inside its npm package.
    pub fn workerd(&self) -> Result<PathBuf> {
        let machine = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "64",
        };
        let system = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        self.npm(&format!(
            "@cloudflare/workerd-{system}-{machine}/bin/workerd"
        ))
    }

    /// A path as one says it from the root of the checkout.
    pub fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// `cargo` at the root of the checkout.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(cargo());
        command.args(arguments).current_dir(&self.root);
        command
    }
}

/// The cargo that started us, so that the pinned toolchain stays the one in use.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Set by `cargo run`; the compiled-in path serves a binary started by hand.
fn manifest_folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
}
