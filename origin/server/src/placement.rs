//! Which state belongs to which partition, for state stores of many nodes: the services' tables, put together.

use mediaflow_features::declare::plans;
use mediaflow_ingest::{intake, ugc, webhook};
use mediaflow_ports::{Layout, ViewPlan};
use mediaflow_publisher::{VIEW_BUDGET, VIEW_SENT, archive};

use crate::served;

/// Views of many keys that are only ever read by key: no index of theirs is kept. They lie together, since what is
/// committed with them does.
const BY_KEY_ONLY: [ViewPlan; 11] = [
    ViewPlan::global(intake::VIEW_SEEN).unscanned(),
    ViewPlan::global(webhook::VIEW_DELIVERIES).unscanned(),
    ViewPlan::global(ugc::VIEW_UGC).unscanned(),
    ViewPlan::global(archive::VIEW_FRONT).unscanned(),
    ViewPlan::global(archive::VIEW_CHUNK).unscanned(),
    ViewPlan::global(archive::VIEW_RULES).unscanned(),
    ViewPlan::global(archive::VIEW_MODEL).unscanned(),
    ViewPlan::global(VIEW_SENT).unscanned(),
    ViewPlan::global(VIEW_BUDGET).unscanned(),
    ViewPlan::global(served::VIEW).unscanned(),
    ViewPlan::global(mediaflow_enrich::VIEW_PEOPLE).unscanned(),
];

/// The layout of the whole product. Content, rules and what editors do are committed across keys of all kinds, so
/// they are not placed; what is folded from events lies with the partition of its event.
pub fn layout(partitions: u32) -> Layout {
    Layout::new(partitions)
        .views(&plans())
        .views(&BY_KEY_ONLY)
        .partitioned(mediaflow_features::CONSUMER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mediaflow_ports::{Commit, Slot, partition_of};
    use mediaflow_shared::signals::{VIEW_POPULARITY, VIEW_READER};

    #[test]
    fn a_commit_of_the_folds_lies_in_its_partition() {
        let reader = [7; 16];
        let partition = partition_of(&reader, 8);
        let item = [&partition.to_be_bytes()[..], b"daily\0item"].concat();
        let commit = Commit::new()
            .fenced(&format!("features.events.{partition}"), 1)
            .advance(mediaflow_features::CONSUMER, "events", partition, 0, 1)
            .put(VIEW_READER, reader.to_vec(), "state")
            .put(VIEW_POPULARITY, item, "counts")
            .emit("profiles.dirty", reader.to_vec(), "blob");
        let slot = layout(8).slot_of_commit(&commit);
        assert_eq!(slot.unwrap(), Slot::Partition(partition));
    }

    #[test]
    fn content_and_rules_lie_together() {
        let commit = Commit::new()
            .advance("enrich", "content.raw", 3, 0, 1)
            .put("content", "key", "article")
            .put(intake::VIEW_SEEN, "key", "hash");
        assert_eq!(layout(8).slot_of_commit(&commit).unwrap(), Slot::Global);
    }
}
