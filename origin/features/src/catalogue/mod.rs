//! The catalogue: what features there are, what feeds and reads them, and their values with freshness and version.
//!
//! Data path: [`list`] answers from the definitions alone; [`read`] loads an entity's state from its view (readers by
//! pseudonym, the rest added up over the partitions), evaluates it as of now and says how old it is. [`preferences`]
//! is the older shape {ratings, genres, actors} of the same state. [`recompute`] folds the log again, for values as of a
//! moment and for [`parity`]: what was served, held against what the log says.
//!
//! What it never does: take a raw reader id (whoever wires it turns ids into pseudonyms), write features.

mod list;
mod page;
mod parity;
mod preferences;
mod read;
mod recompute;
mod routes;

pub use list::{Entry, Filter, Outside};
pub use parity::{Mismatches, ParityReport, TOPIC_FEATURES_SERVED};
pub use read::{Answer, FeatureReader, FeatureValue, ReadError};
pub use recompute::{ReplayRequest, ReplayRow};
pub use routes::{CatalogueDeps, catalogue_routes};
