//! EfficientNet on the CPU: inference, fused and packed, in f32 or bfloat16.
//!
//! [`PackedNetwork`] is built once from an [`Architecture`] and its
//! [`Weights`], and then shared by all threads. `packed` folds and lays out the
//! weights, `forward` walks images through the layers, on the kernels of
//! [`hiwl_kernels`]. `reference` says the same in plain loops, for the tests.
//!
//! The logits of an image depend on the image, the weights, the backend and
//! the precision, and on nothing else: not on the batch it is in, nor on
//! threads.

mod door;
mod forward;
mod inverted;
mod packed;
mod pixels;
mod profile;
mod scratch;
mod team;

#[cfg(test)]
mod network_tests;
#[cfg(test)]
pub(crate) mod random_weights;
#[cfg(test)]
mod reference;

use std::sync::Arc;

use hiwl_kernels::{
    BLOCK, Backend, Bf16, ByteRunner, F32, Format, HalfRunner, Int8, Runner, colours,
};
use rayon::{ThreadPool, prelude::*};

pub use self::profile::{LayerKind, LayerTimes};
use self::{
    forward::{ForwardPass, GROUP, Rows},
    packed::NetworkLayers,
    profile::{Clock, NoClock},
    scratch::{Pool, RowScratch, Scratch},
};
use crate::engine::{Normalisation, Precision};
use crate::model::{
    architecture::Architecture,
    weights::{Weights, WeightsError},
};

/// A network ready to run: batch norm folded, weights packed for a backend.
///
/// It is immutable but for buffers that threads borrow while they work, of
/// which there are as many as threads ever worked at once.
pub struct PackedNetwork {
    engine: Packing,
    /// What runs it, if not the pool of whoever asks.
    threads: Option<Arc<ThreadPool>>,
    runner: Runner,
    scale: [f32; 3 * BLOCK],
    shift: [f32; 3 * BLOCK],
    classes: usize,
    size: usize,
}

/// The layers in a format, and memory to run them in.
enum Packing {
    F32(Packed<F32>),
    Bf16(Packed<Bf16>),
    Int8(Packed<Int8>),
}

/// The same of the layers, whatever their format.
macro_rules! of_layers {
    ($packing:expr, $packed:ident => $same:expr) => {
        match $packing {
            Packing::F32($packed) => $same,
            Packing::Bf16($packed) => $same,
            Packing::Int8($packed) => $same,
        }
    };
}

struct Packed<F: Format> {
    layers: NetworkLayers<F>,
    own: F::Runner,
    scratches: Pool<Scratch<F>>,
    row_scratches: Pool<RowScratch>,
}

impl<F: Format> Packed<F> {
    fn new(
        (architecture, classes, size): (&Architecture, usize, usize),
        weights: &Weights,
        whole_lines: bool,
        own: F::Runner,
    ) -> Result<Self, WeightsError> {
        let layers = NetworkLayers::new(architecture, classes, size, weights, whole_lines)?;
        Ok(Self { layers, own, scratches: Pool::new(), row_scratches: Pool::new() })
    }
}

