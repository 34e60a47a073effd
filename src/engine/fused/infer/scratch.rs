//! The memory that threads work in: allocated once, reused for every image.

use std::sync::{Mutex, PoisonError};

use hiwl_kernels::{Format, Line, PixelScale};

use super::{
    forward::{GROUP, blocks_alone},
    packed::{BlockLayers, NetworkLayers},
    pixels::Pixels,
};

/// What is prepared of cells that are multiplied next, where the format does so.
pub(super) struct Prepared<F: Format> {
    /// One for each cell.
    pub operands: Vec<F::Operand>,
    /// One for each pixel.
    pub scales: Vec<PixelScale>,
}

impl<F: Format> Prepared<F> {
    fn new(cells: usize, pixels: usize) -> Self {
        let room = |length| if F::PREPARES { length } else { 0 };
        Self {
            operands: vec![F::NO_OPERAND; room(cells)],
            scales: vec![PixelScale::NONE; room(pixels)],
        }
    }

    /// Nothing, for the time that the buffers are lent elsewhere.
    pub fn lent() -> Self {
        Self { operands: Vec::new(), scales: Vec::new() }
    }
}

/// What a product multiplies: planes of the images in order.
pub(super) struct Operands<'a, F: Format> {
    /// Blocks of channels.
    pub planes: &'a [F::Operand],
    /// Of the pixels, if the format prepares them; otherwise empty.
    pub scales: &'a [PixelScale],
}

impl<F: Format> Clone for Operands<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F: Format> Copy for Operands<'_, F> {}

impl<'a, F: Format> Operands<'a, F> {
    /// The cells, or what was prepared of them.
    pub fn new(cells: &'a [F::Cell], prepared: &'a Prepared<F>) -> Self {
        let planes = F::operands(cells, &prepared.operands);
        Self { planes, scales: &prepared.scales }
    }

    /// Those of an image, of so many blocks of `plane` pixels.
    pub fn image(self, image: usize, blocks: usize, plane: usize) -> Self {
        Self { planes: &self.planes[image * blocks * plane..], ..self.scales_from(image * plane) }
    }

    /// From a pixel of each block on.
    pub fn from(self, pixel: usize) -> Self {
        Self { planes: &self.planes[pixel..], ..self.scales_from(pixel) }
    }

    fn scales_from(self, pixel: usize) -> Self {
        Self { scales: if F::PREPARES { &self.scales[pixel..] } else { self.scales }, ..self }
    }
}

/// Activations between two blocks.
pub(super) struct Activations<F: Format> {
    /// As the format holds them.
    pub cells: Vec<F::Cell>,
    /// The same in f32 where a residual needs them and the format is another.
    pub wide: Vec<Line>,
}

impl<F: Format> Activations<F> {
    fn new(cells: usize) -> Self {
        let wide = if F::WIDE { cells } else { 0 };
        Self { cells: vec![F::ZERO; cells], wide: vec![Line::ZERO; wide] }
    }

    /// Nothing, for the time that the buffers are lent elsewhere.
    pub fn lent() -> Self {
        Self { cells: Vec::new(), wide: Vec::new() }
    }
}

/// Buffers for [`GROUP`] images on their way through the network. What they
/// hold between uses is of no meaning.
pub(super) struct Scratch<F: Format> {
    /// Input of a block.
    pub input: Activations<F>,
    /// The same as an expansion, or the head, multiplies it, where it has to be prepared.
    pub prepared_input: Prepared<F>,
    /// Output of a block.
    pub output: Activations<F>,
    /// What each image of a group brings from the blocks it passed alone.
    pub gathered: Activations<F>,
    /// The stem's output, where it reaches memory.
    pub stem: Vec<Line>,
    /// The depthwise convolution's output.
    pub expanded: Vec<F::Cell>,
    /// The same times its factors, where it has to be prepared for the projection.
    pub prepared_expanded: Prepared<F>,
    /// Sums over the pixels of one image, `[blocks][strips]`.
    pub sums: Vec<Line>,
    /// Means over the pixels, `[blocks][images]`.
    pub pool: Vec<Line>,
    /// Squeezed means, or logits, `[blocks][images]`.
    pub squeezed: Vec<Line>,
    /// Factors of the channels, `[blocks][images]`.
    pub factors: Vec<Line>,
    /// A projection's weights times these factors.
    pub weights: Vec<F::Weights>,
}

/// Buffers for some rows of some panels on their way through a block.
pub(super) struct RowScratch {
    /// For [`Pixels`].
    pub pixels: Vec<f32>,
    /// Rows between the expansion and the depthwise convolution, or one panel
    /// of the head.
    pub ring: Vec<Line>,
}

/// The most that any block asks for.
fn largest<F: Format>(
    layers: &NetworkLayers<F>,
    of: impl Fn(usize, &BlockLayers<F>) -> usize,
) -> usize {
    layers.blocks.iter().enumerate().map(|(i, block)| of(i, block)).max().unwrap_or(0)
}

impl<F: Format> Scratch<F> {
    pub fn new(layers: &NetworkLayers<F>) -> Self {
        let alone = blocks_alone(layers);
        let images = |i: usize| if i < alone { 1 } else { GROUP };
        let stem = layers.stem.product.blocks * layers.stem.output.pow(2);
        // The three that change places have one size.
        let last = layers.blocks[..alone].last();
        let gathered = last.map_or(0, |block| GROUP * block.output_cells());
        let activations = largest(layers, |i, block| images(i) * block.output_cells());
        let activations = activations.max(gathered).max(stem);
        let expanded =
            |block: &BlockLayers<F>| block.depthwise.blocks * block.depthwise.output.pow(2);
        let pixels = largest(layers, |i, block| images(i) * block.depthwise.input.pow(2));
        let room = largest(layers, |i, block| images(i) * expanded(block));
        let small = |lines: usize| vec![Line::ZERO; GROUP * lines];
        let of = |count: &dyn Fn(&BlockLayers<F>) -> usize| largest(layers, |_, b| count(b));
        Self {
            input: Activations::new(activations),
            output: Activations::new(activations),
            gathered: Activations::new(activations),
            prepared_input: Prepared::new(activations, pixels),
            stem: vec![Line::ZERO; if layers.takes_in_stem() { 0 } else { stem }],
            expanded: vec![F::ZERO; room],
            prepared_expanded: Prepared::new(room, pixels),
            sums: vec![Line::ZERO; of(&|b| b.depthwise.blocks * b.depthwise.strips())],
            pool: small(of(&|b| b.depthwise.blocks).max(layers.head.blocks)),
            squeezed: small(of(&|b| b.squeeze.blocks).max(layers.classifier.blocks)),
            factors: small(of(&|b| b.excite.blocks)),
            weights: vec![F::NO_WEIGHTS; of(&|b| b.project.scaled_weights())],
        }
    }
}

impl RowScratch {
    pub fn new<F: Format>(layers: &NetworkLayers<F>) -> Self {
        let head = layers.head.panels.iter().map(|panel| panel.blocks.len()).max().unwrap_or(0);
        let ring = largest(layers, |_, block| block.depthwise.ring_lines());
        Self {
            pixels: vec![0.0; Pixels::values(&layers.stem)],
            ring: vec![Line::ZERO; ring.max(head * layers.side.pow(2))],
        }
    }
}

/// Buffers at rest: as many as were ever in use at once.
pub(super) struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// Empty.
    pub fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Lends one for the time of `work`, a new one where none rests; one of a
    /// work that panicked is dropped.
    pub fn with<R>(&self, new: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lent = resting.unwrap_or_else(new);
        let result = work(&mut lent);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lent);
        result
    }
}
