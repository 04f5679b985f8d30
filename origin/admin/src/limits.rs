//! Every limit of the editors' API, with its reason.

/// Longest life of a pin: one that nobody looks after must end by itself.
pub const PIN_DAYS_MAX: i64 = 35;

/// Longest life of a rule with a daily schedule: its windows are expanded when published.
pub const SCHEDULE_DAYS_MAX: i64 = 35;

/// How long an `Idempotency-Key` is remembered.
pub const IDEMPOTENCY_TTL_MS: i64 = 24 * 3_600_000;

/// Longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Longest name of a rule: it is shown to readers as the reason of a pin.
pub const LABEL_CHARS_MAX: usize = 80;

/// Takedowns kept per brand: each travels in every rules value of the brand.
pub const TAKEDOWNS_MAX: usize = 10_000;

/// An edge that was not heard of for so long no longer counts in a receipt.
pub const EDGE_SILENT_MS: i64 = 60_000;

/// Edges remembered at most: a heartbeat needs the edge token, yet ids are free text.
pub const EDGES_MAX: usize = 4_096;

/// Surfaces one heartbeat may report.
pub const HEARTBEAT_SURFACES_MAX: usize = 256;

/// Entries of one page of the audit or the revisions.
pub const PAGE_MAX: usize = 200;

/// Attempts at a commit that somebody else's commit overtook.
pub const COMMIT_TRIES: usize = 8;

/// Slots of a preview at most.
pub const PREVIEW_SLOTS_MAX: u16 = 100;
