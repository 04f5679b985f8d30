//! Definitions as a catalogue shows them: search, owner, lineage.

use mediaflow_shared::event::EventType;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::declare::{Entity, FeatureDefinition, Fingerprint, VIEWS, all};

/// What to list. Everything absent matches; what is there must all match.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Words that name, description, owner or lineage contain, in any order and case.
    pub q: Option<String>,
    /// Entity slug.
    pub entity: Option<String>,
    /// Owner.
    pub owner: Option<String>,
    /// Tier slug.
    pub tier: Option<String>,
    /// An event kind that feeds it, such as `read`.
    pub fed_by: Option<String>,
    /// What reads it: a part of the reader's name.
    pub read_by: Option<String>,
}

/// A feature as the catalogue shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// `entity.name`.
    pub id: String,
    /// Within its entity.
    pub name: String,
    /// What it is about.
    pub entity: &'static str,
    /// Type of its value.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The window it is counted over, such as `7d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<&'static str>,
    /// Its value where nothing is known.
    pub default: serde_json::Value,
    /// How fresh it is.
    pub tier: &'static str,
    /// Who answers for it.
    pub owner: &'static str,
    /// What it says.
    pub description: String,
    /// How long a value may be used after the entity's last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u64>,
    /// Raised when its meaning changes.
    pub version: u16,
    /// The kinds of event that feed it.
    pub fed_by: Vec<String>,
    /// The blobs, views and models that read it.
    pub read_by: Vec<String>,
}

/// Readers of features outside this release: name → lines `entity.name type version`
/// (view `features.consumers`).
pub type Outside = BTreeMap<String, String>;

/// The short name of an event kind: `read` of `org.mediaflow.read.v1`.
#[must_use]
pub fn event_slug(kind: EventType) -> String {
    let full = serde_json::to_value(kind).unwrap_or_default();
    let full = full.as_str().unwrap_or_default();
    let short = full.strip_prefix("org.mediaflow.").unwrap_or(full);
    short.strip_suffix(".v1").unwrap_or(short).to_owned()
}

impl Entry {
    /// Of a definition, with what is known of its readers.
    #[must_use]
    pub fn of(d: &FeatureDefinition, outside: &Outside) -> Self {
        let id = d.full_name();
        let reads = |(_, lines): &(&String, &String)| {
            lines
                .lines()
                .any(|l| l.split_whitespace().next() == Some(&id))
        };
        let mut read_by: Vec<String> = d.read_by().into_iter().map(str::to_owned).collect();
        read_by.extend(outside.iter().filter(reads).map(|(name, _)| name.clone()));
        Self {
            name: d.name.clone(),
            entity: d.entity.slug(),
            kind: d.kind.slug(),
            window: d.window.map(|w| w.suffix()),
            default: d.default.json(d.kind),
            tier: d.tier.slug(),
            owner: d.owner,
            description: d.description.clone(),
            ttl_s: d.ttl.map(|t| t.as_secs()),
            version: d.version,
            fed_by: d.reads.iter().map(|k| event_slug(*k)).collect(),
            read_by,
            id,
        }
    }

    fn matches(&self, f: &Filter) -> bool {
        let is = |wanted: &Option<String>, have: &str| {
            wanted.as_ref().is_none_or(|w| w.eq_ignore_ascii_case(have))
        };
        let text = || {
            let lineage = [self.fed_by.join(" "), self.read_by.join(" ")].join(" ");
            format!("{} {} {} {lineage}", self.id, self.description, self.owner).to_lowercase()
        };
        let words = |q: &String| {
            let text = text();
            q.to_lowercase()
                .split_whitespace()
                .all(|w| text.contains(w))
        };
        is(&f.entity, self.entity)
            && is(&f.owner, self.owner)
            && is(&f.tier, self.tier)
            && f.fed_by
                .as_ref()
                .is_none_or(|k| self.fed_by.iter().any(|have| have.eq_ignore_ascii_case(k)))
            && f.read_by.as_ref().is_none_or(|r| {
                let r = r.to_lowercase();
                self.read_by.iter().any(|c| c.to_lowercase().contains(&r))
            })
            && f.q.as_ref().is_none_or(words)
    }
}

/// The definitions a filter lets through, in the order of the documentation.
#[must_use]
pub fn list(filter: &Filter, outside: &Outside) -> Vec<Entry> {
    all()
        .iter()
        .map(|d| Entry::of(d, outside))
        .filter(|e| e.matches(filter))
        .collect()
}

/// Version of all definitions of an entity together: changes when any of them does.
#[must_use]
pub fn version(entity: Entity) -> String {
    let mut hash = xxhash_rust::xxh3::Xxh3Default::new();
    for d in crate::declare::of(entity) {
        hash.update(d.full_name().as_bytes());
        hash.update(&Fingerprint::of(d, VIEWS).encode());
    }
    format!("{:016x}", hash.digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(filter: Filter) -> Vec<String> {
        let found = list(&filter, &Outside::new());
        found.into_iter().map(|e| e.id).collect()
    }

    #[test]
    fn words_are_found_in_names_and_lineage() {
        let by = |q: &str| {
            ids(Filter {
                q: Some(q.into()),
                ..Filter::default()
            })
        };
        assert!(by("SESSION depth").contains(&"reader.session_depth".into()));
        assert!(by("profile blob").contains(&"reader.session_depth".into()));
        assert_eq!(by("no such feature anywhere"), Vec::<String>::new());
    }

    #[test]
    fn lineage_names_what_feeds_and_what_reads() {
        let outside = Outside::from([(
            "churn model".to_owned(),
            "reader.session_depth count 1\n".to_owned(),
        )]);
        let found = list(
            &Filter {
                read_by: Some("churn".into()),
                ..Filter::default()
            },
            &outside,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].id, "reader.session_depth");
        assert!(found[0].fed_by.contains(&"read".to_owned()));
    }

    #[test]
    fn the_version_is_the_same_in_every_process() {
        assert_eq!(version(Entity::Reader), version(Entity::Reader));
        assert_ne!(version(Entity::Reader), version(Entity::Content));
    }
}
