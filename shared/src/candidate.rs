//! From an article to a candidate: the part of a front's item that depends on the article alone.
//!
//! `features` adds what it counts from the stream: popularity columns, neighbours, duplicates, learned vectors.

use crate::content::{Content, Kind};
use crate::front::build::Item;
use crate::front::flag;
use crate::id::name_hash;
use crate::profile::fold::normalise;
use crate::time::Minute;
use crate::topics::{self, LANES, TOPICS};

/// The author that stands for "the source names none" (S0-04): it hashes to 0, which never counts as a repetition.
pub const UNKNOWN_AUTHOR: &str = "Unknown";

/// The candidate of an article, with empty popularity and neighbours.
///
/// Topic vector: the weights of `nlp.topics`, scaled to an L2 norm of 127. Main topic: the strongest one. Country:
/// none, since no source names one. Reading time: `metadata.reading_time_min`, at least 1 for a text.
#[must_use]
pub fn from_content(content: &Content) -> Item {
    let (topics, main_topic) = topic_vector(content);
    let mut flags = 0;
    if content.kind == Kind::Ugc {
        flags |= flag::UGC;
    }
    for tag in &content.tags {
        flags |= match tag.as_str() {
            "paywall" | "paywalled" | "premium" => flag::PAYWALLED,
            "evergreen" => flag::EVERGREEN,
            "breaking" | "breaking-news" => flag::BREAKING,
            _ => 0,
        };
    }
    let words = content.metadata.word_count;
    let minutes = content.metadata.reading_time_min.max(u32::from(words > 0));
    Item {
        content: content.content_id,
        topics,
        published: content.published_at.minute(),
        embargo: content.embargo_until.map_or(Minute(0), |t| t.minute()),
        expires: content.expires_at.map_or(Minute(0), |t| t.minute()),
        author: author_hash(&content.author),
        series: content
            .series
            .as_deref()
            .filter(|s| !s.trim().is_empty())
            .map_or(0, name_hash),
        language: two_letters(&content.nlp.language),
        quality: quality(content),
        flags,
        minutes: u8::try_from(minutes).unwrap_or(u8::MAX),
        main_topic,
        kind: content.kind,
        card: crate::feed::card(content),
        ..Item::default()
    }
}

/// Hash of an author as columns and mutes hold it; 0 for [`UNKNOWN_AUTHOR`] and an empty name.
#[must_use]
pub fn author_hash(name: &str) -> u32 {
    let name = name.trim();
    if name.is_empty() || name.eq_ignore_ascii_case(UNKNOWN_AUTHOR) {
        0
    } else {
        name_hash(name)
    }
}

fn topic_vector(content: &Content) -> ([i8; TOPICS], Option<u8>) {
    let mut sum = [0i64; LANES];
    let mut main: Option<(u8, u8)> = None;
    for t in &content.nlp.topics {
        let Some(i) = topics::index(&t.topic) else {
            continue;
        };
        sum[usize::from(i)] += i64::from(t.weight);
        if main.is_none_or(|(_, w)| t.weight > w) {
            main = Some((i, t.weight));
        }
    }
    let lanes = normalise(&sum);
    let mut vector = [0; TOPICS];
    vector.copy_from_slice(&lanes[..TOPICS]);
    (vector, main.map(|(i, _)| i))
}

/// A text's quality from what is known without readers, 0 to 255, 128 = ordinary.
///
/// 100 to start with; +30 with a picture; +20 with a summary; +15 with a named author; +25 from 300 words (a text one
/// can read), +15 more from 800; −40 under 80 words; −25 for a title in capitals; −20 for readers' contributions.
#[must_use]
pub fn quality(content: &Content) -> u8 {
    let words = content.metadata.word_count;
    let letters = || content.title.chars().filter(|c| c.is_alphabetic());
    let shouts = letters().count() >= 10 && letters().all(|c| !c.is_lowercase());
    let points: [(bool, i32); 8] = [
        (content.media_assets.iter().any(|a| a.kind == "image"), 30),
        (!content.summary.is_empty(), 20),
        (author_hash(&content.author) != 0, 15),
        (words >= 300, 25),
        (words >= 800, 15),
        (words < 80, -40),
        (shouts, -25),
        (content.kind == Kind::Ugc, -20),
    ];
    let sum: i32 = 100 + points.iter().filter(|p| p.0).map(|p| p.1).sum::<i32>();
    sum.clamp(0, 255) as u8
}

fn two_letters(language: &str) -> Option<[u8; 2]> {
    <[u8; 2]>::try_from(language.as_bytes())
        .ok()
        .filter(|l| l.iter().all(u8::is_ascii_lowercase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::article;

    #[test]
    fn an_article_becomes_a_candidate_with_its_topics_and_facts() {
        let item = from_content(&article());
        assert_eq!(item.main_topic, topics::index("football"));
        // (120, 50) has the norm 130: 120 × 127 / 130 = 117, 50 × 127 / 130 = 49 (rounded).
        assert_eq!((item.topics[48], item.topics[47]), (117, 49));
        assert_eq!(item.language, Some(*b"de"));
        assert_eq!(item.author, name_hash("ann author"));
        assert_ne!(item.series, 0);
        assert_eq!(item.minutes, 3);
        assert_eq!(item.published, Minute(29_920_800));
        // 100 + 30 (picture) + 20 (summary) + 15 (author) + 25 (640 words).
        assert_eq!(item.quality, 190);
    }

    #[test]
    fn unknown_authors_have_no_hash_and_shouting_costs() {
        let mut a = article();
        a.author = "Unknown".into();
        assert_eq!(from_content(&a).author, 0);
        a.title = "READ THIS NOW OR NEVER".into();
        assert_eq!(quality(&a), 190 - 15 - 25);
    }

    #[test]
    fn an_article_without_topics_has_a_zero_vector() {
        let mut a = article();
        a.nlp.topics.clear();
        let item = from_content(&a);
        assert_eq!(item.main_topic, None);
        assert_eq!(item.topics, [0; TOPICS]);
    }
}
