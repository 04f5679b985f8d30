//! What a fresh machine lacks, beyond Rust (rustup) and Node: installed when absent, else left.
//!
//! Everything comes from package registries by its ordinary client: Rust's compile targets from
//! rustup, `tests/js` from npm, cargo-deny by cargo, DuckDB by pip, Chromium, Redis and Prometheus from Debian.
//! Never replaces what is already there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::progress::{Progress, Step};
use crate::workspace::Workspace;

/// What the edges and the npm package are compiled for.
const TARGETS: &[&str] = &["wasm32-unknown-unknown", "wasm32-wasip2"];
/// Debian packages that tests need (Maven brings Java); each has a program that shows it is there, see [`program`].
const FOR_TESTS: &[&str] = &["chromium", "redis-server", "maven", "prometheus"];
/// And these only the benchmarks.
const FOR_BENCH: &[&str] = &["wrk"];

/// One tool: the name of its log, what a person reads, the work. The work returns a note.
pub type Tool = (
    &'static str,
    &'static str,
    fn(&Workspace, &Step) -> Result<String>,
);

/// The Rust targets of the pinned toolchain.
pub const RUST: Tool = ("tools-rust", "Rust's WebAssembly targets", rust_targets);
/// workerd, binaryen, wrangler and Chromium's driver.
pub const NPM: Tool = ("tools-npm", "JavaScript packages", npm_packages);
/// Chromium, Redis, and Maven, which fetches Kafka.
pub const DEBIAN: Tool = ("tools-debian", "Chromium, Redis, Maven", test_packages);
/// What counts events again outside of the product.
pub const DUCKDB: Tool = ("tools-duckdb", "DuckDB for Python", duckdb_package);
/// The check of dependencies.
pub const DENY: Tool = ("tools-deny", "cargo-deny", cargo_deny);
const BENCH: Tool = ("tools-bench", "wrk", bench_packages);

/// Installs everything, one after the other.
pub fn install(workspace: &Workspace, bench: bool) -> Result<()> {
    let mut tools = vec![RUST, NPM, DEBIAN, DUCKDB, DENY];
    if bench {
        tools.push(BENCH);
    }
    let mut progress = Progress::new(tools.len(), workspace.output("xtask-logs"));
    for (slug, name, work) in tools {
        let step = progress.begin(slug, name);
        step.clear();
        let outcome = work(workspace, &step);
        step.end(outcome.as_deref().unwrap_or("failed"));
        outcome?;
    }
    Ok(())
}

fn rust_targets(workspace: &Workspace, step: &Step) -> Result<String> {
    let installed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(&workspace.root)
        .output();
    let Ok(installed) = installed else {
        // A distribution's Rust has no rustup, and may well bring the targets itself.
        return Ok("rustup is not installed: assuming that its targets are there".into());
    };
    let installed = String::from_utf8_lossy(&installed.stdout).into_owned();
    let missing: Vec<&str> = TARGETS
        .iter()
        .copied()
        .filter(|target| !installed.lines().any(|line| line == *target))
        .collect();
    if missing.is_empty() {
        return Ok(String::new());
    }
    step.must(
        Command::new("rustup")
            .args(["target", "add"])
            .args(&missing)
            .current_dir(&workspace.root),
    )?;
    Ok(format!("added {}", missing.join(", ")))
}

fn npm_packages(workspace: &Workspace, step: &Step) -> Result<String> {
    let lock = fs::read(workspace.at("tests/js/package-lock.json"))
        .context("tests/js/package-lock.json is missing")?;
    let installed = workspace.at("tests/js/node_modules/.installed-lock.json");
    if fs::read(&installed).is_ok_and(|found| found == lock) {
        return Ok(String::new());
    }
    if !on_path("npm") {
        bail!("npm is not installed: install Node 20 or newer, then run this again");
    }
    step.must(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(workspace.at("tests/js")),
    )?;
    fs::write(installed, lock)?;
    Ok("installed".into())
}

/// The version that the recount was written with.
const DUCKDB_VERSION: &str = "duckdb==2.0.0";

