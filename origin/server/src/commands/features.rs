//! `mediaflow features` and `mediaflow parity`: the catalogue, values, values as of a moment, and whether what is
//! served is what the log says.

use super::{Origin, cut};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Requests of one replay; `origin/features` refuses more.
const REQUESTS_MAX: usize = 10_000;

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct FeaturesArguments {
    #[command(subcommand)]
    command: FeaturesCommand,
    #[command(flatten)]
    origin: Origin,
}

#[derive(Debug, Subcommand)]
enum FeaturesCommand {
    /// What features there are, with owner, what feeds them and who reads them
    List {
        /// Words to look for in names, descriptions, owners and lineage
        search: Vec<String>,
        /// reader, session, content, ad or brand
        #[arg(long)]
        entity: Option<String>,
        /// The whole entry as JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// The values of one entity, now
    Show {
        /// reader, session, content, ad or brand
        entity: String,
        /// Pseudonym, content id, ad id or brand slug
        id: String,
        /// Only these
        #[arg(long, value_delimiter = ',')]
        names: Vec<String>,
        /// The answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Values as they were at a moment, folded again from the log: one row of JSON a request
    Replay {
        /// CSV with the columns entity,id,at (RFC 3339), `-` for standard input
        #[arg(long, conflicts_with_all = ["entity", "id", "at"])]
        requests: Option<PathBuf>,
        /// Of one request: reader, session, content, ad or brand
        #[arg(long, requires = "id")]
        entity: Option<String>,
        /// Of one request
        #[arg(long)]
        id: Option<String>,
        /// Of one request: RFC 3339
        #[arg(long, requires = "id")]
        at: Option<String>,
    },
}

/// Arguments of `parity`.
#[derive(Debug, Args)]
pub struct ParityArguments {
    /// Entities of each kind at most
    #[arg(long, default_value_t = 10_000)]
    entities: usize,
    /// The whole report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    origin: Origin,
}

fn spinner(message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(message);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Runs `features`.
pub async fn run(a: FeaturesArguments) -> Result<()> {
    let client = reqwest::Client::new();
    match &a.command {
        FeaturesCommand::List {
            search,
            entity,
            json,
        } => {
            let mut query = Vec::new();
            if !search.is_empty() {
                query.push(("q", search.join(" ")));
            }
            query.extend(entity.clone().map(|e| ("entity", e)));
            let path = with_query("/features", &query)?;
            let request = a.origin.request(&client, Method::GET, &path);
            let answer: Value = a.origin.send(request).await?.json().await?;
            let found = answer["features"].as_array().cloned().unwrap_or_default();
            for f in &found {
                if *json {
                    println!("{f}");
                    continue;
                }
                let text = |k: &str| f[k].as_str().unwrap_or("").to_owned();
                println!(
                    "{:<44} {:<8} {:<10} {}",
                    text("id"),
                    text("type"),
                    text("tier"),
                    cut(&text("description"), 90)
                );
            }
            eprintln!("{} features", found.len());
        }
        FeaturesCommand::Show {
            entity,
            id,
            names,
            json,
        } => {
            let mut query = Vec::new();
            if !names.is_empty() {
                query.push(("names", names.join(",")));
            }
            let mut url = reqwest::Url::parse("http://origin/features")?;
            url.path_segments_mut()
                .map_err(|()| anyhow::anyhow!("no path"))?
                .extend([entity, id]);
            let path = with_query(url.path(), &query)?;
            let request = a.origin.request(&client, Method::GET, &path);
            let answer: Value = a.origin.send(request).await?.json().await?;
            if *json {
                println!("{}", serde_json::to_string_pretty(&answer)?);
                return Ok(());
            }
            for (name, f) in answer["features"].as_object().into_iter().flatten() {
                println!("{name:<44} {}", cut(&f["value"].to_string(), 100));
            }
            match answer["age_s"].as_i64() {
                Some(age) if answer["known"] == true => {
                    eprintln!(
                        "as of {}, events folded up to {age} s before",
                        answer["as_of"]
                    );
                }
                _ => eprintln!("nothing is known of it: these are defaults"),
            }
        }
        FeaturesCommand::Replay {
            requests,
            entity,
            id,
            at,
        } => {
            let wanted = match (requests, entity, id, at) {
                (Some(file), ..) => read_requests(file)?,
                (None, Some(entity), Some(id), Some(at)) => {
                    vec![json!({"entity": entity, "id": id, "at": at})]
                }
                _ => bail!(
                    "name a file with --requests, or one request with --entity, --id and --at"
                ),
            };
            for part in wanted.chunks(REQUESTS_MAX) {
                let bar = spinner("folding the log again");
                let request = a
                    .origin
                    .request(&client, Method::POST, "/features/replay")
                    .json(part);
                let answer: Value = a.origin.send(request).await?.json().await?;
                bar.finish_and_clear();
                for row in answer["rows"].as_array().into_iter().flatten() {
                    println!("{row}");
                }
            }
            eprintln!("{} rows", wanted.len());
        }
    }
    Ok(())
}

fn with_query(path: &str, query: &[(&str, String)]) -> Result<String> {
    let mut url = reqwest::Url::parse("http://origin/")?;
    url.set_path(path);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(match url.query() {
        Some(q) => format!("{}?{q}", url.path()),
        None => url.path().to_owned(),
    })
}

fn read_requests(file: &Path) -> Result<Vec<Value>> {
    let name = file.display();
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file)
            .with_context(|| format!("{name} cannot be read; give a CSV with entity,id,at"))?;
    }
    let mut rows = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || (n == 0 && line == "entity,id,at") {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [entity, id, at] = fields[..] else {
            bail!(
                "{name}, line {}: has {} fields; write entity,id,at",
                n + 1,
                fields.len()
            );
        };
        rows.push(json!({"entity": entity, "id": id, "at": at}));
    }
    if rows.is_empty() {
        bail!("{name} holds no request; write lines entity,id,at");
    }
    Ok(rows)
}

/// Runs `parity`; fails when a value differs.
pub async fn parity(a: ParityArguments) -> Result<()> {
    let client = reqwest::Client::new();
    let bar = spinner("reading what is served and folding the log again");
    let request = a
        .origin
        .request(&client, Method::POST, "/features/parity")
        .json(&json!({"entities": a.entities}));
    let report: Value = a.origin.send(request).await?.json().await?;
    bar.finish_and_clear();
    if a.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for (name, f) in report["features"].as_object().into_iter().flatten() {
            println!(
                "{name:<44} {:>9} compared {:>6} differ",
                f["compared"], f["differ"]
            );
            for e in f["examples"].as_array().into_iter().flatten() {
                println!("    {} served {} computed {}", e[0], e[1], e[2]);
            }
        }
    }
    let n = |k: &str| report[k].as_u64().unwrap_or(0);
    eprintln!(
        "{} values of {} entities compared, {} events folded again, {} differ, {} entities left out (their oldest events are no longer kept)",
        n("compared"),
        n("entities"),
        n("events"),
        n("differ"),
        n("left_out")
    );
    if n("compared") == 0 {
        bail!("nothing was compared: no events were folded yet");
    }
    if n("differ") > 0 {
        bail!("{} values differ from what the log says", n("differ"));
    }
    Ok(())
}
