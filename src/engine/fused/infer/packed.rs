//! Weights as the kernels read them: batch norm folded into the convolution
//! before it, cut into panels and blocks.
//!
//! Kernels compute `silu2`, which takes −x/ln 2 for x
//! and gives −silu(x)/ln 2. So a tensor before or after SiLU is held times
//! [`HELD`], and each layer's weights are multiplied by what its output is
//! held times over what its input is held times.
//!
//! Folding is done in f64, so that all of it is one rounding. Nothing here runs
//! a layer.

use std::ops::Range;

use hiwl_kernels::{BLOCK, F32, Format, Line, Product, Ring, blocks, lines, panel_widths};

use super::profile::{LayerKind, LayerTimes};
use crate::model::{
    architecture::{Architecture, Layers, MbConv},
    weights::{Weights, WeightsError},
};

/// Bytes of L2 that a ring of expanded rows may take: with the input and the
/// weights of a panel beside it, it has to stay in 1 MiB (and in half of that
/// it is no slower).
const RING_BYTES: usize = 256 << 10;

/// What tensors before and after SiLU are held times.
const HELD: f64 = -std::f64::consts::LOG2_E;

/// What gives back the values of a tensor that is held times [`HELD`].
pub(super) const RELEASED: f32 = (1.0 / HELD) as f32;

/// What other tensors are held times.
const PLAIN: f64 = 1.0;

/// A projection, whose input is multiplied by a factor a channel: in its
/// weights or in its pixels, whichever are fewer; in pixels that are prepared anyway.
#[derive(Debug)]
pub(super) struct Projection<F: Format> {
    /// The convolution.
    pub product: Product<F>,
    /// Where factors go into the weights: the weights in f32,
    /// `[channels][panel blocks]` a panel, channels filled up to a step.
    scaled: Option<Product<F32>>,
}

impl<F: Format> Projection<F> {
    fn new(weights: &[f32], bias: &[f32], pixels: usize, whole_lines: bool) -> Self {
        let product = Product::new(weights, bias, whole_lines);
        let into_weights = !F::PREPARES && pixels > product.blocks * BLOCK;
        let scaled = into_weights.then(|| {
            let channels = product.channels;
            let padded: Vec<f32> = weights
                .chunks_exact(channels)
                .flat_map(|row| {
                    let filled = channels.next_multiple_of(F::STEP) - channels;
                    row.iter().copied().chain(std::iter::repeat_n(0.0, filled))
                })
                .collect();
            Product::new(&padded, bias, whole_lines)
        });
        Self { product, scaled }
    }

    /// The panel's weights in f32, if factors go into them.
    pub fn scaled(&self, panel: usize) -> Option<&[Line]> {
        self.scaled.as_ref().map(|product| product.weights(&product.panels[panel]))
    }

    /// GpuPrecision of the weights, if factors go into them.
    pub fn scaled_weights(&self) -> usize {
        self.scaled.as_ref().map_or(0, |_| self.product.all_weights().len())
    }
}

/// A depthwise convolution with the planes it runs over.
#[derive(Debug)]
pub(super) struct DepthwiseLayer {
    /// Side of the kernel.
    pub kernel: usize,
    /// 1 or 2.
    pub stride: usize,
    /// Zero rows above and columns left.
    pub pad: usize,
    /// Side of the input plane.
    pub input: usize,
    /// Side of the output plane.
    pub output: usize,
    /// Blocks of channels.
    pub blocks: usize,
    /// The ring its input rows pass through.
    pub ring: Ring,
    /// Output rows computed at a time.
    pub strip: usize,
    /// Blocks computed together.
    pub panels: Vec<Range<usize>>,
    weights: Vec<Line>,
    bias: Vec<Line>,
}

