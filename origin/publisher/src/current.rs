//! What edges rank with at this moment, as far as this process published it: kept for the rank gate.

use mediaflow_shared::front::Front;
use mediaflow_shared::model::Model;
use mediaflow_shared::profile::Profile;
use mediaflow_shared::rules::Rules;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::publishing::gate::Stage;

#[derive(Debug, Default)]
struct Surface {
    front: Option<Arc<Front>>,
    rules: Option<Arc<Rules>>,
}

#[derive(Debug, Default)]
struct Brand {
    model: Model,
    surfaces: BTreeMap<String, Surface>,
    /// Low halves of the content ids in its fronts.
    shorts: HashSet<u32>,
}

/// Fronts, rules and models by brand.
#[derive(Debug, Default)]
pub(crate) struct Current {
    // Held for map operations and clones of `Arc`s, never across an await.
    brands: Mutex<HashMap<String, Brand>>,
}

impl Current {
    fn brands(&self) -> MutexGuard<'_, HashMap<String, Brand>> {
        self.brands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_model(&self, brand: &str, model: Model) {
        self.brands().entry(brand.to_owned()).or_default().model = model;
    }

    pub fn set_rules(&self, brand: &str, surface: &str, rules: Rules) {
        let mut brands = self.brands();
        let surfaces = &mut brands.entry(brand.to_owned()).or_default().surfaces;
        surfaces.entry(surface.to_owned()).or_default().rules = Some(Arc::new(rules));
    }

    pub fn set_front(&self, brand: &str, surface: &str, front: Front) {
        let mut brands = self.brands();
        let b = brands.entry(brand.to_owned()).or_default();
        // An empty front ranks nothing: as good as none.
        b.surfaces.entry(surface.to_owned()).or_default().front =
            Some(Arc::new(front)).filter(|f| !f.is_empty());
        b.shorts.clear();
        for f in b.surfaces.values().filter_map(|s| s.front.as_ref()) {
            b.shorts
                .extend((0..f.len()).map(|row| f.content(row).short()));
        }
    }

    /// Fills in what this process has not published itself.
    pub fn seed(
        &self,
        (brand, surface): (&str, &str),
        front: Option<Front>,
        rules: Option<Rules>,
        model: Option<Model>,
    ) {
        let known = self.brands().get(brand).and_then(|b| {
            let s = b.surfaces.get(surface)?;
            Some((s.front.is_some(), s.rules.is_some()))
        });
        let (has_front, has_rules) = known.unwrap_or_default();
        if let (Some(m), false) = (model, has_front) {
            self.set_model(brand, m);
        }
        if let (Some(f), false) = (front, has_front) {
            self.set_front(brand, surface, f);
        }
        if let (Some(r), false) = (rules, has_rules) {
            self.set_rules(brand, surface, r);
        }
    }

    /// The surfaces of some brands that have a front.
    pub fn stages(&self, brands: &[String]) -> Vec<Stage> {
        let all = self.brands();
        let known = brands.iter().filter_map(|b| all.get(b));
        known
            .flat_map(|b| b.surfaces.values().map(move |s| (b, s)))
            .filter_map(|(b, s)| {
                Some(Stage {
                    front: s.front.clone()?,
                    rules: s.rules.clone(),
                    model: b.model,
                })
            })
            .collect()
    }

    /// The brands whose fronts hold something this reader read: for work that does not say where it comes from.
    pub fn brands_of(&self, profile: &Profile) -> Vec<String> {
        let reads = profile.reads.as_slice();
        let mut found: Vec<String> = self
            .brands()
            .iter()
            .filter(|(_, b)| reads.iter().any(|r| b.shorts.contains(&r.short)))
            .map(|(slug, _)| slug.clone())
            .collect();
        found.sort_unstable();
        found
    }
}
