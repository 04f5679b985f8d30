//! Topics by weighted keywords (`data/topics.toml`). Words of title, tags and categories count more
//! than those of the body, and a word that is repeated counts by the logarithm.

use mediaflow_shared::content::TopicWeight;
use mediaflow_shared::topics::{self, TABLE, TOPICS};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::lexicon::{Entry, entry, with_singular};
use super::tokens;
use crate::limits::{TOPIC_WEIGHT_MIN, TOPICS_MAX};

const DATA: &str = include_str!("../../data/topics.toml");

/// How much more a word of the title says than one of the body.
const TITLE: f64 = 3.0;
/// How much more a category or tag says: people chose it.
const NAMED: f64 = 4.0;
/// A category or tag that is a topic's own name.
const EXACT: f64 = 15.0;
/// Words of the longest phrase.
const PHRASE_WORDS: usize = 3;
/// A text with less evidence than this in all is about the topic only as far as the evidence goes.
const EVIDENCE_FULL: f64 = 6.0;

type Hit = (u8, Entry);

/// The keywords of all topics.
pub struct Keywords(HashMap<String, Vec<Hit>>);

impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keywords({})", self.0.len())
    }
}

impl Default for Keywords {
    fn default() -> Self {
        // The file is part of the build and a test reads it whole.
        let lists: BTreeMap<String, Vec<String>> = toml::from_str(DATA).unwrap_or_default();
        let mut map: HashMap<String, Vec<Hit>> = HashMap::new();
        for (slug, words) in lists {
            let Some(topic) = topics::index(&slug) else {
                continue;
            };
            for e in words.iter().map(|w| entry(w)) {
                map.entry(e.phrase.clone()).or_default().push((topic, e));
            }
        }
        Self(map)
    }
}

impl Keywords {
    /// The topics of a text, strongest first.
    pub(super) fn weigh(
        &self,
        title: &[String],
        body: &[String],
        names: &[String],
        language: &str,
    ) -> Vec<TopicWeight> {
        let mut scores = [0f64; TOPICS];
        self.add(&mut scores, title, TITLE, language);
        self.add(&mut scores, body, 1.0, language);
        for name in names {
            let words = tokens::lower(name, PHRASE_WORDS * 2);
            self.add(&mut scores, &words, NAMED, language);
            if let Some(i) = topics::index(&words.join("-")) {
                scores[usize::from(i)] += EXACT;
            }
        }
        weights(&scores)
    }

    fn add(&self, scores: &mut [f64; TOPICS], words: &[String], boost: f64, language: &str) {
        let mut found: BTreeMap<(u8, &str), (u16, u32)> = BTreeMap::new();
        let mut at = 0;
        while at < words.len() {
            at += self.longest(words, at, language, &mut found);
        }
        for ((topic, _), (weight, times)) in found {
            let damped = 1.0 + f64::from(times).ln();
            scores[usize::from(topic)] += f64::from(weight) * damped * boost;
        }
    }

    /// Counts the longest phrase that begins at `at` and answers its length in words.
    fn longest<'a>(
        &'a self,
        words: &[String],
        at: usize,
        language: &str,
        found: &mut BTreeMap<(u8, &'a str), (u16, u32)>,
    ) -> usize {
        for n in (1..=PHRASE_WORDS.min(words.len() - at)).rev() {
            let phrase = words[at..at + n].join(" ");
            let hits = with_singular(&phrase)
                .into_iter()
                .flatten()
                .find_map(|p| self.0.get(&p));
            let mut any = false;
            for (topic, e) in hits
                .into_iter()
                .flatten()
                .filter(|(_, e)| e.counts_in(language))
            {
                found.entry((*topic, &e.phrase)).or_insert((e.weight, 0)).1 += 1;
                any = true;
            }
            if any {
                return n;
            }
        }
        1
    }
}

fn weights(scores: &[f64; TOPICS]) -> Vec<TopicWeight> {
    let total: f64 = scores.iter().sum::<f64>().max(EVIDENCE_FULL);
    let mut out: Vec<TopicWeight> = (0..TOPICS)
        .map(|i| TopicWeight {
            topic: TABLE[i].slug.to_owned(),
            // A share of at most 1 times 127 fits a byte.
            weight: (127.0 * scores[i] / total).round() as u8,
        })
        .filter(|t| t.weight >= TOPIC_WEIGHT_MIN)
        .collect();
    // Stable: equal weights stay in the order of the table.
    out.sort_by_key(|t| std::cmp::Reverse(t.weight));
    out.truncate(TOPICS_MAX);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(title: &str, body: &str, names: &[&str]) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|s| (*s).to_owned()).collect();
        let (t, b) = (tokens::lower(title, 99), tokens::lower(body, 999));
        let found = Keywords::default().weigh(&t, &b, &names, "en");
        found.into_iter().map(|t| t.topic).collect()
    }

    #[test]
    fn the_file_has_every_topic_and_no_other() {
        let lists: BTreeMap<String, Vec<String>> = toml::from_str(DATA).unwrap();
        assert_eq!(lists.len(), TOPICS);
        for (slug, words) in &lists {
            assert!(topics::index(slug).is_some(), "{slug}");
            assert!(words.len() >= 10, "{slug}");
            for w in words {
                let e = entry(w);
                assert_eq!(e.phrase, e.phrase.to_lowercase(), "{slug}");
                assert!(e.phrase.split(' ').count() <= PHRASE_WORDS, "{slug}: {w}");
            }
        }
    }

    #[test]
    fn title_tags_and_body_name_the_topic() {
        assert_eq!(of("NASA's rocket reaches orbit", "", &[])[0], "space");
        assert_eq!(of("", "Die Bundesliga und der Torwart", &[])[0], "football");
        assert_eq!(
            of("A quiet day", "nothing much", &["real-estate"])[0],
            "real-estate"
        );
        assert_eq!(
            of("A quiet day", "nothing much", &["Climate Change"])[0],
            "climate"
        );
        assert!(of("", "", &[]).is_empty());
    }

    #[test]
    fn the_weights_say_how_much_the_text_is_about_it() {
        let w = |t: &str| {
            let words = tokens::lower(t, 99);
            Keywords::default().weigh(&words, &[], &[], "en")
        };
        assert_eq!(
            w("recipe for chocolate cake, cooking and baking")[0].weight,
            127
        );
        assert!(w("quantum")[0].weight == 127);
        let mixed = w("NASA telescope and the stock market on wall street");
        assert!(mixed.iter().all(|t| t.weight < 100), "{mixed:?}");
    }
}
