//! Redis, as Debian packages it: one server that keeps what it is told.

use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::free_ports;
use crate::process::Process;

/// It loads its file before it listens.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A server with an append-only file. Dropping it ends it; its folder stays.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    process: Process,
}

impl Redis {
    /// Starts one on a free port, with what an earlier one left in `folder`.
    ///
    /// # Errors
    /// When it does not listen, with the end of its log: not installed, most likely.
    pub fn start_in(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let port = free_ports(1)?[0];
        let port_text = port.to_string();
        let home = folder.display().to_string();
        let arguments: Vec<String> = [
            "--port",
            &port_text,
            "--bind",
            "127.0.0.1",
            "--dir",
            &home,
            "--save",
            "",
            "--appendonly",
            "yes",
            // Acknowledged means on disk, as with the embedded store.
            "--appendfsync",
            "always",
        ]
        .map(str::to_owned)
        .into();
        let log = folder.join("redis.log");
        let process = Process::start("redis-server", &arguments, &log)?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if !process.runs() || begun.elapsed() > READY_TIMEOUT {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("redis-server at port {port} does not listen:\n{said}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { port, process })
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
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.stop();
    }
}
