//! Every limit of the edge, each with its reason.

/// Bytes of a request body at most: 200 events of a rich client fit twice.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Event times further ahead than this are a wrong clock; the same bound as at the origin.
pub const FUTURE_SKEW_MS: i64 = 5 * 60_000;
/// Event times further back than this are a wrong clock, or a queue nobody should trust.
pub const PAST_SKEW_MS: i64 = 30 * 86_400_000;
/// Events in one batch at most: what a page view produces, not a dump.
pub const EVENTS_MAX: usize = 200;
/// Bytes of a path at most: the longest of ours is under 150.
pub const PATH_BYTES_MAX: usize = 512;
/// Bytes of a query at most: a link assertion and a cursor fit.
pub const QUERY_BYTES_MAX: usize = 2048;
/// Characters of a client's input repeated in a problem document at most.
pub const ECHO_CHARS_MAX: usize = 60;

/// Items of one feed page at most.
pub const LIMIT_MAX: u16 = 100;
/// Items of one feed page when the client does not say.
pub const LIMIT_DEFAULT: u16 = 30;
/// Items a cursor may pass over at most: a front holds no more.
pub const OFFSET_MAX: u16 = mediaflow_shared::front::FRONT_ITEMS_MAX as u16;

/// Bytes of a sealed token in its text form at most: with the cookie's name well below the 4 KiB of RFC 6265.
pub const TOKEN_CHARS_MAX: usize = 1536;
/// Reads kept in full in a token: what the slow profile may not know yet.
pub const TOKEN_READS_MAX: usize = 5;
/// How long consent holds, in minutes: 180 days, then the reader is asked again.
pub const TOKEN_TTL_MIN: u32 = 180 * 24 * 60;
/// The token's "last seen" moves in steps of this: re-sealing on every feed would cost a cookie each time.
pub const SEEN_STEP_MS: i64 = 10_000;
/// After this long without activity the slow profile is asked again: another device may have been used.
pub const IDLE_MS: i64 = 30_000;
/// However active the reader is here, the slow profile is asked for at least this often.
pub const ASKED_MS_MAX: i64 = 5 * 60_000;
/// A pause after which a new session is counted.
pub const SESSION_GAP_MS: i64 = 30 * 60_000;
/// A profile older than this counts as stale (rung 1), in minutes; the origin's rank gate counts the same.
pub const PROFILE_STALE_MIN: u32 = mediaflow_shared::profile::STALE_MIN;
/// Profiles read from storage and held for a moment: a client that ignores cookies must not read KV every time.
pub const PROFILES_HELD_MAX: usize = 512;
/// How long such a profile is held, and how long "there is none" is believed.
pub const PROFILE_HELD_MS: i64 = 2000;
/// How long a link assertion may be valid at most, in seconds: it is meant for one page load.
pub const ASSERTION_TTL_S_MAX: i64 = 3600;

/// Rendered shared feeds held at most; about 30 KB each.
pub const RESULTS_HELD_MAX: usize = 128;
/// How long a browser may keep a shared feed, in seconds: short, since pins must show.
pub const SHARED_MAX_AGE_S: u32 = 2;
/// How long the edge cache keeps the last good front and rules, in seconds: a day of a store being down.
pub const KEPT_TTL_S: u32 = 86_400;
/// Refreshing is taken as lost after this: a deferred task may be ended by its platform.
pub const IN_FLIGHT_MS: i64 = 5000;
/// Deadline of a refresh after the response, where nobody waits.
pub const REFRESH_DEADLINE_MS: u32 = 5000;
/// Deadline of a lookup in the edge cache.
pub const CACHE_DEADLINE_MS: u32 = 100;
/// How long a front that is not there yet is believed to be missing: a new brand's first front should show at once.
pub const FRONT_ABSENT_MS: i64 = 500;
/// After a store failed, how long readers are served from memory without asking it again.
pub const RETRY_AFTER_FAILURE_MS: i64 = 1000;

/// How long a reader waits until the origin holds their events, else the edge keeps them for a retry.
pub const EVENTS_DEADLINE_MS: u32 = 1000;
/// Bytes of event batches waiting for a retry at most: memory of an isolate is 128 MB.
pub const RETRY_BYTES_MAX: usize = 8 << 20;
/// Batches waiting for a retry at most.
pub const RETRY_BATCHES_MAX: usize = 2048;
/// Batches sent by one flush at most: a request of some platforms may make 50 subrequests. The next request goes on.
pub const FLUSH_BATCHES_MAX: usize = 40;
/// Tries of one flush before it gives up until the next request.
pub const RETRY_TRIES: u32 = 3;
/// First pause between tries; doubles, with a jitter of half of it.
pub const RETRY_PAUSE_MS: u32 = 100;
/// Seconds a client waits when the retry queue is full.
pub const RETRY_AFTER_S: u32 = 5;

/// Served records waiting at most; beyond it the oldest are dropped and counted.
pub const SERVED_WAITING_MAX: usize = 8192;
/// Served records in one POST at most: about 2 KB each.
pub const SERVED_BATCH_MAX: usize = 256;
/// How long a flush waits for more records: under load one POST carries many.
pub const SERVED_LINGER_MS: u32 = 50;
/// Deadline of a POST of served records or of a heartbeat.
pub const REPORT_DEADLINE_MS: u32 = 5000;
/// Heartbeats at most so often.
pub const HEARTBEAT_MS: i64 = 1000;
