//! The inverted-bottleneck block: rows of a panel of channels are expanded
//! into a ring that stays in cache, the depthwise convolution eats them at
//! once, and only its output reaches a buffer. Once its means are known,
//! squeeze and excite gives a factor a channel, which goes into the
//! projection's weights or its input, whichever are fewer.
//!
//! A team of threads cuts the first half into panels, and these into strips
//! of rows; the second into panels and runs of pixels. Sums are kept a strip
//! and added in the order of strips, so that they do not depend on the cut.

use std::ops::Range;

use hiwl_kernels::{Depthwise, Format, Launch, Line, Output, PlanesMut, Pointwise, ScaleWeights};

use super::{
    forward::ForwardPass,
    packed::{BlockLayers, DepthwiseLayer},
    pixels::Pixels,
    profile::{Clock, LayerKind},
    scratch::{Operands, RowScratch, Scratch},
};

/// Fewest pixels that are worth a thread.
const FEWEST_PIXELS: usize = 16;

/// Where a block's input comes from.
#[derive(Clone, Copy)]
pub(super) enum BlockInput<'a, F: Format> {
    /// From the stem of one image (interleaved RGB), row by row as it is
    /// needed.
    Stem(&'a [u8]),
    /// From memory, one plane a channel block and image.
    Planes {
        /// As they are held.
        cells: &'a [F::Cell],
        /// As an expansion multiplies them.
        operands: Operands<'a, F>,
    },
}

impl<F: Format> BlockInput<'_, F> {
    /// Of one of the images, of so many blocks of `plane` pixels.
    fn image(self, image: usize, blocks: usize, plane: usize) -> Self {
        match self {
            Self::Planes { cells, operands } => Self::Planes {
                cells: &cells[image * blocks * plane..],
                operands: operands.image(image, blocks, plane),
            },
            stem @ Self::Stem(_) => stem,
        }
    }
}

/// Expansion and depthwise convolution of some strips of some panels of an
/// image.
struct Filtering<'a, F: Format> {
    block: &'a BlockLayers<F>,
    /// Of this image.
    source: BlockInput<'a, F>,
    panels: Range<usize>,
    strips: Range<usize>,
    /// The panels' blocks, the strips' rows.
    output: PlanesMut<'a, F::Cell>,
    /// The panels' blocks, a line a strip.
    sums: PlanesMut<'a, Line>,
}

impl<F: Format> Filtering<'_, F> {
    fn units(&self) -> usize {
        self.panels.len() * self.strips.len()
    }

    /// Two of about half the work.
    fn split(self) -> (Self, Self) {
        let Self { block, source, panels, strips, output, sums } = self;
        let layer = &block.depthwise;
        if panels.len() > 1 {
            let middle = panels.start + panels.len() / 2;
            let blocks = layer.panels[middle].start - layer.panels[panels.start].start;
            let (output, other_output) = output.split_blocks(blocks);
            let (sums, other_sums) = sums.split_blocks(blocks);
            let (first, second) = (panels.start..middle, middle..panels.end);
            let strips_too = strips.clone();
            return (
                Self { block, source, panels: first, strips, output, sums },
                Self {
                    block,
                    source,
                    panels: second,
                    strips: strips_too,
                    output: other_output,
                    sums: other_sums,
                },
            );
        }
        let (first, second) = halves(&strips);
        let (output, other_output) = output.split_at(layer.rows(&first).len() * layer.output);
        let (sums, other_sums) = sums.split_at(first.len());
        (
            Self { block, source, panels: panels.clone(), strips: first, output, sums },
            Self { block, source, panels, strips: second, output: other_output, sums: other_sums },
        )
    }
}

/// The projection of some pixels of some panels of an image.
struct Projecting<'a, F: Format> {
    block: &'a BlockLayers<F>,
    /// The expanded channels, of this image.
    input: Operands<'a, F>,
    /// Of all panels.
    weights: &'a [F::Weights],
    /// Of this image.
    residual: Option<&'a [Line]>,
    panels: Range<usize>,
    pixels: Range<usize>,
    /// The panels' blocks and these pixels.
    cells: PlanesMut<'a, F::Cell>,
    /// The same in f32.
    wide: Option<PlanesMut<'a, Line>>,
}

