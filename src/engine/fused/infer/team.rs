//! Threads that stay awake while they share the layers of an image.
//!
//! A layer of one image is some tens of microseconds of work for a thread, and
//! rayon's idle threads go to sleep sooner than the next one begins: waking
//! them costs as much as they then do. So for the time of a forward pass the
//! pool's other threads look for work without a pause, and give the processor
//! away where another program wants it.
//!
//! Invariant: a thread that is in a forward pass never attends to another one.
//! It would come back when that one is done, and that one may wait for it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

thread_local! {
    /// Whether this thread is in a forward pass, or attends to one.
    static ENGAGED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, whose pieces go to the current rayon pool, with all threads of
/// the pool awake.
pub(super) fn awake<R>(work: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        // On each thread of the pool, when it is free; on this one it has
        // nothing left to do by then.
        scope.spawn_broadcast(|_, _| attend(&done));
        let _work = Work { done: &done, before: ENGAGED.replace(true) };
        work()
    })
}

/// Does what there is to do in the pool until `done`.
fn attend(done: &AtomicBool) {
    if ENGAGED.replace(true) {
        return;
    }
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(Yield::Executed) {
            std::thread::yield_now();
        }
    }
    ENGAGED.set(false);
}

/// Ends the attendance, also where the work panics.
struct Work<'a> {
    done: &'a AtomicBool,
    /// What [`ENGAGED`] was.
    before: bool,
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        ENGAGED.set(self.before);
        self.done.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    /// Halves work as a layer does; returns how much there was.
    fn layer(units: usize) -> usize {
        if units == 1 {
            return std::hint::black_box(units);
        }
        let (a, b) = rayon::join(|| layer(units / 2), || layer(units - units / 2));
        a + b
    }

    #[test]
    fn passes_from_many_threads_at_once_wait_for_nobody_forever() {
        let pool = pool(3);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        assert_eq!(pool.install(|| awake(|| layer(9))), 9);
                    }
                });
            }
        });
        // From outside of the pool, and one inside the other.
        assert_eq!(awake(|| layer(9)), 9);
        let nested = || awake(|| rayon::join(|| awake(|| layer(5)), || awake(|| layer(7))));
        assert_eq!(pool.install(nested), (5, 7));
    }

    #[test]
    fn a_panic_ends_the_attendance() {
        let pool = pool(2);
        let broken = || pool.install(|| awake(|| panic!("out of luck")));
        assert!(catch_unwind(AssertUnwindSafe(broken)).is_err());
        assert_eq!(pool.install(|| awake(|| layer(9))), 9);
        let engaged = pool.broadcast(|_| ENGAGED.get());
        assert_eq!(engaged, [false, false]);
    }
}
