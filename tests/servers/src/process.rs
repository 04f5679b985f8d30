//! One server process that cannot outlive this one.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Starts the program, says its id, and ends it when its own input ends: that happens however this process ends.
const KEEPER: &str = r#""$@" </dev/null >>"$SERVER_LOG" 2>&1 & p=$!; echo $p; read -r _; kill $p 2>/dev/null; wait $p"#;
/// A broker writes its files within a second; a busy machine needs longer.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Process {
    keeper: Child,
    /// Closing it ends the server.
    leash: Option<ChildStdin>,
    id: u32,
}

impl Process {
    /// Starts `program` with its output in `log`.
    ///
    /// # Errors
    /// When there is no shell or the log cannot be written.
    pub fn start(program: &str, arguments: &[String], log: &Path) -> Result<Self> {
        File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper", program])
            .args(arguments)
            .env("SERVER_LOG", log)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let leash = keeper.stdin.take();
        let mut line = String::new();
        if let Some(said) = keeper.stdout.take() {
            BufReader::new(said).read_line(&mut line)?;
        }
        let Ok(id) = line.trim().parse() else {
            bail!(
                "{program} was not started: its keeper said \"{}\"",
                line.trim()
            );
        };
        Ok(Self { keeper, leash, id })
    }

    /// The server's process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal by name: `KILL`, `STOP`, `CONT`.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id.to_string()])
            .stderr(Stdio::null())
            .status()?;
        if !sent.success() {
            bail!("process {} is gone", self.id);
        }
        Ok(())
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        // Its keeper reaps it, so a process that ended is gone.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.id));
        state.is_ok_and(|s| !s.contains(") Z "))
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        // Gone already is what is wanted.
        let _ = self.signal("KILL");
        self.end();
    }

    /// SIGTERM, then SIGKILL after a while.
    pub fn stop(&mut self) {
        let _ = self.signal("CONT");
        let _ = self.signal("TERM");
        let begun = Instant::now();
        while self.runs() && begun.elapsed() < STOP_TIMEOUT {
            thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    fn end(&mut self) {
        if let Some(mut leash) = self.leash.take() {
            let _ = leash.write_all(b"\n");
        }
        let _ = self.keeper.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.leash.is_some() {
            self.kill();
        }
    }
}
