//! Time for the simulation: real, faster than real, or set by a test.

use mediaflow_shared::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Says what time it is in the simulated world. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The machine's clock.
    #[must_use]
    pub fn real() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        }))
    }

    /// Starts at `start` now and runs `speed` times as fast as the machine's clock.
    #[must_use]
    pub fn running(start: Timestamp, speed: f64) -> Self {
        let begun = Instant::now();
        Self(Arc::new(move || {
            let ms = begun.elapsed().as_secs_f64() * 1000.0 * speed;
            Timestamp(start.0.saturating_add(ms as i64))
        }))
    }

    /// Shows what the returned handle was last set to (milliseconds since the epoch).
    #[must_use]
    pub fn by_hand(start: Timestamp) -> (Self, Arc<AtomicI64>) {
        let hand = Arc::new(AtomicI64::new(start.0));
        let face = Arc::clone(&hand);
        (
            Self(Arc::new(move || Timestamp(face.load(Ordering::SeqCst)))),
            hand,
        )
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}
