//! What a stopped origin holds: every event of its log as a line, for a recount outside of the product.
//!
//! `id,kind,reader,content,partition,offset`; reader is the pseudonym.

use anyhow::{Context, Result};
use mediaflow_embedded::Embedded;
use mediaflow_shared::event::{Event, TYPE_PREFIX};
use serde_json::Value;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

const TOPIC: &str = "events";
const READ_RECORDS: usize = 20_000;
const READ_BYTES: usize = 16 << 20;

/// Which log, and where to.
#[derive(Debug, clap::Args)]
pub struct Dump {
    /// Folder of the embedded database; no process may have it open
    #[arg(long)]
    db: PathBuf,
    /// File to write
    #[arg(long)]
    to: PathBuf,
}

/// Prints `{events}`.
pub async fn run(dump: &Dump) -> Result<()> {
    let log = Embedded::open(&dump.db)?.log();
    let file = File::create(&dump.to)
        .with_context(|| format!("{} cannot be written", dump.to.display()))?;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(b"id,kind,reader,content,partition,offset\n")?;
    let mut events = 0u64;
    for partition in 0..log.partitions(TOPIC).await? {
        let mut from = 0;
        loop {
            let records = log
                .read(TOPIC, partition, from, READ_RECORDS, READ_BYTES)
                .await?;
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            for r in &records {
                let e: Event = serde_json::from_slice(&r.record.value)
                    .with_context(|| format!("{TOPIC}/{partition} offset {}", r.offset))?;
                let kind = serde_json::to_value(e.kind)?;
                let text = |v: Option<String>| v.unwrap_or_default();
                writeln!(
                    out,
                    "{},{},{},{},{partition},{}",
                    e.id,
                    short(&kind),
                    text(e.data.reader.map(|p| p.to_string())),
                    text(e.data.content_id.map(|c| c.to_string())),
                    r.offset
                )?;
                events += 1;
            }
        }
    }
    out.flush()?;
    println!("{}", serde_json::json!({ "events": events }));
    Ok(())
}

/// `read` of `org.mediaflow.read.v1`.
fn short(kind: &Value) -> &str {
    let name = kind.as_str().unwrap_or_default();
    let name = name.strip_prefix(TYPE_PREFIX).unwrap_or(name);
    name.strip_suffix(".v1").unwrap_or(name)
}
