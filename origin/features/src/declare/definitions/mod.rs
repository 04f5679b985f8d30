//! The definitions, one file per entity.

mod about;
mod ad;
mod brand;
mod content;
mod reader;
mod rfm;
mod session;

use super::{Ask, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, Window};
use crate::entity::{Audience, tile};
use crate::tally::Split;
use mediaflow_shared::event::EventType;
use mediaflow_shared::time::Timestamp;

const DAY_S: i64 = 86_400;
/// Clicks and impressions assumed before any were seen: a CTR of 5 %, as feeds have.
const CTR_PRIOR: (u64, u64) = (1, 20);
/// The same of ads: 1 %.
const AD_CTR_PRIOR: (u64, u64) = (1, 100);
/// Conversions and clicks assumed: 2 %.
const CVR_PRIOR: (u64, u64) = (1, 50);

/// Who answers for features that nobody else does.
pub(super) const OWNER: &str = "data";

/// Every definition, entities in the order of [`Entity::ALL`].
pub(super) fn every() -> Vec<FeatureDefinition> {
    let mut all = reader::every();
    all.extend(content::every());
    all.extend(ad::every());
    all.extend(session::every());
    all.extend(brand::every());
    all
}

/// A rate, pulled towards the prior while there is little to go by.
fn rate(part: u64, whole: u64, prior: (u64, u64)) -> Value {
    Value::ratio(part.saturating_add(prior.0), whole.saturating_add(prior.1))
}

/// What an audience did in the window asked for; in a day where none is.
fn sums(a: &Audience, ask: &Ask<'_>) -> [u32; tile::COUNT] {
    a.tiles.sums(ask.window.unwrap_or(Window::H24), ask.now)
}

/// An audience's clicks per impression in the window asked for, smoothed.
fn ctr(a: &Audience, ask: &Ask<'_>) -> Value {
    let s = sums(a, ask);
    rate(
        s[tile::CLICKS].into(),
        s[tile::IMPRESSIONS].into(),
        CTR_PRIOR,
    )
}

/// A mean; missing when there is nothing to divide by.
fn per(total: i64, n: i64) -> Value {
    match n {
        ..=0 => Value::Missing,
        n => Value::Int(total / n),
    }
}

/// A moment that states keep in seconds; 0 is none.
fn time(at_s: u32) -> Value {
    match at_s {
        0 => Value::Missing,
        s => Value::Int(i64::from(s) * 1000),
    }
}

fn seconds_since(at_s: u32, now: Timestamp) -> Value {
    match at_s {
        0 => Value::Missing,
        s => Value::Int((now.0.div_euclid(1000) - i64::from(s)).max(0)),
    }
}

fn since_days(at_s: u32, now: Timestamp) -> Value {
    match seconds_since(at_s, now) {
        Value::Int(s) => Value::Int(s / DAY_S),
        other => other,
    }
}

/// Names acted on, most first.
fn split(rows: &Split, name: impl Fn(u16) -> String) -> Value {
    let acted = rows.rows().into_iter().filter(|r| r.2 > 0);
    Value::Ranking(acted.map(|r| (name(r.0), r.2.into())).collect())
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

    fn default_to(mut self, default: Value) -> Self {
        self.default = default;
        self
    }
}
