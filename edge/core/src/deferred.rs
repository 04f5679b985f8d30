//! Work after the response: refreshing what is in memory, forwarding events, reporting what was served.

/// One piece of work that must not make a reader wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deferred {
    /// Read a value again that is older than its soft time to live.
    Revalidate(String),
    /// Send what waits in the retry queue to the origin.
    Flush,
    /// Send the served records that wait.
    Served,
    /// Tell the origin which revisions this edge serves.
    Heartbeat,
    /// Put a shared feed into the edge cache as the last good one: URL and body.
    Keep(String, Vec<u8>),
}
