//! Apache Kafka: the real broker, in KRaft mode, from Maven Central.
//!
//! `mvn dependency:copy-dependencies` fetches the jars once into `target/kafka/libs` (43 MB); then one node or three are
//! formatted and started with Java 17 or newer. One node listens after some 3 seconds and takes 350 MB.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::Process;
use crate::{Absent, free_ports, target};

/// The broker that is fetched.
pub const VERSION: &str = "4.1.1";
/// A cold Java on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(90);
/// Any id will do where there is one cluster per folder.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mediaflow</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version>
  </dependency></dependencies>
</project>
"#;

/// Without a file of its own the broker says nothing at all.
const LOG4J: &str = "status=ERROR
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
";

/// Where the jars are, fetching them first when they are not there. `say` hears what takes long.
///
/// # Errors
/// [`Absent`] when Java or Maven is not installed or the registry does not answer.
pub fn libraries(target: &Path, mut say: impl FnMut(&str)) -> Result<PathBuf, Absent> {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _one = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = target.join("kafka");
    let libs = folder.join(format!("libs-{VERSION}"));
    if !answers("java", "-version") {
        return Err(Absent("java absent".into()));
    }
    if libs.is_dir() {
        return Ok(libs);
    }
    if !answers("mvn", "-version") {
        return Err(Absent("mvn absent, which fetches the broker".into()));
    }
    say("fetching Apache Kafka from Maven Central (43 MB, once)");
    fetch(&folder, &libs)
        .map_err(|e| Absent(format!("Apache Kafka {VERSION} cannot be fetched: {e:#}")))?;
    Ok(libs)
}

fn answers(program: &str, argument: &str) -> bool {
    let told = Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    told.is_ok_and(|status| status.success())
}

/// Fetched beside and moved, so that an interrupted download leaves nothing that looks complete.
fn fetch(folder: &Path, libs: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let beside = tempfile::tempdir_in(folder)?;
    fs::write(
        beside.path().join("pom.xml"),
        POM.replace("VERSION", VERSION),
    )?;
    let output = Command::new("mvn")
        .args([
            "-q",
            "-B",
            "dependency:copy-dependencies",
            "-DoutputDirectory=libs",
        ])
        .current_dir(beside.path())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        let why = said
            .lines()
            .find(|l| l.contains("ERROR"))
            .unwrap_or("mvn failed");
        bail!("{why}");
    }
    match fs::rename(beside.path().join("libs"), libs) {
        // Another process was faster.
        Err(_) if libs.is_dir() => Ok(()),
        other => other.context("the jars cannot be moved into place"),
    }
}

/// A cluster of one or three nodes. Dropping it ends them and removes their data.
#[derive(Debug)]
pub struct Kafka {
    nodes: Vec<Node>,
    libs: PathBuf,
    /// Where it was made here; removed at the end.
    _folder: Option<TempDir>,
}

#[derive(Debug)]
struct Node {
    port: u16,
    /// Of further listeners, for clients that come through a proxy.
    behind: Vec<u16>,
    folder: PathBuf,
    process: Option<Process>,
}

impl Kafka {
    /// Starts so many nodes in a folder of their own.
    ///
    /// # Errors
    /// [`Absent`], or that a node did not come up, with the end of its log.
    pub fn start(nodes: usize) -> Result<Self> {
        let libs = libraries(&target(), |_| {})?;
        let folder = tempfile::tempdir()?;
        let mut kafka = Self::start_in(&libs, nodes, folder.path())?;
        kafka._folder = Some(folder);
        Ok(kafka)
    }

