//! Headlines, teasers and bodies from the word lists: combinatorial, seeded, and about their topic.

mod forms;

use crate::limits::BODY_WORDS;
use crate::rng::Rng;
use crate::words::{Language, Vocabulary, vocabulary};
use forms::{FIRST, Forms, LAST, PLACES, forms};

/// A full name, seeded.
#[must_use]
pub fn person(r: &mut Rng) -> String {
    format!("{} {}", r.pick(&FIRST), r.pick(&LAST))
}

fn capital(s: &str) -> String {
    let mut c = s.chars();
    c.next()
        .map_or_else(String::new, |f| f.to_uppercase().chain(c).collect())
}

/// Three different terms, so that a sentence never names one twice.
fn terms(v: &Vocabulary, r: &mut Rng) -> [&'static str; 3] {
    let n = v.terms.len();
    let (a, step) = (r.below(n), 1 + r.below((n - 1) / 2));
    [
        v.terms[a],
        v.terms[(a + step) % n],
        v.terms[(a + 2 * step) % n],
    ]
}

fn fill(form: &str, f: &Forms, v: &Vocabulary, r: &mut Rng) -> String {
    let w = terms(v, r);
    let subject = r.below(v.subjects.len());
    let predicate = r.below(v.predicates.len());
    let mut out = String::with_capacity(form.len() * 2);
    let mut rest = form;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((slot, tail)) = after.split_once('}') else {
            break;
        };
        rest = tail;
        let (up, key) = slot.strip_prefix('^').map_or((false, slot), |k| (true, k));
        let text = match key {
            "S" => v.subjects[subject].to_owned(),
            "P" => v.predicates[predicate].to_owned(),
            "R" => v.subjects[(subject + 1) % v.subjects.len()].to_owned(),
            "Q" => v.predicates[(predicate + 1) % v.predicates.len()].to_owned(),
            "T" => (*r.pick(&v.things)).to_owned(),
            "W" => w[0].to_owned(),
            "X" => w[1].to_owned(),
            "Y" => w[2].to_owned(),
            "L" => (*r.pick(&PLACES)).to_owned(),
            "N" => person(r),
            "q" => (*r.pick(f.quotes)).to_owned(),
            "n" => r.between(3, 12).to_string(),
            "m" => (r.between(4, 60) * 50).to_string(),
            "p" => r.between(11, 68).to_string(),
            "d" => (*r.pick(&f.weekdays)).to_owned(),
            "t" => {
                let tail = *r.pick(f.tails);
                tail.replace("{L}", r.pick::<&str>(&PLACES))
            }
            _ => String::new(),
        };
        out.push_str(&if up { capital(&text) } else { text });
    }
    out.push_str(rest);
    out
}

/// What an item is about and in which words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    /// Seed of the wording; two items with the same story read the same.
    pub seed: u64,
    /// Language.
    pub language: Language,
    /// Main topic.
    pub primary: u8,
    /// Side topic, about a quarter of the body.
    pub secondary: Option<u8>,
    /// Length of the body in words.
    pub words: u32,
}

