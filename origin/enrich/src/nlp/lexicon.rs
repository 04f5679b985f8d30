//! Lists of words as the data files write them: `word`, `word=3`, `de:word`.

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Counts only in this language; empty means in all.
    pub(super) language: String,
    /// One to three lower-case words.
    pub(super) phrase: String,
    /// How much it says.
    pub(super) weight: u16,
}

pub(super) fn entry(text: &str) -> Entry {
    let (text, weight) = match text.rsplit_once('=') {
        Some((t, w)) => (t, w.parse().unwrap_or(1)),
        None => (text, 1),
    };
    let (language, phrase) = match text.split_once(':') {
        Some((l, p)) if l.len() == 2 => (l, p),
        _ => ("", text),
    };
    Entry {
        language: language.to_owned(),
        phrase: phrase.to_owned(),
        weight,
    }
}

impl Entry {
    /// Whether it counts in a text of `language`. A text too short to tell is read as English.
    pub(super) fn counts_in(&self, language: &str) -> bool {
        counts_in(&self.language, language)
    }
}

pub(super) fn counts_in(wanted: &str, language: &str) -> bool {
    wanted.is_empty() || wanted == language || (language == "und" && wanted == "en")
}

/// A word and what it may be without an English plural ending.
pub(super) fn with_singular(word: &str) -> [Option<String>; 3] {
    let mut out = [Some(word.to_owned()), None, None];
    if let Some(stem) = word.strip_suffix("ies").filter(|s| s.len() > 2) {
        out[1] = Some(format!("{stem}y"));
    } else if let Some(stem) = word.strip_suffix('s').filter(|s| s.len() > 2) {
        out[1] = Some(stem.trim_end_matches('\'').to_owned());
        out[2] = stem
            .strip_suffix('e')
            .filter(|s| s.len() > 2)
            .map(str::to_owned);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_language_phrase_and_weight() {
        let e = entry("de:mode=3");
        assert_eq!(
            (e.language.as_str(), e.phrase.as_str(), e.weight),
            ("de", "mode", 3)
        );
        assert!(e.counts_in("de") && !e.counts_in("en") && !e.counts_in("und"));
        let e = entry("white house");
        assert_eq!(
            (e.language.as_str(), e.phrase.as_str(), e.weight),
            ("", "white house", 1)
        );
    }

    #[test]
    fn plurals_are_found() {
        let has = |w: &str, s: &str| with_singular(w).into_iter().flatten().any(|x| x == s);
        assert!(has("stocks", "stock") && has("companies", "company") && has("losses", "loss"));
        assert!(!has("us", "u"));
    }
}