impl DepthwiseLayer {
    fn new(
        layer: &MbConv,
        (pad, input, output): (usize, usize, usize),
        weights: &[f32],
        bias: &[f32],
        panels: Vec<Range<usize>>,
    ) -> Self {
        let &MbConv { kernel, stride, expanded, .. } = layer;
        let taps = kernel * kernel;
        let packed = (0..blocks(expanded))
            .flat_map(|block| (0..taps).map(move |tap| (block, tap)))
            .map(|(block, tap)| {
                Line(std::array::from_fn(|lane| {
                    let channel = block * BLOCK + lane;
                    weights.get(channel * taps + tap).copied().unwrap_or(0.0)
                }))
            })
            .collect();
        let width = (pad + input).max((output - 1) * stride + kernel);
        let widest = panels.iter().map(Range::len).max().unwrap_or(1);
        let row_bytes = width * widest * size_of::<Line>();
        let strip = (RING_BYTES / row_bytes).saturating_sub(kernel) / stride;
        let strip = strip.clamp(1, output);
        let rows = ((strip - 1) * stride + kernel).min(input);
        Self {
            kernel,
            stride,
            pad,
            input,
            output,
            blocks: blocks(expanded),
            ring: Ring { rows, width, pad_left: pad },
            strip,
            panels,
            weights: packed,
            bias: lines(bias),
        }
    }

    /// The weights of a panel, `[panel blocks][kernel²]`.
    pub fn weights(&self, panel: &Range<usize>) -> &[Line] {
        let taps = self.kernel * self.kernel;
        &self.weights[panel.start * taps..panel.end * taps]
    }

    /// The bias of a panel.
    pub fn bias(&self, panel: &Range<usize>) -> &[Line] {
        &self.bias[panel.clone()]
    }

    /// How many strips there are.
    pub fn strips(&self) -> usize {
        self.output.div_ceil(self.strip)
    }

    /// The output rows of strips.
    pub fn rows(&self, strips: &Range<usize>) -> Range<usize> {
        strips.start * self.strip..(strips.end * self.strip).min(self.output)
    }

    /// Lines of the ring for the widest panel.
    pub fn ring_lines(&self) -> usize {
        self.panels.iter().map(Range::len).max().unwrap_or(0) * self.ring.block()
    }

    /// The input rows that output rows need.
    pub fn input_rows(&self, output: &Range<usize>) -> Range<usize> {
        let from = (output.start * self.stride).saturating_sub(self.pad);
        let to = ((output.end - 1) * self.stride + self.kernel).saturating_sub(self.pad);
        from..to.min(self.input)
    }
}

/// An inverted-bottleneck block.
#[derive(Debug)]
pub(super) struct BlockLayers<F: Format> {
    /// Blocks of input channels.
    pub input_blocks: usize,
    /// 1×1, where the block expands.
    pub expand: Option<Product<F>>,
    /// The depthwise convolution.
    pub depthwise: DepthwiseLayer,
    /// Expanded to squeezed channels.
    pub squeeze: Product<F32>,
    /// Squeezed to expanded channels.
    pub excite: Product<F32>,
    /// 1×1 to the block's output.
    pub project: Projection<F>,
    /// Whether the input is added to the output.
    pub residual: bool,
    /// Whether the output is kept in f32 too, for the next block's residual.
    pub keeps_wide: bool,
}

impl<F: Format> BlockLayers<F> {
    /// Cells of the block's output, of one image.
    pub fn output_cells(&self) -> usize {
        self.project.product.blocks * self.depthwise.output.pow(2)
    }
}

/// The stem with the planes it runs over.
#[derive(Debug)]
pub(super) struct StemLayer {
    /// 3×3 as a product over 27 taps, `[ky][kx][colour]`.
    pub product: Product<F32>,
    /// Zero rows above and columns left.
    pub pad: usize,
    /// Side of the image.
    pub input: usize,
    /// Side of the output plane.
    pub output: usize,
}

impl StemLayer {
    /// Values of a padded row of pixels.
    pub fn row_values(&self) -> usize {
        3 * (self.pad + self.input).max((self.output - 1) * 2 + 3)
    }
}

/// A whole network.
#[derive(Debug)]
pub(super) struct NetworkLayers<F: Format> {
    /// Pixels to channels.
    pub stem: StemLayer,
    /// The blocks in order.
    pub blocks: Vec<BlockLayers<F>>,
    /// 1×1 to features.
    pub head: Product<F>,
    /// Features to logits.
    pub classifier: Product<F32>,
    /// Side of the planes the head runs over.
    pub side: usize,
}

