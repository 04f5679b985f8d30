//! One error for all ports: a kind to act on, words for people, the cause beneath.

use std::error::Error as StdError;
use std::fmt;

/// What every port answers.
pub type PortResult<T> = Result<T, PortError>;

/// Why a port refused, as far as a caller can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortErrorKind {
    /// The topic, partition, key or namespace does not exist. Retrying does not help.
    NotFound,
    /// A precondition of the commit does not hold: a replayed offset or a lost update. Reload and decide anew.
    Conflict,
    /// A newer epoch owns this fence: the caller has been replaced and must stop.
    Fenced,
    /// A bounded queue or store is full: slow down, then retry.
    Full,
    /// The store cannot be reached or refuses for a while: retry with backoff.
    Unavailable,
    /// The store asks for a pause.
    Throttled {
        /// Seconds to wait, as the store said.
        retry_after_s: u64,
    },
    /// Stored bytes do not decode, or the store answered nonsense.
    Corrupt,
    /// A key, value or batch is over a limit. Retrying does not help.
    TooLarge,
    /// The adapter is not part of this binary.
    NotBuiltIn,
    /// The store refuses our credentials.
    Unauthorized,
    /// A name, URI or argument is malformed.
    Invalid,
    /// Another process has the store open.
    Locked,
}

impl PortErrorKind {
    /// Whether the same call can succeed later without a change by the caller.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Full | Self::Unavailable | Self::Throttled { .. }
        )
    }
}

/// A refusal of a port. `Display` names the input and the remedy and never repeats the source.
#[derive(Debug)]
pub struct PortError {
    kind: PortErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl PortError {
    /// An error without a cause beneath. `message` is lower-case, names the input and what to do.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// `what` is over a limit.
    #[must_use]
    pub fn too_large(what: &str, bytes: usize, bytes_max: usize) -> Self {
        Self::new(
            PortErrorKind::TooLarge,
            format!(
                "{what} has {bytes} bytes, at most {bytes_max} are allowed; split or shorten it"
            ),
        )
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> PortErrorKind {
        self.kind
    }

    /// Shorthand for `kind().is_retryable()`.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for PortError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|cause| cause.as_ref() as &(dyn StdError + 'static))
    }
}
