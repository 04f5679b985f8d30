//! Real Redis servers and clusters for tests, on loopback, each with a folder of its own. Dropping one ends it.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness fails by panicking"
)]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Whether `redis-server` and `redis-cli` are installed; says so as a skipped `test` where they are not.
#[must_use]
pub fn present(test: &str) -> bool {
    for program in ["redis-server", "redis-cli"] {
        if Command::new(program).arg("--version").output().is_err() {
            println!("SKIPPED: {test}: {program} absent");
            return false;
        }
    }
    true
}

/// One `redis-server` that appends every write to its file before it answers.
pub struct Server {
    process: Child,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    folder: tempfile::TempDir,
    arguments: Vec<String>,
}

impl Server {
    /// With more arguments of `redis-server`.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        // Between choosing a free port and listening another process may take it.
        for _ in 0..10 {
            let port = free_port();
            let mut process = launch(port, folder.path(), &arguments);
            if listens(&mut process, port) {
                return Self {
                    process,
                    port,
                    folder,
                    arguments,
                };
            }
        }
        panic!("redis-server does not start with {arguments:?}");
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again at its port with what it wrote.
    pub fn restart(&mut self) {
        self.process = launch(self.port, self.folder.path(), &self.arguments);
        assert!(
            listens(&mut self.process, self.port),
            "redis-server does not come back"
        );
    }

    /// `redis://127.0.0.1:PORT` and what follows.
    #[must_use]
    pub fn uri(&self, rest: &str) -> String {
        format!("redis://127.0.0.1:{}{rest}", self.port)
    }

    /// What `redis-cli` answers.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> String {
        cli(self.port, arguments)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Three masters of a Redis Cluster.
pub struct Cluster {
    /// Its nodes.
    pub nodes: Vec<Server>,
}

impl Cluster {
    /// Starts three servers and makes them one cluster.
    #[must_use]
    pub fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        let nodes: Vec<Server> = (0..3).map(|_| Server::start(&arguments)).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        let done = create
            .args(["--cluster-replicas", "0", "--cluster-yes"])
            .output();
        let done = done.expect("redis-cli runs");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stdout)
        );
        let cluster = Self { nodes };
        let begun = Instant::now();
        while !cluster
            .nodes
            .iter()
            .all(|node| node.cli(&["cluster", "info"]).contains("cluster_state:ok"))
        {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the cluster does not form"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        cluster
    }

    /// Its uri, with more options after `&`.
    #[must_use]
    pub fn uri(&self, options: &str) -> String {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        format!("redis://{}?cluster=true{options}", nodes.join(","))
    }
}

fn cli(port: u16, arguments: &[&str]) -> String {
    let done = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(arguments)
        .output();
    String::from_utf8_lossy(&done.expect("redis-cli runs").stdout).into_owned()
}

/// A free port whose cluster port, 10,000 above, exists too.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        if port < 55_000 {
            return port;
        }
    }
}

fn launch(port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
        ])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server runs")
}

fn listens(process: &mut Child, port: u16) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if process.try_wait().ok().flatten().is_some() {
            return false;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
