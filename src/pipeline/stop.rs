//! How a run ends early: one flag that also wakes whoever blocks.

use std::sync::{
    Arc, Mutex, OnceLock,
    atomic::{AtomicI32, Ordering},
};

use crossbeam_channel::{Receiver, Sender};

/// Shared by all workers of a run and by whoever may end it.
///
/// Stopping is asked for once and never taken back. Workers finish the item
/// in hand and leave; blocked sends and receives wake at once.
#[derive(Debug, Clone)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Dropped to stop: every clone of `closed` then turns ready.
    open: Mutex<Option<Sender<()>>>,
    closed: Receiver<()>,
    requested: OnceLock<()>,
    signal: AtomicI32,
}

impl Default for Stop {
    fn default() -> Self {
        let (open, closed) = crossbeam_channel::bounded(0);
        Self {
            inner: Arc::new(Inner {
                open: Mutex::new(Some(open)),
                closed,
                requested: OnceLock::new(),
                signal: AtomicI32::new(0),
            }),
        }
    }
}

impl Stop {
    /// A run that nobody has asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everyone to stop.
    pub fn request(&self) {
        let _ = self.inner.requested.set(());
        // A poisoned lock still holds a sender that can be dropped.
        self.inner.open.lock().unwrap_or_else(|e| e.into_inner()).take();
    }

    /// Asks everyone to stop because of a signal. The first one is kept.
    pub fn interrupt(&self, signal: i32) {
        let _ = self.inner.signal.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
        self.request();
    }

    /// Whether somebody asked.
    pub fn requested(&self) -> bool {
        self.inner.requested.get().is_some()
    }

    /// The signal that stopped the run, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.inner.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal),
        }
    }

    /// A channel that turns ready when somebody asks.
    pub(super) fn channel(&self) -> &Receiver<()> {
        &self.inner.closed
    }
}
