//! The reader's preferences in the older shape {ratings, genres, actors} (S2-08): a view of the reader's features, kept as
//! long as they are, not an hour.

use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;

use super::read::{Answer, FeatureReader, ReadError};

/// What [`Preferences`] are made of.
const READ: [&str; 4] = ["ratings_total", "rating_avg", "affinity", "actors"];
/// The view of people's names by the hash that states know them by, 4 bytes big-endian.
const VIEW_PEOPLE: &str = "content.people";

/// A reader's preferences.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Preferences {
    /// How many items the reader rated, and the mean of the last 30 days and before, 0 to 5.
    pub ratings: BTreeMap<&'static str, serde_json::Value>,
    /// Topics with how far the reader leans towards them, -127 to 127, the greatest first.
    pub genres: serde_json::Value,
    /// People with how often the reader met them in what was read, watched or liked, the most met first; of the twelve
    /// met last.
    pub actors: Vec<Met>,
    /// As with features.
    pub version: String,
    /// As with features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
}

/// Someone met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Met {
    /// As the content that named them last wrote it.
    pub name: String,
    /// Times met.
    pub value: i64,
}

/// The preferences of a reader by pseudonym.
pub(super) async fn preferences(
    reader: &FeatureReader,
    id: &str,
) -> Result<Preferences, ReadError> {
    let names = READ.map(str::to_owned);
    let answer = reader.read("reader", id, &names).await?;
    let mut preferences = of(&answer);
    let met: Vec<(u32, i64)> = rows(&answer, "actors");
    let keys: Vec<Bytes> = met
        .iter()
        .map(|(hash, _)| Bytes::copy_from_slice(&hash.to_be_bytes()))
        .collect();
    let known = reader.state.multi_get(VIEW_PEOPLE, &keys).await?;
    // A name that is gone from the store has nothing to show.
    let named = met.into_iter().zip(known).filter_map(|((_, value), name)| {
        let name = String::from_utf8_lossy(&name?).into_owned();
        Some(Met { name, value })
    });
    preferences.actors = named.collect();
    Ok(preferences)
}

/// The rows of a ranking whose names are hashes.
fn rows(answer: &Answer, name: &str) -> Vec<(u32, i64)> {
    let rows = answer.features.get(name).and_then(|f| f.value.as_array());
    let row = |r: &serde_json::Value| {
        let hash = u32::from_str_radix(r["name"].as_str()?, 16).ok()?;
        Some((hash, r["value"].as_i64()?))
    };
    rows.into_iter().flatten().filter_map(row).collect()
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
        actors: Vec::new(),
        version: answer.version.clone(),
        age_s: answer.age_s,
    }
}
