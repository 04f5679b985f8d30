//! The definitions, one file per entity.

mod reader;

use super::{Ask, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window};
use mediaflow_shared::event::EventType;
use std::time::Duration;

/// Who answers for features that nobody else does.
pub(super) const OWNER: &str = "data";

/// Every definition, entities in the order of [`Entity::ALL`].
pub(super) fn every() -> Vec<FeatureDefinition> {
    reader::every()
}

/// A definition with the usual rest: counted since the beginning, 0 by default, batch.
fn define(
    entity: Entity,
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    value: Evaluate,
    description: impl Into<String>,
) -> FeatureDefinition {
    FeatureDefinition {
        name: name.into(),
        entity,
        kind,
        window: None,
        default: match kind {
            ValueType::Count | ValueType::Seconds | ValueType::Flag | ValueType::Money => {
                Value::Int(0)
            }
            ValueType::Ranking => Value::Ranking(Vec::new()),
            _ => Value::Missing,
        },
        tier: Tier::Batch,
        owner: OWNER,
        description: description.into(),
        ttl: None,
        version: 1,
        reads,
        value,
        slot: 0,
    }
}

impl FeatureDefinition {
    /// Counted over a window; its end is added to the name.
    fn over(mut self, window: Window) -> Self {
        self.name = format!("{}_{}", self.name, window.suffix());
        self.description = format!("{}, of the last {}", self.description, window.words());
        self.window = Some(window);
        if window <= Window::H1 {
            self.tier = Tier::RealTime;
        }
        self
    }

    fn tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    fn slot(mut self, slot: usize) -> Self {
        self.slot = slot;
        self
    }

    fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    fn default_to(mut self, default: Value) -> Self {
        self.default = default;
        self
    }
}
