//! Categories as the sources name them, onto the publisher's (S0-07).

use std::collections::HashMap;

/// The map every brand begins with.
const DEFAULT: [(&str, &str); 6] = [
    ("tech", "technology"),
    ("sci", "science"),
    ("biz", "business"),
    ("politics", "news"),
    ("world", "news"),
    ("local", "news"),
];

/// The default map and what brands say otherwise.
#[derive(Debug, Clone, Default)]
pub struct Taxonomy {
    brands: HashMap<String, HashMap<String, String>>,
}

impl Taxonomy {
    /// Overrides per brand: source's name (any case) → category.
    #[must_use]
    pub fn new(brands: HashMap<String, HashMap<String, String>>) -> Self {
        let lower = |map: HashMap<String, String>| {
            map.into_iter()
                .map(|(k, v)| (k.trim().to_lowercase(), v))
                .collect()
        };
        Self {
            brands: brands.into_iter().map(|(b, map)| (b, lower(map))).collect(),
        }
    }

    /// The category for a source's name: the brand's own rule, else the default, else the name in
    /// lower case.
    #[must_use]
    pub fn map(&self, brand: &str, name: &str) -> String {
        let name = name.trim().to_lowercase();
        if let Some(own) = self.brands.get(brand).and_then(|map| map.get(&name)) {
            return own.clone();
        }
        let found = DEFAULT.iter().find(|(from, _)| *from == name);
        found.map_or(name, |(_, to)| (*to).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_and_unknown_ones_pass_in_lower_case() {
        let t = Taxonomy::default();
        for (from, to) in [
            ("tech", "technology"),
            ("Tech ", "technology"),
            ("sci", "science"),
            ("biz", "business"),
            ("politics", "news"),
            ("world", "news"),
            ("local", "news"),
            ("sports", "sports"),
            ("entertainment", "entertainment"),
            ("Opinion", "opinion"),
        ] {
            assert_eq!(t.map("daily", from), to, "{from}");
        }
    }

    #[test]
    fn a_brand_can_say_otherwise() {
        let own = [("Politics".to_owned(), "politics".to_owned())].into();
        let t = Taxonomy::new([("metro".to_owned(), own)].into());
        assert_eq!(t.map("metro", "politics"), "politics");
        assert_eq!(t.map("daily", "politics"), "news");
    }
}
