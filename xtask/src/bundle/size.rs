//! Sizes as a deployment counts them: raw bytes, and gzip as they travel.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The bytes of a bundle's files together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BundleSize {
    /// Bytes as they lie on disk.
    pub raw_bytes: u64,
    /// Bytes after gzip, file by file.
    pub gzip_bytes: u64,
}

impl fmt::Display for BundleSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} KB raw, {} KB gzip",
            self.raw_bytes.div_ceil(1000),
            self.gzip_bytes.div_ceil(1000)
        )
    }
}

/// Adds up every file below `folder` that a deployment uploads: `.js` and `.wasm`.
pub fn bundle_size(folder: &Path) -> Result<BundleSize> {
    let mut total = BundleSize::default();
    for entry in fs::read_dir(folder)
        .with_context(|| format!("{} is missing: build it first", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            let inner = bundle_size(&path)?;
            total.raw_bytes += inner.raw_bytes;
            total.gzip_bytes += inner.gzip_bytes;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "js" || extension == "wasm")
        {
            let file = file_size(&path)?;
            total.raw_bytes += file.raw_bytes;
            total.gzip_bytes += file.gzip_bytes;
        }
    }
    Ok(total)
}

/// The size of one file.
pub fn file_size(path: &Path) -> Result<BundleSize> {
    let bytes = fs::read(path).with_context(|| format!("{} is missing", path.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&bytes)?;
    Ok(BundleSize {
        raw_bytes: bytes.len() as u64,
        gzip_bytes: encoder.finish()?.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_scripts_and_modules_below_the_folder_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("mediaflow-size-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("a.js"), [b'a'; 1000]).unwrap();
        fs::write(folder.join("inner/b.wasm"), [b'b'; 500]).unwrap();
        fs::write(folder.join("stamp"), [b'c'; 9000]).unwrap();
        let size = bundle_size(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(size.raw_bytes, 1500);
        assert!(size.gzip_bytes > 0 && size.gzip_bytes < 200, "{size:?}");
    }
}
