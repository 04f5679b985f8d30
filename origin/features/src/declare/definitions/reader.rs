//! Readers: recency, activity, engagement, CTR, diversity, one-hots of brand, device and country, RFM (S1-05, S3-06).

use super::{Ask, Entity, Evaluate, FeatureDefinition, Tier, Value, ValueType, define};
use crate::reader::ReaderState;
use mediaflow_shared::event::EventType;

use EventType::{Like, Read, VideoProgress};

type Read1 = fn(&ReaderState, &Ask<'_>) -> Value;

fn reader(
    name: impl Into<String>,
    kind: ValueType,
    reads: &'static [EventType],
    description: impl Into<String>,
    value: Read1,
) -> FeatureDefinition {
    define(
        Entity::Reader,
        name,
        kind,
        reads,
        Evaluate::Reader(value),
        description,
    )
}

pub(super) fn every() -> Vec<FeatureDefinition> {
    vec![
        reader(
            "affinity_confidence",
            ValueType::Ratio,
            &[Read, Like, VideoProgress],
            "How far the reader's taste is known: n/(n+5) of decayed reads",
            |r, ask| r.confidence(ask.now),
        ),
        reader(
            "session_depth",
            ValueType::Count,
            &[Read, Like, VideoProgress],
            "Items read in the newest session, as the profile blob says",
            |r, _| Value::int(r.session_depth()),
        )
        .tier(Tier::RealTime),
    ]
}
