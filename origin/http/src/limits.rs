//! Every limit of this crate, with its reason.

/// Largest body as it arrives: a batch of 1,000 events of 1 KB each is the largest thing we ask for.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Largest body after decompression. JSON of events shrinks about tenfold, so a body that grows
/// more than this was made to grow.
pub const EXPANDED_BYTES_MAX: usize = 8 << 20;

/// A body that has not arrived by then is given up: a slow sender must not hold a handler.
pub const BODY_TIMEOUT_S: u64 = 30;

/// Longest request id taken over from a caller.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Characters of foreign input repeated in a problem document.
pub const ECHO_CHARS_MAX: usize = 80;

/// How long open requests may finish after the stop signal.
pub const DRAIN_S: u64 = 10;

/// Deepest nesting of JSON: serde_json's own limit, which keeps a body from using up the stack.
pub const JSON_DEPTH_MAX: usize = 128;
