//! The check at start-up: names are unique, whoever reads a feature finds it as expected, and what changed since the
//! last start is read by nobody, or by readers of the new version.

use std::collections::{BTreeMap, HashSet};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::{Consumer, FeatureDefinition, Need, VIEWS, View, of_entity};

/// What is wrong with the definitions.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckError {
    /// Two definitions have one name.
    #[error("feature {0} is declared twice; rename one of them")]
    Twice(String),
    /// A name outside `[a-z0-9_]{1,64}`.
    #[error("feature name {0:?} is not 1 to 64 of a-z, 0-9 and '_'")]
    Name(String),
    /// A default of another type.
    #[error("feature {0} has a default that is not of its type")]
    Default(String),
    /// Something reads what is not declared.
    #[error(
        "{consumer} reads feature {feature}, which is not declared; declare it again, or change {consumer} first"
    )]
    Unknown {
        /// Who reads it.
        consumer: String,
        /// What is read.
        feature: String,
    },
    /// Something reads it as another type or version.
    #[error(
        "{consumer} reads feature {feature} as {expected}, but it is declared as {declared}; change {consumer} first"
    )]
    Other {
        /// Who reads it.
        consumer: String,
        /// What is read.
        feature: String,
        /// Type and version expected.
        expected: String,
        /// Type and version declared.
        declared: String,
    },
    /// A definition changed under its readers.
    #[error(
        "feature {feature} changed its meaning without a new version, and {consumers} reads it; raise its version and the reader's"
    )]
    Changed {
        /// What changed.
        feature: String,
        /// Who reads it.
        consumers: String,
    },
}

/// What a definition means, reduced: version and hash, kept in the state store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The definition's version.
    pub version: u16,
    /// Hash of entity, type, window, default, tier, lifetime, event kinds, and the versions of the folds behind it.
    pub hash: u64,
}

impl Fingerprint {
    /// Of a definition read from these views.
    #[must_use]
    pub fn of(d: &FeatureDefinition, views: &[View]) -> Self {
        let mut text = format!(
            "{:?} {} {:?} {:?} {:?} {:?} {:?} {:?} {}",
            d.entity, d.name, d.kind, d.window, d.default, d.tier, d.ttl, d.reads, d.slot
        );
        let behind = |v: &&View| of_entity(d.entity).contains(&v.name);
        // The first version of a fold is not written, as it was not in releases that knew no versions.
        for v in views.iter().filter(behind).filter(|v| v.fold_version > 1) {
            text += &format!(" {} {}", v.name, v.fold_version);
        }
        Self {
            version: d.version,
            hash: xxh3_64(text.as_bytes()),
        }
    }

    /// The state store's value.
    #[must_use]
    pub fn encode(&self) -> [u8; 10] {
        let mut out = [0; 10];
        out[..2].copy_from_slice(&self.version.to_be_bytes());
        out[2..].copy_from_slice(&self.hash.to_be_bytes());
        out
    }

    /// Reads what [`Self::encode`] wrote.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 10] = bytes.try_into().ok()?;
        let (version, hash) = bytes.split_first_chunk::<2>()?;
        Some(Self {
            version: u16::from_be_bytes(*version),
            hash: u64::from_be_bytes(hash.try_into().ok()?),
        })
    }
}

/// The fingerprints of definitions, by full name.
#[must_use]
pub fn fingerprints(
    definitions: &[FeatureDefinition],
    views: &[View],
) -> BTreeMap<String, Fingerprint> {
    definitions
        .iter()
        .map(|d| (d.full_name(), Fingerprint::of(d, views)))
        .collect()
}

/// Holds definitions against each other and against their readers.
///
/// # Errors
/// The first thing wrong, naming the feature and who reads it.
pub fn check(definitions: &[FeatureDefinition], consumers: &[Consumer]) -> Result<(), CheckError> {
    let mut names = HashSet::new();
    for d in definitions {
        let fits = (1..=64).contains(&d.name.len());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if !fits || !d.name.bytes().all(plain) {
            return Err(CheckError::Name(d.name.clone()));
        }
        if !names.insert(d.full_name()) {
            return Err(CheckError::Twice(d.full_name()));
        }
        if !d.kind.holds(&d.default) {
            return Err(CheckError::Default(d.full_name()));
        }
    }
    for c in consumers {
        for n in c.needs {
            meet(definitions, c.name, n)?;
        }
    }
    Ok(())
}

fn meet(definitions: &[FeatureDefinition], consumer: &str, need: &Need) -> Result<(), CheckError> {
    let feature = format!("{}.{}", need.entity.slug(), need.name);
    let found = definitions
        .iter()
        .find(|d| d.entity == need.entity && d.name == need.name);
    let Some(d) = found else {
        return Err(CheckError::Unknown {
            consumer: consumer.to_owned(),
            feature,
        });
    };
    if (d.kind, d.version) == (need.kind, need.version) {
        return Ok(());
    }
    Err(CheckError::Other {
        consumer: consumer.to_owned(),
        feature,
        expected: format!("{} v{}", need.kind.slug(), need.version),
        declared: format!("{} v{}", d.kind.slug(), d.version),
    })
}

/// Holds definitions against those of an earlier start and against readers written down in the state store.
/// `stored_consumers` are names with lines `entity.name type version`, as [`Need`]s are written.
///
/// # Errors
/// The first reader that would find something else than it expects.
pub fn check_stored(
    definitions: &[FeatureDefinition],
    consumers: &[Consumer],
    stored: &BTreeMap<String, Fingerprint>,
    stored_consumers: &BTreeMap<String, String>,
) -> Result<(), CheckError> {
    let current = fingerprints(definitions, VIEWS);
    for (consumer, lines) in stored_consumers {
        for line in lines.lines().filter(|l| !l.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let (feature, kind, version) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            let Some(d) = definitions.iter().find(|d| d.full_name() == feature) else {
                return Err(CheckError::Unknown {
                    consumer: consumer.clone(),
                    feature: feature.to_owned(),
                });
            };
            if d.kind.slug() != kind || d.version.to_string() != version {
                return Err(CheckError::Other {
                    consumer: consumer.clone(),
                    feature: feature.to_owned(),
                    expected: format!("{kind} v{version}"),
                    declared: format!("{} v{}", d.kind.slug(), d.version),
                });
            }
        }
    }
    let reads = |feature: &str| -> Vec<&str> {
        let here = consumers.iter().filter(|c| {
            c.needs
                .iter()
                .any(|n| feature == format!("{}.{}", n.entity.slug(), n.name))
        });
        let there = stored_consumers.iter().filter(|(_, lines)| {
            lines
                .lines()
                .any(|l| l.split_whitespace().next() == Some(feature))
        });
        here.map(|c| c.name)
            .chain(there.map(|(name, _)| name.as_str()))
            .collect()
    };
    for (feature, was) in stored {
        let Some(now) = current.get(feature) else {
            // Removed: whoever still reads it was found above.
            continue;
        };
        if now.hash != was.hash && now.version == was.version {
            let consumers = reads(feature);
            if !consumers.is_empty() {
                return Err(CheckError::Changed {
                    feature: feature.clone(),
                    consumers: consumers.join(", "),
                });
            }
        }
    }
    Ok(())
}
