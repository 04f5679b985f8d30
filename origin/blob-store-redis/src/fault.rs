//! From Redis errors to [`PortError`].

use mediaflow_ports::{PortError, PortErrorKind};
use redis::{ErrorKind, RedisError};

/// What Redis at `place` answered while `doing` something.
pub(crate) fn answer(place: &str, doing: &str, error: RedisError) -> PortError {
    // A pipeline hides the code of the command that failed first.
    let refused = error.clone().into_server_errors();
    let code = refused
        .as_ref()
        .and_then(|errors| errors.first())
        .map(|(_, e)| e.code());
    let (kind, remedy) = match (code, error.kind()) {
        (Some("NOAUTH" | "WRONGPASS" | "NOPERM"), _) | (_, ErrorKind::AuthenticationFailed) => (
            PortErrorKind::Unauthorized,
            "check the user and password in its uri",
        ),
        (Some("OOM"), _) => (PortErrorKind::Full, "raise its maxmemory or store less"),
        (Some("WRONGTYPE"), _) => (
            PortErrorKind::Corrupt,
            "another program uses this database: choose another number",
        ),
        (_, ErrorKind::Parse | ErrorKind::UnexpectedReturnType) => {
            (PortErrorKind::Corrupt, "check that it is a redis server")
        }
        (_, ErrorKind::InvalidClientConfig) => (
            PortErrorKind::Invalid,
            "use a redis:// uri; TLS is not built in",
        ),
        _ => (PortErrorKind::Unavailable, "check that it runs, then retry"),
    };
    PortError::new(kind, format!("{place}: cannot {doing}; {remedy}")).with_source(error)
}
