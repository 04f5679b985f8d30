//! `cargo deny`: licences, bans and sources always; advisories wherever their database is had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Outcome;
use crate::progress::Step;
use crate::tools;
use crate::workspace::Workspace;

/// The packed copy that lies beside the project on machines without a way to the database.
const SNAPSHOT: &str = "../shared/data/advisory-db";
/// cargo-deny derives this name from the database's address.
const DATABASE: &str = "advisory-db-3157b0e258782691";

/// Licences, bans and sources of every crate in the lock file.
pub fn licences(workspace: &Workspace, step: &Step) -> Result<Outcome> {
    // Metadata of crates for other systems is wanted too, and reading it must not go out again.
    step.must(&mut workspace.cargo(&["fetch", "--locked"]))?;
    step.must(deny(workspace)?.args(["--offline", "check", "licenses", "bans", "sources"]))?;
    Ok(Outcome::passed(""))
}

/// Known vulnerabilities and abandoned crates.
pub fn advisories(workspace: &Workspace, step: &Step) -> Result<Outcome> {
    if step.run(deny(workspace)?.args(["fetch", "db"]))?.success() {
        step.must(deny(workspace)?.args(["--offline", "check", "advisories"]))?;
        return Ok(Outcome::passed("database of today"));
    }
    let snapshot = workspace.at(SNAPSHOT);
    if !snapshot.exists() {
        return Ok(Outcome::skipped(
            "advisories: their database can neither be fetched nor found beside the project",
        ));
    }
    let database = unpack(workspace, step, &snapshot)?;
    let config = offline_config(workspace, &database)?;
    step.must(
        deny(workspace)?
            .args(["--offline", "--config"])
            .arg(config)
            .args(["check", "advisories"]),
    )?;
    Ok(Outcome::passed(&format!("snapshot in {SNAPSHOT}")))
}

fn deny(workspace: &Workspace) -> Result<Command> {
    let program =
        tools::deny_program(workspace).context("cargo-deny is missing: run `cargo xtask tools`")?;
    let mut command = Command::new(program);
    command.current_dir(&workspace.root);
    Ok(command)
}

/// Lays the snapshot out as the clone that cargo-deny expects, a repository of one commit.
fn unpack(workspace: &Workspace, step: &Step, snapshot: &Path) -> Result<PathBuf> {
    let databases = workspace.output("advisory-dbs");
    let clone = databases.join(DATABASE);
    if clone.join(".git").exists() {
        fs::remove_dir_all(&clone)?;
    }
    fs::create_dir_all(&clone)?;
    for entry in fs::read_dir(snapshot)? {
        let path = entry?.path();
        let name = path.display().to_string();
        if name.ends_with(".tar.gz") || name.ends_with(".tgz") || name.ends_with(".tar.xz") {
            step.must(
                Command::new("tar")
                    .arg("xf")
                    .arg(&path)
                    .arg("-C")
                    .arg(&clone),
            )?;
        }
    }
    flatten(&clone)?;
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=xtask", "-c", "user.email=xtask@localhost"])
            .args(arguments)
            .current_dir(&clone);
        command
    };
    step.must(&mut git(&["init", "--quiet"]))?;
    step.must(&mut git(&["add", "--all", "--force"]))?;
    step.must(&mut git(&["commit", "--quiet", "--message", "snapshot"]))?;
    Ok(databases)
}

/// An archive may hold everything in one folder; the advisories belong at the top.
fn flatten(clone: &Path) -> Result<()> {
    if clone.join("crates").exists() {
        return Ok(());
    }
    for entry in fs::read_dir(clone)? {
        let inner = entry?.path();
        if inner.join("crates").exists() {
            for file in fs::read_dir(&inner)? {
                let file = file?;
                fs::rename(file.path(), clone.join(file.file_name()))?;
            }
            return Ok(());
        }
    }
    bail!(
        "the advisory snapshot has no folder `crates`: {}",
        clone.display()
    )
}

/// `deny.toml` with the database's place, which the ordinary configuration leaves to cargo-deny.
fn offline_config(workspace: &Workspace, databases: &Path) -> Result<PathBuf> {
    let config = fs::read_to_string(workspace.at("deny.toml")).context("deny.toml is missing")?;
    let offline = config.replacen(
        "[advisories]\n",
        &format!(
            "[advisories]\ndb-path = {:?}\nmaximum-db-staleness = \"P365D\"\n",
            databases.display().to_string()
        ),
        1,
    );
    if offline == config {
        bail!("deny.toml has no section [advisories]");
    }
    let path = workspace.output("deny-offline.toml");
    fs::write(&path, offline)?;
    Ok(path)
}
