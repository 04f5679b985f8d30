//! Words of a text.

/// Up to `max` words: runs of letters and digits, with `-` and apostrophes inside.
pub(super) fn words(text: &str, max: usize) -> impl Iterator<Item = &str> {
    let inside = |c: char| c.is_alphanumeric() || matches!(c, '-' | '\'' | '’');
    text.split(move |c: char| !inside(c))
        .map(|w| w.trim_matches(['-', '\'', '’']))
        .filter(|w| !w.is_empty())
        .take(max)
}

/// The same in lower case.
pub(super) fn lower(text: &str, max: usize) -> Vec<String> {
    words(text, max)
        .map(|w| w.to_lowercase().replace('’', "'"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_inner_marks_only() {
        let got: Vec<_> = words("Hip-hop, 'isn't' — “Größe” 3.5", 9).collect();
        assert_eq!(got, ["Hip-hop", "isn't", "Größe", "3", "5"]);
    }
}
