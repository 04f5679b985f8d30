//! Stage 1: what may not be shown, each with the first reason in the order of [`Ineligible`].
//!
//! Precedence around pins: a pin overrides [`Ineligible::TooOld`], `AlreadyRead`, `MutedTopic`, `MutedAuthor` and
//! `Language`, since an editor promised that story to everyone; it never overrides `Takedown`, `Embargo`, `Expired`
//! or `HiddenByEditor` ([`barred`]).

use super::query::Query;
use super::rule::Active;
use crate::front::flag;
use crate::id::ContentId;
use crate::profile::{Mute, READS_MAX};
use crate::rules::PinnedItem;
use crate::time::Minute;
use crate::topics::TOPICS;

/// Why a candidate was removed, in the order in which reasons are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ineligible {
    /// Removed for legal reasons.
    Takedown,
    /// Its embargo has not ended.
    Embargo,
    /// Past its expiry.
    Expired,
    /// Older than the model's `age_h_max`, and not evergreen.
    TooOld,
    /// Among the reader's last reads.
    AlreadyRead,
    /// The reader muted its main topic.
    MutedTopic,
    /// The reader muted its author.
    MutedAuthor,
    /// Hidden by the rule with this id.
    HiddenByEditor(u32),
    /// In another language than the one asked for.
    Language,
}

impl Ineligible {
    /// How many reasons there are.
    pub const COUNT: usize = 9;

    /// Codes in the order of [`Self::index`].
    pub const CODES: [&'static str; Self::COUNT] = [
        "takedown",
        "embargo",
        "expired",
        "too_old",
        "already_read",
        "muted_topic",
        "muted_author",
        "hidden_by_editor",
        "language",
    ];

    /// Place in counts and in [`Self::CODES`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Takedown => 0,
            Self::Embargo => 1,
            Self::Expired => 2,
            Self::TooOld => 3,
            Self::AlreadyRead => 4,
            Self::MutedTopic => 5,
            Self::MutedAuthor => 6,
            Self::HiddenByEditor(_) => 7,
            Self::Language => 8,
        }
    }

    /// Stable name in APIs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        Self::CODES[self.index()]
    }

    /// A sentence for editors.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Takedown => "Removed for legal reasons",
            Self::Embargo => "Its embargo has not ended",
            Self::Expired => "It has expired",
            Self::TooOld => "It is older than this page shows",
            Self::AlreadyRead => "The reader has already read it",
            Self::MutedTopic => "The reader muted its topic",
            Self::MutedAuthor => "The reader muted its author",
            Self::HiddenByEditor(_) => "Hidden by an editor's rule",
            Self::Language => "It is in another language than the one asked for",
        }
    }
}

/// The reader's last reads, as a filter over short ids: one load for most rows.
pub(super) struct Reads {
    bits: [u64; 16],
    shorts: [u32; READS_MAX],
    n: usize,
    /// Row of each read, newest read first, where it is in the front.
    pub(super) rows: [Option<u16>; READS_MAX],
}

impl Reads {
    pub(super) fn of(query: &Query<'_>) -> Self {
        let mut reads = Self {
            bits: [0; 16],
            shorts: [0; READS_MAX],
            n: 0,
            rows: [None; READS_MAX],
        };
        for r in query.reader().map_or(&[][..], |p| p.reads.as_slice()) {
            reads.bits[(r.short >> 6) as usize & 15] |= 1 << (r.short & 63);
            reads.shorts[reads.n] = r.short;
            reads.n += 1;
        }
        reads
    }

    /// Finds the reads in a front without judging anything.
    pub(super) fn find(&mut self, front: &crate::front::Front) {
        for row in 0..front.len() {
            self.note(front.content(row).short(), row);
        }
    }

    /// Whether this row was read; remembers where the read is.
    #[inline]
    fn note(&mut self, short: u32, row: usize) -> bool {
        if self.bits[(short >> 6) as usize & 15] & (1 << (short & 63)) == 0 {
            return false;
        }
        let mut found = false;
        for k in 0..self.n {
            if self.shorts[k] == short {
                found = true;
                // Two ids may share their low half: the first row stands for both.
                if self.rows[k].is_none() {
                    self.rows[k] = Some(row as u16);
                }
            }
        }
        found
    }
}