impl<F: Format> Projecting<'_, F> {
    /// Two of about half the work.
    fn split(self) -> (Self, Self) {
        let Self { block, input, weights, residual, panels, pixels, cells, wide } = self;
        let of = |panels, pixels, cells, wide| Self {
            block,
            input,
            weights,
            residual,
            panels,
            pixels,
            cells,
            wide,
        };
        if panels.len() > 1 {
            let (first, second) = halves(&panels);
            let all = &block.project.product.panels;
            let at = all[second.start].blocks.start - all[first.start].blocks.start;
            let (cells, other_cells) = cells.split_blocks(at);
            let (wide, other_wide) = wide.map(|wide| wide.split_blocks(at)).unzip();
            let pixels_too = pixels.clone();
            return (
                of(first, pixels, cells, wide),
                of(second, pixels_too, other_cells, other_wide),
            );
        }
        let (first, second) = halves(&pixels);
        let (cells, other_cells) = cells.split_at(first.len());
        let (wide, other_wide) = wide.map(|wide| wide.split_at(first.len())).unzip();
        (of(panels.clone(), first, cells, wide), of(panels, second, other_cells, other_wide))
    }
}

/// Two of about half the length.
pub(super) fn halves(range: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = range.start + range.len() / 2;
    (range.start..middle, middle..range.end)
}

