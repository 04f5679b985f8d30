//! From Redis errors to [`PortError`], and the check of a commit's size.

use mediaflow_ports::{Commit, PortError, PortErrorKind, PortResult, check_commit};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::limits::COMMIT_BYTES_MAX;

/// What Redis at `place` answered while `doing` something.
pub(crate) fn answer(place: &str, doing: &str, error: RedisError) -> PortError {
    let (kind, remedy) = match (error.code(), error.kind()) {
        (Some("NOAUTH" | "WRONGPASS" | "NOPERM"), _) | (_, ErrorKind::AuthenticationFailed) => (
            PortErrorKind::Unauthorized,
            "check MEDIAFLOW_REDIS_PASSWORD and the user in its uri",
        ),
        (Some("OOM"), _) => (PortErrorKind::Full, "raise its maxmemory or store less"),
        (Some("MISCONF"), _) => (
            PortErrorKind::Full,
            "it cannot write its files: make room on its disk",
        ),
        (Some("WRONGTYPE"), _) => (
            PortErrorKind::Corrupt,
            "another program uses these keys: choose another database or ?prefix=",
        ),
        (_, ErrorKind::Server(ServerErrorKind::CrossSlot)) => (
            PortErrorKind::Invalid,
            "it is a cluster: add ?cluster=true to its uri",
        ),
        (Some("MOVED" | "ASK"), _) => (
            PortErrorKind::Invalid,
            "it is a cluster: add ?cluster=true to its uri",
        ),
        (_, ErrorKind::Parse | ErrorKind::UnexpectedReturnType) => (
            PortErrorKind::Corrupt,
            "check that it is a redis server of version 7 or newer",
        ),
        (_, ErrorKind::InvalidClientConfig) => (
            PortErrorKind::Invalid,
            "use a redis:// uri; TLS is not built in",
        ),
        // Of a command or script that it does not know; asking again would not help.
        (Some("ERR"), _) if error.detail().is_some_and(|why| why.contains("nknown")) => {
            (PortErrorKind::Corrupt, "it must be redis 7 or newer")
        }
        _ => (PortErrorKind::Unavailable, "check that it runs, then retry"),
    };
    PortError::new(kind, format!("{place}: cannot {doing}; {remedy}")).with_source(error)
}

/// An answer that the script or command never gives.
pub(crate) fn nonsense(place: &str, doing: &str) -> PortError {
    let message = format!(
        "{place}: answered nonsense to an attempt to {doing}; check that it is redis 7 or newer"
    );
    PortError::new(PortErrorKind::Corrupt, message)
}

/// Refuses malformed commits, and those too large for a script, before anything is sent.
pub(crate) fn check(commit: &Commit) -> PortResult<()> {
    let total = check_commit(commit)?;
    if total > COMMIT_BYTES_MAX {
        return Err(PortError::too_large("a commit", total, COMMIT_BYTES_MAX));
    }
    Ok(())
}
