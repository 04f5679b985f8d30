//! Stage 3: repeated authors, topics and series lose per repetition; of near-duplicates only the first is shown.
//!
//! A factor never exceeds one, so a candidate's score is an upper bound of its value at any slot. The slate uses
//! that to stop looking early and still find the exact best.

use crate::front::Front;
use crate::model::{Diversity, Q16};
use crate::topics::TOPICS;

/// Repetitions beyond this lose no more.
const REPEATS_MAX: usize = 15;

/// What the slate holds so far, as far as diversity cares.
#[derive(Debug)]
pub(super) struct Held {
    authors: Vec<u32>,
    series: Vec<u32>,
    dups: Vec<u16>,
    topics: [u8; TOPICS + 1],
    author_bits: u64,
    powers: [[u32; REPEATS_MAX + 1]; 3],
}

impl Default for Held {
    fn default() -> Self {
        Self {
            authors: Vec::new(),
            series: Vec::new(),
            dups: Vec::new(),
            topics: [0; TOPICS + 1],
            author_bits: 0,
            powers: [[Q16 as u32; REPEATS_MAX + 1]; 3],
        }
    }
}

impl Held {
    pub(super) fn clear(&mut self, d: &Diversity) {
        self.authors.clear();
        self.series.clear();
        self.dups.clear();
        self.topics = [0; TOPICS + 1];
        self.author_bits = 0;
        for (row, factor) in self.powers.iter_mut().zip([d.author, d.topic, d.series]) {
            let factor = u64::from(factor.min(Q16 as u32));
            let mut power = Q16 as u64;
            for p in row {
                *p = power as u32;
                power = (power * factor) >> 16;
            }
        }
    }

    /// Counts an item. Zeros (unknown author, no series, no cluster) and the missing topic never repeat.
    pub(super) fn add(&mut self, author: u32, topic: u8, series: u32) {
        if author != 0 {
            self.authors.push(author);
            self.author_bits |= 1 << (author & 63);
        }
        if series != 0 {
            self.series.push(series);
        }
        if let Some(n) = self.topics[..TOPICS].get_mut(usize::from(topic)) {
            *n = n.saturating_add(1);
        }
    }

    /// Reserves a near-duplicate cluster.
    pub(super) fn add_dup(&mut self, dup: u16) {
        if dup != 0 {
            self.dups.push(dup);
        }
    }

    pub(super) fn has_dup(&self, dup: u16) -> bool {
        dup != 0 && self.dups.contains(&dup)
    }

    pub(super) fn any_dup(&self) -> bool {
        !self.dups.is_empty()
    }

    /// What repetition takes from a score here; 0 or less.
    #[inline]
    pub(super) fn delta(&self, front: &Front, row: usize, score: i32) -> i32 {
        let author = front.author(row);
        let authors = if author != 0 && self.author_bits & (1 << (author & 63)) != 0 {
            count(&self.authors, author)
        } else {
            0
        };
        let series = match front.series(row) {
            0 => 0,
            s => count(&self.series, s),
        };
        let topics = self
            .topics
            .get(usize::from(front.main_topic(row)))
            .copied()
            .unwrap_or(0);
        let at = |k: usize, n: usize| u64::from(self.powers[k][n.min(REPEATS_MAX)]);
        let factor = (at(0, authors) * at(1, usize::from(topics))) >> 16;
        let factor = (factor * at(2, series)) >> 16;
        let lost = (u64::from(score.unsigned_abs()) * (Q16 as u64 - factor)) >> 16;
        -(i32::try_from(lost).unwrap_or(i32::MAX))
    }
}

fn count(list: &[u32], value: u32) -> usize {
    list.iter().filter(|v| **v == value).count()
}
