//! Event files: CSV or JSON lines, gzipped or not, by a mapping of columns.
//!
//! ```toml
//! format = "csv"                        # or "jsonl"
//! source = "import:deskdrop"            # CloudEvents source: with the row's id, the key of deduplication
//! brand = "deskdrop"
//! content_source = "deskdrop"           # content ids are made from it and the column; absent: they are ids
//! default_type = "view"                 # for types that `types` does not name; absent: the row is refused
//! [columns]
//! time = "timestamp"                    # seconds, milliseconds or RFC 3339
//! type = "eventType"
//! content = "contentId"
//! reader = "personId"
//! session = "sessionId"
//! user_agent = "userAgent"
//! country = "userCountry"
//! [types]
//! VIEW = "read"
//! LIKE = "like"
//! ```

use mediaflow_shared::event::TYPE_PREFIX;
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::size_of;
use crate::collector::{Caller, Collector};
use crate::error::{IngestError, IngestResult};
use crate::json::text_of;

/// Events sent to the collector at once.
const BATCH: usize = 500;
/// Longest line of a JSON-lines file.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Numbers above this are milliseconds (see S0-06).
const MILLISECONDS_FROM: f64 = 1e11;

/// Layout of an event file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventFormat {
    /// With a header line.
    Csv,
    /// One object a line.
    Jsonl,
}

/// Which column is what.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMapping {
    /// Layout of the file.
    pub format: EventFormat,
    /// CloudEvents `source` of every event.
    pub source: String,
    /// Brand slug of every event.
    pub brand: String,
    /// Surface slug of every event.
    #[serde(default)]
    pub surface: Option<String>,
    /// Source slug under which the items were imported; absent when the column holds content ids.
    #[serde(default)]
    pub content_source: Option<String>,
    /// Type of rows whose own is not in `types`.
    #[serde(default)]
    pub default_type: Option<String>,
    /// Field → column: `id`, `time`, `type`, `content`, `reader`, `session`, `user_agent`, `country`,
    /// `device`, `dwell_s`, `position_s`, `duration_s`. Without `id` the row number is the id.
    pub columns: BTreeMap<String, String>,
    /// The file's type → ours (`read`, `view`, `click`, `like` …).
    #[serde(default)]
    pub types: BTreeMap<String, String>,
}

/// How far an event import is; every row read is in exactly one of the three counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventProgress {
    /// Bytes of the file that are behind.
    pub bytes_done: u64,
    /// Bytes of the file.
    pub bytes_total: u64,
    /// New events.
    pub accepted: u64,
    /// Events that were there before.
    pub duplicates: u64,
    /// Rows that are no event; the collector keeps those it saw in `dead-letters`.
    pub rejected: u64,
}

const FIELDS: [&str; 12] = [
    "id",
    "time",
    "type",
    "content",
    "reader",
    "session",
    "user_agent",
    "country",
    "device",
    "dwell_s",
    "position_s",
    "duration_s",
];

impl EventMapping {
    /// Reads a mapping from TOML.
    ///
    /// # Errors
    /// [`IngestError::Config`] naming what is wrong.
    pub fn parse(text: &str) -> IngestResult<Self> {
        let mapping: Self = toml::from_str(text).map_err(|e| {
            IngestError::config("event mapping", e.to_string().trim_end().to_owned())
        })?;
        match mapping
            .columns
            .keys()
            .find(|k| !FIELDS.contains(&k.as_str()))
        {
            Some(k) => Err(IngestError::config(
                format!("event mapping, columns.{k}"),
                format!("is no field; use one of {}", FIELDS.join(", ")),
            )),
            None => Ok(mapping),
        }
    }

    /// The event of a row, and the user agent it names. `row` counts from 1.
    #[must_use]
    pub fn event(&self, row: u64, get: &dyn Fn(&str) -> Option<String>) -> (Value, Option<String>) {
        let field = |name: &str| {
            self.columns
                .get(name)
                .and_then(|c| get(c))
                .filter(|v| !v.trim().is_empty())
        };
        let given = field("type").unwrap_or_default();
        let kind = self
            .types
            .get(&given)
            .or(self.default_type.as_ref())
            .unwrap_or(&given);
        let mut data = Map::new();
        data.insert("brand".into(), json!(self.brand));
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                data.insert(name.to_owned(), value);
            }
        };
        put("surface", self.surface.as_ref().map(|s| json!(s)));
        put(
            "content_id",
            field("content").map(|c| match &self.content_source {
                Some(source) => json!(ContentId::of(source, &c)),
                None => json!(c),
            }),
        );
        for name in ["session", "country", "device"] {
            put(name, field(name).map(Value::String));
        }
        for name in ["dwell_s", "position_s", "duration_s"] {
            put(
                name,
                field(name)
                    .and_then(|v| v.parse::<f64>().ok())
                    .map(|v| json!(v)),
            );
        }
        let mut event = json!({
            "specversion": "1.0",
            "id": field("id").unwrap_or_else(|| format!("row-{row}")),
            "source": self.source,
            "type": format!("{TYPE_PREFIX}{kind}.v1"),
            "data": data,
        });
        if let Some(o) = event.as_object_mut() {
            if let Some(t) = field("time") {
                o.insert("time".into(), time(&t));
            }
            if let Some(r) = field("reader") {
                o.insert("readerid".into(), json!(r));
            }
        }
        (event, field("user_agent"))
    }
}

