//! What clients were told is taken: a file of ids, one a line, synced after every acknowledgement.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Shared by all clients of a fault.
#[derive(Debug, Clone)]
pub struct Ledger {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl Ledger {
    /// A new one.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).with_context(|| format!("{}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// Notes ids that were acknowledged.
    pub fn note(&self, ids: &[String]) {
        let mut lines = ids.join("\n");
        lines.push('\n');
        let mut file = self.file.lock().expect("no client panics while it notes");
        file.write_all(lines.as_bytes())
            .and_then(|()| file.sync_data())
            .expect("the ledger's disk is not the one under test");
    }

    /// Every id noted.
    pub fn read(&self) -> Result<BTreeSet<String>> {
        let text = std::fs::read_to_string(&self.path)?;
        ensure!(!text.is_empty(), "nothing was ever acknowledged");
        Ok(text.lines().map(str::to_owned).collect())
    }
}
