//! How much CPU a request has burnt, in epoch ticks.
//!
//! The engine calls back when guest code runs into a new epoch. A guest that ran all the time since
//! it was last resumed meets exactly the next epoch; one that waited for the network meets a later
//! one, and that wait is not its CPU. Never looks at a wall clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::limits::{CPU_TICKS_MAX, SUSPENSIONS_FORGIVEN};

/// The number of epochs since the engine started, shared by the ticker and every store.
pub type Epochs = Arc<AtomicU64>;

/// Why a request ended, written by its worker and read by whoever waits for the answer.
#[derive(Debug, Default)]
pub struct Verdict {
    out_of_cpu: AtomicBool,
}

impl Verdict {
    /// Whether the guest was stopped because it used up its CPU.
    pub fn is_out_of_cpu(&self) -> bool {
        self.out_of_cpu.load(Ordering::Acquire)
    }
}

/// The meter of one store.
#[derive(Debug)]
pub struct Meter {
    epochs: Epochs,
    resumed_at: Arc<AtomicU64>,
    ticks: u32,
    forgiven: u32,
    verdict: Arc<Verdict>,
}

impl Meter {
    /// A meter that counts nothing yet.
    pub fn new(epochs: Epochs) -> Self {
        let resumed_at = Arc::new(AtomicU64::new(epochs.load(Ordering::Relaxed)));
        Self {
            epochs,
            resumed_at,
            ticks: 0,
            forgiven: 0,
            verdict: Arc::default(),
        }
    }

    /// A new request starts with a full budget; `verdict` is told if it runs out.
    pub fn start(&mut self, verdict: Arc<Verdict>) {
        self.ticks = 0;
        self.forgiven = 0;
        self.verdict = verdict;
        self.note_resumed();
    }

    /// Counts one interruption. True while the guest may go on.
    pub fn may_go_on(&mut self) -> bool {
        let missed = self.epochs.load(Ordering::Relaxed) - self.resumed_at.load(Ordering::Relaxed);
        // Two, since the ticker may strike between the resumption and its note.
        if missed > 2 && self.forgiven < SUSPENSIONS_FORGIVEN {
            self.forgiven += 1;
            return true;
        }
        self.ticks += 1;
        if self.ticks < CPU_TICKS_MAX {
            return true;
        }
        self.verdict.out_of_cpu.store(true, Ordering::Release);
        false
    }

    /// A future that yields to the neighbours once, and notes when the guest goes on.
    pub fn yield_once(&self) -> impl Future<Output = ()> + Send + 'static {
        let (epochs, resumed_at) = (self.epochs.clone(), self.resumed_at.clone());
        async move {
            tokio::task::yield_now().await;
            resumed_at.store(epochs.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn note_resumed(&self) {
        self.resumed_at
            .store(self.epochs.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> (Epochs, Meter, Arc<Verdict>) {
        let epochs = Epochs::default();
        let mut meter = Meter::new(epochs.clone());
        let verdict = Arc::new(Verdict::default());
        meter.start(verdict.clone());
        (epochs, meter, verdict)
    }

    #[test]
    fn a_guest_that_never_rests_is_stopped_after_its_ticks() {
        let (epochs, mut meter, verdict) = meter();
        let mut rounds = 0;
        loop {
            epochs.fetch_add(1, Ordering::Relaxed);
            rounds += 1;
            if !meter.may_go_on() {
                break;
            }
            meter.note_resumed();
        }
        assert_eq!(rounds, CPU_TICKS_MAX);
        assert!(verdict.is_out_of_cpu());
    }

    #[test]
    fn waiting_for_a_slow_store_is_not_cpu() {
        let (epochs, mut meter, verdict) = meter();
        for _ in 0..SUSPENSIONS_FORGIVEN {
            epochs.fetch_add(50, Ordering::Relaxed);
            assert!(meter.may_go_on());
            meter.note_resumed();
        }
        assert!(!verdict.is_out_of_cpu());
    }

    #[test]
    fn forgiveness_ends() {
        let (epochs, mut meter, _) = meter();
        let mut rounds = 0;
        while {
            epochs.fetch_add(50, Ordering::Relaxed);
            rounds += 1;
            meter.may_go_on()
        } {
            meter.note_resumed();
        }
        assert_eq!(rounds, SUSPENSIONS_FORGIVEN + CPU_TICKS_MAX);
    }

    #[test]
    fn the_next_request_starts_afresh() {
        let (epochs, mut meter, _) = meter();
        while meter.may_go_on() {
            epochs.fetch_add(1, Ordering::Relaxed);
            meter.note_resumed();
        }
        let verdict = Arc::new(Verdict::default());
        meter.start(verdict.clone());
        epochs.fetch_add(1, Ordering::Relaxed);
        assert!(meter.may_go_on());
        assert!(!verdict.is_out_of_cpu());
    }
}