/// Takes tensors from `weights` and packs them.
struct Packer<'a> {
    weights: &'a Weights,
    eps: f64,
    whole_lines: bool,
}

impl<F: Format> NetworkLayers<F> {
    /// Folds and packs all weights. `whole_lines` says that vectors are as
    /// long as a line.
    pub fn new(
        architecture: &Architecture,
        classes: usize,
        size: usize,
        weights: &Weights,
        whole_lines: bool,
    ) -> Result<Self, WeightsError> {
        assert!(size > 0 && classes > 0, "an image has pixels and a network classes");
        let Layers { stem: stem_channels, blocks: mb_convs, head_prefix, features } =
            architecture.layers();
        let packer = Packer { weights, eps: architecture.bn_eps, whole_lines };
        let (pad, mut side) = architecture.padding.resolve(size, 3, 2);
        let stem =
            StemLayer { product: packer.stem(stem_channels)?, pad, input: size, output: side };
        let (mut last, mut held) = (stem_channels, HELD);
        let mut packed: Vec<BlockLayers<F>> = Vec::with_capacity(mb_convs.len());
        for layer in &mb_convs {
            let (pad, output) = architecture.padding.resolve(side, layer.kernel, layer.stride);
            if let Some(before) = packed.last_mut() {
                before.keeps_wide = F::WIDE && layer.residual();
            }
            packed.push(packer.block(layer, (pad, side, output), held)?);
            (side, last) = (output, layer.output);
            held = if layer.residual() { held } else { PLAIN };
        }
        let (values, bias) = packer.folded(&head_prefix, &[features, last, 1, 1], (held, HELD))?;
        let head = Product::new(&values, &bias, whole_lines);
        let classifier = packer.biased("classifier.1", &[classes, features], (HELD, PLAIN))?;
        Ok(Self { stem, blocks: packed, head, classifier, side })
    }

    /// Whether the first block takes the stem's rows as they are made, so that
    /// the stem's output never reaches memory.
    pub fn takes_in_stem(&self) -> bool {
        self.blocks.first().is_some_and(|first| first.expand.is_none() && !first.residual)
    }

    /// Adds the arithmetic of so many images.
    pub fn count_multiply_adds(&self, times: &mut LayerTimes, images: usize) {
        let mut count = |kind, multiply_adds| times.count(kind, images * multiply_adds);
        count(LayerKind::Stem, self.stem.product.multiply_adds(self.stem.output.pow(2)));
        for block in &self.blocks {
            let layer = &block.depthwise;
            let (input, output) = (layer.input.pow(2), layer.output.pow(2));
            if let Some(expand) = &block.expand {
                count(LayerKind::Expand, expand.multiply_adds(input));
            }
            count(LayerKind::Depthwise, block.squeeze.channels * layer.kernel.pow(2) * output);
            let dense = block.squeeze.multiply_adds(1) + block.excite.multiply_adds(1);
            count(LayerKind::SqueezeExcite, dense);
            count(LayerKind::Project, block.project.product.multiply_adds(output));
        }
        let dense = self.classifier.multiply_adds(1);
        count(LayerKind::Head, self.head.multiply_adds(self.side.pow(2)) + dense);
    }
}

