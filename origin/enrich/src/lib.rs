//! From a delivery to the unified article (S0-04 to S0-09).
//!
//! Path: `content.raw` → [`normalize`] (times, taxonomy, media, HTML to text) → [`nlp`] (language,
//! topics, entities, sentiment, readability, simhash) → [`run`] decides against what is stored (an
//! older version never wins, a takedown stays) and commits the article, its outbox entry and the
//! reading position together → `content.enriched`.
//!
//! What this crate never does: fetch anything, keep HTML, fail on strange input: any [`RawItem`]
//! gives a [`Content`].
//!
//! [`RawItem`]: mediaflow_shared::content::RawItem
//! [`Content`]: mediaflow_shared::content::Content

pub mod limits;
pub mod taxonomy;
pub mod text;
pub mod time;

pub mod nlp;
pub mod normalize;

mod consume;
mod decide;

pub use consume::{
    CONSUMER, EnrichError, OUTBOX_ENRICHED, TOPIC_ENRICHED, VIEW_CONTENT, VIEW_PEOPLE, run,
};
pub use decide::{Decision, decide};
pub use normalize::Normalizer;
pub use taxonomy::Taxonomy;

#[cfg(test)]
mod conformance;
