//! The Python expressions by which feedparser's files say what they expect: comparisons of literals with
//! paths into the result, joined by `and`, `not`, brackets, `+` and `len`.

use mediaflow_shared::time::Timestamp;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    /// Text that may hold markup: compared by what readers see.
    Html(String),
    /// An instant; `None` where the source gave none we can read.
    Time(Option<Timestamp>),
    Tuple(Vec<Value>),
    /// A list of which only the length is asked.
    Length(usize),
}

/// Why an expression has no truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// It asks for something we do not read.
    Unused(String),
    /// It is beyond this evaluator.
    Syntax,
}

/// Looks a path such as `entries[0]['title']` up.
pub(super) type Look<'a> = dyn Fn(&[Step]) -> Result<Value, Stop> + 'a;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Name(String),
    Index(usize),
}

pub(super) struct Evaluator<'a> {
    text: &'a [char],
    at: usize,
    look: &'a Look<'a>,
    /// How markup is reduced before a comparison.
    reduce: fn(&str) -> String,
}

pub(super) fn holds(text: &str, look: &Look<'_>, reduce: fn(&str) -> String) -> Result<bool, Stop> {
    let chars: Vec<char> = text.trim().chars().collect();
    let mut e = Evaluator {
        text: &chars,
        at: 0,
        look,
        reduce,
    };
    let v = e.conjunction()?;
    e.space();
    if e.at == chars.len() {
        Ok(truth(&v))
    } else {
        Err(Stop::Syntax)
    }
}

fn truth(v: &Value) -> bool {
    match v {
        Value::None | Value::Time(None) => false,
        Value::Bool(b) => *b,
        Value::Number(n) => *n != 0.0,
        Value::Text(t) | Value::Html(t) => !t.is_empty(),
        Value::Time(_) | Value::Tuple(_) => true,
        Value::Length(n) => *n > 0,
    }
}

