//! Names, by capital letters: runs of capitalised words, and single ones within a sentence. It finds
//! the frequent names of English and Romance texts, misses names at the start of a sentence, takes
//! some titles and days for names, and in German (which capitalises every noun) keeps to runs of
//! two or more words without small words between. Not a recogniser: no types, no links.

use std::collections::HashMap;

use crate::limits::{ENTITIES_MAX, NLP_WORDS_MAX};

/// Small words that may stand inside a name.
const INSIDE: [&str; 12] = [
    "of", "de", "la", "del", "da", "do", "dos", "van", "von", "der", "bin", "al",
];

/// Words that are capitalised for other reasons.
const NO_NAME: [&str; 40] = [
    "The", "A", "An", "In", "On", "At", "For", "But", "And", "It", "He", "She", "We", "They", "I",
    "This", "That", "These", "Those", "There", "If", "When", "While", "After", "Before", "With",
    "As", "By", "From", "To", "Of", "His", "Her", "Their", "Our", "My", "You", "Your", "El", "Le",
];

const DAYS_MONTHS: [&str; 19] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Shortest single word that is taken for a name.
const SINGLE_CHARS_MIN: usize = 3;

/// The names of a text, the most frequent first.
pub(super) fn find(text: &str, language: &str) -> Vec<String> {
    let mut seen: HashMap<String, (u32, usize)> = HashMap::new();
    let mut order = 0;
    let mut words_left = NLP_WORDS_MAX;
    for sentence in text.split_inclusive(['.', '!', '?', '\n', ':', '"', '“']) {
        let words: Vec<&str> = sentence.split_whitespace().take(words_left).collect();
        words_left -= words.len();
        for name in names(&words, language == "de") {
            order += 1;
            seen.entry(name).or_insert((0, order)).0 += 1;
        }
    }
    let mut names: Vec<_> = seen.into_iter().collect();
    names.sort_by_key(|(_, (times, at))| (std::cmp::Reverse(*times), *at));
    names
        .into_iter()
        .take(ENTITIES_MAX)
        .map(|(name, _)| name)
        .collect()
}

fn names(words: &[&str], runs_only: bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if !is_name_word(words[at]) {
            at += 1;
            continue;
        }
        let end = run_end(words, at, !runs_only);
        let run: Vec<&str> = words[at..end].iter().map(|w| bare(w)).collect();
        let single = run.len() == 1;
        let trusted = at > 0 && !runs_only && run[0].chars().count() >= SINGLE_CHARS_MIN;
        if !single || trusted {
            out.push(run.join(" "));
        }
        at = end;
    }
    out
}

/// Where the run of name words that begins at `at` ends (exclusive).
fn run_end(words: &[&str], at: usize, join: bool) -> usize {
    let mut end = at + 1;
    while end < words.len() && !closes(words[end - 1]) {
        let joins = join && INSIDE.contains(&words[end]);
        if is_name_word(words[end]) {
            end += 1;
        } else if joins && words.get(end + 1).is_some_and(|w| is_name_word(w)) {
            end += 2;
        } else {
            break;
        }
    }
    end
}

/// A comma or bracket ends a name.
fn closes(word: &str) -> bool {
    word.ends_with([',', ';', ')', ']', '”', '’'])
}

fn bare(word: &str) -> &str {
    let w = word.trim_matches(|c: char| !c.is_alphanumeric());
    w.strip_suffix("'s")
        .or_else(|| w.strip_suffix("’s"))
        .unwrap_or(w)
}

fn is_name_word(word: &str) -> bool {
    let w = bare(word);
    let mut chars = w.chars();
    chars.next().is_some_and(char::is_uppercase)
        && !NO_NAME.contains(&w)
        && !DAYS_MONTHS.contains(&w)
        && !word.starts_with(['@', '#'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_frequency() {
        let text =
            "On Friday Angela Merkel met Emmanuel Macron in Paris. Angela Merkel left on Monday.";
        assert_eq!(
            find(text, "en"),
            ["Angela Merkel", "Emmanuel Macron", "Paris"]
        );
    }

    #[test]
    fn small_words_join_and_commas_part() {
        let found = find(
            "He joined the Bank of England, Oxford and Real Madrid.",
            "en",
        );
        assert_eq!(found, ["Bank of England", "Oxford", "Real Madrid"]);
    }

    #[test]
    fn german_nouns_are_not_names() {
        assert_eq!(
            find("Gestern sah der Hund die Katze von Angela Merkel.", "de"),
            ["Angela Merkel"]
        );
    }
}
