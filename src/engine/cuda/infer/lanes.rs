//! Batches under way at once on a device: each has memory and a queue of its
//! own, so that the copies of one run beside the launches of another.

use std::sync::{Condvar, Mutex, PoisonError};

use crate::engine::cuda::CudaError;

/// What batches need, lent to one at a time.
pub struct Lanes<L> {
    free: Mutex<Vec<L>>,
    returned: Condvar,
    count: usize,
    batch: usize,
}

impl<L> Lanes<L> {
    /// Makes `wanted` lanes for `batch` images each with `make`, which is told
    /// the number of the lane and the images. Where the memory does not
    /// suffice the batch is halved until it does, and then there is one lane.
    ///
    /// # Errors
    /// Those of `make`; [`CudaError::OutOfMemory`] if there is not even room
    /// for single images.
    pub fn make(
        batch: usize,
        wanted: usize,
        mut make: impl FnMut(usize, usize) -> Result<L, CudaError>,
    ) -> Result<Self, CudaError> {
        let (mut batch, mut wanted) = (batch.max(1), wanted.max(1));
        let free = loop {
            let made: Result<Vec<L>, CudaError> = (0..wanted).map(|i| make(i, batch)).collect();
            match made {
                Ok(lanes) => break lanes,
                Err(error) if error.is_out_of_memory() && batch > 1 => batch = batch.div_ceil(2),
                Err(error) if error.is_out_of_memory() && wanted > 1 => wanted = 1,
                Err(error) => return Err(error),
            }
        };
        Ok(Self { count: free.len(), free: Mutex::new(free), returned: Condvar::new(), batch })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Images that each takes at once.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Lends one for the time of `work`; threads that find all taken wait.
    pub fn with<R>(&self, work: impl FnOnce(&mut L) -> R) -> R {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lane = loop {
            match free.pop() {
                Some(lane) => break lane,
                None => free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(free);
        let result = work(&mut lane);
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
        self.returned.notify_one();
        result
    }
}
