//! Both networks of the hierarchy on a device, several batches at a time.
//!
//! A batch is a copy of its pixels to the device, one recorded sequence of
//! launches (first network, routing, second network on the rows that it
//! chose), and a copy of a few floats back. Each lane has memory and a queue
//! of its own, so that one lane's copies run beside another's launches. The
//! second network is launched for as many images as the first; where fewer
//! were chosen its blocks end at once.

use std::sync::Arc;

use super::{
    forward::{Batch, Network, Workspace},
    lanes::Lanes,
};
use crate::engine::cuda::{
    CudaError, GpuPrecision, Launch, Queue,
    device::{Buffer, Pinned, Recorded, run},
    kernels::shapes,
};
use crate::engine::{Normalisation, PairTensors};
use crate::model::{architecture::Architecture, weights::Weights};

/// How both networks are run.
#[derive(Debug, Clone, Copy)]
pub struct CascadeOptions {
    /// What activations are stored in.
    pub precision: GpuPrecision,
    /// Images that a lane takes at once, if memory allows.
    pub batch: usize,
    /// Batches under way at once.
    pub lanes: usize,
    /// The first network's output whose images the second one sees; none are,
    /// if there is no such output.
    pub combined: usize,
    /// Whether it sees all others as well.
    pub all: bool,
}

/// Both networks, ready to run.
pub struct Cascade {
    lanes: Lanes<Lane>,
    classes: [usize; 2],
    features: usize,
    image: usize,
    all: bool,
}

/// What one batch needs.
struct Lane {
    // Before the memory that it works on, so that it is dropped first.
    recorded: Option<Box<dyn Recorded>>,
    networks: Arc<[Network; 2]>,
    queue: Arc<dyn Queue>,
    workspace: Workspace,
    pixels: Buffer,
    logits: [Buffer; 2],
    /// The first network's.
    features: Buffer,
    rows: Buffer,
    /// How many images there are, and how many the second network sees.
    counts: [Buffer; 2],
    host_pixels: Pinned,
    host_count: Pinned,
    host_logits: [Pinned; 2],
    host_features: Pinned,
    combined: usize,
    all: bool,
}

impl Cascade {
    /// Brings both networks to the device. `queue` makes a new queue of it.
    /// Where the memory does not suffice the batch is halved until it does:
    /// see [`Cascade::batch`].
    ///
    /// # Errors
    /// [`CudaError`]; [`CudaError::OutOfMemory`] if there is not even room for
    /// single images.
    pub fn new(
        queue: &mut dyn FnMut() -> Result<Arc<dyn Queue>, CudaError>,
        architecture: &Architecture,
        size: usize,
        networks: [(&Weights, usize); 2],
        normalisation: Normalisation,
        options: CascadeOptions,
    ) -> Result<Self, CudaError> {
        let first = queue()?;
        let network = |(weights, classes): (&Weights, usize)| {
            let shape = (classes, size);
            Network::new(&first, options.precision, architecture, shape, weights, normalisation)
        };
        let networks = Arc::new([network(networks[0])?, network(networks[1])?]);
        let lanes = Lanes::make(options.batch, options.lanes, |i, batch| {
            let queue = if i == 0 { Arc::clone(&first) } else { queue()? };
            Lane::new(queue, Arc::clone(&networks), size, batch, &options)
        })?;
        Ok(Self {
            lanes,
            classes: [networks[0].classes, networks[1].classes],
            features: networks[0].features(),
            image: 3 * size * size,
            all: options.all,
        })
    }

    /// Images that a lane takes at once; larger batches are cut.
    pub fn batch(&self) -> usize {
        self.lanes.batch()
    }

    /// Batches that can be under way at once.
    pub fn lanes(&self) -> usize {
        self.lanes.count()
    }

    /// Logits an image, of each network.
    pub fn classes(&self) -> [usize; 2] {
        self.classes
    }

    /// Length of the first network's feature vector.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Whether the second network sees all images.
    pub fn sees_all(&self) -> bool {
        self.all
    }

    /// Bytes of an image.
    pub fn image(&self) -> usize {
        self.image
    }

    /// Logits of images, each `size` × `size` × 3 bytes of interleaved RGB, one
    /// row an image. Of the second network's rows those are set that it saw;
    /// the others are NaN.
    ///
    /// Threads that find all lanes taken wait.
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    ///
    /// # Panics
    /// Where an image has another length.
    pub fn logits(&self, images: &[&[u8]]) -> Result<[Vec<f32>; 2], CudaError> {
        Ok(self.run(images, false)?.logits)
    }

