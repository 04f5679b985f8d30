//! The configuration of a development origin: the simulated publisher's brands and sources,
//! written anew at every start, so that it always fits the programs beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Ports;
use super::stack::Stack;

/// The front page that every brand has.
pub const SURFACE: &str = "home";
/// How often fronts are rebuilt here: someone is waiting to see the change.
const FRONT_REBUILD_S: u32 = 5;
/// Seconds between two polls of a source, for the same reason.
const POLL_S: u32 = 2;

/// What the programs are started with.
#[derive(Debug)]
pub struct Configuration {
    /// `mediaflow.toml`, beside `sources.toml`.
    pub file: PathBuf,
    /// The brands as the edges read them, from `MEDIAFLOW_BRANDS`.
    pub edge_brands: String,
    /// The brand whose pages are shown and walked: the first.
    pub brand: String,
}

/// Has `mediaflow simulate config` write both files into the folder of the data.
pub fn write(
    mut mediaflow: Command,
    data: &Path,
    ports: Ports,
    cms: SocketAddr,
    stack: &Stack,
) -> Result<Configuration> {
    let Ports {
        origin, native, kv, ..
    } = ports;
    let head = [
        format!("listen = \"127.0.0.1:{origin}\""),
        format!("edge_listen = \"127.0.0.1:{native}\""),
        format!("kv_listen = \"127.0.0.1:{kv}\""),
        format!("front_rebuild_s = {FRONT_REBUILD_S}"),
        format!("event_log = \"{}\"", stack.event_log()),
        format!("state_store = \"{}\"", stack.state_store()),
        "blob_store = \"embedded:db\"".into(),
    ];
    mediaflow
        .args(["simulate", "config"])
        .arg(data)
        .args(["--cms", &format!("http://{cms}")])
        .args(["--poll-s", &POLL_S.to_string()]);
    for line in head {
        mediaflow.args(["--head", &line]);
    }
    printed(mediaflow)?;
    let file = data.join("mediaflow.toml");
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let brands = brands(&text).with_context(|| file.display().to_string())?;
    Ok(Configuration {
        brand: brands[0]["slug"]
            .as_str()
            .context("the first brand has no slug")?
            .to_owned(),
        edge_brands: Value::Array(brands).to_string(),
        file,
    })
}

/// The secrets with which the simulated sources sign, as the origin takes them.
pub fn webhook_secrets(mut mediaflow: Command) -> Result<String> {
    mediaflow.args(["simulate", "secrets"]);
    printed(mediaflow)
}

/// `[[brand]]` of the origin's file without what only the origin needs.
fn brands(text: &str) -> Result<Vec<Value>> {
    let mut file: Value = toml::from_str(text)?;
    let Value::Array(mut brands) = file["brand"].take() else {
        bail!("has no [[brand]]");
    };
    for brand in &mut brands {
        if let Some(brand) = brand.as_object_mut() {
            brand.remove("taxonomy");
            brand.remove("model");
        }
    }
    Ok(brands)
}

/// What a short command prints on its standard output.
fn printed(mut command: Command) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_get_the_brands_without_what_the_origin_keeps() {
        let text = "listen = \"127.0.0.1:0\"\n[[brand]]\nslug = \"a\"\ntitle = \"A\"\n\
                    surfaces = [\"home\", { slug = \"law\", title = \"Law\" }]\n\
                    [brand.taxonomy]\n\"Economy\" = \"economy\"\n";
        let brands = Value::Array(brands(text).unwrap()).to_string();
        assert_eq!(
            brands,
            "[{\"slug\":\"a\",\"surfaces\":[\"home\",{\"slug\":\"law\",\"title\":\"Law\"}],\"title\":\"A\"}]"
        );
    }

    #[test]
    fn a_file_without_brands_is_refused() {
        assert!(brands("listen = \"127.0.0.1:0\"\n").is_err());
    }
}