impl Evaluator<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(|c| c.is_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let n = token.chars().count();
        let here = self.text.get(self.at..self.at + n);
        let word = token.chars().all(char::is_alphabetic);
        let ends = !word
            || self
                .text
                .get(self.at + n)
                .is_none_or(|c| !c.is_alphanumeric() && *c != '_');
        let found = ends && here.is_some_and(|h| h.iter().copied().eq(token.chars()));
        self.at += if found { n } else { 0 };
        found
    }

    fn conjunction(&mut self) -> Result<Value, Stop> {
        let mut all = self.negation()?;
        while self.eat("and") {
            // Both sides are read, so that an unused field is found wherever it stands.
            let right = self.negation()?;
            all = Value::Bool(truth(&all) && truth(&right));
        }
        Ok(all)
    }

    fn negation(&mut self) -> Result<Value, Stop> {
        if self.eat("not") {
            return Ok(Value::Bool(!truth(&self.negation()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Value, Stop> {
        let mut left = self.sum()?;
        let mut all: Option<bool> = None;
        while self.eat("==") || self.eat("is") {
            let right = self.sum()?;
            all = Some(all.unwrap_or(true) && self.same(&left, &right));
            left = right;
        }
        Ok(all.map_or(left, Value::Bool))
    }

    fn sum(&mut self) -> Result<Value, Stop> {
        let mut left = self.atom()?;
        loop {
            // Adjacent literals are one, too.
            self.space();
            let adjacent = matches!(left, Value::Text(_))
                && matches!(self.text.get(self.at), Some('\'' | '"'));
            if !adjacent && !self.eat("+") {
                return Ok(left);
            }
            let (Value::Text(a), Value::Text(b)) = (left, self.atom()?) else {
                return Err(Stop::Syntax);
            };
            left = Value::Text(a + &b);
        }
    }

    fn atom(&mut self) -> Result<Value, Stop> {
        self.space();
        let c = *self.text.get(self.at).ok_or(Stop::Syntax)?;
        match c {
            '\'' | '"' => self.literal(),
            'u' if matches!(self.text.get(self.at + 1), Some('\'' | '"')) => {
                self.at += 1;
                self.literal()
            }
            '(' => {
                self.at += 1;
                let first = self.conjunction()?;
                if self.eat(")") {
                    return Ok(first);
                }
                let mut parts = vec![first];
                while self.eat(",") {
                    if self.eat(")") {
                        return Ok(Value::Tuple(parts));
                    }
                    parts.push(self.conjunction()?);
                }
                if self.eat(")") {
                    Ok(Value::Tuple(parts))
                } else {
                    Err(Stop::Syntax)
                }
            }
            '0'..='9' => {
                let start = self.at;
                while self
                    .text
                    .get(self.at)
                    .is_some_and(|c| c.is_ascii_digit() || *c == '.')
                {
                    self.at += 1;
                }
                let digits: String = self.text[start..self.at].iter().collect();
                digits.parse().map(Value::Number).map_err(|_| Stop::Syntax)
            }
            _ if self.eat("None") => Ok(Value::None),
            _ if self.eat("True") => Ok(Value::Bool(true)),
            _ if self.eat("False") => Ok(Value::Bool(false)),
            _ if self.eat("len") => {
                let inner = self.atom()?;
                match inner {
                    Value::Length(n) => Ok(Value::Number(n as f64)),
                    Value::Text(t) | Value::Html(t) => Ok(Value::Number(t.chars().count() as f64)),
                    _ => Err(Stop::Syntax),
                }
            }
            _ => self.path(),
        }
    }

    fn path(&mut self) -> Result<Value, Stop> {
        let mut steps = vec![Step::Name(self.name()?)];
        loop {
            if self.eat("[") {
                let step = match self.atom()? {
                    Value::Text(t) => Step::Name(t),
                    Value::Number(n) => Step::Index(n as usize),
                    _ => return Err(Stop::Syntax),
                };
                steps.push(step);
                if !self.eat("]") {
                    return Err(Stop::Syntax);
                }
            } else if self.text.get(self.at) == Some(&'.') {
                self.at += 1;
                steps.push(Step::Name(self.name()?));
            } else {
                return (self.look)(&steps);
            }
        }
    }

    fn name(&mut self) -> Result<String, Stop> {
        let start = self.at;
        while self
            .text
            .get(self.at)
            .is_some_and(|c| c.is_alphanumeric() || *c == '_')
        {
            self.at += 1;
        }
        if self.at == start {
            Err(Stop::Syntax)
        } else {
            Ok(self.text[start..self.at].iter().collect())
        }
    }

    fn literal(&mut self) -> Result<Value, Stop> {
        let quote = self.text[self.at];
        self.at += 1;
        let mut out = String::new();
        while let Some(&c) = self.text.get(self.at) {
            self.at += 1;
            match c {
                c if c == quote => return Ok(Value::Text(out)),
                '\\' => self.escape(&mut out)?,
                c => out.push(c),
            }
        }
        Err(Stop::Syntax)
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Stop> {
        let c = *self.text.get(self.at).ok_or(Stop::Syntax)?;
        self.at += 1;
        let plain = match c {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '\\' | '\'' | '"' => Some(c),
            _ => None,
        };
        if let Some(plain) = plain {
            out.push(plain);
            return Ok(());
        }
        let digits = match c {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                out.push('\\');
                out.push(other);
                return Ok(());
            }
        };
        let hex: String = self
            .text
            .get(self.at..self.at + digits)
            .ok_or(Stop::Syntax)?
            .iter()
            .collect();
        self.at += digits;
        let n = u32::from_str_radix(&hex, 16).map_err(|_| Stop::Syntax)?;
        out.push(char::from_u32(n).ok_or(Stop::Syntax)?);
        Ok(())
    }

    fn same(&self, a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Html(h), Value::Text(t)) | (Value::Text(t), Value::Html(h)) => {
                h == t || (self.reduce)(h) == (self.reduce)(t)
            }
            (Value::Html(a), Value::Html(b)) => a == b,
            (Value::Time(at), Value::Tuple(parts)) | (Value::Tuple(parts), Value::Time(at)) => {
                at.is_some() && *at == civil(parts)
            }
            (Value::Time(at), Value::Text(t)) | (Value::Text(t), Value::Time(at)) => {
                at.is_some() && *at == super::feedparser::instant(t)
            }
            (Value::Time(at), Value::None) | (Value::None, Value::Time(at)) => at.is_none(),
            (Value::Html(t), Value::None) | (Value::None, Value::Html(t)) => t.is_empty(),
            (a, b) => a == b,
        }
    }
}

/// The instant of a `struct_time`.
fn civil(parts: &[Value]) -> Option<Timestamp> {
    let n = |i: usize| match parts.get(i) {
        Some(Value::Number(n)) => Some(*n as i64),
        _ => None,
    };
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        n(0)?,
        n(1)?,
        n(2)?,
        n(3)?,
        n(4)?,
        n(5)?
    );
    Timestamp::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<bool, Stop> {
        let look = |steps: &[Step]| match steps {
            [Step::Name(n)] if n == "bozo" => Ok(Value::Bool(false)),
            [Step::Name(f), Step::Name(t)] if f == "feed" && t == "title" => {
                Ok(Value::Html("a<b>b</b>".into()))
            }
            _ => Err(Stop::Unused("x".into())),
        };
        holds(text, &look, |s| s.replace("<b>", "").replace("</b>", ""))
    }

    #[test]
    fn expressions_are_judged() {
        assert_eq!(check("not bozo and feed['title'] == u'ab'"), Ok(true));
        assert_eq!(
            check("not bozo and (feed.title == 'a' + '\\x62')"),
            Ok(true)
        );
        assert_eq!(check("feed['title'] == 'ac'"), Ok(false));
        assert_eq!(check("bozo or 1"), Err(Stop::Syntax));
        assert!(matches!(
            check("not bozo and feed['rights'] == 'x'"),
            Err(Stop::Unused(_))
        ));
    }
}
