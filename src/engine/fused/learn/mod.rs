//! EfficientNet forward and backward, layer by layer, without autograd.
//!
//! [`TrainNetwork`] is built from the one description of the architecture.
//! It allocates for the largest batch and image when it is made, and nothing
//! of size after the first step. What is kept of a batch is f32 or bfloat16. Batch norm takes the batch's statistics and
//! moves the running ones as PyTorch does. Optimisers work on
//! [`TrainNetwork::parameters_mut`].
//!
//! Invariant: a step's results depend on the parameters, the batch and the
//! seed, bit for bit, for one backend and precision, whatever the number of
//! threads.

mod block;
mod classifier;
mod context;
mod conv;
mod gradient_sum;
mod groups;
mod head;
mod layers;
mod learner;
mod norm;
mod on_features;
mod parameter;
mod profile;
mod squeeze;
mod stem;

use candle_core::{Device, Tensor};
use half::bf16;
use hiwl_kernels::{
    Backend,
    train::{Cpu, HalfCpu},
};

use self::{layers::Layers, norm::Norm, parameter::Parameters};
pub use self::{
    learner::FusedLearner,
    on_features::HeadLearner,
    parameter::Parameter,
    profile::{Clock, Part},
};
use crate::engine::Precision;
use crate::engine::learn::{Settings, StepOutput};
use crate::model::architecture::Architecture;
use crate::model::weights::{Weights, WeightsError};

/// A network that learns: parameters, gradients, running statistics, buffers.
pub struct TrainNetwork {
    settings: Settings,
    parameters: Parameters,
    engine: Engine,
    clock: Clock,
}

/// The layers by what they keep.
enum Engine {
    F32(Box<Layers<f32>>),
    Bf16(Box<Layers<bf16>>),
}

/// The same expression of either kind of layers.
macro_rules! either {
    ($engine:expr, $layers:ident => $do:expr) => {
        match $engine {
            Engine::F32($layers) => $do,
            Engine::Bf16($layers) => $do,
        }
    };
}

impl TrainNetwork {
    /// Builds the network for the best backend of this processor, in f32.
    ///
    /// # Errors
    /// [`WeightsError`] where a tensor is missing, has another shape or holds
    /// values that are not finite.
    ///
    /// # Panics
    /// Where a number in `settings` is zero.
    pub fn new(
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
    ) -> Result<Self, WeightsError> {
        Self::with(architecture, weights, settings, Backend::detect(), Precision::F32)
    }

    /// The same for a given backend and precision. In bfloat16 the activations
    /// kept for the backward pass, their gradients and what is multiplied are
    /// rounded; parameters, statistics, sums, and what residuals add up are
    /// f32.
    ///
    /// # Errors
    /// As [`Self::new`].
    ///
    /// # Panics
    /// As [`Self::new`], and where this processor does not have the backend
    /// or, on it, the precision.
    pub fn with(
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
        backend: Backend,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        assert!(precision.is_available_on(backend), "no {} here", precision.name());
        let Some(cpu) = Cpu::new(backend) else {
            panic!("this processor has no {}", backend.name());
        };
        let Settings { classes, batch, max_size, .. } = settings;
        assert!(classes > 0 && batch > 0 && max_size > 0, "an empty network");
        let mut parameters = Parameters::default();
        let p = &mut parameters;
        let engine = match (precision, HalfCpu::new()) {
            (Precision::Bf16, Some(own)) => {
                let layers = Layers::new((cpu, own), architecture, weights, &settings, p)?;
                Engine::Bf16(Box::new(layers))
            }
            _ => {
                let layers = Layers::new((cpu, cpu), architecture, weights, &settings, p)?;
                Engine::F32(Box::new(layers))
            }
        };
        Ok(Self { settings, parameters, engine, clock: Clock::default() })
    }

    /// How activations are kept and multiplied.
    pub fn precision(&self) -> Precision {
        match self.engine {
            Engine::F32(_) => Precision::F32,
            Engine::Bf16(_) => Precision::Bf16,
        }
    }

