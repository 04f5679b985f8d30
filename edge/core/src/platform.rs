//! The port to the world: everything a request needs that is not a pure function.
//!
//! Generic and never `dyn`: a native adapter's futures are `Send` because the compiler sees the concrete type,
//! while those of a single-threaded runtime need not be.

use core::fmt;
use core::future::{Future, poll_fn, ready};
use core::pin::pin;
use core::task::Poll;
use thiserror::Error;

/// Why a store, a cache or the origin gave no answer. Never the reader's problem: the edge steps down a rung.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// No answer within the deadline.
    #[error("no answer within {0} ms")]
    Deadline(u32),
    /// The platform has no such store (a cache, for example).
    #[error("the platform has no {0}")]
    Absent(&'static str),
    /// It answered with an error, or not at all.
    #[error("{0}")]
    Failed(String),
}

/// What the origin answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginReply {
    /// HTTP status.
    pub status: u16,
    /// Body, may be cut by the adapter.
    pub body: Vec<u8>,
}

impl OriginReply {
    /// Whether the origin took it.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// News.
    Info,
    /// Something was stepped around.
    Warn,
    /// Something is wrong and needs a person.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        })
    }
}

/// What an adapter provides. No method may panic; the core adds every deadline itself.
pub trait Platform {
    /// Reads a value of the key-value store; `None` = no such key.
    fn kv_get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>>;

    /// Whether there is a shared cache at all; without one the core makes no copies for it.
    fn caches(&self) -> bool {
        true
    }

    /// Whether the edge's memory outlives a request by minutes. Where it does not, events are never acknowledged on the
    /// promise of a retry.
    fn keeps_memory(&self) -> bool {
        true
    }

    /// Reads a body from the shared cache of the point of presence. `url` is absolute and never a reader's.
    /// A platform without one answers [`StoreError::Absent`].
    fn cache_get(&self, url: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>>;

    /// Stores a body in that cache for `ttl_s` seconds.
    fn cache_put(
        &self,
        url: &str,
        body: Vec<u8>,
        ttl_s: u32,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// Posts to the origin; `path` starts with `/`. The adapter knows the origin's address and follows no redirect.
    fn origin_post(
        &self,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        headers: &[(&str, &str)],
    ) -> impl Future<Output = Result<OriginReply, StoreError>>;

    /// Whether somebody beside this edge takes served records and sends those of many edges together
    /// ([`Platform::hand_over`]): where instances are many and short-lived, each would post nearly every record alone.
    fn collects(&self) -> bool {
        false
    }

    /// Hands a served record over; whoever takes it answers for it as this edge would.
    fn hand_over(&self, _record: &[u8]) -> impl Future<Output = Result<(), StoreError>> {
        ready(Err(StoreError::Absent("collector of served records")))
    }

    /// Waits.
    fn sleep(&self, ms: u32) -> impl Future<Output = ()>;

    /// Milliseconds since the epoch.
    fn now_ms(&self) -> i64;

    /// Microseconds of a clock for `Server-Timing`; where the platform hides it (Workers), a constant.
    fn elapsed_us(&self) -> u64;

    /// Fills `out` with cryptographically secure random bytes.
    ///
    /// # Errors
    /// When there is no randomness; then no token is minted.
    fn random(&self, out: &mut [u8]) -> Result<(), StoreError>;

    /// Writes one log line. The core never passes personal data.
    fn log(&self, level: Level, message: &str);

    /// Name of this edge in served records and receipts: stable, for example the data centre's code.
    fn edge_id(&self) -> &str;
}

/// Runs `work`, but no longer than `ms`.
///
/// # Errors
/// [`StoreError::Deadline`] when the time is over first; the work is dropped.
pub async fn within<P: Platform, T>(
    platform: &P,
    ms: u32,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut work = pin!(work);
    let mut timer = pin!(platform.sleep(ms));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(StoreError::Deadline(ms))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs two futures at once, on one task.
pub(crate) async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut done_a, mut done_b) = (None, None);
    poll_fn(move |cx| {
        if done_a.is_none()
            && let Poll::Ready(v) = a.as_mut().poll(cx)
        {
            done_a = Some(v);
        }
        if done_b.is_none()
            && let Poll::Ready(v) = b.as_mut().poll(cx)
        {
            done_b = Some(v);
        }
        match (done_a.take(), done_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (done_a, done_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}
