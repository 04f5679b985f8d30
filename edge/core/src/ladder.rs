//! The ladder: a feed is always served, from the best inputs that can be had in time.
//!
//! 0 fresh profile · 1 a profile that may be outdated, its weight faded · 2 no profile: context and popularity · 3 the
//! front cannot be read: the last good one, from memory or the edge cache · 4 nothing can be read: the brand's built-in
//! default. Rules hold on every rung: the default is a front like any other, so pins and takedowns apply to it.

use crate::Edge;
use crate::config::{Brand, Config, Surface};
use crate::deferred::Deferred;
use crate::memory::{Held, Ruling, Source};
use crate::platform::{Platform, both};
use crate::visitor::Known;
use mediaflow_shared::front::build::{Head, Item, encode};
use mediaflow_shared::front::{Front, flag};
use mediaflow_shared::id::ContentId;
use mediaflow_shared::model::Model;
use mediaflow_shared::time::Minute;
use std::sync::Arc;

/// What a feed is made of, besides the reader.
#[derive(Debug)]
pub struct Inputs {
    /// Candidates.
    pub front: Arc<Front>,
    /// Rules, when any could be read.
    pub rules: Option<Arc<Ruling>>,
    /// Milliseconds since the store last confirmed the rules; absent without rules.
    pub rules_age_ms: Option<i64>,
    /// Weights.
    pub model: Arc<Model>,
    /// 0, or 3 or 4 where the front is not as the store has it.
    pub floor: u8,
}

impl Inputs {
    /// Gathers front, rules and model; stores that fail are stepped around.
    pub async fn gather<P: Platform>(
        edge: &Edge,
        platform: &P,
        brand: &Brand,
        surface: &Surface,
        later: &mut Vec<Deferred>,
    ) -> Self {
        let (config, memory) = (edge.config(), &edge.memory);
        let (mut later_rules, mut later_model) = (Vec::new(), Vec::new());
        let ((front, rules), model) = both(
            both(
                memory.front(platform, config, brand, surface, later),
                memory.rules(platform, config, brand, surface, &mut later_rules),
            ),
            memory.model(platform, config, brand, &mut later_model),
        )
        .await;
        later.append(&mut later_rules);
        later.append(&mut later_model);
        Self::of(edge, surface, front, rules, model)
    }

    fn of(
        edge: &Edge,
        surface: &Surface,
        front: Held<Front>,
        rules: Held<Ruling>,
        model: Held<Model>,
    ) -> Self {
        let (front, floor) = match (front.value, front.source) {
            (Some(f), Source::Store) => (f, 0),
            (Some(f), _) => (f, 3),
            (None, _) => (edge.default_front(surface), 4),
        };
        Self {
            front,
            rules_age_ms: rules.value.is_some().then_some(rules.age_ms),
            rules: rules.value,
            model: model.value.unwrap_or_default(),
            floor,
        }
    }

    /// The rung for a reader of whom this is known.
    #[must_use]
    pub fn rung(&self, known: Option<&Known>) -> u8 {
        match (self.floor, known) {
            (0, Some(k)) if k.fresh => 0,
            (0, Some(_)) => 1,
            (0, None) => 2,
            (floor, _) => floor,
        }
    }

    /// Tokens minted before this minute are refused.
    #[must_use]
    pub fn valid_from(&self) -> Minute {
        self.rules
            .as_ref()
            .map_or(Minute(0), |r| r.rules.tokens_valid_from)
    }
}

/// Age of a front at the ranking clock, in seconds; 0 for the built-in default, which has no time.
#[must_use]
pub fn front_age_s(front: &Front, minute: Minute) -> u32 {
    if front.built() == Minute(0) {
        0
    } else {
        minute.since(front.built()).saturating_mul(60)
    }
}

/// The built-in default of every surface, in the order of their slots.
#[must_use]
pub fn defaults(config: &Config) -> Vec<Arc<Front>> {
    config
        .brands
        .iter()
        .flat_map(|b| b.surfaces.iter().map(move |s| Arc::new(default(b, s))))
        .collect()
}

fn default(brand: &Brand, surface: &Surface) -> Front {
    let head = Head {
        brand: &brand.slug,
        surface: &surface.slug,
        ..Head::default()
    };
    let mut items: Vec<Item> = Vec::new();
    for (i, d) in brand.default_feed.iter().enumerate() {
        let content = ContentId::of("built-in", &d.url);
        let card = serde_json::json!({
            "id": content.to_string(),
            "url": d.url,
            "title": d.title,
            "content_text": "",
        })
        .to_string();
        if items.iter().all(|other| other.content != content) {
            items.push(Item {
                content,
                // Never too old, and in the order of the configuration.
                flags: flag::EVERGREEN,
                published: Minute(1000_u32.saturating_sub(i as u32)),
                quality: 255_u8.saturating_sub(i as u8),
                card: card[1..card.len() - 1].to_owned(),
                ..Item::default()
            });
        }
    }
    let empty = || encode(&head, Vec::new()).unwrap_or_default();
    let bytes = encode(&head, items).unwrap_or_else(|_| empty());
    match Front::parse(bytes) {
        Ok(front) => front,
        Err(e) => unreachable!("a front we wrote ourselves is refused: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn the_built_in_default_is_a_front_like_any_other() {
        let fronts = defaults(&config());
        assert_eq!(fronts.len(), 3);
        assert_eq!((fronts[0].len(), fronts[2].len()), (1, 0));
        assert!(mediaflow_shared::feed::is_card(fronts[0].card(0)));
        assert_eq!(front_age_s(&fronts[0], Minute(99_999)), 0);
    }
}
