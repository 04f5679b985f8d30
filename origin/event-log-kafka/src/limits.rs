//! Every limit of the Kafka adapter, with its reason.

use std::time::Duration;

/// Kafka's own limit is 249; room is left for a prefix and for the broker's folder suffix.
pub const NAME_BYTES_MAX: usize = 200;
/// Most partitions of a topic: beyond it readers hold too many queues, and a broker too many files.
pub const PARTITIONS_MAX: u32 = 1_024;
/// Longest prefix of topics and groups.
pub const PREFIX_BYTES_MAX: usize = 48;

/// Largest record, key, value and headers together. Topics are created to take it.
pub const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a topic and the client take at most: a record and its framing.
pub const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + 1024 * 1024;
/// Framing of a record as far as our queue counts it: lengths, offsets and the client's own bookkeeping.
pub const RECORD_OVERHEAD_BYTES: usize = 128;
/// Bytes of appends that may wait for the broker before callers get `Full`: a second of a busy collector.
pub const APPEND_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records that may wait before callers get `Full`.
pub const APPEND_QUEUE_RECORDS_MAX: usize = 400_000;
/// The client's own queue is larger than ours, so that an append once begun is never refused half-way.
pub const CLIENT_QUEUE_FACTOR: usize = 2;
/// A batch waits this long for company: 5 ms as in the embedded log.
pub const LINGER_MS: u32 = 5;
/// A batch goes once it holds this much (before compression).
pub const BATCH_BYTES: usize = 1_000_000;
/// How long an append is retried before it answers `Unavailable`: longer than electing a new leader takes (3 to 6 s), shorter
/// than what waits for the answer. `?delivery_timeout_ms=` changes it.
pub const DELIVERY_TIMEOUT_MS: u32 = 15_000;
/// Smallest value that still holds one request and its retry.
pub const DELIVERY_TIMEOUT_MS_MIN: u32 = 1_000;
/// A broker that does not answer a produce or fetch request for so long is asked again.
pub const REQUEST_TIMEOUT_MS: u32 = 5_000;

/// How long a read waits for records that are known to exist before it answers `Unavailable`.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long questions about topics and offsets wait for a broker.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before a question is asked again.
pub const ASK_PAUSE: Duration = Duration::from_millis(50);
/// How long creating a topic may take, on every broker.
pub const CREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// Records fetched ahead per partition being read.
pub const PREFETCH_RECORDS: usize = 50_000;
/// Bytes fetched ahead per partition being read.
pub const PREFETCH_KB: usize = 8 * 1024;
/// Bytes of one partition in one answer of a broker.
pub const FETCH_PARTITION_BYTES: usize = 2 * 1024 * 1024;
/// A fetch waits so long at the broker when there is nothing. A reader that jumps to another offset waits for it too.
pub const FETCH_WAIT_MS: u32 = 50;
/// Readers of one partition that each keep a place of their own; more of them take turns, which costs them
/// [`FETCH_WAIT_MS`] a turn.
pub const LANES_MAX: usize = 4;
/// A place nobody reads from is given up, with what was fetched ahead for it.
pub const SEAT_IDLE: Duration = Duration::from_secs(60);
/// Records taken from the client before other tasks get their turn: about a millisecond.
pub const TAKE_RECORDS: usize = 512;

/// Ends of watched partitions are asked for this often, to wake readers of what other processes append. A reader that is
/// at the end already hears of it from its own fetch, within milliseconds.
pub const TAIL_EVERY: Duration = Duration::from_millis(50);
/// Ends this fresh are not asked for again.
pub const TAIL_FRESH: Duration = Duration::from_millis(150);
/// Pause while no broker answers.
pub const TAIL_PAUSE: Duration = Duration::from_millis(500);

/// A member that is silent for so long loses its partitions: the least that a broker allows with its own defaults.
/// `?session_ms=` changes it.
pub const SESSION_MS: u32 = 6_000;
/// Shorter sessions mistake a pause of the machine for a death.
pub const SESSION_MS_MIN: u32 = 1_000;
/// Longest session a broker takes with its own defaults.
pub const SESSION_MS_MAX: u32 = 1_800_000;
/// How often a member looks for a new assignment.
pub const SEAT_POLL: Duration = Duration::from_millis(100);
/// Old versions in a compacted topic are kept at least so long, so that whoever follows it sees each: a week.
pub const COMPACTION_LAG_MS: u64 = 7 * 24 * 3_600_000;
