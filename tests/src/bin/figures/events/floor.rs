//! The disk's own rate: the same bytes in a plain file, with as many syncs.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

/// What to write.
#[derive(Debug, clap::Args)]
pub struct Floor {
    /// Folder on the disk that is measured
    #[arg(long)]
    dir: PathBuf,
    /// Bytes in all
    #[arg(long)]
    bytes: u64,
    /// Calls of fdatasync, evenly between them
    #[arg(long)]
    syncs: u64,
}

/// Prints `{bytes, syncs, seconds}`.
pub fn run(floor: &Floor) -> Result<()> {
    ensure!(floor.syncs > 0, "at least one sync");
    let path = floor.dir.join("floor");
    let part = vec![0x5a_u8; usize::try_from(floor.bytes / floor.syncs)?];
    let begun = Instant::now();
    let mut file =
        File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    for _ in 0..floor.syncs {
        file.write_all(&part)?;
        file.sync_data()?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(&path)?;
    println!(
        "{}",
        serde_json::json!({"bytes": part.len() as u64 * floor.syncs, "syncs": floor.syncs, "seconds": seconds})
    );
    Ok(())
}
