//! The pass of images through the layers.
//!
//! A block runs panel by panel of its expanded channels (see [`inverted`]).
//! Layers of large planes take images one by one; where planes are small and
//! weights large, a group of images passes a panel of weights together, so
//! that weights come from memory once a group. Where there are more threads
//! than images, a team of them shares each layer of an image. None of it
//! changes anything in an image's arithmetic.
//!
//! [`inverted`]: super::inverted

use std::array::from_fn;
use std::mem::{replace, swap, take};
use std::ops::Range;

use hiwl_kernels::{
    BLOCK, F32, Format, Launch, Line, Mean, Output, Panel, PlanesMut, Pointwise, Prepare, Product,
    Runner, Sigmoid2, Stem, blocks,
};

use super::{
    inverted::{BlockInput, halves},
    packed::{BlockLayers, NetworkLayers, RELEASED},
    pixels::Pixels,
    profile::{Clock, LayerKind},
    scratch::{Activations, Operands, Pool, Prepared, RowScratch, Scratch},
};

/// Images that share a pass over the weights of the late layers.
pub(super) const GROUP: usize = 4;

/// Pixels of an input plane from which on images go one by one.
const ALONE_PIXELS: usize = 128;

/// Lines of weights below which a product on vectors is not worth a second thread.
const FEW_WEIGHTS: usize = 2048;

/// How many blocks images pass one by one: those of large planes, and always
/// the first, which takes in the stem.
pub(super) fn blocks_alone<F: Format>(layers: &NetworkLayers<F>) -> usize {
    let large = |block: &&BlockLayers<F>| block.depthwise.input.pow(2) >= ALONE_PIXELS;
    layers.blocks.iter().take_while(large).count().max(1)
}

/// Where what is found of some images goes; what is empty is not wanted.
#[derive(Default)]
pub(super) struct Rows<'a> {
    /// `[images][classes]`.
    pub logits: &'a mut [f32],
    /// `[images][features]`.
    pub features: &'a mut [f32],
    /// `[images][features][side][side]`.
    pub maps: &'a mut [f32],
}

impl Rows<'_> {
    /// The first of `images` images.
    pub(super) fn take<'b>(rest: &mut Rows<'b>, images: usize, of: usize) -> Rows<'b> {
        let part = |rows: &mut &'b mut [f32]| {
            let all = take(rows);
            let (first, others) = all.split_at_mut(all.len() / of * images);
            *rows = others;
            first
        };
        Rows {
            logits: part(&mut rest.logits),
            features: part(&mut rest.features),
            maps: part(&mut rest.maps),
        }
    }
}

/// Room for the last feature maps of each image of a group, `[channels][pixels]`,
/// or none.
type Maps<'a> = [&'a mut [f32]; GROUP];

/// The first `at` values of each, and the others.
fn split(maps: Maps<'_>, at: usize) -> (Maps<'_>, Maps<'_>) {
    let mut others = Maps::default();
    let mut next = others.iter_mut();
    let first = maps.map(|all| {
        let (first, rest) = all.split_at_mut(at.min(all.len()));
        if let Some(other) = next.next() {
            *other = rest;
        }
        first
    });
    (first, others)
}

/// Writes some blocks of channels, as the network holds them, channel by
/// channel, as many as there is room for.
fn release(lines: &[Line], plane: usize, maps: &mut [f32]) {
    for (block, maps) in lines.chunks_exact(plane).zip(maps.chunks_mut(BLOCK * plane)) {
        for (lane, map) in maps.chunks_exact_mut(plane).enumerate() {
            map.iter_mut().zip(block).for_each(|(value, line)| *value = line.0[lane] * RELEASED);
        }
    }
}

/// Makes all factors of an image NaN if one of its means is not finite: a sigmoid turns NaN
/// into a number, and so may the rounding of pixels, and logits must tell of it.
fn keep_nan(means: &[Line], factors: &mut [Line], images: usize, image: usize) {
    let mut means = means.iter().skip(image).step_by(images);
    if !means.all(|line| line.0.iter().all(|mean| mean.is_finite())) {
        let own = factors.iter_mut().skip(image).step_by(images);
        own.for_each(|line| line.0.fill(f32::NAN));
    }
}

/// What a pass needs besides its scratch.
#[derive(Clone, Copy)]
pub(super) struct ForwardPass<'a, F: Format> {
    /// The packed layers.
    pub layers: &'a NetworkLayers<F>,
    /// What runs the kernels that are in f32 in every format.
    pub runner: Runner,
    /// What runs those of the format.
    pub own: F::Runner,
    /// Pixels are `byte · scale + shift`, by colour.
    pub scale: &'a [f32; 3 * BLOCK],
    /// See `scale`.
    pub shift: &'a [f32; 3 * BLOCK],
    /// For the threads of a team.
    pub row_scratches: &'a Pool<RowScratch>,
    /// Threads of the current rayon pool that share the layers of an image.
    pub team: usize,
}

