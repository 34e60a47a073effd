//! Weights of a matrix product as the kernels read them: in panels of blocks
//! of output channels, and in a panel step by step of input channels.
//!
//! Nothing here computes; what the weights are folded with is the caller's.

use std::ops::Range;

use crate::{
    format::Format,
    lines::{BLOCK, Line, blocks, lines},
    pointwise::panel_widths,
};

/// Output channels of a convolution that are computed together.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Its blocks of output channels.
    pub blocks: Range<usize>,
    /// Its place in the packed weights.
    pub weights: Range<usize>,
}

/// A convolution that is a matrix product: 1×1, dense, or the stem.
#[derive(Debug)]
pub struct Product<F: Format> {
    /// Length of the sum: channels in, or taps.
    pub channels: usize,
    /// Channels out.
    outputs: usize,
    /// Blocks of channels out.
    pub blocks: usize,
    /// Its panels in order.
    pub panels: Vec<Panel>,
    weights: Vec<F::Weights>,
    bias: Vec<F::Bias>,
}

impl<F: Format> Product<F> {
    /// Packs `weights`, row-major `[outputs][channels]`.
    pub fn new(weights: &[f32], bias: &[f32], whole_lines: bool) -> Self {
        let outputs = bias.len();
        let channels = weights.len() / outputs;
        // Channels that fill up the last step weigh nothing.
        let weight = |output: usize, channel: usize| {
            let exists = output < outputs && channel < channels;
            if exists { weights[output * channels + channel] } else { 0.0 }
        };
        let of_block = |block: usize, channel: usize| {
            Line(std::array::from_fn(|lane| weight(block * BLOCK + lane, channel)))
        };
        let (bias, units): (Vec<_>, Vec<_>) = (lines(bias).into_iter().enumerate())
            .map(|(block, bias)| F::bias(bias, (0..channels).map(move |c| of_block(block, c))))
            .unzip();
        let steps = channels.div_ceil(F::STEP);
        let mut packed = Vec::with_capacity(steps * blocks(outputs));
        let mut first = 0;
        let panels = panel_widths(blocks(outputs), whole_lines)
            .into_iter()
            .map(|width| {
                let panel = first..first + width;
                let start = packed.len();
                for step in 0..steps {
                    for block in panel.clone() {
                        let channels = step * F::STEP..(step + 1) * F::STEP;
                        let channels: Vec<_> = channels.map(|c| of_block(block, c)).collect();
                        packed.push(F::pack(&channels, &units[block]));
                    }
                }
                first += width;
                Panel { blocks: panel, weights: start..packed.len() }
            })
            .collect();
        Self { channels, outputs, blocks: blocks(outputs), panels, weights: packed, bias }
    }

    /// The weights of a panel, `[⌈channels / STEP⌉][panel blocks]`.
    pub fn weights(&self, panel: &Panel) -> &[F::Weights] {
        &self.weights[panel.weights.clone()]
    }

    /// The weights of all panels.
    pub fn all_weights(&self) -> &[F::Weights] {
        &self.weights
    }

    /// The bias of a panel.
    pub fn bias(&self, panel: &Panel) -> &[F::Bias] {
        &self.bias[panel.blocks.clone()]
    }

    /// Channels out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiplications over so many pixels, in pairs with additions.
    pub fn multiply_adds(&self, pixels: usize) -> usize {
        self.channels * self.outputs * pixels
    }
}
