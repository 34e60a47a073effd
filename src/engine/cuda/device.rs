//! What kernels are launched on, and memory there.
//!
//! A [`Queue`] does what it is told in order and without being waited for;
//! [`Queue::finish`] waits. [`Buffer`]s belong to a queue and are given back
//! when dropped. Nothing here knows of networks.

#![allow(unsafe_code, reason = "pinned memory is handed out as slices")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::CudaError;

/// One kernel over its grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Its name in the sources.
    pub kernel: &'static str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads a block.
    pub block: [u32; 3],
    /// Bytes of shared memory beyond what the kernel declares.
    pub shared: usize,
}

/// Launches that were recorded to be repeated.
pub trait Recorded: Send + Sync {
    /// Does them again, in the order of the queue that recorded them.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    fn repeat(&self) -> Result<(), CudaError>;
}

/// Memory and work on a device, in order.
///
/// Addresses are the device's; a caller passes only those of `Buffer`s of the
/// same device that are large enough for what the kernel does.
pub trait Queue: Send + Sync {
    /// Takes memory.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`].
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError>;

    /// Gives memory back once the work so far is done.
    fn free(&self, address: u64);

    /// Takes host memory that the device copies from and to by itself.
    ///
    /// # Errors
    /// [`CudaError::OutOfMemory`].
    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError>;

    /// Gives host memory back.
    fn free_host(&self, address: *mut u8);

    /// Copies to the device.
    ///
    /// # Safety
    /// `from` stays as it is until the work so far is done, and `bytes` may be
    /// read there and written at `to`.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError>;

    /// Copies from the device.
    ///
    /// # Safety
    /// As [`Queue::upload`]; nothing looks at `to` before the work is done.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError>;

    /// Sets bytes to a value.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    fn fill(&self, at: u64, bytes: usize, value: u8) -> Result<(), CudaError>;

    /// Runs a kernel with arguments of 4 or 8 bytes, each at the start of its
    /// word.
    ///
    /// # Errors
    /// [`CudaError::NoKernel`], [`CudaError::Lost`], [`CudaError::Driver`].
    fn launch(&self, launch: &Launch, arguments: &[u64]) -> Result<(), CudaError>;

    /// Waits until all work so far is done.
    ///
    /// # Errors
    /// What went wrong meanwhile.
    fn finish(&self) -> Result<(), CudaError>;

    /// Waits for the work so far, and takes the time of what `work` launches.
    ///
    /// # Errors
    /// What `work` returns, and what went wrong meanwhile.
    fn time(&self, work: &mut dyn FnMut() -> Result<(), CudaError>) -> Result<Duration, CudaError> {
        by_the_clock(self, work)
    }

    /// Records what `work` launches, without running it; `None` where the
    /// device cannot.
    ///
    /// # Errors
    /// What `work` returns, and [`CudaError::Driver`].
    fn record(
        &self,
        work: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError>;
}

/// How long it takes on the host until `work` is done.
pub fn by_the_clock<Q: Queue + ?Sized>(
    queue: &Q,
    work: &mut dyn FnMut() -> Result<(), CudaError>,
) -> Result<Duration, CudaError> {
    queue.finish()?;
    let began = Instant::now();
    work()?;
    queue.finish()?;
    Ok(began.elapsed())
}

/// Memory of a device.
pub struct Buffer {
    queue: Arc<dyn Queue>,
    address: u64,
    bytes: usize,
}

impl Buffer {
    /// Memory with any content. Empty buffers are of one byte.
    pub fn new(queue: &Arc<dyn Queue>, bytes: usize) -> Result<Self, CudaError> {
        let bytes = bytes.max(1);
        let address = queue.allocate(bytes)?;
        Ok(Self { queue: Arc::clone(queue), address, bytes })
    }

    /// Memory of zeros.
    pub fn zeros(queue: &Arc<dyn Queue>, bytes: usize) -> Result<Self, CudaError> {
        let buffer = Self::new(queue, bytes)?;
        queue.fill(buffer.address, buffer.bytes, 0)?;
        Ok(buffer)
    }

    /// A copy of `values`, which are there when this returns.
    pub fn of(queue: &Arc<dyn Queue>, values: &[u8]) -> Result<Self, CudaError> {
        let buffer = Self::new(queue, values.len())?;
        buffer.write(values)?;
        Ok(buffer)
    }

    /// A copy of floats.
    pub fn of_floats(queue: &Arc<dyn Queue>, values: &[f32]) -> Result<Self, CudaError> {
        Self::of(queue, &bytes_of(values))
    }

    /// Where it is.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// What lies so many floats behind its start, as an argument.
    pub fn at(&self, floats: usize) -> Argument {
        assert!(4 * floats < self.bytes, "a place in a buffer of {} bytes", self.bytes);
        Argument(self.address + 4 * floats as u64)
    }

    /// Copies to it and waits.
    pub fn write(&self, values: &[u8]) -> Result<(), CudaError> {
        assert!(values.len() <= self.bytes, "a buffer of {} bytes", self.bytes);
        // SAFETY: `values` outlives the wait below, and fits.
        unsafe { self.queue.upload(self.address, values.as_ptr(), values.len())? };
        self.queue.finish()
    }

