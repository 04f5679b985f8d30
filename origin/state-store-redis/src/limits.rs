//! Every limit of the Redis adapter, with its reason.

use std::time::Duration;

/// Largest commit, keys and values together: a script holds up the server for about 1 ms per MB, and Redis cuts
/// clients off at 1 GB.
pub const COMMIT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Changes a commit should hold at most: the server answers nobody while a script runs, for about 9 µs a change.
/// Fifteen hundred of 1 KB are 14 ms; five thousand were 50 ms. Fewer write what is hot, such as a popular item, more often.
pub const COMMIT_CHANGES: usize = 1_500;

/// Connecting takes longer only when the host is gone.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A script of 64 MB takes some 100 ms; a server that stalls is given time for a rewrite of its file.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries per call: the first may meet a connection that died unnoticed, the second a server only just coming back.
/// Whoever calls asks again for as long as it likes.
pub const TRIES_MAX: u32 = 3;
/// Pause before another try, doubled each time.
pub const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long a commit's mark tells a later try that an earlier one went through. Longer than all tries together take.
pub const MARK_MS: u64 = 60_000;
const _: () = assert!(MARK_MS as u128 > 2 * TRIES_MAX as u128 * RESPONSE_TIMEOUT.as_millis());

/// Entries of an index looked at per script by scans and sweeps: more only stalls other clients.
pub const PAGE: usize = 512;
/// Keys a scan of a view without an index asks for per `SCAN`.
pub const SCAN_COUNT: usize = 2_000;
/// Watchers of outboxes look again this often in case a message between processes was lost.
pub const WAKE_EVERY: Duration = Duration::from_secs(1);
/// Pause before subscribing again.
pub const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(250);
/// Keys sampled per slot to estimate what views take up.
pub const USAGE_SAMPLES: usize = 100;
