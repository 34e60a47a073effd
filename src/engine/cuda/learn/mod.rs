//! EfficientNet that learns on a GPU: the passes of the network, launch
//! by launch.
//!
//! Activations and the weights that products read are bf16 (or f32, to
//! compare); parameters, gradients, statistics and the optimiser are f32 and
//! stay on the device. Images come as bytes and are normalised by the stem. A
//! batch's launches are recorded once for each size of image and repeated; how
//! many images there are is read on the device, so that a last, smaller batch
//! needs no other launches.
//!
//! Same seed, same batch, same gradients: dropout is drawn on the host, as the
//! CPU's engine draws it, and no sum depends on the order of blocks.

mod block;
mod door;
mod layers;
mod learner;
mod parameters;
mod staging;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::learner::GpuLearner;
use self::{
    block::{Block, Workspace},
    layers::{Norm, Pass, Product, Received, outer, sum_parts},
    parameters::Parameters,
    staging::Staging,
};
use crate::engine::cuda::{
    CudaError, GpuPrecision, Queue, Recorded,
    device::{Argument, Buffer, run},
    infer::forward::scale_and_shift,
    kernels::shapes::{self, Depthwise, Rows},
};
use crate::engine::learn::{Settings, StepOutput};
use crate::model::architecture::{Architecture, Padding};
use crate::model::parameters::Parameter;
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};

/// The stem.
struct Stem {
    channels: usize,
    by_taps: Buffer,
    norm: Norm,
    raw: Buffer,
    activation: Buffer,
    normalisation: Buffer,
}

/// From the last block to the loss.
struct Head {
    features: usize,
    product: Product,
    norm: Norm,
    raw: Buffer,
    kept: Buffer,
    pooled: Buffer,
    logits: Buffer,
    d_logits: Buffer,
    constant: Buffer,
    losses: Buffer,
}

/// A network that learns on a device.
pub struct GpuNetwork {
    // Before the memory that they work on, so that they are dropped first.
    recorded: BTreeMap<(usize, bool), Box<dyn Recorded>>,
    queue: Arc<dyn Queue>,
    precision: GpuPrecision,
    settings: Settings,
    architecture: Architecture,
    padding: Padding,
    dropout: f64,
    momentum: f32,
    parameters: Parameters,
    stem: Stem,
    blocks: Vec<Block>,
    /// Outputs of the blocks.
    outputs: Vec<Buffer>,
    head: Head,
    workspace: Workspace,
    /// Gradients of blocks' outputs, in turns.
    gradients: [Buffer; 2],
    parts: Buffer,
    pixels: Buffer,
    targets: Buffer,
    live: Buffer,
    staging: Staging,
}

