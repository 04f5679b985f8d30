//! Cards: what a reader sees of an item, as a ready fragment of JSON.

use super::json::{put, text_member};
use crate::content::{Content, MediaAsset};
use std::io::Write as _;

/// Bytes of a card at most.
pub const CARD_BYTES_MAX: usize = 2048;
/// Characters of a title in a card at most.
pub const TITLE_CHARS_MAX: usize = 300;
/// Characters of a summary in a card at most.
pub const SUMMARY_CHARS_MAX: usize = 300;
/// Tags in a card at most.
pub const TAGS_MAX: usize = 8;

/// The card of an article: members of a JSON Feed item without the braces, at most [`CARD_BYTES_MAX`] bytes. The one
/// place where cards are made.
///
/// JSON Feed asks for `content_html` or `content_text` in every item; a front carries teasers, so `content_text` is
/// there and empty, and the teaser is the `summary`.
#[must_use]
pub fn card(content: &Content) -> String {
    let mut out = Vec::with_capacity(512);
    text_member(&mut out, "\"id\":", &content.content_id.to_string());
    if !content.url.is_empty() {
        optional(&mut out, ",\"url\":", &content.url);
    }
    let title = cut(&content.title, TITLE_CHARS_MAX);
    text_member(&mut out, ",\"title\":", title);
    let _ = write!(
        out,
        ",\"content_text\":\"\",\"date_published\":\"{}\"",
        content.published_at
    );
    // What follows is left out, in this order of importance, where it would not fit.
    optional(
        &mut out,
        ",\"summary\":",
        cut(&content.summary, SUMMARY_CHARS_MAX),
    );
    if let Some(image) = image(&content.media_assets) {
        optional(&mut out, ",\"image\":", image);
    }
    let mut authors = Vec::new();
    text_member(
        &mut authors,
        ",\"authors\":[{\"name\":",
        cut(&content.author, 100),
    );
    put(&mut authors, "}]");
    append_if_fits(&mut out, &authors);
    if content.nlp.language.len() == 2 {
        optional(&mut out, ",\"language\":", &content.nlp.language);
    }
    let mut tags = Vec::new();
    for (i, tag) in content.tags.iter().take(TAGS_MAX).enumerate() {
        text_member(
            &mut tags,
            if i > 0 { "," } else { ",\"tags\":[" },
            cut(tag, 40),
        );
    }
    if !tags.is_empty() {
        tags.push(b']');
        append_if_fits(&mut out, &tags);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Appends a member unless the card would become too long or the text is empty.
fn optional(out: &mut Vec<u8>, before: &str, text: &str) {
    if text.is_empty() {
        return;
    }
    let mut member = Vec::new();
    text_member(&mut member, before, text);
    append_if_fits(out, &member);
}

fn append_if_fits(out: &mut Vec<u8>, member: &[u8]) {
    if out.len() + member.len() <= CARD_BYTES_MAX {
        out.extend_from_slice(member);
    }
}

/// The first `chars` characters.
fn cut(text: &str, chars: usize) -> &str {
    text.char_indices()
        .nth(chars)
        .map_or(text, |(end, _)| &text[..end])
}

fn image(assets: &[MediaAsset]) -> Option<&str> {
    assets
        .iter()
        .find(|a| a.kind == "image")
        .map(|a| a.url.as_str())
}

/// Whether a card is what [`crate::front::Front`] expects: members that become an object when braces are put around them.
#[must_use]
pub fn is_card(card: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&format!("{{{card}}}"))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    #[test]
    fn a_card_keeps_its_golden_form() {
        assert_eq!(
            card(&article()),
            r#""id":"56ef2badbe456dcf","url":"https://daily.example/a?b=1&c=2","title":"\"Größe\" \u003cb>counts","content_text":"","date_published":"2026-11-21T08:00:00Z","summary":"What happened","image":"https://daily.example/i.jpg","authors":[{"name":"Ann Author"}],"language":"de","tags":["one","two"]"#
        );
    }

    #[test]
    fn the_longest_article_still_makes_a_small_valid_card() {
        let long = |n| "ü\"\u{1}<".repeat(n);
        let mut a = article();
        (a.title, a.summary, a.author) = (long(400), long(400), long(400));
        a.tags = vec![long(100); 50];
        a.url = format!("https://daily.example/{}", "x".repeat(3000));
        a.media_assets[0].url = a.url.clone();
        let card = card(&a);
        assert!(card.len() <= CARD_BYTES_MAX, "{}", card.len());
        assert!(is_card(&card));
        let v: serde_json::Value = serde_json::from_str(&format!("{{{card}}}")).unwrap();
        assert_eq!(
            v["title"].as_str().unwrap().chars().count(),
            TITLE_CHARS_MAX
        );
        assert!(!is_card("\"id\":"));
        assert!(!is_card("} , {"));
    }
}