    /// The broker that the tests of one process share while any of them holds it; `None`, with a line that names the test
    /// and the reason, where there is none to be had.
    ///
    /// # Panics
    /// When a broker is there but does not come up.
    #[must_use]
    pub fn shared(test: &str) -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kafka) = shared.upgrade() {
            return Some(kafka);
        }
        let kafka = Arc::new(Self::for_test(test, 1)?);
        *shared = Arc::downgrade(&kafka);
        Some(kafka)
    }

    /// A cluster of a test's own; `None`, with a line that names the test and the reason, where there is none to be had.
    ///
    /// # Panics
    /// When a broker is there but does not come up.
    #[must_use]
    pub fn for_test(test: &str, nodes: usize) -> Option<Self> {
        match Self::start(nodes) {
            Ok(kafka) => Some(kafka),
            Err(error) => match error.downcast_ref::<Absent>() {
                Some(absent) => {
                    println!("SKIPPED: {test}: {absent}");
                    None
                }
                None => panic!("{error:#}"),
            },
        }
    }

    /// One node with a further listener for each of these ports, by which clients of that listener are told to come:
    /// a proxy's. Where the listeners really are says [`Kafka::behind`].
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn start_behind(proxies: &[u16]) -> Result<Self> {
        let libs = libraries(&target(), |_| {})?;
        let folder = tempfile::tempdir()?;
        let mut kafka = Self::start_with(&libs, 1, folder.path(), proxies)?;
        kafka._folder = Some(folder);
        Ok(kafka)
    }

    /// Ports of the listeners of [`Kafka::start_behind`], in the order of their proxies.
    #[must_use]
    pub fn behind(&self) -> &[u16] {
        self.nodes.first().map_or(&[], |n| &n.behind)
    }

    /// As [`Kafka::start`], in a folder that stays.
    ///
    /// # Errors
    /// That a node did not come up, with the end of its log.
    pub fn start_in(libs: &Path, nodes: usize, folder: &Path) -> Result<Self> {
        Self::start_with(libs, nodes, folder, &[])
    }

    fn start_with(libs: &Path, nodes: usize, folder: &Path, proxies: &[u16]) -> Result<Self> {
        let ports = free_ports(2 * nodes + proxies.len())?;
        let voters: Vec<String> = (1..=nodes)
            .map(|n| format!("{n}@127.0.0.1:{}", ports[nodes + n - 1]))
            .collect();
        let mut kafka = Self {
            nodes: Vec::new(),
            libs: libs.to_owned(),
            _folder: None,
        };
        for n in 0..nodes {
            let home = folder.join(format!("node-{}", n + 1));
            fs::create_dir_all(&home)?;
            fs::write(home.join("log4j2.properties"), LOG4J)?;
            let behind = ports[2 * nodes..].to_vec();
            let listeners = Listeners {
                port: ports[n],
                controller: ports[nodes + n],
                behind: behind
                    .iter()
                    .copied()
                    .zip(proxies.iter().copied())
                    .collect(),
            };
            let settings = settings(n + 1, nodes, &listeners, &voters, &home);
            fs::write(home.join("server.properties"), settings)?;
            kafka.nodes.push(Node {
                port: ports[n],
                behind,
                folder: home,
                process: None,
            });
        }
        for n in 0..nodes {
            kafka.format(n)?;
        }
        for n in 0..nodes {
            kafka.launch(n)?;
        }
        for n in 0..nodes {
            kafka.wait(n)?;
        }
        Ok(kafka)
    }

    /// `host:port` of every node, joined by commas.
    #[must_use]
    pub fn brokers(&self) -> String {
        let places: Vec<_> = self
            .nodes
            .iter()
            .map(|n| format!("127.0.0.1:{}", n.port))
            .collect();
        places.join(",")
    }

    /// Process ids of the nodes that run.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.nodes
            .iter()
            .filter_map(|n| n.process.as_ref())
            .map(Process::id)
            .collect()
    }

    /// SIGKILL of a node, counted from 0.
    pub fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].process.take() {
            process.kill();
        }
    }

    /// Starts a node again and waits until it listens.
    ///
    /// # Errors
    /// That it did not come up, with the end of its log.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        self.launch(node)?;
        self.wait(node)
    }

    /// Sends a node a signal by name: `STOP`, `CONT`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, node: usize, name: &str) -> Result<()> {
        let process = self.nodes[node].process.as_ref();
        process.context("the node does not run")?.signal(name)
    }

    fn format(&self, node: usize) -> Result<()> {
        let home = &self.nodes[node].folder;
        let output = Command::new("java")
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(self.class_path())
            .args([
                "kafka.tools.StorageTool",
                "format",
                "--ignore-formatted",
                "-t",
                CLUSTER_ID,
                "-c",
            ])
            .arg(home.join("server.properties"))
            .output()?;
        if !output.status.success() {
            bail!(
                "kafka's folder {} cannot be formatted:\n{}{}",
                home.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn class_path(&self) -> String {
        format!("{}/*", self.libs.display())
    }

    fn launch(&mut self, node: usize) -> Result<()> {
        let class_path = self.class_path();
        let home = &self.nodes[node].folder;
        let mut arguments: Vec<String> = [
            "-Xms256m",
            "-Xmx512m",
            "-XX:+UseG1GC",
            "-Djava.awt.headless=true",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(format!(
            "-Dlog4j2.configurationFile={}",
            home.join("log4j2.properties").display()
        ));
        arguments.extend(["-cp".to_owned(), class_path, "kafka.Kafka".to_owned()]);
        arguments.push(home.join("server.properties").display().to_string());
        let log = home.join("broker.log");
        self.nodes[node].process = Some(Process::start("java", &arguments, &log)?);
        Ok(())
    }

    fn wait(&self, node: usize) -> Result<()> {
        let node = &self.nodes[node];
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", node.port)).is_err() {
            let ended = node.process.as_ref().is_none_or(|p| !p.runs());
            if ended || begun.elapsed() > READY_TIMEOUT {
                let log = fs::read_to_string(node.folder.join("broker.log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().rev().take(30).collect();
                let tail: Vec<_> = lines.into_iter().rev().collect();
                bail!(
                    "kafka at port {} does not listen:\n{}",
                    node.port,
                    tail.join("\n")
                );
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Data that nobody will read again needs no orderly end; a folder that stays does.
        let stays = self._folder.is_none();
        for node in &mut self.nodes {
            if let Some(process) = &mut node.process {
                if stays {
                    process.stop();
                } else {
                    process.kill();
                }
            }
        }
    }
}

struct Listeners {
    port: u16,
    controller: u16,
    /// Where it listens, and where clients are told to come.
    behind: Vec<(u16, u16)>,
}

fn settings(
    id: usize,
    nodes: usize,
    listeners: &Listeners,
    voters: &[String],
    home: &Path,
) -> String {
    let Listeners {
        port,
        controller,
        behind,
    } = listeners;
    let named = |port: fn(&(u16, u16)) -> u16| -> String {
        let all = behind.iter().enumerate();
        all.map(|(n, b)| format!(",BEHIND{n}://127.0.0.1:{}", port(b)))
            .collect()
    };
    let (here, told) = (named(|b| b.0), named(|b| b.1));
    let protocols: String = (0..behind.len())
        .map(|n| format!(",BEHIND{n}:PLAINTEXT"))
        .collect();
    let copies = nodes.min(3);
    let in_step = copies.div_ceil(2);
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{here}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{told}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor={copies}
min.insync.replicas={in_step}
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A node that was killed comes back when its old registration has expired.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
log.cleaner.backoff.ms=500
num.network.threads=2
num.io.threads=4
",
        voters = voters.join(","),
        logs = home.join("logs").display(),
    )
}
