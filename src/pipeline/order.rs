//! Rows leave in input order, whatever the number of workers.
//!
//! The source numbers its items ([`Sequenced`]); a [`Resequencer`] puts them
//! back in order. One slow item would let it pile up everything that
//! overtakes, so a [`Window`] bounds the items in flight: the source takes a
//! place for each, and the place is free again when the item has left in
//! order.
//!
//! No deadlock: the oldest item in flight never waits for a younger one, so
//! it always reaches the resequencer and frees its place. A stage that
//! collects `n` items before it goes on needs a window of at least `n`.

use std::{collections::VecDeque, time::Instant};

use crossbeam_channel::{Receiver, Sender, select_biased};

use super::{
    link::{Outlet, Stopped},
    meter::Weigh,
};

/// An item with its place in the order of the source.
#[derive(Debug, Clone)]
pub struct Sequenced<T> {
    /// 0, 1, 2, … in the order in which items must leave.
    pub sequence: u64,
    /// The item.
    pub item: T,
}

impl<T> Sequenced<T> {
    /// The same place for what became of the item.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Sequenced<U> {
        Sequenced { sequence: self.sequence, item: f(self.item) }
    }
}

impl<T: Weigh> Weigh for Sequenced<T> {
    fn weight(&self) -> usize {
        self.item.weight()
    }
}

/// Places for items in flight. Clones share the places.
#[derive(Debug, Clone)]
pub struct Window {
    // A channel of units: a send that blocks when all places are taken can
    // then be woken by a stop like any other send.
    take: Sender<()>,
    free: Receiver<()>,
}

impl Window {
    /// A window of `places` items, at least one.
    pub fn new(places: usize) -> Self {
        let (take, free) = crossbeam_channel::bounded(places.max(1));
        Self { take, free }
    }

    /// Takes a place, waiting until one is free. The wait is booked on the
    /// stage of `outlet` as waiting for what comes after.
    ///
    /// # Errors
    /// [`Stopped`] when the run ends first.
    pub fn enter<T: Weigh>(&self, outlet: &Outlet<T>) -> Result<(), Stopped> {
        if self.take.try_send(()).is_ok() {
            return Ok(());
        }
        let began = Instant::now();
        let result = select_biased! {
            recv(outlet.stop().channel()) -> _ => Err(Stopped),
            send(self.take, ()) -> sent => sent.map_err(|_| Stopped),
        };
        outlet.blocked_out(began.elapsed());
        result
    }

    /// Frees the places of `count` items that have left in order.
    pub fn leave(&self, count: usize) {
        for _ in 0..count {
            let taken = self.free.try_recv();
            debug_assert!(taken.is_ok(), "an item left that never entered");
        }
    }
}

/// Puts items back in the order of their sequence numbers.
#[derive(Debug)]
pub struct Resequencer<T> {
    next: u64,
    // Slot `i` waits for sequence number `next + i`.
    waiting: VecDeque<Option<T>>,
}

impl<T> Default for Resequencer<T> {
    fn default() -> Self {
        Self { next: 0, waiting: VecDeque::new() }
    }
}

impl<T> Resequencer<T> {
    /// Expects sequence number 0 first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an item in; [`pop`](Self::pop) gives out what has come in order.
    ///
    /// # Panics
    /// If a number comes twice: the source numbered wrongly.
    pub fn push(&mut self, item: Sequenced<T>) {
        let ahead = item.sequence.checked_sub(self.next).expect("a number that already left");
        let slot = usize::try_from(ahead).expect("the window bounds how far items run ahead");
        if slot >= self.waiting.len() {
            self.waiting.resize_with(slot + 1, || None);
        }
        assert!(self.waiting[slot].is_none(), "sequence number {} came twice", item.sequence);
        self.waiting[slot] = Some(item.item);
    }

    /// The next item in order, if it has come.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.next += 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_leave_in_order_and_only_once_those_before_have() {
        let mut resequencer = Resequencer::new();
        for sequence in [2, 0, 3] {
            resequencer.push(Sequenced { sequence, item: sequence * 10 });
        }
        assert_eq!(resequencer.pop(), Some(0));
        assert_eq!(resequencer.pop(), None);
        resequencer.push(Sequenced { sequence: 1, item: 10 });
        assert_eq!(std::iter::from_fn(|| resequencer.pop()).collect::<Vec<_>>(), [10, 20, 30]);
    }

    #[test]
    #[should_panic(expected = "came twice")]
    fn a_number_that_comes_twice_is_a_bug() {
        let mut resequencer = Resequencer::new();
        resequencer.push(Sequenced { sequence: 1, item: () });
        resequencer.push(Sequenced { sequence: 1, item: () });
    }
}
