//! Where state lives in a store of many nodes: every name of the state store is declared once.
//!
//! A commit is atomic within one [`Slot`]: one partition's, or the one for everything else. So what a worker of a
//! partition commits together (its views, its progress, its fence) is placed by that partition, and everything
//! that is not declared lives together in [`Slot::Global`]. Services declare their views in tables of [`ViewPlan`];
//! the binary puts the tables together into one [`Layout`] and hands it to the adapter. A store on one machine
//! needs none of this.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Commit, PortError, PortErrorKind, PortResult, partition_of};

/// What decides the slot of a view's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// All keys together with everything else that is not placed.
    Global,
    /// [`partition_of`] the whole key: for views keyed by what their topic is partitioned by.
    ByKey,
    /// The partition is the key's first four bytes, a big-endian u32.
    ByPrefix,
}

/// How a view is kept. Views without a plan are [`Placement::Global`] and scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewPlan {
    /// The view by name.
    pub view: &'static str,
    /// Where its keys live.
    pub placement: Placement,
    /// Whether scans are part of its work. A store without an order of its own keeps an index of such a view's
    /// keys; a scan of another view still answers, by looking at everything.
    pub scanned: bool,
}

impl ViewPlan {
    /// A scanned view of the global slot: the default, spelled out.
    #[must_use]
    pub const fn global(view: &'static str) -> Self {
        Self::of(view, Placement::Global)
    }

    /// A scanned view placed by [`partition_of`] its keys.
    #[must_use]
    pub const fn by_key(view: &'static str) -> Self {
        Self::of(view, Placement::ByKey)
    }

    /// A scanned view whose keys begin with their partition.
    #[must_use]
    pub const fn by_prefix(view: &'static str) -> Self {
        Self::of(view, Placement::ByPrefix)
    }

    /// The same view without an index: right where keys are many and scans are for operators only.
    #[must_use]
    pub const fn unscanned(mut self) -> Self {
        self.scanned = false;
        self
    }

    const fn of(view: &'static str, placement: Placement) -> Self {
        Self {
            view,
            placement,
            scanned: true,
        }
    }
}

/// What a commit touches: all of it lies in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Everything that is not placed.
    Global,
    /// A partition's.
    Partition(u32),
}

/// Every declared name of a product, and how many partitions its topics have.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    partitions: u32,
    views: BTreeMap<&'static str, ViewPlan>,
    consumers: BTreeSet<&'static str>,
}

impl Layout {
    /// Everything global, for topics of so many partitions.
    #[must_use]
    pub fn new(partitions: u32) -> Self {
        Self {
            partitions: partitions.max(1),
            ..Self::default()
        }
    }

    /// Adds a service's table of views.
    #[must_use]
    pub fn views(mut self, plans: &[ViewPlan]) -> Self {
        self.views
            .extend(plans.iter().map(|plan| (plan.view, *plan)));
        self
    }

    /// Places what a consumer commits by the partition it reads: its progress, that of consumers named
    /// `<consumer>.…`, and fences named `<consumer>…<partition>`.
    #[must_use]
    pub fn partitioned(mut self, consumer: &'static str) -> Self {
        self.consumers.insert(consumer);
        self
    }

    /// Partitions of the topics.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Every plan that differs from the default, by view.
    pub fn plans(&self) -> impl Iterator<Item = &ViewPlan> {
        let default = |plan: &&ViewPlan| **plan != ViewPlan::global(plan.view);
        self.views.values().filter(default)
    }