impl<F: Format> ForwardPass<'_, F> {
    /// What is wanted of up to [`GROUP`] images.
    pub(super) fn run<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch<F>,
        row_scratch: &mut RowScratch,
        images: &[&[u8]],
        to: Rows<'_>,
    ) {
        let (alone, together) = self.layers.blocks.split_at(blocks_alone(self.layers));
        let last = alone.last();
        let size = last.map_or(0, |block| block.output_cells());
        let wide = if last.is_some_and(|block| block.keeps_wide) { size } else { 0 };
        for (i, bytes) in images.iter().enumerate() {
            self.alone(clock, scratch, row_scratch, alone, bytes);
            let Scratch { input, gathered, .. } = &mut *scratch;
            gathered.cells[i * size..][..size].copy_from_slice(&input.cells[..size]);
            gathered.wide[i * wide..][..wide].copy_from_slice(&input.wide[..wide]);
        }
        swap(&mut scratch.input, &mut scratch.gathered);
        for block in together {
            self.next_block(clock, scratch, row_scratch, block, images.len());
        }
        clock.measure(LayerKind::Head, || self.head(scratch, row_scratch, images.len(), to));
    }

    /// The stem and the blocks that one image passes alone, into
    /// `scratch.input`.
    fn alone<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch<F>,
        row_scratch: &mut RowScratch,
        blocks: &[BlockLayers<F>],
        bytes: &[u8],
    ) {
        let mut rest = blocks;
        if let Some((first, others)) = blocks.split_first().filter(|_| self.layers.takes_in_stem())
        {
            let source = BlockInput::Stem(bytes);
            let input = replace(&mut scratch.input, Activations::lent());
            self.block(clock, scratch, row_scratch, first, 1, source, &input.wide);
            scratch.input = replace(&mut scratch.output, input);
            rest = others;
        } else {
            clock.measure(LayerKind::Stem, || self.stem(scratch, row_scratch, bytes));
        }
        for block in rest {
            self.next_block(clock, scratch, row_scratch, block, 1);
        }
    }

    /// A block from `scratch.input` into `scratch.input`.
    fn next_block<C: Clock>(
        &self,
        clock: &mut C,
        scratch: &mut Scratch<F>,
        row_scratch: &mut RowScratch,
        block: &BlockLayers<F>,
        images: usize,
    ) {
        if block.expand.is_some() {
            let plane = block.depthwise.input.pow(2);
            let prepare = || self.prepare_input(scratch, block.input_blocks, plane, images);
            clock.measure(LayerKind::Expand, prepare);
        }
        let input = replace(&mut scratch.input, Activations::lent());
        let prepared = replace(&mut scratch.prepared_input, Prepared::lent());
        let Activations { cells, wide } = &input;
        let source = BlockInput::Planes { cells, operands: Operands::new(cells, &prepared) };
        self.block(clock, scratch, row_scratch, block, images, source, wide);
        scratch.prepared_input = prepared;
        scratch.input = replace(&mut scratch.output, input);
    }

    /// Operands of the images' cells in `scratch.input`, where the format prepares them.
    fn prepare_input(&self, scratch: &mut Scratch<F>, blocks: usize, plane: usize, images: usize) {
        if !F::PREPARES {
            return;
        }
        let Scratch { input, prepared_input, .. } = scratch;
        for i in 0..images {
            self.prepare(&mut input.cells, prepared_input, (i, blocks, plane), None);
        }
    }

    /// Operands of an image's cells, of so many blocks of `plane` pixels, times their factors.
    pub(super) fn prepare(
        &self,
        cells: &mut [F::Cell],
        prepared: &mut Prepared<F>,
        (image, blocks, plane): (usize, usize, usize),
        factors: Option<(&[Line], usize)>,
    ) {
        let own = image * blocks * plane..(image + 1) * blocks * plane;
        let work = Prepare {
            cells: PlanesMut::new(&mut cells[own.clone()], blocks, plane, plane),
            factors,
            prepared: F::PREPARES.then(|| {
                let operands = PlanesMut::new(&mut prepared.operands[own], blocks, plane, plane);
                (operands, &mut prepared.scales[image * plane..][..plane])
            }),
        };
        self.prepare_pixels(work, self.share(plane));
    }

    /// Does `work` in pieces of at most `share` pixels.
    fn prepare_pixels(&self, work: Prepare<'_, F>, share: usize) {
        if work.pixels() <= share {
            return F::prepare(self.own, work);
        }
        let middle = work.pixels() / 2;
        let (mine, others) = work.split(middle);
        rayon::join(|| self.prepare_pixels(mine, share), || self.prepare_pixels(others, share));
    }

    /// Factors of the expanded channels, from their means in `scratch.pool`.
    pub(super) fn squeeze_excite(
        &self,
        scratch: &mut Scratch<F>,
        block: &BlockLayers<F>,
        images: usize,
    ) {
        let Scratch { pool, squeezed, factors, .. } = scratch;
        self.dense(&block.squeeze, images, pool, squeezed, true);
        self.dense(&block.excite, images, squeezed, factors, false);
        let factors = &mut factors[..block.excite.blocks * images];
        self.runner.launch(Sigmoid2(factors));
        let pool = &pool[..block.depthwise.blocks * images];
        (0..images).for_each(|i| keep_nan(pool, factors, images, i));
    }

    /// A product on one vector an image, `[blocks][images]`. A team shares one of many
    /// weights.
    fn dense(
        &self,
        product: &Product<F32>,
        images: usize,
        input: &[Line],
        output: &mut [Line],
        silu2: bool,
    ) {
        let output = PlanesMut::new(output, product.blocks, images, images);
        let all = product.panels.len();
        let share = if product.all_weights().len() < FEW_WEIGHTS { all } else { self.share(all) };
        self.dense_panels(product, (images, silu2), input, 0..all, output, share);
    }

    /// Some of its panels, in pieces of at most `share`.
    fn dense_panels(
        &self,
        product: &Product<F32>,
        (images, silu2): (usize, bool),
        input: &[Line],
        panels: Range<usize>,
        mut output: PlanesMut<'_, Line>,
        share: usize,
    ) {
        let first = product.panels[panels.start].blocks.start;
        if panels.len() > share {
            let (mine, others) = halves(&panels);
            let (my, their) =
                output.split_blocks(product.panels[others.start].blocks.start - first);
            rayon::join(
                || self.dense_panels(product, (images, silu2), input, mine, my, share),
                || self.dense_panels(product, (images, silu2), input, others, their, share),
            );
            return;
        }
        for panel in &product.panels[panels] {
            let blocks = panel.blocks.start - first..panel.blocks.end - first;
            self.runner.launch(Pointwise::<F32> {
                input,
                input_block: images,
                scales: &[],
                channels: product.channels,
                weights: product.weights(panel),
                bias: product.bias(panel),
                residual: None,
                output: Output::Lines(output.select(blocks)),
                output_row: images,
                rows: 1,
                width: images,
                silu2,
            });
        }
    }

    /// The last convolution, the mean over pixels and the classifier.
    fn head(
        &self,
        scratch: &mut Scratch<F>,
        row_scratch: &mut RowScratch,
        images: usize,
        to: Rows<'_>,
    ) {
        let (head, classifier) = (&self.layers.head, &self.layers.classifier);
        let (in_blocks, plane) = (blocks(head.channels), self.layers.side.pow(2));
        self.prepare_input(scratch, in_blocks, plane, images);
        let Scratch { input, prepared_input, pool, squeezed, .. } = scratch;
        let pool = &mut pool[..head.blocks * images];
        let Rows { logits, features, maps } = to;
        let mut map_rows = maps.chunks_exact_mut((maps.len() / images).max(1));
        let maps = from_fn(|_| map_rows.next().unwrap_or_default());
        let operands = Operands::new(&input.cells, prepared_input);
        self.features(row_scratch, operands, images, &head.panels, pool, maps);
        for (i, row) in features.chunks_exact_mut((features.len() / images).max(1)).enumerate() {
            for (b, row) in row.chunks_mut(BLOCK).enumerate() {
                let line = &pool[b * images + i].0;
                row.iter_mut().zip(line).for_each(|(value, held)| *value = held * RELEASED);
            }
        }
        if logits.is_empty() {
            return;
        }
        self.dense(classifier, images, pool, squeezed, false);
        let classes = logits.len() / images;
        for (i, logits) in logits.chunks_exact_mut(classes).enumerate() {
            for (b, logits) in logits.chunks_mut(BLOCK).enumerate() {
                logits.copy_from_slice(&squeezed[b * images + i].0[..logits.len()]);
            }
        }
    }

    /// Means over the pixels of some panels of the last convolution,
    /// `[panels' blocks][images]`, and the pixels themselves where there is
    /// room for them.
    fn features(
        &self,
        row_scratch: &mut RowScratch,
        input: Operands<'_, F>,
        images: usize,
        panels: &[Panel],
        pool: &mut [Line],
        mut maps: Maps<'_>,
    ) {
        let head = &self.layers.head;
        let plane = self.layers.side.pow(2);
        if panels.len() > self.share(head.panels.len()) {
            let (mine, others) = panels.split_at(panels.len() / 2);
            let blocks = others[0].blocks.start - mine[0].blocks.start;
            let (my_pool, other_pool) = pool.split_at_mut(blocks * images);
            let (my_maps, other_maps) = split(maps, blocks * BLOCK * plane);
            rayon::join(
                || self.features(row_scratch, input, images, mine, my_pool, my_maps),
                || {
                    self.with_row_scratch(|row_scratch| {
                        self.features(row_scratch, input, images, others, other_pool, other_maps);
                    });
                },
            );
            return;
        }
        let in_blocks = blocks(head.channels);
        let first = panels[0].blocks.start;
        for panel in panels {
            let width = panel.blocks.len();
            for (i, map) in maps[..images].iter_mut().enumerate() {
                let features = &mut row_scratch.ring[..width * plane];
                let Operands { planes, scales } = input.image(i, in_blocks, plane);
                self.own.launch(Pointwise::<F> {
                    input: planes,
                    input_block: plane,
                    scales,
                    channels: head.channels,
                    weights: head.weights(panel),
                    bias: head.bias(panel),
                    residual: None,
                    output: Output::Lines(PlanesMut::new(features, width, plane, plane)),
                    output_row: plane,
                    rows: 1,
                    width: plane,
                    silu2: true,
                });
                for (b, pixels) in panel.blocks.clone().zip(features.chunks_exact(plane)) {
                    let output = &mut pool[(b - first) * images + i];
                    self.runner.launch(Mean { pixels, output });
                }
                let start = (panel.blocks.start - first) * BLOCK * plane;
                if let Some(map) = map.get_mut(start..) {
                    release(features, plane, map);
                }
            }
        }
    }

    /// The whole stem into `scratch.input`.
    fn stem(&self, scratch: &mut Scratch<F>, row_scratch: &mut RowScratch, bytes: &[u8]) {
        let stem = &self.layers.stem;
        let (side, plane) = (stem.output, stem.output.pow(2));
        let mut image = Pixels::new(self, bytes, &mut row_scratch.pixels);
        for (p, panel) in stem.product.panels.iter().enumerate() {
            let output = &mut scratch.stem[panel.blocks.start * plane..];
            for y in 0..side {
                self.stem_rows(&mut image, p, y..y + 1, |_| y * side, output, plane);
            }
        }
        let Activations { cells, wide } = &mut scratch.input;
        for (cell, line) in cells.iter_mut().zip(&scratch.stem) {
            *cell = F::narrow(line);
        }
        for (wide, line) in wide.iter_mut().zip(&scratch.stem) {
            *wide = *line;
        }
    }

    /// Rows of one panel of the stem, which follow those of the call before
    /// or begin anew; row `y` goes to `at(y)`, its blocks `output_block` apart.
    pub(super) fn stem_rows(
        &self,
        image: &mut Pixels<'_>,
        panel: usize,
        rows: Range<usize>,
        at: impl Fn(usize) -> usize,
        output: &mut [Line],
        output_block: usize,
    ) {
        let stem = &self.layers.stem;
        let panel = &stem.product.panels[panel];
        for y in rows {
            let top = 2 * y;
            image.advance(top.saturating_sub(stem.pad), (top + 3).saturating_sub(stem.pad));
            self.runner.launch(Stem {
                rows: [0, 1, 2].map(|tap| image.row((top + tap).checked_sub(stem.pad))),
                weights: stem.product.weights(panel),
                bias: stem.product.bias(panel),
                output: &mut output[at(y)..],
                output_block,
                width: stem.output,
            });
        }
    }

    /// The most of `units` of equal work that one thread of the team takes at
    /// a time: twice as many pieces as threads, so that one that comes late
    /// does not hold up the others.
    pub(super) fn share(&self, units: usize) -> usize {
        if self.team == 1 { units } else { units.div_ceil(2 * self.team) }
    }

    /// Does `work` with row scratch of its own.
    pub(super) fn with_row_scratch<R>(&self, work: impl FnOnce(&mut RowScratch) -> R) -> R {
        self.row_scratches.with(|| RowScratch::new(self.layers), work)
    }
}
