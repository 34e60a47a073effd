//! The door of inference: a network in evaluation mode, whatever computes it.
//!
//! An engine turns bytes of crops into numbers and knows nothing of what they
//! mean. Where two networks are one piece of work, because a round trip to the
//! host between them is dear, [`InferPair`] is the door.
//!
//! Invariant: what is found for an image depends on that image and on the
//! network, never on the batch it is in, nor on what else is wanted.

use std::ops::BitOr;

use super::cuda::CudaError;

/// Mean and standard deviation of pixels in \[0, 1\], by colour: what a
/// network sees is `(byte / 255 − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Subtracted first.
    pub mean: [f32; 3],
    /// Divided by then.
    pub std: [f32; 3],
}

/// What a run is to find out. Sets are joined with `|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want(u8);

impl Want {
    /// The network's outputs, before any softmax.
    pub const LOGITS: Self = Self(1);
    /// The vector that the classifier sees: the last feature maps, averaged
    /// over their pixels (before dropout).
    pub const FEATURES: Self = Self(2);
    /// The last feature maps, before they are averaged.
    pub const MAPS: Self = Self(4);

    /// Whether all of `other` is wanted.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Want {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a run found, image by image; empty where it was not wanted. Kept by
/// the caller, so that the memory serves again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors {
    /// `[images][outputs]`.
    pub logits: Vec<f32>,
    /// `[images][features]`.
    pub features: Vec<f32>,
    /// `[images][features][side][side]`, the row on top first.
    pub maps: Vec<f32>,
}

impl Tensors {
    /// Makes room for what is wanted of `images` images of `network`, and none
    /// for the rest. Values are of no meaning until they are written.
    pub fn resize(&mut self, network: &dyn Infer, images: usize, want: Want) {
        let length = |what, each: usize| if want.has(what) { images * each } else { 0 };
        let maps = network.features() * network.map_side().pow(2);
        self.logits.resize(length(Want::LOGITS, network.outputs()), 0.0);
        self.features.resize(length(Want::FEATURES, network.features()), 0.0);
        self.maps.resize(length(Want::MAPS, maps), 0.0);
    }
}

/// What a run of two networks found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PairTensors {
    /// Of each network, `[images][outputs]`.
    pub logits: [Vec<f32>; 2],
    /// Of the first, `[images][features]`; empty where they were not wanted.
    pub features: Vec<f32>,
}

/// Why a batch could not be run at all: a mistake of the caller or of the
/// engine, not of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferenceError {
    /// An image has not the size that the network was made for.
    #[error("image {index} of the batch has {found} bytes where the network needs {expected}")]
    ImageSize {
        /// Its place in the batch.
        index: usize,
        /// Bytes of an interleaved RGB crop.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// A network has not as many outputs as there are classes.
    #[error("the network of stage {stage} has {found} outputs where {expected} are needed")]
    Classes {
        /// 1 or 2.
        stage: u8,
        /// Outputs needed.
        expected: usize,
        /// Outputs it has.
        found: usize,
    },
    /// A network's features are not those that the model tells oddness by, or that
    /// the catalog keeps.
    #[error("the first network has {found} features where {expected} are needed")]
    Features {
        /// Features needed.
        expected: usize,
        /// Features it has.
        found: usize,
    },
    /// The engine cannot give what is wanted.
    #[error("the {engine} engine gives no {what}")]
    Unsupported {
        /// Its name.
        engine: &'static str,
        /// `features` or `feature maps`.
        what: &'static str,
    },
    /// candle failed.
    #[error("candle: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The GPU failed, or is gone.
    #[error(transparent)]
    Gpu(#[from] CudaError),
}

impl InferenceError {
    /// That every image of a batch has `expected` bytes.
    ///
    /// # Errors
    /// [`InferenceError::ImageSize`] of the first that has not.
    pub fn check_sizes(images: &[&[u8]], expected: usize) -> Result<(), Self> {
        match images.iter().position(|image| image.len() != expected) {
            Some(index) => Err(Self::ImageSize { index, expected, found: images[index].len() }),
            None => Ok(()),
        }
    }
}

/// A network in evaluation mode.
pub trait Infer: Send + Sync {
    /// Logits of an image, of all questions that the network answers.
    fn outputs(&self) -> usize;

    /// Length of the feature vector, which is the number of feature maps.
    fn features(&self) -> usize;

    /// Pixels along each side of a feature map.
    fn map_side(&self) -> usize;

    /// Batches that are worth running at once, each from a thread of its own.
    fn lanes(&self) -> usize {
        // One batch has all threads.
        1
    }

    /// Runs `images`, each an interleaved RGB crop of the size that the
    /// network was made for (`size × size × 3` bytes, row 0 on top), and
    /// leaves what is wanted of them in `to`, in their order. What is not
    /// wanted costs nothing.
    ///
    /// # Errors
    /// [`InferenceError`]; values that are not finite are no error here.
    fn run(&self, images: &[&[u8]], want: Want, to: &mut Tensors) -> Result<(), InferenceError>;
}

/// Two networks where the engine itself decides which images the second one
/// sees.
pub trait InferPair: Send + Sync {
    /// Logits of an image, of each network.
    fn outputs(&self) -> [usize; 2];

    /// Length of the first network's feature vector.
    fn features(&self) -> usize;

    /// Batches that are worth running at once, each from a thread of its own.
    fn lanes(&self) -> usize;

    /// Whether the second network sees every image. Otherwise it sees those
    /// for which the first network's largest logit (the first of the largest)
    /// is the one that the pair was made with.
    fn sees_all(&self) -> bool;

    /// Logits of `images` (see [`Infer::run`]), a row of each network per image,
    /// and the first network's features, if they are wanted. Rows of the second
    /// that it did not see hold anything.
    ///
    /// # Errors
    /// [`InferenceError`]; values that are not finite are no error here.
    fn run(&self, images: &[&[u8]], want: Want) -> Result<PairTensors, InferenceError>;
}
