//! The twelve brands and the twelve systems they publish from. All names are invented.

use crate::words::Language;

/// How a source speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// WordPress REST API v2.
    Wordpress,
    /// Drupal JSON:API.
    Drupal,
    /// A house system: JSON, oddly nested, with a cursor.
    Nested,
    /// A house system: one JSON object a line.
    Lines,
    /// A house system: flat JSON with times in epoch seconds.
    Epoch,
}

/// How a brand names its categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Naming {
    /// "Artificial intelligence"
    Label,
    /// "News / Artificial intelligence"
    Path,
    /// "ART-030"
    Code,
    /// In the brand's own language.
    Native,
}

/// What a brand is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Genre {
    /// News.
    News,
    /// Entertainment.
    Entertainment,
    /// Education.
    Education,
}

/// One brand and its source: each brand has exactly one.
#[derive(Debug, Clone, Copy)]
pub struct Brand {
    /// Brand slug.
    pub slug: &'static str,
    /// Masthead.
    pub name: &'static str,
    /// What it is about.
    pub genre: Genre,
    /// What it is written in.
    pub language: Language,
    /// Source slug: also the path prefix on the simulated CMS server.
    pub source: &'static str,
    /// How the source speaks.
    pub wire: Wire,
    /// How it names categories.
    pub naming: Naming,
    /// Share of the day's items, relative to the other brands.
    pub weight: f64,
    /// Topic slugs with weights; topics not named get a little of what is left in English.
    pub topics: &'static [(&'static str, f64)],
    /// Series it runs.
    pub series: &'static [&'static str],
    /// Site, as its links show it.
    pub site: &'static str,
}

macro_rules! brand {
    ($slug:literal, $name:literal, $genre:ident, $lang:ident, $source:literal, $wire:ident, $naming:ident, $w:literal,
     [$(($t:literal, $tw:literal)),* $(,)?], [$($s:literal),*]) => {
        Brand {
            slug: $slug, name: $name, genre: Genre::$genre, language: Language::$lang, source: $source,
            wire: Wire::$wire, naming: Naming::$naming, weight: $w, topics: &[$(($t, $tw)),*], series: &[$($s),*],
            site: concat!("https://www.", $slug, ".example"),
        }
    };
}