/// What a reader muted, one look-up per row.
struct Mutes {
    topics: u64,
    authors: [u32; crate::profile::MUTES_MAX],
    n: usize,
}

impl Mutes {
    fn of(query: &Query<'_>) -> Self {
        let mut m = Self {
            topics: 0,
            authors: [0; crate::profile::MUTES_MAX],
            n: 0,
        };
        for mute in query.reader().map_or(&[][..], |p| p.mutes.as_slice()) {
            match *mute {
                Mute::Topic(t) if usize::from(t) < TOPICS => m.topics |= 1 << t,
                Mute::Author(a) => {
                    m.authors[m.n] = a & 0xFF_FFFF;
                    m.n += 1;
                }
                _ => {}
            }
        }
        m
    }
}

impl Mutes {
    fn has_author(&self, author: u32) -> bool {
        author != 0 && self.authors[..self.n].contains(&(author & 0xFF_FFFF))
    }
}

/// Takedown, embargo, expiry: what no rule of an editor overrides.
fn legal(
    query: &Query<'_>,
    content: ContentId,
    embargo: Minute,
    expires: Minute,
) -> Option<Ineligible> {
    let taken = query
        .rules
        .is_some_and(|r| r.takedowns.binary_search(&content).is_ok());
    if taken {
        Some(Ineligible::Takedown)
    } else if embargo > query.minute {
        Some(Ineligible::Embargo)
    } else if expires.0 != 0 && expires <= query.minute {
        Some(Ineligible::Expired)
    } else {
        None
    }
}

/// Why even a pin cannot show this row.
pub(super) fn barred(query: &Query<'_>, active: &Active, row: usize) -> Option<Ineligible> {
    let f = query.front;
    legal(query, f.content(row), f.embargo(row), f.expires(row))
        .or_else(|| active.hidden(query, row).map(Ineligible::HiddenByEditor))
}

/// The same for a pinned item that is not in the front.
pub(super) fn barred_pin(
    query: &Query<'_>,
    active: &Active,
    item: &PinnedItem,
) -> Option<Ineligible> {
    legal(query, item.content, item.embargo, item.expires).or_else(|| {
        active
            .hidden_pin(query, item)
            .map(Ineligible::HiddenByEditor)
    })
}

/// Fills `out` with one verdict per row, and notes where the reader's reads are.
pub(super) fn filter(
    query: &Query<'_>,
    active: &Active,
    reads: &mut Reads,
    out: &mut Vec<Option<Ineligible>>,
) {
    let f = query.front.walk();
    let mutes = Mutes::of(query);
    let takedowns = query.rules.is_some_and(|r| !r.takedowns.is_empty());
    let language = query.request.context.language;
    let oldest = query
        .minute
        .0
        .saturating_sub(u32::from(query.model.age_h_max) * 60);
    let minute = |b: [u8; 4]| Minute(u32::from_le_bytes(b));
    out.clear();
    out.extend((0..query.front.len()).map(|row| {
        let content = ContentId(u64::from_le_bytes(f.id[row]));
        let read = reads.note(content.short(), row);
        let (embargo, expires) = (minute(f.embargo[row]), minute(f.expires[row]));
        if takedowns || (embargo.0 | expires.0) != 0 {
            let why = legal(query, content, embargo, expires);
            if why.is_some() {
                return why;
            }
        }
        if minute(f.published[row]).0 < oldest && f.flags[row] & flag::EVERGREEN == 0 {
            return Some(Ineligible::TooOld);
        }
        if read {
            return Some(Ineligible::AlreadyRead);
        }
        // The shift is by at most 50: `Front::parse` refuses a larger topic.
        if mutes.topics & (1 << (f.topic[row] & 63)) != 0 {
            return Some(Ineligible::MutedTopic);
        }
        if mutes.n > 0 && mutes.has_author(u32::from_le_bytes(f.author[row])) {
            return Some(Ineligible::MutedAuthor);
        }
        if let Some(rule) = active.hidden(query, row) {
            return Some(Ineligible::HiddenByEditor(rule));
        }
        let own = u16::from_le_bytes(f.language[row]);
        (language != 0 && own != 0 && own != language).then_some(Ineligible::Language)
    }));
}
