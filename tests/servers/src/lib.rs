//! Real servers for tests and for `cargo xtask up`: started on free ports of loopback, in a folder of their own.
//!
//! A server ends with the value that started it, and also when this process ends in any other way: each runs under a small
//! shell that waits on a pipe from here. Where a server cannot be had (no Java, no registry), [`Absent`] says why, and tests
//! skip by name.
//!
//! What it never does: listen anywhere but on loopback, end a process it did not start, keep data after the folder is gone.

pub mod kafka;
mod process;
pub mod redis;

use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Why a server cannot be had on this machine.
#[derive(Debug, Clone)]
pub struct Absent(pub String);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Absent {}

/// The target folder of the running test: where what is fetched once is kept.
#[must_use]
pub fn target() -> PathBuf {
    // target/<profile>/deps/<test>
    let own = std::env::current_exe().ok();
    own.as_deref()
        .and_then(|exe| exe.ancestors().find(|f| f.join("CACHEDIR.TAG").is_file()))
        .map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
            Path::to_owned,
        )
}

/// So many ports of loopback that nobody listened on a moment ago.
pub(crate) fn free_ports(count: usize) -> Result<Vec<u16>> {
    // All are held until all are known, so that no two are the same.
    let held: Result<Vec<_>, _> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect();
    let ports: Result<Vec<_>, _> = held?
        .iter()
        .map(|l| l.local_addr().map(|a| a.port()))
        .collect();
    ports.context("loopback has no free port")
}
