//! Every limit of the edge, each with its reason.

/// Bytes of a request body at most: 200 events of a rich client fit twice.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Events in one batch at most: what a page view produces, not a dump.
pub const EVENTS_MAX: usize = 200;
