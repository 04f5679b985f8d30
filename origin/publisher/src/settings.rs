//! What is published for whom: brands, surfaces, weights.

use mediaflow_shared::front::FRONT_ITEMS_MAX;
use mediaflow_shared::id::check_slug;
use mediaflow_shared::model::{Model, Q16};
use mediaflow_shared::topics;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use crate::error::{PublisherError, PublisherResult};
use crate::limits::{REBUILD_EVERY_S, SURFACE_ITEMS};
use crate::publishing::PublishSettings;

/// The publisher's part of the configuration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherSettings {
    /// Every brand served.
    pub brands: Vec<BrandSettings>,
    /// Fronts are rebuilt at least this often; 5 in development.
    #[serde(default = "rebuild_every_s")]
    pub rebuild_every_s: u64,
    /// How profiles are published, for brands that do not say so themselves.
    #[serde(default)]
    pub publish: PublishSettings,
}

/// One brand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrandSettings {
    /// `[a-z0-9-]{1,32}`.
    pub slug: String,
    /// What readers call it.
    pub name: String,
    /// Its own site.
    #[serde(default)]
    pub home_url: String,
    /// ISO 639-1, the main one first. Other languages are not kept out: detection errs on short texts.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Its surfaces, the front page first.
    pub surfaces: Vec<SurfaceSettings>,
    /// Departures from the built-in model.
    #[serde(default)]
    pub model: ModelSettings,
    /// How its profiles are published; absent = as [`PublisherSettings::publish`] says.
    #[serde(default)]
    pub publish: Option<PublishSettings>,
}

/// One surface of a brand: its front page or a section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurfaceSettings {
    /// `[a-z0-9-]{1,32}`.
    pub slug: String,
    /// Only items mainly about one of these topics (slugs); empty = all.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Only items of one of these categories; empty = all. With topics, either is enough.
    #[serde(default)]
    pub categories: Vec<String>,
    /// Candidates at most, up to 1,024.
    #[serde(default = "surface_items")]
    pub items_max: u16,
}

/// Departures of a brand's model from the built-in one, in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelSettings {
    /// By the names of [`mediaflow_shared::model::Weights`].
    pub weights: BTreeMap<String, i32>,
    /// Alpha, beta and gamma of the classic score; they add up to 1000.
    pub classic: Option<[u16; 3]>,
    /// Probability of exploring.
    pub epsilon: Option<u32>,
    /// Older items are not eligible, hours.
    pub age_h_max: Option<u16>,
}

fn rebuild_every_s() -> u64 {
    REBUILD_EVERY_S
}

fn surface_items() -> u16 {
    SURFACE_ITEMS
}

impl PublisherSettings {
    /// Checks slugs, topics, sizes and weights.
    ///
    /// # Errors
    /// [`PublisherError::Settings`] naming the brand and what is allowed.
    pub fn check(&self) -> PublisherResult<()> {
        let refuse = |why: String| Err(PublisherError::Settings(why));
        if self.rebuild_every_s == 0 {
            return refuse("rebuild_every_s is 0; give at least 1".into());
        }
        let mut brands = HashSet::new();
        for b in &self.brands {
            let slug = |s: &str| check_slug(s).map(drop).map_err(|e| e.to_string());
            slug(&b.slug).or_else(refuse)?;
            if !brands.insert(&b.slug) {
                return refuse(format!("brand {} is configured twice", b.slug));
            }
            if b.surfaces.is_empty() {
                return refuse(format!("brand {} has no surfaces; give one", b.slug));
            }
            let mut surfaces = HashSet::new();
            for s in &b.surfaces {
                slug(&s.slug).or_else(refuse)?;
                let name = format!("surface {}/{}", b.slug, s.slug);
                if !surfaces.insert(&s.slug) {
                    return refuse(format!("{name} is configured twice"));
                }
                if !(1..=FRONT_ITEMS_MAX).contains(&usize::from(s.items_max)) {
                    return refuse(format!("{name}: items_max is 1 to {FRONT_ITEMS_MAX}"));
                }
                if let Some(t) = s.topics.iter().find(|t| topics::index(t).is_none()) {
                    return refuse(format!("{name}: no topic {t:?}; see the table of topics"));
                }
            }
            b.model.apply(Model::default(), &b.slug)?;
            self.publish_of(b).check(&b.slug)?;
        }
        Ok(())
    }

