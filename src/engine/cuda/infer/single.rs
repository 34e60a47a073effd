//! One network on a device by itself: what benchmarks time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::forward::{Batch, Network, Workspace};
use crate::engine::Normalisation;
use crate::engine::cuda::{CudaError, GpuPrecision, Queue, Recorded, device::Buffer};
use crate::model::{architecture::Architecture, weights::Weights};

/// A network with memory for one batch, whose pixels stay on the device.
pub struct Single {
    // Before the memory that it works on, so that it is dropped first.
    recorded: Option<Box<dyn Recorded>>,
    network: Network,
    workspace: Workspace,
    pixels: Buffer,
    images: Buffer,
    logits: Buffer,
    queue: Arc<dyn Queue>,
    batch: usize,
}

impl Single {
    /// A network for batches of `batch` images, which are `pixels`, each `size`
    /// × `size` × 3 bytes.
    ///
    /// # Errors
    /// [`CudaError::Weights`], [`CudaError::OutOfMemory`].
    ///
    /// # Panics
    /// If `pixels` has another length.
    #[allow(clippy::too_many_arguments, reason = "each is a choice of its own")]
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        architecture: &Architecture,
        (classes, size): (usize, usize),
        weights: &Weights,
        normalisation: Normalisation,
        batch: usize,
        pixels: &[u8],
    ) -> Result<Self, CudaError> {
        assert_eq!(pixels.len(), batch * 3 * size * size, "a batch of pixels");
        let shape = (classes, size);
        let network = Network::new(queue, precision, architecture, shape, weights, normalisation)?;
        let mut single = Self {
            recorded: None,
            workspace: network.workspace(queue, batch)?,
            network,
            pixels: Buffer::of(queue, pixels)?,
            images: Buffer::of(queue, &(batch as i32).to_le_bytes())?,
            logits: Buffer::zeros(queue, batch * classes * size_of::<f32>())?,
            queue: Arc::clone(queue),
            batch,
        };
        // Kernels are loaded by running them: that cannot be recorded.
        single.launch(&*single.queue)?;
        single.queue.finish()?;
        single.recorded = single.queue.record(&mut || single.launch(&*single.queue))?;
        Ok(single)
    }

    /// Runs the batch so many times and returns how long that took.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    pub fn time(&self, times: usize) -> Result<Duration, CudaError> {
        self.queue.finish()?;
        let began = Instant::now();
        for _ in 0..times {
            match &self.recorded {
                Some(recorded) => recorded.repeat()?,
                None => self.launch(&*self.queue)?,
            }
        }
        self.queue.finish()?;
        Ok(began.elapsed())
    }

    /// Logits of the batch, of the last run.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    pub fn logits(&self) -> Result<Vec<f32>, CudaError> {
        self.logits.floats(self.batch * self.network.classes)
    }

    /// Launches the batch once on another queue of the same device, such as one
    /// that takes the time of each kernel.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    pub fn launch(&self, queue: &dyn Queue) -> Result<(), CudaError> {
        let Self { network, workspace, pixels, images, logits, .. } = self;
        network.launch(
            queue,
            workspace,
            Batch { pixels, rows: None, images, logits, features: None },
        )
    }
}
