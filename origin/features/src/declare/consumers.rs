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
pub const CONSUMERS: &[Consumer] = &[
    Consumer {
        name: "profile blob (u/<reader>)",
        needs: &[
            need(Entity::Reader, "affinity", ValueType::Ranking),
            need(Entity::Reader, "affinity_confidence", ValueType::Ratio),
            need(Entity::Reader, "last_reads", ValueType::Ranking),
            need(Entity::Reader, "preferred_length", ValueType::Label),
            need(Entity::Reader, "active_hours", ValueType::Ranking),
            need(Entity::Reader, "engagement", ValueType::Ratio),
            need(Entity::Reader, "session_depth", ValueType::Count),
        ],
    },
    Consumer {
        name: "GET /features/user/{id} (S4-04)",
        needs: &[
            need(Entity::Reader, "ad_ctr", ValueType::Ratio),
            need(Entity::Reader, "ad_clicks_total", ValueType::Count),
            need(Entity::Reader, "ads_shown_24h", ValueType::Count),
            need(Entity::Reader, "engagement_rate", ValueType::Ratio),
            need(Entity::Reader, "recency_s", ValueType::Seconds),
        ],
    },
    Consumer {
        name: "GET /features/ad/{id} (S4-04)",
        needs: &[
            need(Entity::Ad, "ctr_5m", ValueType::Ratio),
            need(Entity::Ad, "ctr_7d", ValueType::Ratio),
            need(Entity::Ad, "cvr_7d", ValueType::Ratio),
            need(Entity::Ad, "frequency", ValueType::Ratio),
            need(Entity::Ad, "recency_s", ValueType::Seconds),
            need(Entity::Ad, "clicks_by_device", ValueType::Ranking),
            need(Entity::Ad, "clicks_by_country", ValueType::Ranking),
        ],
    },
];