    /// The same, and the first network's features if they are wanted.
    ///
    /// # Errors
    /// As [`Self::logits`].
    ///
    /// # Panics
    /// As [`Self::logits`].
    pub fn run(&self, images: &[&[u8]], features: bool) -> Result<PairTensors, CudaError> {
        let mut found = PairTensors {
            logits: self.classes.map(|classes| Vec::with_capacity(images.len() * classes)),
            features: Vec::new(),
        };
        let wanted = if features { self.features } else { 0 };
        self.lanes
            .with(|lane| {
                images.chunks(self.batch()).try_for_each(|images| {
                    let rows = lane.run(images, self.image, self.classes, wanted)?;
                    for (logits, rows) in found.logits.iter_mut().zip(rows.logits) {
                        logits.extend(rows);
                    }
                    found.features.extend(rows.features);
                    Ok(())
                })
            })
            .map(|()| found)
    }
}

impl Lane {
    fn new(
        queue: Arc<dyn Queue>,
        networks: Arc<[Network; 2]>,
        size: usize,
        batch: usize,
        options: &CascadeOptions,
    ) -> Result<Self, CudaError> {
        let device = |bytes| Buffer::zeros(&queue, bytes);
        let host = |bytes| Pinned::new(&queue, bytes);
        let image = 3 * size * size;
        let row = |network: usize| batch * networks[network].classes * size_of::<f32>();
        let features = batch * networks[0].features() * size_of::<f32>();
        let mut lane = Self {
            recorded: None,
            workspace: networks[0].workspace(&queue, batch)?,
            pixels: device(batch * image)?,
            logits: [device(row(0))?, device(row(1))?],
            features: device(features)?,
            rows: device(batch * size_of::<i32>())?,
            counts: [device(size_of::<i32>())?, device(size_of::<i32>())?],
            host_pixels: host(batch * image)?,
            host_count: host(size_of::<i32>())?,
            host_logits: [host(row(0))?, host(row(1))?],
            host_features: host(features)?,
            combined: options.combined,
            all: options.all,
            networks,
            queue,
        };
        // Kernels are loaded by running them: that cannot be recorded.
        lane.launch()?;
        lane.queue.finish()?;
        lane.recorded = lane.queue.record(&mut || lane.launch())?;
        Ok(lane)
    }

    /// Launches both networks.
    fn launch(&self) -> Result<(), CudaError> {
        let Self { networks, queue, workspace, pixels, logits, features, rows, counts, .. } = self;
        let [first, second] = &**networks;
        let batch = Batch {
            pixels,
            rows: None,
            images: &counts[0],
            logits: &logits[0],
            features: Some(features),
        };
        first.launch(&**queue, workspace, batch)?;
        let warp = Launch { block: [32, 1, 1], ..shapes::flat("route", 1, 0) };
        run!(
            &**queue,
            warp,
            &logits[0],
            rows,
            &counts[1],
            &counts[0],
            first.classes,
            self.combined,
            self.all,
        )?;
        let batch = Batch {
            pixels,
            rows: Some(rows),
            images: &counts[1],
            logits: &logits[1],
            features: None,
        };
        second.launch(&**queue, workspace, batch)
    }

    fn run(
        &mut self,
        images: &[&[u8]],
        bytes: usize,
        classes: [usize; 2],
        features: usize,
    ) -> Result<PairTensors, CudaError> {
        let count = images.len();
        for (image, room) in images.iter().zip(self.host_pixels.as_mut_slice()?.chunks_mut(bytes)) {
            room.copy_from_slice(image);
        }
        let words = (count as i32).to_le_bytes();
        self.host_count.as_mut_slice()?[..4].copy_from_slice(&words);
        self.host_pixels.upload(&self.pixels, count * bytes)?;
        self.host_count.upload(&self.counts[0], 4)?;
        // Bits that are all ones are NaN: rows that the second network does not see.
        let unseen = count * classes[1] * size_of::<f32>();
        self.queue.fill(self.logits[1].address(), unseen, 0xff)?;
        match &self.recorded {
            Some(recorded) => recorded.repeat()?,
            None => self.launch()?,
        }
        for ((host, device), classes) in self.host_logits.iter_mut().zip(&self.logits).zip(classes)
        {
            host.download(device, count * classes * size_of::<f32>())?;
        }
        if features > 0 {
            self.host_features.download(&self.features, count * features * size_of::<f32>())?;
        }
        self.queue.finish()?;
        let [first, second] = &mut self.host_logits;
        Ok(PairTensors {
            logits: [floats(first, count * classes[0])?, floats(second, count * classes[1])?],
            features: floats(&mut self.host_features, count * features)?,
        })
    }
}

/// The first floats of what came back.
pub(super) fn floats(host: &mut Pinned, count: usize) -> Result<Vec<f32>, CudaError> {
    let (words, _) = host.as_slice()?[..count * size_of::<f32>()].as_chunks::<4>();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}
