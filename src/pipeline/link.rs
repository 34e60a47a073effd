//! Bounded channels between stages whose blocking ends when a run is stopped,
//! and whose waiting is measured.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, select_biased};

use super::{
    meter::{Meter, Weigh},
    stop::Stop,
};

/// The run is being stopped, or the other side has left: go home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the run is being stopped")]
pub struct Stopped;

/// Where a stage puts what it made.
pub struct Outlet<T> {
    sender: Sender<T>,
    stop: Stop,
    meter: Arc<Meter>,
}

impl<T: Weigh> Outlet<T> {
    pub(super) fn new(sender: Sender<T>, stop: Stop, meter: Arc<Meter>) -> Self {
        Self { sender, stop, meter }
    }

    /// Hands `item` to the next stage; blocks while its channel is full.
    ///
    /// # Errors
    /// [`Stopped`] when the run ends; the item is then dropped.
    pub fn send(&self, item: T) -> Result<(), Stopped> {
        self.meter.sent(item.weight());
        // Nearly every send finds room: the clock is read only when not.
        let item = match self.sender.try_send(item) {
            Ok(()) => return Ok(()),
            Err(crossbeam_channel::TrySendError::Disconnected(_)) => return Err(Stopped),
            Err(crossbeam_channel::TrySendError::Full(item)) => item,
        };
        let began = Instant::now();
        let result = select_biased! {
            recv(self.stop.channel()) -> _ => Err(Stopped),
            send(self.sender, item) -> sent => sent.map_err(|_| Stopped),
        };
        self.meter.blocked_out(began.elapsed());
        result
    }

    pub(super) fn blocked_out(&self, time: Duration) {
        self.meter.blocked_out(time);
    }

    /// The run's stop, for stages that wait for something of their own.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }
}

/// Takes the next item, or `None` when the stage before has ended or the run
/// is stopped.
pub(super) fn receive<T>(receiver: &Receiver<T>, stop: &Stop, meter: &Meter) -> Option<T> {
    if stop.requested() {
        return None;
    }
    match receiver.try_recv() {
        Ok(item) => return Some(item),
        Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
        Err(crossbeam_channel::TryRecvError::Empty) => {}
    }
    let began = Instant::now();
    let item = select_biased! {
        recv(stop.channel()) -> _ => None,
        recv(receiver) -> item => item.ok(),
    };
    meter.blocked_in(began.elapsed());
    item
}
