//! What can go wrong while simulating. World generation itself cannot fail.

use thiserror::Error;

/// Why a simulation stopped.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// The listener could not be opened.
    #[error("cannot listen on {addr}; choose a free port or 0")]
    Listen {
        /// Address asked for.
        addr: std::net::SocketAddr,
        /// Cause.
        source: std::io::Error,
    },
    /// A base URL is not usable.
    #[error("{url:?} is not an http URL; give one such as http://127.0.0.1:8081")]
    Url {
        /// What was given.
        url: String,
    },
    /// The HTTP client could not be set up, or a request broke off.
    #[error("request to {url} failed; is the server up?")]
    Http {
        /// What was asked.
        url: String,
        /// Cause.
        source: reqwest::Error,
    },
    /// There is nothing to drive.
    #[error("no {what} given; name at least one")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
}
