//! End-to-end tests over real processes: the harness.
//!
//! [`Origin`] is a running `mediaflow serve` on port 0 with its own folder and secrets, [`Reader`] somebody with a browser
//! in front of its native edge; [`data`] finds the public data. A test that needs something absent calls [`skip`], which
//! names it in the run's total.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a harness fails by panicking"
)]

pub mod faults;
mod reader;

pub use reader::{Feed, Reader, login};

use mediaflow_shared::event::{Event, EventData, EventType};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::time::Timestamp;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Says that a test could not run and why; the test command counts such lines.
pub fn skip(test: &str, what: &str) {
    println!("SKIPPED: {test}: {what}");
}

/// A folder of the public data beside the checkout, if it is there.
#[must_use]
pub fn data(folder: &str) -> Option<PathBuf> {
    let base = std::env::var_os("MEDIAFLOW_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    Some(base.join(folder)).filter(|p| p.is_dir())
}

/// The binary of this workspace, built anew unless `MEDIAFLOW_BINARY` names one.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os("MEDIAFLOW_BINARY") {
        return given.into();
    }
    let profile = std::env::current_exe().expect("own path");
    // target/<profile>/deps/<test> or target/<profile>/<program> → target/<profile>/mediaflow
    let path = profile
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("target folder")
        .join("mediaflow");
    static BUILT: std::sync::Once = std::sync::Once::new();
    BUILT.call_once(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "mediaflow-server"]);
        if path.parent().is_some_and(|p| p.ends_with("release")) {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "mediaflow does not build"
        );
    });
    path
}

/// Admin token of every harness origin.
pub const TOKEN: &str = "harness-admin-token";
/// Token of an editor of brand `daily`.
pub const EDITOR: &str = "harness-editor-token";
/// Token of another one.
pub const SECOND_EDITOR: &str = "harness-second-editor";
/// Edge token of every harness origin.
pub const EDGE_TOKEN: &str = "harness-edge-token";

/// A running origin. Dropping it kills it.
pub struct Origin {
    child: Child,
    dir: PathBuf,
    /// `http://127.0.0.1:PORT` of the origin.
    pub url: String,
    /// Of its native edge.
    pub edge: String,
    /// Of its KV namespace.
    pub kv: String,
}

/// The configuration of a harness origin: one brand, two surfaces.
pub const CONFIG: &str = r#"
listen = "127.0.0.1:0"
edge_listen = "127.0.0.1:0"
kv_listen = "127.0.0.1:0"
partitions = 4
front_rebuild_s = 2
[[brand]]
slug = "daily"
title = "The Daily"
home_url = "https://daily.example"
languages = ["en"]
surfaces = ["home", { slug = "sport", title = "Sport", topic = "sport" }]
"#;

/// The secrets of every harness origin, as variables.
#[must_use]
pub fn secrets() -> Vec<(&'static str, String)> {
    vec![
        ("MEDIAFLOW_TOKEN_KEYS", format!("1:{}", "11".repeat(32))),
        ("MEDIAFLOW_READER_KEY", "22".repeat(32)),
        ("MEDIAFLOW_EXPOSURE_KEY", "33".repeat(16)),
        ("MEDIAFLOW_LOGIN_KEY", "44".repeat(32)),
        ("MEDIAFLOW_EDGE_TOKEN", EDGE_TOKEN.to_owned()),
        ("MEDIAFLOW_ADMIN_TOKENS", admin_tokens().to_owned()),
        (
            "MEDIAFLOW_WEBHOOK_SECRETS",
            format!("wp-daily:{}", "55".repeat(32)),
        ),
        ("MEDIAFLOW_SECURE_COOKIES", "0".to_owned()),
    ]
}

/// Made by `mediaflow keys admin`, once a run.
fn admin_tokens() -> &'static str {
    static TOKENS: OnceLock<String> = OnceLock::new();
    TOKENS.get_or_init(|| {
        let entry = |name: &str, grants: &str, token: &str| {
            let out = command(&["keys", "admin", name, grants])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .and_then(|mut c| {
                    use std::io::Write as _;
                    writeln!(c.stdin.take().expect("piped"), "{token}")?;
                    c.wait_with_output()
                })
                .expect("keys admin runs");
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        format!(
            "{},{},{}",
            entry("root", "*=admin", TOKEN),
            entry("edda", "daily=editor", EDITOR),
            entry("emil", "daily=editor", SECOND_EDITOR)
        )
    })
}

