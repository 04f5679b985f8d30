//! What can go wrong in the folds.

use crate::declare::CheckError;
use mediaflow_ports::PortError;
use mediaflow_shared::wire::WireError;
use thiserror::Error;

/// Why the folds stopped.
#[derive(Debug, Error)]
pub enum FeatureError {
    /// A log or store refused for good.
    #[error("{0}")]
    Port(#[from] PortError),
    /// A feature is declared wrongly, or not as its readers expect.
    #[error("feature definitions do not hold")]
    Definitions(#[from] CheckError),
    /// A partition's states were folded under other rules.
    #[error(
        "partition {partition} of events was folded under other rules: {changes}; put them back, or set \
         features.when_changed = \"rebuild\" to fold the log again (what it no longer holds is lost) or \"keep\" to go on \
         with what was counted under the old ones"
    )]
    Rules {
        /// The partition.
        partition: u32,
        /// Each rule that differs, with both values.
        changes: String,
    },
    /// A stored state cannot be read.
    #[error(
        "view {view}: stored state cannot be read; run a release that can, or drop the view and its offsets"
    )]
    State {
        /// The view.
        view: &'static str,
        /// What is wrong with it.
        source: WireError,
    },
}
