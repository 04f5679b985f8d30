//! Every limit of the Redis adapter, with its reason.

use std::time::Duration;

/// Commands per pipeline: more only stalls the server's one thread for its other clients.
pub const PIPELINE_COMMANDS_MAX: usize = 500;
/// Bytes per pipeline; one larger blob still goes, alone.
pub const PIPELINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest key: Workers KV's limit, so that a blob that fits here fits there.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest blob: Workers KV's limit.
pub const BLOB_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Keys a listing asks Redis to look at per `SCAN`.
pub const SCAN_COUNT: usize = 5_000;
/// Connecting takes longer only when the host is gone.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A pipeline of 4 MB takes some 20 ms; a server that stalls is given time for a rewrite of its file.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Tries per pipeline: the first may meet a connection that died unnoticed, the second one that
/// is only just coming back.
pub const TRIES_MAX: u32 = 3;
/// Pause before another try, doubled each time.
pub const RETRY_PAUSE: Duration = Duration::from_millis(50);
