//! Real Redis servers and clusters, each with a folder of its own. Dropping one ends it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::Absent;
use crate::process::Process;

/// A server listens within 50 ms; a busy machine and a long file to read need longer.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Between choosing a free port and listening on it another process may take it.
const START_TRIES: u32 = 10;

/// Whether `redis-server` and `redis-cli` are installed.
///
/// # Errors
/// [`Absent`], naming the one that is not.
pub fn installed() -> Result<(), Absent> {
    for program in ["redis-server", "redis-cli"] {
        if Command::new(program).arg("--version").output().is_err() {
            return Err(Absent(format!("{program} absent")));
        }
    }
    Ok(())
}

/// As [`installed`], for a test: says that it is skipped where they are not.
#[must_use]
pub fn present(test: &str) -> bool {
    match installed() {
        Ok(()) => true,
        Err(absent) => {
            println!("SKIPPED: {test}: {absent}");
            false
        }
    }
}

/// One `redis-server` that syncs every write to its file before it answers.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    /// Where it was made here; removed at the end.
    _folder: Option<TempDir>,
}

impl Redis {
    /// In a temporary folder, with more arguments of `redis-server`.
    ///
    /// # Panics
    /// When it does not come up: a test cannot go on.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let started = tempfile::tempdir()
            .map_err(anyhow::Error::from)
            .and_then(|folder| {
                let mut redis = Self::start_with(folder.path(), arguments)?;
                redis._folder = Some(folder);
                Ok(redis)
            });
        match started {
            Ok(redis) => redis,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// In a folder that stays, with what an earlier one left there.
    ///
    /// # Errors
    /// That it does not come up, with the end of its log; not installed, most likely.
    pub fn start_in(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        fs::create_dir_all(folder)?;
        for _ in 0..START_TRIES {
            let port = free_port()?;
            let mut process = launch(port, folder, &arguments)?;
            if listens(&process, port) {
                return Ok(Self {
                    process,
                    port,
                    folder: folder.to_owned(),
                    arguments,
                    _folder: None,
                });
            }
            process.kill();
        }
        let log = fs::read_to_string(folder.join("redis.log")).unwrap_or_default();
        bail!(
            "redis-server does not start: {}",
            log.lines().last().unwrap_or("it says nothing")
        )
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at its port with what it wrote.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        match launch(self.port, &self.folder, &self.arguments) {
            Ok(process) => self.process = process,
            Err(error) => panic!("{error:#}"),
        }
        assert!(
            listens(&self.process, self.port),
            "redis-server does not come back"
        );
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `redis://127.0.0.1:PORT` and what follows.
    #[must_use]
    pub fn uri(&self, rest: &str) -> String {
        format!("redis://127.0.0.1:{}{rest}", self.port)
    }

    /// What `redis-cli` answers; nothing where it does not run.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &self.port.to_string()]).args(arguments);
        cli.output()
            .map(|done| String::from_utf8_lossy(&done.stdout).into_owned())
            .unwrap_or_default()
    }
}

/// Three masters of a Redis Cluster.
#[derive(Debug)]
pub struct RedisCluster {
    /// Its nodes.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three servers and makes them one cluster.
    ///
    /// # Panics
    /// When it does not form: a test cannot go on.
    #[must_use]
    pub fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<Redis> = (0..3).map(|_| Redis::start(&arguments)).collect();
        match form(&nodes) {
            Ok(()) => Self { nodes },
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Its uri, with more options after `&`.
    #[must_use]
    pub fn uri(&self, options: &str) -> String {
        let nodes = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        let nodes: Vec<String> = nodes.collect();
        format!("redis://{}?cluster=true{options}", nodes.join(","))
    }
}

fn form(nodes: &[Redis]) -> Result<()> {
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create"]);
    create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
    create.args(["--cluster-replicas", "0", "--cluster-yes"]);
    let done = create.output().context("redis-cli does not run")?;
    ensure!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let begun = Instant::now();
    let ready = |node: &Redis| node.cli(&["cluster", "info"]).contains("cluster_state:ok");
    while !nodes.iter().all(ready) {
        ensure!(begun.elapsed() < START_TIMEOUT, "the cluster does not form");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A free port whose cluster port, 10,000 above, exists too.
fn free_port() -> Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if port < 55_000 {
            return Ok(port);
        }
    }
}

fn launch(port: u16, folder: &Path, arguments: &[String]) -> Result<Process> {
    let port = port.to_string();
    let path = folder.to_string_lossy();
    let own = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        // A file that grows by megabytes a second would be rewritten every few seconds while it is small.
        "--auto-aof-rewrite-min-size",
        "1gb",
        "--dir",
        &path,
    ];
    let all: Vec<String> = own
        .map(str::to_owned)
        .into_iter()
        .chain(arguments.iter().cloned())
        .collect();
    Process::start("redis-server", &all, &folder.join("redis.log"))
}

fn listens(process: &Process, port: u16) -> bool {
    let begun = Instant::now();
    while process.runs() && begun.elapsed() < START_TIMEOUT {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() && process.runs() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}
