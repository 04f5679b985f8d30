//! Every limit of the publisher, with its reason.

use std::time::Duration;

/// Items of a surface unless configured: what one front ranks in well under a millisecond.
pub const SURFACE_ITEMS: u16 = 500;
/// Fronts are rebuilt at least this often unless configured.
pub const REBUILD_EVERY_S: u64 = 60;
/// A changed article waits this long for company before its brand's fronts are rebuilt.
pub const DEBOUNCE: Duration = Duration::from_millis(300);
/// Signals of the stream are read again at most this often: reading them costs more than building a front.
pub const SIGNALS_EVERY: Duration = Duration::from_secs(5);
/// After a front was not taken by the store, the next try comes no sooner.
pub const FRONT_RETRY: Duration = Duration::from_secs(2);
/// Embargoed items are in the front this long before they may be shown: many rebuilds, few wasted places.
pub const EMBARGO_AHEAD_MIN: u32 = 24 * 60;
/// Items kept per brand in memory (about 1.5 KB each); the oldest go.
pub const INDEX_ITEMS_MAX: usize = 20_000;
/// Of a surface's places, a source takes at most this share while others have something, percent.
pub const SOURCE_SHARE_PERCENT: usize = 40;
/// The same for one named author.
pub const AUTHOR_SHARE_PERCENT: usize = 10;
/// Texts whose SimHashes differ in at most this many bits are near-duplicates.
pub const DUPLICATE_BITS_MAX: u32 = 3;
/// Texts compared with each newcomer per band: a band that many share says nothing.
pub const BAND_COMPARED_MAX: usize = 64;

/// Entries read from a view or outbox at a time.
pub const PAGE: usize = 1_024;
/// Bytes read from the log at a time.
pub const READ_BYTES_MAX: usize = 4 << 20;
/// Profiles published per call: Workers KV takes 10,000 pairs.
pub const PROFILES_BATCH: usize = 4_000;
/// Between two batches of profiles: what changes meanwhile is written once.
pub const PROFILES_EVERY: Duration = Duration::from_millis(200);
/// Hashes of published profiles kept, to write only what changed (about 50 bytes each).
pub const PROFILES_KNOWN_MAX: usize = 200_000;
/// A profile nobody renews disappears from the edges after so long, like its state at the origin.
pub const PROFILE_TTL_S: u64 = 180 * 24 * 3600;
/// Rules are looked for at least this often, should a wake-up be lost.
pub const RULES_POLL: Duration = Duration::from_millis(50);
/// First and longest pause after a store refused.
pub const RETRY_FIRST: Duration = Duration::from_millis(100);
/// See [`RETRY_FIRST`].
pub const RETRY_MAX: Duration = Duration::from_secs(5);

/// What was published can be replayed for this long.
pub const ARCHIVE_TTL_MS: i64 = 48 * 3_600_000;
/// What is still in force is archived anew this often.
pub const ARCHIVE_RENEW: Duration = Duration::from_secs(3_600);
/// Archived chunks known to be there, so as not to write them again (about 40 bytes each).
pub const ARCHIVE_CHUNKS_KNOWN_MAX: usize = 200_000;
