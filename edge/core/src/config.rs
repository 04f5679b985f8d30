//! What an operator sets: keys, brands, times. Read from variables, checked once at start.

use thiserror::Error;

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// A variable that must be there is not.
    #[error("{name} is not set: {remedy}")]
    Missing {
        /// Variable.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A variable that cannot be read. The value is not repeated: it may be a secret.
    #[error("{name} cannot be read: {reason}")]
    Invalid {
        /// Variable.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Everything an operator sets.
#[derive(Debug, Clone, Default)]
pub struct Config {}

impl Config {
    /// Reads the variables of [`VARIABLES`] through `lookup`.
    ///
    /// # Errors
    /// [`ConfigError`] naming the variable and the remedy.
    pub fn from_vars(_lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Ok(Self {})
    }
}

/// Variables read by [`Config::from_vars`]: secrets first.
pub const VARIABLES: [&str; 12] = [
    "MEDIAFLOW_TOKEN_KEYS",
    "MEDIAFLOW_READER_KEY",
    "MEDIAFLOW_EXPOSURE_KEY",
    "MEDIAFLOW_LOGIN_KEY",
    "MEDIAFLOW_EDGE_TOKEN",
    "MEDIAFLOW_BRANDS",
    "MEDIAFLOW_SECURE_COOKIES",
    "MEDIAFLOW_KV_DEADLINE_MS",
    "MEDIAFLOW_RULES_TTL_MS",
    "MEDIAFLOW_FRONT_TTL_MS",
    "MEDIAFLOW_MODEL_TTL_MS",
    "MEDIAFLOW_CONSENT_VERSION",
];
