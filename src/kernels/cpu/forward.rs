//! The walk of images through the layers.
//!
//! A block runs panel by panel of its expanded channels: rows of the panel are
//! expanded into a ring that stays in cache, the depthwise convolution eats
//! them at once, and only its output reaches a buffer. Once its means are
//! known, squeeze and excite gives a factor a channel, which goes into the
//! projection's weights or its input, whichever are fewer.
//!
//! Layers of large planes take images one by one; where planes are small and
//! weights large, a group of images passes a panel of weights together, so
//! that weights come from memory once a group. Neither changes anything in an
//! image's arithmetic.

use std::ops::Range;

use super::{
    backend::Runner,
    depthwise::Depthwise,
    elementwise::{Mean, ScalePixels, ScaleWeights, Sigmoid2},
    lines::{BLOCK, Line, blocks},
    packed::{BlockLayers, DepthwiseLayer, NetworkLayers, Product},
    pixels::Pixels,
    pointwise::Pointwise,
    profile::{Clock, LayerKind},
    scratch::Scratch,
    stem::Stem,
};

/// Images that share a pass over the weights of the late layers.
pub(super) const GROUP: usize = 4;

/// Pixels of an input plane from which on images go one by one.
const ALONE_PIXELS: usize = 128;

/// Most blocks in a panel.
const WIDEST: usize = 4;

/// How many blocks images pass one by one: those of large planes, and always
/// the first, which takes in the stem.
pub(super) fn blocks_alone(layers: &NetworkLayers) -> usize {
    let large = |block: &&BlockLayers| block.depthwise.input.pow(2) >= ALONE_PIXELS;
    layers.blocks.iter().take_while(large).count().max(1)
}

/// Where a block's input comes from.
enum Source<'a> {
    /// From the stem of one image, row by row as it is needed.
    Stem(Pixels<'a>),
    /// From memory, one plane a channel block and image.
    Planes(&'a [Line]),
}

/// What a walk needs besides its scratch.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    /// The packed layers.
    pub layers: &'a NetworkLayers,
    /// What runs the kernels.
    pub runner: Runner,
    /// Pixels are `byte · scale + shift`, by colour.
    pub scale: &'a [f32; 3 * BLOCK],
    /// See `scale`.
    pub shift: &'a [f32; 3 * BLOCK],
}

