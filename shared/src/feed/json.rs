//! Text and numbers of a feed: integers and exact decimals, never a float.

use std::io::Write as _;

pub(super) fn put(out: &mut Vec<u8>, s: &str) {
    out.extend_from_slice(s.as_bytes());
}

/// `name` and a number that is never negative. Without the formatting machinery, which costs more than the digits.
pub(super) fn number(out: &mut Vec<u8>, name: &str, n: impl TryInto<u64>) {
    put(out, name);
    digits(out, n.try_into().unwrap_or(0));
}

fn digits(out: &mut Vec<u8>, mut rest: u64) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[from..]);
}

/// `before` and a JSON string.
pub(super) fn text_member(out: &mut Vec<u8>, before: &str, text: &str) {
    put(out, before);
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// The inside of a JSON string (RFC 8259); `<` too, so that a feed may stand inside a script element.
pub(super) fn escape(out: &mut Vec<u8>, text: &str) {
    let special = |c: u8| matches!(c, b'"' | b'\\' | b'<' | 0..=0x1F);
    let b = text.as_bytes();
    // Nearly every text is plain; without an early end the compiler looks at many bytes at once.
    if !b.iter().fold(false, |any, &c| any | special(c)) {
        out.extend_from_slice(b);
        return;
    }
    let mut plain = 0;
    for (i, c) in b.iter().enumerate() {
        if !special(*c) {
            continue;
        }
        out.extend_from_slice(&b[plain..i]);
        plain = i + 1;
        match c {
            b'"' => put(out, "\\\""),
            b'\\' => put(out, "\\\\"),
            b'\n' => put(out, "\\n"),
            c => {
                let _ = write!(out, "\\u{c:04x}");
            }
        }
    }
    out.extend_from_slice(&b[plain..]);
}

/// A propensity as a decimal, at most five digits, rounded; certain is `1`.
pub(super) fn propensity(out: &mut Vec<u8>, p: u16) {
    let one = u64::from(u16::MAX);
    let e5 = (u64::from(p) * 100_000 + one / 2) / one;
    decimal(out, e5, 5);
}

/// `value / unit` as an exact decimal: 2^-16 has 16 digits, so every Q16 value ends.
pub(super) fn fraction(out: &mut Vec<u8>, value: i32, unit: u32) {
    if value < 0 {
        out.push(b'-');
    }
    let (whole, rest) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    number(out, "", whole);
    if rest == 0 {
        return;
    }
    out.push(b'.');
    let mut rest = u64::from(rest);
    // Long division; units of ours end within 16 digits.
    for _ in 0..16 {
        rest *= 10;
        out.push(b'0' + (rest / u64::from(unit)) as u8);
        rest %= u64::from(unit);
        if rest == 0 {
            return;
        }
    }
}

/// `n / 10^digits` without trailing zeros.
pub(super) fn decimal(out: &mut Vec<u8>, n: u64, digits: u32) {
    let unit = 10u64.pow(digits);
    fraction(out, (n / unit) as i32, 1);
    let mut rest = n % unit;
    if rest > 0 {
        out.push(b'.');
        let mut place = unit / 10;
        while rest > 0 {
            out.push(b'0' + (rest / place) as u8);
            rest %= place;
            place /= 10;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_digits() {
        for n in [0, 9, 10, 65_535, u64::MAX] {
            assert_eq!(written(|o| number(o, "", n)), n.to_string());
        }
    }

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fractions_are_exact() {
        for (value, unit, want) in [
            (0, 65_536, "0"),
            (65_536, 65_536, "1"),
            (-98_304, 65_536, "-1.5"),
            (1, 65_536, "0.0000152587890625"),
            (6507, 10_000, "0.6507"),
            (-5, 1, "-5"),
            (i32::MIN, 65_536, "-32768"),
        ] {
            assert_eq!(written(|o| fraction(o, value, unit)), want);
        }
        for value in (-400_000..400_000).step_by(77) {
            let text = written(|o| fraction(o, value, 65_536));
            let back: f64 = text.parse().unwrap();
            assert_eq!(back, f64::from(value) / 65_536.0);
        }
    }

    #[test]
    fn propensities_have_at_most_five_digits() {
        for (p, want) in [
            (65_535, "1"),
            (0, "0"),
            (1, "0.00002"),
            (32_768, "0.50001"),
            (6554, "0.10001"),
        ] {
            assert_eq!(written(|o| propensity(o, p)), want);
        }
    }

    #[test]
    fn any_text_is_escaped_into_valid_json() {
        for text in [
            "",
            "a\"b\\c\nd\te\u{0}\u{1f}",
            "</script>",
            "Größe 🙂\u{2028}",
        ] {
            let json = written(|o| text_member(o, "", text));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            assert!(!json.contains('<'));
        }
    }
}