/// RFC 3339 of seconds or milliseconds; other text as it is, for the collector to judge.
fn time(text: &str) -> Value {
    match text.trim().parse::<f64>() {
        Ok(n) => {
            let ms = if n.abs() > MILLISECONDS_FROM {
                n
            } else {
                n * 1_000.0
            };
            json!(Timestamp(ms as i64))
        }
        Err(_) => json!(text),
    }
}

/// Reads the file row by row and hands each event and its user agent to `each`, with the bytes behind.
///
/// # Errors
/// [`IngestError`] when the file cannot be read or `each` refuses; a row that is malformed is passed to
/// `each` as `None`.
pub fn read(
    path: &Path,
    mapping: &EventMapping,
    mut each: impl FnMut(Option<(Value, Option<String>)>, u64) -> IngestResult<()>,
) -> IngestResult<()> {
    let (file, behind) = open(path)?;
    let at_byte = || behind.load(Ordering::Relaxed);
    match mapping.format {
        EventFormat::Csv => {
            let mut reader = csv::ReaderBuilder::new()
                .flexible(true)
                .from_reader(BufReader::new(file));
            let bad = |e: csv::Error| {
                IngestError::malformed(path.display().to_string(), e, "give CSV with a header line")
            };
            let header = reader.headers().map_err(bad)?.clone();
            let at: HashMap<&str, usize> = header
                .iter()
                .enumerate()
                .map(|(i, h)| (h.trim(), i))
                .collect();
            if let Some(c) = mapping
                .columns
                .values()
                .find(|c| !at.contains_key(c.as_str()))
            {
                return Err(IngestError::malformed(
                    path.display().to_string(),
                    format!("has no column {c:?}"),
                    "compare the header line with the mapping",
                ));
            }
            let mut record = csv::StringRecord::new();
            for row in 1.. {
                match reader.read_record(&mut record) {
                    Ok(false) => break,
                    Ok(true) => {
                        let get =
                            |c: &str| at.get(c).and_then(|i| record.get(*i)).map(str::to_owned);
                        let event = mapping.event(row, &get);
                        each(Some(event), at_byte())?;
                    }
                    Err(e) if e.is_io_error() => return Err(bad(e)),
                    Err(_) => each(None, at_byte())?,
                }
            }
        }
        EventFormat::Jsonl => {
            for (row, line) in (1u64..).zip(BufReader::new(file).split(b'\n')) {
                let line = line.map_err(|e| IngestError::io(path, e))?;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let value = (line.len() <= LINE_BYTES_MAX)
                    .then(|| serde_json::from_slice::<Value>(&line).ok())
                    .flatten();
                let event = value.map(|v| mapping.event(row, &|c: &str| column(&v, c)));
                each(event, at_byte())?;
            }
        }
    }
    Ok(())
}

/// The file, decompressed when its name ends in `.gz`, and how many of its bytes were read.
fn open(path: &Path) -> IngestResult<(Box<dyn Read>, Arc<AtomicU64>)> {
    let file = File::open(path).map_err(|e| IngestError::io(path, e))?;
    let behind = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        file,
        behind: behind.clone(),
    };
    let reader: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(counted)))
    } else {
        Box::new(counted)
    };
    Ok((reader, behind))
}

struct Counted {
    file: File,
    behind: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buf)?;
        self.behind.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// A key of the object, or a JSON pointer.
fn column(v: &Value, name: &str) -> Option<String> {
    if name.starts_with('/') {
        v.pointer(name)
    } else {
        v.get(name)
    }
    .and_then(text_of)
}