impl<F: Format> ForwardPass<'_, F> {
    /// One block, into `scratch.output`; `wide` is the input in f32 if the
    /// format asks for it.
    #[allow(clippy::too_many_arguments, reason = "buffers that are borrowed apart")]
    pub(super) fn block<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch<F>,
        row_scratch: &mut RowScratch,
        block: &BlockLayers<F>,
        images: usize,
        source: BlockInput<'_, F>,
        wide: &[Line],
    ) {
        let layer = &block.depthwise;
        let (plane, strips, panels) = (layer.output.pow(2), layer.strips(), layer.panels.len());
        let image = layer.blocks * plane;
        // A panel's weights serve all images before the next panel's are read.
        let step = if images == 1 { panels } else { 1 };
        for first in (0..panels).step_by(step) {
            let blocks = layer.panels[first].start..layer.panels[first + step - 1].end;
            for i in 0..images {
                let output = &mut scratch.expanded[i * image..][..image];
                let output = &mut output[blocks.start * plane..blocks.end * plane];
                let work = Filtering {
                    block,
                    source: source.image(i, block.input_blocks, layer.input.pow(2)),
                    panels: first..first + step,
                    strips: 0..strips,
                    output: PlanesMut::new(output, blocks.len(), plane, plane),
                    sums: PlanesMut::new(&mut scratch.sums, blocks.len(), strips, strips),
                };
                let share = self.share(work.units());
                self.filter(clock, row_scratch, work, share);
                for (b, sums) in blocks.clone().zip(scratch.sums.chunks_exact(strips)) {
                    let total = |lane: usize| sums.iter().map(|sum| sum.0[lane]).sum::<f32>();
                    scratch.pool[b * images + i] =
                        Line(std::array::from_fn(|lane| total(lane) / plane as f32));
                }
            }
        }
        clock.measure(LayerKind::SqueezeExcite, || self.squeeze_excite(scratch, block, images));
        let residual = match &source {
            BlockInput::Planes { cells, .. } if block.residual => Some(F::residual(cells, wide)),
            _ => None,
        };
        clock.measure(LayerKind::Project, || self.project(scratch, block, images, residual));
    }

    /// Does `work` in pieces of at most `share` units.
    fn filter<C: Clock>(
        &self,
        clock: &mut C,
        row_scratch: &mut RowScratch,
        work: Filtering<'_, F>,
        share: usize,
    ) {
        if work.units() <= share {
            return self.filter_rows(clock, row_scratch, work);
        }
        let (mine, others) = work.split();
        let mut theirs = clock.fork();
        rayon::join(
            || self.filter(clock, row_scratch, mine, share),
            || {
                self.with_row_scratch(|row_scratch| {
                    self.filter(&mut theirs, row_scratch, others, share)
                })
            },
        );
    }

    /// Does `work` on this thread.
    fn filter_rows<C: Clock>(
        &self,
        clock: &mut C,
        row_scratch: &mut RowScratch,
        mut work: Filtering<'_, F>,
    ) {
        let layer = &work.block.depthwise;
        let rows = layer.rows(&work.strips);
        let first_block = layer.panels[work.panels.start].start;
        let RowScratch { pixels, ring } = row_scratch;
        let mut stem = match work.source {
            BlockInput::Stem(bytes) => Some(Pixels::new(self, bytes, pixels)),
            BlockInput::Planes { .. } => None,
        };
        for p in work.panels.clone() {
            let panel = &layer.panels[p];
            let blocks = panel.start - first_block..panel.end - first_block;
            let ring = &mut ring[..panel.len() * layer.ring.block()];
            clear_padding(layer, ring);
            let mut done = layer.input_rows(&rows).start;
            for strip in work.strips.clone() {
                let rows_now = layer.rows(&(strip..strip + 1));
                let needed = layer.input_rows(&rows_now).end;
                while done < needed {
                    let to_wrap = layer.ring.rows - done % layer.ring.rows;
                    let fill = done..needed.min(done + to_wrap);
                    done = fill.end;
                    match (&mut stem, work.source) {
                        (Some(image), _) => clock.measure(LayerKind::Stem, || {
                            let at = |y| layer.ring.start(y);
                            self.stem_rows(image, p, fill, at, ring, layer.ring.block());
                        }),
                        (None, BlockInput::Planes { cells, operands }) => {
                            clock.measure(LayerKind::Expand, || {
                                self.fill(work.block, p, (cells, operands), fill, ring);
                            })
                        }
                        (None, BlockInput::Stem(_)) => unreachable!("the stem was set up above"),
                    }
                }
                clock.measure(LayerKind::Depthwise, || {
                    let (_, output) = work
                        .output
                        .select(blocks.clone())
                        .split_at((rows_now.start - rows.start) * layer.output);
                    let (_, sums) =
                        work.sums.select(blocks.clone()).split_at(strip - work.strips.start);
                    self.own.launch(Depthwise::<F> {
                        input: ring,
                        ring: layer.ring,
                        height: layer.input,
                        pad_top: layer.pad,
                        kernel: layer.kernel,
                        stride: layer.stride,
                        weights: layer.weights(panel),
                        bias: layer.bias(panel),
                        output,
                        output_width: layer.output,
                        rows: rows_now,
                        sums,
                    });
                });
            }
        }
    }

    /// Rows `y` of one panel of a block's expansion, into the ring.
    fn fill(
        &self,
        block: &BlockLayers<F>,
        panel: usize,
        (cells, operands): (&[F::Cell], Operands<'_, F>),
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
                    let from = &cells[block * plane + y * side..][..side];
                    for (to, from) in ring[to..to + side].iter_mut().zip(from) {
                        *to = F::widen(from);
                    }
                }
            }
            return;
        };
        let panel = &expand.panels[panel];
        let rows = (y.len() - 1) * layer.ring.width + side;
        let output =
            PlanesMut::new(&mut ring[start..], panel.blocks.len(), layer.ring.block(), rows);
        let Operands { planes, scales } = operands.from(y.start * side);
        self.own.launch(Pointwise::<F> {
            input: planes,
            input_block: plane,
            scales,
            channels: expand.channels,
            weights: expand.weights(panel),
            bias: expand.bias(panel),
            residual: None,
            output: Output::Lines(output),
            output_row: layer.ring.width,
            rows: y.len(),
            width: side,
            silu2: true,
        });
    }

    /// The projection of `scratch.expanded` times its factors, into
    /// `scratch.output`.
    fn project(
        &self,
        scratch: &mut Scratch<F>,
        block: &BlockLayers<F>,
        images: usize,
        residual: Option<&[Line]>,
    ) {
        let (layer, product) = (&block.depthwise, &block.project.product);
        let plane = layer.output.pow(2);
        let output_image = product.blocks * plane;
        let Scratch { expanded, prepared_expanded, factors, weights, output, .. } = scratch;
        let factors_in_pixels = block.project.scaled_weights() == 0;
        if factors_in_pixels {
            for i in 0..images {
                let factors = Some((&factors[i..], images));
                self.prepare(expanded, prepared_expanded, (i, layer.blocks, plane), factors);
            }
        }
        let operands = Operands::new(expanded, prepared_expanded);
        let step = if images == 1 { product.panels.len() } else { 1 };
        for first in (0..product.panels.len()).step_by(step) {
            let panels = first..first + step;
            let blocks =
                product.panels[first].blocks.start..product.panels[first + step - 1].blocks.end;
            for i in 0..images {
                if !factors_in_pixels {
                    let own = product.panels[first].weights.start
                        ..product.panels[first + step - 1].weights.end;
                    let share = self.share(step);
                    let factors = (&factors[i..], images);
                    self.scale_weights(block, panels.clone(), factors, &mut weights[own], share);
                }
                let start = i * output_image + blocks.start * plane;
                let end = start + blocks.len() * plane;
                let of_wide = |wide| PlanesMut::new(wide, blocks.len(), plane, plane);
                let work = Projecting {
                    block,
                    input: operands.image(i, layer.blocks, plane),
                    weights: if factors_in_pixels { product.all_weights() } else { weights },
                    residual: residual.map(|planes| &planes[i * output_image..][..output_image]),
                    panels: panels.clone(),
                    pixels: 0..plane,
                    cells: PlanesMut::new(
                        &mut output.cells[start..end],
                        blocks.len(),
                        plane,
                        plane,
                    ),
                    wide: block.keeps_wide.then(|| of_wide(&mut output.wide[start..end])),
                };
                let share = self.share(step * plane);
                self.project_panels(work, share);
            }
        }
    }

    /// Multiplies the weights of some panels by the factors of their inputs, into
    /// `output`, in pieces of at most `share` panels.
    fn scale_weights(
        &self,
        block: &BlockLayers<F>,
        panels: Range<usize>,
        (factors, step): (&[Line], usize),
        output: &mut [F::Weights],
        share: usize,
    ) {
        let all = &block.project.product.panels;
        let first = all[panels.start].weights.start;
        if panels.len() > share {
            let (mine, others) = halves(&panels);
            let (my, their) = output.split_at_mut(all[others.start].weights.start - first);
            rayon::join(
                || self.scale_weights(block, mine, (factors, step), my, share),
                || self.scale_weights(block, others, (factors, step), their, share),
            );
            return;
        }
        for p in panels {
            let Some(weights) = block.project.scaled(p) else { continue };
            let place = &all[p].weights;
            let work = ScaleWeights::<F> {
                weights,
                panel: all[p].blocks.len(),
                factors,
                step,
                output: &mut output[place.start - first..place.end - first],
            };
            F::scale_weights(self.own, work);
        }
    }

    /// Does `work` in pieces of at most `share` pixels and panels.
    fn project_panels(&self, mut work: Projecting<'_, F>, share: usize) {
        let divides = work.panels.len() > 1 || work.pixels.len() >= 2 * FEWEST_PIXELS;
        if work.panels.len() * work.pixels.len() > share && divides {
            let (mine, others) = work.split();
            rayon::join(|| self.project_panels(mine, share), || self.project_panels(others, share));
            return;
        }
        let product = &work.block.project.product;
        let plane = work.block.depthwise.output.pow(2);
        let first_block = product.panels[work.panels.start].blocks.start;
        for panel in &product.panels[work.panels.clone()] {
            let blocks = panel.blocks.start - first_block..panel.blocks.end - first_block;
            let cells = work.cells.select(blocks.clone());
            let output = match &mut work.wide {
                Some(wide) => Output::Both(cells, wide.select(blocks)),
                None => Output::Cells(cells),
            };
            let from = panel.blocks.start * plane + work.pixels.start;
            let Operands { planes, scales } = work.input.from(work.pixels.start);
            self.own.launch(Pointwise::<F> {
                input: planes,
                input_block: plane,
                scales,
                channels: product.channels,
                weights: &work.weights[panel.weights.clone()],
                bias: product.bias(panel),
                residual: work.residual.map(|planes| &planes[from..]),
                output,
                output_row: work.pixels.len(),
                rows: 1,
                width: work.pixels.len(),
                silu2: false,
            });
        }
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
