//! What can go wrong while publishing.

use mediaflow_ports::PortError;
use thiserror::Error;

/// Why the publisher stopped or refused.
#[derive(Debug, Error)]
pub enum PublisherError {
    /// A log or store refused for good.
    #[error("{0}")]
    Port(#[from] PortError),
    /// The configuration contradicts itself.
    #[error("configuration: {0}")]
    Settings(String),
}

/// What the publisher answers.
pub type PublisherResult<T> = Result<T, PublisherError>;
