//! Every limit of the embedded adapter, with its reason.

use std::time::Duration;

/// Longest blob key: Workers KV's limit, so that a blob that fits here fits there.
pub const BLOB_KEY_BYTES_MAX: usize = 512;
/// Largest blob: Workers KV's limit.
pub const BLOB_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Largest metadata of a blob: Workers KV's limit.
pub const BLOB_METADATA_BYTES_MAX: usize = 1_024;
/// Largest append call, encoded: one stored value, and one entry of the journal.
pub const APPEND_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most partitions of a topic: each has its own counters in memory, and scale-out is another adapter.
pub const PARTITIONS_MAX: u32 = 1_024;

/// Append calls waiting for the writer before callers get `Full`.
pub const APPEND_QUEUE_CALLS_MAX: usize = 8_192;
/// Bytes waiting for the writer before callers get `Full`: some seconds of a slow disk.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A group is synced once it holds this much: 1 MB syncs in 0.7 ms, more only adds delay.
pub const GROUP_BYTES_MAX: usize = 1024 * 1024;
/// Calls synced together share a stored value up to this size: a value costs the database some microseconds whatever it
/// holds, and a reader that starts inside one reads over what lies before.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Log values from this size on are kept apart from their keys: compaction then moves keys of 12 bytes and leaves them where
/// they were written.
pub const LOG_SEPARATE_BYTES: u32 = 1_024;
/// Under load a group waits at most this long for company.
pub const GROUP_LINGER_MAX: Duration = Duration::from_millis(5);
/// It waits this long at a time, and no longer once nothing came meanwhile.
pub const GROUP_LINGER_STEP: Duration = Duration::from_micros(500);
/// A group of fewer calls was not load: the next one does not linger.
pub const GROUP_CALLS_LINGER_MIN: usize = 16;

/// Threads that flush and compact, which mostly wait for the disk. The first of several takes no compaction but puts it back
/// into the queue, over and over while the others are busy: of two that was a tenth of the origin's CPU under load. One
/// alone leaves flushes behind compactions, and writers wait for it.
pub const WORKERS: usize = 4;
/// Memtable of a keyspace: half of fjall's default, since there are a dozen keyspaces.
pub const MEMTABLE_BYTES: u64 = 32 * 1024 * 1024;
/// Journals beyond this make lagging keyspaces flush; bounds the time to reopen after a crash.
pub const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Block cache over all keyspaces.
pub const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Keys removed in one batch by sweeps and retention, to keep the write lock short.
pub const REMOVE_BATCH_MAX: usize = 1_024;
/// Retention compacts a topic when it removed this much since the last time, and half of what is left.
pub const COMPACT_AFTER_BYTES: u64 = 16 * 1024 * 1024;
