//! The rows of an image's pixels that the stem is at, normalised as it goes
//! down the image.

use hiwl_kernels::{BLOCK, Format, Launch, Normalise, Runner};

use super::{forward::ForwardPass, packed::StemLayer};

/// A ring of three rows of pixels.
pub(super) struct Pixels<'a> {
    stem: &'a StemLayer,
    runner: Runner,
    scale: &'a [f32; 3 * BLOCK],
    shift: &'a [f32; 3 * BLOCK],
    /// The image, interleaved RGB.
    bytes: &'a [u8],
    /// Row `y` at `y % 3`, zeros left and right of it; then a row of zeros.
    values: &'a mut [f32],
    /// How many rows were normalised.
    done: usize,
}

impl<'a> Pixels<'a> {
    /// At the top of an image, in a buffer of [`Self::values`].
    pub(super) fn new<F: Format>(
        pass: &ForwardPass<'a, F>,
        bytes: &'a [u8],
        values: &'a mut [f32],
    ) -> Self {
        values.fill(0.0);
        let &ForwardPass { layers, runner, scale, shift, .. } = pass;
        Self { stem: &layers.stem, runner, scale, shift, bytes, values, done: 0 }
    }

    /// Length of the buffer.
    pub(super) fn values(stem: &StemLayer) -> usize {
        4 * stem.row_values()
    }

    /// Normalises rows `from` to before `to` as far as they are not at hand;
    /// at most three.
    pub(super) fn advance(&mut self, from: usize, to: usize) {
        let (row, side) = (self.stem.row_values(), 3 * self.stem.input);
        let to = to.min(self.stem.input);
        // A pass that goes back, or leaves rows out, begins anew.
        if self.done < from || self.done > to {
            self.done = from;
        }
        while self.done < to {
            self.runner.launch(Normalise {
                bytes: &self.bytes[self.done * side..][..side],
                scale: self.scale,
                shift: self.shift,
                output: &mut self.values[self.done % 3 * row + 3 * self.stem.pad..][..side],
            });
            self.done += 1;
        }
    }

    /// Row `y`, or zeros where the image has none.
    pub(super) fn row(&self, y: Option<usize>) -> &[f32] {
        let at = y.filter(|&y| y < self.stem.input).map_or(3, |y| y % 3);
        let row = self.stem.row_values();
        &self.values[at * row..][..row]
    }
}
