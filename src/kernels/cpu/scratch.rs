//! The memory a thread works in: allocated once, reused for every image.

use std::sync::{Mutex, PoisonError};

use super::{
    forward::{GROUP, blocks_alone},
    lines::Line,
    packed::{BlockLayers, NetworkLayers},
    pixels::Pixels,
};

/// Buffers for [`GROUP`] images on their way through
/// the network. What they hold between uses is of no meaning.
pub(super) struct Scratch {
    /// For [`Pixels`].
    pub pixels: Vec<f32>,
    /// Input of a block.
    pub input: Vec<Line>,
    /// Output of a block.
    pub output: Vec<Line>,
    /// What each image of a group brings from the blocks it passed alone.
    pub gathered: Vec<Line>,
    /// The depthwise convolution's output.
    pub expanded: Vec<Line>,
    /// Rows between the expansion and the depthwise convolution, or one panel
    /// of the head.
    pub ring: Vec<Line>,
    /// Means over the pixels, `[blocks][images]`.
    pub pool: Vec<Line>,
    /// Squeezed means, or logits, `[blocks][images]`.
    pub squeezed: Vec<Line>,
    /// Factors of the channels, `[blocks][images]`.
    pub factors: Vec<Line>,
    /// A panel's weights times these factors.
    pub weights: Vec<Line>,
}

impl Scratch {
    fn new(layers: &NetworkLayers) -> Self {
        let alone = blocks_alone(layers);
        let largest = |f: &dyn Fn(usize, &BlockLayers) -> usize| {
            layers.blocks.iter().enumerate().map(|(i, block)| f(i, block)).max().unwrap_or(0)
        };
        let images = |i: usize| if i < alone { 1 } else { GROUP };
        let stem = &layers.stem;
        let plane = |side: usize| side * side;
        let output = |i: usize, block: &BlockLayers| images(i) * block.output_lines();
        // The three that change places have one size.
        let last = layers.blocks[..alone].last();
        let gathered = last.map_or(0, |block| GROUP * block.output_lines());
        let activations =
            largest(&output).max(gathered).max(stem.product.blocks * plane(stem.output));
        let head = layers.head.panels.iter().map(|panel| panel.blocks.len()).max().unwrap_or(0);
        let small = |lines: usize| vec![Line::ZERO; GROUP * lines];
        Self {
            pixels: vec![0.0; Pixels::values(stem)],
            input: vec![Line::ZERO; activations],
            output: vec![Line::ZERO; activations],
            gathered: vec![Line::ZERO; activations],
            expanded: vec![
                Line::ZERO;
                largest(&|i, block| images(i)
                    * block.depthwise.blocks
                    * plane(block.depthwise.output))
            ],
            ring: vec![
                Line::ZERO;
                largest(&|_, block| block.depthwise.ring_lines())
                    .max(head * plane(layers.side))
            ],
            pool: small(largest(&|_, block| block.depthwise.blocks).max(layers.head.blocks)),
            squeezed: small(
                largest(&|_, block| block.squeeze.blocks).max(layers.classifier.blocks),
            ),
            factors: small(largest(&|_, block| block.excite.blocks)),
            weights: vec![Line::ZERO; largest(&|_, block| block.project.largest_panel())],
        }
    }
}

/// Scratches at rest: as many as threads ever ran at once.
pub(super) struct ScratchPool(Mutex<Vec<Scratch>>);

impl ScratchPool {
    /// Empty.
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Lends a scratch for the time of `work`; one of a work that panicked is
    /// dropped.
    pub(super) fn with<R>(
        &self,
        layers: &NetworkLayers,
        work: impl FnOnce(&mut Scratch) -> R,
    ) -> R {
        let resting = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = resting.unwrap_or_else(|| Scratch::new(layers));
        let result = work(&mut scratch);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        result
    }
}
