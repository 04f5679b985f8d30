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

/// Places that the rank gate compares: what a reader sees without scrolling far. More places change more often and
/// matter less; docs/publishing.md has the measured trade.
pub const GATE_TOP_K: u16 = 10;
/// Places compared at most: what one feed page holds.
pub const GATE_TOP_K_MAX: u16 = 100;
/// What a write costs on Workers KV: $5.00 a million beyond what the plan includes.
pub const DOLLARS_PER_MILLION: f64 = 5.0;
/// A change that no place showed is written after a week all the same: what edges take for a stale profile.
pub const PARKED_AGE_MIN: u32 = 7 * 24 * 60;
/// The same at most: profiles are kept for 180 days, and renewed 30 days before.
pub const PARKED_AGE_MIN_MAX: u32 = 90 * 24 * 60;
/// Places that moved, no read among them, do not wait for the reader's next reads: fifteen minutes would save another
/// 3 % of writes and double the regret.
pub const SETTLE_MIN: u32 = 0;
/// A waiting change is ranked again with newer fronts so often: an hour changes about a tenth of a front.
pub const RECHECK_MIN: u32 = 60;
/// Workers KV takes one write a second for a key.
pub const KEY_WRITE_EVERY_MS: i64 = 1_000;
/// A published profile that expires within so many days is renewed with the next change.
pub const EXPIRY_RENEW_D: u32 = 30;
/// A budget's bucket holds an hour's worth.
pub const BUDGET_BURST_MS: i64 = 3_600_000;
/// Places that a plan's rank regret looks at, whatever the gate compares: what a reader sees without scrolling far.
pub const PLAN_REGRET_K: u16 = 10;
/// A round of profiles is tried at least this often, for readers whose time has come.
pub const PROFILES_POLL: Duration = Duration::from_secs(1);
/// Readers waiting in memory for one brand (about 150 bytes each); those beyond are found by the sweep.
pub const QUEUE_MAX: usize = 200_000;
/// Waiting readers looked at again in one round.
pub const LOOKS_MAX: usize = 512;
/// Time a round may spend on ranking: a third of a core. Beyond it, what changed is written.
pub const GATE_TIME_MAX: Duration = Duration::from_millis(100);
/// Parked readers are read through in pages, so often: a million in an hour.
pub const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// See [`SWEEP_EVERY`].
pub const SWEEP_PAGE: usize = 256;
/// Devices of a reader that a plan keeps apart: browsers and their updates of a year.
pub const PLAN_DEVICES_MAX: usize = 64;
