//! One started program: its log, the addresses it says it listens on, its end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::progress::tail;

/// A cold start on a busy machine, with an embedded database to open.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a program may finish what it is doing after SIGTERM.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A running program. Dropped, it is stopped: nothing outlives `xtask`.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
    heard: Receiver<Listening>,
    /// What it has said so far: listeners come in an order of its own.
    known: Vec<Listening>,
}

/// What a program said when it was ready to be spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    /// Which of its listeners; `http` where there is but one.
    pub role: String,
    /// Where.
    pub address: SocketAddr,
}

impl Program {
    /// Starts a program. Its output goes to `log`; a line on its standard output that is
    /// `{"event":"listening","role":"origin","addr":"127.0.0.1:8080"}`, or workerd's
    /// `{"event":"listen","socket":"http","port":8787}`, tells where it listens.
    pub fn start(name: &'static str, mut command: Command, log: PathBuf) -> Result<Self> {
        if let Some(folder) = log.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (say, heard) = channel();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    // A full disk must not end the program whose output this is.
                    let _ = writeln!(file, "{line}");
                    if let Some(listener) = parse_listening(&line) {
                        let _ = say.send(listener);
                    }
                }
            });
        }
        Ok(Self {
            name,
            child,
            log,
            heard,
            known: Vec::new(),
        })
    }

    /// Waits until it says where the listener of this role is.
    ///
    /// # Errors
    /// When it ends or takes too long; the message carries the end of its log.
    pub fn address(&mut self, role: &str) -> Result<SocketAddr> {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.known.iter().find(|known| known.role == role) {
                return Ok(found.address);
            }
            match self.heard.recv_timeout(Duration::from_millis(100)) {
                Ok(found) => self.known.push(found),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    bail!(
                        "{} ended at once ({status}):\n{}",
                        self.name,
                        tail(&self.log)
                    );
                }
            }
            if begun.elapsed() > READY_TIMEOUT {
                bail!(
                    "{} did not say within {} s where its {role} listener is:\n{}",
                    self.name,
                    READY_TIMEOUT.as_secs(),
                    tail(&self.log)
                );
            }
        }
    }

    /// Its process, to be looked up in /proc.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error when it has ended by itself.
    pub fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, tail(&self.log)),
        }
    }

    /// Asks it to stop, and insists after a while.
    fn stop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // SIGTERM lets it finish and sync; std can only kill.
        let asked = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < STOP_TIMEOUT {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Already gone is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

fn parse_listening(line: &str) -> Option<Listening> {
    let event: Value = serde_json::from_str(line.trim()).ok()?;
    let text = |key: &str| event[key].as_str().map(str::to_owned);
    match event["event"].as_str()? {
        "listening" => Some(Listening {
            role: text("role").unwrap_or_else(|| "http".into()),
            address: event["addr"].as_str()?.parse().ok()?,
        }),
        "listen" => Some(Listening {
            role: text("socket")?,
            address: SocketAddr::from((
                [127, 0, 0, 1],
                u16::try_from(event["port"].as_u64()?).ok()?,
            )),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_programs_way_to_say_it_listens_is_understood() {
        let ours = r#"{"event":"listening","role":"edge","addr":"127.0.0.1:8081"}"#;
        let host = r#"{"event":"listening","addr":"127.0.0.1:3000"}"#;
        let workerd = r#"{"event":"listen","socket":"http","port":8787}"#;
        let found = [ours, host, workerd].map(|line| {
            let found = parse_listening(line).unwrap();
            format!("{} {}", found.role, found.address)
        });
        assert_eq!(
            found,
            [
                "edge 127.0.0.1:8081",
                "http 127.0.0.1:3000",
                "http 127.0.0.1:8787"
            ]
        );
        assert_eq!(parse_listening("listening on 8080"), None);
    }

    #[test]
    fn a_program_that_ends_at_once_shows_its_log() {
        let log = std::env::temp_dir().join(format!("mediaflow-up-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such brand >&2; exit 3"]);
        let mut program = Program::start("origin", command, log.clone()).unwrap();
        let error = program.address("http").unwrap_err().to_string();
        std::fs::remove_file(log).unwrap();
        assert!(error.starts_with("origin ended at once"), "{error}");
        assert!(error.contains("no such brand"), "{error}");
    }
}