/// Into a folder of ours: a distribution's Python refuses packages that are not its own.
fn duckdb_package(workspace: &Workspace, step: &Step) -> Result<String> {
    if duckdb(workspace).is_some() {
        return Ok(String::new());
    }
    let folder = workspace.output("duckdb");
    let installed = step.run(
        Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg(DUCKDB_VERSION)
            .current_dir(&workspace.root),
    );
    match installed {
        Ok(status) if status.success() => Ok("installed".into()),
        // Tests that need it are skipped by name.
        _ => Ok(format!(
            "absent: pip could not install it, see {}",
            workspace.relative(step.log())
        )),
    }
}

/// The folder to put on Python's path so that it finds DuckDB, when it does.
pub fn duckdb(workspace: &Workspace) -> Option<PathBuf> {
    let folder = workspace.output("duckdb");
    let found = Command::new("python3")
        .args(["-c", "import duckdb"])
        .env("PYTHONPATH", &folder)
        .output();
    found.is_ok_and(|o| o.status.success()).then_some(folder)
}

fn test_packages(workspace: &Workspace, step: &Step) -> Result<String> {
    debian(workspace, step, FOR_TESTS)
}

fn bench_packages(workspace: &Workspace, step: &Step) -> Result<String> {
    debian(workspace, step, FOR_BENCH)
}

/// Installs Debian packages when we may, and says what to do when we may not.
fn debian(workspace: &Workspace, step: &Step, packages: &[&str]) -> Result<String> {
    let missing = absent(packages);
    if missing.is_empty() {
        return Ok(String::new());
    }
    if !on_path("apt-get") || !is_root() {
        return Ok(format!(
            "absent: {}; install it to run the tests that need it",
            missing.join(", ")
        ));
    }
    // An old list of packages is worse than a failed refresh.
    let _ = step.run(apt(workspace).arg("update"));
    let status = step.run(
        apt(workspace)
            .args(["install", "--yes", "--no-install-recommends"])
            .args(&missing),
    )?;
    let missing = absent(packages);
    if missing.is_empty() {
        return Ok("installed".into());
    }
    Ok(format!(
        "absent: {} (apt-get: {status}, see {})",
        missing.join(", "),
        workspace.relative(step.log())
    ))
}

fn apt(workspace: &Workspace) -> Command {
    let mut command = Command::new("apt-get");
    command
        .current_dir(&workspace.root)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Packages must not start their servers: the tests start their own.
        .env("RUNLEVEL", "1");
    command
}

fn cargo_deny(workspace: &Workspace, step: &Step) -> Result<String> {
    if deny_program(workspace).is_some() {
        return Ok(String::new());
    }
    let root = workspace.output("tools");
    step.must(
        workspace
            .cargo(&["install", "cargo-deny", "--locked", "--root"])
            .arg(&root)
            // A folder of its own: it must not wait for the lock of the workspace's builds.
            .arg("--target-dir")
            .arg(root.join("build")),
    )?;
    // 700 MB that nothing needs again; what is left behind is only lost space.
    let _ = fs::remove_dir_all(root.join("build"));
    Ok("installed".into())
}

/// cargo-deny, from PATH or as we installed it.
pub fn deny_program(workspace: &Workspace) -> Option<PathBuf> {
    let ours = workspace.output("tools/bin/cargo-deny");
    if ours.exists() {
        return Some(ours);
    }
    find("cargo-deny")
}

/// Those of the test packages that are not installed.
pub fn absent_for_tests() -> Vec<&'static str> {
    absent(FOR_TESTS)
}

fn absent<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages
        .iter()
        .copied()
        .filter(|package| !on_path(program(package)))
        .collect()
}

/// The program by which a package is known to be there.
fn program(package: &str) -> &str {
    match package {
        "maven" => "mvn",
        same => same,
    }
}

fn on_path(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        // Debian puts servers where an ordinary user's PATH does not look.
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn is_root() -> bool {
    // The owner of our own entry in /proc is the user we run as.
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(Path::new("/proc/self")).is_ok_and(|entry| entry.uid() == 0)
    }
    #[cfg(not(unix))]
    {
        false
    }
}
