//! One network on a device, several batches at a time: a [`Cascade`] whose
//! second network never sees an image.
//!
//! The second is the first once more, for want of another; where no image is
//! chosen for it its blocks end at once, so that it costs the launches and
//! memory for its weights.

use std::sync::Arc;

use super::{Cascade, CascadeOptions, CudaError, Precision, Queue};
use crate::engine::{Infer, InferPair, InferenceError, Normalisation, Tensors, Want};
use crate::model::{architecture::Architecture, weights::Weights};

/// A network, ready to run.
pub struct Alone {
    cascade: Cascade,
    features: usize,
    side: usize,
}

impl Alone {
    /// Brings a network of `outputs` outputs, for images of `size` pixels along
    /// each side, to the device: see [`Cascade::new`].
    ///
    /// # Errors
    /// Those of [`Cascade::new`].
    #[allow(clippy::too_many_arguments, reason = "each is a choice of its own")]
    pub fn new(
        queue: &mut dyn FnMut() -> Result<Arc<dyn Queue>, CudaError>,
        architecture: &Architecture,
        size: usize,
        (weights, outputs): (&Weights, usize),
        normalisation: Normalisation,
        precision: Precision,
        batch: usize,
        lanes: usize,
    ) -> Result<Self, CudaError> {
        // No output has this place, so none leads to the second network.
        let options = CascadeOptions { precision, batch, lanes, combined: outputs, all: false };
        let network = (weights, outputs);
        let cascade =
            Cascade::new(queue, architecture, size, [network; 2], normalisation, options)?;
        let layers = architecture.layers();
        let padding = architecture.padding;
        let (_, stem) = padding.resolve(size, 3, 2);
        let smaller = |side: usize, kernel, stride| padding.resolve(side, kernel, stride).1;
        let side = layers.blocks.iter().fold(stem, |side, b| smaller(side, b.kernel, b.stride));
        Ok(Self { cascade, features: layers.features, side })
    }

    /// Images that a lane takes at once; larger batches are cut.
    pub fn batch(&self) -> usize {
        self.cascade.batch()
    }
}

impl Infer for Alone {
    fn outputs(&self) -> usize {
        self.cascade.classes()[0]
    }

    fn features(&self) -> usize {
        self.features
    }

    fn map_side(&self) -> usize {
        self.side
    }

    fn lanes(&self) -> usize {
        self.cascade.lanes()
    }

    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError> {
        for (unknown, what) in [(Want::FEATURES, "features"), (Want::MAPS, "feature maps")] {
            if want.has(unknown) {
                return Err(InferenceError::Unsupported { engine: "cuda", what });
            }
        }
        to.resize(self, images.len(), want);
        if want.has(Want::LOGITS) {
            let [logits, _] = InferPair::logits(&self.cascade, images)?;
            to.logits = logits;
        }
        Ok(())
    }
}