impl GpuNetwork {
    /// Builds the network on the device behind `queue`.
    ///
    /// # Errors
    /// [`CudaError::Weights`] where a tensor is missing, has another shape or
    /// is not finite; [`CudaError::OutOfMemory`].
    pub fn new(
        queue: &Arc<dyn Queue>,
        precision: GpuPrecision,
        architecture: &Architecture,
        weights: &Weights,
        settings: Settings,
    ) -> Result<Self, CudaError> {
        let Settings { classes, batch, max_size, normalisation, .. } = settings;
        let (padding, eps) = (architecture.padding, architecture.bn_eps);
        let layers = architecture.layers();
        let parameters = Parameters::new(queue, architecture, classes, weights)?;
        let elements = |an_image: usize| Buffer::new(queue, batch * an_image * precision.bytes());
        let floats = |an_image: usize| Buffer::new(queue, batch * an_image * 4);

        let (_, mut side) = padding.resolve(max_size, 3, 2);
        let plane = side * side;
        let stem = Stem {
            channels: layers.stem,
            by_taps: Buffer::new(queue, 27 * layers.stem * 4)?,
            norm: Norm::new(queue, "features.0.1".into(), layers.stem, eps)?,
            raw: elements(plane * layers.stem)?,
            activation: elements(plane * layers.stem)?,
            normalisation: Buffer::of_floats(
                queue,
                &scale_and_shift(normalisation.mean, normalisation.std),
            )?,
        };
        let mut most = Most::default();
        most.norm(batch, layers.stem, plane);
        most.narrow = plane * layers.stem;
        let (_, _, tiles) = shapes::stem_weights(batch, layers.stem, side);
        most.parts = most.parts.max(batch * tiles * 27 * layers.stem);
        let (mut blocks, mut outputs) = (Vec::new(), Vec::new());
        for spec in &layers.blocks {
            let sizes = (batch, side);
            let block = Block::new(queue, precision, spec, (padding, eps), sizes)?;
            let out = block.output_side(side);
            let (before, behind) = (side * side, out * out);
            let wide = spec.expanded;
            most.wide = most.wide.max(before * wide);
            most.gated = most.gated.max(behind * wide);
            most.narrow = most.narrow.max(behind * spec.output).max(before * spec.input);
            most.norm(batch, wide, before);
            most.norm(batch, wide, behind);
            most.norm(batch, spec.output, behind);
            most.product(batch * before, wide, spec.input);
            most.product(batch * behind, spec.output, wide);
            most.parts = most.parts.max(batch * spec.kernel * spec.kernel * wide);
            most.sums = most.sums.max(5 * Rows::new(wide, behind).tiles * wide);
            most.sums = most.sums.max(Depthwise::new(wide, out).tiles * wide);
            most.channels = most.channels.max(wide);
            most.squeezed = most.squeezed.max(spec.squeezed);
            outputs.push(elements(behind * spec.output)?);
            blocks.push(block);
            side = out;
        }
        let input = layers.blocks.last().map_or(layers.stem, |block| block.output);
        let (features, plane) = (layers.features, side * side);
        most.norm(batch, features, plane);
        most.product(batch * plane, features, input);
        most.wide = most.wide.max(plane * features);
        most.sums = most.sums.max(Rows::new(features, plane).tiles * features);
        let head = Head {
            features,
            product: Product::new(queue, precision, &layers.head_prefix, (features, input))?,
            norm: Norm::new(queue, format!("{}.1", layers.head_prefix), features, eps)?,
            raw: elements(plane * features)?,
            kept: floats(features)?,
            pooled: floats(features)?,
            logits: floats(classes)?,
            d_logits: floats(classes)?,
            constant: floats(features)?,
            losses: floats(1)?,
        };
        let Most { wide, gated, narrow, sums, channels, squeezed, parts } = most;
        Ok(Self {
            recorded: BTreeMap::new(),
            workspace: Workspace {
                gated: elements(gated)?,
                expanded: elements(wide)?,
                narrow: elements(narrow)?,
                sums: floats(sums)?,
                image_parts: floats(2 * channels)?,
                d_gate: floats(channels)?,
                d_hidden: floats(squeezed)?,
                hidden: floats(squeezed)?,
                constant: floats(channels)?,
            },
            gradients: [elements(narrow)?, elements(narrow)?],
            parts: Buffer::new(queue, 4 * parts)?,
            pixels: Buffer::zeros(queue, batch * 3 * max_size * max_size)?,
            targets: floats(classes)?,
            live: Buffer::zeros(queue, 4)?,
            staging: Staging::new(queue, &settings, features)?,
            queue: Arc::clone(queue),
            precision,
            architecture: architecture.clone(),
            padding,
            dropout: architecture.dropout,
            momentum: 0.1,
            parameters,
            stem,
            blocks,
            outputs,
            head,
            settings,
        })
    }

    /// Sets how much of a batch's statistics enters the running ones.
    pub fn set_norm_momentum(&mut self, momentum: f64) {
        self.momentum = momentum as f32;
        self.recorded.clear();
    }

    /// Forward and backward over a batch: see
    /// [`TrainNetwork::step`](crate::engine::fused::learn::TrainNetwork::step).
    ///
    /// # Errors
    /// [`CudaError::Lost`], [`CudaError::Driver`].
    ///
    /// # Panics
    /// Where the batch or the images are larger than the settings say, or
    /// lengths do not agree.
    pub fn step(
        &mut self,
        images: &[u8],
        size: usize,
        targets: &[f32],
        seed: u64,
    ) -> Result<StepOutput, CudaError> {
        let n = self.count(images, size);
        assert_eq!(targets.len(), n * self.settings.classes, "a row of targets an image");
        self.staging.send_images(images, n, (&self.pixels, &self.live))?;
        self.staging.send_targets(targets, &self.targets)?;
        self.draw_dropout(n, self.dropout, seed)?;
        self.run(size, true)?;
        let from = (&self.head.losses, &self.head.logits);
        let (losses, logits) = self.staging.receive(from, (n, targets.len()))?;
        let loss = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / n as f64;
        Ok(StepOutput { loss, logits })
    }

    /// Logits with running statistics and without dropout.
    ///
    /// # Errors
    /// As [`Self::step`].
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn evaluate(&mut self, images: &[u8], size: usize) -> Result<Vec<f32>, CudaError> {
        let n = self.count(images, size);
        self.staging.send_images(images, n, (&self.pixels, &self.live))?;
        self.draw_dropout(n, 0.0, 0)?;
        self.run(size, false)?;
        let from = (&self.head.losses, &self.head.logits);
        let (_, logits) = self.staging.receive(from, (0, n * self.settings.classes))?;
        Ok(logits)
    }