    /// Consumers placed by partition.
    pub fn consumers(&self) -> impl Iterator<Item = &'static str> {
        self.consumers.iter().copied()
    }

    /// How a view is kept.
    #[must_use]
    pub fn plan(&self, view: &str) -> (Placement, bool) {
        self.views
            .get(view)
            .map_or((Placement::Global, true), |plan| {
                (plan.placement, plan.scanned)
            })
    }

    /// Every slot there is.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        std::iter::once(Slot::Global).chain((0..self.partitions).map(Slot::Partition))
    }

    /// Where a view's key lives.
    ///
    /// # Errors
    /// `Invalid` for a key that does not begin with a partition although its view says so.
    pub fn slot_of(&self, view: &str, key: &[u8]) -> PortResult<Slot> {
        match self.plan(view).0 {
            Placement::Global => Ok(Slot::Global),
            Placement::ByKey => Ok(Slot::Partition(partition_of(key, self.partitions))),
            Placement::ByPrefix => match key.first_chunk() {
                Some(first) => self.slot_of_partition(view, u32::from_be_bytes(*first)),
                None => Err(invalid(format!(
                    "view \"{view}\": key \"{}\" must begin with its partition, four bytes big-endian",
                    key.escape_ascii()
                ))),
            },
        }
    }

    /// Where a consumer's progress lives.
    ///
    /// # Errors
    /// `Invalid` for a partition the layout does not have.
    pub fn slot_of_progress(&self, consumer: &str, partition: u32) -> PortResult<Slot> {
        let placed = |name: &str| {
            consumer
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if self.consumers.iter().any(|name| placed(name)) {
            self.slot_of_partition(consumer, partition)
        } else {
            Ok(Slot::Global)
        }
    }

    /// Where a fence lives.
    ///
    /// # Errors
    /// `Invalid` for a partition the layout does not have.
    pub fn slot_of_fence(&self, fence: &str) -> PortResult<Slot> {
        let number = |name: &&str| {
            let rest = fence.strip_prefix(name)?;
            // A fence of another consumer whose name merely begins alike is not ours.
            let rest = rest.strip_prefix(['.', '-', '_'])?;
            let digits = rest
                .rfind(|c: char| !c.is_ascii_digit())
                .map_or(0, |at| at + 1);
            rest.get(digits..)?.parse().ok()
        };
        match self.consumers.iter().find_map(number) {
            Some(partition) => self.slot_of_partition(fence, partition),
            None => Ok(Slot::Global),
        }
    }

    /// The one slot of a commit; outbox entries follow the rest of it.
    ///
    /// # Errors
    /// `Invalid` when parts of it live in different slots, naming two of them: such a commit cannot be atomic.
    pub fn slot_of_commit(&self, commit: &Commit) -> PortResult<Slot> {
        let mut found: Option<(Slot, String)> = None;
        let mut see = |slot: Slot, what: &dyn Fn() -> String| match &found {
            None => {
                found = Some((slot, what()));
                Ok(())
            }
            Some((other, _)) if *other == slot => Ok(()),
            Some((other, first)) => Err(invalid(format!(
                "a commit is atomic within one partition, but {first} lives in {other:?} and {} in {slot:?}; \
                 declare their placement alike or commit them apart",
                what()
            ))),
        };
        if let Some(fence) = &commit.fence {
            see(self.slot_of_fence(&fence.name)?, &|| {
                format!("fence \"{}\"", fence.name)
            })?;
        }
        if let Some(p) = &commit.progress {
            let slot = self.slot_of_progress(&p.consumer, p.partition)?;
            see(slot, &|| {
                format!(
                    "progress of \"{}\" in {}/{}",
                    p.consumer, p.topic, p.partition
                )
            })?;
        }
        let keys = commit.requires.iter().map(|r| (&r.view[..], &r.key));
        for (view, key) in keys.chain(commit.writes.iter().map(|w| (&w.view[..], &w.key))) {
            see(self.slot_of(view, key)?, &|| {
                format!("view \"{view}\" key \"{}\"", key.escape_ascii())
            })?;
        }
        Ok(found.map_or(Slot::Global, |(slot, _)| slot))
    }

    /// The slots that may hold keys of a view beginning with `prefix`.
    #[must_use]
    pub fn slots_of_scan(&self, view: &str, prefix: &[u8]) -> Vec<Slot> {
        let all = || (0..self.partitions).map(Slot::Partition).collect();
        match (self.plan(view).0, prefix.first_chunk()) {
            (Placement::Global, _) => vec![Slot::Global],
            (Placement::ByPrefix, Some(first)) => match u32::from_be_bytes(*first) {
                partition if partition < self.partitions => vec![Slot::Partition(partition)],
                _ => Vec::new(),
            },
            _ => all(),
        }
    }

    fn slot_of_partition(&self, what: &str, partition: u32) -> PortResult<Slot> {
        if partition < self.partitions {
            return Ok(Slot::Partition(partition));
        }
        Err(invalid(format!(
            "\"{what}\" names partition {partition}, but state is laid out for {}; \
             use as many partitions as the topics have",
            self.partitions
        )))
    }
}

fn invalid(message: String) -> PortError {
    PortError::new(PortErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(8)
            .views(&[
                ViewPlan::by_key("f.reader").unscanned(),
                ViewPlan::by_prefix("f.item"),
            ])
            .partitioned("f")
    }

    fn reader_of(partition: u32) -> Vec<u8> {
        (0_u32..)
            .map(|n| n.to_be_bytes().to_vec())
            .find(|key| partition_of(key, 8) == partition)
            .unwrap()
    }

    #[test]
    fn what_a_worker_commits_lies_in_its_partition() {
        let commit = Commit::new()
            .fenced("f.events.3", 1)
            .advance("f", "events", 3, 0, 1)
            .put("f.reader", reader_of(3), "v")
            .put("f.item", [0, 0, 0, 3, b'x'].to_vec(), "v")
            .emit("work", "k", "v");
        assert_eq!(
            layout().slot_of_commit(&commit).unwrap(),
            Slot::Partition(3)
        );
        let global = Commit::new()
            .put("other", "k", "v")
            .advance("g", "events", 3, 0, 1);
        assert_eq!(layout().slot_of_commit(&global).unwrap(), Slot::Global);
    }

    #[test]
    fn a_commit_over_two_slots_is_refused_by_both_names() {
        let commit = Commit::new()
            .advance("f", "events", 3, 0, 1)
            .put("other", "k", "v");
        let error = layout().slot_of_commit(&commit).unwrap_err();
        assert_eq!(error.kind(), PortErrorKind::Invalid);
        assert!(
            error.to_string().contains("\"f\"") && error.to_string().contains("\"other\""),
            "{error}"
        );
        let two =
            Commit::new()
                .put("f.reader", reader_of(3), "v")
                .put("f.reader", reader_of(4), "v");
        assert!(layout().slot_of_commit(&two).is_err());
    }

    #[test]
    fn fences_name_their_partition_last() {
        let slot = |name| layout().slot_of_fence(name).unwrap();
        assert_eq!(slot("f.events.7"), Slot::Partition(7));
        assert_eq!(slot("f-2"), Slot::Partition(2));
        assert_eq!(slot("f"), Slot::Global);
        assert_eq!(slot("g.events.7"), Slot::Global);
        assert!(
            layout().slot_of_fence("f.events.8").is_err(),
            "not a partition of ours"
        );
    }

    #[test]
    fn scans_ask_only_where_the_prefix_can_be() {
        let slots = |view, prefix: &[u8]| layout().slots_of_scan(view, prefix);
        assert_eq!(slots("f.item", &[0, 0, 0, 2, 9]), [Slot::Partition(2)]);
        assert_eq!(slots("f.item", &[0, 0]).len(), 8);
        assert!(slots("f.item", &[9, 9, 9, 9]).is_empty());
        assert_eq!(slots("f.reader", b"").len(), 8);
        assert_eq!(slots("other", b"abc"), [Slot::Global]);
    }
}