/// Imports an event file into the collector. Rows go in the file's order; their times may be old.
///
/// # Errors
/// [`IngestError`]; what was reported before is durable.
pub async fn import(
    path: &Path,
    mapping: EventMapping,
    collector: &Arc<Collector>,
    mut progress: impl FnMut(EventProgress) + Send,
) -> IngestResult<EventProgress> {
    let mut state = EventProgress {
        bytes_total: size_of(path)?,
        ..EventProgress::default()
    };
    let (tx, mut rx) = tokio::sync::mpsc::channel(4);
    let file = path.to_owned();
    let judge = Arc::clone(collector);
    let reading = tokio::task::spawn_blocking(move || {
        let gone = |_| IngestError::malformed("import", "was given up", "see the error before");
        let mut batch: Vec<Value> = Vec::with_capacity(BATCH);
        let (mut malformed, mut behind) = (0u64, 0u64);
        read(&file, &mapping, |row, at| {
            behind = at;
            match row {
                Some((mut event, agent)) => {
                    if agent.is_some_and(|a| judge.is_bot(&a)) {
                        event["data"]["bot"] = Value::Bool(true);
                    }
                    batch.push(event);
                }
                None => malformed += 1,
            }
            if batch.len() < BATCH {
                return Ok(());
            }
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            tx.blocking_send((full, std::mem::take(&mut malformed), at))
                .map_err(gone)
        })?;
        tx.blocking_send((batch, malformed, behind))
            .map_err(|_| IngestError::malformed("import", "was given up", "see the error before"))
    });
    // The operator's own file is as trusted as an edge: times may be old, robots are judged above.
    let caller = Caller {
        edge: true,
        ..Caller::default()
    };
    while let Some((batch, malformed, behind)) = rx.recv().await {
        state.rejected += malformed;
        if !batch.is_empty() {
            let report = collector
                .collect(&Value::Array(batch).to_string(), caller.clone())
                .await?;
            state.accepted += report.accepted as u64;
            state.duplicates += report.duplicates as u64;
            state.rejected += report.rejected.len() as u64;
        }
        state.bytes_done = behind;
        progress(state);
    }
    reading
        .await
        .map_err(|e| IngestError::malformed("import", e, "report this defect"))??;
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{CollectorConfig, TOPIC_EVENTS, exposure_check};
    use crate::fakes::Stores;
    use mediaflow_http::Secret;

    const MAPPING: &str = r#"
        format = "csv"
        source = "import:test"
        brand = "daily"
        content_source = "wp"
        [columns]
        time = "ts"
        type = "what"
        content = "item"
        reader = "who"
        user_agent = "ua"
        [types]
        VIEW = "read"
        LIKE = "like"
    "#;

    async fn run(text: &str, s: &Stores) -> EventProgress {
        let dir = std::env::temp_dir().join(format!(
            "mediaflow-events-{}-{}",
            std::process::id(),
            text.len()
        ));
        std::fs::write(&dir, text).unwrap();
        let config = CollectorConfig {
            brands: HashMap::new(),
            reader_key: Secret::new([1; 32]).into(),
            edge_token: Secret::new("edge"),
            exposure: exposure_check([1; 16]),
            collect: Arc::default(),
        };
        let c = Collector::open(s.log.clone(), s.clock.clone(), config, &s.metrics)
            .await
            .unwrap();
        let done = import(
            &dir,
            EventMapping::parse(MAPPING).unwrap(),
            &Arc::new(c),
            |_| {},
        )
        .await;
        std::fs::remove_file(&dir).unwrap();
        done.unwrap()
    }

    #[tokio::test]
    async fn rows_become_events_once_with_their_own_times() {
        let s = Stores::new();
        let csv = "ts,what,item,who,ua\n1460000000,VIEW,7,ann,Mozilla/5.0\n1460000001000,LIKE,7,ann,Googlebot/2.1\n\
                   1460000002,POKE,7,bob,\n";
        let first = run(csv, &s).await;
        assert_eq!(
            (first.accepted, first.duplicates, first.rejected),
            (2, 0, 1)
        );
        assert_eq!(first.bytes_done, first.bytes_total);
        assert_eq!(run(csv, &s).await.duplicates, 2);
        let events: Vec<mediaflow_shared::event::Event> = s
            .records(TOPIC_EVENTS)
            .await
            .iter()
            .map(|r| serde_json::from_slice(&r.record.value).unwrap())
            .collect();
        let read = events.iter().find(|e| e.id == "row-1").unwrap();
        assert_eq!(read.time, Some(Timestamp::from_s(1_460_000_000)));
        assert_eq!(read.data.content_id, Some(ContentId::of("wp", "7")));
        let like = events.iter().find(|e| e.id == "row-2").unwrap();
        assert_eq!(
            (like.data.bot, like.data.reader),
            (Some(true), read.data.reader)
        );
    }

    #[test]
    fn a_mapping_of_unknown_fields_is_refused() {
        let e = EventMapping::parse(&MAPPING.replace("who", "x").replace("reader =", "reeder ="));
        assert!(e.unwrap_err().to_string().contains("reeder"));
    }
}