impl Walk<'_> {
    /// Logits of up to [`GROUP`] images.
    pub(super) fn run<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch,
        images: &[&[u8]],
        logits: &mut [f32],
    ) {
        let (alone, together) = self.layers.blocks.split_at(blocks_alone(self.layers));
        let size = alone.last().map_or(0, |block| block.output_lines());
        for (i, bytes) in images.iter().enumerate() {
            self.alone(clock, scratch, alone, bytes);
            scratch.gathered[i * size..][..size].copy_from_slice(&scratch.input[..size]);
        }
        std::mem::swap(&mut scratch.input, &mut scratch.gathered);
        for block in together {
            let input = std::mem::take(&mut scratch.input);
            self.block(clock, scratch, block, images.len(), Source::Planes(&input));
            scratch.input = std::mem::replace(&mut scratch.output, input);
        }
        let input = std::mem::take(&mut scratch.input);
        clock.measure(LayerKind::Head, || self.head(scratch, &input, images.len(), logits));
        scratch.input = input;
    }

    /// The stem and the blocks that one image passes alone, into
    /// `scratch.input`.
    fn alone<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch,
        blocks: &[BlockLayers],
        bytes: &[u8],
    ) {
        let mut values = std::mem::take(&mut scratch.pixels);
        let mut image = Pixels::new(self, bytes, &mut values);
        let mut rest = blocks;
        match blocks.split_first() {
            Some((first, others)) if first.expand.is_none() && !first.residual => {
                self.block(clock, scratch, first, 1, Source::Stem(image));
                rest = others;
            }
            _ => clock.measure(LayerKind::Stem, || {
                let side = self.layers.stem.output;
                for panel in 0..self.layers.stem.product.panels.len() {
                    let start = self.layers.stem.product.panels[panel].blocks.start;
                    let output = &mut scratch.output[start * side * side..];
                    for y in 0..side {
                        let output = &mut output[y * side..];
                        self.stem_row(&mut image, panel, y, output, side * side);
                    }
                }
            }),
        }
        std::mem::swap(&mut scratch.input, &mut scratch.output);
        scratch.pixels = values;
        for block in rest {
            let input = std::mem::take(&mut scratch.input);
            self.block(clock, scratch, block, 1, Source::Planes(&input));
            scratch.input = std::mem::replace(&mut scratch.output, input);
        }
    }

    /// One inverted-bottleneck block, into `scratch.output`.
    fn block<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch,
        block: &BlockLayers,
        images: usize,
        mut source: Source<'_>,
    ) {
        let layer = &block.depthwise;
        let plane = layer.output.pow(2);
        let (input_image, image) = (block.input_blocks * layer.input.pow(2), layer.blocks * plane);
        for (p, panel) in layer.panels.iter().enumerate() {
            let ring = &mut scratch.ring[..panel.len() * layer.ring.block()];
            clear_padding(layer, ring);
            for i in 0..images {
                let output = &mut scratch.expanded[i * image..][..image];
                let output = &mut output[panel.start * plane..panel.end * plane];
                let mut pool = [Line::ZERO; WIDEST];
                let mut done = 0;
                for start in (0..layer.output).step_by(layer.strip) {
                    let rows = start..(start + layer.strip).min(layer.output);
                    let needed = layer.input_rows(&rows).end;
                    while done < needed {
                        let to_wrap = layer.ring.rows - done % layer.ring.rows;
                        let fill = done..needed.min(done + to_wrap);
                        done = fill.end;
                        match &mut source {
                            Source::Stem(image) => clock.measure(LayerKind::Stem, || {
                                for y in fill {
                                    let row = &mut ring[layer.ring.start(y)..];
                                    self.stem_row(image, p, y, row, layer.ring.block());
                                }
                            }),
                            Source::Planes(planes) => clock.measure(LayerKind::Expand, || {
                                let input = &planes[i * input_image..][..input_image];
                                self.fill(block, p, input, fill, ring);
                            }),
                        }
                    }
                    clock.measure(LayerKind::Depthwise, || {
                        self.runner.run(Depthwise {
                            input: ring,
                            ring: layer.ring,
                            height: layer.input,
                            pad_top: layer.pad,
                            kernel: layer.kernel,
                            stride: layer.stride,
                            weights: layer.weights(panel),
                            bias: layer.bias(panel),
                            output,
                            output_block: plane,
                            output_width: layer.output,
                            rows,
                            pool: &mut pool[..panel.len()],
                        });
                    });
                }
                for (b, sum) in panel.clone().zip(pool) {
                    scratch.pool[b * images + i] = Line(sum.0.map(|sum| sum / plane as f32));
                }
            }
        }
        clock.measure(LayerKind::SqueezeExcite, || self.squeeze_excite(scratch, block, images));
        let residual = match &source {
            Source::Planes(planes) if block.residual => Some(*planes),
            _ => None,
        };
        clock.measure(LayerKind::Project, || self.project(scratch, block, images, residual));
    }

    /// Rows `y` of one panel of a block's expansion, into the ring.
    fn fill(
        &self,
        block: &BlockLayers,
        panel: usize,
        input: &[Line],
        y: Range<usize>,
        ring: &mut [Line],
    ) {
        let layer = &block.depthwise;
        let (side, plane) = (layer.input, layer.input.pow(2));
        let start = layer.ring.start(y.start);
        let Some(expand) = &block.expand else {
            for (b, block) in layer.panels[panel].clone().enumerate() {
                for (row, y) in y.clone().enumerate() {
                    let to = b * layer.ring.block() + start + row * layer.ring.width;
                    let from = block * plane + y * side;
                    ring[to..to + side].copy_from_slice(&input[from..from + side]);
                }
            }
            return;
        };
        let panel = &expand.panels[panel];
        self.runner.run(Pointwise {
            input: &input[y.start * side..],
            input_block: plane,
            channels: expand.channels,
            weights: expand.weights(panel),
            bias: expand.bias(panel),
            residual: None,
            output: &mut ring[start..],
            output_block: layer.ring.block(),
            output_row: layer.ring.width,
            rows: y.len(),
            width: side,
            silu2: true,
        });
    }

    /// Factors of the expanded channels, from their means in `scratch.pool`.
    fn squeeze_excite(&self, scratch: &mut Scratch, block: &BlockLayers, images: usize) {
        let Scratch { pool, squeezed, factors, .. } = scratch;
        self.dense(&block.squeeze, images, pool, squeezed, true);
        self.dense(&block.excite, images, squeezed, factors, false);
        self.runner.run(Sigmoid2(&mut factors[..block.excite.blocks * images]));
    }

    /// A product on one vector an image, `[blocks][images]`.
    fn dense(
        &self,
        product: &Product,
        images: usize,
        input: &[Line],
        output: &mut [Line],
        silu2: bool,
    ) {
        for panel in &product.panels {
            self.runner.run(Pointwise {
                input,
                input_block: images,
                channels: product.channels,
                weights: product.weights(panel),
                bias: product.bias(panel),
                residual: None,
                output: &mut output[panel.blocks.start * images..],
                output_block: images,
                output_row: images,
                rows: 1,
                width: images,
                silu2,
            });
        }
    }

    /// The projection of `scratch.expanded` times its factors, into
    /// `scratch.output`.
    fn project(
        &self,
        scratch: &mut Scratch,
        block: &BlockLayers,
        images: usize,
        residual: Option<&[Line]>,
    ) {
        let (layer, product) = (&block.depthwise, &block.project);
        let plane = layer.output.pow(2);
        let (input_image, output_image) = (layer.blocks * plane, product.blocks * plane);
        let Scratch { expanded, factors, weights, output, .. } = scratch;
        let scale_weights = plane > product.blocks * BLOCK;
        if !scale_weights {
            for i in 0..images {
                let planes = expanded[i * input_image..][..input_image].chunks_exact_mut(plane);
                for (b, pixels) in planes.enumerate() {
                    let factors = &factors[b * images + i];
                    self.runner.run(ScalePixels { pixels, factors });
                }
            }
        }
        for panel in &product.panels {
            let packed = product.weights(panel);
            for i in 0..images {
                let weights = if scale_weights {
                    self.runner.run(ScaleWeights {
                        weights: packed,
                        panel: panel.blocks.len(),
                        factors: &factors[i..],
                        step: images,
                        output: &mut weights[..packed.len()],
                    });
                    &weights[..packed.len()]
                } else {
                    packed
                };
                let start = i * output_image + panel.blocks.start * plane;
                let end = start + panel.blocks.len() * plane;
                self.runner.run(Pointwise {
                    input: &expanded[i * input_image..][..input_image],
                    input_block: plane,
                    channels: product.channels,
                    weights,
                    bias: product.bias(panel),
                    residual: residual.map(|planes| &planes[start..end]),
                    output: &mut output[start..end],
                    output_block: plane,
                    output_row: plane,
                    rows: 1,
                    width: plane,
                    silu2: false,
                });
            }
        }
    }

    /// The last convolution, the mean over pixels and the classifier.
    fn head(&self, scratch: &mut Scratch, input: &[Line], images: usize, logits: &mut [f32]) {
        let (head, classifier) = (&self.layers.head, &self.layers.classifier);
        let plane = self.layers.side.pow(2);
        let image = blocks(head.channels) * plane;
        for panel in &head.panels {
            for i in 0..images {
                let features = &mut scratch.ring[..panel.blocks.len() * plane];
                self.runner.run(Pointwise {
                    input: &input[i * image..][..image],
                    input_block: plane,
                    channels: head.channels,
                    weights: head.weights(panel),
                    bias: head.bias(panel),
                    residual: None,
                    output: features,
                    output_block: plane,
                    output_row: plane,
                    rows: 1,
                    width: plane,
                    silu2: true,
                });
                for (b, pixels) in panel.blocks.clone().zip(features.chunks_exact(plane)) {
                    let output = &mut scratch.pool[b * images + i];
                    self.runner.run(Mean { pixels, output });
                }
            }
        }
        let Scratch { pool, squeezed, .. } = scratch;
        self.dense(classifier, images, pool, squeezed, false);
        let classes = logits.len() / images;
        for (i, logits) in logits.chunks_exact_mut(classes).enumerate() {
            for (b, logits) in logits.chunks_mut(BLOCK).enumerate() {
                logits.copy_from_slice(&squeezed[b * images + i].0[..logits.len()]);
            }
        }
    }

    /// Row `y` of one panel of the stem, its blocks `output_block` apart.
    fn stem_row(
        &self,
        image: &mut Pixels<'_>,
        panel: usize,
        y: usize,
        output: &mut [Line],
        output_block: usize,
    ) {
        let stem = &self.layers.stem;
        let top = 2 * y;
        image.advance((top + 3).saturating_sub(stem.pad).min(stem.input), y == 0);
        let panel = &stem.product.panels[panel];
        self.runner.run(Stem {
            rows: [0, 1, 2].map(|tap| image.row((top + tap).checked_sub(stem.pad))),
            weights: stem.product.weights(panel),
            bias: stem.product.bias(panel),
            output,
            output_block,
            width: stem.output,
        });
    }
}

/// Zeros left and right of the rows of a ring.
fn clear_padding(layer: &DepthwiseLayer, ring: &mut [Line]) {
    let right = layer.ring.pad_left + layer.input;
    for row in ring.chunks_exact_mut(layer.ring.width) {
        row[..layer.ring.pad_left].fill(Line::ZERO);
        row[right..].fill(Line::ZERO);
    }
}
