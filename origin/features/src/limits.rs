//! Every limit of the folds, with its reason.

use std::time::Duration;

/// Events folded between two commits at most: what TOOLCHAIN's 50,000 events/s were measured with.
pub const COMMIT_EVENTS_MAX: usize = 5_000;
/// Two commits of a partition are at least this far apart unless the batch is full: a sync is dear.
pub const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// Bytes read from the log at a time.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// First and longest pause before a store that refused is asked again.
pub const RETRY_FIRST: Duration = Duration::from_millis(50);
/// See [`RETRY_FIRST`].
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// Readers kept in memory by each partition (about 700 bytes each).
pub const READERS_HOT_MAX: usize = 16_384;
/// Items whose topics are kept in memory, over all partitions (about 100 bytes each).
pub const ITEMS_HOT_MAX: usize = 131_072;
/// Items counted per partition; the least recently clicked give way.
pub const ITEMS_COUNTED_MAX: usize = 20_000;
/// Items without a click for so long are no longer counted: the longest a front reaches back.
pub const ITEM_IDLE_MIN: u32 = 14 * 24 * 60;
/// Brands known to a partition at most: their slugs come with events.
pub const BRANDS_MAX: usize = 1_024;

/// Offsets per segment of remembered event ids: one segment is rewritten with every commit.
pub const SEEN_SEGMENT: u64 = 1_024;
/// Segments remembered per partition: 262,144 events, 40 s at 50,000 events/s over 8 partitions.
pub const SEEN_SEGMENTS_MAX: usize = 256;

/// Clocks of readers may be ahead of ours by this much; later times count as received.
pub const AHEAD_MAX_MS: i64 = 60_000;
/// An event this much older than the newest of its partition is counted as late. It is folded all the same.
pub const LATE_MS: i64 = 5 * 60_000;

/// A session ends after so many minutes without an event.
pub const SESSION_GAP_MIN: u32 = 30;
/// Sessions over which the mean length is taken: about the last two weeks of a daily reader.
pub const SESSIONS_MEAN: u32 = 16;
/// Impressions after which the counters of engagement are halved.
pub const IMPRESSIONS_HALVE: u32 = 512;
/// Part of a video that must have played to count as read, percent.
pub const PLAYED_PERCENT: f64 = 50.0;
/// After a withdrawal or reset, events that happened before it are ignored for this long.
pub const CLOSED_MIN: u32 = 7 * 24 * 60;
/// A profile is forgotten so many days after the reader was last heard of.
pub const PROFILE_KEEP_D: u32 = 180;

/// A reader's state is kept so long after it was last written: as long as the profile.
pub const READER_KEEP: Duration = Duration::from_secs(PROFILE_KEEP_D as u64 * DAY_S);
/// Counters of items and ads: the longest window and the lateness, with two weeks to spare.
pub const ITEM_KEEP: Duration = Duration::from_secs(46 * DAY_S);
/// Distinct readers of a day: the longest window, with the lateness to spare.
pub const REACH_KEEP: Duration = Duration::from_secs(34 * DAY_S);
/// Most-read items of an hour: the window of a day, with the lateness to spare.
pub const TOP_KEEP: Duration = Duration::from_secs(4 * DAY_S);
const DAY_S: u64 = 86_400;