/// `mediaflow` with these arguments and nothing of the caller's settings.
#[must_use]
pub fn command(args: &[&str]) -> Command {
    let mut c = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MEDIAFLOW_") {
            c.env_remove(name);
        }
    }
    c.args(args);
    c
}

/// How an origin is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Text of `mediaflow.toml`; the addresses must be port 0.
    pub config: String,
    /// More arguments of `serve`.
    pub arguments: Vec<String>,
    /// Variables that differ from [`secrets`].
    pub variables: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: CONFIG.to_owned(),
            arguments: Vec::new(),
            variables: Vec::new(),
        }
    }
}

impl Setup {
    /// Only these roles.
    #[must_use]
    pub fn roles(roles: &str) -> Self {
        Self {
            arguments: vec!["--roles".to_owned(), roles.to_owned()],
            ..Self::default()
        }
    }

    /// With these lines in front of the configuration.
    #[must_use]
    pub fn head(mut self, lines: &str) -> Self {
        self.config = format!("{lines}\n{}", self.config);
        self
    }

    /// `serve` in `dir`, not started.
    #[must_use]
    pub fn command(&self, dir: &Path) -> Command {
        let file = dir.join("mediaflow.toml");
        std::fs::write(&file, &self.config).unwrap();
        let mut c = command(&["serve", "--config"]);
        c.arg(file).args(&self.arguments);
        c.envs(secrets()).envs(self.variables.iter().cloned());
        c
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// When it ends before, with what it wrote.
    #[must_use]
    pub fn start(&self, dir: &Path) -> Origin {
        match self.try_start(dir) {
            Ok(origin) => origin,
            Err(log) => panic!("origin ended at start: {log}"),
        }
    }

    /// As [`Setup::start`], for one that may end before it listens: what it wrote then.
    ///
    /// # Errors
    /// Its log.
    pub fn try_start(&self, dir: &Path) -> Result<Origin, String> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join("origin.log"))
            .unwrap();
        let mut child = self
            .command(dir)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("mediaflow starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (mut url, mut edge, mut kv) = (String::new(), String::new(), String::new());
        while url.is_empty() {
            let Some(Ok(line)) = lines.next() else {
                let _ = child.wait();
                return Err(std::fs::read_to_string(dir.join("origin.log")).unwrap_or_default());
            };
            let told: Value = serde_json::from_str(&line).unwrap_or_default();
            let addr = format!("http://{}", told["addr"].as_str().unwrap_or(""));
            match told["role"].as_str() {
                Some("kv") => kv = addr,
                Some("edge") => edge = addr,
                Some("origin") => url = addr,
                _ => {}
            }
        }
        // Keeps the pipe drained: a full one would block the origin.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Origin {
            child,
            dir: dir.to_owned(),
            url,
            edge,
            kv,
        })
    }
}

impl Origin {
    /// Starts one in `dir`, with what an earlier one left there.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        Setup::default().start(dir)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends it a signal by name: `STOP`, `CONT`.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, name: &str) -> std::io::Result<()> {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()?;
        match sent.success() {
            true => Ok(()),
            false => Err(std::io::Error::other("the process is gone")),
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Whether a SIGSTOP holds it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.is_ok_and(|s| s.contains(") T "))
    }