/// The brands, five on WordPress, four on Drupal, three on systems of their own.
pub const BRANDS: [Brand; 12] = [
    brand!(
        "harbor-daily",
        "The Harbor Daily",
        News,
        En,
        "wp-harbor",
        Wordpress,
        Label,
        1.6,
        [
            ("politics", 3.0),
            ("world", 2.0),
            ("local", 2.0),
            ("crime", 2.0),
            ("economy", 1.5),
            ("sport", 1.5),
            ("weather", 1.0),
            ("health", 1.0),
            ("transport", 1.0),
            ("disaster", 1.0),
            ("society", 1.0),
            ("family", 0.5)
        ],
        [
            "The Long View",
            "Morning Tide",
            "Dockside Letters",
            "Five Questions"
        ]
    ),
    brand!(
        "northline",
        "Northline",
        News,
        En,
        "wp-northline",
        Wordpress,
        Path,
        1.2,
        [
            ("economy", 2.5),
            ("markets", 2.5),
            ("business", 2.5),
            ("politics", 1.5),
            ("energy", 1.5),
            ("labour", 1.0),
            ("personal-finance", 1.5),
            ("real-estate", 1.5),
            ("diplomacy", 1.0),
            ("elections", 1.0)
        ],
        ["The Opening Bell", "Follow the Money", "Boardroom Notes"]
    ),
    brand!(
        "streamside",
        "Streamside",
        Entertainment,
        En,
        "wp-streamside",
        Wordpress,
        Label,
        0.9,
        [
            ("television", 3.0),
            ("film", 3.0),
            ("music", 2.0),
            ("gaming", 2.0),
            ("celebrity", 1.5),
            ("entertainment", 2.0)
        ],
        ["Pause and Rewind", "First Episode", "The Sunday Screening"]
    ),
    brand!(
        "elbkurier",
        "Elbkurier",
        News,
        De,
        "wp-elbkurier",
        Wordpress,
        Native,
        1.0,
        [
            ("politics", 2.0),
            ("elections", 1.0),
            ("economy", 1.5),
            ("business", 1.0),
            ("transport", 1.0),
            ("climate", 1.0),
            ("health", 1.0),
            ("technology", 1.0),
            ("film", 0.7),
            ("music", 0.7),
            ("food", 0.7),
            ("football", 2.0),
            ("local", 1.5),
            ("travel", 0.8)
        ],
        ["Am Abend", "Fünf Fragen", "Hinter dem Deich"]
    ),
    brand!(
        "touchline",
        "Touchline",
        News,
        En,
        "wp-touchline",
        Wordpress,
        Label,
        1.1,
        [
            ("football", 5.0),
            ("sport", 4.0),
            ("motorsport", 3.0),
            ("fitness", 1.0)
        ],
        ["Added Time", "The Dugout", "Pit Wall"]
    ),
    brand!(
        "campus-compass",
        "Campus Compass",
        Education,
        En,
        "drupal-campus",
        Drupal,
        Path,
        0.6,
        [
            ("higher-education", 4.0),
            ("education", 3.0),
            ("labour", 1.0),
            ("mental-health", 1.0),
            ("books", 0.7)
        ],
        ["First Year", "Office Hours"]
    ),
    brand!(
        "open-lecture",
        "Open Lecture",
        Education,
        En,
        "drupal-lecture",
        Drupal,
        Label,
        0.6,
        [
            ("science", 3.0),
            ("space", 2.5),
            ("climate", 1.5),
            ("medicine", 2.0),
            ("artificial-intelligence", 1.5),
            ("education", 1.5),
            ("animals", 1.0)
        ],
        ["One Big Question", "Lab Notes", "Explained Slowly"]
    ),
    brand!(
        "civic-ledger",
        "Civic Ledger",
        News,
        En,
        "drupal-civic",
        Drupal,
        Path,
        1.2,
        [
            ("local", 3.0),
            ("justice", 2.5),
            ("crime", 2.0),
            ("environment", 1.5),
            ("politics", 1.5),
            ("elections", 1.5),
            ("religion", 1.0),
            ("society", 1.5),
            ("conflict", 1.0),
            ("disaster", 1.0)
        ],
        ["Public Record", "Town Hall Diary"]
    ),
    brand!(
        "faro-diario",
        "Faro Diario",
        News,
        Es,
        "drupal-faro",
        Drupal,
        Native,
        1.0,
        [
            ("politics", 2.0),
            ("elections", 1.0),
            ("economy", 1.5),
            ("health", 1.0),
            ("climate", 1.0),
            ("technology", 1.0),
            ("football", 2.0),
            ("music", 0.8),
            ("film", 0.8),
            ("food", 0.8),
            ("travel", 0.8),
            ("local", 1.2)
        ],
        ["La Carta del Faro", "Cinco Minutos"]
    ),
    brand!(
        "signal-and-wire",
        "Signal & Wire",
        News,
        En,
        "custom-signal",
        Nested,
        Code,
        0.9,
        [
            ("technology", 3.0),
            ("artificial-intelligence", 3.0),
            ("security", 2.5),
            ("gaming", 1.0),
            ("space", 1.0),
            ("science", 1.0),
            ("business", 1.0)
        ],
        ["Patch Notes", "Under the Hood", "The Interface"]
    ),
    brand!(
        "plate-and-page",
        "Plate & Page",
        Entertainment,
        En,
        "custom-plate",
        Lines,
        Label,
        0.8,
        [
            ("food", 3.0),
            ("books", 2.5),
            ("lifestyle", 2.0),
            ("travel", 2.0),
            ("family", 1.0),
            ("arts", 1.0)
        ],
        ["Table for One", "Chapter and Verse", "Weekend Larder"]
    ),
    brand!(
        "afterglow",
        "Afterglow",
        Entertainment,
        En,
        "custom-afterglow",
        Epoch,
        Code,
        1.0,
        [
            ("celebrity", 3.0),
            ("music", 2.5),
            ("fashion", 2.5),
            ("entertainment", 2.0),
            ("arts", 1.5),
            ("lifestyle", 1.0),
            ("mental-health", 0.7)
        ],
        ["Front Row", "Liner Notes", "Off the Carpet"]
    ),
];

/// The number of the brand with this slug.
#[must_use]
pub fn brand_index(slug: &str) -> Option<usize> {
    BRANDS.iter().position(|b| b.slug == slug)
}

