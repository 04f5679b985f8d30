//! From fjall's errors to [`PortError`].

use std::io;
use std::path::Path;

use mediaflow_ports::{PortError, PortErrorKind};

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