    /// Forward and backward over a batch: images of `size` × `size` × 3 bytes
    /// of interleaved RGB, one behind the other, and a row of `classes`
    /// targets for each (Equation 5's smoothed rows, or one-hot). Leaves the
    /// gradients of the mean loss in the parameters. `seed` decides dropout
    /// and stochastic depth.
    ///
    /// The loss is not finite where the parameters or targets are not: the
    /// caller's to notice.
    ///
    /// # Panics
    /// Where the batch or the images are larger than the settings say, or
    /// lengths do not agree.
    pub fn step(&mut self, images: &[u8], size: usize, targets: &[f32], seed: u64) -> StepOutput {
        let n = self.count(images, size);
        assert_eq!(targets.len(), n * self.settings.classes, "a row of targets an image");
        let Self { settings, parameters, engine, clock } = self;
        let batch = (images, n, size);
        either!(engine, layers => layers.step(clock, parameters, settings, batch, targets, seed))
    }

    /// Logits of a batch with running statistics and without dropout,
    /// `[images × classes]`. The gradients of the last step stay.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn evaluate(&mut self, images: &[u8], size: usize) -> Vec<f32> {
        let n = self.count(images, size);
        let Self { settings, parameters, engine, clock } = self;
        let batch = (images, n, size);
        either!(engine, layers => layers.evaluate(clock, parameters, settings, batch))
    }

    /// Images in a batch, which is checked.
    fn count(&self, images: &[u8], size: usize) -> usize {
        assert!(size > 0 && size <= self.settings.max_size, "images of {size} pixels a side");
        let n = images.len() / (3 * size * size);
        assert!(n > 0 && n <= self.settings.batch, "a batch of {n} images");
        assert_eq!(images.len(), n * 3 * size * size, "whole images");
        n
    }

    /// The parameters that learn, with the gradients of the last step: all, or
    /// the classifier's where the backbone is frozen.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let frozen = self.settings.frozen_backbone;
        let learns = move |p: &&mut Parameter| !frozen || p.name.starts_with("classifier.");
        self.parameters.0.iter_mut().filter(learns)
    }

    /// All parameters, learning or not.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters.0
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the time of the steps so far went.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Starts the clock anew.
    pub fn reset_clock(&mut self) {
        self.clock = Clock::default();
    }

    /// Sets how much of a batch's statistics enters the running ones of batch
    /// norm (PyTorch's `momentum`; 0.1 when the network is made).
    pub fn set_norm_momentum(&mut self, momentum: f64) {
        for norm in either!(&mut self.engine, layers => layers.norms_mut()) {
            norm.momentum = momentum;
        }
    }

    /// The running statistics of batch norm under their canonical names.
    pub fn running(&self) -> impl Iterator<Item = (String, &[f32])> {
        self.norms().into_iter().flat_map(Norm::running)
    }

    fn norms(&self) -> Vec<&Norm> {
        either!(&self.engine, layers => layers.norms())
    }

    /// A copy of all tensors under their canonical names.
    ///
    /// # Errors
    /// [`WeightsError::Tensor`] if candle cannot allocate.
    pub fn weights(&self) -> Result<Weights, WeightsError> {
        let mut weights = Weights::new();
        let mut insert = |name: String, values: &[f32], shape: &[usize]| match Tensor::from_slice(
            values,
            shape,
            &Device::Cpu,
        ) {
            Ok(tensor) => {
                weights.insert(name, tensor);
                Ok(())
            }
            Err(source) => Err(WeightsError::tensor(&name)(source)),
        };
        for parameter in &self.parameters.0 {
            insert(parameter.name.clone(), &parameter.values, &parameter.shape)?;
        }
        for (name, values) in self.norms().into_iter().flat_map(Norm::running) {
            insert(name, values, &[values.len()])?;
        }
        Ok(weights)
    }

    /// Takes all tensors from `weights`, as when a run goes on.
    ///
    /// # Errors
    /// As [`Self::new`]; nothing is changed then.
    pub fn load(&mut self, weights: &Weights) -> Result<(), WeightsError> {
        let mut values = Vec::with_capacity(self.parameters.0.len());
        for parameter in &self.parameters.0 {
            values.push(weights.values(&parameter.name, &parameter.shape)?);
        }
        let mut running = Vec::new();
        for (name, old) in self.norms().into_iter().flat_map(Norm::running) {
            running.push(weights.values(&name, &[old.len()])?);
        }
        for (parameter, values) in self.parameters.0.iter_mut().zip(values) {
            parameter.values = values;
        }
        let mut running = running.into_iter();
        for norm in either!(&mut self.engine, layers => layers.norms_mut()) {
            if let (Some(mean), Some(var)) = (running.next(), running.next()) {
                norm.set_running(mean, var);
            }
        }
        Ok(())
    }
}
