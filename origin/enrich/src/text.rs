//! HTML to text: sanitised by `ammonia` (html5ever), then the few tags that are left become line breaks.

use ammonia::Builder;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::limits::HTML_BYTES_MAX;

/// Elements that begin a new line. Everything else is dropped around its text.
const BLOCKS: [&str; 32] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "td",
    "tr",
    "ul",
];

/// Elements whose content is not text for readers.
const SILENT: [&str; 8] = [
    "script", "style", "noscript", "template", "iframe", "svg", "math", "head",
];

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut b = Builder::empty();
    b.tags(HashSet::from(BLOCKS))
        .clean_content_tags(HashSet::from(SILENT));
    b
});

/// The text of an HTML fragment: one line per block, single spaces within. Scripts, styles, comments
/// and all markup are gone; entities are characters. At most 1 MB of HTML is read.
#[must_use]
pub fn of_html(html: &str) -> String {
    let html = cut_bytes(html, HTML_BYTES_MAX);
    if !html.contains(['<', '&']) {
        return squeeze(html);
    }
    let clean = CLEANER.clean(html).to_string();
    let mut out = String::with_capacity(clean.len());
    let mut rest = clean.as_str();
    // The serializer escapes every `<` and `&` of the text, so what is left of them is markup.
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (text, len) = if rest.starts_with('<') {
            ("\n", rest.find('>').map_or(rest.len(), |end| end + 1))
        } else {
            entity(rest)
        };
        out.push_str(text);
        rest = &rest[len..];
    }
    out.push_str(rest);
    squeeze(&out)
}

/// The escapes that html5ever's serializer writes in text.
fn entity(s: &str) -> (&'static str, usize) {
    for (name, text) in [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&quot;", "\""),
    ] {
        if s.starts_with(name) {
            return (text, name.len());
        }
    }
    ("&", 1)
}

/// The text of an HTML fragment on one line, at most `chars_max` long.
#[must_use]
pub fn line_of_html(html: &str, chars_max: usize) -> String {
    cut_words(&of_html(html).replace('\n', " "), chars_max)
}

/// Single spaces, no empty lines, no control characters.
fn squeeze(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|w| !w.is_empty())
            .peekable();
        if words.peek().is_none() {
            continue;
        }
        if !out.is_empty() {
            out.push('\n');
        }
        for (i, w) in words.enumerate() {
            if i > 0 {
                out.push(' ');
            }
            out.push_str(w);
        }
    }
    out
}

/// At most `max` bytes, cut between characters.
fn cut_bytes(s: &str, max: usize) -> &str {
    &s[..s.floor_char_boundary(max)]
}

/// At most `chars_max` characters, cut between words with an ellipsis where possible.
#[must_use]
pub fn cut_words(text: &str, chars_max: usize) -> String {
    if text.chars().nth(chars_max).is_none() {
        return text.to_owned();
    }
    let head: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    let cut = head
        .rfind(' ')
        .filter(|at| *at > head.len() / 2)
        .unwrap_or(head.len());
    format!("{}…", head[..cut].trim_end())
}

/// WordPress shortcodes that frame or embed something: the frame goes, enclosed text stays.
const SHORTCODES: [&str; 8] = [
    "caption",
    "gallery",
    "embed",
    "audio",
    "video",
    "playlist",
    "wp_caption",
    "sourcecode",
];

/// Removes the tags of WordPress' own shortcodes; other brackets are text.
#[must_use]
pub fn without_shortcodes(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('[') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..].trim_start_matches('/');
        let known = SHORTCODES.iter().any(|s| {
            name.strip_prefix(s)
                .is_some_and(|after| after.starts_with([' ', ']', '/']))
        });
        match rest.find(']') {
            Some(end) if known => rest = &rest[end + 1..],
            _ => {
                out.push('[');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// The words of a text. Chinese, Japanese and Thai write without spaces: two of their characters
/// count as one word.
#[must_use]
pub fn word_count(text: &str) -> u32 {
    let mut words = 0u32;
    let mut unspaced = 0u32;
    for token in text.split_whitespace() {
        let n = token.chars().filter(|c| is_unspaced(*c)).count();
        unspaced = unspaced.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        if token
            .chars()
            .any(|c| c.is_alphanumeric() && !is_unspaced(c))
        {
            words = words.saturating_add(1);
        }
    }
    words.saturating_add(unspaced.div_ceil(2))
}

fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_lines_and_inline_markup_goes() {
        let html = "<h2>One&nbsp;&amp; only</h2><p>A <b>bold</b> w<i>or</i>d<br/>next</p><ul><li>x<li>y</ul>";
        assert_eq!(of_html(html), "One & only\nA bold word\nnext\nx\ny");
    }

    #[test]
    fn scripts_styles_comments_and_attributes_are_gone() {
        let html = "a<script>alert(1)</script><style>b{}</style><!-- c --><img src=x onerror=alert(1)>\
                    <a href='javascript:x'>d</a><iframe srcdoc='<p>e'></iframe>";
        assert_eq!(of_html(html), "ad");
    }

    #[test]
    fn text_that_is_not_html_stays() {
        assert_eq!(of_html("5 < 6 & 7 > 3"), "5 < 6 & 7 > 3");
        assert_eq!(of_html("Fish &amp; chips &lt;b&gt;"), "Fish & chips <b>");
        assert_eq!(of_html("a\u{0}b\n\n\n c  d"), "a b\nc d");
    }

    #[test]
    fn words_are_counted_in_scripts_with_and_without_spaces() {
        assert_eq!(word_count("one two - three"), 3);
        assert_eq!(word_count("東京は日本の首都"), 4);
        assert_eq!(word_count(""), 0);
    }

    #[test]
    fn shortcodes_go_and_brackets_stay() {
        assert_eq!(
            without_shortcodes(
                "[caption id=\"1\"]<img>A [sic] word[/caption] [gallery ids='1,2']x [open"
            ),
            "<img>A [sic] word x [open"
        );
    }

    #[test]
    fn a_long_line_is_cut_between_words() {
        assert_eq!(cut_words("alpha beta gamma", 12), "alpha beta…");
        assert_eq!(cut_words("short", 12), "short");
        assert_eq!(cut_words("ääääääääääääääää", 5), "ääää…");
    }

    #[test]
    fn deep_nesting_neither_overflows_nor_takes_long() {
        let deep = "<div>".repeat(20_000) + "x";
        assert_eq!(of_html(&deep), "x");
    }

    proptest::proptest! {
        #[test]
        fn escaped_text_comes_back_as_it_was(s in "[a-z<>&;\"' \n#é漢]{0,60}") {
            let escaped = s.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            proptest::prop_assert_eq!(of_html(&escaped).replace('\n', " "), squeeze(&s).replace('\n', " "));
        }

        #[test]
        fn nothing_of_a_script_is_read(s in "[a-z<>&/ =!-]{0,40}") {
            let html = format!("<p>x</p><script>{}evil()</script>", s.replace("<!--", "").replace('/', ""));
            proptest::prop_assert!(!of_html(&html).contains("evil"));
        }
    }
}
