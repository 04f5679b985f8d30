//! From Redis errors to [`PortError`], and the checks of names and sizes.

use mediaflow_ports::{Commit, PortError, PortErrorKind, PortResult};
use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::limits::{COMMIT_BYTES_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX};

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

/// Refuses malformed commits before anything is sent.
pub(crate) fn check(commit: &Commit) -> PortResult<()> {
    let mut total = 0;
    let mut size = |what: &str, bytes: usize, bytes_max: usize| {
        total += bytes;
        if bytes > bytes_max {
            return Err(too_large(what, bytes, bytes_max));
        }
        Ok(())
    };
    for write in &commit.writes {
        check_name("view", &write.view)?;
        if write.key.is_empty() {
            let message = "a state key is empty; name one";
            return Err(PortError::new(PortErrorKind::Invalid, message));
        }
        size("a state key", write.key.len(), KEY_BYTES_MAX)?;
        let bytes = write.value.as_ref().map_or(0, bytes::Bytes::len);
        size("a state value", bytes, VALUE_BYTES_MAX)?;
    }
    for require in &commit.requires {
        check_name("view", &require.view)?;
    }
    for entry in &commit.outbox {
        check_name("outbox", &entry.outbox)?;
        size("an outbox key", entry.key.len(), KEY_BYTES_MAX)?;
        size("an outbox value", entry.value.len(), VALUE_BYTES_MAX)?;
    }
    if total > COMMIT_BYTES_MAX {
        return Err(too_large("a commit", total, COMMIT_BYTES_MAX));
    }
    if let Some(fence) = &commit.fence {
        check_name("fence", &fence.name)?;
    }
    if let Some(progress) = &commit.progress {
        check_name("consumer", &progress.consumer)?;
        check_name("topic", &progress.topic)?;
    }
    Ok(())
}

fn too_large(what: &str, bytes: usize, bytes_max: usize) -> PortError {
    PortError::new(
        PortErrorKind::TooLarge,
        format!("{what} has {bytes} bytes, at most {bytes_max} are allowed; split or shorten it"),
    )
}
