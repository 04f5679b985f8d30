//! Which language a text is in: what the source says, else trigrams (`whatlang`) over the languages
//! publishers here write in. Good for sentences, unreliable for a few words.

use std::fmt;
use whatlang::{Detector, Lang};

use crate::limits::LANGUAGE_LETTERS_MIN;

/// Not known.
pub(super) const UNKNOWN: &str = "und";

/// Bytes looked at: trigrams of a few paragraphs are enough.
const SAMPLE_BYTES: usize = 4_000;

const KNOWN: [(Lang, &str); 28] = [
    (Lang::Eng, "en"),
    (Lang::Deu, "de"),
    (Lang::Fra, "fr"),
    (Lang::Spa, "es"),
    (Lang::Por, "pt"),
    (Lang::Ita, "it"),
    (Lang::Nld, "nl"),
    (Lang::Swe, "sv"),
    (Lang::Dan, "da"),
    (Lang::Nob, "no"),
    (Lang::Fin, "fi"),
    (Lang::Pol, "pl"),
    (Lang::Ces, "cs"),
    (Lang::Slk, "sk"),
    (Lang::Hun, "hu"),
    (Lang::Ron, "ro"),
    (Lang::Tur, "tr"),
    (Lang::Ell, "el"),
    (Lang::Rus, "ru"),
    (Lang::Ukr, "uk"),
    (Lang::Ara, "ar"),
    (Lang::Heb, "he"),
    (Lang::Hin, "hi"),
    (Lang::Jpn, "ja"),
    (Lang::Kor, "ko"),
    (Lang::Cmn, "zh"),
    (Lang::Vie, "vi"),
    (Lang::Ind, "id"),
];

/// The detector.
pub struct Languages(Detector);

impl fmt::Debug for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Languages")
    }
}

impl Default for Languages {
    fn default() -> Self {
        Self(Detector::with_allowlist(
            KNOWN.iter().map(|(l, _)| *l).collect(),
        ))
    }
}

impl Languages {
    /// ISO 639-1, or `und`.
    #[must_use]
    pub fn of(&self, given: Option<&str>, title: &str, body: &str) -> String {
        if let Some(code) = given.and_then(primary) {
            return code;
        }
        let sample = &body[..body.floor_char_boundary(SAMPLE_BYTES)];
        self.detect(&format!("{title}\n{sample}"))
            .unwrap_or(UNKNOWN)
            .to_owned()
    }

    /// The language of a text of at least 20 letters.
    #[must_use]
    pub fn detect(&self, text: &str) -> Option<&'static str> {
        if text
            .chars()
            .filter(|c| c.is_alphabetic())
            .take(LANGUAGE_LETTERS_MIN)
            .count()
            < LANGUAGE_LETTERS_MIN
        {
            return None;
        }
        let lang = self.0.detect(text)?.lang();
        KNOWN
            .iter()
            .find(|(l, _)| *l == lang)
            .map(|(_, code)| *code)
    }
}

/// `en` of `en`, `en-GB`, `en_US`.
fn primary(tag: &str) -> Option<String> {
    let first = tag.trim().split(['-', '_']).next()?.to_ascii_lowercase();
    (first.len() == 2 && first.bytes().all(|b| b.is_ascii_lowercase())).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_says_counts_first() {
        let l = Languages::default();
        assert_eq!(
            l.of(Some("de-AT"), "", "This is plainly an English sentence."),
            "de"
        );
        assert_eq!(
            l.of(Some("English"), "", "This is plainly an English sentence."),
            "en"
        );
    }

    #[test]
    fn sentences_are_told_apart_and_crumbs_are_not_guessed() {
        let l = Languages::default();
        for (text, code) in [
            (
                "The government announced new measures for schools on Monday.",
                "en",
            ),
            (
                "Die Regierung hat am Montag neue Maßnahmen für Schulen angekündigt.",
                "de",
            ),
            (
                "El gobierno anunció el lunes nuevas medidas para las escuelas.",
                "es",
            ),
            (
                "Le gouvernement a annoncé lundi de nouvelles mesures pour les écoles.",
                "fr",
            ),
            (
                "O governo anunciou na segunda-feira novas medidas para as escolas.",
                "pt",
            ),
            (
                "政府は月曜日に学校向けの新しい措置を発表しました。詳細は後日公表されます。",
                "ja",
            ),
        ] {
            assert_eq!(l.of(None, "", text), code, "{text}");
        }
        assert_eq!(l.of(None, "OK", "42"), "und");
    }
}
