//! EfficientNet forward and backward, layer by layer, without autograd.
//!
//! [`TrainNetwork`] is built from the one description of the architecture.
//! It allocates for the largest batch and image when it is made, and nothing
//! of size after the first step. Batch norm takes the batch's statistics and
//! moves the running ones as PyTorch does. Optimisers work on
//! [`TrainNetwork::parameters_mut`].
//!
//! Invariant: a step's results depend on the parameters, the batch and the
//! seed, bit for bit, for one backend, whatever the number of threads.

mod block;
mod context;
mod conv;
mod gradient_sum;
mod groups;
mod head;
mod norm;
mod parameter;
mod profile;
mod squeeze;
mod stem;

use candle_core::{Device, Tensor};
use hiwl_kernels::{
    Backend,
    train::{Buffer, Cpu, padded},
};
use rayon::prelude::*;

use self::{
    block::{Block, BlockInput},
    context::{Context, Workspace},
    conv::Conv,
    gradient_sum::Partials,
    groups::{Scratches, groups},
    head::Head,
    norm::Norm,
    parameter::Parameters,
    stem::Taps,
};
pub use self::{
    parameter::Parameter,
    profile::{Clock, Part},
};
use crate::engine::Normalisation;
use crate::model::architecture::{Architecture, Padding};
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};

/// How a network is trained, apart from its architecture.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Logits an image.
    pub classes: usize,
    /// Most images in a batch.
    pub batch: usize,
    /// Largest side of an image in pixels.
    pub max_size: usize,
    /// What is done to the pixels first.
    pub normalisation: Normalisation,
    /// Whether only the classifier learns. Batch norm then takes its running
    /// statistics and leaves them.
    pub frozen_backbone: bool,
    /// Probability that the last block's branch is left out for an image; it
    /// grows linearly from zero at the first (Huang et al. 2016,
    /// arXiv:1603.09382). The HIWL paper uses none.
    pub stochastic_depth: f64,
}

/// What a step says of its batch, before its gradients are used.
#[derive(Debug, Clone, PartialEq)]
pub struct StepOutput {
    /// Mean of `−Σ target · log softmax(logits)`.
    pub loss: f64,
    /// `[images × classes]`.
    pub logits: Vec<f32>,
}

/// A network that learns: parameters, gradients, running statistics, buffers.
pub struct TrainNetwork {
    settings: Settings,
    padding: Padding,
    dropout: f64,
    cpu: Cpu,
    parameters: Parameters,
    blocks: Vec<Block>,
    /// Outputs of the blocks.
    outputs: Vec<Buffer>,
    head: Head,
    /// Gradients of block outputs, in turns.
    gradients: [Buffer; 2],
    workspace: Workspace,
    scratches: Scratches,
    clock: Clock,
}

