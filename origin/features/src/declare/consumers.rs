//! Who reads which feature: what a release itself reads. Models and other outside readers write themselves into the
//! view `features.consumers` ([`super::views::VIEW_CONSUMERS`]).

use super::{Entity, ValueType};

/// A feature as its reader expects it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Of which entity.
    pub entity: Entity,
    /// The feature's name.
    pub name: &'static str,
    /// Its type.
    pub kind: ValueType,
    /// Its version.
    pub version: u16,
}

/// Something that reads features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumer {
    /// Named in errors and lineage.
    pub name: &'static str,
    /// What it reads.
    pub needs: &'static [Need],
}

const fn need(entity: Entity, name: &'static str, kind: ValueType) -> Need {
    Need {
        entity,
        name,
        kind,
        version: 1,
    }
}

/// What this release reads.
pub const CONSUMERS: &[Consumer] = &[Consumer {
    name: "profile blob (u/<reader>)",
    needs: &[
        need(Entity::Reader, "affinity_confidence", ValueType::Ratio),
        need(Entity::Reader, "session_depth", ValueType::Count),
    ],
}];
