//! The edges and the stand they are measured at, each a process on a free port.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::programs::program;
use crate::bundle::{WORKERD_CONFIG, component_file};
use crate::up::http::send;
use crate::up::program::Program;
use crate::workspace::Workspace;

/// What every load asks for.
pub const FEED: &str = "/v1/feed/daily/home";
/// Candidates in the front.
pub const ITEMS: u32 = 500;
const BRANDS: &str = r#"[{"slug":"daily","title":"The Daily","home_url":"https://daily.example/","languages":["en"],"surfaces":["home"]}]"#;
/// Keys of no value: everything is on this machine and gone after the run.
const KEYS: [(&str, &str); 5] = [
    (
        "TOKEN_KEYS",
        "1:1111111111111111111111111111111111111111111111111111111111111111",
    ),
    (
        "READER_KEY",
        "2222222222222222222222222222222222222222222222222222222222222222",
    ),
    ("EXPOSURE_KEY", "33333333333333333333333333333333"),
    (
        "LOGIN_KEY",
        "4444444444444444444444444444444444444444444444444444444444444444",
    ),
    ("EDGE_TOKEN", "edge-token-of-the-benchmarks"),
];

/// One running edge.
#[derive(Debug)]
pub struct Edge {
    /// For messages.
    pub name: &'static str,
    /// The process that is measured.
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Edge {
    fn start(
        workspace: &Workspace,
        name: &'static str,
        command: Command,
        role: &str,
    ) -> Result<Self> {
        let log = workspace
            .output("xtask-logs")
            .join(format!("bench-{role}-{}.log", name.replace(' ', "-")));
        let mut program = Program::start(name, command, log)?;
        let address = program.address(role)?;
        Ok(Self {
            name,
            program,
            address,
        })
    }
}

/// The KV namespace and sink of all edges. Dropped, it ends.
#[derive(Debug)]
pub struct Stand {
    child: Child,
    address: SocketAddr,
    /// Some of the front's items.
    pub ids: Vec<String>,
}

/// KV reads so far.
#[derive(Debug, Clone, Copy)]
pub struct Reads {
    /// Of readers' profiles.
    pub profiles: f64,
    /// Of fronts, rules and models.
    pub others: f64,
}

impl Stand {
    /// Starts it, and fills the native edge's database with the same values.
    pub fn start(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.output("bench");
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let mut child = program(workspace, "mediaflow-figures")
            .args(["stand", "--items", &ITEMS.to_string(), "--db"])
            .arg(folder.join("db"))
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start mediaflow-figures")?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let said: Value =
            serde_json::from_str(&line).context("mediaflow-figures stand ended at once")?;
        let address = said["addr"].as_str().context("it names no address")?;
        Ok(Self {
            child,
            address: address.parse()?,
            ids: said["ids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|id| id.as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// What was read of it until now.
    pub fn reads(&self) -> Result<Reads> {
        let counts = send(self.address, "GET", "/_counts", &[], b"")?.json()?;
        let count = |name: &str| {
            counts[name]
                .as_f64()
                .with_context(|| format!("no {name} in {counts}"))
        };
        Ok(Reads {
            profiles: count("profile_reads")?,
            others: count("reads")?,
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // Already gone is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The origin's binary as nothing but an edge.
pub fn native(workspace: &Workspace, stand: &Stand) -> Result<Edge> {
    let config = workspace.output("bench").join("mediaflow.toml");
    let text = format!(
        "listen = \"127.0.0.1:0\"\nedge_listen = \"127.0.0.1:0\"\nkv_listen = \"127.0.0.1:0\"\n\
         event_log = \"embedded:db\"\nstate_store = \"embedded:db\"\nblob_store = \"embedded:db\"\n\
         origin_url = \"{}\"\n[[brand]]\nslug = \"daily\"\ntitle = \"The Daily\"\n\
         home_url = \"https://daily.example/\"\nlanguages = [\"en\"]\nsurfaces = [\"home\"]\n",
        stand.url()
    );
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let mut command = program(workspace, "mediaflow");
    command
        .args(["serve", "--roles", "edge", "--config"])
        .arg(&config)
        .envs(KEYS.map(|(name, value)| (format!("MEDIAFLOW_{name}"), value)))
        .env("MEDIAFLOW_SECURE_COOKIES", "false")
        .env("MEDIAFLOW_EDGE_ID", "native");
    Edge::start(workspace, "the native edge", command, "edge")
}

/// The component in our host.
pub fn host(workspace: &Workspace, stand: &Stand) -> Result<Edge> {
    let mut command = program(workspace, "mediaflow-edge-host");
    command
        .envs(KEYS.map(|(name, value)| (format!("SPIN_VARIABLE_{name}"), value)))
        .env("SPIN_VARIABLE_ORIGIN_URL", stand.url())
        .env("SPIN_VARIABLE_EDGE_ID", "spin")
        .env("SPIN_VARIABLE_BRANDS", BRANDS)
        .env("SPIN_VARIABLE_SECURE_COOKIES", "false")
        .arg("--component")
        .arg(component_file(workspace))
        .args(["--listen", "127.0.0.1:0", "--kv", &stand.url()])
        .args(["--allow-outbound", &stand.url()]);
    Edge::start(workspace, "the component", command, "http")
}

/// The worker in workerd.
pub fn workerd(workspace: &Workspace, stand: &Stand) -> Result<Edge> {
    let mut command = Command::new(workspace.workerd()?);
    command
        .current_dir(&workspace.root)
        .envs(KEYS.map(|(name, value)| (format!("MEDIAFLOW_{name}"), value)))
        .env("MEDIAFLOW_ORIGIN", stand.url())
        .env("MEDIAFLOW_EDGE_ID", "workerd")
        .env("MEDIAFLOW_BRANDS", BRANDS)
        .env("MEDIAFLOW_SECURE_COOKIES", "false")
        .args(["serve", WORKERD_CONFIG, "--experimental"])
        .arg("--socket-addr=http=127.0.0.1:0")
        .arg(format!("--external-addr=kv={}", stand.address))
        .arg("--control-fd=1");
    Edge::start(workspace, "the worker", command, "http")
}

/// The empty worker in workerd.
pub fn empty(workspace: &Workspace, config: &Path) -> Result<Edge> {
    let mut command = Command::new(workspace.workerd()?);
    command
        .current_dir(&workspace.root)
        .arg("serve")
        .arg(config)
        .args(["--experimental", "--socket-addr=http=127.0.0.1:0"])
        .arg("--control-fd=1");
    Edge::start(workspace, "the empty worker", command, "http")
}
