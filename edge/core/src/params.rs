//! Query strings and forms (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// Names and values of a query or a form.
#[derive(Debug, Clone, Default)]
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads pairs; what is not UTF-8 after decoding is replaced, at most 64 pairs are kept.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        Self(
            text.split('&')
                .filter(|p| !p.is_empty())
                .take(64)
                .map(|p| {
                    let (name, value) = p.split_once('=').unwrap_or((p, ""));
                    (decode(name), decode(value))
                })
                .collect(),
        )
    }

    /// The first value of a name; empty counts as absent.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == name)
            .map(|(_, v)| v.as_ref())
            .filter(|v| !v.is_empty())
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return Cow::Borrowed(text);
    }
    let b = text.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while i < b.len() {
        let digit = |at: usize| b.get(at).and_then(|c| char::from(*c).to_digit(16));
        match (b[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            (other, ..) => out.push(other),
        }
        i += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Writes a value for a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let p = Params::parse("a=1&b=x%20y+z&c&d=%zz&e=%C3%A4&f=%ff");
        assert_eq!(p.first("a"), Some("1"));
        assert_eq!(p.first("b"), Some("x y z"));
        assert_eq!(p.first("c"), None);
        assert_eq!(p.first("d"), Some("%zz"));
        assert_eq!(p.first("e"), Some("ä"));
        assert_eq!(p.first("f"), Some("\u{fffd}"));
        assert_eq!(Params::parse(&encode("a=ä&")).first("a=ä&"), None);
        assert_eq!(encode("ä &"), "%C3%A4%20%26");
    }
}
