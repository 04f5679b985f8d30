//! A tone by counting words that judge (`data/sentiment.toml`): enough to sort cheerful from grim
//! lists of headlines, not to understand a review.

use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;

use super::lexicon::{counts_in, entry};

const DATA: &str = include_str!("../../data/sentiment.toml");

/// Words of judgement that a text needs before its tone can be extreme.
const DAMPING: f64 = 1.0;

#[derive(Deserialize, Default)]
struct Lists {
    positive: Vec<String>,
    negative: Vec<String>,
    negation: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Word {
    Judges(f64),
    Negates,
}

/// The words.
pub struct Lexicon(HashMap<String, Vec<(String, Word)>>);

impl fmt::Debug for Lexicon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lexicon({})", self.0.len())
    }
}

impl Default for Lexicon {
    fn default() -> Self {
        // The file is part of the build and a test reads it.
        let lists: Lists = toml::from_str(DATA).unwrap_or_default();
        let mut map: HashMap<String, Vec<(String, Word)>> = HashMap::new();
        for (words, kind) in [
            (lists.positive, Word::Judges(1.0)),
            (lists.negative, Word::Judges(-1.0)),
            (lists.negation, Word::Negates),
        ] {
            for e in words.iter().map(|w| entry(w)) {
                map.entry(e.phrase).or_default().push((e.language, kind));
            }
        }
        Self(map)
    }
}

impl Lexicon {
    /// −1 (grim) to 1 (cheerful), rounded to thousandths; 0 when nothing judges.
    pub(super) fn score(&self, title: &[String], body: &[String], language: &str) -> f32 {
        let (mut sum, mut judged) = (0.0, 0.0);
        for words in [title, body] {
            let mut negated = false;
            for w in words {
                match self.look(w, language) {
                    Some(Word::Judges(v)) => {
                        sum += if negated { -v } else { v };
                        judged += 1.0;
                        negated = false;
                    }
                    Some(Word::Negates) => negated = true,
                    None => negated = w.ends_with("n't"),
                }
            }
        }
        ((sum / (judged + DAMPING) * 1_000.0_f64).round() / 1_000.0) as f32
    }

    fn look(&self, word: &str, language: &str) -> Option<Word> {
        let senses = self.0.get(word)?;
        senses
            .iter()
            .find(|(l, _)| counts_in(l, language))
            .map(|(_, w)| *w)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::lower;
    use super::*;

    fn of(text: &str, language: &str) -> f32 {
        Lexicon::default().score(&[], &lower(text, 99), language)
    }

    #[test]
    fn tone_follows_the_words_and_turns_with_a_negation() {
        assert!(of("a brilliant and moving film", "en") > 0.5);
        assert!(of("a dull, predictable mess", "en") < -0.5);
        assert!(of("not good", "en") < 0.0);
        assert!(of("this isn't bad", "en") > 0.0);
        assert!(of("ein schöner Erfolg", "de") > 0.0);
        assert_eq!(of("die der das", "de"), 0.0);
        assert_eq!(of("the table", "en"), 0.0);
    }
}