    /// The sum of a metric's samples, by its name without `mediaflow_`; `None` while it does not answer or has none.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let text = reqwest::get(format!("{}/metrics", self.url)).await.ok()?;
        let text = text.text().await.ok()?;
        let name = format!("mediaflow_{name}");
        let samples = text.lines().filter_map(|l| {
            let rest = l.strip_prefix(&name)?;
            let value = rest.strip_prefix(' ').or(match rest.starts_with('{') {
                true => rest.rsplit_once(' ').map(|(_, value)| value),
                false => None,
            })?;
            value.parse::<f64>().ok()
        });
        samples.reduce(|a, b| a + b)
    }

    /// SIGTERM; answers how it ended, `None` when it did not within `limit`.
    pub fn stop(&mut self, limit: Duration) -> Option<ExitStatus> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    /// Runs a client command of `mediaflow` against it, as its admin.
    #[must_use]
    pub fn client(&self, args: &[&str]) -> Output {
        command(args)
            .env("MEDIAFLOW_ORIGIN", &self.url)
            .env("MEDIAFLOW_EDGE", &self.edge)
            .env("MEDIAFLOW_TOKEN", TOKEN)
            .output()
            .expect("mediaflow runs")
    }

    /// A request to the admin API; the answer's status and JSON.
    pub async fn admin(
        &self,
        token: &str,
        method: reqwest::Method,
        path: &str,
        body: Value,
    ) -> (reqwest::StatusCode, Value) {
        let r = reqwest::Client::new()
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(token)
            .json(&body)
            .send()
            .await
            .unwrap();
        (r.status(), r.json().await.unwrap_or(Value::Null))
    }

    /// Imports items, 250 a request.
    pub async fn import(&self, items: &[Value]) {
        for batch in items.chunks(250) {
            let path = "/admin/v1/import/content";
            let (status, answer) = self
                .admin(TOKEN, reqwest::Method::POST, path, json!(batch))
                .await;
            assert_eq!(status, reqwest::StatusCode::OK, "{answer}");
        }
    }

    /// What it wrote to its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("origin.log")).unwrap_or_default()
    }

    /// Resident memory now, in bytes.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .unwrap_or_default();
        let kb = status
            .lines()
            .find_map(|l| l.strip_prefix("VmRSS:"))
            .and_then(|l| l.trim().split(' ').next()?.parse::<u64>().ok());
        kb.unwrap_or(0) * 1024
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

/// A raw item as the import route takes it.
#[must_use]
pub fn raw_item(id: &str, title: &str, body: &str, age_min: i64) -> Value {
    json!({
        "version": 1, "source": "wp-daily", "source_cms": "wordpress", "original_id": id, "brand": "daily",
        "title": title, "body": format!("<p>{body}</p>"), "author": format!("Author of {id}"),
        "published": now_ms() - age_min * 60_000, "url": format!("https://daily.example/{id}"),
        "ingested_at": Timestamp(now_ms()),
    })
}

/// Sixty words that no other number has, so that two texts are never near-duplicates.
#[must_use]
pub fn words(n: usize) -> String {
    let word = |w: usize| ContentId::of("words", &format!("{n} {w}")).to_string();
    (0..60).map(word).collect::<Vec<_>>().join(" ")
}

/// So many short stories, minutes apart, as [`raw_item`]s `PREFIX-0` and on.
#[must_use]
pub fn stories(prefix: &str, n: usize) -> Vec<Value> {
    let story = |i: usize| {
        let age_min = 20 + i64::try_from(i).unwrap_or(0);
        raw_item(
            &format!("{prefix}-{i}"),
            &format!("Headline {i}"),
            &words(i),
            age_min,
        )
    };
    (0..n).map(story).collect()
}

/// The content id of [`raw_item`].
#[must_use]
pub fn content_id(id: &str) -> ContentId {
    ContentId::of("wp-daily", id)
}

/// An event of brand `daily`.
#[must_use]
pub fn event(id: &str, kind: EventType, content: ContentId, reader: Option<&str>) -> Event {
    Event {
        specversion: "1.0".into(),
        id: id.to_owned(),
        source: "https://daily.example/test".into(),
        kind,
        time: Some(Timestamp(now_ms())),
        subject: Some(content.to_string()),
        datacontenttype: None,
        traceparent: None,
        readerid: reader.map(str::to_owned),
        receivedtime: None,
        senttime: None,
        rawtime: None,
        data: EventData {
            brand: "daily".into(),
            content_id: Some(content),
            ..EventData::default()
        },
    }
}

/// Asks again until `done` holds.
///
/// # Panics
/// After `limit`, with what `what` says.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> F,
) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(t) = done().await {
            return t;
        }
        assert!(
            Instant::now() < end,
            "{what} did not happen within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