    /// Images of a batch, which must fit.
    fn count(&self, images: &[u8], size: usize) -> usize {
        assert!(size > 0 && size <= self.settings.max_size, "images of {size} pixels a side");
        let n = images.len() / (3 * size * size);
        assert!(n > 0 && n <= self.settings.batch, "a batch of {n} images");
        assert_eq!(images.len(), n * 3 * size * size, "whole images");
        n
    }

    /// The same numbers in the same order as the CPU's engine, drawn while the
    /// images are on their way.
    fn draw_dropout(
        &mut self,
        images: usize,
        probability: f64,
        seed: u64,
    ) -> Result<(), CudaError> {
        let count = images * self.head.features;
        let mut random = SplitMix64::named(seed, "dropout");
        let scale = (1.0 / (1.0 - probability)) as f32;
        let kept =
            (0..count).map(|_| match probability > 0.0 && random.uniform(0.0, 1.0) < probability {
                true => 0.0,
                false if probability > 0.0 => scale,
                false => 1.0,
            });
        self.staging.send_kept(kept, &self.head.kept)
    }

    /// Runs a step or an evaluation, recorded from the second time on: kernels
    /// are loaded by running them, which cannot be recorded.
    fn run(&mut self, size: usize, learns: bool) -> Result<(), CudaError> {
        if let Some(recorded) = self.recorded.get(&(size, learns)) {
            return recorded.repeat();
        }
        self.launch(size, learns)?;
        self.queue.finish()?;
        let queue = Arc::clone(&self.queue);
        if let Some(recorded) = queue.record(&mut || self.launch(size, learns))? {
            self.recorded.insert((size, learns), recorded);
        }
        Ok(())
    }

    fn launch(&self, size: usize, learns: bool) -> Result<(), CudaError> {
        let pass = Pass {
            queue: &*self.queue,
            precision: self.precision,
            parameters: &self.parameters,
            images: self.settings.batch,
            live: &self.live,
            training: learns && !self.settings.frozen_backbone,
            parts: &self.parts,
        };
        self.prepare(&pass)?;
        let sides = self.forward(&pass, size, learns)?;
        if learns {
            let Head { features, d_logits, pooled, .. } = &self.head;
            let classes = self.settings.classes;
            let slope = |what: &str| self.parameters.slope(&format!("classifier.1.{what}"));
            outer(&pass, d_logits, Some(pooled), slope("weight"), (classes, *features))?;
            outer(&pass, d_logits, None, slope("bias"), (classes, 1))?;
        }
        if pass.training { self.backward(&pass, size, &sides) } else { Ok(()) }
    }

    fn prepare(&self, pass: &Pass<'_>) -> Result<(), CudaError> {
        let Stem { channels, by_taps, .. } = &self.stem;
        run!(
            pass.queue,
            shapes::each("prepare_taps", 27 * channels),
            self.parameters.value("features.0.0.weight"),
            by_taps,
            Argument::NULL,
            *channels,
            27usize,
            true,
        )?;
        for block in &self.blocks {
            block.prepare(pass.queue, &self.parameters)?;
        }
        self.head.product.prepare(pass.queue, &self.parameters)
    }

    /// Returns the sides of all blocks' inputs, and of the head's.
    fn forward(&self, pass: &Pass<'_>, size: usize, learns: bool) -> Result<Vec<usize>, CudaError> {
        let Stem { channels, by_taps, norm, raw, activation, normalisation } = &self.stem;
        let (pad, mut side) = self.padding.resolve(size, 3, 2);
        run!(
            pass.queue,
            shapes::stem(pass.images * side * side, *channels),
            &self.pixels,
            Argument::NULL,
            by_taps,
            Argument::NULL,
            normalisation,
            raw,
            pass.live,
            size,
            side,
            pad,
            *channels,
            false,
        )?;
        norm.forward(pass, raw, side * side, self.momentum)?;
        norm.apply(pass, raw, None, Some(activation), None, side * side, true)?;
        let (mut x, mut sides) = (activation, vec![side]);
        for (block, y) in self.blocks.iter().zip(&self.outputs) {
            block.forward(pass, &self.workspace, (x, y), side, self.momentum)?;
            side = block.output_side(side);
            sides.push(side);
            x = y;
        }
        let head = &self.head;
        let plane = side * side;
        head.product.forward(pass, x, None, &head.raw, plane)?;
        head.norm.forward(pass, &head.raw, plane, self.momentum)?;
        let sums = Some(&self.workspace.sums);
        let tiles = head.norm.apply(pass, &head.raw, None, None, sums, plane, true)?;
        let classes = self.settings.classes;
        run!(
            pass.queue,
            shapes::flat("classifier", pass.images, 4 * (head.features + 2 * classes)),
            &self.workspace.sums,
            &head.kept,
            self.parameters.value("classifier.1.weight"),
            self.parameters.value("classifier.1.bias"),
            learns.then_some(&self.targets),
            &head.pooled,
            &head.logits,
            &head.d_logits,
            &head.constant,
            &head.losses,
            pass.live,
            head.features,
            classes,
            tiles,
            1.0 / plane as f32,
        )?;
        Ok(sides)
    }

