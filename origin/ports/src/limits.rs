//! Limits of the contract: the same in every adapter, so that what fits one store fits the others.

/// Longest key of a view or outbox, bytes.
pub const KEY_BYTES_MAX: usize = 4_096;
/// Largest state or outbox value, bytes. Larger ones belong into the blob store or the lake.
pub const STATE_VALUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Longest view, consumer, topic, outbox or fence name, bytes.
pub const NAME_BYTES_MAX: usize = 128;