/// The number of the brand that publishes through this source.
#[must_use]
pub fn source_index(source: &str) -> Option<usize> {
    BRANDS.iter().position(|b| b.source == source)
}

const NATIVE: [(&str, &str, &str); 14] = [
    ("politics", "Politik", "Política"),
    ("elections", "Wahlen", "Elecciones"),
    ("economy", "Konjunktur", "Economía"),
    ("business", "Wirtschaft", "Empresas"),
    ("transport", "Verkehr", "Transporte"),
    ("climate", "Klima", "Clima"),
    ("health", "Gesundheit", "Salud"),
    ("technology", "Technik", "Tecnología"),
    ("film", "Kino", "Cine"),
    ("music", "Musik", "Música"),
    ("food", "Genuss", "Gastronomía"),
    ("football", "Fußball", "Fútbol"),
    ("local", "Aus der Stadt", "Ciudad"),
    ("travel", "Reise", "Viajes"),
];

impl Brand {
    /// What this brand's system calls a topic: the name the taxonomy map of `sources.toml` translates back.
    #[must_use]
    pub fn category(&self, topic: u8) -> String {
        let Some(t) = mediaflow_shared::topics::topic(topic) else {
            return String::from("Misc");
        };
        match self.naming {
            Naming::Label => t.label.to_owned(),
            Naming::Path => {
                let root = if self.genre == Genre::Education {
                    "Learning"
                } else {
                    "News"
                };
                format!("{root} / {}", t.label)
            }
            Naming::Code => {
                let short: String = t
                    .slug
                    .chars()
                    .filter(char::is_ascii_lowercase)
                    .take(3)
                    .collect();
                format!("{}-{topic:03}", short.to_uppercase())
            }
            Naming::Native => {
                let native = NATIVE.iter().find(|n| n.0 == t.slug);
                native
                    .map_or(t.label, |n| {
                        if self.language == Language::De {
                            n.1
                        } else {
                            n.2
                        }
                    })
                    .to_owned()
            }
        }
    }

    /// What readers see over a section.
    #[must_use]
    pub fn section_title(&self, topic: &mediaflow_shared::topics::Topic) -> String {
        let native = NATIVE
            .iter()
            .find(|n| n.0 == topic.slug)
            .filter(|_| self.naming == Naming::Native);
        let title = native.map_or(topic.label, |n| {
            if self.language == Language::De {
                n.1
            } else {
                n.2
            }
        });
        title.to_owned()
    }

    /// Every topic that can appear under this brand, with its category name: copies from a sister brand may be about
    /// anything its language has words for.
    #[must_use]
    pub fn taxonomy(&self) -> Vec<(String, u8)> {
        let all = 0..mediaflow_shared::topics::TOPICS as u8;
        let known = all.filter(|t| crate::words::vocabulary(self.language, *t).is_some());
        known.map(|t| (self.category(t), t)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::vocabulary;
    use mediaflow_shared::{id::check_slug, topics};
    use std::collections::BTreeSet;

    #[test]
    fn five_wordpress_four_drupal_three_custom() {
        let count = |f: fn(Wire) -> bool| BRANDS.iter().filter(|b| f(b.wire)).count();
        assert_eq!(count(|w| w == Wire::Wordpress), 5);
        assert_eq!(count(|w| w == Wire::Drupal), 4);
        assert_eq!(
            count(|w| matches!(w, Wire::Nested | Wire::Lines | Wire::Epoch)),
            3
        );
    }

    #[test]
    fn every_brand_can_write_about_its_topics() {
        let mut covered = BTreeSet::new();
        for b in &BRANDS {
            assert!(check_slug(b.slug).is_ok() && check_slug(b.source).is_ok());
            for (slug, _) in b.topics {
                let i = topics::index(slug)
                    .unwrap_or_else(|| panic!("{slug} of {} is no topic", b.slug));
                assert!(
                    vocabulary(b.language, i).is_some(),
                    "{}: no words for {slug}",
                    b.slug
                );
                covered.insert(i);
            }
            let names: BTreeSet<_> = b.taxonomy().into_iter().map(|t| t.0).collect();
            assert_eq!(
                names.len(),
                b.taxonomy().len(),
                "{}: two topics share a category",
                b.slug
            );
        }
        assert_eq!(
            covered.len(),
            topics::TOPICS,
            "every topic is written about somewhere"
        );
    }
}
