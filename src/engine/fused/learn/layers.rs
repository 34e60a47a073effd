//! The layers of a network with their buffers, in one format of what is kept:
//! forward and backward over a batch.

use rayon::prelude::*;

use super::block::{Block, BlockInput};
use super::context::{Context, Workspace};
use super::conv::Conv;
use super::gradient_sum::Partials;
use super::groups::{Scratches, groups};
use super::head::Head;
use super::norm::Norm;
use super::parameter::Parameters;
use super::profile::{Clock, Part};
use super::stem::Taps;
use super::{Settings, StepOutput};
use crate::model::architecture::{Architecture, Padding};
use crate::model::seeded::SplitMix64;
use crate::model::weights::{Weights, WeightsError};
use hiwl_kernels::train::{Buffer, Cpu, Element, padded};

/// Blocks, head, and what is kept of a batch.
pub(super) struct Layers<E: Element> {
    padding: Padding,
    dropout: f64,
    cpu: Cpu,
    own: E::Runner,
    blocks: Vec<Block<E>>,
    /// Outputs of the blocks.
    outputs: Vec<Buffer>,
    head: Head<E>,
    /// Gradients of block outputs, in turns.
    gradients: [Buffer; 2],
    workspace: Workspace<E>,
    scratches: Scratches,
}

impl<E: Element> Layers<E> {
    /// Takes the parameters from `weights` into `parameters`.
    pub(super) fn new(
        (cpu, own): (Cpu, E::Runner),
        architecture: &Architecture,
        weights: &Weights,
        settings: &Settings,
        parameters: &mut Parameters,
    ) -> Result<Self, WeightsError> {
        let &Settings { classes, batch, max_size, .. } = settings;
        let (eps, padding) = (architecture.bn_eps, architecture.padding);
        let layers = architecture.layers();
        let p = parameters;

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
        let [expanded, gated, narrow] = largest.map(|stride| batch * stride);
        Ok(Self {
            padding,
            dropout: architecture.dropout,
            cpu,
            own,
            blocks,
            outputs,
            head,
            gradients: [Buffer::zeros(narrow), Buffer::zeros(narrow)],
            workspace: Workspace {
                gated: Buffer::zeros(gated),
                expanded: Buffer::zeros(expanded),
                partials: Partials::new(partial),
            },
            scratches: Scratches::default(),
        })
    }

    /// See [`TrainNetwork::step`](super::TrainNetwork::step).
    pub(super) fn step(
        &mut self,
        clock: &mut Clock,
        parameters: &mut Parameters,
        settings: &Settings,
        (images, n, size): (&[u8], usize, usize),
        targets: &[f32],
        seed: u64,
    ) -> StepOutput {
        let training = !settings.frozen_backbone;
        self.draw_branches(n, if training { settings.stochastic_depth } else { 0.0 }, seed);
        let taps = Taps::new(images, size, self.padding, settings.normalisation);
        let groups = groups(n);
        let dropout = Some((self.dropout, seed));
        self.forward(clock, parameters, &taps, &groups, training, dropout);

        let Self { cpu, own, workspace, head, scratches, .. } = self;
        let (cpu, own, groups, scratches) = (*cpu, *own, &groups, &*scratches);
        let context = Context { cpu, own, groups, images: n, training, scratches };
        let loss = head.loss(&context, parameters, workspace, (&settings.loss, targets));
        clock.lap(Part::HeadBackward);
        if training {
            self.backward(clock, parameters, &taps, groups, n);
        }
        StepOutput { loss, logits: self.head.take_logits(n) }
    }

    /// See [`TrainNetwork::evaluate`](super::TrainNetwork::evaluate).
    pub(super) fn evaluate(
        &mut self,
        clock: &mut Clock,
        parameters: &Parameters,
        settings: &Settings,
        (images, n, size): (&[u8], usize, usize),
    ) -> Vec<f32> {
        self.draw_branches(n, 0.0, 0);
        let taps = Taps::new(images, size, self.padding, settings.normalisation);
        self.forward(clock, parameters, &taps, &groups(n), false, None);
        self.head.take_logits(n)
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
        clock: &mut Clock,
        parameters: &Parameters,
        taps: &Taps<'_>,
        groups: &[std::ops::Range<usize>],
        training: bool,
        dropout: Option<(f64, u64)>,
    ) {
        self.scratches.provide();
        clock.start();
        let Self { cpu, own, blocks, outputs, head, scratches, .. } = self;
        blocks.par_iter_mut().for_each(|block| block.pack(parameters));
        head.pack(parameters);
        clock.lap(Part::Pack);
        let images = groups.last().map_or(0, |group| group.end);
        let (cpu, own, scratches) = (*cpu, *own, &*scratches);
        let context = Context { cpu, own, groups, images, training, scratches };
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

    fn backward(
        &mut self,
        clock: &mut Clock,
        parameters: &mut Parameters,
        taps: &Taps<'_>,
        groups: &[std::ops::Range<usize>],
        images: usize,
    ) {
        let Self { cpu, own, blocks, outputs, head, workspace, scratches, .. } = self;
        let (cpu, own, scratches) = (*cpu, *own, &*scratches);
        let context = Context { cpu, own, groups, images, training: true, scratches };
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

    /// The norms in order.
    pub(super) fn norms(&self) -> Vec<&Norm> {
        self.blocks.iter().flat_map(Block::norms).chain([&self.head.conv.norm]).collect()
    }

    /// The same, to change them.
    pub(super) fn norms_mut(&mut self) -> Vec<&mut Norm> {
        let head = std::iter::once(&mut self.head.conv.norm);
        self.blocks.iter_mut().flat_map(Block::norms_mut).chain(head).collect()
    }
}
