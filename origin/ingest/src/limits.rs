//! Every limit of this crate, with its reason.

use std::time::Duration;

/// Events in one request: a page's worth of impressions is dozens, an edge's batch hundreds.
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// Longest CloudEvents `id`: a UUID is 36.
pub const EVENT_ID_BYTES_MAX: usize = 256;

/// Longest CloudEvents `source`.
pub const EVENT_SOURCE_BYTES_MAX: usize = 512;

/// Longest opaque text in an event (session, feed id, exposure, raw reader id).
pub const EVENT_TEXT_BYTES_MAX: usize = 256;

/// Within this time (source, id) is counted once, exactly. Senders retry for minutes, not hours. Unless configured
/// otherwise.
pub const DEDUPE_WINDOW_MS: i64 = 3_600_000;

/// Memory for remembered (source, id), both halves of the window: 3.6 million keys each, an hour at 1,000 events/s.
/// Beyond it the window shortens, and a metric says so. Tables double: a little more than a power of two of keys would
/// take twice the memory.
pub const DEDUPE_BYTES_MAX: usize = 144 << 20;

/// Event times further ahead than this are a wrong clock: the receive time is used.
pub const FUTURE_SKEW_MS: i64 = 5 * 60_000;

/// Event times of browsers further back than this are a wrong clock, or a queue nobody should trust.
pub const PAST_SKEW_MS: i64 = 30 * 86_400_000;

/// Nobody reads one item for longer: a forgotten tab.
pub const DWELL_S_MAX: f64 = 4.0 * 3_600.0;

/// Longest video: a day of live coverage.
pub const VIDEO_S_MAX: f64 = 86_400.0;

/// Slots are small numbers; a larger one is a defect of the sender.
pub const SLOT_MAX: u16 = 999;

/// Served records in one request.
pub const SERVED_BATCH_MAX: usize = 1_000;

/// A webhook's timestamp may be this far from our clock, either way.
pub const WEBHOOK_SKEW_S: i64 = 300;

/// Delivery ids are remembered for longer than their timestamp is accepted.
pub const WEBHOOK_REMEMBER_MS: i64 = 15 * 60_000;

/// Largest response of a CMS or a feed: 100 long posts with markup stay below.
pub const FETCH_BYTES_MAX: usize = 32 << 20;

/// A CMS that takes longer is treated as down.
pub const FETCH_TIMEOUT_S: u64 = 30;

/// Posts a page: the most WordPress allows.
pub const WORDPRESS_PAGE: usize = 100;

/// Nodes a page: the most Drupal's JSON:API allows.
pub const DRUPAL_PAGE: usize = 50;

/// Pages taken in one poll, so that one source's backlog does not hold its poller for hours: the
/// next poll goes on from the cursor.
pub const PAGES_A_POLL: usize = 200;

/// First pause after a failed poll; it doubles up to [`BACKOFF_MAX_S`].
pub const BACKOFF_MIN_S: u64 = 2;

/// Longest pause after failed polls: an editor should not wait longer once the CMS is back.
pub const BACKOFF_MAX_S: u64 = 300;

/// At each poll the first request looks back this far: a post's time of change is taken before it
/// becomes visible.
pub const CURSOR_OVERLAP_MS: i64 = 60_000;

/// Items submitted at once by an import: bounds memory and makes one sync serve many.
pub const IMPORT_BATCH: usize = 200;

/// Largest single field of an export, such as a post's body.
pub const FIELD_BYTES_MAX: usize = 8 << 20;

/// Records read at once while recovering what was seen.
pub const RECOVER_RECORDS: usize = 5_000;

/// Newest records of a partition that are recovered whatever the clock says: seconds of a full load, which is what senders
/// try again after a restart.
pub const RECOVER_RECORDS_MIN: u64 = 20_000;

/// Bytes read at once while recovering what was seen.
pub const RECOVER_BYTES: usize = 16 << 20;

/// Longest title or author a reader may send.
pub const UGC_LINE_CHARS_MAX: usize = 300;

/// Longest text a reader may send.
pub const UGC_BODY_CHARS_MAX: usize = 20_000;

/// A clock that is off by less than this is right: it is the way here that takes so long.
pub const CLOCK_TOLERANCE_MS: i64 = 10_000;

/// Longest user agent that is looked at: real ones have 100 to 300 bytes.
pub const AGENT_BYTES_MAX: usize = 512;

/// User agents remembered, times two: about 10 MB. The 10,000 most frequent ones make up 95 % of traffic.
pub const AGENTS_REMEMBERED_MAX: usize = 10_000;

/// Longest short name in an event (ad, campaign, placement, currency, tier, quality): a join key, not a text.
pub const EVENT_NAME_BYTES_MAX: usize = 64;

/// Events that one message of a foreign envelope may become: a ranking shows dozens of items.
pub const EVENTS_A_MESSAGE_MAX: usize = 200;

/// Bytes of request bodies, expanded, that the collector holds at once: 64 full bodies, a second of 50,000 events of
/// 1 KB. Beyond it senders are asked to wait.
pub const INFLIGHT_BYTES_MAX: usize = 64 << 20;

/// Shortest write key: 128 bits in hexadecimal.
pub const WRITE_KEY_BYTES_MIN: usize = 16;

/// An append that takes longer goes to the spool: a healthy log answers in milliseconds, a new leader takes seconds.
pub const SPOOL_PATIENCE: Duration = Duration::from_secs(3);

/// First pause before the log is tried again; it doubles up to [`SPOOL_PAUSE_MAX`].
pub const SPOOL_PAUSE_MIN: Duration = Duration::from_millis(200);

/// Longest pause before the log is tried again: events should not wait much longer than the outage.
pub const SPOOL_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Records drained at once.
pub const SPOOL_BATCH_RECORDS: usize = 2_000;

/// Bytes drained at once.
pub const SPOOL_BATCH_BYTES: usize = 4 << 20;

/// How far the clocks of this machine and of the log's may be apart when it is searched for suspects.
pub const SPOOL_CLOCK_MARGIN_MS: i64 = 10 * 60_000;
