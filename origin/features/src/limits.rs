//! Every limit of the folds, with its reason.

use std::time::Duration;

/// Events folded between two commits at most: what TOOLCHAIN's 50,000 events/s were measured with.
pub const COMMIT_EVENTS_MAX: usize = 5_000;
/// States that an event changes of its own, about: its reader, its item or ad. Brands and sketches are shared by a batch.
pub const CHANGES_PER_EVENT: usize = 2;
/// Two commits of a partition are at least this far apart unless the batch is full: a sync is dear.
pub const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// Bytes read from the log at a time.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// First and longest pause before a store that refused is asked again.
pub const RETRY_FIRST: Duration = Duration::from_millis(50);
/// See [`RETRY_FIRST`].
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// Readers kept in memory by each partition (about 2 KB each).
pub const READERS_HOT_MAX: usize = 16_384;
/// Items whose topics are kept in memory, over all partitions (about 100 bytes each).
pub const ITEMS_HOT_MAX: usize = 131_072;
/// Items counted per partition; the least recently clicked give way.
pub const ITEMS_COUNTED_MAX: usize = 20_000;
/// Items without a click for so long are no longer counted: the longest a front reaches back.
pub const ITEM_IDLE_MIN: u32 = 14 * 24 * 60;
/// Counters of items kept in memory by each partition (1 to 4 KB each); the rest is in the store.
pub const COUNTS_HOT_MAX: usize = 8_192;
/// Ads kept in memory by each partition, as [`COUNTS_HOT_MAX`].
pub const ADS_HOT_MAX: usize = 2_048;
/// Sketches of a brand's days and hours kept in memory by each partition (2 and 8 KB each).
pub const SKETCHES_HOT_MAX: usize = 256;
/// A partition without a record for so long is idle: its watermark no longer holds back the others'.
pub const IDLE_AFTER: Duration = Duration::from_secs(30);
/// How often it is looked whether the state of an idle partition, and the definitions, are still there: a store may be
/// emptied or fall back to an older copy under us.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Values deleted at a time when a partition is folded anew: small enough for any store's commit.
pub const ERASE_PAGE: usize = 500;
/// Pause before a partition that another process took is claimed again.
pub const CLAIM_AGAIN: Duration = Duration::from_secs(1);
/// Brands known to a partition at most: their slugs come with events.
pub const BRANDS_MAX: usize = 1_024;

/// Minutes for which events are remembered: collectors' retries, spools and restarts are over by then.
pub const SEEN_MIN: u32 = 60;
/// Offsets per segment of remembered event ids: one segment is rewritten with every commit.
pub const SEEN_SEGMENT: u64 = 1_024;
/// Words of memory a partition starts with.
pub const SEEN_SLOTS_MIN: usize = 1 << 12;
/// Words of memory a partition remembers events in at most, three quarters of them used: 32 MB hold 3.1 million
/// events, over eight partitions an hour at 7,000 events/s or eight minutes at 50,000. An hour at 50,000 takes
/// 2^25 words a partition, 2.1 GB over eight; [`crate::FeatureConfig::seen_slots`] sets it.
pub const SEEN_SLOTS: usize = 1 << 22;

/// Clocks of readers may be ahead of ours by this much; later times count as received.
pub const AHEAD_MAX_MS: i64 = 60_000;
/// An event this much older than the newest of its partition is counted as late. It is folded all the same. Unless
/// configured otherwise.
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

/// Longest ad or campaign id, bytes: the contract's.
pub const AD_BYTES_MAX: usize = 64;
/// Longest stay on an item that is counted, seconds: a forgotten tab is not reading.
pub const DWELL_MAX_S: f64 = 7_200.0;

/// Events older than the watermark by more than this enter no window and no session: two days cover a weekend
/// offline, and all state that a late event could still change is kept for as long. Less may be configured, not more.
pub const LATENESS_MS: i64 = 48 * 3_600_000;
/// [`LATENESS_MS`] and what the watermark lags, in seconds: how long spans of sessions are kept.
pub const LATENESS_S: u32 = ((LATENESS_MS + LATE_MS) / 1000) as u32;
/// Spans of sessions kept per reader: more than two days of an eager one, in about four bytes each.
pub const SPANS_MAX: usize = 24;
/// Videos per reader of which it is known how far they were watched: nobody watches more at a time.
pub const WATCHED_MAX: usize = 4;
/// Countries per reader: home, work, and travels of a month.
pub const COUNTRIES_MET_MAX: usize = 4;
/// Brands per reader: a large house has twelve (S0-01), a reader three.
pub const BRANDS_MET_MAX: usize = 8;
/// People of an item that are counted: those a poster names.
pub const CAST_MAX: usize = 4;
/// People kept per reader, those met last: some films' worth, in about 7 bytes each.
pub const PEOPLE_MET_MAX: usize = 12;
/// A stay of so many seconds on an item is a long one.
pub const LONG_READ_S: u32 = 60;
/// So much of a video watched is all of it, percent: credits are seldom watched.
pub const COMPLETED_PERCENT: u8 = 95;

/// Registers of an item's or ad's sketch of readers, as a power of two: 4.6 % standard error in about 300 bytes per
/// partition; 1.6 % over eight partitions.
pub const ITEM_READERS_LG_K: u8 = 9;
/// Registers of a brand's sketch of a day's readers: 1.6 % in about 2 KB per partition.
pub const REACH_LG_K: u8 = 12;
/// Entries of an hour's sketch of items most read: off by at most 0.7 % of the hour's reads; exact up to 384 items.
pub const TOP_MAP_SIZE: usize = 512;

/// Entities of one batch read: a page of a catalogue, a slate of candidates.
pub const BATCH_ENTITIES_MAX: usize = 1_000;
/// Requests of one replay: the rows of an answer stay below some tens of megabytes.
pub const REPLAY_REQUESTS_MAX: usize = 10_000;
/// Entities of each kind that one comparison takes in at most: their values stay in memory meanwhile.
pub const PARITY_ENTITIES_MAX: usize = 50_000;
/// Entities read from a view, and records written, at a time.
pub const PARITY_PAGE: usize = 1_000;
/// Differences of one feature that are shown.
pub const PARITY_EXAMPLES_MAX: usize = 3;
/// Records of the log folded at a time by a replay.
pub const REPLAY_RECORDS: usize = 10_000;
/// How often a state is read again when a commit came between: commits are a quarter of a second apart.
pub const SNAPSHOT_TRIES: usize = 200;
/// Days of a brand's reach that are read: the longest window and the running day.
pub const BRAND_DAYS_READ: u32 = 31;
/// Hours of a brand's most-read items that are read: a day and the running hour.
pub const BRAND_HOURS_READ: u32 = 25;
