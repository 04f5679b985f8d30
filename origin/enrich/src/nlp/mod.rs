//! What can be said about a text without a trained model (S0-09): lists of words and counting. Modest
//! on purpose: each part says how far it can be trusted, and the accuracy on public sets is in the
//! tests' output.

mod entities;
mod language;
mod lexicon;
mod sentiment;
mod simhash;
mod tokens;
mod topics;

use mediaflow_shared::content::Nlp;
use sha2::{Digest, Sha256};

use crate::limits::{GRADES, NLP_WORDS_MAX, WORDS_A_GRADE};
use crate::text::word_count;

pub use language::Languages;

/// The word lists, read once.
#[derive(Debug, Default)]
pub struct Analyzer {
    languages: Languages,
    topics: topics::Keywords,
    sentiment: sentiment::Lexicon,
}

impl Analyzer {
    /// Everything about a text. `categories` and `tags` are those of the source; `language` is what
    /// the source says, trusted when it begins with a two-letter code.
    #[must_use]
    pub fn analyze(
        &self,
        title: &str,
        body: &str,
        categories: &[String],
        tags: &[String],
        language: Option<&str>,
    ) -> Nlp {
        let language = self.languages.of(language, title, body);
        let title_words = tokens::lower(title, NLP_WORDS_MAX);
        let body_words = tokens::lower(body, NLP_WORDS_MAX);
        let names: Vec<String> = categories
            .iter()
            .chain(tags)
            .map(|s| s.to_lowercase())
            .collect();
        let (low, high) = GRADES;
        let grade = (word_count(body) / WORDS_A_GRADE).clamp(low, high);
        Nlp {
            topics: self
                .topics
                .weigh(&title_words, &body_words, &names, &language),
            entities: entities::find(body, &language),
            sentiment: self.sentiment.score(&title_words, &body_words, &language),
            // The clamp keeps it within a byte.
            readability: u8::try_from(grade).unwrap_or(u8::MAX),
            embedding_id: text_hash(title, body),
            simhash: simhash::of(&title_words, &body_words),
            language,
        }
    }
}

/// 32 hex digits of SHA-256 over the whole text, which name its embedding.
fn text_hash(title: &str, body: &str) -> String {
    let mut h = Sha256::new();
    h.update(title.as_bytes());
    h.update([0]);
    h.update(body.as_bytes());
    h.finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect()
}