    /// How a brand's profiles are published.
    #[must_use]
    pub fn publish_of<'a>(&'a self, brand: &'a BrandSettings) -> &'a PublishSettings {
        brand.publish.as_ref().unwrap_or(&self.publish)
    }

    /// Time between rebuilds.
    #[must_use]
    pub fn rebuild_every(&self) -> Duration {
        Duration::from_secs(self.rebuild_every_s)
    }
}

impl ModelSettings {
    /// `model` with these departures.
    ///
    /// # Errors
    /// [`PublisherError::Settings`]: an unknown weight, a classic score that does not add up, a probability above one.
    pub fn apply(&self, mut model: Model, brand: &str) -> PublisherResult<Model> {
        let refuse = |why: String| Err(PublisherError::Settings(format!("brand {brand}: {why}")));
        let q16 = |milli: i32| (i64::from(milli) * i64::from(Q16) / 1000) as i32;
        let w = &mut model.weights;
        for (name, milli) in &self.weights {
            if !(-10_000..=10_000).contains(milli) {
                return refuse(format!(
                    "weight {name} is {milli}; give -10000 to 10000 thousandths"
                ));
            }
            let weight = match name.as_str() {
                "topic" => &mut w.topic,
                "learned" => &mut w.learned,
                "neighbours" => &mut w.neighbours,
                "clicks15" => &mut w.clicks15,
                "clicks60" => &mut w.clicks60,
                "decay_fast" => &mut w.decay_fast,
                "decay_slow" => &mut w.decay_slow,
                "recency" => &mut w.recency,
                "active" => &mut w.active,
                "quality" => &mut w.quality,
                "length" => &mut w.length,
                "hour" => &mut w.hour,
                "context" => &mut w.context,
                _ => return refuse(format!("no weight is called {name:?}")),
            };
            *weight = q16(*milli);
        }
        if let Some([alpha, beta, gamma]) = self.classic {
            if u32::from(alpha) + u32::from(beta) + u32::from(gamma) != 1000 {
                return refuse("classic weights do not add up to 1000".into());
            }
            (model.classic.alpha, model.classic.beta, model.classic.gamma) = (alpha, beta, gamma);
        }
        if let Some(milli) = self.epsilon {
            if milli > 1000 {
                return refuse(format!("epsilon is {milli}; give 0 to 1000 thousandths"));
            }
            model.explore.epsilon = q16(milli as i32).unsigned_abs();
        }
        if let Some(h) = self.age_h_max {
            model.age_h_max = h;
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brand(json: &str) -> PublisherResult<()> {
        let s: PublisherSettings =
            serde_json::from_str(&format!(r#"{{"brands":[{json}]}}"#)).unwrap();
        s.check()
    }

    #[test]
    fn contradictions_are_named() {
        let ok = r#"{"slug":"daily","name":"Daily","surfaces":[{"slug":"home"},{"slug":"sport","topics":["sport"]}]}"#;
        brand(ok).unwrap();
        for (bad, says) in [
            (
                r#"{"slug":"Daily","name":"D","surfaces":[{"slug":"home"}]}"#,
                "slug",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[]}"#,
                "no surfaces",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[{"slug":"a"},{"slug":"a"}]}"#,
                "twice",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[{"slug":"a","items_max":2000}]}"#,
                "items_max",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[{"slug":"a","topics":["x"]}]}"#,
                "no topic",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[{"slug":"a"}],"model":{"weights":{"x":1}}}"#,
                "no weight",
            ),
            (
                r#"{"slug":"daily","name":"D","surfaces":[{"slug":"a"}],"model":{"classic":[1,2,3]}}"#,
                "add up",
            ),
        ] {
            let said = brand(bad).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_weight_is_given_in_thousandths() {
        let m = ModelSettings {
            weights: [("recency".to_owned(), 500)].into(),
            ..ModelSettings::default()
        };
        let model = m.apply(Model::default(), "daily").unwrap();
        assert_eq!(model.weights.recency, Q16 / 2);
        assert_eq!(model.weights.topic, Model::default().weights.topic);
    }
}
