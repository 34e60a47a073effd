//! EfficientNet on the CPU: inference in f32, fused and packed.
//!
//! [`PackedNetwork`] is built once from an [`Architecture`] and its
//! [`Weights`], and then shared by all threads. Kernels are written once over
//! a small set of vector operations (`simd`) and compiled for each
//! [`Backend`]; `packed` folds and lays out the weights, `forward` walks
//! images through the layers. `reference` says the same in plain loops, for
//! the tests.
//!
//! The logits of an image depend on the image, the weights and the backend,
//! and on nothing else: not on the batch it is in, nor on threads.

mod backend;
mod depthwise;
mod elementwise;
mod forward;
mod lines;
mod packed;
mod pixels;
mod pointwise;
mod portable;
mod profile;
mod scratch;
mod simd;
mod stem;
pub(crate) mod train;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod random_weights;
#[cfg(test)]
mod reference;

use rayon::prelude::*;

pub use self::{
    backend::Backend,
    profile::{LayerKind, LayerTimes},
};
use self::{
    backend::Runner,
    forward::{GROUP, Walk},
    lines::BLOCK,
    packed::NetworkLayers,
    profile::{Clock, NoClock},
    scratch::ScratchPool,
    stem::colours,
};
use crate::network::{
    architecture::Architecture,
    weights::{Weights, WeightsError},
};

/// Mean and standard deviation of pixels in \[0, 1\], by colour: what the
/// network sees is `(byte / 255 − mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalisation {
    /// Subtracted first.
    pub mean: [f32; 3],
    /// Divided by then.
    pub std: [f32; 3],
}

/// A network ready to run: batch norm folded, weights packed for a backend.
///
/// It is immutable but for buffers that threads borrow while they work, of
/// which there are as many as threads ever worked at once.
pub struct PackedNetwork {
    layers: NetworkLayers,
    runner: Runner,
    scale: [f32; 3 * BLOCK],
    shift: [f32; 3 * BLOCK],
    classes: usize,
    size: usize,
    scratches: ScratchPool,
}

impl PackedNetwork {
    /// Packs a network of `classes` logits for images of `size` × `size`
    /// pixels, for the best backend of this processor.
    ///
    /// # Errors
    /// [`WeightsError`] where a tensor is missing, has another shape or holds
    /// values that are not finite.
    ///
    /// # Panics
    /// Where `classes` or `size` is zero.
    pub fn new(
        architecture: &Architecture,
        classes: usize,
        size: usize,
        weights: &Weights,
        normalisation: Normalisation,
    ) -> Result<Self, WeightsError> {
        let backend = Backend::detect();
        Self::with_backend(architecture, classes, size, weights, normalisation, backend)
    }

    /// The same for a given backend.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// # Panics
    /// As [`Self::new`], and where this processor does not have the backend.
    pub fn with_backend(
        architecture: &Architecture,
        classes: usize,
        size: usize,
        weights: &Weights,
        normalisation: Normalisation,
        backend: Backend,
    ) -> Result<Self, WeightsError> {
        let Some(runner) = Runner::new(backend) else {
            panic!("this processor has no {}", backend.name());
        };
        let layers =
            NetworkLayers::new(architecture, classes, size, weights, runner.whole_lines())?;
        let Normalisation { mean, std } = normalisation;
        let by_colour = |f: &dyn Fn(f64, f64) -> f64| {
            colours([0, 1, 2].map(|i| f(f64::from(mean[i]), f64::from(std[i])) as f32))
        };
        Ok(Self {
            layers,
            runner,
            scale: by_colour(&|_, std| 1.0 / (255.0 * std)),
            shift: by_colour(&|mean, std| -mean / std),
            classes,
            size,
            scratches: ScratchPool::new(),
        })
    }

    /// Logits an image.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Pixels along each side of an image.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What runs the kernels.
    pub fn backend(&self) -> Backend {
        self.runner.backend()
    }

    /// Logits of images, each `size` × `size` × 3 bytes of interleaved RGB,
    /// as rows of `logits`, `[images × classes]`.
    ///
    /// Images are spread over the current rayon pool. In the steady state
    /// nothing is allocated but what rayon does.
    ///
    /// # Panics
    /// Where an image or `logits` has another length.
    pub fn forward(&self, images: &[&[u8]], logits: &mut [f32]) {
        self.check(images, logits);
        let group = images.len().div_ceil(rayon::current_num_threads()).clamp(1, GROUP);
        images
            .par_chunks(group)
            .zip(logits.par_chunks_mut(group * self.classes))
            .for_each(|(images, logits)| self.walk(&mut NoClock, images, logits));
    }

    /// The same on this thread alone, measured.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn profile(&self, images: &[&[u8]], logits: &mut [f32]) -> LayerTimes {
        self.check(images, logits);
        let mut times = LayerTimes::default();
        let groups = images.chunks(GROUP).zip(logits.chunks_mut(GROUP * self.classes));
        for (images, logits) in groups {
            self.walk(&mut times, images, logits);
        }
        self.layers.count_multiply_adds(&mut times, images.len());
        times
    }

    fn check(&self, images: &[&[u8]], logits: &[f32]) {
        let bytes = 3 * self.size * self.size;
        assert!(images.iter().all(|image| image.len() == bytes), "an image of another size");
        assert_eq!(logits.len(), images.len() * self.classes, "room for other logits");
    }

    fn walk<C: Clock>(&self, clock: &mut C, images: &[&[u8]], logits: &mut [f32]) {
        let Self { layers, runner, scale, shift, .. } = self;
        let walk = Walk { layers, runner: *runner, scale, shift };
        self.scratches.with(layers, |scratch| walk.run(clock, scratch, images, logits));
    }
}