    fn backward(&self, pass: &Pass<'_>, size: usize, sides: &[usize]) -> Result<(), CudaError> {
        let (head, [mut dy, mut dx]) = (&self.head, self.gradients.each_ref());
        let x = self.outputs.last().unwrap_or(&self.stem.activation);
        let plane = sides[self.blocks.len()].pow(2);
        let wide = &self.workspace.expanded;
        let received = Received {
            gradient: None,
            factors: None,
            constant: Some(&head.constant),
            activate: true,
        };
        head.norm.backward(pass, received, &head.raw, wide, plane)?;
        head.product.to_weights(pass, wide, x, None, plane)?;
        head.product.to_input(pass, wide, None, dy, plane)?;
        for (i, block) in self.blocks.iter().enumerate().rev() {
            let x = i.checked_sub(1).map_or(&self.stem.activation, |before| &self.outputs[before]);
            block.backward(pass, &self.workspace, (x, dy, dx), sides[i])?;
            std::mem::swap(&mut dy, &mut dx);
        }
        let Stem { channels, norm, raw, normalisation, .. } = &self.stem;
        let side = sides[0];
        norm.backward(pass, Received::plain(dy, true), raw, dy, side * side)?;
        let (pad, _) = self.padding.resolve(size, 3, 2);
        let (launch, rows, tiles) = shapes::stem_weights(pass.images, *channels, side);
        run!(
            pass.queue,
            launch,
            dy,
            &self.pixels,
            normalisation,
            pass.parts,
            pass.live,
            *channels,
            size,
            side,
            pad,
            rows,
            tiles,
        )?;
        let to = self.parameters.slope("features.0.0.weight");
        sum_parts(pass, to, Some(pass.live), tiles, 27 * channels, (27, true))
    }

    /// Names and shapes of all tensors.
    pub fn tensors(&self) -> Vec<Parameter> {
        parameters::all(&self.architecture, self.settings.classes)
    }

    /// Whether every learned value and every running statistic is finite.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    pub fn is_finite(&self) -> Result<bool, CudaError> {
        let values = self.parameters.values.floats(self.parameters.learned.count)?;
        let running = self.running()?;
        Ok(values.iter().chain(running.values().flatten()).all(|value| value.is_finite()))
    }

    /// The gradients of the last step, by name.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    pub fn gradients(&self) -> Result<BTreeMap<String, Vec<f32>>, CudaError> {
        self.parameters.learned.read(&self.parameters.gradient)
    }

    /// The running statistics of batch norm under their canonical names.
    ///
    /// # Errors
    /// [`CudaError::Lost`].
    pub fn running(&self) -> Result<BTreeMap<String, Vec<f32>>, CudaError> {
        self.parameters.statistics.read(&self.parameters.running)
    }

    /// A copy of all tensors under their canonical names.
    ///
    /// # Errors
    /// [`CudaError::Lost`]; [`CudaError::Weights`] if candle cannot allocate.
    pub fn weights(&self) -> Result<Weights, CudaError> {
        let mut weights = Weights::new();
        let mut insert = |name: &str, values: &[f32], shape: &[usize]| {
            let tensor = candle_core::Tensor::from_slice(values, shape, &candle_core::Device::Cpu)
                .map_err(WeightsError::tensor(name))?;
            weights.insert(name, tensor);
            Ok::<_, CudaError>(())
        };
        let values = self.parameters.learned.read(&self.parameters.values)?;
        for place in &self.parameters.learned.places {
            insert(&place.name, &values[&place.name], &place.shape)?;
        }
        for (name, values) in self.running()? {
            insert(&name, &values, &[values.len()])?;
        }
        Ok(weights)
    }

    /// Takes all tensors from `weights`.
    ///
    /// # Errors
    /// [`CudaError::Weights`] if they are another network's.
    pub fn load_weights(&self, weights: &Weights) -> Result<(), CudaError> {
        self.parameters.load(weights)
    }
}

/// What the largest layers need.
#[derive(Default)]
struct Most {
    wide: usize,
    gated: usize,
    narrow: usize,
    sums: usize,
    channels: usize,
    squeezed: usize,
    /// Floats of partial sums of a whole batch.
    parts: usize,
}

impl Most {
    fn norm(&mut self, images: usize, channels: usize, pixels: usize) {
        let tiles = Rows::new(channels, pixels).tiles;
        self.parts = self.parts.max(images * tiles * 2 * channels);
    }

    fn product(&mut self, m: usize, n: usize, k: usize) {
        let (_, splits) = shapes::weight_gradient(GpuPrecision::Bf16, m, n, k);
        self.parts = self.parts.max(splits * n * k);
    }
}
