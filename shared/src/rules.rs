//! Rules v1: what editors decided for one brand and surface, as the admin API publishes it.
//!
//! MessagePack in a [`wire`](crate::wire) frame under the key `r/<brand>/<surface>`. Schedules and time zones are
//! resolved to UTC minutes when rules are published, so the edge compares integers. Precedence: takedown, hide,
//! pin, quota, boost. A pin never resurrects a takedown.

use crate::front::build::Item;
use crate::id::ContentId;
use crate::time::{Minute, Timestamp};
use crate::wire::{Frame, WireError, unpack};
use serde::{Deserialize, Serialize};

/// The frame of rules.
pub const FRAME: Frame = Frame {
    magic: *b"MFRU",
    version: 1,
    schema: "rules.v1 msgpack named",
};

/// Rules in force on one surface at most: they are scanned per request.
pub const RULES_MAX: usize = 200;
/// Highest slot an editor may pin to.
pub const SLOT_MAX: u16 = 99;
/// Bytes of a rules value at most.
pub const RULES_BYTES_MAX: usize = 1 << 20;

/// A span of time, `from` inclusive, `until` exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First minute.
    pub from: Minute,
    /// First minute no longer in it.
    pub until: Minute,
}

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// One item.
    Content(ContentId),
    /// Everything by an author: [`crate::id::name_hash`] of the name.
    Author(u32),
    /// Everything whose main topic this is: topic number.
    Topic(u8),
    /// Everything of a series: name hash.
    Series(u32),
    /// Everything of a kind: [`crate::front::build::kind_code`].
    Kind(u8),
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Puts an item into a slot (0 = first).
    Pin {
        /// The item.
        content: ContentId,
        /// Slot from 0 to [`SLOT_MAX`].
        slot: u16,
    },
    /// Removes what it targets.
    Hide(Target),
    /// Multiplies the score; 50 halves it.
    Bury {
        /// What.
        target: Target,
        /// 0 to 99 percent of the score.
        percent: u16,
    },
    /// Multiplies the score; 200 doubles it.
    Boost {
        /// What.
        target: Target,
        /// 101 to 1000 percent of the score.
        percent: u16,
    },
    /// Between `min` and `max` of the first `within` slots.
    Quota {
        /// What.
        target: Target,
        /// The first so many slots.
        within: u16,
        /// At least, as far as there are eligible candidates.
        min: u16,
        /// At most.
        max: Option<u16>,
    },
}

/// For whom a rule holds. An empty list means "for everyone".
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Conditions {
    /// Segment numbers.
    #[serde(default)]
    pub segments: Vec<u8>,
    /// Countries, ISO 3166-1 alpha-2 as big-endian letters.
    #[serde(default)]
    pub countries: Vec<u16>,
    /// Device numbers ([`crate::served::Device`]).
    #[serde(default)]
    pub devices: Vec<u8>,
    /// The reader's strongest topics include one of these.
    #[serde(default)]
    pub topics: Vec<u8>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Id within the surface, chosen by the admin API.
    pub id: u32,
    /// What it does.
    pub action: Action,
    /// When; empty = always. A pin always has windows.
    pub windows: Vec<Window>,
    /// For whom.
    pub when: Conditions,
    /// What an editor calls it; shown in explanations.
    pub label: String,
}

/// Everything an edge needs of a pinned item that may have left the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedItem {
    /// The item.
    pub content: ContentId,
    /// Its card, see [`crate::front::Front::card`].
    pub card: String,
    /// First publication.
    pub published: Minute,
    /// 0 = none.
    pub embargo: Minute,
    /// 0 = never.
    pub expires: Minute,
    /// Main topic, or [`crate::topics::TOPICS`].
    pub topic: u8,
    /// Author hash.
    pub author: u32,
}

impl PinnedItem {
    /// The part of a front's item that a pin needs.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        Self {
            content: item.content,
            card: item.card.clone(),
            published: item.published,
            embargo: item.embargo,
            expires: item.expires,
            topic: item.main_topic.unwrap_or(crate::topics::TOPICS as u8),
            author: item.author,
        }
    }
}

/// The rules of one brand and surface.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Rises by one with every publication on this surface.
    pub revision: u32,
    /// When it was published.
    pub published_at: Timestamp,
    /// Kill switch: newest first, pins and hides only, no personalization.
    pub editorial_only: bool,
    /// Removed for legal reasons, sorted.
    pub takedowns: Vec<ContentId>,
    /// In the order of their ids.
    pub rules: Vec<Rule>,
    /// Cards of pinned items, sorted by content id.
    pub pinned: Vec<PinnedItem>,
    /// Readers' tokens minted before this minute are refused (revocation epoch).
    #[serde(default)]
    pub tokens_valid_from: Minute,
}

impl Rules {
    /// The KV value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Writing named MessagePack into memory cannot fail for these types.
        FRAME.seal(&rmp_serde::to_vec_named(self).unwrap_or_default())
    }

    /// Reads a KV value; answers the rules and their version (checksum).
    ///
    /// # Errors
    /// [`WireError`] naming what is wrong; the edge then keeps its last good rules.
    // Compiled where it is called: the worker wants it small, and only the rest of this crate fast.
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<(Self, u64), WireError> {
        const WHAT: &str = "rules";
        let malformed = |why: String| WireError::Malformed { what: WHAT, why };
        if bytes.len() > RULES_BYTES_MAX {
            return Err(malformed(format!(
                "{} bytes, at most {RULES_BYTES_MAX} allowed",
                bytes.len()
            )));
        }
        let (payload, id) = FRAME.open(WHAT, bytes)?;
        let rules: Self = unpack(payload).map_err(malformed)?;
        if rules.rules.len() > RULES_MAX {
            return Err(malformed(format!(
                "{} rules, at most {RULES_MAX} allowed",
                rules.rules.len()
            )));
        }
        let sorted = rules.takedowns.is_sorted() && rules.pinned.is_sorted_by_key(|p| p.content);
        if !sorted {
            return Err(malformed("takedowns or pinned items are not sorted".into()));
        }
        Ok((rules, id))
    }
}
