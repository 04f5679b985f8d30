//! `/metrics` of one or more origins, read and put together.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::time::Instant;

/// One line of the text format.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the series, with `_bucket`, `_sum` or `_count` of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// What one origin answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Where.
    pub origin: String,
    /// Its samples, or why there are none.
    pub samples: Result<Vec<Sample>, String>,
}

/// All origins at one moment.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// When.
    pub at: Instant,
    /// In the order of the command line.
    pub answers: Vec<Answer>,
}

impl Scrape {
    /// Asks every origin at once.
    pub async fn of(client: &reqwest::Client, origins: &[String]) -> Self {
        let asked = origins.iter().map(|origin| async move {
            let samples = ask(client, origin).await.map_err(|e| format!("{e:#}"));
            Answer {
                origin: origin.clone(),
                samples,
            }
        });
        let answers = futures_util::future::join_all(asked).await;
        Self {
            at: Instant::now(),
            answers,
        }
    }

    /// Samples of that name, of every origin.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.answers
            .iter()
            .flat_map(|a| a.samples.iter().flatten())
            .filter(move |s| s.name == name)
    }

    /// Sum of a series by one of its labels.
    pub fn sum_by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        self.by(name, label, |a, b| a + b)
    }

    /// Highest of a series by one of its labels: for what several processes see of one thing.
    pub fn max_by(&self, name: &str, label: &str) -> BTreeMap<String, f64> {
        self.by(name, label, f64::max)
    }

    fn by(&self, name: &str, label: &str, join: fn(f64, f64) -> f64) -> BTreeMap<String, f64> {
        let mut out = BTreeMap::new();
        for s in self.named(name) {
            let key = s.labels.get(label).cloned().unwrap_or_default();
            out.entry(key)
                .and_modify(|v| *v = join(*v, s.value))
                .or_insert(s.value);
        }
        out
    }

    /// Sum of a series over everything; `None` when no origin has it.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.named(name).map(|s| s.value).reduce(|a, b| a + b)
    }
}

async fn ask(client: &reqwest::Client, origin: &str) -> Result<Vec<Sample>> {
    let url = format!("{}/metrics", origin.trim_end_matches('/'));
    let answer = client
        .get(&url)
        .send()
        .await
        .with_context(|| format!("no answer from {url}; is `mediaflow serve` running there?"))?
        .error_for_status()?;
    Ok(parse(&answer.text().await?))
}

/// Reads the text format; lines that are none of it are passed over.
pub fn parse(text: &str) -> Vec<Sample> {
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(line)
        .collect()
}

fn line(text: &str) -> Option<Sample> {
    let end = text.find(['{', ' '])?;
    let name = text.get(..end)?.to_owned();
    let mut labels = BTreeMap::new();
    let mut rest = text.get(end..)?;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.trim_start_matches(',').to_owned(), value);
            rest = after;
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name,
        labels,
        value,
    })
}

/// A label's value up to its closing quote, unescaped, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => match chars.next()?.1 {
                'n' => value.push('\n'),
                c => value.push(c),
            },
            (_, c) => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_text_format_are_read() {
        let text =
            "# HELP a b\na 1\nb{x=\"1\",y=\"a \\\"q\\\" }\"} 2.5e3 1700000000\nbroken{x=\nc +Inf\n";
        let samples = parse(text);
        assert_eq!(samples.len(), 3);
        assert_eq!(samples[1].labels["y"], "a \"q\" }");
        assert!((samples[1].value - 2_500.0).abs() < 1e-9);
        assert!(samples[2].value.is_infinite());
    }

    #[test]
    fn what_two_processes_see_of_one_partition_is_one_lag() {
        let answer = |text: &str| Answer {
            origin: "o".into(),
            samples: Ok(parse(text)),
        };
        let s = Scrape {
            at: Instant::now(),
            answers: vec![answer("l{p=\"0\"} 5\n"), answer("l{p=\"0\"} 7\n")],
        };
        assert_eq!(s.max_by("l", "p")["0"], 7.0);
        assert_eq!(s.sum_by("l", "p")["0"], 12.0);
        assert_eq!(s.sum("absent"), None);
    }
}
