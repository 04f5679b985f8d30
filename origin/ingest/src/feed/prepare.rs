//! Bytes of a feed, made readable: UTF-8 without a declaration of another encoding, and versions of RSS
//! that the parser knows.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// The document in UTF-8. The encoding is that of the byte order mark, else of the XML declaration,
/// else of the HTTP header's `charset`; bytes that do not fit become U+FFFD.
#[must_use]
pub fn to_utf8<'a>(bytes: &'a [u8], content_type: Option<&str>) -> Cow<'a, str> {
    if let Some(text) = utf32(bytes) {
        return Cow::Owned(text);
    }
    if let Some((encoding, mark)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(&bytes[mark..]).0;
    }
    let unmarked = match bytes {
        [0, b'<', 0, ..] => Some(UTF_16BE),
        [b'<', 0, _, 0, ..] => Some(UTF_16LE),
        _ => None,
    };
    let declared = || declaration(bytes).and_then(|d| Encoding::for_label(label(d, "encoding")?));
    let header = || Encoding::for_label(label(content_type?.as_bytes(), "charset")?);
    let encoding = unmarked.or_else(declared).or_else(header).unwrap_or(UTF_8);
    let (text, broken) = encoding.decode_without_bom_handling(bytes);
    if broken && encoding == UTF_8 {
        // What claims or seems to be UTF-8 and is not, is Windows-1252 far more often than anything else.
        return WINDOWS_1252.decode_without_bom_handling(bytes).0;
    }
    text
}

/// UTF-32 is not of the web, but some feeds are.
fn utf32(bytes: &[u8]) -> Option<String> {
    let (rest, big) = match bytes {
        [0, 0, 0xfe, 0xff, rest @ ..] => (rest, true),
        [0xff, 0xfe, 0, 0, rest @ ..] => (rest, false),
        [0, 0, 0, b'<', ..] => (bytes, true),
        [b'<', 0, 0, 0, ..] => (bytes, false),
        _ => return None,
    };
    let chars = rest.chunks_exact(4).map(|b| {
        let b = [b[0], b[1], b[2], b[3]];
        let n = if big {
            u32::from_be_bytes(b)
        } else {
            u32::from_le_bytes(b)
        };
        char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER)
    });
    Some(chars.collect())
}

fn declaration(bytes: &[u8]) -> Option<&[u8]> {
    let start = bytes.iter().position(|b| !b.is_ascii_whitespace())?;
    let rest = bytes[start..].strip_prefix(b"<?xml")?;
    let end = rest.windows(2).position(|w| w == b"?>")?;
    Some(&rest[..end])
}

/// The value after `name=`, quoted or not.
fn label<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let at = text
        .windows(name.len())
        .position(|w| w.eq_ignore_ascii_case(name.as_bytes()))?;
    let rest = text[at + name.len()..]
        .trim_ascii_start()
        .strip_prefix(b"=")?
        .trim_ascii_start();
    let rest = rest
        .strip_prefix(b"\"")
        .or_else(|| rest.strip_prefix(b"'"))
        .unwrap_or(rest);
    let end = rest
        .iter()
        .position(|b| matches!(b, b'"' | b'\'' | b';' | b' '));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The text as the parser wants it: what stands before the root and names an encoding goes; RSS whose
/// version is absent or unknown is read as 2.0, of which the others are subsets; Atom 0.3 becomes 1.0.
#[must_use]
pub fn for_parser(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let text = match text.strip_prefix("<?xml").and_then(|t| t.split_once("?>")) {
        Some((_, rest)) => rest,
        None => text,
    };
    if text.trim_start().starts_with('{') {
        return text.to_owned();
    }
    let text = known_version(text);
    super::older::modernised(&text).unwrap_or(text)
}

const VERSIONS: [&str; 3] = ["2.0", "0.91", "0.92"];

fn known_version(text: &str) -> String {
    let Some((start, end)) = root(text).filter(|(s, _)| text[*s..].starts_with("<rss")) else {
        return text.to_owned();
    };
    let tag = &text[start..end];
    let version = label(tag.as_bytes(), " version").and_then(|v| std::str::from_utf8(v).ok());
    let fixed = match version {
        Some(v) if VERSIONS.contains(&v) => return text.to_owned(),
        Some(v) => {
            let quoted = [format!("\"{v}\""), format!("'{v}'")];
            quoted
                .iter()
                .fold(tag.to_owned(), |t, q| t.replacen(q.as_str(), "\"2.0\"", 1))
        }
        None => tag.replacen("<rss", "<rss version=\"2.0\"", 1),
    };
    format!("{}{fixed}{}", &text[..start], &text[end..])
}

/// Start and end of the root element's tag.
fn root(text: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let start = at + text[at..].find('<')?;
        let rest = &text[start..];
        at = if rest.starts_with("<!--") {
            start + rest.find("-->")? + 3
        } else if rest.starts_with("<!") || rest.starts_with("<?") {
            start + rest.find('>')? + 1
        } else {
            return Some((start, start + rest.find('>')?));
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declared_encoding_is_read() {
        let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>";
        assert!(to_utf8(latin, None).contains('é'));
        assert!(to_utf8(b"<a>\xe9</a>", Some("text/xml; charset=iso-8859-1")).contains('é'));
        assert!(to_utf8("<a>é</a>".as_bytes(), None).contains('é'));
        assert!(to_utf8(b"\xff\xfe<\0a\0>\0\xe9\0", None).contains('é'));
        assert!(to_utf8(b"<a>\x93caf\xe9\x94</a>", None).contains("“café”"));
    }

    #[test]
    fn unknown_versions_of_rss_are_read_as_2_0() {
        for root in [
            "<rss>",
            "<rss version=\"0.93\">",
            "<rss xmlns:a='b' version='2.01'>",
        ] {
            let text =
                format!("<?xml version=\"1.0\" encoding=\"utf-16\"?><!-- <rss> -->{root}</rss>");
            let fixed = for_parser(&text);
            assert!(
                fixed.contains("version=\"2.0\"") && !fixed.contains("utf-16"),
                "{fixed}"
            );
        }
        assert_eq!(
            for_parser("<rss version=\"0.91\"/>"),
            "<rss version=\"0.91\"/>"
        );
        assert_eq!(for_parser("<feed/>"), "<feed/>");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_prepared(b in proptest::collection::vec(0u8..=255, 0..200)) {
            let _ = crate::feed::parse(&b, None, None);
        }

        #[test]
        fn any_markup_is_parsed_or_refused(s in "(<|>|/|rss|channel|item|&|;|\"|=| |feed|title|[a-z]){0,60}") {
            let _ = crate::feed::parse(s.as_bytes(), None, None);
        }
    }
}
