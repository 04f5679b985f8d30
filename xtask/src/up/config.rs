//! The configuration of a development origin: written anew at every start, so that it always fits
//! the programs beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use super::Ports;

/// The brand whose pages are shown and walked.
pub const BRAND: &str = "daily";
/// Its front page.
pub const SURFACE: &str = "home";
const TITLE: &str = "The Daily";
const HOME_URL: &str = "https://daily.example/";

/// How often fronts are rebuilt here: someone is waiting to see the change.
const FRONT_REBUILD_S: u32 = 5;

/// Writes `mediaflow.toml` into the folder of the data and returns its path.
pub fn write(data: &Path, ports: Ports) -> Result<PathBuf> {
    let Ports {
        origin, native, kv, ..
    } = ports;
    let text = format!(
        "# Written by `cargo xtask up` at every start.\n\
         listen = \"127.0.0.1:{origin}\"\n\
         edge_listen = \"127.0.0.1:{native}\"\n\
         kv_listen = \"127.0.0.1:{kv}\"\n\
         event_log = \"embedded:db\"\n\
         state_store = \"embedded:db\"\n\
         blob_store = \"embedded:db\"\n\
         front_rebuild_s = {FRONT_REBUILD_S}\n\
         \n\
         [[brand]]\n\
         slug = \"{BRAND}\"\n\
         title = \"{TITLE}\"\n\
         home_url = \"{HOME_URL}\"\n\
         languages = [\"en\"]\n\
         surfaces = [\"{SURFACE}\"]\n"
    );
    fs::create_dir_all(data)?;
    let file = data.join("mediaflow.toml");
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The same brand as the edges read it, from `MEDIAFLOW_BRANDS`.
pub fn edge_brands() -> String {
    json!([{
        "slug": BRAND,
        "title": TITLE,
        "home_url": HOME_URL,
        "languages": ["en"],
        "surfaces": [SURFACE],
    }])
    .to_string()
}