impl PackedNetwork {
    /// Packs a network of `classes` logits for images of `size` × `size`
    /// pixels, for the best backend of this processor, in f32.
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
        let (backend, precision) = (Backend::detect(), Precision::F32);
        Self::with(architecture, classes, size, weights, normalisation, backend, precision)
    }

    /// The same for a given backend and precision.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// # Panics
    /// As [`Self::new`], and where this processor does not have the backend
    /// or, on it, the precision.
    pub fn with(
        architecture: &Architecture,
        classes: usize,
        size: usize,
        weights: &Weights,
        normalisation: Normalisation,
        backend: Backend,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        assert!(precision.is_available_on(backend), "no {} here", precision.name());
        let Some(runner) = Runner::new(backend) else {
            panic!("this processor has no {}", backend.name());
        };
        let whole_lines = runner.whole_lines();
        let (half, bytes) = (HalfRunner::new(), ByteRunner::new(backend));
        let shape = (architecture, classes, size);
        let engine = match precision {
            Precision::F32 => Some(Packing::F32(Packed::new(shape, weights, whole_lines, runner)?)),
            Precision::Bf16 => half
                .map(|own| Packed::new(shape, weights, whole_lines, own).map(Packing::Bf16))
                .transpose()?,
            Precision::Int8 => bytes
                .map(|own| Packed::new(shape, weights, whole_lines, own).map(Packing::Int8))
                .transpose()?,
        };
        let Some(engine) = engine else { unreachable!("the precision is available") };
        let Normalisation { mean, std } = normalisation;
        let by_colour = |f: &dyn Fn(f64, f64) -> f64| {
            colours([0, 1, 2].map(|i| f(f64::from(mean[i]), f64::from(std[i])) as f32))
        };
        Ok(Self {
            engine,
            threads: None,
            runner,
            scale: by_colour(&|_, std| 1.0 / (255.0 * std)),
            shift: by_colour(&|mean, std| -mean / std),
            classes,
            size,
        })
    }

    /// The same on threads of its own, whichever thread asks. Two batches at once then
    /// leave none of them idle: a thread that finds all images of one batch taken goes on
    /// with those of the next, where otherwise it would wait for the others' last.
    pub fn on(self, threads: Arc<ThreadPool>) -> Self {
        Self { threads: Some(threads), ..self }
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

    /// How numbers are held and multiplied.
    pub fn precision(&self) -> Precision {
        match self.engine {
            Packing::F32(_) => Precision::F32,
            Packing::Bf16(_) => Precision::Bf16,
            Packing::Int8(_) => Precision::Int8,
        }
    }

    /// Length of the feature vector.
    pub fn features(&self) -> usize {
        of_layers!(&self.engine, packed => packed.layers.head.outputs())
    }

    /// Pixels along each side of the last feature maps.
    pub fn map_side(&self) -> usize {
        of_layers!(&self.engine, packed => packed.layers.side)
    }

    /// Logits of images, each `size` × `size` × 3 bytes of interleaved RGB,
    /// as rows of `logits`, `[images × classes]`.
    ///
    /// Images are spread over the current rayon pool, or its own; where they are fewer
    /// than its threads, threads share the layers of an image. In the steady
    /// state nothing of size is allocated.
    ///
    /// # Panics
    /// Where an image or `logits` has another length.
    pub fn forward(&self, images: &[&[u8]], logits: &mut [f32]) {
        assert_eq!(logits.len(), images.len() * self.classes, "room for other logits");
        self.spread(images, Rows { logits, ..Rows::default() });
    }

    /// Groups of images, over the pool.
    fn spread(&self, images: &[&[u8]], mut to: Rows<'_>) {
        self.check(images);
        let own = self.threads.as_deref();
        let threads = own.map_or_else(rayon::current_num_threads, ThreadPool::current_num_threads);
        let group = images.len().div_ceil(threads).clamp(1, GROUP);
        let team = threads.div_ceil(images.len().max(1));
        let mut left = images.len();
        let groups = images.chunks(group).map(|images| {
            let rows = Rows::take(&mut to, images.len(), left);
            left -= images.len();
            (images, rows)
        });
        let groups: Vec<_> = groups.collect();
        let each = |(images, rows): (&[&[u8]], Rows<'_>)| {
            self.pass(&mut NoClock, team, images, rows);
        };
        if let (Some(pool), 1) = (own, team) {
            // First come, first served, and whoever waits is none of them: one that waited
            // for its last images would begin another batch meanwhile, and end it first.
            let each = &each;
            return pool.in_place_scope(|scope| {
                groups.into_iter().for_each(|group| scope.spawn(move |_| each(group)));
            });
        }
        let all = || groups.into_par_iter().for_each(each);
        let all = || if team > 1 { team::awake(all) } else { all() };
        match own {
            Some(pool) => pool.install(all),
            None => all(),
        }
    }

    /// The same on this thread alone, measured.
    ///
    /// # Panics
    /// As [`Self::forward`].
    pub fn profile(&self, images: &[&[u8]], logits: &mut [f32]) -> LayerTimes {
        self.check(images);
        assert_eq!(logits.len(), images.len() * self.classes, "room for other logits");
        let mut times = LayerTimes::default();
        let groups = images.chunks(GROUP).zip(logits.chunks_mut(GROUP * self.classes));
        for (images, logits) in groups {
            self.pass(&mut times, 1, images, Rows { logits, ..Rows::default() });
        }
        of_layers!(&self.engine, packed => {
            packed.layers.count_multiply_adds(&mut times, images.len());
        });
        times
    }

    fn check(&self, images: &[&[u8]]) {
        let bytes = 3 * self.size * self.size;
        assert!(images.iter().all(|image| image.len() == bytes), "an image of another size");
    }

    fn pass<C: Clock>(&self, clock: &mut C, team: usize, images: &[&[u8]], to: Rows<'_>) {
        of_layers!(&self.engine, packed => self.walk_in(packed, clock, team, images, to));
    }

    fn walk_in<F: Format, C: Clock>(
        &self,
        packed: &Packed<F>,
        clock: &mut C,
        team: usize,
        images: &[&[u8]],
        to: Rows<'_>,
    ) {
        let Self { runner, scale, shift, .. } = self;
        let Packed { layers, own, scratches, row_scratches } = packed;
        let pass =
            ForwardPass { layers, runner: *runner, own: *own, scale, shift, row_scratches, team };
        scratches.with(
            || Scratch::new(layers),
            |scratch| {
                pass.with_row_scratch(|row_scratch| {
                    pass.run(clock, scratch, row_scratch, images, to)
                })
            },
        );
    }
}
