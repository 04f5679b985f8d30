//! From fjall's errors and bad names to [`PortError`].

use std::io;
use std::path::Path;

use mediaflow_ports::{PortError, PortErrorKind, PortResult};

use crate::limits::NAME_BYTES_MAX;

/// What went wrong while `doing` something with the database.
pub(crate) fn storage(doing: &str, error: fjall::Error) -> PortError {
    use fjall::Error as E;
    let (kind, remedy) = match &error {
        E::Io(e) if e.kind() == io::ErrorKind::StorageFull => (
            PortErrorKind::Full,
            "the disk is full: free space or shorten retention, then restart",
        ),
        E::Io(_) => (
            PortErrorKind::Unavailable,
            "check the disk and the folder's permissions",
        ),
        E::Poisoned => (
            PortErrorKind::Unavailable,
            "an earlier write failed, so nothing more is accepted: check the disk, then restart",
        ),
        E::Locked => (
            PortErrorKind::Locked,
            "stop the other process or choose another path",
        ),
        E::KeyspaceDeleted => (PortErrorKind::NotFound, "the keyspace was deleted: restart"),
        _ => (PortErrorKind::Corrupt, "restore the folder from a backup"),
    };
    PortError::new(kind, format!("embedded database: cannot {doing}; {remedy}")).with_source(error)
}

/// Why the database at `path` did not open.
pub(crate) fn opening(path: &Path, error: fjall::Error) -> PortError {
    let shown = path.display();
    match error {
        fjall::Error::Locked => PortError::new(
            PortErrorKind::Locked,
            format!(
                "embedded database {shown} is open in another process; stop that process, \
                 or give this one another path"
            ),
        ),
        other => storage(&format!("open {shown}"), other),
    }
}

pub(crate) fn corrupt(what: &str) -> PortError {
    PortError::new(
        PortErrorKind::Corrupt,
        format!("embedded database: {what} does not decode; restore the folder from a backup"),
    )
}

pub(crate) fn too_large(what: &str, bytes: usize, bytes_max: usize) -> PortError {
    PortError::new(
        PortErrorKind::TooLarge,
        format!("{what} has {bytes} bytes, at most {bytes_max} are allowed; split or shorten it"),
    )
}

/// Refuses names that could collide in a composed key or surprise an operator.
pub(crate) fn check_name(what: &str, name: &str) -> PortResult<()> {
    let allowed = |b: u8| {
        b.is_ascii_lowercase()
            || b.is_ascii_digit()
            || matches!(b, b'.' | b'_' | b'-' | b':' | b'/')
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        return Err(PortError::new(
            PortErrorKind::Invalid,
            format!(
                "{what} \"{}\" is not a name; use 1 to {NAME_BYTES_MAX} of a-z 0-9 . _ - : /",
                shown.escape_debug()
            ),
        ));
    }
    Ok(())
}
