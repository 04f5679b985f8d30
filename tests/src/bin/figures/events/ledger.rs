//! What was acknowledged, written down outside of the product: what a recount counts.
//!
//! One line per event: `id,kind,reader,content,time_ms`.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::template::Template;

pub struct Ledger(Mutex<BufWriter<File>>);

impl Ledger {
    pub fn create(path: &Path) -> Result<Self> {
        let file =
            File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(b"id,kind,reader,content,time_ms\n")?;
        Ok(Self(Mutex::new(out)))
    }

    /// Adds the events of an acknowledged request.
    pub fn add(&self, template: &Template) -> Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(template.lines(&mut *out)?)
    }

    pub fn finish(&self) -> std::io::Result<()> {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.flush()
    }
}
