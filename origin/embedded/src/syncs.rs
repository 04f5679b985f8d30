//! One sync for many: whoever waits for the disk while it is busy shares the next turn.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub(crate) struct Syncs {
    turns: Mutex<Turns>,
    ended: Condvar,
}

#[derive(Default)]
struct Turns {
    /// Calls so far; each stands for what was written before it.
    asked: u64,
    /// Calls of which everything is on disk.
    served: u64,
    running: bool,
}

impl Syncs {
    /// Returns once a `sync` that began after this call has ended well. Blocks.
    pub fn share<E>(&self, sync: impl Fn() -> Result<(), E>) -> Result<(), E> {
        let mut turns = self.lock();
        turns.asked += 1;
        let mine = turns.asked;
        loop {
            if turns.served >= mine {
                return Ok(());
            }
            if turns.running {
                turns = self
                    .ended
                    .wait(turns)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turns.running = true;
            let serves = turns.asked;
            drop(turns);
            let done = sync();
            turns = self.lock();
            turns.running = false;
            if done.is_ok() {
                turns.served = serves;
            }
            self.ended.notify_all();
            // Those who waited for a turn that failed try one of their own, and learn the cause from it.
            done?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        // Three numbers, each right by itself: a panicking holder leaves them usable.
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    #[test]
    fn callers_share_syncs_and_each_gets_one_that_began_after_its_write() {
        let (syncs, written, calls) = (Syncs::default(), AtomicU64::new(0), AtomicU64::new(0));
        let on_disk = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let mine = written.fetch_add(1, Ordering::SeqCst) + 1;
                        let sync = || {
                            calls.fetch_add(1, Ordering::SeqCst);
                            let upto = written.load(Ordering::SeqCst);
                            std::thread::sleep(Duration::from_millis(1));
                            on_disk.fetch_max(upto, Ordering::SeqCst);
                            Ok::<(), ()>(())
                        };
                        syncs.share(sync).unwrap();
                        assert!(on_disk.load(Ordering::SeqCst) >= mine);
                    }
                });
            }
        });
        let calls = calls.load(Ordering::SeqCst);
        assert!(calls < 320, "{calls} syncs for 320 writes");
    }

    #[test]
    fn a_failed_sync_serves_nobody() {
        let syncs = Syncs::default();
        assert_eq!(syncs.share(|| Err("disk")), Err("disk"));
        assert_eq!(syncs.share(|| Ok::<(), &str>(())), Ok(()));
        assert_eq!(syncs.share(|| Err("again")), Err("again"));
    }
}