impl TrainNetwork {
    /// Builds the network for the best backend of this processor.
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
        Self::with_backend(architecture, weights, settings, Backend::detect())
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
        weights: &Weights,
        settings: Settings,
        backend: Backend,
    ) -> Result<Self, WeightsError> {
        let Some(cpu) = Cpu::new(backend) else {
            panic!("this processor has no {}", backend.name());
        };
        let Settings { classes, batch, max_size, .. } = settings;
        assert!(classes > 0 && batch > 0 && max_size > 0, "an empty network");
        let (eps, padding) = (architecture.bn_eps, architecture.padding);
        let layers = architecture.layers();
        let mut parameters = Parameters::default();
        let p = &mut parameters;

        let (_, mut side) = padding.resolve(max_size, 3, 2);
        let shape = [layers.stem, 3, 3, 3];
        let stem = Conv::new(p, weights, "features.0", &shape, eps, batch * side * side)?;
        let mut stem = Some(stem);
        let (mut blocks, mut outputs) = (Vec::new(), Vec::new());
        let mut largest = [0; 3];
        for spec in &layers.blocks {
            let sizes = (batch, side);
            let block = Block::new(p, weights, spec, stem.take(), (eps, padding), sizes)?;
            let strides = block.strides(side);
            for (largest, stride) in largest.iter_mut().zip(strides) {
                *largest = stride.max(*largest);
            }
            side = block.output_side(side);
            outputs.push(Buffer::zeros(batch * strides[2]));
            blocks.push(block);
        }
        let input = layers.blocks.last().map_or(layers.stem, |block| block.output);
        let pixels = side * side;
        let features = layers.features;
        largest[0] = largest[0].max(pixels * padded(features));
        let shape = [features, input, 1, 1];
        let conv = Conv::new(p, weights, &layers.head_prefix, &shape, eps, batch * pixels)?;
        let head = Head::new(p, weights, conv, (features, classes), batch)?;
        let partial = blocks.iter().map(Block::partial).max().unwrap_or(0).max(head.partial());
        let [expanded, gated, narrow] = largest.map(|stride| Buffer::zeros(batch * stride));
        Ok(Self {
            settings,
            padding,
            dropout: architecture.dropout,
            cpu,
            parameters,
            blocks,
            outputs,
            head,
            gradients: [Buffer::zeros(narrow.len()), narrow],
            workspace: Workspace { gated, expanded, partials: Partials::new(partial) },
            scratches: Scratches::default(),
            clock: Clock::default(),
        })
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
        let training = !self.settings.frozen_backbone;
        self.draw_branches(n, if training { self.settings.stochastic_depth } else { 0.0 }, seed);
        let taps = Taps::new(images, size, self.padding, self.settings.normalisation);
        let groups = groups(n);
        self.forward(&taps, &groups, training, Some((self.dropout, seed)));

        let Self { cpu, parameters, workspace, head, scratches, .. } = self;
        let context =
            Context { cpu: *cpu, groups: &groups, images: n, training, scratches: &*scratches };
        let loss = head.loss(&context, parameters, workspace, targets);
        self.clock.lap(Part::HeadBackward);
        if training {
            self.backward(&taps, &groups, n);
        }
        StepOutput { loss, logits: self.head.take_logits(n) }
    }

    /// Logits of a batch with running statistics and without dropout,
    /// `[images × classes]`. The gradients of the last step stay.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn evaluate(&mut self, images: &[u8], size: usize) -> Vec<f32> {
        let n = self.count(images, size);
        self.draw_branches(n, 0.0, 0);
        let taps = Taps::new(images, size, self.padding, self.settings.normalisation);
        self.forward(&taps, &groups(n), false, None);
        self.head.take_logits(n)
    }

    /// Images in a batch, which is checked.
    fn count(&self, images: &[u8], size: usize) -> usize {
        assert!(size > 0 && size <= self.settings.max_size, "images of {size} pixels a side");
        let n = images.len() / (3 * size * size);
        assert!(n > 0 && n <= self.settings.batch, "a batch of {n} images");
        assert_eq!(images.len(), n * 3 * size * size, "whole images");
        n
    }

    /// Which branches take part, image by image.
    fn draw_branches(&mut self, images: usize, last: f64, seed: u64) {
        let count = self.blocks.len() as f64;
        let mut random = SplitMix64::named(seed, "stochastic depth");
        for (i, block) in self.blocks.iter_mut().enumerate() {
            let drop = if block.has_residual() { last * i as f64 / count } else { 0.0 };
            for branch in &mut block.branch[..images] {
                let kept = drop <= 0.0 || random.uniform(0.0, 1.0) >= drop;
                *branch = if kept { (1.0 / (1.0 - drop)) as f32 } else { 0.0 };
            }
        }
    }

    fn forward(
        &mut self,
        taps: &Taps<'_>,
        groups: &[std::ops::Range<usize>],
        training: bool,
        dropout: Option<(f64, u64)>,
    ) {
        self.scratches.provide();
        self.clock.start();
        let Self { cpu, parameters, blocks, outputs, head, scratches, clock, .. } = self;
        blocks.par_iter_mut().for_each(|block| block.pack(parameters));
        head.pack(parameters);
        clock.lap(Part::Pack);
        let images = groups.last().map_or(0, |group| group.end);
        let context = Context { cpu: *cpu, groups, images, training, scratches: &*scratches };
        let mut side = taps.side();
        for (i, block) in blocks.iter_mut().enumerate() {
            let (before, behind) = outputs.split_at_mut(i);
            let input = before.last().map_or(BlockInput::Images(taps), |x| BlockInput::Rows(x));
            block.forward(&context, clock, parameters, &input, &mut behind[0], side);
            side = block.output_side(side);
        }
        let x = outputs.last().map_or(&[][..], |x| x);
        head.forward(&context, parameters, x, side * side, dropout);
        clock.lap(Part::Head);
    }

    fn backward(&mut self, taps: &Taps<'_>, groups: &[std::ops::Range<usize>], images: usize) {
        let Self { cpu, parameters, blocks, outputs, head, workspace, clock, .. } = self;
        let scratches = &self.scratches;
        let context = Context { cpu: *cpu, groups, images, training: true, scratches };
        let mut sides = vec![taps.side()];
        for block in &*blocks {
            sides.push(block.output_side(sides[sides.len() - 1]));
        }
        let [dy, dx] = &mut self.gradients;
        let (mut dy, mut dx) = (dy, dx);
        let x = outputs.last().map_or(&[][..], |x| x);
        let pixels = sides[blocks.len()].pow(2);
        head.backward(&context, clock, parameters, workspace, x, dy, pixels);
        for (i, block) in blocks.iter_mut().enumerate().rev() {
            let input = match i.checked_sub(1) {
                Some(before) => BlockInput::Rows(&outputs[before]),
                None => BlockInput::Images(taps),
            };
            block.backward(&context, clock, parameters, workspace, &input, dy, dx, sides[i]);
            std::mem::swap(&mut dy, &mut dx);
        }
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
        let head = std::iter::once(&mut self.head.conv.norm);
        for norm in self.blocks.iter_mut().flat_map(Block::norms_mut).chain(head) {
            norm.momentum = momentum;
        }
    }

    /// The running statistics of batch norm under their canonical names.
    pub fn running(&self) -> impl Iterator<Item = (String, &[f32])> {
        self.norms().flat_map(Norm::running)
    }

    fn norms(&self) -> impl Iterator<Item = &Norm> {
        self.blocks.iter().flat_map(Block::norms).chain([&self.head.conv.norm])
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
        for (name, values) in self.norms().flat_map(Norm::running) {
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
        for (name, old) in self.norms().flat_map(Norm::running) {
            running.push(weights.values(&name, &[old.len()])?);
        }
        for (parameter, values) in self.parameters.0.iter_mut().zip(values) {
            parameter.values = values;
        }
        let mut running = running.into_iter();
        let head = std::iter::once(&mut self.head.conv.norm);
        for norm in self.blocks.iter_mut().flat_map(Block::norms_mut).chain(head) {
            if let (Some(mean), Some(var)) = (running.next(), running.next()) {
                norm.set_running(mean, var);
            }
        }
        Ok(())
    }
}