impl Story {
    fn vocabulary(&self, side: bool) -> Option<&'static Vocabulary> {
        let topic = if side {
            self.secondary.unwrap_or(self.primary)
        } else {
            self.primary
        };
        vocabulary(self.language, topic).or_else(|| vocabulary(self.language, self.primary))
    }

    /// The headline; `attempt` gives another wording of the same story.
    #[must_use]
    pub fn headline(&self, attempt: u64) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[1, attempt]));
        let Some(v) = self.vocabulary(false) else {
            return String::new();
        };
        let form = *r.pick(f.headlines);
        capital(&fill(form, f, v, &mut r))
    }

    /// A teaser of one or two sentences.
    #[must_use]
    pub fn summary(&self) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[2]));
        let Some(v) = self.vocabulary(false) else {
            return String::new();
        };
        let form = *r.pick(f.leads);
        capital(&fill(form, f, v, &mut r))
    }

    /// Free tags: terms of the topic, lower-case.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let mut r = Rng::of(self.seed, &[3]);
        let Some(v) = self.vocabulary(false) else {
            return Vec::new();
        };
        let n = r.between(1, 3);
        let mut tags: Vec<String> = terms(v, &mut r)
            .iter()
            .take(n)
            .map(|t| t.to_lowercase())
            .collect();
        tags.dedup();
        tags
    }

    /// The body as HTML. `revision` 0 is the first version; a later one opens with what was changed.
    #[must_use]
    pub fn body_html(&self, revision: u32) -> String {
        let (f, mut r) = (forms(self.language), Rng::of(self.seed, &[4]));
        let mut html = String::with_capacity(self.words as usize * 8);
        for i in 1..=revision {
            let mut u = Rng::of(self.seed, &[5, u64::from(i)]);
            if let Some(v) = self.vocabulary(false) {
                let form = *u.pick(f.updates);
                html.push_str(&format!("<p>{}</p>\n", fill(form, f, v, &mut u)));
            }
        }
        let (mut words, mut paragraphs, mut last) = (0, 0, usize::MAX);
        while words < self.words as usize {
            if paragraphs > 0
                && paragraphs % 4 == 0
                && let Some(v) = self.vocabulary(false)
            {
                let form = *r.pick(f.headings);
                html.push_str(&format!(
                    "<h2>{}</h2>\n",
                    capital(&fill(form, f, v, &mut r))
                ));
            }
            let mut text = String::new();
            for _ in 0..r.between(2, 4) {
                let side = self.secondary.is_some() && r.chance(0.25);
                let Some(v) = self.vocabulary(side) else {
                    return html;
                };
                let mut form = r.below(f.sentences.len());
                if form == last {
                    form = (form + 1) % f.sentences.len();
                }
                last = form;
                let sentence = capital(&fill(f.sentences[form], f, v, &mut r));
                words += sentence.split_whitespace().count();
                text.push_str(&sentence);
                text.push(' ');
                if words + 30 > BODY_WORDS.1 {
                    words = BODY_WORDS.1;
                    break;
                }
            }
            let tag = if paragraphs > 1 && r.chance(0.08) {
                "blockquote"
            } else {
                "p"
            };
            html.push_str(&format!("<{tag}>{}</{tag}>\n", text.trim_end()));
            paragraphs += 1;
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(seed: u64, language: Language, primary: u8) -> Story {
        Story {
            seed,
            language,
            primary,
            secondary: None,
            words: 400,
        }
    }

    #[test]
    fn no_slot_is_left_open() {
        for seed in 0..2000 {
            let l = [Language::En, Language::De, Language::Es][seed as usize % 3];
            let s = story(seed, l, 0);
            let all = [s.headline(0), s.summary(), s.body_html(2)].concat();
            assert!(!all.contains(['{', '}', '^']), "{all}");
            assert!(
                s.headline(0)
                    .chars()
                    .next()
                    .is_some_and(|c| !c.is_lowercase())
            );
            assert!(
                (15..=140).contains(&s.headline(0).chars().count()),
                "{}",
                s.headline(0)
            );
        }
    }

    #[test]
    fn a_body_names_its_topic_more_than_any_other() {
        for topic in 0..mediaflow_shared::topics::TOPICS as u8 {
            let text = story(9, Language::En, topic).body_html(0).to_lowercase();
            let hits = |t: u8| {
                let v = vocabulary(Language::En, t).unwrap();
                v.terms
                    .iter()
                    .map(|w| text.matches(&w.to_lowercase()).count())
                    .sum::<usize>()
            };
            let best = (0..mediaflow_shared::topics::TOPICS as u8)
                .max_by_key(|t| hits(*t))
                .unwrap();
            assert!(
                hits(topic) * 10 >= hits(best) * 8,
                "{topic}: {} against {best}: {}",
                hits(topic),
                hits(best)
            );
        }
    }
}
