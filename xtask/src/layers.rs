//! Who may import whom, read from `cargo metadata` and held as a test.
//!
//! `shared` knows nothing of ours; ports, the edge's core and the JS face know only `shared`;
//! services never know an adapter or each other; only `server` wires. Adapters of the edge stay
//! small, so that the request lives in `edge/core` once.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::Workspace;

/// Services meet only in log topics and stores.
const SERVICES: &[&str] = &["ingest", "enrich", "features", "publisher", "admin"];
/// Lines of one file of an edge adapter: an adapter translates, it does not decide.
const ADAPTER_LINES_MAX: usize = 300;
/// The edge adapters, whose files are counted.
const ADAPTERS: &[&str] = &["edge/cloudflare/src", "edge/spin/src"];

/// What one of our crates may name in its dependencies, without the prefix `mediaflow-`.
///
/// `None`: a crate that wires or tests, which may name any.
fn allowed(package: &str) -> Option<Vec<&'static str>> {
    Some(match package {
        "shared" | "test-servers" => vec![],
        "wasm" | "edge-core" | "ports" | "simulator" | "http" => vec!["shared"],
        "edge-cloudflare" | "edge-spin" | "edge-host" => vec!["shared", "edge-core"],
        "server" | "tests" | "xtask" => return None,
        service if SERVICES.contains(&service) => vec!["shared", "ports", "http"],
        // What is left are adapters of a port.
        _ => vec!["shared", "ports"],
    })
}

/// Every import that breaks the rules and every adapter file that has grown too long.
pub fn violations(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = imports(&workspace.metadata)?;
    for folder in ADAPTERS {
        long_files(workspace, &workspace.at(folder), &mut found)?;
    }
    Ok(found)
}

fn imports(metadata: &Value) -> Result<Vec<String>> {
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    let mut found = Vec::new();
    for package in packages {
        let Some(name) = ours(&package["name"]) else {
            continue;
        };
        let Some(allowed) = allowed(name) else {
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(imported) = ours(&dependency["name"]) else {
                continue;
            };
            // A service's own tests may stand on the embedded stores, an adapter's on a real server.
            let for_tests =
                dependency["kind"] == "dev" && matches!(imported, "embedded" | "test-servers");
            if imported != name && !allowed.contains(&imported) && !for_tests {
                found.push(format!(
                    "{name} imports {imported}, but may import only: {}",
                    if allowed.is_empty() {
                        "nothing of ours".into()
                    } else {
                        allowed.join(", ")
                    }
                ));
            }
        }
    }
    Ok(found)
}

fn ours(name: &Value) -> Option<&str> {
    let name = name.as_str()?;
    name.strip_prefix("mediaflow-")
        .or((name == "xtask").then_some(name))
}

fn long_files(workspace: &Workspace, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            long_files(workspace, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let lines = fs::read_to_string(&path)?.lines().count();
            if lines > ADAPTER_LINES_MAX {
                found.push(format!(
                    "{} has {lines} lines, more than the {ADAPTER_LINES_MAX} of an adapter: \
                     move what decides into edge/core",
                    workspace.relative(&path)
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph(importer: &str, imported: &str, kind: Value) -> Value {
        json!({ "packages": [{
            "name": importer,
            "dependencies": [{ "name": imported, "kind": kind }, { "name": "serde", "kind": null }],
        }] })
    }

    #[test]
    fn the_workspace_keeps_its_rules() {
        let workspace = Workspace::find().unwrap();
        assert_eq!(violations(&workspace).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_service_that_imports_a_service_or_an_adapter_is_named() {
        for imported in ["mediaflow-enrich", "mediaflow-embedded", "mediaflow-server"] {
            let found = imports(&graph("mediaflow-ingest", imported, Value::Null)).unwrap();
            assert_eq!(found.len(), 1, "{imported}");
            assert!(found[0].starts_with("ingest imports"), "{found:?}");
        }
    }

    #[test]
    fn a_service_may_test_itself_on_the_embedded_stores() {
        let graph = graph("mediaflow-ingest", "mediaflow-embedded", json!("dev"));
        assert_eq!(imports(&graph).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn shared_imports_nothing_of_ours_and_the_server_anything() {
        let shared = graph("mediaflow-shared", "mediaflow-ports", Value::Null);
        assert_eq!(imports(&shared).unwrap().len(), 1);
        let server = graph("mediaflow-server", "mediaflow-ports", Value::Null);
        assert_eq!(imports(&server).unwrap(), Vec::<String>::new());
    }
}
