//! One network on a device behind the door of inference, several batches at a
//! time: what models of a single network, and of more than two, are run with.
//!
//! A batch is a copy of its pixels to the device, one recorded sequence of
//! launches, and a copy of its logits back, with its features where they are
//! wanted. Feature maps stay on the device: they are refused.

use std::sync::Arc;

use super::{
    cascade::floats,
    forward::{Batch, Network, Workspace},
    lanes::Lanes,
};
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue,
    device::{Buffer, Pinned, Recorded},
};
use crate::engine::{Infer, InferenceError, Normalisation, Tensors, Want};
use crate::model::{architecture::Architecture, weights::Weights};

/// A network, ready to run.
pub struct Alone {
    network: Arc<Network>,
    lanes: Lanes<Lane>,
    image: usize,
}

/// What one batch needs.
struct Lane {
    // Before the memory that it works on, so that it is dropped first.
    recorded: Option<Box<dyn Recorded>>,
    network: Arc<Network>,
    queue: Arc<dyn Queue>,
    workspace: Workspace,
    pixels: Buffer,
    images: Buffer,
    logits: Buffer,
    features: Buffer,
    host_pixels: Pinned,
    host_images: Pinned,
    host_logits: Pinned,
    host_features: Pinned,
}

impl Alone {
    /// Brings a network of `outputs` logits for images of `size` × `size`
    /// pixels to the device, for `lanes` batches of up to `batch` images.
    /// `queue` makes a new queue of it. Where the memory does not suffice the
    /// batch is halved until it does: see [`Alone::batch`].
    ///
    /// # Errors
    /// [`CudaError`]; [`CudaError::OutOfMemory`] if there is not even room for
    /// single images.
    pub fn new(
        queue: &mut dyn FnMut() -> Result<Arc<dyn Queue>, CudaError>,
        precision: GpuPrecision,
        architecture: &Architecture,
        (outputs, size): (usize, usize),
        weights: &Weights,
        normalisation: Normalisation,
        (batch, lanes): (usize, usize),
    ) -> Result<Self, CudaError> {
        let first = queue()?;
        let shape = (outputs, size);
        let network = Network::new(&first, precision, architecture, shape, weights, normalisation)?;
        let network = Arc::new(network);
        let image = 3 * size * size;
        let lanes = Lanes::make(batch, lanes, |i, batch| {
            let queue = if i == 0 { Arc::clone(&first) } else { queue()? };
            Lane::new(queue, Arc::clone(&network), image, batch)
        })?;
        Ok(Self { network, lanes, image })
    }

    /// Images that a lane takes at once; larger batches are cut.
    pub fn batch(&self) -> usize {
        self.lanes.batch()
    }
}

impl Infer for Alone {
    fn outputs(&self) -> usize {
        self.network.classes
    }

    fn features(&self) -> usize {
        self.network.features()
    }

    fn map_side(&self) -> usize {
        self.network.map_side()
    }

    fn lanes(&self) -> usize {
        self.lanes.count()
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        if want.has(Want::MAPS) {
            return Err(InferenceError::Unsupported { engine: "cuda", what: "feature maps" });
        }
        InferenceError::check_sizes(images, self.image)?;
        to.resize(self, images.len(), want);
        let Tensors { logits, features, .. } = to;
        logits.clear();
        features.clear();
        Ok(self.lanes.with(|lane| {
            for images in images.chunks(self.batch()) {
                let (rows, means) = lane.run(images, self.image, want.has(Want::FEATURES))?;
                if want.has(Want::LOGITS) {
                    logits.extend(rows);
                }
                features.extend(means);
            }
            Ok::<_, CudaError>(())
        })?)
    }
}

impl Lane {
    fn new(
        queue: Arc<dyn Queue>,
        network: Arc<Network>,
        image: usize,
        batch: usize,
    ) -> Result<Self, CudaError> {
        let (pixels, logits) = (batch * image, batch * network.classes * size_of::<f32>());
        let features = batch * network.features() * size_of::<f32>();
        let mut lane = Self {
            recorded: None,
            workspace: network.workspace(&queue, batch)?,
            pixels: Buffer::zeros(&queue, pixels)?,
            images: Buffer::zeros(&queue, size_of::<i32>())?,
            logits: Buffer::zeros(&queue, logits)?,
            features: Buffer::zeros(&queue, features)?,
            host_pixels: Pinned::new(&queue, pixels)?,
            host_images: Pinned::new(&queue, size_of::<i32>())?,
            host_logits: Pinned::new(&queue, logits)?,
            host_features: Pinned::new(&queue, features)?,
            network,
            queue,
        };
        // Kernels are loaded by running them: that cannot be recorded.
        lane.launch()?;
        lane.queue.finish()?;
        lane.recorded = lane.queue.record(&mut || lane.launch())?;
        Ok(lane)
    }

    fn launch(&self) -> Result<(), CudaError> {
        let Self { network, queue, workspace, pixels, images, logits, features, .. } = self;
        let features = Some(features);
        network.launch(&**queue, workspace, Batch { pixels, rows: None, images, logits, features })
    }

    /// Logits, and features if they are wanted.
    fn run(
        &mut self,
        images: &[&[u8]],
        bytes: usize,
        features: bool,
    ) -> Result<(Vec<f32>, Vec<f32>), CudaError> {
        let count = images.len();
        let rooms = self.host_pixels.as_mut_slice()?.chunks_mut(bytes);
        for (image, room) in images.iter().zip(rooms) {
            room.copy_from_slice(image);
        }
        self.host_images.as_mut_slice()?.copy_from_slice(&(count as i32).to_le_bytes());
        self.host_pixels.upload(&self.pixels, count * bytes)?;
        self.host_images.upload(&self.images, size_of::<i32>())?;
        match &self.recorded {
            Some(recorded) => recorded.repeat()?,
            None => self.launch()?,
        }
        let outputs = self.network.classes;
        self.host_logits.download(&self.logits, count * outputs * size_of::<f32>())?;
        let features = if features { count * self.network.features() } else { 0 };
        if features > 0 {
            self.host_features.download(&self.features, features * size_of::<f32>())?;
        }
        Ok((
            floats(&mut self.host_logits, count * outputs)?,
            floats(&mut self.host_features, features)?,
        ))
    }
}
