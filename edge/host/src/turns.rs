//! Who may enter: a request needs a permit of the [`Gate`], and an instance whose last answer has
//! left.
//!
//! The instance's task asks whether it is free, the connection's task ends turns; between them
//! stand one counter and one waker. Neither ever blocks the other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::cpu::Verdict;
use crate::limits::{ADMISSION_WAIT, WAITING_MAX};

/// The bound on requests inside guests; a bounded number may wait in front of it for a short time.
#[derive(Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Gate {
    /// Lets `in_flight` requests through at once.
    pub fn new(in_flight: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(in_flight)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// A permit, or `None` when too many wait already or the wait took too long.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = Waiting::begin(&self.waiting)?;
        let permit = timeout(ADMISSION_WAIT, self.permits.clone().acquire_owned()).await;
        permit.ok()?.ok()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::AcqRel) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a request takes into an instance.
pub struct Turn {
    taken_by: Arc<OnceLock<Arc<Turns>>>,
    verdict: Arc<Verdict>,
    permit: Arc<OwnedSemaphorePermit>,
}

/// What whoever waits for the answer keeps until the answer has left.
pub struct Awaited {
    taken_by: Arc<OnceLock<Arc<Turns>>>,
    verdict: Arc<Verdict>,
    _permit: Arc<OwnedSemaphorePermit>,
}

/// The two ends of one request.
pub fn turn(permit: OwnedSemaphorePermit) -> (Turn, Awaited) {
    let (taken_by, verdict, permit) = (Arc::default(), Arc::default(), Arc::new(permit));
    let turn = Turn {
        taken_by: Arc::clone(&taken_by),
        verdict: Arc::clone(&verdict),
        permit: Arc::clone(&permit),
    };
    let awaited = Awaited {
        taken_by,
        verdict,
        _permit: permit,
    };
    (turn, awaited)
}

impl Turn {
    /// The instance with these `turns` takes the request.
    pub fn enter(self, turns: &Arc<Turns>) -> (Arc<Verdict>, Arc<OwnedSemaphorePermit>) {
        turns.begin();
        // Taken already means: by nobody, since the reader hung up while it was queued.
        if self.taken_by.set(turns.clone()).is_err() {
            turns.end();
        }
        (self.verdict, self.permit)
    }
}

impl Awaited {
    /// How the guest fared.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        // If no instance has taken the request yet, leave a mark for the one that will.
        let was_taken = self.taken_by.get().is_some() || self.taken_by.set(Arc::default()).is_err();
        if was_taken && let Some(turns) = self.taken_by.get() {
            turns.end();
        }
    }
}

/// The turns of one instance.
#[derive(Debug, Default)]
pub struct Turns {
    open: AtomicUsize,
    refused: AtomicBool,
    // Held for the swap of a waker only.
    waker: Mutex<Option<Waker>>,
}

impl Turns {
    /// A request entered.
    pub fn begin(&self) {
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// Its answer has left, or will never come.
    pub fn end(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 && self.refused.load(Ordering::Acquire) {
            let waker = self
                .waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether no answer is on its way. A "no" is remembered: the task is woken when it changes.
    pub fn is_free(&self) -> bool {
        if self.open.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.refused.store(true, Ordering::Release);
        false
    }

    /// Arranges that the polling task is woken once a refused instance is free.
    pub fn wake_when_free(&self, cx: &Context<'_>) {
        if !self.refused.load(Ordering::Acquire) {
            return;
        }
        {
            let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if waker.as_ref().is_none_or(|old| !old.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        // The turn may have ended between the refusal and the registration.
        if self.open.load(Ordering::Acquire) == 0 {
            self.refused.store(false, Ordering::Release);
            cx.waker().wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use super::*;

    async fn ends() -> (Turn, Awaited) {
        turn(Gate::new(1).enter().await.unwrap())
    }

    #[tokio::test]
    async fn an_instance_is_free_again_when_the_answer_has_left() {
        let turns = Arc::new(Turns::default());
        let (turn, awaited) = ends().await;
        turn.enter(&turns);
        assert!(!turns.is_free());
        drop(awaited);
        assert!(turns.is_free());
    }

    #[tokio::test]
    async fn a_reader_who_hung_up_in_the_queue_does_not_block_the_instance() {
        let turns = Arc::new(Turns::default());
        let (turn, awaited) = ends().await;
        drop(awaited);
        turn.enter(&turns);
        assert!(turns.is_free());
    }

    #[tokio::test]
    async fn the_gate_refuses_when_nobody_leaves() {
        let gate = Gate::new(1);
        let permit = gate.enter().await.unwrap();
        assert!(gate.enter().await.is_none());
        drop(permit);
        assert!(gate.enter().await.is_some());
        assert_eq!(gate.waiting.load(Ordering::SeqCst), 0);
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_refused_task_is_woken_when_the_answer_has_left() {
        let (turns, woken) = (Turns::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        turns.begin();
        assert!(!turns.is_free());
        turns.wake_when_free(&Context::from_waker(&waker));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        turns.end();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert!(turns.is_free());
    }

    #[test]
    fn an_end_before_the_registration_is_not_missed() {
        let (turns, woken) = (Turns::default(), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        turns.begin();
        assert!(!turns.is_free());
        turns.end();
        turns.wake_when_free(&Context::from_waker(&waker));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }
}