impl Packer<'_> {
    /// Weights (in their own order) and bias of a convolution with the batch
    /// norm after it folded in: `w γ/√(σ²+ε)` and `β − µ γ/√(σ²+ε)`, for what
    /// input and output are held times.
    fn folded(
        &self,
        prefix: &str,
        shape: &[usize],
        (input, output): (f64, f64),
    ) -> Result<(Vec<f32>, Vec<f32>), WeightsError> {
        let mut values = self.weights.values(&format!("{prefix}.0.weight"), shape)?;
        let of_norm = |what: &str| -> Result<Vec<f32>, WeightsError> {
            self.weights.values(&format!("{prefix}.1.{what}"), &shape[..1])
        };
        let (gamma, beta) = (of_norm("weight")?, of_norm("bias")?);
        let (mean, variance) = (of_norm("running_mean")?, of_norm("running_var")?);
        let per_channel = values.len() / shape[0];
        let mut bias = Vec::with_capacity(shape[0]);
        for (channel, values) in values.chunks_mut(per_channel).enumerate() {
            let scale =
                f64::from(gamma[channel]) / (f64::from(variance[channel]) + self.eps).sqrt();
            for value in values {
                *value = (f64::from(*value) * scale * output / input) as f32;
            }
            let shift = f64::from(beta[channel]) - f64::from(mean[channel]) * scale;
            bias.push((shift * output) as f32);
        }
        Ok((values, bias))
    }

    fn stem(&self, channels: usize) -> Result<Product<F32>, WeightsError> {
        let (values, bias) = self.folded("features.0", &[channels, 3, 3, 3], (PLAIN, HELD))?;
        // From [output][colour][ky][kx] to [output][ky][kx][colour].
        let reordered: Vec<f32> = (0..values.len())
            .map(|i| {
                let (output, tap, colour) = (i / 27, i % 27 / 3, i % 3);
                values[output * 27 + colour * 9 + tap]
            })
            .collect();
        Ok(Product::new(&reordered, &bias, self.whole_lines))
    }

    /// A 1×1 convolution with bias and without batch norm, or a dense layer.
    fn biased(
        &self,
        prefix: &str,
        shape: &[usize],
        (input, output): (f64, f64),
    ) -> Result<Product<F32>, WeightsError> {
        let times = |name: &str, shape: &[usize], factor: f64| -> Result<Vec<f32>, WeightsError> {
            let mut values = self.weights.values(&format!("{prefix}.{name}"), shape)?;
            values.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
            Ok(values)
        };
        let values = times("weight", shape, output / input)?;
        let bias = times("bias", &shape[..1], output)?;
        Ok(Product::new(&values, &bias, self.whole_lines))
    }

    /// A block with its planes; its input, and what comes out by the
    /// residual, is held times `held`.
    fn block<F: Format>(
        &self,
        layer: &MbConv,
        sides: (usize, usize, usize),
        held: f64,
    ) -> Result<BlockLayers<F>, WeightsError> {
        let &MbConv { input, expanded, squeezed, output, kernel, .. } = layer;
        let mut depthwise_input = held;
        let expand = match layer.expand_prefix() {
            None => None,
            Some(prefix) => {
                let shape = [expanded, input, 1, 1];
                let (values, bias) = self.folded(&prefix, &shape, (held, HELD))?;
                depthwise_input = HELD;
                Some(Product::new(&values, &bias, self.whole_lines))
            }
        };
        let mut first = 0;
        let panels = panel_widths(blocks(expanded), self.whole_lines)
            .into_iter()
            .map(|width| {
                first += width;
                first - width..first
            })
            .collect();
        let (prefix, shape) = (layer.depthwise_prefix(), [expanded, 1, kernel, kernel]);
        let (values, bias) = self.folded(&prefix, &shape, (depthwise_input, HELD))?;
        let depthwise = DepthwiseLayer::new(layer, sides, &values, &bias, panels);
        let prefix = layer.se_prefix();
        let (fc1, fc2) = (format!("{prefix}.fc1"), format!("{prefix}.fc2"));
        let squeeze = self.biased(&fc1, &[squeezed, expanded, 1, 1], (HELD, HELD))?;
        // `sigmoid2` takes what `silu2` takes.
        let excite = self.biased(&fc2, &[expanded, squeezed, 1, 1], (HELD, HELD))?;
        let (prefix, shape) = (layer.project_prefix(), [output, expanded, 1, 1]);
        let project_output = if layer.residual() { held } else { PLAIN };
        let (values, bias) = self.folded(&prefix, &shape, (HELD, project_output))?;
        let project = Projection::new(&values, &bias, sides.2.pow(2), self.whole_lines);
        let (input_blocks, residual) = (blocks(input), layer.residual());
        Ok(BlockLayers {
            input_blocks,
            expand,
            depthwise,
            squeeze,
            excite,
            project,
            residual,
            keeps_wide: false,
        })
    }
}
