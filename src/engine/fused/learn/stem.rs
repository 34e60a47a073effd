//! The stem's convolution as a matrix product: every output pixel becomes a
//! row of the 27 values that it sees, in the order row, column, colour.

use crate::engine::Normalisation;
use crate::model::architecture::Padding;

const KERNEL: usize = 3;
const COLOURS: usize = 3;
const STRIDE: usize = 2;
/// Values that an output pixel sees.
pub(super) const TAPS: usize = KERNEL * KERNEL * COLOURS;
/// Floats in a row of them.
pub(super) const WIDTH: usize = 32;

/// The images of a batch and how an output pixel sees them.
pub(super) struct Taps<'a> {
    images: &'a [u8],
    size: usize,
    pad: usize,
    output: usize,
    table: [[f32; 256]; COLOURS],
}

impl<'a> Taps<'a> {
    pub(super) fn new(
        images: &'a [u8],
        size: usize,
        padding: Padding,
        normalisation: Normalisation,
    ) -> Self {
        let (pad, output) = padding.resolve(size, KERNEL, STRIDE);
        let table = std::array::from_fn(|c| {
            let (mean, std) = (normalisation.mean[c], normalisation.std[c]);
            std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std)
        });
        Self { images, size, pad, output, table }
    }

    /// Side of the output.
    pub(super) fn side(&self) -> usize {
        self.output
    }

    /// Output pixels of an image.
    pub(super) fn pixels(&self) -> usize {
        self.output * self.output
    }

    /// Side of the bordered image: what the last output sees, or all of it.
    fn bordered(&self) -> usize {
        ((self.output - 1) * STRIDE + KERNEL).max(self.pad + self.size)
    }

    /// Floats of a bordered image.
    pub(super) fn padded_len(&self) -> usize {
        self.bordered() * self.bordered() * COLOURS
    }

    /// Image `n` normalised, with a border of zeros.
    pub(super) fn normalise(&self, n: usize, out: &mut [f32]) {
        let (row, side) = (self.size * COLOURS, self.bordered() * COLOURS);
        let image = &self.images[n * self.size * row..][..self.size * row];
        out[..self.padded_len()].fill(0.0);
        for (y, bytes) in image.chunks_exact(row).enumerate() {
            let out = &mut out[(self.pad + y) * side + self.pad * COLOURS..][..row];
            for (out, rgb) in out.chunks_exact_mut(COLOURS).zip(bytes.chunks_exact(COLOURS)) {
                for c in 0..COLOURS {
                    out[c] = self.table[c][usize::from(rgb[c])];
                }
            }
        }
    }

    /// Rows `first..first + count` of the matrix, `[count][WIDTH]`.
    pub(super) fn rows(&self, image: &[f32], first: usize, count: usize, out: &mut [f32]) {
        let side = self.bordered() * COLOURS;
        let (mut y, mut x) = (first / self.output, first % self.output);
        for out in out[..count * WIDTH].chunks_exact_mut(WIDTH) {
            for ky in 0..KERNEL {
                let from = (y * STRIDE + ky) * side + x * STRIDE * COLOURS;
                out[ky * 9..ky * 9 + 9].copy_from_slice(&image[from..from + 9]);
            }
            out[TAPS..].fill(0.0);
            x += 1;
            if x == self.output {
                (y, x) = (y + 1, 0);
            }
        }
    }
}

/// Place of tap (row, column, colour) among torchvision's (colour, row, column).
fn place(tap: usize) -> usize {
    let (pixel, colour) = (tap / COLOURS, tap % COLOURS);
    colour * KERNEL * KERNEL + pixel
}

/// Weights `[out][colour][row][column]` in the order of the taps.
pub(super) fn by_taps(weights: &[f32]) -> Vec<f32> {
    let taps = weights.chunks_exact(TAPS);
    taps.flat_map(|w| (0..TAPS).map(|tap| w[place(tap)])).collect()
}

/// The other way round.
pub(super) fn from_taps(by_taps: &[f32], weights: &mut [f32]) {
    for (from, to) in by_taps.chunks_exact(TAPS).zip(weights.chunks_exact_mut(TAPS)) {
        for (tap, value) in from.iter().enumerate() {
            to[place(tap)] = *value;
        }
    }
}
