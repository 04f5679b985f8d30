//! What can go wrong while taking content or events in.

use mediaflow_ports::PortError;
use thiserror::Error;

/// Why something was not taken in.
#[derive(Debug, Error)]
pub enum IngestError {
    /// A log or store refused; nothing was acknowledged.
    #[error("{0}")]
    Port(#[from] PortError),
    /// A source did not answer as it must.
    #[error("source {source_slug}: {reason}; {remedy}")]
    Fetch {
        /// Slug of the source.
        source_slug: String,
        /// What happened.
        reason: String,
        /// What the operator can do.
        remedy: String,
        /// The pause the source asked for, seconds.
        retry_after_s: Option<u64>,
    },
    /// Bytes that are not what they should be.
    #[error("{input}: {reason}; {remedy}")]
    Malformed {
        /// What was read.
        input: String,
        /// Why it cannot be used.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// A configuration that cannot work.
    #[error("configuration of {input}: {reason}")]
    Config {
        /// The table or key.
        input: String,
        /// Why, and what is allowed.
        reason: String,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl IngestError {
    pub(crate) fn malformed(
        input: impl Into<String>,
        reason: impl ToString,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Malformed {
            input: input.into(),
            reason: reason.to_string(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn config(input: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config {
            input: input.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            source,
        }
    }
}

/// What everything here answers.
pub type IngestResult<T> = Result<T, IngestError>;