    /// The first `count` floats, after waiting for the work so far.
    pub fn floats(&self, count: usize) -> Result<Vec<f32>, CudaError> {
        let bytes = self.read(4 * count)?;
        let (words, _) = bytes.as_chunks::<4>();
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }

    /// The first bytes, after waiting for the work so far.
    pub fn read(&self, bytes: usize) -> Result<Vec<u8>, CudaError> {
        assert!(bytes <= self.bytes, "a buffer of {} bytes", self.bytes);
        let mut values = vec![0; bytes];
        // SAFETY: `values` outlives the wait below, and is as large.
        unsafe { self.queue.download(values.as_mut_ptr(), self.address, bytes)? };
        self.queue.finish()?;
        Ok(values)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.queue.free(self.address);
    }
}

/// Floats as the device holds them.
pub fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Host memory that the device copies from and to by itself.
///
/// Invariant: while a copy may be under way nothing here reads or writes the
/// memory, or gives it back; whoever wants it waits first.
pub struct Pinned {
    queue: Arc<dyn Queue>,
    address: *mut u8,
    bytes: usize,
    /// Whether a copy was begun that was not waited for here.
    busy: bool,
}

// SAFETY: it is plain memory of its own.
unsafe impl Send for Pinned {}

impl Pinned {
    /// Memory of zeros.
    pub fn new(queue: &Arc<dyn Queue>, bytes: usize) -> Result<Self, CudaError> {
        let address = queue.allocate_host(bytes.max(1))?;
        // SAFETY: so many bytes were allocated there.
        unsafe { address.write_bytes(0, bytes) };
        Ok(Self { queue: Arc::clone(queue), address, bytes, busy: false })
    }

    /// Waits for copies that were begun. A queue that has nothing to do
    /// returns at once.
    fn settle(&mut self) -> Result<(), CudaError> {
        if self.busy {
            self.queue.finish()?;
            self.busy = false;
        }
        Ok(())
    }

    /// Its bytes, once copies to it are done.
    pub fn as_slice(&mut self) -> Result<&[u8], CudaError> {
        self.settle()?;
        // SAFETY: so many bytes were allocated and set, and no copy is under way.
        Ok(unsafe { std::slice::from_raw_parts(self.address, self.bytes) })
    }

    /// Its bytes, to be changed, once copies from it are done.
    pub fn as_mut_slice(&mut self) -> Result<&mut [u8], CudaError> {
        self.settle()?;
        // SAFETY: as above, and borrowed uniquely.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.address, self.bytes) })
    }

    /// Copies the first bytes to a buffer of the queue, by the time that the
    /// queue's work is done.
    pub fn upload(&mut self, to: &Buffer, bytes: usize) -> Result<(), CudaError> {
        assert!(bytes <= self.bytes && bytes <= to.bytes, "room for {bytes} bytes");
        self.busy = true;
        // SAFETY: both are as large; `busy` keeps the memory as it is until the work is done.
        unsafe { self.queue.upload(to.address, self.address, bytes) }
    }

    /// Copies the first bytes of a buffer here, by the time that the queue's
    /// work is done.
    pub fn download(&mut self, from: &Buffer, bytes: usize) -> Result<(), CudaError> {
        assert!(bytes <= self.bytes && bytes <= from.bytes, "room for {bytes} bytes");
        self.busy = true;
        // SAFETY: both are as large; `busy` keeps all from the memory until the work is done.
        unsafe { self.queue.download(self.address, from.address, bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // A device that is gone copies nothing any more.
        let _ = self.settle();
        self.queue.free_host(self.address);
    }
}

/// An argument of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Argument(u64);

impl Argument {
    /// No buffer.
    pub const NULL: Self = Self(0);
}

impl From<&Self> for Argument {
    fn from(argument: &Self) -> Self {
        *argument
    }
}

impl From<&Buffer> for Argument {
    fn from(buffer: &Buffer) -> Self {
        Self(buffer.address)
    }
}

impl From<Option<&Buffer>> for Argument {
    fn from(buffer: Option<&Buffer>) -> Self {
        Self(buffer.map_or(0, |buffer| buffer.address))
    }
}

impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        let value = i32::try_from(value).expect("sizes of layers are below 2³¹");
        Self(u64::from(value as u32))
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Self(u64::from(value))
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self(u64::from(value.to_bits()))
    }
}

/// Launches with arguments of any kind.
pub fn launch<const N: usize>(
    queue: &dyn Queue,
    launch: Launch,
    arguments: [Argument; N],
) -> Result<(), CudaError> {
    queue.launch(&launch, &arguments.map(|argument| argument.0))
}

/// `launch(queue, …)` with each argument converted.
macro_rules! run {
    ($queue:expr, $launch:expr, $($argument:expr),+ $(,)?) => {
        $crate::engine::cuda::device::launch(
            $queue, $launch, [$($crate::engine::cuda::device::Argument::from($argument)),+],
        )
    };
}
pub(crate) use run;

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
