//! Every limit of this crate, with its reason.

use std::time::Duration;

/// Bytes of HTML read of one body. A long read of 20,000 words is 200 KB; the rest is cut.
pub const HTML_BYTES_MAX: usize = 1 << 20;

/// Characters of a title that are kept.
pub const TITLE_CHARS_MAX: usize = 300;

/// Characters of a teaser (content contract).
pub const SUMMARY_CHARS_MAX: usize = 300;

/// Characters of an author, category, tag or alternative text.
pub const NAME_CHARS_MAX: usize = 200;

/// Categories and tags kept, each.
pub const TERMS_MAX: usize = 32;

/// Media assets kept.
pub const MEDIA_MAX: usize = 64;

/// Words per minute of reading (S0-04).
pub const WORDS_A_MINUTE: u32 = 200;

/// Words per school grade (S0-09).
pub const WORDS_A_GRADE: u32 = 50;

/// Lowest and highest grade (S0-09).
pub const GRADES: (u32, u32) = (6, 12);

/// Words looked at by language processing: a topic is clear long before.
pub const NLP_WORDS_MAX: usize = 5_000;

/// Topics kept per article.
pub const TOPICS_MAX: usize = 8;

/// Topics lighter than this (of 127) are noise.
pub const TOPIC_WEIGHT_MIN: u8 = 4;

/// Entities kept per article.
pub const ENTITIES_MAX: usize = 20;

/// Letters below which no language is guessed: titles of three words mislead every detector.
pub const LANGUAGE_LETTERS_MIN: usize = 20;

/// Records of `content.raw` handled per commit: one sync serves all of them.
pub const BATCH_RECORDS: usize = 200;

/// Bytes of `content.raw` read at once.
pub const BATCH_BYTES: usize = 8 << 20;

/// Outbox entries moved to the log at once.
pub const RELAY_BATCH: usize = 500;

/// How often it is looked whether the position is still where it was: a store may be emptied under us.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Pause after a store refused.
pub const RETRY_MS: u64 = 500;
