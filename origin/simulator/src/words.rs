//! The word lists in `words/`, parsed once: per language and topic the phrases of headlines and bodies.

use mediaflow_shared::topics;
use std::sync::LazyLock;

/// Languages the simulated brands write in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
    /// Spanish.
    Es,
}

impl Language {
    /// ISO 639-1.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Es => "es",
        }
    }
}

/// Phrases of one topic.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Plural subjects.
    pub subjects: Vec<&'static str>,
    /// Predicates in the plural present.
    pub predicates: Vec<&'static str>,
    /// Singular noun phrases with an article.
    pub things: Vec<&'static str>,
    /// Key terms, by which a keyword classifier knows the topic.
    pub terms: Vec<&'static str>,
}

impl Vocabulary {
    fn is_complete(&self) -> bool {
        [&self.subjects, &self.predicates, &self.things, &self.terms]
            .iter()
            .all(|v| v.len() >= 3)
    }
}

type Table = Vec<Option<Vocabulary>>;

static EN: LazyLock<Table> = LazyLock::new(|| parse(include_str!("../words/en.txt")));
static DE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("../words/de.txt")));
static ES: LazyLock<Table> = LazyLock::new(|| parse(include_str!("../words/es.txt")));

fn parse(text: &'static str) -> Table {
    let mut table: Table = vec![None; topics::TOPICS];
    let mut at = None;
    for line in text.lines() {
        if let Some(slug) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            at = topics::index(slug).map(usize::from);
        } else if let (Some(i), Some((key, rest))) = (at, line.split_once(": ")) {
            let all = rest.split(" | ").map(str::trim).collect();
            let v = table[i].get_or_insert_default();
            match key {
                "S" => v.subjects = all,
                "P" => v.predicates = all,
                "T" => v.things = all,
                "W" => v.terms = all,
                _ => {}
            }
        }
    }
    for slot in &mut table {
        slot.take_if(|v| !v.is_complete());
    }
    table
}

/// The phrases of a topic, or `None` where that language does not cover it.
#[must_use]
pub fn vocabulary(language: Language, topic: u8) -> Option<&'static Vocabulary> {
    let table = match language {
        Language::En => &*EN,
        Language::De => &*DE,
        Language::Es => &*ES,
    };
    table.get(usize::from(topic)).and_then(Option::as_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn english_covers_every_topic_and_the_others_a_dozen() {
        for (i, t) in topics::TABLE.iter().enumerate() {
            assert!(vocabulary(Language::En, i as u8).is_some(), "{}", t.slug);
        }
        for l in [Language::De, Language::Es] {
            let n = (0..topics::TOPICS)
                .filter(|i| vocabulary(l, *i as u8).is_some())
                .count();
            assert!(n >= 12, "{l:?} covers {n}");
        }
    }
}
