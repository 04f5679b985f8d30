//! Work after the response: what is refreshed, forwarded and reported, while no reader waits.

use crate::memory::Place;

/// One piece of work that must not make a reader wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferred {
    /// Read a value again that is older than its soft time to live.
    Refresh(Place),
    /// Keep a value in the edge cache as the last good one: URL and bytes.
    Keep(String, Vec<u8>),
    /// Send what waits in the retry queue to the origin.
    Flush,
    /// Send the served records that wait.
    Served,
    /// Tell the origin which revisions this edge serves.
    Heartbeat,
}
