//! Every bound of the host, each with its reason. Times are durations, sizes are bytes.

use std::time::Duration;

/// How often running guest code is interrupted to let its neighbours run.
pub const EPOCH_TICK: Duration = Duration::from_millis(5);

/// Ticks of guest CPU one request may burn (100 ms): a feed takes well under one millisecond, so
/// whoever gets here is looping.
pub const CPU_TICKS_MAX: u32 = 20;

/// Suspensions that are forgiven when ticks are counted. A tick missed because the guest waited
/// for the network is not CPU; without an end to this, a host starved of CPU would forgive loops.
pub const SUSPENSIONS_FORGIVEN: u32 = 200;

/// Wall clock one request, the work it left behind, or an idle instance may take.
pub const INSTANCE_WALL_MAX: Duration = Duration::from_secs(10);

/// Requests one instance answers before it is replaced: amortises instantiation and the reading of
/// fronts, which costs as much as dozens of feeds, and bounds what a leak can grow to.
pub const REQUESTS_PER_INSTANCE: usize = 8192;

/// Requests inside guests at once, unless told otherwise. Ranking is CPU bound, so more only
/// costs memory; waiting for stores is what the surplus over the cores is for.
pub const IN_FLIGHT_DEFAULT: usize = 128;

/// Instances per request in flight: an instance may still be finishing deferred work, or may not
/// have noticed yet that it is free, when its permit is already another's.
pub const INSTANCES_PER_IN_FLIGHT: usize = 4;

/// Requests that may wait for a permit; later ones are refused at once. At 10,000 requests a
/// second this many pass in a tenth of one.
pub const WAITING_MAX: usize = 1024;

/// Pause before an instance is asked for again when all are taken, which ends within microseconds
/// unless guests are stuck.
pub const INSTANCE_RETRY: Duration = Duration::from_millis(1);

/// How long a request waits for a permit before it is refused: a reader would rather retry than
/// hang, and p99 at half of saturation is meant to be under 10 ms.
pub const ADMISSION_WAIT: Duration = Duration::from_millis(250);

/// What `Retry-After` says, in seconds.
pub const RETRY_AFTER_S: u32 = 1;

/// Open connections; the next one waits in the kernel's accept queue.
pub const CONNECTIONS_MAX: usize = 4096;

/// A client that has not sent its headers by then is dropped.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Request bodies. The component refuses at much less with a better message; this is the floor
/// under a component that does not.
pub const REQUEST_BODY_BYTES_MAX: usize = 4 << 20;

/// Answers up to this size leave as a whole: a feed of 100 items fits. Larger ones are streamed.
pub const TAKEN_OVER_BYTES_MAX: usize = 128 << 10;

/// How long open requests may finish after SIGTERM.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Linear memory of one instance, unless told otherwise.
pub const GUEST_MEMORY_BYTES_DEFAULT: usize = 64 << 20;

/// Bytes of an instance's memory that stay mapped for its successor. A warm instance with its
/// fronts touches less than this; resetting by `memset` beats `madvise` and the page faults after.
pub const KEEP_RESIDENT_BYTES: usize = 2 << 20;

/// Tables of one instance: entries, far above what a Rust component uses.
pub const TABLE_ELEMENTS_MAX: usize = 20_000;

/// Core modules in one component: the guest, the adapters `wasm-component-ld` adds, and room.
pub const CORE_INSTANCES_PER_COMPONENT: u32 = 32;

/// Key-value stores one instance may hold open.
pub const OPEN_STORES_MAX: usize = 64;

/// Longest key: `r/<brand>/<surface>` needs 68 bytes, Workers KV allows 512.
pub const KEY_BYTES_MAX: usize = 512;

/// Largest value read or written; a front of 500 items is about 160 KB.
pub const VALUE_BYTES_MAX: usize = 8 << 20;

/// Keys one listing returns at most.
pub const KEYS_LISTED_MAX: usize = 100_000;

/// One operation on the store behind the cache. The component has a tighter deadline of its own.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// Age after which a cached value is refreshed, unless told otherwise: a quarter of the two
/// seconds within which an editor's pin must show.
pub const SOFT_TTL_MS_DEFAULT: u64 = 500;

/// Age up to which a cached value is served while its refresh runs. Beyond it a reader waits for
/// the store, so that the only reader of a quiet minute does not get the pins of the minute before:
/// with the component's own memory on top, two seconds must hold.
pub const STALE_WHILE_REVALIDATE: Duration = Duration::from_secs(1);

/// How long a reader waits for a refresh when an older value is at hand: within the component's own
/// deadline of 40 ms, so that a slow store costs freshness and not the front.
pub const REFRESH_WAIT: Duration = Duration::from_millis(20);

/// Age up to which the last good value replaces a failing store. The feed says how old it is.
pub const LAST_GOOD_MAX: Duration = Duration::from_secs(600);

/// Bytes of values the cache holds, unless told otherwise: 12 brands with a dozen surfaces fit
/// twice.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

/// Entries the cache holds, so that made-up surface names cannot fill memory with absences.
pub const CACHE_ENTRIES_MAX: usize = 4096;

/// Connecting to an allowed host.
pub const OUTBOUND_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Records waiting in the outbox at most: seconds of feeds at saturation while the origin is away.
pub const OUTBOX_WAITING_MAX: usize = 32_768;

/// Records in one post at most; the origin takes as many from every edge.
pub const OUTBOX_BATCH_MAX: usize = 256;

/// Bytes of one record at most: a served record has about 2 KB.
pub const OUTBOX_RECORD_BYTES_MAX: usize = 64 << 10;

/// How long the outbox waits for more records after the first: under load one post carries many.
pub const OUTBOX_LINGER: Duration = Duration::from_millis(20);

/// Pause after the origin did not take a post.
pub const OUTBOX_PAUSE: Duration = Duration::from_secs(1);

/// From the request to the answer's headers.
pub const OUTBOUND_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// Response bodies from allowed hosts.
pub const OUTBOUND_BODY_BYTES_MAX: usize = 8 << 20;
