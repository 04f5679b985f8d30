//! What a person sees of long work: one line a step, `[ 3/12] building the worker … 12.4 s`.

use std::fs::{self, File};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a waiting line looks whether its process has ended, and shows the seconds.
const POLL_MS: u64 = 50;
/// Lines of a failed step's log that are shown.
const TAIL_LINES: usize = 40;

/// Numbers the steps of one command.
#[derive(Debug)]
pub struct Progress {
    step: usize,
    steps: usize,
    logs: PathBuf,
}

/// A step that has begun.
#[derive(Debug)]
pub struct Step {
    /// Empty for a step that works unseen beside others.
    line: String,
    begun: Instant,
    log: PathBuf,
}

impl Progress {
    /// `steps` is the total shown behind the slash; logs of the steps go into `logs`.
    pub fn new(steps: usize, logs: PathBuf) -> Self {
        Self {
            step: 0,
            steps,
            logs,
        }
    }

    /// Begins the next step and prints its name; `slug` names its log file.
    pub fn begin(&mut self, slug: &str, name: &str) -> Step {
        self.step += 1;
        let width = self.steps.to_string().len();
        let line = format!("[{:>width$}/{}] {name} …", self.step, self.steps);
        print!("{line}");
        flush();
        Step {
            line,
            begun: Instant::now(),
            log: self.logs.join(format!("{slug}.log")),
        }
    }
}

impl Step {
    /// A step that runs beside the visible ones and prints nothing.
    pub fn unseen(log: PathBuf) -> Self {
        Self {
            line: String::new(),
            begun: Instant::now(),
            log,
        }
    }

    /// Where this step's output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Ends the line with the time it took and `note`, which may be empty.
    pub fn end(self, note: &str) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let separator = if note.is_empty() { "" } else { "  " };
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[2K{}", self.line);
        }
        println!(" {seconds:.1} s{separator}{note}");
        flush();
    }

    /// Runs a command to its end with all its output in this step's log.
    ///
    /// # Errors
    /// When the program cannot be started; a failing exit is no error here.
    pub fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        if let Some(folder) = self.log.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut log = File::options().create(true).append(true).open(&self.log)?;
        writeln!(log, "$ {command:?}")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}: is it installed? `cargo xtask tools` installs what is needed",
                    command.get_program().display()
                )
            })?;
        let watched = !self.line.is_empty() && std::io::stdout().is_terminal();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if watched {
                print!("\r{} {} s", self.line, self.begun.elapsed().as_secs());
                flush();
            }
            std::thread::sleep(Duration::from_millis(POLL_MS));
        }
    }

    /// Like [`Step::run`], but a failing exit is an error that carries the end of the log.
    pub fn must(&self, command: &mut Command) -> Result<()> {
        if self.run(command)?.success() {
            return Ok(());
        }
        bail!("a command failed:\n{}", tail(&self.log));
    }

    /// Everything the step has printed so far.
    pub fn output(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Empties the log of an earlier run.
    pub fn clear(&self) {
        // Absent is as good as removed.
        let _ = fs::remove_file(&self.log);
    }
}

/// The last lines of a log, indented, with its name.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    let shown: String = lines[from..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    format!("{shown}    (all of it: {})", log.display())
}

fn flush() {
    // A closed stdout (`| head`) is the reader's choice, not a failure of the work.
    let _ = std::io::stdout().flush();
}
