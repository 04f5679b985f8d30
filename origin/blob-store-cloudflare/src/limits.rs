//! Every limit of the Cloudflare adapter, with its reason.
//!
//! Cloudflare's own: developers.cloudflare.com/kv/platform/limits and
//! developers.cloudflare.com/api/resources/kv/subresources/namespaces/methods/bulk_update.

use std::time::Duration;

/// Pairs or keys per bulk call: Cloudflare's limit.
pub const PAIRS_MAX: usize = 10_000;
/// Bytes per bulk call. Cloudflare takes 100 MB; half of it keeps our memory and a repeat cheap.
pub const BODY_BYTES_MAX: usize = 50_000_000;
/// Longest key: Cloudflare's limit.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest value: Cloudflare's limit.
pub const BLOB_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Largest metadata: Cloudflare's limit.
pub const METADATA_BYTES_MAX: usize = 1_024;
/// Shortest time to live: Cloudflare's limit.
pub const TTL_S_MIN: u64 = 60;
/// Fewest and most keys of a listing's page: Cloudflare's limits.
pub const LIST_KEYS: (usize, usize) = (10, 1_000);
/// Between two writes of one key: Cloudflare takes one a second and drops or refuses more.
pub const KEY_WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Largest answer read: a value, with room for a listing of long keys and metadata.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// One HTTP call, uploading 50 MB at 10 Mbit/s included.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of one call: with pauses of 0.25 to 4 s it rides out some seconds of trouble; after
/// that the caller keeps the batch in its outbox.
pub const TRIES_MAX: u32 = 5;
/// First pause; doubles, and each is shortened at random so that processes do not march in step.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// Longest pause of ours.
pub const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// A `Retry-After` beyond this is handed to the caller: Cloudflare blocks for up to 5 minutes.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Remembered writes beyond which the list is cleared of old ones.
pub const WRITES_REMEMBERED: usize = 50_000;
