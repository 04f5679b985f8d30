//! The reader's preferences in the older shape {ratings, genres} (S2-08): a view of the reader's features, kept as long
//! as they are, not an hour.

use serde::Serialize;
use std::collections::BTreeMap;

use super::read::{Answer, FeatureReader, ReadError};

/// What [`Preferences`] are made of.
const READ: [&str; 3] = ["ratings_total", "rating_avg", "affinity"];

/// A reader's preferences.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Preferences {
    /// How many items the reader rated, and the mean of the last 30 days and before, 0 to 5.
    pub ratings: BTreeMap<&'static str, serde_json::Value>,
    /// Topics with how far the reader leans towards them, -127 to 127, the greatest first.
    pub genres: serde_json::Value,
    /// As with features.
    pub version: String,
    /// As with features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
}

/// The preferences of a reader by pseudonym.
pub(super) async fn preferences(
    reader: &FeatureReader,
    id: &str,
) -> Result<Preferences, ReadError> {
    let names = READ.map(str::to_owned);
    Ok(of(&reader.read("reader", id, &names).await?))
}

fn of(answer: &Answer) -> Preferences {
    let value = |name: &str| {
        let found = answer.features.get(name);
        found.map_or(serde_json::Value::Null, |f| f.value.clone())
    };
    Preferences {
        ratings: BTreeMap::from([
            ("count", value("ratings_total")),
            ("mean", value("rating_avg")),
        ]),
        genres: value("affinity"),
        version: answer.version.clone(),
        age_s: answer.age_s,
    }
}
