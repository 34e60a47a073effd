//! A queue that waits for each kernel and notes how long it took: where the
//! time goes, a few microseconds a launch too high.

#![allow(unsafe_code, reason = "copies are handed on with their promises")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{CudaError, Launch, Queue, Recorded};

/// Launches and their time, by kernel and grid: layers of one kernel are told
/// apart by their blocks.
pub type Times = BTreeMap<(&'static str, [u32; 3]), (usize, Duration)>;

/// Another queue, with a clock.
pub struct Timed {
    queue: Arc<dyn Queue>,
    times: Mutex<Times>,
}

impl Timed {
    /// Hands everything on to `queue`.
    pub fn new(queue: &Arc<dyn Queue>) -> Self {
        Self { queue: Arc::clone(queue), times: Mutex::default() }
    }

    /// What was noted so far.
    pub fn times(&self) -> Times {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Queue for Timed {
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        self.queue.allocate(bytes)
    }

    fn free(&self, address: u64) {
        self.queue.free(address);
    }

    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError> {
        self.queue.allocate_host(bytes)
    }

    fn free_host(&self, address: *mut u8) {
        self.queue.free_host(address);
    }

    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { self.queue.upload(to, from, bytes) }
    }

    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe { self.queue.download(to, from, bytes) }
    }

    fn fill(&self, at: u64, bytes: usize, value: u8) -> Result<(), CudaError> {
        self.queue.fill(at, bytes, value)
    }

    fn launch(&self, launch: &Launch, arguments: &[u64]) -> Result<(), CudaError> {
        let took = self.queue.time(&mut || self.queue.launch(launch, arguments))?;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, time) = times.entry((launch.kernel, launch.grid)).or_default();
        *count += 1;
        *time += took;
        Ok(())
    }

    fn finish(&self) -> Result<(), CudaError> {
        self.queue.finish()
    }

    fn record(
        &self,
        _work: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError> {
        // Recorded launches cannot be told apart.
        Ok(None)
    }
}
