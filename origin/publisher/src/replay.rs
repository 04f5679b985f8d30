//! Finding again what a feed was made from.
//!
//! [`inputs`] collects front, rules and model of a served record from the archive; `mediaflow_edge_core` writes the
//! same bytes from them, and [`verify`] compares.

use mediaflow_ports::{PortError, StateStore};
use mediaflow_shared::front::Front;
use mediaflow_shared::model::Model;
use mediaflow_shared::rules::Rules;
use mediaflow_shared::served::Served;
use mediaflow_shared::wire::WireError;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::archive::{self, VIEW_MODEL, VIEW_RULES, model_key, version_key};

/// Why a feed cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The store refused.
    #[error("{0}")]
    Port(#[from] PortError),
    /// It was never archived here, or too long ago.
    #[error(
        "{what} {version} of {brand} is not in the archive: it is kept for 48 hours, and an edge's built-in default never was"
    )]
    Gone {
        /// Front, rules or model.
        what: &'static str,
        /// Which one.
        version: String,
        /// Whose.
        brand: String,
    },
    /// The archive holds bytes that cannot be read.
    #[error("archived {what} cannot be read: {source}")]
    Damaged {
        /// Front, rules or model.
        what: &'static str,
        /// Why.
        source: WireError,
    },
    /// The bytes differ from what was served.
    #[error("the replayed feed hashes to {got:016x}, the served one to {want:016x}")]
    Different {
        /// Of the replay.
        got: u64,
        /// Of the record.
        want: u64,
    },
}

/// What a feed was made from. The profile is in the served record.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The front.
    pub front: Front,
    /// The rules and their version; `None` when the edge had none.
    pub rules: Option<(Rules, u64)>,
    /// The model.
    pub model: Model,
}

/// Collects what the feed of a served record was made from.
///
/// # Errors
/// [`ReplayError`].
pub async fn inputs(served: &Served, state: &dyn StateStore) -> Result<Inputs, ReplayError> {
    let gone = |what, version: String| ReplayError::Gone {
        what,
        version,
        brand: served.brand.clone(),
    };
    let damaged = |what| move |source| ReplayError::Damaged { what, source };
    let bytes = archive::front(state, served.front).await?;
    let bytes = bytes.ok_or_else(|| gone("front", format!("{:016x}", served.front)))?;
    let front = Front::parse(bytes).map_err(damaged("front"))?;
    let rules = if served.rules == 0 {
        None
    } else {
        let bytes = state.get(VIEW_RULES, &version_key(served.rules)).await?;
        let bytes = bytes.ok_or_else(|| gone("rules", format!("{:016x}", served.rules)))?;
        Some(Rules::decode(&bytes).map_err(damaged("rules"))?)
    };
    let model = match state
        .get(VIEW_MODEL, &model_key(&served.brand, served.model))
        .await?
    {
        Some(bytes) => Model::decode(&bytes).map_err(damaged("model"))?,
        // Built into every release.
        None if served.model == 0 => Model::default(),
        None => return Err(gone("model", served.model.to_string())),
    };
    Ok(Inputs {
        front,
        rules,
        model,
    })
}

/// Checks that a replayed body is the one that was served.
///
/// # Errors
/// [`ReplayError::Different`].
pub fn verify(served: &Served, body: &[u8]) -> Result<(), ReplayError> {
    let got = xxh3_64(body);
    if got == served.body_hash {
        Ok(())
    } else {
        Err(ReplayError::Different {
            got,
            want: served.body_hash,
        })
    }
}
