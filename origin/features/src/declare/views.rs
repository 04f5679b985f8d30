//! The views of the state store that the folds write, for whoever places or bounds them.

use mediaflow_ports::ViewPlan;
use mediaflow_shared::signals::{VIEW_NEIGHBOURS, VIEW_POPULARITY, VIEW_READER};
use std::time::Duration;

use super::Entity;
use crate::limits;

/// Which partition of `events` a key of a view belongs to. A commit writes keys of its own partition only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The key is a reader's 16 bytes: the partition is [`mediaflow_ports::partition_of`] of it.
    ReaderKey,
    /// The key begins with the partition, u32 big-endian.
    PartitionPrefix,
    /// The key has no partition; written at start-up, not by a fold.
    Global,
}

/// A view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its name in the state store.
    pub name: &'static str,
    /// Where its keys belong.
    pub placement: Placement,
    /// How long a value is kept after it was last written; `None`: until it is deleted.
    pub ttl: Option<Duration>,
    /// What its keys and values are.
    pub about: &'static str,
    /// FOLD_VERSION of the view: raised when its folds give other values for the same events. It goes into the
    /// fingerprints of the definitions that are read from the view, and states folded by another are not gone on with
    /// unasked ([`crate::WhenChanged`]).
    pub fold_version: u16,
}

/// Items' counters: partition ‖ content id, u64 big-endian.
pub const VIEW_ITEM: &str = "features.content";
/// Ads' counters: partition ‖ XXH3-64 of the ad's id, big-endian.
pub const VIEW_AD: &str = "features.ad";
/// Brands' counters: partition ‖ slug.
pub const VIEW_BRAND: &str = "features.brand";
/// Distinct readers of a brand and day: partition ‖ slug ‖ 0 ‖ day since the epoch, u32 big-endian.
pub const VIEW_REACH: &str = "features.reach";
/// Items most read in a brand and hour: partition ‖ slug ‖ 0 ‖ hour since the epoch, u32 big-endian.
pub const VIEW_TOP: &str = "features.top";
/// How far event time got: partition.
pub const VIEW_CLOCK: &str = "features.clock";
/// Under which rules a partition's states were folded: partition → lines of rule and value.
pub const VIEW_FOLDS: &str = "features.folds";
/// Fingerprints of events folded: partition ‖ segment, u64 big-endian.
pub const VIEW_SEEN: &str = "features.seen";
/// Definitions as they were at the last start: `entity.name`.
pub const VIEW_DEFINITIONS: &str = "features.definitions";
/// What consumers outside this release read, such as trained models: consumer's name.
pub const VIEW_CONSUMERS: &str = "features.consumers";

const fn view(
    name: &'static str,
    placement: Placement,
    ttl: Option<Duration>,
    about: &'static str,
    fold_version: u16,
) -> View {
    View {
        name,
        placement,
        ttl,
        about,
        fold_version,
    }
}

/// Every view of this crate.
pub const VIEWS: &[View] = &[
    view(
        VIEW_READER,
        Placement::ReaderKey,
        Some(limits::READER_KEEP),
        "a reader's profile, counters and sessions",
        1,
    ),
    view(
        VIEW_ITEM,
        Placement::PartitionPrefix,
        Some(limits::ITEM_KEEP),
        "an item's counters",
        1,
    ),
    view(
        VIEW_AD,
        Placement::PartitionPrefix,
        Some(limits::ITEM_KEEP),
        "an ad's counters",
        1,
    ),
    view(
        VIEW_BRAND,
        Placement::PartitionPrefix,
        None,
        "a brand's counters",
        1,
    ),
    view(
        VIEW_REACH,
        Placement::PartitionPrefix,
        Some(limits::REACH_KEEP),
        "distinct readers of a brand's day",
        1,
    ),
    view(
        VIEW_TOP,
        Placement::PartitionPrefix,
        Some(limits::TOP_KEEP),
        "items most read in a brand's hour",
        1,
    ),
    view(
        VIEW_POPULARITY,
        Placement::PartitionPrefix,
        None,
        "clicks of a brand's item, for fronts",
        1,
    ),
    view(
        VIEW_NEIGHBOURS,
        Placement::PartitionPrefix,
        None,
        "items read next, for fronts",
        1,
    ),
    view(
        VIEW_SEEN,
        Placement::PartitionPrefix,
        None,
        "fingerprints of events folded",
        1,
    ),
    view(
        VIEW_CLOCK,
        Placement::PartitionPrefix,
        None,
        "how far event time got",
        1,
    ),
    view(
        VIEW_DEFINITIONS,
        Placement::Global,
        None,
        "definitions as of the last start",
        1,
    ),
    view(
        VIEW_FOLDS,
        Placement::PartitionPrefix,
        None,
        "rules the states were folded under",
        1,
    ),
    view(
        VIEW_CONSUMERS,
        Placement::Global,
        None,
        "what models read",
        1,
    ),
];

/// The views that values of an entity are read from.
#[must_use]
pub const fn of_entity(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Reader | Entity::Session => &[VIEW_READER],
        Entity::Content => &[VIEW_ITEM],
        Entity::Ad => &[VIEW_AD],
        Entity::Brand => &[VIEW_BRAND, VIEW_REACH, VIEW_TOP],
    }
}

/// The same table for state stores of many nodes.
#[must_use]
pub fn plans() -> Vec<ViewPlan> {
    VIEWS
        .iter()
        .map(|view| match view.placement {
            // As many as there are readers, and never listed by the folds.
            Placement::ReaderKey => ViewPlan::by_key(view.name).unscanned(),
            Placement::PartitionPrefix => ViewPlan::by_prefix(view.name),
            Placement::Global => ViewPlan::global(view.name),
        })
        .collect()
}
